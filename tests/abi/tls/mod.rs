//! TLS: the device's checks, its certificate, and the errors.

mod certificate;
mod check;
mod cut;
mod files;
mod log;
mod trust;
