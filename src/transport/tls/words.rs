//! What errors of TLS are made of.

use crate::error::{Error, Result, Status};
use openssl::asn1::Asn1Time;
use openssl::error::ErrorStack;
use std::time::{SystemTime, UNIX_EPOCH};

/// An error of TLS.
pub fn failed(words: impl Into<String>) -> Error {
    Error::new(Status::ENOS_ERR_TLS, words)
}

/// The first of OpenSSL's errors, in words.
pub fn said(errors: &ErrorStack) -> &'static str {
    errors.errors().first().and_then(|error| error.reason()).unwrap_or("no reason given")
}

/// The time of the device's clock, in the format of the dates in certificates.
pub fn clock() -> Result<Asn1Time> {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let seconds = seconds.try_into().unwrap_or(libc::time_t::MAX);
    Asn1Time::from_unix(seconds).map_err(|e| failed(format!("the device's clock cannot be read: {}", said(&e))))
}

impl From<ErrorStack> for Error {
    fn from(errors: ErrorStack) -> Error {
        failed(format!("TLS cannot be set up: {}", said(&errors)))
    }
}
