//! The keys of a builder's objects, so that it refuses one that comes twice.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;

use super::text::write_text;

/// The number of an object, and the hash of a key in it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key(u32, u64);

impl Key {
    pub fn new(object: u32, key: &str) -> Key {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        Key(object, hasher.finish())
    }
}

/// Where the keys of all objects stand in the text, with their quotes.
#[derive(Default)]
pub struct Keys {
    places: HashMap<Key, (usize, usize)>,
}

impl Keys {
    pub fn clear(&mut self) {
        self.places.clear();
    }

    /// Makes room for one more key. False if there is no memory.
    pub fn has_room(&mut self) -> bool {
        self.places.try_reserve(1).is_ok()
    }

    pub fn add(&mut self, key: Key, place: Range<usize>) {
        self.places.entry(key).or_insert((place.start, place.end));
    }

    pub fn remove(&mut self, key: Key) {
        self.places.remove(&key);
    }

    /// The key as it stands in the text.
    pub fn text<'a>(&self, text: &'a [u8], key: Key) -> Option<&'a str> {
        let (from, to) = self.places.get(&key)?;
        std::str::from_utf8(text.get(*from..*to)?).ok()
    }

    /// Whether the object has this key, which is also compared with the text, because hashes can be equal by accident.
    pub fn has(&self, text: &[u8], key: Key, words: &str) -> bool {
        self.text(text, key).is_some_and(|known| {
            known.get(1..known.len() - 1) == Some(words) || {
                let mut escaped = Vec::new();
                write_text(&mut escaped, words);
                escaped == known.as_bytes()
            }
        })
    }
}
