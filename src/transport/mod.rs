//! Paho: connect, publish, subscribe, inbound queue, wake-up. Knows nothing of EnOS.
//!
//! A [`link::Link`] is one CONNECT. What it does later arrives in an [`inbox::Inbox`], whose [`wake::Waker`] is the
//! one descriptor that a loop waits on. Nothing here waits for the network; whoever uses it keeps the time.
//!
//! A link moves when somebody steps it: the thread in its client's loop, or, while nobody is there, the
//! [`keeper`]. No thread is a link's own.
//!
//! Locks, in the order in which they may be taken: the keeper's, a link's (Paho's lock of this client), its state, the
//! inbox. Never the other way. No callback of the host's runs with one of them.

mod awake;
mod callbacks;
pub mod clock;
mod context;
pub mod inbox;
mod keeper;
pub mod link;
pub mod resolve;
mod sync;
pub mod thread;
pub mod tls;
mod trace;
pub mod wake;
