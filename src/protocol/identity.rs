//! The identity of the device: product key, device key and client id.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

/// The maximum number of characters (not bytes) of a key or a client id.
///
/// EnOS sets this limit for the client id. The device key is the client id by default, so it has the same limit.
/// Envision's C SDK also reserves this length for a device key, and a third of it for a product key.
pub const MAX_CHARS: usize = 64;

/// What a client id must not contain: on the wire, `|` ends it, and `,` and `=` separate the parameters that follow.
const NOT_IN_CLIENT_ID: &[char] = &['|', ',', '='];

/// What a key must not contain: `/`, `+` and `#` would change the topics that contain it, `&` separates the two keys in
/// the user name, and the others are forbidden because the device key is the default client id. The EnOS console allows
/// letters, digits, `-` and `_` in a device key, so no key from EnOS is refused.
const NOT_IN_KEY: &[char] = &['/', '+', '#', '&', '|', ',', '='];

/// The device key of an integration channel, which is logged in as a product. No device has it.
const CHANNEL_KEY: &str = "%channel%";

/// A device, or an integration channel, as EnOS knows it. It is checked when it is made, so topics and user names can be
/// built from it without another check. Copies share the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity(Arc<Parts>);

#[derive(Debug, PartialEq, Eq)]
struct Parts {
    product_key: String,
    device_key: String,
    client_id: Option<String>,
}

impl Identity {
    /// Checks and copies the texts. Keys and client id have 1 to [`MAX_CHARS`] characters, and no control characters.
    /// Keys contain none of `/ + # & | , =`, a client id none of `| , =`. Without a `client_id`, the device key is
    /// used.
    pub fn new(product_key: &str, device_key: &str, client_id: Option<&str>) -> Result<Identity> {
        check("product_key", product_key, NOT_IN_KEY)?;
        check("device_key", device_key, NOT_IN_KEY)?;
        if let Some(client_id) = client_id {
            check("client_id", client_id, NOT_IN_CLIENT_ID)?;
        }
        if device_key == CHANNEL_KEY {
            return Err(Error::invalid(format!(
                "device_key is {CHANNEL_KEY}, which stands for an integration channel: \
                 enos_config_set_integration_channel()"
            )));
        }
        Ok(Identity::of(product_key, device_key, client_id))
    }

    /// The integration channel of a product. Its client id is the product key.
    pub fn channel(product_key: &str) -> Result<Identity> {
        check("product_key", product_key, NOT_IN_KEY)?;
        Ok(Identity::of(product_key, CHANNEL_KEY, Some(product_key)))
    }

    fn of(product_key: &str, device_key: &str, client_id: Option<&str>) -> Identity {
        Identity(Arc::new(Parts {
            product_key: product_key.to_owned(),
            device_key: device_key.to_owned(),
            client_id: client_id.map(str::to_owned),
        }))
    }

    /// Whether it is an integration channel.
    pub fn is_channel(&self) -> bool {
        self.device_key() == CHANNEL_KEY
    }

    pub fn product_key(&self) -> &str {
        &self.0.product_key
    }

    pub fn device_key(&self) -> &str {
        &self.0.device_key
    }

    /// The client id that is signed. On the wire it stands before the first `|`.
    pub fn client_id(&self) -> &str {
        self.0.client_id.as_deref().unwrap_or(self.device_key())
    }

    /// The first 16 hexadecimal digits (lower case) of SHA-256(product key, NUL, device key). It identifies this
    /// device's records in a storage that several devices may share. It does not cover the client id, which may change.
    pub fn digest_hex(&self) -> String {
        let digest = Sha256::new().chain_update(self.product_key()).chain_update([0]).chain_update(self.device_key());
        hex::encode(&digest.finalize()[..8])
    }
}

fn check(field: &str, value: &str, forbidden: &[char]) -> Result<()> {
    if value.is_empty() {
        return Err(Error::invalid(format!("{field} is empty")));
    }
    // A text never has more characters than bytes.
    if value.len() > MAX_CHARS && value.chars().count() > MAX_CHARS {
        let count = value.chars().count();
        return Err(Error::invalid(format!("{field} has {count} characters; at most {MAX_CHARS} are allowed")));
    }
    // The usual case, checked fast.
    if value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_') {
        return Ok(());
    }
    for (at, c) in value.chars().enumerate() {
        let at = at + 1;
        if c.is_control() {
            let code = u32::from(c);
            return Err(Error::invalid(format!("{field} holds a control character (U+{code:04X}) as character {at}")));
        }
        if forbidden.contains(&c) {
            return Err(Error::invalid(format!("{field} holds '{c}' as character {at}; {}", why(c))));
        }
    }
    Ok(())
}

fn why(c: char) -> &'static str {
    match c {
        '/' | '+' | '#' => "it has a meaning of its own in MQTT topics",
        '&' => "it parts device key and product key in the MQTT user name",
        _ => "it has a meaning of its own in the MQTT client id",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Status;

    fn refused(product_key: &str, device_key: &str, client_id: Option<&str>) -> String {
        let error = Identity::new(product_key, device_key, client_id).unwrap_err();
        assert_eq!(error.status, Status::ENOS_ERR_INVALID_ARG);
        error.message
    }

    #[test]
    fn the_client_id_is_the_device_key_unless_given() {
        assert_eq!(Identity::new("pk", "dk", None).unwrap().client_id(), "dk");
        assert_eq!(Identity::new("pk", "dk", Some("00:1b:c5/7")).unwrap().client_id(), "00:1b:c5/7");
    }

    #[test]
    fn limits_count_characters_and_not_bytes() {
        let longest = "键".repeat(MAX_CHARS);
        let identity = Identity::new(&longest, &longest, Some(&longest)).unwrap();
        assert_eq!(identity.device_key(), longest);
        let longer = "x".repeat(MAX_CHARS + 1);
        assert_eq!(refused("pk", &longer, None), "device_key has 65 characters; at most 64 are allowed");
        assert!(refused(&longer, "dk", None).starts_with("product_key has 65"));
        assert!(refused("pk", "dk", Some(&longer)).starts_with("client_id has 65"));
    }

    #[test]
    fn words_name_the_field_and_the_reason() {
        assert_eq!(refused("", "dk", None), "product_key is empty");
        assert_eq!(refused("pk", "", None), "device_key is empty");
        assert_eq!(refused("pk", "dk", Some("")), "client_id is empty");
        assert_eq!(refused("pk", "a\0b", None), "device_key holds a control character (U+0000) as character 2");
        assert_eq!(refused("p\u{85}", "dk", None), "product_key holds a control character (U+0085) as character 2");
        assert!(refused("pk", "dk", Some("a\nb")).starts_with("client_id holds a control character (U+000A)"));
        for c in NOT_IN_KEY {
            assert!(refused(&format!("p{c}"), "dk", None).starts_with(&format!("product_key holds '{c}'")));
            assert!(refused("pk", &format!("d{c}"), None).starts_with(&format!("device_key holds '{c}'")));
        }
        for c in NOT_IN_CLIENT_ID {
            assert!(refused("pk", "dk", Some(&format!("c{c}"))).starts_with(&format!("client_id holds '{c}'")));
        }
    }

    #[test]
    fn a_channel_is_no_device() {
        let channel = Identity::channel("pk").unwrap();
        assert_eq!((channel.product_key(), channel.device_key(), channel.client_id()), ("pk", "%channel%", "pk"));
        assert!(channel.is_channel() && !Identity::new("pk", "channel", None).unwrap().is_channel());
        assert!(refused("pk", "%channel%", None).contains("enos_config_set_integration_channel()"));
        assert!(Identity::channel("p/k").unwrap_err().message.starts_with("product_key holds '/'"));
    }

    #[test]
    fn nothing_is_trimmed() {
        assert_eq!(Identity::new(" pk ", "dk ", None).unwrap().client_id(), "dk ");
    }

    #[test]
    fn the_digest_names_the_pair_of_keys() {
        // printf 'pk\0dk' | sha256sum
        assert_eq!(Identity::new("pk", "dk", None).unwrap().digest_hex(), "2085a1ce9411669b");
        let other = Identity::new("pk", "dk", Some("another")).unwrap();
        assert_eq!(other.digest_hex(), Identity::new("pk", "dk", None).unwrap().digest_hex());
        let shifted = Identity::new("pkd", "k", None).unwrap();
        assert_ne!(shifted.digest_hex(), other.digest_hex());
    }
}
