//! A secret and how to sign with it.

use std::fmt;

use crate::model::sign::{SecureMode, SignMethod};
use crate::protocol::Secret;

/// The last login that was accepted: the method, and which secret it was. It is in the host's storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    pub method: SignMethod,
    pub fingerprint: [u8; 8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It came with an activation, and the device has not logged in with it yet.
    New,
    Configured,
    /// Its number among the stored ones, from 1 for the last used, and how many there are.
    Stored(usize, usize),
    Product,
    /// The product secret of an integration channel.
    Channel,
}

/// A secret and the method to sign with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Credential {
    pub origin: Origin,
    pub secret: Secret,
    pub method: SignMethod,
}

impl Credential {
    pub fn mode(&self) -> SecureMode {
        match self.origin {
            Origin::Product => SecureMode::ENOS_SECURE_MODE_PRODUCT,
            Origin::Channel => SecureMode::ENOS_SECURE_MODE_INTEGRATION,
            _ => SecureMode::ENOS_SECURE_MODE_DEVICE,
        }
    }

    pub fn accepted(&self) -> Accepted {
        Accepted { method: self.method, fingerprint: self.secret.fingerprint() }
    }
}

impl fmt::Display for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secret = match self.origin {
            Origin::New => "the newly activated device secret",
            Origin::Configured => "the configured device secret",
            Origin::Stored(_, 1) => "the stored device secret",
            Origin::Stored(number, all) => {
                return write!(f, "{} with stored device secret {number} of {all}", self.method.name());
            }
            Origin::Product => "the product secret",
            Origin::Channel => "the product secret of the integration channel",
        };
        write!(f, "{} with {secret}", self.method.name())
    }
}
