//! The queue from links and the resolver to the loop. Nothing is called while its lock is held.

use super::sync::{Arc, Mutex, MutexGuard};
use super::wake::Waker;
use crate::error::Error;
use crate::model::link::LinkEvent;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::PoisonError;

/// How many events one [`Inbox::drain`] returns at most, so that a flood does not starve the loop's timers.
pub const DRAIN: usize = 256;
/// How many places are reserved for messages on kept topics.
pub const KEPT: usize = 8;

/// An entry of an [`Inbox`].
#[derive(Debug)]
pub enum Arrival {
    Link(LinkEvent),
    /// A name look-up has ended: at least one address, or an error with words.
    Resolved(Result<Vec<SocketAddr>, Error>),
}

impl From<LinkEvent> for Arrival {
    fn from(event: LinkEvent) -> Arrival {
        Arrival::Link(event)
    }
}

/// How many messages may wait, and how many bytes their topics and payloads may have in total.
#[derive(Clone, Copy, Debug)]
pub struct InboxLimits {
    pub messages: usize,
    pub bytes: usize,
}

/// How a message is received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Welcome {
    Ordinary,
    /// Other messages must not displace it, if it has at most so many bytes. A larger one is dropped.
    Kept(usize),
    /// It is dropped, and counted.
    Unwanted,
}

/// Decides this from the link's generation and the topic, for each message when it comes.
pub type Receive = Box<dyn Fn(u64, &[u8]) -> Welcome + Send + Sync>;

/// A queue with room for every event of a link, and a limit for messages. A message that does not fit is dropped and
/// counted.
pub struct Inbox {
    limits: InboxLimits,
    receive: Receive,
    waker: Arc<Waker>,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    events: VecDeque<(u64, Room, Arrival)>,
    messages: usize,
    bytes: usize,
    kept: usize,
    dropped: u64,
}

/// Which places an event uses.
#[derive(Clone, Copy, PartialEq)]
enum Room {
    Free,
    Kept,
    Limited(usize),
}

impl Inbox {
    /// `waker` is notified of every push.
    pub fn new(limits: InboxLimits, receive: Receive, waker: Arc<Waker>) -> Inbox {
        Inbox { limits, receive, waker, queue: Mutex::default() }
    }

    /// Adds an event at the end. A message over the limits is dropped and counted. A message on a kept topic uses one of
    /// [`KEPT`] places of its own first. Other events always fit, because the calls that cause them limit their number.
    pub fn push(&self, generation: u64, arrival: impl Into<Arrival>) {
        let arrival = arrival.into();
        let welcome = match &arrival {
            Arrival::Link(LinkEvent::Message { topic, payload, .. }) => self.receive(generation, topic, payload.len()),
            _ => Welcome::Ordinary,
        };
        self.lock().push(&self.limits, welcome, generation, arrival);
        self.waker.notify();
    }

    pub(super) fn waker(&self) -> &Arc<Waker> {
        &self.waker
    }

    /// How a message is received. A message on a kept topic is unwanted if it is too large for one of the reserved
    /// places.
    pub(super) fn receive(&self, generation: u64, topic: &[u8], bytes: usize) -> Welcome {
        match (self.receive)(generation, topic) {
            Welcome::Kept(most) if bytes > most => Welcome::Unwanted,
            welcome => welcome,
        }
    }

    /// Counts a message that was dropped before it could be pushed.
    pub(super) fn count_dropped(&self) {
        self.lock().dropped += 1;
        self.waker.notify();
    }

    /// Moves at most [`DRAIN`] events to the end of `into`, in the order in which they came, and wakes again if some are
    /// left. Returns how many messages were dropped since the last call.
    pub fn drain(&self, into: &mut impl Extend<(u64, Arrival)>) -> u64 {
        let mut queue = self.lock();
        for _ in 0..DRAIN {
            let Some((generation, room, arrival)) = queue.events.pop_front() else { break };
            queue.leave(room);
            into.extend([(generation, arrival)]);
        }
        let left = !queue.events.is_empty();
        let dropped = std::mem::take(&mut queue.dropped);
        drop(queue);
        if left {
            self.waker.wake();
        }
        dropped
    }

    /// Frees memory if nothing waits.
    pub fn release(&self) {
        let mut queue = self.lock();
        if queue.events.is_empty() {
            queue.events = VecDeque::new();
        }
    }

    /// Whether nothing waits, not even a count of dropped messages.
    pub fn is_empty(&self) -> bool {
        let queue = self.lock();
        queue.events.is_empty() && queue.dropped == 0
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn push(&mut self, limits: &InboxLimits, welcome: Welcome, generation: u64, arrival: Arrival) {
        let room = match &arrival {
            Arrival::Link(LinkEvent::Message { topic, payload, .. }) => match welcome {
                Welcome::Unwanted => {
                    self.dropped += 1;
                    return;
                }
                Welcome::Kept(_) if self.kept < KEPT => Room::Kept,
                Welcome::Kept(_) | Welcome::Ordinary => {
                    let bytes = topic.len() + payload.len();
                    if self.messages >= limits.messages || bytes > limits.bytes.saturating_sub(self.bytes) {
                        self.dropped += 1;
                        return;
                    }
                    Room::Limited(bytes)
                }
            },
            _ => Room::Free,
        };
        if room != Room::Free && self.events.try_reserve(1).is_err() {
            self.dropped += 1;
            return;
        }
        match room {
            Room::Free => (),
            Room::Kept => self.kept += 1,
            Room::Limited(bytes) => {
                self.messages += 1;
                self.bytes += bytes;
            }
        }
        self.events.push_back((generation, room, arrival));
    }

    fn leave(&mut self, room: Room) {
        match room {
            Room::Free => (),
            Room::Kept => self.kept -= 1,
            Room::Limited(bytes) => {
                self.messages -= 1;
                self.bytes -= bytes;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zeroize::Zeroizing;

    const KEPT_BYTES: usize = 64 * 1024;

    fn inbox(messages: usize, bytes: usize) -> (Inbox, Arc<Waker>) {
        let waker = Arc::new(Waker::new().unwrap());
        (Inbox::new(InboxLimits { messages, bytes }, Box::new(receive), Arc::clone(&waker)), waker)
    }

    fn receive(generation: u64, topic: &[u8]) -> Welcome {
        match topic {
            b"keep" if generation == 1 => Welcome::Kept(KEPT_BYTES),
            b"keep" => Welcome::Unwanted,
            _ => Welcome::Ordinary,
        }
    }

    fn message(topic: &[u8], bytes: usize) -> LinkEvent {
        let payload = Zeroizing::new(vec![7; bytes]);
        LinkEvent::Message { topic: topic.to_vec(), payload, qos: 0, retained: false }
    }

    fn drain(inbox: &Inbox) -> (Vec<(u64, Arrival)>, u64) {
        let mut events = Vec::new();
        let dropped = inbox.drain(&mut events);
        (events, dropped)
    }

    #[test]
    fn events_come_out_in_order_with_their_generation() {
        let (inbox, _) = inbox(10, 1000);
        inbox.push(1, LinkEvent::Connected);
        inbox.push(1, message(b"a", 1));
        inbox.push(2, LinkEvent::Closed);
        let (events, dropped) = drain(&inbox);
        assert_eq!(
            format!("{events:?}"),
            r#"[(1, Link(Connected)), (1, Link(Message("a", 1 bytes, QoS 0, retained: false))), (2, Link(Closed))]"#
        );
        assert_eq!(dropped, 0);
        assert!(inbox.is_empty());
    }

    #[test]
    fn messages_over_a_limit_are_dropped_and_counted_and_nothing_else_is() {
        let (inbox, _) = inbox(3, 100);
        for _ in 0..5 {
            inbox.push(1, message(b"a", 9));
        }
        for token in 0..1000 {
            inbox.push(1, LinkEvent::Delivered { token });
        }
        inbox.push(1, LinkEvent::Closed);
        let mut events = Vec::new();
        assert_eq!(inbox.drain(&mut events), 2);
        while !inbox.is_empty() {
            assert_eq!(inbox.drain(&mut events), 0, "told once");
        }
        assert_eq!(events.len(), 3 + 1000 + 1);
        assert!(matches!(events.last(), Some((1, Arrival::Link(LinkEvent::Closed)))));

        inbox.push(1, message(b"a", 60));
        inbox.push(1, message(b"a", 60));
        inbox.push(1, message(b"a", 30));
        let (events, dropped) = drain(&inbox);
        assert_eq!((events.len(), dropped), (2, 1), "bytes are limited, too, and room comes back");
        inbox.push(1, message(b"a", 100));
        assert_eq!(drain(&inbox).1, 1, "larger than all the room there is");
    }

    #[test]
    fn a_kept_topic_has_room_when_a_flood_has_taken_the_rest_and_no_more_than_that() {
        let (inbox, _) = inbox(2, 1_000_000);
        for _ in 0..10 {
            inbox.push(1, message(b"flood", 1));
        }
        for _ in 0..10 {
            inbox.push(1, message(b"keep", KEPT_BYTES));
        }
        let (events, dropped) = drain(&inbox);
        assert_eq!((events.len(), dropped), (2 + KEPT, 8 + 2));
        inbox.push(1, message(b"keep", KEPT_BYTES + 1));
        inbox.push(1, message(b"flood", 1));
        inbox.push(1, message(b"flood", 1));
        inbox.push(1, message(b"keep", KEPT_BYTES));
        let (events, dropped) = drain(&inbox);
        assert_eq!((events.len(), dropped), (3, 1), "one that is too large is dropped");
        inbox.push(2, message(b"keep", 1));
        let (events, dropped) = drain(&inbox);
        assert_eq!((events.len(), dropped), (0, 1), "and one that comes on another link");
    }

    #[test]
    fn one_drain_is_bounded_and_wakes_for_the_rest() {
        let (inbox, waker) = inbox(10, 10);
        for token in 0..DRAIN as u64 + 1 {
            inbox.push(1, LinkEvent::Delivered { token });
        }
        assert!(waker.wait(Some(0)).unwrap());
        waker.clear();
        assert_eq!(drain(&inbox).0.len(), DRAIN);
        waker.rest();
        assert!(waker.wait(Some(0)).unwrap());
        waker.clear();
        assert_eq!(drain(&inbox).0.len(), 1);
        waker.rest();
        assert!(!waker.wait(Some(0)).unwrap());
    }

    #[test]
    fn a_dropped_message_wakes_as_well() {
        let (inbox, waker) = inbox(0, 0);
        inbox.push(1, message(b"a", 0));
        assert!(waker.wait(Some(0)).unwrap() && !inbox.is_empty());
        assert_eq!(drain(&inbox).1, 1);
        assert!(inbox.is_empty());
        waker.clear();
        waker.rest();
        inbox.count_dropped();
        assert!(waker.wait(Some(0)).unwrap());
        assert_eq!(drain(&inbox).1, 1);
    }
}
