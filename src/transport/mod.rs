//! Paho: connect, publish, subscribe, inbound queue, wake-up. Knows nothing of EnOS.
//!
//! A [`link::Link`] is one CONNECT. What it does later arrives in an [`inbox::Inbox`], whose [`wake::Waker`] is the
//! one descriptor that a loop waits on. Nothing here waits for the network; whoever uses it keeps the time.
//!
//! Locks, in the order in which they may be taken: Paho's own mutex, a link's state, the inbox. Never the other way:
//! no lock of this room is held across a call into Paho.

mod callbacks;
pub mod clock;
pub mod inbox;
pub mod link;
pub mod resolve;
mod sync;
pub mod thread;
pub mod tls;
pub mod wake;
