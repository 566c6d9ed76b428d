//! Does what a client's loop does with a link: an inbox, its waker, and the events in order.

use crate::broker::PATIENCE;
use enos::internals::model::link::LinkEvent;
use enos::internals::transport::inbox::{Arrival, Inbox, InboxLimits, Welcome};
use enos::internals::transport::link::{Link, LinkOptions};
use enos::internals::transport::wake::Waker;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;
use zeroize::Zeroizing;

pub struct Rig {
    pub waker: Arc<Waker>,
    pub inbox: Arc<Inbox>,
    seen: VecDeque<(u64, Arrival)>,
}

impl Rig {
    pub fn new() -> Rig {
        let waker = Arc::new(Waker::new().unwrap());
        let limits = InboxLimits { messages: 100_000, bytes: 100_000_000 };
        let receive = |_, topic: &[u8]| if topic == b"kept" { Welcome::Kept(64 * 1024) } else { Welcome::Ordinary };
        let inbox = Arc::new(Inbox::new(limits, Box::new(receive), Arc::clone(&waker)));
        Rig { waker, inbox, seen: VecDeque::new() }
    }

    pub fn open(&self, options: &LinkOptions) -> Link {
        Link::open(options, 1, &self.inbox).unwrap()
    }

    /// The next event, and its generation.
    pub fn next_of_any(&mut self) -> (u64, Arrival) {
        let start = Instant::now();
        loop {
            self.collect();
            if let Some(arrival) = self.seen.pop_front() {
                return arrival;
            }
            let left = PATIENCE.checked_sub(start.elapsed()).expect("an event within 30 s");
            self.waker.wait(Some(left.as_millis() as u64)).unwrap();
        }
    }

    /// The next event of a link.
    pub fn next(&mut self) -> LinkEvent {
        match self.next_of_any().1 {
            Arrival::Link(event) => event,
            other => panic!("{other:?}"),
        }
    }

    /// Asserts the text of the next event.
    pub fn expect(&mut self, shown: &str) {
        let event = self.next();
        assert_eq!(format!("{event:?}"), shown);
    }

    /// Whether there is no further event.
    pub fn is_quiet(&mut self) -> bool {
        self.collect();
        self.seen.is_empty()
    }

    fn collect(&mut self) {
        self.waker.clear();
        self.waker.rest();
        let mut events = Vec::new();
        while !self.inbox.is_empty() {
            self.inbox.drain(&mut events);
        }
        self.seen.extend(events);
    }
}

pub fn options(address: SocketAddr) -> LinkOptions {
    LinkOptions {
        address,
        client_id: "a device".into(),
        username: "a user".into(),
        password: Zeroizing::new("a password".into()),
        keep_alive_s: 60,
        // These have no loop, so the keeper has them from the beginning.
        unattended_ms: 0,
        connect_timeout_ms: 30_000,
        inflight: 100,
        max_message: 1024 * 1024,
        interface: None,
        tls: None,
        traffic: Default::default(),
    }
}
