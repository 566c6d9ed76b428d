//! Client id, user name and password of a CONNECT.
//!
//! The password is a signature of `clientId`, `deviceKey`, `productKey` and `timestamp`: each name followed by its
//! value, without separators.

use hmac::{Hmac, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::identity::Identity;
use super::request::CLOCK_IS_SET_MS;
use super::secret::Secret;
use super::wipe;
use crate::model::sign::{SecureMode, SignMethod};

/// The input of a signature.
#[derive(Clone, Copy, Debug)]
pub struct SignParams<'a> {
    pub identity: &'a Identity,
    /// The device secret or the product secret, according to `mode`.
    pub secret: &'a Secret,
    pub mode: SecureMode,
    pub method: SignMethod,
    /// Milliseconds since 1970. The client id contains the same number.
    pub timestamp_ms: u64,
}

/// `<client id>|securemode=<n>,signmethod=<label>,timestamp=<ms>|`
pub fn mqtt_client_id(identity: &Identity, mode: SecureMode, method: SignMethod, timestamp_ms: u64) -> String {
    let (client_id, mode, label) = (identity.client_id(), mode as i32, method.label());
    format!("{client_id}|securemode={mode},signmethod={label},timestamp={timestamp_ms}|")
}

/// `<device key>&<product key>`
pub fn mqtt_username(identity: &Identity) -> String {
    format!("{}&{}", identity.device_key(), identity.product_key())
}

/// 2050-01-01, which Envision's C SDK always signs: EnOS only checks that the client id and the signature agree.
const NO_CLOCK_MS: u64 = 2_524_608_000_000;

/// The time to sign. If the clock is not set, it is one that EnOS accepts.
pub fn timestamp_ms(wall_ms: u64) -> u64 {
    if wall_ms >= CLOCK_IS_SET_MS {
        wall_ms
    } else {
        NO_CLOCK_MS
    }
}

/// The signature in upper-case hexadecimal digits: 64 for SHA-256, otherwise 40.
pub fn mqtt_password(params: &SignParams<'_>) -> Zeroizing<String> {
    let SignParams { identity, secret, method, timestamp_ms, .. } = *params;
    signature(identity.client_id(), identity, secret, method, timestamp_ms)
}

/// The signature of this device with any client id.
pub fn signature(
    client_id: &str,
    identity: &Identity,
    secret: &Secret,
    method: SignMethod,
    timestamp_ms: u64,
) -> Zeroizing<String> {
    let timestamp = timestamp_ms.to_string();
    let (device_key, product_key) = (identity.device_key(), identity.product_key());
    let content = ["clientId", client_id, "deviceKey", device_key, "productKey", product_key, "timestamp", &timestamp];
    let secret = secret.as_bytes();
    wipe::clean_stack(|| match method {
        SignMethod::HmacSha1 => hmac(&content, secret),
        SignMethod::Sha1 => plain::<Sha1>(&content, secret),
        SignMethod::Sha256 => plain::<Sha256>(&content, secret),
    })
}

// The secret is hashed separately from the content: a joined buffer would be another copy of it.

fn hmac(content: &[&str], secret: &[u8]) -> Zeroizing<String> {
    // An HMAC accepts a key of any length, so this cannot fail.
    Hmac::<Sha1>::new_from_slice(secret).map_or_else(
        |_| Zeroizing::default(),
        |mut mac| {
            content.iter().for_each(|part| mac.update(part.as_bytes()));
            mac.update(secret);
            upper_hex(&mac.finalize().into_bytes())
        },
    )
}

fn plain<D: Digest>(content: &[&str], secret: &[u8]) -> Zeroizing<String> {
    let mut hash = D::new();
    content.iter().for_each(|part| hash.update(part));
    hash.update(secret);
    upper_hex(&hash.finalize())
}

const DIGITS: &[u8; 16] = b"0123456789ABCDEF";

/// Reserves all of it at once: a text that grows leaves a copy in freed memory.
fn upper_hex(digest: &[u8]) -> Zeroizing<String> {
    let mut text = vec![0; 2 * digest.len()];
    for (pair, byte) in text.chunks_exact_mut(2).zip(digest) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    // Hexadecimal digits are UTF-8, so this cannot fail.
    Zeroizing::new(String::from_utf8(text).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (client id, device key, product key, timestamp), secret, and the passwords by HMACSHA1, SHA1 and SHA256. They
    /// were computed independently, with Python's hashlib and hmac.
    type Vector = ((&'static str, &'static str, &'static str, u64), &'static str, [&'static str; 3]);

    const VECTORS: [Vector; 6] = [
        (
            ("123", "test", "123", 1524448722000),
            "deviceSecretxxx",
            [
                "6B1060092E11356DD1B09C0E3680CFD4922F7DC5",
                "DCF3F4B8D77D78B6598BDCC65A0A65C8BB3C1B08",
                "C2A8D4DD2BFAE73AE0F52DF974DD6F5DBB22635C78CD8C62676F04D971D5F6F9",
            ],
        ),
        (
            ("123", "test", "123", 1524448722000),
            "productSecretxxx",
            [
                "C2BF7202F432DC208014974EE8C010C9443CE5A5",
                "D06B83252541B81A6BD18BF46DC721B601BB93A8",
                "835BF08DAEEB04346B81C33A731D8C047EB751EE9780F61626FD7BAF9D1BFD79",
            ],
        ),
        (
            ("123456", "test", "654321", 1548753362502),
            "abcdefg",
            [
                "4ED8173DEEEE6E8117757E087F3EB448D8ABE78C",
                "53D00561032C47B8555B768A08FDE176A6F0D267",
                "B99032D49C706F7B27B22AB5CD2DD3C56A31E1BCBBC83BA0A2A6BB3272FBB166",
            ],
        ),
        (
            ("123", "test", "123", 1524448722000),
            "abcdefg",
            [
                "A6708680CD576ADFDC910F40E2482CCE948E5D65",
                "31119FD1CCFC01C4536113DF3BBAEA0F0CE95E85",
                "A4F9AD91051E3CA89440E0157029DD358C3A2C556D3C543B9FD5A38484785AC9",
            ],
        ),
        (
            ("123456", "tPbZGCdmaE", "KV315idW", 1548753362502),
            "M3yy874uGY8INjEGddTR",
            [
                "EDDF913DE4EC80AC1EB379B325FBC9A4FE413FE3",
                "E42C1186C3BFFE98E1EA8AB320CD800D579212AA",
                "A3C438DDCB6EAA0CF07AD1C36655245CCDD67AA1917E4CC4EFF57BF6F464ABFF",
            ],
        ),
        // UTF-8 in every field, and a secret longer than a hash block, which an HMAC hashes first.
        (
            ("泵房-7", "gerät", "produit-é", 0),
            "密码🔑-0123456789-0123456789-0123456789-0123456789-0123456789-0123456789",
            [
                "9EB459A61681FC65318E6B07B9071588DB8E5D6F",
                "8ED85EBEE35A05A3FEF7C6355544D0C373E1BF58",
                "0D00FDF64E7DCC61CA3F39BA80F6394D6D07FC9E6A9D2D7B6DC3022CCFFF512B",
            ],
        ),
    ];

    fn password(vector: &Vector, method: SignMethod) -> String {
        let ((client_id, device_key, product_key, timestamp_ms), secret, _) = *vector;
        let identity = Identity::new(product_key, device_key, Some(client_id)).unwrap();
        let secret = secret.parse().unwrap();
        let params = SignParams {
            identity: &identity,
            secret: &secret,
            mode: SecureMode::ENOS_SECURE_MODE_DEVICE,
            method,
            timestamp_ms,
        };
        mqtt_password(&params).to_string()
    }

    #[test]
    fn passwords_are_those_of_the_vectors() {
        for vector in &VECTORS {
            let (_, _, passwords) = vector;
            for (method, expected) in
                [SignMethod::HmacSha1, SignMethod::Sha1, SignMethod::Sha256].into_iter().zip(passwords)
            {
                assert_eq!(password(vector, method), *expected, "{vector:?} {method:?}");
            }
        }
    }

    #[test]
    fn a_channel_signs_with_the_product_secret() {
        let (identity, secret) = (Identity::channel("pk").unwrap(), "product-secret".parse().unwrap());
        let mode = SecureMode::ENOS_SECURE_MODE_INTEGRATION;
        let timestamp_ms = 1_700_000_000_000;
        for (method, label, password) in [
            (SignMethod::HmacSha1, "hmacsha1", "B9B2276E11493E1D78A6336F5654DE2646CF3AA8"),
            (SignMethod::Sha1, "hmacsha1", "A30AB63D40E271981CAE436F3A18A109728409E0"),
            (SignMethod::Sha256, "sha256", "73777E44EE29875BD44E4A2D5306CE8517EE24473C40D5B1ABE139E6F27944B0"),
        ] {
            let params = SignParams { identity: &identity, secret: &secret, mode, method, timestamp_ms };
            assert_eq!(*mqtt_password(&params), password);
            let client_id = format!("pk|securemode=4,signmethod={label},timestamp=1700000000000|");
            assert_eq!(mqtt_client_id(&identity, mode, method, timestamp_ms), client_id);
        }
        assert_eq!(mqtt_username(&identity), "%channel%&pk");
    }

    #[test]
    fn client_id_and_username() {
        let identity = Identity::new("pk", "dk", None).unwrap();
        let client_id = |mode, method| mqtt_client_id(&identity, mode, method, u64::MAX);
        assert_eq!(
            client_id(SecureMode::ENOS_SECURE_MODE_DEVICE, SignMethod::HmacSha1),
            "dk|securemode=2,signmethod=hmacsha1,timestamp=18446744073709551615|"
        );
        assert_eq!(
            client_id(SecureMode::ENOS_SECURE_MODE_PRODUCT, SignMethod::Sha1),
            "dk|securemode=3,signmethod=hmacsha1,timestamp=18446744073709551615|"
        );
        assert_eq!(
            client_id(SecureMode::ENOS_SECURE_MODE_PRODUCT, SignMethod::Sha256),
            "dk|securemode=3,signmethod=sha256,timestamp=18446744073709551615|"
        );
        assert_eq!(mqtt_username(&identity), "dk&pk");
    }
}
