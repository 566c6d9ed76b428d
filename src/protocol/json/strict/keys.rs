//! The keys of the objects that are open. Only their places are kept, so no copy of a key stays in memory.

use std::cmp::Ordering;

use super::{Checked, Fault, NO_MEMORY};
use crate::protocol::json::read::unescaped;

/// So many keys need no memory.
pub const FEW: usize = 32;

const TWICE: &str = "has a member of an object twice";

/// A key and its place.
#[derive(Clone, Copy, Default)]
pub struct Key {
    /// Where it stands, with its quotes.
    from: usize,
    to: usize,
    has_escapes: bool,
    /// It is equal for equal keys, and mostly different for others, so that few keys have to be compared.
    mark: u64,
}

impl Key {
    pub fn new(text: &[u8], from: usize, to: usize, has_escapes: bool) -> Key {
        let mut key = Key { from, to, has_escapes, mark: 0 };
        let inside = key.inside(text);
        key.mark = match (has_escapes, inside) {
            (true, _) => ends(unescaped(inside).flatten()),
            (false, [.., a, b, c, d, e, f, g, h]) => u64::from_le_bytes([*a, *b, *c, *d, *e, *f, *g, *h]),
            (false, short) => ends(short.iter().copied()),
        };
        key
    }

    fn inside<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        text.get(self.from + 1..self.to - 1).unwrap_or_default()
    }
}

/// The last 8 bytes.
fn ends(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0, |last, byte| last >> 8 | u64::from(byte) << 56)
}

#[derive(Default)]
pub struct Keys {
    few: [Key; FEW],
    len: usize,
    /// All of them, once they are more than a few.
    many: Vec<Key>,
}

impl Keys {
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn push(&mut self, key: Key) -> Checked<()> {
        if let Some(place) = self.few.get_mut(self.len).filter(|_| self.many.is_empty()) {
            *place = key;
        } else {
            let no_memory = |_| Fault { words: NO_MEMORY, at: key.from };
            let (few, more) = if self.many.is_empty() { (&self.few[..], FEW + 1) } else { (&[][..], 1) };
            self.many.try_reserve(more).map_err(no_memory)?;
            self.many.extend_from_slice(few);
            self.many.push(key);
        }
        self.len += 1;
        Ok(())
    }

    /// Removes the keys of an object, which begin at `from`. A key that comes twice is a fault.
    pub fn end_object(&mut self, text: &[u8], from: usize) -> Checked<()> {
        let all = if self.many.is_empty() { &mut self.few[..self.len] } else { &mut self.many[..] };
        let keys = all.get_mut(from..).unwrap_or_default();
        // By the mark first, because that is cheap. Keys with the same mark are next to each other.
        keys.sort_unstable_by(|a, b| a.mark.cmp(&b.mark).then_with(|| order(text, a, b)).then(a.from.cmp(&b.from)));
        let is_twice = |pair: &&[Key]| pair[0].mark == pair[1].mark && order(text, &pair[0], &pair[1]).is_eq();
        if let Some(at) = keys.windows(2).filter(is_twice).map(|pair| pair[1].from).min() {
            return Err(Fault { words: TWICE, at });
        }
        self.len = from;
        self.many.truncate(from);
        Ok(())
    }
}

/// The order of the keys after their escapes are resolved.
fn order(text: &[u8], a: &Key, b: &Key) -> Ordering {
    if a.has_escapes || b.has_escapes {
        unescaped(a.inside(text)).cmp(unescaped(b.inside(text)))
    } else {
        a.inside(text).cmp(b.inside(text))
    }
}
