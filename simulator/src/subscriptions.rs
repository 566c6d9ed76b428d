//! The subscriptions of a session. The codec's own matching is not used, because it panics on a topic whose first
//! character is longer than a byte.

use std::collections::HashMap;

/// The limit of all filters of a session together, in bytes.
const BYTES: usize = 1024 * 1024;

/// A session's filters, each with its granted QoS.
#[derive(Debug, Default)]
pub struct Subscriptions {
    /// Without wildcards. A gateway has thousands.
    topics: HashMap<String, u8>,
    with_wildcards: HashMap<String, u8>,
    bytes: usize,
}

impl Subscriptions {
    fn those_like(&mut self, filter: &str) -> &mut HashMap<String, u8> {
        if filter.contains(['+', '#']) {
            &mut self.with_wildcards
        } else {
            &mut self.topics
        }
    }

    /// Whether there are fewer than `limit`, or this filter is one of them.
    pub fn has_room(&mut self, filter: &str, limit: usize) -> bool {
        let is_small = self.bytes + filter.len() <= BYTES;
        let has_room = is_small && self.topics.len() + self.with_wildcards.len() < limit;
        has_room || self.those_like(filter).contains_key(filter)
    }

    /// False if there are `limit` already.
    pub fn add(&mut self, filter: &str, qos: u8, limit: usize) -> bool {
        let has_room = self.has_room(filter, limit);
        if has_room && self.those_like(filter).insert(filter.to_owned(), qos).is_none() {
            self.bytes += filter.len();
        }
        has_room
    }

    pub fn remove(&mut self, filter: &str) {
        if self.those_like(filter).remove(filter).is_some() {
            self.bytes -= filter.len();
        }
    }

    /// The highest QoS of the filters that match.
    pub fn qos_for(&self, topic: &str) -> Option<u8> {
        let matching = self.with_wildcards.iter().filter(|(filter, _)| matches(filter, topic)).map(|(_, qos)| *qos);
        matching.chain(self.topics.get(topic).copied()).max()
    }
}

/// `+` matches one level, `#` the rest and the level above it; neither matches a first level with `$`.
pub fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut levels = topic.split('/');
    for wanted in filter.split('/') {
        if wanted == "#" {
            return true;
        }
        match levels.next() {
            Some(level) if wanted == "+" || wanted == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

/// A wildcard must be a whole level, and `#` the last one; no NUL.
pub fn is_valid_filter(filter: &str) -> bool {
    let mut levels = filter.split('/').rev();
    let last = levels.next().unwrap_or_default();
    let plain_or_plus = |level: &str| level == "+" || !level.contains(['+', '#', '\0']);
    !filter.is_empty() && (last == "#" || plain_or_plus(last)) && levels.all(plain_or_plus)
}

/// A topic to publish on: no wildcards, no NUL.
pub fn is_valid_topic(topic: &str) -> bool {
    !topic.is_empty() && !topic.contains(['+', '#', '\0'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards() {
        for (filter, topic, expected) in [
            ("a/b", "a/b", true),
            ("a/+", "a/b", true),
            ("a/+", "a", false),
            ("a/+", "a/b/c", false),
            ("a/#", "a", true),
            ("a/#", "a/b/c", true),
            ("#", "é", true),
            ("#", "$SYS/x", false),
            ("/+/x", "/y/x", true),
            ("a/b/c", "a/b", false),
        ] {
            assert_eq!(matches(filter, topic), expected, "{filter} {topic}");
        }
        assert!(["a/#", "#", "+", "+/a", "a//b"].into_iter().all(is_valid_filter));
        assert!(!["", "a/#/b", "a#", "a+", "#/a", "a\0"].into_iter().any(is_valid_filter));
    }

    #[test]
    fn a_session_is_limited() {
        let mut session = Subscriptions::default();
        assert!(session.add("a", 0, 1) && session.add("a", 1, 1) && !session.add("b", 0, 1));
        assert_eq!(session.qos_for("a"), Some(1));
        session.remove("a");
        assert_eq!(session.qos_for("a"), None);
        let long = "x".repeat(BYTES / 2 + 1);
        assert!(session.add(&long, 0, 9) && session.add(&long, 1, 9) && !session.add(&format!("{long}y"), 0, 9));
        session.remove(&long);
        assert!(session.add(&format!("{long}y"), 0, 9));
    }
}
