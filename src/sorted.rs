//! A map for what is in progress, sorted by key, in one block of memory.
//!
//! The keys are tokens. They come in ascending order and mostly leave in the same order, so that adding at the end and
//! removing at the front take constant time. Any other access is a binary search, and a move of the entries behind it.
//!
//! With `BTreeMap` in its place, the stripped release library for x86-64 is 80 kB larger (1,425 kB, not 1,344 kB). By
//! callgrind, adding an entry and removing it costs 320 instructions here and 381 with `BTreeMap` for 4 entries in
//! progress, 456 and 567 for 20 entries, 590 and 803 for 200 entries.

use std::collections::VecDeque;
use std::ops::{Range, RangeInclusive};

/// Sorted by key; each key is there at most once.
#[derive(Clone)]
pub struct SortedMap<K, V>(VecDeque<(K, V)>);

impl<K: Ord, V> SortedMap<K, V> {
    pub const fn new() -> SortedMap<K, V> {
        SortedMap(VecDeque::new())
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the value that the key had before.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.find(&key) {
            Ok(at) => Some(std::mem::replace(&mut self.0[at].1, value)),
            Err(at) => {
                self.0.insert(at, (key, value));
                None
            }
        }
    }

    pub fn remove(&mut self, key: &K) -> Option<V> {
        let at = self.find(key).ok()?;
        self.0.remove(at).map(|(_, value)| value)
    }

    /// Removes the entries with these keys, and returns them in order.
    pub fn remove_range(&mut self, keys: Range<K>) -> impl Iterator<Item = (K, V)> + '_ {
        let position = |key: &K| self.find(key).unwrap_or_else(|at| at);
        let (start, end) = (position(&keys.start), position(&keys.end));
        self.0.drain(start..end.max(start))
    }

    pub fn get(&self, key: &K) -> Option<&V> {
        self.find(key).ok().map(|at| &self.0[at].1)
    }

    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.find(key).ok().map(|at| &mut self.0[at].1)
    }

    pub fn get_or_default(&mut self, key: &K) -> &mut V
    where
        K: Clone,
        V: Default,
    {
        let at = self.find(key).unwrap_or_else(|at| {
            self.0.insert(at, (key.clone(), V::default()));
            at
        });
        &mut self.0[at].1
    }

    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.0.iter().map(|(key, value)| (key, value))
    }

    /// The entries from this key on.
    pub fn iter_from(&self, key: &K) -> impl Iterator<Item = (&K, &V)> {
        let at = self.find(key).unwrap_or_else(|at| at);
        self.0.range(at..).map(|(key, value)| (key, value))
    }

    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.0.iter().map(|(key, _)| key)
    }

    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.0.iter().map(|(_, value)| value)
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.0.iter_mut().map(|(key, value)| (&*key, value))
    }

    /// The entries with these keys.
    pub fn range_mut(&mut self, keys: RangeInclusive<K>) -> impl Iterator<Item = (&K, &mut V)> {
        let start = self.find(keys.start()).unwrap_or_else(|at| at);
        let end = self.find(keys.end()).map_or_else(|at| at, |at| at + 1);
        self.0.range_mut(start..end.max(start)).map(|(key, value)| (&*key, value))
    }

    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.0.iter_mut().map(|(_, value)| value)
    }

    pub fn into_keys(self) -> impl Iterator<Item = K> {
        self.0.into_iter().map(|(key, _)| key)
    }

    /// Frees the memory if the map is empty.
    pub fn release(&mut self) {
        if self.is_empty() {
            self.0 = VecDeque::new();
        }
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// The position of the key, or the position where it belongs.
    fn find(&self, key: &K) -> Result<usize, usize> {
        match (self.0.front(), self.0.back()) {
            (Some((first, _)), _) if first == key => Ok(0),
            (_, Some((last, _))) if last < key => Err(self.0.len()),
            _ => self.0.binary_search_by(|(present, _)| present.cmp(key)),
        }
    }
}

impl<K, V> IntoIterator for SortedMap<K, V> {
    type Item = (K, V);
    type IntoIter = std::collections::vec_deque::IntoIter<(K, V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<K: Ord, V> Default for SortedMap<K, V> {
    fn default() -> SortedMap<K, V> {
        SortedMap::new()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn it_is_a_map_as_the_standard_librarys_is() {
        let mut random = fastrand::Rng::with_seed(1);
        let (mut ours, mut theirs) = (SortedMap::new(), BTreeMap::new());
        for value in 0..20_000 {
            let key = random.u8(..40);
            match random.u8(..10) {
                0..=2 => assert_eq!(ours.insert(key, value), theirs.insert(key, value)),
                3..=5 => assert_eq!(ours.remove(&key), theirs.remove(&key)),
                6 => {
                    let end = random.u8(..44);
                    let taken: Vec<_> = ours.remove_range(key..end).collect();
                    let (inside, outside) = theirs.into_iter().partition(|(other, _)| (key..end).contains(other));
                    theirs = outside;
                    assert_eq!(taken, Vec::from_iter::<BTreeMap<_, _>>(inside));
                }
                7 => {
                    let keys = key..=random.u8(..44);
                    let theirs = theirs.iter().filter(|(key, _)| keys.contains(key));
                    assert!(ours.range_mut(keys.clone()).map(|(key, value)| (key, &*value)).eq(theirs));
                }
                8 => assert_eq!(ours.get_mut(&key), theirs.get_mut(&key)),
                _ => assert_eq!(ours.get(&key), theirs.get(&key)),
            }
            assert!(ours.iter().eq(theirs.iter()) && ours.len() == theirs.len());
        }
        assert!(ours.keys().eq(theirs.keys()) && ours.values().eq(theirs.values()));
    }

    #[test]
    fn what_was_cleared_is_empty() {
        let mut map = SortedMap::default();
        assert!(map.is_empty());
        map.insert(2, 'b');
        map.insert(1, 'a');
        assert_eq!(map.len(), 2);
        map.clear();
        assert!(map.is_empty() && map.into_keys().next().is_none());
    }
}
