//! The fuzz targets. Each is a function of bytes from an untrusted source, and panics when it finds a fault.
//!
//! `scripts/fuzz` runs them under libFuzzer, and `tests/replay.rs` runs them with the inputs in `corpus/` (those that
//! reach the most code) and in `faults/` (those that have found a fault), one on each line. Targets use the C ABI if
//! possible, because it does not change when internals are renamed.

mod certificate;
mod client;
mod config;
mod flash;
mod input;
mod oracle;
mod protocol;
mod simulator;
mod stored;
mod value;
mod wire;

pub use oracle::{run, watch};

pub type Target = fn(&[u8]);

/// All targets, with their names.
pub const TARGETS: [(&str, Target); 16] = [
    ("activation", protocol::activation),
    ("certificate", certificate::certificate),
    ("client_tcp", client::tcp),
    ("client_tls", client::tls),
    ("config", config::config),
    ("example_flash", flash::store),
    ("pem", config::pem),
    ("reply", protocol::reply),
    ("request", protocol::request),
    ("server", config::server),
    ("sim_file", simulator::file),
    ("sim_packets", simulator::packets),
    ("storage", client::storage),
    ("topic", protocol::topic),
    ("value_build", value::build),
    ("value_read", value::read),
];
