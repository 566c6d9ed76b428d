//! What a device is told of a firmware.

use serde_json::{json, Value};

use super::Firmware;

/// The digest that an offer names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Digest {
    Md5,
    #[default]
    Sha256,
}

impl Digest {
    /// As in the member `signMethod`.
    pub fn name(self) -> &'static str {
        match self {
            Digest::Md5 => "md5",
            Digest::Sha256 => "sha256",
        }
    }
}

/// The member `fileUrl` of an offer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum FileUrl {
    /// On the plain HTTP port.
    #[default]
    Http,
    /// On the port with TLS.
    Https,
    /// Without scheme and host, as EnOS often sends it.
    Relative,
    /// This text.
    Other(String),
}

/// An offer of a firmware to a device.
#[derive(Clone, Debug, PartialEq)]
pub struct Offer {
    pub(crate) version: String,
    pub(crate) on_request: bool,
    digest: Digest,
    pub(crate) url: FileUrl,
    sign: Option<String>,
    size: Option<Value>,
    raw: Option<Value>,
}

impl Offer {
    /// The firmware of this version. The device is sent it as `ota/device/upgrade`.
    pub fn new(version: impl Into<String>) -> Offer {
        Offer {
            version: version.into(),
            on_request: false,
            digest: Digest::default(),
            url: FileUrl::default(),
            sign: None,
            size: None,
            raw: None,
        }
    }

    /// With these params as they are: an object with version, fileUrl, fileSize, sign and signMethod, or anything else.
    pub fn raw(params: Value) -> Offer {
        let version = params.get("version").and_then(Value::as_str).unwrap_or_default().to_owned();
        Offer { raw: Some(params), ..Offer::new(version) }
    }

    /// The device gets it only when it asks for it with `ota/device/getversion`.
    pub fn on_request(self) -> Offer {
        Offer { on_request: true, ..self }
    }

    /// Default: SHA-256.
    pub fn digest(self, digest: Digest) -> Offer {
        Offer { digest, ..self }
    }

    /// Default: on the plain HTTP port.
    pub fn url(self, url: FileUrl) -> Offer {
        Offer { url, ..self }
    }

    /// Another digest than that of the image.
    pub fn sign(self, sign: impl Into<String>) -> Offer {
        Offer { sign: Some(sign.into()), ..self }
    }

    /// Another size than that of the image; also as a text.
    pub fn size(self, size: impl Into<Value>) -> Offer {
        Offer { size: Some(size.into()), ..self }
    }

    /// Whether it needs the image of its version.
    pub(crate) fn needs_image(&self) -> bool {
        self.raw.is_none()
    }

    /// The params. `base` gives the scheme and host of a port; the URL contains the number of the task, so that each
    /// offer has a URL of its own.
    pub(crate) fn params(&self, image: Option<&Firmware>, task: u64, base: impl Fn(&FileUrl) -> String) -> Value {
        if let Some(raw) = &self.raw {
            return raw.clone();
        }
        let url = match &self.url {
            FileUrl::Other(text) => text.clone(),
            url => format!("{}{}?task={task}", base(url), Firmware::path(&self.version)),
        };
        let digest = image.map(|image| image.digest(self.digest)).unwrap_or_default();
        json!({
            "version": self.version,
            "signMethod": self.digest.name(),
            "sign": self.sign.as_deref().unwrap_or(digest),
            "fileUrl": url,
            "fileSize": self.size.clone().unwrap_or_else(|| image.map_or(0, Firmware::size).into()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_params_of_an_offer() {
        let image = Firmware::from_bytes("2.0", "abc").unwrap();
        let params = |offer: Offer| offer.params(Some(&image), 7, |_| "http://here:1".into());
        assert_eq!(
            params(Offer::new("2.0").digest(Digest::Md5)),
            json!({
                "version": "2.0", "signMethod": "md5", "sign": "900150983cd24fb0d6963f7d28e17f72",
                "fileUrl": "http://here:1/firmware/2.0?task=7", "fileSize": 3
            })
        );
        let wrong = params(Offer::new("2.0").size("4").sign("00").url(FileUrl::Other("x".into())));
        assert_eq!((&wrong["fileSize"], &wrong["sign"], &wrong["fileUrl"]), (&json!("4"), &json!("00"), &json!("x")));
        assert_eq!(params(Offer::raw(json!([1]))), json!([1]));
    }
}
