//! The inbox, and the code that avoids wake-ups while the loop is running, under loom, which tries every interleaving
//! of the threads. The sources are the real ones, with loom's types instead of std's.
#![allow(dead_code)] // the models use a part of the source

use loom::sync::Condvar;
use loom::thread;

use crate::inbox::{Arrival, Inbox, InboxLimits, Welcome, DRAIN};
use crate::model::link::LinkEvent;
use crate::sync::{Arc, Mutex};
use crate::wake::Waker;

mod error {
    pub use enos::internals::error::{Error, Result};
}

mod model {
    pub use enos::internals::model::link;
}

mod sync {
    pub use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    pub use loom::sync::{Arc, Mutex, MutexGuard};
}

/// The waker, with a flag behind a lock instead of the descriptor. A wake-up is kept until it is cleared, and any
/// number of them count as one. A lost wake-up makes a model that never ends, which loom reports as a deadlock.
mod wake {
    use super::{awake::Awake, error, Condvar, Mutex};

    pub struct Waker {
        awake: Awake,
        woken: Mutex<bool>,
        more: Condvar,
    }

    impl Waker {
        pub fn new() -> error::Result<Waker> {
            Ok(Waker { awake: Awake::new(), woken: Mutex::new(false), more: Condvar::new() })
        }

        pub fn wake(&self) {
            *self.woken.lock().unwrap() = true;
            self.more.notify_one();
        }

        pub fn notify(&self) {
            if self.awake.notify() {
                self.wake();
            }
        }

        pub fn wait(&self) {
            if !self.awake.wait() {
                let mut woken = self.woken.lock().unwrap();
                while !*woken {
                    woken = self.more.wait(woken).unwrap();
                }
            }
            self.awake.waited();
        }

        pub fn clear(&self) {
            self.awake.rouse();
            *self.woken.lock().unwrap() = false;
        }

        pub fn rest(&self) {
            self.awake.rest();
        }
    }
}

#[path = "../src/transport/awake.rs"]
mod awake;

#[path = "../src/transport/inbox.rs"]
mod inbox;

fn inbox(messages: usize) -> (Arc<Inbox>, Arc<Waker>) {
    let waker = Arc::new(Waker::new().unwrap());
    let limits = InboxLimits { messages, bytes: 1000 };
    let receive = |_, topic: &[u8]| if topic == b"keep" { Welcome::Kept(64 * 1024) } else { Welcome::Ordinary };
    (Arc::new(Inbox::new(limits, Box::new(receive), Arc::clone(&waker))), waker)
}

fn message(topic: &[u8]) -> LinkEvent {
    let payload = vec![1].into();
    LinkEvent::Message { topic: topic.to_vec(), payload, qos: 0, retained: false }
}

/// Turns of the client's loop: wait, clear, drain, rest, and check for more, until `enough` returns true. Returns the
/// events and the drops.
fn drain_until(inbox: &Inbox, waker: &Waker, enough: impl Fn(usize, u64) -> bool) -> (Vec<(u64, Arrival)>, u64) {
    let (mut events, mut dropped) = (Vec::new(), 0);
    while !enough(events.len(), dropped) {
        waker.wait();
        waker.clear();
        dropped += inbox.drain(&mut events);
        waker.rest();
        if !inbox.is_empty() {
            waker.notify();
        }
    }
    assert!(inbox.is_empty());
    (events, dropped)
}

/// Two threads push, like the keeper and a resolver. No wake-up is lost, and each thread's events keep their order.
fn no_event_is_lost_and_each_threads_order_is_kept() {
    let (inbox, waker) = inbox(10);
    let push = |generation: u64| {
        let inbox = Arc::clone(&inbox);
        thread::spawn(move || (0..2).for_each(|token| inbox.push(generation, LinkEvent::Delivered { token })))
    };
    let threads = [push(1), push(2)];
    let (events, dropped) = drain_until(&inbox, &waker, |events, _| events == 4);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(dropped, 0);
    for generation in [1, 2] {
        let of_one = events.iter().filter(|(of, _)| *of == generation);
        let tokens: Vec<u64> = of_one
            .map(|(_, event)| match event {
                Arrival::Link(LinkEvent::Delivered { token }) => *token,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(tokens, [0, 1]);
    }
}

/// There is room for one message and one on a kept topic. Each pushed message is delivered or counted, never both.
fn every_message_comes_out_or_is_counted() {
    let (inbox, waker) = inbox(1);
    let push = |topic: &'static [u8]| {
        let inbox = Arc::clone(&inbox);
        thread::spawn(move || inbox.push(1, message(topic)))
    };
    let threads = [push(b"a"), push(b"a")];
    inbox.push(1, message(b"keep"));
    let (events, dropped) = drain_until(&inbox, &waker, |events, dropped| events as u64 + dropped == 3);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let is_kept =
        |event: &Arrival| matches!(event, Arrival::Link(LinkEvent::Message { topic, .. }) if topic == b"keep");
    let kept = events.iter().filter(|(_, event)| is_kept(event)).count();
    assert!(kept == 1 && dropped <= 1, "{kept} kept, {dropped} dropped");
}

/// More events than one drain takes: there is a wake-up for the rest, whoever pushes meanwhile.
fn what_one_drain_leaves_is_woken_for() {
    let (inbox, waker) = inbox(10);
    for token in 0..=DRAIN as u64 {
        inbox.push(1, LinkEvent::Delivered { token });
    }
    let other = Arc::clone(&inbox);
    let thread = thread::spawn(move || other.push(2, LinkEvent::Connected));
    let (events, _) = drain_until(&inbox, &waker, |events, _| events == DRAIN + 2);
    thread.join().unwrap();
    assert!(events.iter().any(|(_, event)| matches!(event, Arrival::Link(LinkEvent::Connected))));
}

/// Without the usual harness, because the unit tests in the sources would not run under loom.
fn main() {
    let models: [(&str, fn()); 3] = [
        ("no_event_is_lost_and_each_threads_order_is_kept", no_event_is_lost_and_each_threads_order_is_kept),
        ("every_message_comes_out_or_is_counted", every_message_comes_out_or_is_counted),
        ("what_one_drain_leaves_is_woken_for", what_one_drain_leaves_is_woken_for),
    ];
    for (name, model) in models {
        let orders = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let count = std::sync::Arc::clone(&orders);
        let mut builder = loom::model::Builder::new();
        builder.max_branches = 20_000;
        builder.preemption_bound = Some(3);
        builder.check(move || {
            count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            model();
        });
        println!("test {name} ... ok, {} orders", orders.load(std::sync::atomic::Ordering::Relaxed));
    }
    println!("test result: ok. {} passed; 0 failed; 0 ignored; 0 measured; 0 filtered out", models.len());
}
