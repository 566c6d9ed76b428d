//! TLS for a link: its settings, and what makes OpenSSL's objects from them.
//!
//! Files are read again for each link, so that a renewed certificate is used from the next CONNECT on. The system's
//! authorities are kept in memory, and loaded again when they have changed.

#![cfg_attr(not(feature = "tls"), allow(dead_code, reason = "only OpenSSL reads the settings"))]

use crate::error::Result;
use std::path::PathBuf;
use std::sync::Arc;
use zeroize::Zeroizing;

#[cfg(not(feature = "tls"))]
mod absent;
#[cfg(feature = "tls")]
mod context;
#[cfg(all(feature = "tls", feature = "ota"))]
pub mod curl;
#[cfg(feature = "tls")]
mod material;
#[cfg(feature = "tls")]
mod pem;
#[cfg(feature = "tls")]
mod reason;
#[cfg(feature = "tls")]
mod trust;
#[cfg(feature = "tls")]
mod verdict;
#[cfg(feature = "tls")]
mod words;

#[cfg(not(feature = "tls"))]
pub use absent::Secured;
#[cfg(feature = "tls")]
pub use context::Secured;

/// Whether this build has TLS.
pub const AVAILABLE: bool = cfg!(feature = "tls");

/// Where certificates or a key are, in PEM form. Bytes are wiped when they are dropped.
#[derive(Clone)]
pub enum Pem {
    File(PathBuf),
    Bytes(Zeroizing<Vec<u8>>),
}

/// How brokers are checked, and with which identity the device connects.
#[derive(Clone)]
pub struct TlsSettings {
    /// The authorities to trust; `None` for the system's.
    pub ca: Option<Pem>,
    pub identity: Option<ClientIdentity>,
    /// The password of an encrypted key.
    pub password: Option<Zeroizing<Vec<u8>>>,
    /// The name for which the broker's certificate has to be issued, and which is sent (SNI); `None` for the host's name.
    pub server_name: Option<String>,
    /// If false, a certificate of a trusted authority is accepted for any name.
    pub check_name: bool,
}

/// The device's certificate, with the intermediate ones behind it, and its key.
#[derive(Clone)]
pub struct ClientIdentity {
    pub cert: Pem,
    pub key: Pem,
}

/// What a link needs for TLS, in addition to its address.
#[derive(Clone)]
pub struct Tls {
    pub settings: Arc<TlsSettings>,
    /// The host as it was given: a name or an IP address.
    pub host: String,
}

impl Default for TlsSettings {
    fn default() -> TlsSettings {
        TlsSettings { ca: None, identity: None, password: None, server_name: None, check_name: true }
    }
}

impl Tls {
    /// Reads and checks everything as an attempt to connect would. `ENOS_ERR_TLS` with words for what is wrong.
    pub fn check(&self) -> Result<()> {
        Secured::prepare(self).map(drop)
    }

    /// The expected name. A dot at the end means that a name is complete; no certificate contains it.
    #[cfg(feature = "tls")]
    fn wanted(&self) -> &str {
        let name = self.settings.server_name.as_deref().unwrap_or(&self.host);
        name.strip_suffix('.').unwrap_or(name)
    }
}
