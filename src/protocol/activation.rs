//! The message with which the cloud sends the device secret, once.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::identity::Identity;
use super::json::{self, parse_error};
use super::secret::Secret;
use super::topic::{self, Inbound};
use super::wipe;
use crate::error::{Error, Result, Status};

/// The largest activation that is read, in bytes. A real one has about 200.
pub const MAX_PAYLOAD: usize = 64 * 1024;

/// The most characters of an asset id.
const MAX_ASSET_ID: usize = 256;

const METHOD: &str = "thing.activate.info";

/// A device secret that has arrived for this device. The secret is wiped when it is dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activation {
    product_key: String,
    device_key: String,
    device_secret: Secret,
    asset_id: Option<String>,
    /// JSON, as it was received.
    id: String,
    topic: String,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    method: Option<&'a RawValue>,
    params: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Params<'a> {
    #[serde(borrow)]
    product_key: Option<&'a RawValue>,
    device_key: Option<&'a RawValue>,
    device_secret: Option<&'a RawValue>,
    asset_id: Option<&'a RawValue>,
}

impl Activation {
    /// Reads a message. The caller wipes the payload afterwards. A message that is not an activation of this device is
    /// an error:
    ///
    /// - `ENOS_ERR_NOT_ACTIVATION`: another topic or another method;
    /// - `ENOS_ERR_IDENTITY_MISMATCH`: the topic or `params` name another device;
    /// - `ENOS_ERR_TOO_LARGE`: more than [`MAX_PAYLOAD`] bytes;
    /// - `ENOS_ERR_PARSE`: everything else, also a field that occurs twice, because nobody knows which one counts.
    ///
    /// An unusable asset id or id is not an error: the secret is sent only once, and can be used without them.
    pub fn parse(identity: &Identity, topic: &[u8], payload: &[u8]) -> Result<Activation> {
        wipe::clean_stack(|| Activation::read(identity, topic, payload))
    }

    fn read(identity: &Identity, topic: &[u8], payload: &[u8]) -> Result<Activation> {
        let topic = own_topic(identity, topic)?;
        if payload.len() > MAX_PAYLOAD {
            let words = format!("the activation has {} bytes; at most {MAX_PAYLOAD} are read", payload.len());
            return Err(Error::new(Status::ENOS_ERR_TOO_LARGE, words));
        }
        let message: Message = json::object("the activation", payload)?;
        if message.method.and_then(json::string).is_none_or(|method| *method != METHOD) {
            return Err(Error::new(Status::ENOS_ERR_NOT_ACTIVATION, format!("the message's method is not {METHOD}")));
        }
        let params = message.params.ok_or_else(|| parse_error("the activation has no params"))?;
        let params: Params = json::object("params of the activation", params.get().as_bytes())?;
        same("productKey", params.product_key, identity.product_key())?;
        same("deviceKey", params.device_key, identity.device_key())?;
        Ok(Activation {
            product_key: identity.product_key().to_owned(),
            device_key: identity.device_key().to_owned(),
            device_secret: secret(params.device_secret)?,
            asset_id: params.asset_id.and_then(asset_id),
            id: message.id.map_or("null", echo).to_owned(),
            topic,
        })
    }

    /// The secret of a sub-device, which has come in the reply to its login.
    pub fn of_subdevice(identity: &Identity, secret: Secret, asset_id: Option<String>) -> Activation {
        Activation {
            product_key: identity.product_key().to_owned(),
            device_key: identity.device_key().to_owned(),
            device_secret: secret,
            asset_id,
            id: "null".to_owned(),
            topic: String::new(),
        }
    }

    pub fn product_key(&self) -> &str {
        &self.product_key
    }

    pub fn device_key(&self) -> &str {
        &self.device_key
    }

    pub fn device_secret(&self) -> &Secret {
        &self.device_secret
    }

    /// The asset that represents the device on EnOS. `None`: the cloud sent none, or one that does not have 1 to 256
    /// characters, or that has control characters.
    pub fn asset_id(&self) -> Option<&str> {
        self.asset_id.as_deref()
    }

    /// Topic and payload of the answer, to be published once the secret is stored. The id is returned unchanged.
    pub fn reply(&self) -> (String, Vec<u8>) {
        (topic::reply_topic(&self.topic), format!(r#"{{"id":{},"code":200}}"#, self.id).into_bytes())
    }
}

fn own_topic(identity: &Identity, received: &[u8]) -> Result<String> {
    if let Some(own) = topic::activation_topics(identity).into_iter().find(|own| own.as_bytes() == received) {
        return Ok(own);
    }
    Err(if Inbound::of(received) == Inbound::Activation {
        Error::new(Status::ENOS_ERR_IDENTITY_MISMATCH, "the activation's topic names another device")
    } else {
        Error::new(Status::ENOS_ERR_NOT_ACTIVATION, "the message's topic is not one of an activation")
    })
}

fn same(field: &str, raw: Option<&RawValue>, own: &str) -> Result<()> {
    let value = raw.and_then(json::string);
    let value = value.ok_or_else(|| parse_error(format!("params.{field} of the activation is missing or no text")))?;
    if *value != own {
        let words = format!("params.{field} of the activation names another device");
        return Err(Error::new(Status::ENOS_ERR_IDENTITY_MISMATCH, words));
    }
    Ok(())
}

fn secret(raw: Option<&RawValue>) -> Result<Secret> {
    let text = raw.and_then(json::string);
    let text = text.ok_or_else(|| parse_error("params.deviceSecret of the activation is missing or no text"))?;
    Secret::new(text.as_bytes()).map_err(|error| match error.status {
        Status::ENOS_ERR_INVALID_ARG => {
            parse_error(format!("params.deviceSecret of the activation: {}", error.message))
        }
        _ => error,
    })
}

fn asset_id(raw: &RawValue) -> Option<String> {
    let text = json::string_or_number(raw)?;
    let usable = !text.is_empty() && !text.contains(char::is_control) && text.chars().count() <= MAX_ASSET_ID;
    usable.then(|| text.to_string())
}

/// The id for the answer. EnOS sends ids as a text or a number. Anything else is answered with null.
fn echo(raw: &RawValue) -> &str {
    if json::is_number(raw) || raw.get().starts_with('"') {
        return raw.get();
    }
    "null"
}
