//! How many items a packet may have: topic filters in a SUBSCRIBE, or sub-devices in a login. Nobody documents a limit, but
//! brokers have one: they refuse all items of a large packet, do not answer it, or close the connection. None of these
//! proves that the size was the reason. So the size shrinks only as far as needed, and grows again.

/// After so many links on which packets of the present size were granted, the next one tries twice that size. If that
/// fails, the number doubles.
const LINKS_UNTIL_GROWTH: u32 = 2;
const LINKS_UNTIL_GROWTH_MAX: u32 = 64;

pub struct Batch {
    setting: usize,
    size: usize,
    /// The largest packet of which an item was granted. A single item is always possible.
    granted: usize,
    /// The last link was lost with a packet of this size unanswered. None as large was granted since then.
    lost: Option<usize>,
    /// A packet of the present size was granted on this link.
    good_link: bool,
    /// How many good links there were since the size has changed.
    good_links: u32,
    links_until_growth: u32,
}

impl Batch {
    pub fn new(setting: usize) -> Batch {
        let setting = setting.max(1);
        Batch {
            setting,
            size: setting,
            granted: 1,
            lost: None,
            good_link: false,
            good_links: 0,
            links_until_growth: LINKS_UNTIL_GROWTH,
        }
    }

    pub fn size(&self) -> usize {
        self.size
    }

    /// The size of the packets that follow one that was refused whole or not answered.
    pub fn part_of(&self, items: usize) -> usize {
        self.size.min(items / 2).max(1)
    }

    /// A new link begins.
    pub fn link_up(&mut self) {
        self.good_links += u32::from(std::mem::take(&mut self.good_link));
        if self.good_links >= self.links_until_growth && self.size < self.setting {
            self.size = (self.size * 2).min(self.setting);
            self.good_links = 0;
        }
    }

    /// An item of a packet of this size was granted. `failed`: the size of the packet of which this one was a
    /// part, if that was refused whole or not answered. Only now it is known that its size was the reason.
    pub fn granted(&mut self, items: usize, failed: Option<usize>) {
        if let Some(failed) = failed {
            self.shrink(failed);
        }
        self.granted = self.granted.max(items);
        self.size = self.size.max(items);
        self.lost = self.lost.filter(|lost| items < *lost);
        self.good_link |= items == self.size;
    }

    /// The link was lost, and this was the largest packet without an answer. One loss is enough if the packet was far
    /// larger than any that was granted. Otherwise it takes two losses in a row, because links are also lost for other
    /// reasons.
    pub fn lost(&mut self, items: usize) {
        if items <= 1 {
            return;
        }
        if items > self.granted * 2 || self.lost.is_some() {
            self.shrink(items);
        } else {
            self.lost = Some(items);
        }
    }

    /// A packet of this size was too large.
    fn shrink(&mut self, failed: usize) {
        (self.lost, self.good_link, self.good_links) = (None, false, 0);
        if failed <= self.granted {
            // The broker has changed.
            self.granted = (failed / 2).max(1);
        } else if failed <= self.granted * 2 {
            self.links_until_growth = (self.links_until_growth * 2).min(LINKS_UNTIL_GROWTH_MAX);
        }
        self.size = self.size.min((failed / 2).max(self.granted));
    }
}
