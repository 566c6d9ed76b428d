//! MQTT with Paho: connect, publish, subscribe, inbound queue, wake-up. Nothing here is specific to EnOS.
//!
//! A [`link::Link`] is one CONNECT and its connection. Its events go into an [`inbox::Inbox`]. The loop waits on one
//! descriptor, that of the inbox's [`wake::Waker`]. Nothing here waits for the network, and the caller keeps the timeouts.
//!
//! A link makes progress when a thread steps it: the thread in its client's loop, or, while there is none, the
//! [`keeper`]. A link has no thread of its own.
//!
//! Order of the locks: the keeper's, a link's (Paho's lock of this client), its state, the inbox. No callback of the host
//! runs with one of them held.

mod awake;
mod callbacks;
pub mod clock;
mod context;
mod convert;
mod failure;
#[cfg(feature = "ota")]
pub mod http;
pub mod inbox;
mod keeper;
pub mod link;
pub mod resolve;
mod sync;
pub mod thread;
pub mod tls;
mod trace;
pub mod wake;
