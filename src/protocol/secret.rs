//! A device secret or a product secret. It is never printed, and is wiped when it is dropped.

use std::ffi::CStr;
use std::fmt;

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::wipe;
use crate::error::{Error, Result, Status};

/// The maximum length of a secret in bytes. Secrets from EnOS have some tens of characters.
pub const MAX_BYTES: usize = 1024;

/// What is known about a device secret. The number is stored on flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It came with an activation, and has not logged in yet.
    Unproven = 0,
    /// The broker has accepted it in a login of the device.
    Proven = 1,
    /// It was the first of the device's secrets to log in.
    First = 2,
}

impl Standing {
    pub fn from_number(number: u8) -> Option<Standing> {
        [Standing::Unproven, Standing::Proven, Standing::First].into_iter().find(|one| *one as u8 == number)
    }
}

/// A device secret in the session and in the host's storage.
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceSecret {
    pub secret: Secret,
    pub asset_id: Option<String>,
    pub standing: Standing,
    /// The login of this process that brought the secret, if the device has not logged in since. Otherwise 0. It is not
    /// stored.
    pub brought_by: u64,
}

/// 1 to [`MAX_BYTES`] bytes of UTF-8 without NUL, unchanged.
///
/// In memory, a NUL follows the bytes, so that C code can read them in place.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Copies `bytes`. The caller wipes the original.
    pub fn new(bytes: &[u8]) -> Result<Secret> {
        if bytes.is_empty() {
            return Err(Error::invalid("the secret is empty"));
        }
        if bytes.len() > MAX_BYTES {
            let len = bytes.len();
            return Err(Error::invalid(format!("the secret has {len} bytes; at most {MAX_BYTES} are allowed")));
        }
        if bytes.contains(&0) {
            return Err(Error::invalid("the secret holds a NUL byte"));
        }
        if std::str::from_utf8(bytes).is_err() {
            return Err(Error::invalid("the secret is not UTF-8"));
        }
        // Reserve all of it at once: a vector that grows leaves a copy in freed memory.
        let mut copy = Zeroizing::new(Vec::new());
        copy.try_reserve_exact(bytes.len() + 1)
            .map_err(|_| Error::new(Status::ENOS_ERR_NO_MEMORY, "no memory for a secret"))?;
        copy.extend_from_slice(bytes);
        copy.push(0);
        Ok(Secret(copy))
    }

    pub fn as_bytes(&self) -> &[u8] {
        self.0.split_last().map_or(&[], |(_, bytes)| bytes)
    }

    /// Identifies the secret without revealing it: the first 8 bytes of its SHA-256.
    pub fn fingerprint(&self) -> [u8; 8] {
        let digest: [u8; 32] = wipe::clean_stack(|| Sha256::digest(self.as_bytes()).into());
        let [a, b, c, d, e, f, g, h, ..] = digest;
        [a, b, c, d, e, f, g, h]
    }

    #[cfg(feature = "internals")]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// The same bytes with the NUL after them, without a copy.
    pub fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_with_nul(&self.0).unwrap_or_default()
    }
}

impl std::str::FromStr for Secret {
    type Err = Error;

    fn from_str(text: &str) -> Result<Secret> {
        Secret::new(text.as_bytes())
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Secret) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_as_given() {
        let secret = Secret::new(" sécret\n".as_bytes()).unwrap();
        assert_eq!(secret.as_str(), " sécret\n");
        assert_eq!(secret.as_bytes(), " sécret\n".as_bytes());
        assert_eq!(secret.as_c_str().to_bytes(), " sécret\n".as_bytes());
        assert_eq!(secret, secret.clone());
        assert_ne!(secret, " sécret".parse().unwrap());
    }

    #[test]
    fn refusals_say_why_and_never_what() {
        let words = |bytes: &[u8]| {
            let error = Secret::new(bytes).unwrap_err();
            assert_eq!(error.status, Status::ENOS_ERR_INVALID_ARG);
            error.message
        };
        assert_eq!(words(b""), "the secret is empty");
        assert_eq!(words(b"abc\0def"), "the secret holds a NUL byte");
        assert_eq!(words(b"abc\xFFdef"), "the secret is not UTF-8");
        assert_eq!(words(&[b'x'; MAX_BYTES + 1]), "the secret has 1025 bytes; at most 1024 are allowed");
        assert_eq!(Secret::new(&[b'x'; MAX_BYTES]).unwrap().as_bytes().len(), MAX_BYTES);
    }

    #[test]
    fn debug_prints_no_byte_of_it() {
        assert_eq!(format!("{:?}", Secret::new(b"hunter2").unwrap()), "Secret(..)");
    }
}
