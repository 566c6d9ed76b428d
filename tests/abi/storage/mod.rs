//! The whole client, from its C functions down, on a storage that fails, lies, or takes its time.

mod activating;
mod client;
mod known;
mod restart;
mod store;
mod threads;
