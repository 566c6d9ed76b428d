//! TLS for a link: what it is made from, and what makes a context for OpenSSL of it.
//!
//! Files are read anew for each link, so a renewed certificate counts from the next CONNECT on. The system's authorities
//! are kept, and loaded anew when they have changed.

#![cfg_attr(not(feature = "tls"), allow(dead_code, reason = "only OpenSSL reads the settings"))]

use crate::error::Result;
use std::path::PathBuf;
use std::sync::Arc;
use zeroize::Zeroizing;

#[cfg(not(feature = "tls"))]
mod absent;
#[cfg(feature = "tls")]
mod context;
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

#[cfg(not(feature = "tls"))]
pub use absent::Secured;
#[cfg(feature = "tls")]
pub use context::Secured;

/// Whether this build has it.
pub const AVAILABLE: bool = cfg!(feature = "tls");

/// Where certificates or a key stand, in PEM form. Bytes are wiped when dropped.
#[derive(Clone)]
pub enum Pem {
    File(PathBuf),
    Bytes(Zeroizing<Vec<u8>>),
}

/// How brokers are checked, and who the device says it is.
#[derive(Clone)]
pub struct TlsSettings {
    /// The authorities to trust; `None` for the system's.
    pub ca: Option<Pem>,
    pub identity: Option<ClientIdentity>,
    /// Of an encrypted key.
    pub password: Option<Zeroizing<Vec<u8>>>,
    /// The name that the broker's certificate has to be for, and that is sent (SNI); `None` for the host's own.
    pub server_name: Option<String>,
    /// Off: a certificate for any name will do, as long as an authority that is trusted has issued it.
    pub check_name: bool,
}

/// The device's certificate, with the intermediate ones behind it, and its key.
#[derive(Clone)]
pub struct ClientIdentity {
    pub cert: Pem,
    pub key: Pem,
}

/// What a link needs beside its address.
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
    /// Reads and judges everything as an attempt to connect would. `ENOS_ERR_TLS` with words for what is wrong.
    pub fn check(&self) -> Result<()> {
        Secured::prepare(self).map(drop)
    }

    /// The name that is wanted. A dot at the end, which says that a name is complete, stands in no certificate.
    #[cfg(feature = "tls")]
    fn wanted(&self) -> &str {
        let name = self.settings.server_name.as_deref().unwrap_or(&self.host);
        name.strip_suffix('.').unwrap_or(name)
    }
}
