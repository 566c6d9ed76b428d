//! The logins of a gateway's sub-devices: the params of the requests, and what the replies say.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::json;
use super::secret::Secret;
use super::sign::signature;
use super::{wipe, Identity};
use crate::error::Result;
use crate::model::sign::{SecureMode, SignMethod};

/// The code for a request of a sub-device that is not logged in.
pub const CODE_NOT_LOGGED_IN: i32 = 1009;
/// The code for a login of a sub-device that is not in the gateway's topology.
pub const CODE_NOT_IN_TOPOLOGY: i32 = 740;

/// What a sub-device logs in with.
pub struct Login<'a> {
    pub identity: &'a Identity,
    pub secret: &'a Secret,
    pub mode: SecureMode,
}

/// How the logins of a request are signed.
#[derive(Clone, Copy)]
pub struct Signing {
    pub method: SignMethod,
    /// Milliseconds since 1970.
    pub timestamp_ms: u64,
}

impl Signing {
    fn sign(self, client_id: &str, login: &Login) -> Zeroizing<String> {
        signature(client_id, login.identity, login.secret, self.method, self.timestamp_ms)
    }
}

/// Also an item of a request that adds sub-devices to the topology, then without the mode.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Signed<'a> {
    product_key: &'a str,
    device_key: &'a str,
    client_id: &'a str,
    timestamp: String,
    sign_method: &'a str,
    sign: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    secure_mode: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Batch<'a> {
    client_id: &'a str,
    timestamp: String,
    sign_method: &'a str,
    sub_devices: Vec<Item<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Item<'a> {
    product_key: &'a str,
    device_key: &'a str,
    sign: String,
    secure_mode: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Keys<'a> {
    product_key: &'a str,
    device_key: &'a str,
}

/// The params of a login.
pub fn login(login: &Login, signing: Signing) -> Vec<u8> {
    with_signed(login, signing, Some((login.mode as i32).to_string()), |signed| write(signed))
}

/// The params of a request that adds a sub-device to the topology.
pub fn topology(login: &Login, signing: Signing) -> Vec<u8> {
    with_signed(login, signing, None, |signed| write(&[signed]))
}

fn with_signed(
    login: &Login,
    signing: Signing,
    secure_mode: Option<String>,
    use_it: impl FnOnce(&Signed) -> Vec<u8>,
) -> Vec<u8> {
    let client_id = login.identity.client_id();
    use_it(&Signed {
        product_key: login.identity.product_key(),
        device_key: login.identity.device_key(),
        client_id,
        timestamp: signing.timestamp_ms.to_string(),
        sign_method: signing.method.label(),
        sign: &signing.sign(client_id, login),
        secure_mode,
    })
}

/// The params of a login of several. Each is signed with this client id.
pub fn login_batch<'a>(client_id: &str, logins: impl Iterator<Item = Login<'a>>, signing: Signing) -> Vec<u8> {
    let item = |login: Login<'a>| Item {
        product_key: login.identity.product_key(),
        device_key: login.identity.device_key(),
        sign: signing.sign(client_id, &login).to_string(),
        secure_mode: (login.mode as i32).to_string(),
    };
    write(&Batch {
        client_id,
        timestamp: signing.timestamp_ms.to_string(),
        sign_method: signing.method.label(),
        sub_devices: logins.map(item).collect(),
    })
}

/// The params of a logout.
pub fn logout(of: &Identity) -> Vec<u8> {
    write(&Keys { product_key: of.product_key(), device_key: of.device_key() })
}

fn write(params: &impl Serialize) -> Vec<u8> {
    // Texts and numbers can always be written.
    serde_json::to_vec(params).unwrap_or_default()
}

/// A device as a message of the cloud names it. The secret is wiped when it is dropped.
#[derive(Debug, PartialEq)]
pub struct Named {
    pub product_key: String,
    pub device_key: String,
    /// It came with this message.
    pub secret: Option<Secret>,
    pub asset_id: Option<String>,
}

impl Named {
    /// The keys as they stand in a topic. A key has no `/`.
    pub fn keys(&self) -> String {
        keys(&self.product_key, &self.device_key)
    }
}

/// The keys of a device as they stand in a topic.
pub fn keys(product_key: &str, device_key: &str) -> String {
    format!("{product_key}/{device_key}")
}

/// What the reply to a login of several says.
#[derive(Debug, Default, PartialEq)]
pub struct Outcomes {
    pub logged_in: Vec<Named>,
    pub failed: Vec<Named>,
}

#[derive(Deserialize)]
struct Reply<'a> {
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Lists<'a> {
    #[serde(borrow)]
    logined_sub_devices: Option<&'a RawValue>,
    failed_sub_devices: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Device<'a> {
    #[serde(borrow)]
    product_key: Option<&'a RawValue>,
    device_key: Option<&'a RawValue>,
    device_secret: Option<&'a RawValue>,
    asset_id: Option<&'a RawValue>,
}

/// Reads the reply to a login of several. Whatever cannot be read is left out: the others are of use.
pub fn read_batch(payload: &[u8]) -> Outcomes {
    wipe::clean_stack(|| {
        let lists = data(payload).and_then(|data| json::object::<Lists>("the data", data.get().as_bytes()).ok());
        lists.map_or_else(Outcomes::default, |lists| Outcomes {
            logged_in: list(lists.logined_sub_devices),
            failed: list(lists.failed_sub_devices),
        })
    })
}

/// Reads the device in the reply to a login. `None`: the reply names none.
pub fn read_login(payload: &[u8]) -> Option<Named> {
    wipe::clean_stack(|| device(data(payload)?))
}

/// Reads the reply to a request that registers devices.
pub fn read_registered(payload: &[u8]) -> Vec<Named> {
    wipe::clean_stack(|| list(data(payload)))
}

/// Reads the devices that a command of the cloud is about: an array, or a single object.
pub fn read_named(params: &RawValue) -> Vec<Named> {
    if params.get().starts_with('[') {
        return list(Some(params));
    }
    device(params).into_iter().collect()
}

fn data(payload: &[u8]) -> Option<&RawValue> {
    json::object::<Reply>("the reply", payload).ok()?.data
}

fn list(raw: Option<&RawValue>) -> Vec<Named> {
    let items = raw.map_or(Ok(Vec::new()), |raw| json::array("the list", raw.get().as_bytes()));
    items.unwrap_or_default().into_iter().filter_map(device).collect()
}

fn device(raw: &RawValue) -> Option<Named> {
    let read = || -> Result<Device> { json::object("the device", raw.get().as_bytes()) };
    let Device { product_key, device_key, device_secret, asset_id } = read().ok()?;
    let text = |raw: Option<&RawValue>| raw.and_then(json::string).map(|text| text.to_string());
    Some(Named {
        product_key: text(product_key)?,
        device_key: text(device_key)?,
        secret: device_secret.and_then(json::string).and_then(|text| Secret::new(text.as_bytes()).ok()),
        asset_id: text(asset_id).filter(|text| !text.is_empty()),
    })
}

#[cfg(test)]
mod tests;
