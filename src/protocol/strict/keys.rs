//! The keys of the objects that are open. Only their places are kept, so no copy of a key stays in memory.

use std::cmp::Ordering;

use super::{Checked, Fault, NO_MEMORY};
use crate::protocol::json::read::unescaped;

/// So many keys need no memory.
pub const FEW: usize = 32;

const TWICE: &str = "has a member of an object twice";

/// Where a key stands, with its quotes.
#[derive(Clone, Copy, Default)]
pub struct Key {
    pub from: usize,
    pub to: usize,
    pub has_escapes: bool,
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
        keys.sort_unstable_by(|a, b| order(text, a, b).then(a.from.cmp(&b.from)));
        let is_twice = |pair: &&[Key]| order(text, &pair[0], &pair[1]).is_eq();
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
    let inside = |key: &Key| text.get(key.from + 1..key.to - 1).unwrap_or_default();
    if a.has_escapes || b.has_escapes {
        unescaped(inside(a)).cmp(unescaped(inside(b)))
    } else {
        inside(a).cmp(inside(b))
    }
}
