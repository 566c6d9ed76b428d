//! The TLS settings: how a broker at `ssl://` is checked, and the certificate of the device.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::server::check_host;
use super::Config;
use crate::error::{Error, Result, Status};
use crate::transport::tls::{ClientIdentity, Pem, Tls, TlsSettings, AVAILABLE};

/// More than the bundle of all public authorities needs.
const PEM_BYTES: usize = 4 << 20;
/// OpenSSL reserves 1024 bytes.
const PASSWORD_BYTES: usize = 1024;

impl Config {
    /// Paths of PEM files. Without `ca`, the system's authorities are used. `cert` and `key` must be given together.
    pub fn set_tls(&mut self, ca: Option<&str>, cert: Option<&str>, key: Option<&str>) -> Result<()> {
        self.set_pems([ca, cert, key], |path, name| match path {
            "" => Err(Error::invalid(format!("{name} is an empty path; leave it out with NULL"))),
            path => Ok(Pem::File(PathBuf::from(path))),
        })
    }

    /// Like [`Config::set_tls`], but with the PEM text itself. The caller wipes its own copy.
    pub fn set_tls_pem(&mut self, ca: Option<&[u8]>, cert: Option<&[u8]>, key: Option<&[u8]>) -> Result<()> {
        self.set_pems([ca, cert, key], |bytes, name| copy(bytes, name, PEM_BYTES).map(Pem::Bytes))
    }

    /// The password of an encrypted key. `None` if the key is not encrypted.
    pub fn set_tls_key_password(&mut self, password: Option<&[u8]>) -> Result<()> {
        let password = password.map(|bytes| copy(bytes, "password", PASSWORD_BYTES)).transpose()?;
        self.tls_mut()?.password = password;
        Ok(())
    }

    /// The name or IP address in the broker's certificate. `None`: that of the server.
    pub fn set_tls_server_name(&mut self, name: Option<&str>) -> Result<()> {
        if let Some(name) = name.filter(|name| name.parse::<IpAddr>().is_err()) {
            check_host(name).map_err(|why| Error::invalid(format!("server_name: {why}")))?;
        }
        self.tls_mut()?.server_name = name.map(str::to_owned);
        Ok(())
    }

    pub fn set_tls_check_name(&mut self, on: bool) -> Result<()> {
        self.tls_mut()?.check_name = on;
        Ok(())
    }

    /// The settings for a server at `ssl://`, otherwise `None`.
    pub(crate) fn tls(&self) -> Option<Tls> {
        let server = self.server.as_ref().filter(|server| server.tls)?;
        Some(Tls { settings: Arc::clone(&self.tls), host: server.host.clone() })
    }

    fn set_pems<T>(&mut self, pems: [Option<T>; 3], read: impl Fn(T, &str) -> Result<Pem>) -> Result<()> {
        let [ca, cert, key] = pems;
        let ca = ca.map(|ca| read(ca, "ca")).transpose()?;
        let identity = match (cert, key) {
            (Some(cert), Some(key)) => Some(ClientIdentity { cert: read(cert, "cert")?, key: read(key, "key")? }),
            (None, None) => None,
            (Some(_), None) => return Err(Error::invalid("cert is given, but key is not: they come together")),
            (None, Some(_)) => return Err(Error::invalid("key is given, but cert is not: they come together")),
        };
        let tls = self.tls_mut()?;
        (tls.ca, tls.identity) = (ca, identity);
        Ok(())
    }

    #[cfg(feature = "ota")]
    pub(crate) fn has_tls_settings(&self) -> bool {
        let TlsSettings { ca, identity, password, server_name, check_name } = &*self.tls;
        ca.is_some() || identity.is_some() || password.is_some() || server_name.is_some() || !check_name
    }

    fn tls_mut(&mut self) -> Result<&mut TlsSettings> {
        if !AVAILABLE {
            let words = "this build of libenos has no TLS; enos_features() tells";
            return Err(Error::new(Status::ENOS_ERR_UNSUPPORTED, words));
        }
        Ok(Arc::make_mut(&mut self.tls))
    }
}

/// Copies with one reservation: a vector that grows leaves a copy in freed memory.
fn copy(bytes: &[u8], name: &str, limit: usize) -> Result<Zeroizing<Vec<u8>>> {
    if bytes.is_empty() || bytes.len() > limit {
        return Err(Error::invalid(format!("{name} has {} bytes; it can have 1 to {limit}", bytes.len())));
    }
    let mut copy = Zeroizing::new(Vec::new());
    copy.try_reserve_exact(bytes.len())
        .map_err(|_| Error::new(Status::ENOS_ERR_NO_MEMORY, format!("no memory for a copy of {name}")))?;
    copy.extend_from_slice(bytes);
    Ok(copy)
}

#[cfg(all(test, feature = "tls"))]
mod tests {
    use super::*;

    fn words(result: Result<()>) -> String {
        let error = result.unwrap_err();
        assert_eq!(error.status, Status::ENOS_ERR_INVALID_ARG);
        error.message
    }

    #[test]
    fn certificate_and_key_come_together() {
        let mut config = Config::default();
        assert!(words(config.set_tls(None, Some("cert"), None)).contains("key is not"));
        assert!(words(config.set_tls(None, None, Some("key"))).contains("cert is not"));
        assert!(words(config.set_tls(Some(""), None, None)).contains("ca is an empty path"));
        assert!(words(config.set_tls_pem(None, Some(b""), Some(b"key"))).contains("cert has 0 bytes"));
        config.set_tls(Some("ca"), Some("cert"), Some("key")).unwrap();
        config.set_tls(None, None, None).unwrap();
        assert!(config.tls.ca.is_none() && config.tls.identity.is_none(), "the last call counts, whole");
    }

    #[test]
    fn a_server_name_is_a_name_or_an_address() {
        let mut config = Config::default();
        for name in ["broker", "broker.example.com.", "127.0.0.1", "::1"] {
            config.set_tls_server_name(Some(name)).unwrap();
        }
        for name in ["", "a b", "a..b", "1.2.3", "*.example.com"] {
            assert!(words(config.set_tls_server_name(Some(name))).starts_with("server_name: "), "{name}");
        }
        assert_eq!(config.tls.server_name.as_deref(), Some("::1"), "a refusal changes nothing");
        config.set_tls_server_name(None).unwrap();
        assert_eq!(config.tls.server_name, None);
    }

    #[test]
    fn only_ssl_has_it() {
        let mut config = Config::default();
        config.set_server("tcp://broker").unwrap();
        assert!(config.tls().is_none());
        config.set_server("ssl://broker").unwrap();
        assert!(config.tls().is_some_and(|tls| tls.host == "broker" && tls.settings.check_name));
    }

    #[test]
    fn passwords_have_a_limit() {
        let mut config = Config::default();
        assert!(words(config.set_tls_key_password(Some(b""))).contains("password has 0 bytes"));
        assert!(words(config.set_tls_key_password(Some(&[b'x'; 1025]))).contains("1 to 1024"));
        config.set_tls_key_password(Some(&[b'x'; 1024])).unwrap();
    }
}
