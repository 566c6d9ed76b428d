//! The digest of an image.

use crate::error::{Error, Result, Status};
use md5::Md5;
use sha2::{Digest as _, Sha256};

/// The digest over the bytes so far.
#[derive(Clone)]
pub enum Digest {
    Md5(Md5),
    Sha256(Sha256),
}

impl Digest {
    /// `ENOS_ERR_UNSUPPORTED` for a method that is not known, or if `expected` is no digest of it.
    pub fn new(method: &str, expected: &str) -> Result<Digest> {
        let name: String = method.chars().filter(|c| !matches!(c, '-' | '_')).collect();
        let (digest, len) = match name.to_ascii_lowercase().as_str() {
            "md5" => (Digest::Md5(Md5::new()), 32),
            "sha256" => (Digest::Sha256(Sha256::new()), 64),
            _ => return Err(unsupported("the offer's sign method is neither MD5 nor SHA-256; nothing was fetched")),
        };
        if expected.len() != len || !expected.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(unsupported("the offer's sign is no digest of its sign method; nothing was fetched"));
        }
        Ok(digest)
    }

    pub fn is_md5(&self) -> bool {
        matches!(self, Digest::Md5(_))
    }

    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Digest::Md5(digest) => digest.update(bytes),
            Digest::Sha256(digest) => digest.update(bytes),
        }
    }

    /// Back to the digest of nothing.
    pub fn reset(&mut self) {
        match self {
            Digest::Md5(digest) => digest.reset(),
            Digest::Sha256(digest) => digest.reset(),
        }
    }

    /// Whether the digest of the bytes so far is this one, in hex.
    pub fn is(&self, expected: &str) -> bool {
        let found = match self {
            Digest::Md5(digest) => hex::encode(digest.clone().finalize()),
            Digest::Sha256(digest) => hex::encode(digest.clone().finalize()),
        };
        found.eq_ignore_ascii_case(expected)
    }
}

fn unsupported(words: &str) -> Error {
    Error::new(Status::ENOS_ERR_UNSUPPORTED, words)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MD5: &str = "900150983CD24FB0D6963F7D28E17F72";
    const SHA256: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn digests_of_abc_in_either_case() {
        for (method, expected) in [("md5", MD5), ("MD5", MD5), ("SHA-256", SHA256), ("sha_256", SHA256)] {
            let mut digest = Digest::new(method, expected).unwrap();
            assert!(!digest.is(expected));
            digest.update(b"ab");
            digest.update(b"c");
            assert!(digest.is(expected) && digest.is(&expected.to_lowercase()), "{method}");
            digest.reset();
            assert!(!digest.is(expected));
        }
    }

    #[test]
    fn a_digest_that_cannot_be_checked_is_refused() {
        for (method, expected) in [
            ("sha1", MD5),
            ("crc32", "00000000"),
            ("md5", SHA256),
            ("md5", ""),
            ("sha256", MD5),
            ("md5", "zz0150983CD24FB0D6963F7D28E17F72"),
        ] {
            let refused = Digest::new(method, expected).err().unwrap();
            assert_eq!(refused.status, Status::ENOS_ERR_UNSUPPORTED, "{method} {expected}");
        }
    }
}
