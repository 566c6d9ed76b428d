//! What a fuzzer runs: each target is a function of the bytes that somebody else may have written. It panics at what
//! ought not to be.
//!
//! `scripts/fuzz` runs them under libFuzzer, and `tests/replay.rs` runs them on what is kept in `corpus/` (the inputs that
//! reach the most code) and in `faults/` (those that have found a fault), a line each. Targets go through the C ABI where they can: it
//! stays when what is behind it is renamed.

mod certificate;
mod client;
mod config;
mod example;
mod flash;
mod input;
mod oracle;
mod protocol;
mod simulator;
mod stored;
mod wire;

pub use oracle::watch;

pub type Target = fn(&[u8]);

/// All of them, by the names of their folders.
pub const TARGETS: [(&str, Target); 15] = [
    ("activation", protocol::activation),
    ("certificate", certificate::certificate),
    ("client_tcp", client::tcp),
    ("client_tls", client::tls),
    ("config", config::config),
    ("example_flash", flash::store),
    ("example_json", example::json),
    ("pem", config::pem),
    ("reply", protocol::reply),
    ("request", protocol::request),
    ("server", config::server),
    ("sim_file", simulator::file),
    ("sim_packets", simulator::packets),
    ("storage", client::storage),
    ("topic", protocol::topic),
];
