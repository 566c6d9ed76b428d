//! TLS: what a device checks and shows, and what it says when that fails.

mod certificate;
mod check;
mod cut;
mod files;
mod log;
mod trust;
