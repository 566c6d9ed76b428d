//! The images that are served, and where.

use serde_json::Value;
use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{FileUrl, Firmware, Offer};

/// The images of a cloud.
#[derive(Debug, Default)]
pub struct Depot {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// By path.
    images: HashMap<String, Arc<Firmware>>,
    /// The name that URLs have, in place of an address.
    host: Option<String>,
    http: Option<SocketAddr>,
    https: Option<SocketAddr>,
}

impl Depot {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an image, or replaces the one of its version.
    pub fn put(&self, firmware: Firmware) {
        self.lock().images.insert(Firmware::path(firmware.version()), Arc::new(firmware));
    }

    /// The image that is served at this path.
    pub fn at(&self, path: &str) -> Option<Arc<Firmware>> {
        self.lock().images.get(path).cloned()
    }

    pub fn of(&self, version: &str) -> Option<Arc<Firmware>> {
        self.at(&Firmware::path(version))
    }

    /// The ports are open.
    pub fn opened(&self, host: Option<String>, http: SocketAddr, https: Option<SocketAddr>) {
        let mut inner = self.lock();
        (inner.host, inner.http, inner.https) = (host, Some(http), https);
    }

    /// The scheme and host of a port; empty if it is not open. `local` is the address at which a device has found the
    /// cloud: a port may be open on all addresses.
    pub fn base(&self, url: &FileUrl, local: Option<IpAddr>) -> String {
        let inner = self.lock();
        let (scheme, address) = match url {
            FileUrl::Http => ("http", inner.http),
            FileUrl::Https => ("https", inner.https),
            FileUrl::Relative | FileUrl::Other(_) => return String::new(),
        };
        let Some(mut address) = address else { return String::new() };
        if let Some(host) = &inner.host {
            return format!("{scheme}://{host}:{}", address.port());
        }
        if address.ip().is_unspecified() {
            address.set_ip(local.unwrap_or(IpAddr::from([127, 0, 0, 1])));
        }
        format!("{scheme}://{address}")
    }

    /// What a device is told of an offer.
    pub fn params(&self, offer: &Offer, task: u64, local: Option<IpAddr>) -> Value {
        let image = self.of(&offer.version);
        offer.params(image.as_deref(), task, |url| self.base(url, local))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_of_a_url() {
        let depot = Depot::default();
        assert_eq!(depot.base(&FileUrl::Http, None), "");
        let (one, all) = ("127.0.0.1:81".parse().unwrap(), "0.0.0.0:82".parse().unwrap());
        depot.opened(None, one, Some(all));
        let local = Some(IpAddr::from([10, 0, 0, 7]));
        assert_eq!(depot.base(&FileUrl::Http, local), "http://127.0.0.1:81");
        assert_eq!(depot.base(&FileUrl::Https, local), "https://10.0.0.7:82");
        depot.opened(Some("localhost".into()), one, None);
        assert_eq!(depot.base(&FileUrl::Http, local), "http://localhost:81");
        assert_eq!((depot.base(&FileUrl::Https, local), depot.base(&FileUrl::Relative, local)), Default::default());
    }
}
