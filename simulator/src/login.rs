//! The client id, user name and password of a CONNECT, as EnOS interprets them.

use mqttbytes::v4::Connect;

use crate::{
    config::Config,
    device::{Device, DeviceId, Secret},
    digest::Algorithm,
};

/// Which secret a login is signed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// 2: the device secret.
    Device,
    /// 3: the product secret, for an activation.
    Product,
    /// 4: the product secret, for the integration channel of the product.
    Channel,
}

/// The parts of `<client id>|securemode=<n>,signmethod=<label>,timestamp=<text>|`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientId {
    pub id: String,
    pub secure_mode: Option<String>,
    pub sign_method: Option<String>,
    /// As text, because it is signed exactly as the device writes it.
    pub timestamp: Option<String>,
}

impl ClientId {
    pub fn parse(wire: &str) -> Result<ClientId, String> {
        let (id, rest) =
            wire.split_once('|').ok_or("the client id has no |securemode=..,signmethod=..,timestamp=..|")?;
        let parameters = rest.strip_suffix('|').ok_or("the client id does not end with |")?;
        let mut client_id = ClientId { id: id.to_owned(), ..ClientId::default() };
        for parameter in parameters.split(',') {
            let Some((name, value)) = parameter.split_once('=') else { continue };
            let field = match name.trim() {
                "securemode" => &mut client_id.secure_mode,
                "signmethod" => &mut client_id.sign_method,
                "timestamp" => &mut client_id.timestamp,
                _ => continue,
            };
            *field = Some(value.trim().to_owned());
        }
        if client_id.id.is_empty() {
            return Err("the client id has nothing before its first |".into());
        }
        Ok(client_id)
    }
}

/// The claims of a CONNECT, before they are verified.
#[derive(Clone, Debug)]
pub struct Claim {
    pub device: DeviceId,
    pub mode: Mode,
    client_id: ClientId,
    wire_client_id: String,
    label: String,
    content: String,
    password: String,
}

/// The device key in the user name of the integration channel.
pub const CHANNEL: &str = "%channel%";

/// The longest accepted key in bytes: 64 characters of four bytes.
const LONGEST_KEY: usize = 256;

/// The device in the user name: `deviceKey&productKey`.
pub fn device_of(connect: &Connect) -> Option<DeviceId> {
    let (device_key, product_key) = connect.login.as_ref()?.username.rsplit_once('&')?;
    let is_key = |key: &str| (1..=LONGEST_KEY).contains(&key.len());
    (is_key(device_key) && is_key(product_key)).then(|| DeviceId::new(product_key, device_key))
}

impl Claim {
    /// Parses the claims of a CONNECT; the text of an error says what is wrong with its form.
    pub fn read(connect: &Connect) -> Result<Claim, String> {
        let client_id = ClientId::parse(&connect.client_id)?;
        let device = device_of(connect).ok_or("the user name is not deviceKey&productKey, or a key is too long")?;
        let password = connect.login.as_ref().map(|login| login.password.clone()).unwrap_or_default();
        if password.is_empty() {
            return Err("there is no password".into());
        }
        let mode = match client_id.secure_mode.as_deref() {
            Some("2") => Mode::Device,
            Some("3") => Mode::Product,
            Some("4") if device.device_key == CHANNEL => Mode::Channel,
            Some("4") => return Err(format!("the user name of securemode=4 is {CHANNEL}&productKey")),
            Some(other) => return Err(format!("securemode={other} is not known: 2, 3 and 4 are")),
            None => return Err("the client id has no securemode=".into()),
        };
        let label = client_id.sign_method.clone().ok_or("the client id has no signmethod=")?;
        let timestamp = client_id.timestamp.as_deref().ok_or("the client id has no timestamp=")?;
        let content = content(&client_id.id, &device, timestamp);
        Ok(Claim { device, mode, client_id, wire_client_id: connect.client_id.clone(), label, content, password })
    }

    /// The claims in a gateway's login of a sub-device, or in the proof that a sub-device belongs to it.
    pub fn of_sub_device(device: &DeviceId, mode: Mode, client_id: &str, timestamp: &str, label: &str) -> Claim {
        Claim {
            device: device.clone(),
            mode,
            client_id: ClientId {
                id: client_id.to_owned(),
                timestamp: Some(timestamp.to_owned()),
                ..ClientId::default()
            },
            wire_client_id: client_id.to_owned(),
            label: label.to_owned(),
            content: content(client_id, device, timestamp),
            password: String::new(),
        }
    }

    /// The same with this signature.
    pub fn signed(self, sign: &str) -> Claim {
        Claim { password: sign.to_owned(), ..self }
    }

    /// Verifies the password. The text of an error says how it was computed, if that can be found out.
    pub fn verify(&self, device: &Device, config: &Config) -> Result<(), String> {
        let hmacsha1 = device.hmacsha1.unwrap_or(config.hmacsha1);
        let accepted = Algorithm::of_label(&self.label, hmacsha1, config.md5);
        if accepted.is_empty() {
            return Err(format!("signmethod={} is not accepted", self.label));
        }
        let (secret, name) = match self.mode {
            Mode::Device => (&device.device_secret, "device secret"),
            Mode::Product | Mode::Channel => (&device.product_secret, "product secret"),
        };
        let Some(secret) = secret else { return Err(format!("this device has no {name}")) };
        if accepted.iter().any(|algorithm| self.matches(*algorithm, &self.content, secret)) {
            return Ok(());
        }
        let wanted: Vec<_> = accepted.iter().map(|algorithm| algorithm.name()).collect();
        Err(format!(
            "the password is not {} of the content and the {name}: {}",
            wanted.join(" or "),
            self.diagnose(device)
        ))
    }

    fn matches(&self, algorithm: Algorithm, content: &str, secret: &Secret) -> bool {
        algorithm.password(content, secret.expose()).eq_ignore_ascii_case(&self.password)
    }

    fn diagnose(&self, device: &Device) -> String {
        let timestamp = self.client_id.timestamp.as_deref().unwrap_or_default();
        let swapped = DeviceId::new(&self.device.device_key, &self.device.product_key);
        let contents = [
            (self.content.clone(), ""),
            (content(&self.wire_client_id, &self.device, timestamp), ", with the whole client id in the content"),
            (content(&self.device.device_key, &self.device, timestamp), ", with the device key as the client id"),
            (content(&self.client_id.id, &swapped, timestamp), ", with product key and device key exchanged"),
        ];
        let secrets = [(&device.device_secret, "device secret"), (&device.product_secret, "product secret")];
        for (content, remark) in &contents {
            for (secret, name) in secrets.iter().filter_map(|(secret, name)| Some((secret.as_ref()?, name))) {
                for algorithm in Algorithm::ALL {
                    if self.matches(algorithm, content, secret) {
                        return format!("it is {} with the {name}{remark}", algorithm.name());
                    }
                }
            }
        }
        "wrong secret, or another timestamp than in the client id".into()
    }
}

/// The signed text: the four names in order, each followed by its value.
fn content(client_id: &str, device: &DeviceId, timestamp: &str) -> String {
    format!("clientId{client_id}deviceKey{}productKey{}timestamp{timestamp}", device.device_key, device.product_key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::HmacSha1;

    fn connect(client_id: &str, password: &str) -> Connect {
        let mut connect = Connect::new(client_id);
        connect.set_login("dk&pk", password);
        connect
    }

    #[test]
    fn client_ids_that_are_sent() {
        let float = ClientId::parse("dk|securemode=2,signmethod=hmacsha256,timestamp=1700000000000.123|").unwrap();
        assert_eq!(float.timestamp.as_deref(), Some("1700000000000.123"));
        let suffix = ClientId::parse("dk{ip=1.2.3.4,version=1}|securemode=3, signmethod=sha256,timestamp=1|").unwrap();
        assert_eq!((suffix.id.as_str(), suffix.sign_method.as_deref()), ("dk{ip=1.2.3.4,version=1}", Some("sha256")));
        for bad in ["", "dk", "dk|securemode=2", "|securemode=2,signmethod=sha256,timestamp=1|"] {
            assert!(ClientId::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_wrong_password_is_explained() {
        let device = Device {
            product_secret: Some("ps".into()),
            hmacsha1: Some(HmacSha1::Hmac),
            ..Device::active(DeviceId::new("pk", "dk"), "ds")
        };
        let wire = "c|securemode=2,signmethod=hmacsha1,timestamp=1|";
        let signed = "clientIdcdeviceKeydkproductKeypktimestamp1";
        let verify = |password: &str| {
            Claim::read(&connect(wire, password)).unwrap().verify(&device, &Config::default()).err().unwrap_or_default()
        };
        assert_eq!(verify(&Algorithm::HmacSha1.password(signed, "ds").to_lowercase()), "");
        assert!(verify(&Algorithm::Sha1.password(signed, "ds")).contains("it is plain SHA-1 with the device secret"));
        assert!(verify(&Algorithm::HmacSha1.password(signed, "ps")).contains("with the product secret"));
        let whole = signed.replace("clientIdc", &format!("clientId{wire}"));
        assert!(verify(&Algorithm::HmacSha1.password(&whole, "ds")).contains("the whole client id"));
        assert!(verify("00").contains("wrong secret"));
    }
}
