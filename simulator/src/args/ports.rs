//! The options for ports with TLS and HTTP.

use enos_sim::{ca::Files, Config, HttpConfig, TlsConfig, TlsVersion};
use std::{
    net::{SocketAddr, ToSocketAddrs},
    path::PathBuf,
};

use super::one_of;

/// The options for TLS.
#[derive(Default)]
pub struct Tls {
    listen: Option<SocketAddr>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    client_ca: Option<PathBuf>,
    pub require_client_certificate: bool,
    min: Option<TlsVersion>,
    max: Option<TlsVersion>,
}

const NEEDED: &str = "TLS needs --tls-cert and --tls-key; \"enos-sim ca DIR\" makes both";

impl Tls {
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "tls-listen" => self.listen = Some(address(value)?),
            "tls-cert" => self.certificate = Some(value.into()),
            "tls-key" => self.key = Some(value.into()),
            "tls-client-ca" => self.client_ca = Some(value.into()),
            "tls-min" => self.min = Some(one_of(value, &TlsVersion::ALL)?),
            "tls-max" => self.max = Some(one_of(value, &TlsVersion::ALL)?),
            _ => return Err("unknown option".into()),
        }
        Ok(())
    }

    /// None: there was no option for TLS.
    pub fn config(self) -> Result<Option<TlsConfig>, String> {
        let (certificate, key) = match (self.certificate, self.key) {
            (Some(certificate), Some(key)) => (certificate, key),
            (None, None) if !self.require_client_certificate => match (self.listen, self.client_ca, self.min, self.max)
            {
                (None, None, None, None) => return Ok(None),
                _ => return Err(NEEDED.into()),
            },
            _ => return Err(NEEDED.into()),
        };
        let defaults = TlsConfig::new(Files { certificate, key });
        Ok(Some(TlsConfig {
            listen: self.listen.unwrap_or(defaults.listen),
            client_ca: self.client_ca,
            require_client_certificate: self.require_client_certificate,
            min: self.min.unwrap_or(defaults.min),
            max: self.max.unwrap_or(defaults.max),
            ..defaults
        }))
    }
}

/// The options for the HTTP ports.
#[derive(Default)]
pub struct Http {
    listen: Option<SocketAddr>,
    tls: Option<SocketAddr>,
    host: Option<String>,
}

impl Http {
    pub fn set(&mut self, name: &str, value: String) -> Result<(), String> {
        match name {
            "http" => self.listen = Some(port(&value)?),
            "https" => self.tls = Some(port(&value)?),
            "http-host" => self.host = Some(value),
            _ => return Err("unknown option".into()),
        }
        Ok(())
    }

    /// None: there is nothing to serve.
    pub fn config(self, config: &Config) -> Result<Option<HttpConfig>, String> {
        if config.firmware.is_empty() && self.listen.is_none() && self.tls.is_none() {
            return Ok(None);
        }
        let tls = match (self.tls, &config.tls) {
            (None, _) => None,
            (Some(_), None) => return Err("--https needs --tls-cert and --tls-key".into()),
            (Some(listen), Some(tls)) => {
                Some(TlsConfig { listen, client_ca: None, require_client_certificate: false, ..tls.clone() })
            }
        };
        let listen = self.listen.unwrap_or(HttpConfig::default().listen);
        Ok(Some(HttpConfig { listen, tls, host: self.host }))
    }
}

/// `[ADDRESS:]PORT`
fn port(value: &str) -> Result<SocketAddr, String> {
    match value.parse::<u16>() {
        Ok(port) => Ok(SocketAddr::from(([127, 0, 0, 1], port))),
        Err(_) => address(value),
    }
}

pub fn address(value: &str) -> Result<SocketAddr, String> {
    let mut addresses = value.to_socket_addrs().map_err(|error| format!("\"{value}\": {error}"))?;
    addresses.next().ok_or_else(|| "no such address".into())
}
