//! The password as EnOS computes it: upper-case hex of a digest over the content and a secret.

use hmac::{Hmac, Mac};
use md5::Md5;
use sha1::{Digest, Sha1};
use sha2::Sha256;

use crate::config::HmacSha1;

/// A way to compute a password, accepted by EnOS or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    Sha1,
    Sha256,
    Md5,
    HmacSha1,
    /// Never accepted, but a likely mistake of a reader of the document, so a refusal names it.
    HmacSha256,
    /// HMAC-SHA1 over the content without the secret; never accepted.
    HmacSha1WithoutSecret,
}

impl Algorithm {
    /// All algorithms, to find out how a wrong password was computed.
    pub const ALL: [Algorithm; 6] = [
        Algorithm::Sha1,
        Algorithm::Sha256,
        Algorithm::Md5,
        Algorithm::HmacSha1,
        Algorithm::HmacSha256,
        Algorithm::HmacSha1WithoutSecret,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Sha1 => "plain SHA-1",
            Algorithm::Sha256 => "plain SHA-256",
            Algorithm::Md5 => "plain MD5",
            Algorithm::HmacSha1 => "HMAC-SHA1",
            Algorithm::HmacSha256 => "HMAC-SHA256",
            Algorithm::HmacSha1WithoutSecret => "HMAC-SHA1 over the content alone",
        }
    }

    /// The algorithms of a label of `signmethod`; empty for an unknown label. Envision's SDKs write the labels in upper
    /// and lower case, and with and without "hmac", for the same plain digests.
    pub fn of_label(label: &str, hmacsha1: HmacSha1, md5: bool) -> &'static [Algorithm] {
        match label.to_ascii_lowercase().as_str() {
            "hmacsha1" => match hmacsha1 {
                HmacSha1::Hmac => &[Algorithm::HmacSha1],
                HmacSha1::Plain => &[Algorithm::Sha1],
                HmacSha1::Either => &[Algorithm::HmacSha1, Algorithm::Sha1],
            },
            "sha1" => &[Algorithm::Sha1],
            "sha256" | "hmacsha256" => &[Algorithm::Sha256],
            "md5" | "hmacmd5" if md5 => &[Algorithm::Md5],
            _ => &[],
        }
    }

    /// The password in upper-case hex.
    pub fn password(self, content: &str, secret: &str) -> String {
        let (content, secret) = (content.as_bytes(), secret.as_bytes());
        match self {
            Algorithm::Sha1 => hash::<Sha1>(content, secret),
            Algorithm::Sha256 => hash::<Sha256>(content, secret),
            Algorithm::Md5 => hash::<Md5>(content, secret),
            Algorithm::HmacSha1 => finish(Hmac::<Sha1>::new_from_slice(secret), &[content, secret]),
            Algorithm::HmacSha256 => finish(Hmac::<Sha256>::new_from_slice(secret), &[content, secret]),
            Algorithm::HmacSha1WithoutSecret => finish(Hmac::<Sha1>::new_from_slice(secret), &[content]),
        }
    }
}

fn hash<D: Digest>(content: &[u8], secret: &[u8]) -> String {
    hex::encode_upper(D::new().chain_update(content).chain_update(secret).finalize())
}

fn finish<M: Mac, E>(mac: Result<M, E>, parts: &[&[u8]]) -> String {
    // HMAC accepts a key of any length, so this cannot fail; an empty password never matches.
    let Ok(mut mac) = mac else { return String::new() };
    for part in parts {
        mac.update(part);
    }
    hex::encode_upper(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTENT: &str = "clientId123deviceKeytestproductKey123timestamp1524448722000";

    #[test]
    fn known_answers() {
        for (algorithm, expected) in [
            (Algorithm::Sha1, "DCF3F4B8D77D78B6598BDCC65A0A65C8BB3C1B08"),
            (Algorithm::Sha256, "C2A8D4DD2BFAE73AE0F52DF974DD6F5DBB22635C78CD8C62676F04D971D5F6F9"),
            (Algorithm::Md5, "B75F8029284920664EC9FF6B0B680CE6"),
            (Algorithm::HmacSha1, "6B1060092E11356DD1B09C0E3680CFD4922F7DC5"),
            (Algorithm::HmacSha1WithoutSecret, "B50F636898CF788E5F21B718FA6C003D1AE34353"),
            (Algorithm::HmacSha256, "E4885E5BD8F8495D986B11C874EEC8A3B9F1358307F1454D34E5485FAE6CB2F3"),
        ] {
            assert_eq!(algorithm.password(CONTENT, "deviceSecretxxx"), expected, "{}", algorithm.name());
        }
    }

    #[test]
    fn labels_in_all_spellings_that_sdks_send() {
        let of = |label| Algorithm::of_label(label, HmacSha1::Plain, false);
        assert_eq!(of("hmacSha256"), of("Sha256"));
        assert_eq!(of("hmacsha1"), [Algorithm::Sha1]);
        assert!(of("md5").is_empty() && of("crc32").is_empty());
        assert_eq!(Algorithm::of_label("hmacmd5", HmacSha1::Plain, true), [Algorithm::Md5]);
    }
}
