//! Firmware, and what becomes of it, as a person or a test sees them.

use openssl::ssl::SslContext;
use std::{fmt, io, net::TcpListener};

use super::{listen as bind, Cloud};
use crate::{
    config::{Config, HttpConfig},
    connection::Input,
    firmware::{FileUrl, Firmware, Offer, Task, TaskState},
    tls,
    web::{HttpRequest, Web},
    DeviceId,
};

/// Why a firmware was not offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfferError {
    /// There is no such device.
    Unknown,
    /// There is no image of this version.
    NoImage,
    /// The port for the URL is not open.
    NoPort,
}

impl fmt::Display for OfferError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            OfferError::Unknown => "the device is not registered",
            OfferError::NoImage => "there is no image of this version",
            OfferError::NoPort => "there is no such port for HTTP or HTTPS",
        })
    }
}

impl std::error::Error for OfferError {}

/// The sockets of the HTTP ports.
pub(super) struct Ports {
    plain: TcpListener,
    tls: Option<(TcpListener, SslContext)>,
    host: Option<String>,
}

pub(super) fn listen(config: &Config) -> io::Result<Option<Ports>> {
    let http = match &config.http {
        Some(http) => http.clone(),
        None if config.firmware.is_empty() => return Ok(None),
        None => HttpConfig::any_port(),
    };
    let tls = match &http.tls {
        Some(config) => Some((bind(config.listen)?, tls::context(config)?)),
        None => None,
    };
    Ok(Some(Ports { plain: bind(http.listen)?, tls, host: http.host }))
}

impl Cloud {
    /// Opens the HTTP ports, and makes the offers of the configuration.
    pub(super) fn open_depot(&mut self, ports: Option<Ports>) -> io::Result<()> {
        let shared = self.shared.clone();
        shared.config.firmware.iter().for_each(|firmware| shared.depot.put(firmware.clone()));
        if let Some(Ports { plain, tls, host }) = ports {
            let web = Web::start(&shared, plain, tls)?;
            shared.depot.opened(host, web.address, web.tls_address);
            self.web = Some(web);
        }
        shared.config.offers.iter().try_for_each(|(device, offer)| {
            let offered = self.offer(device, offer.clone());
            offered.map(drop).map_err(|error| {
                let reason = format!("the offer of {} to {device}: {error}", offer.version);
                io::Error::new(io::ErrorKind::InvalidInput, reason)
            })
        })
    }

    /// Serves an image, in place of the one of its version if there is one.
    pub fn add_firmware(&self, firmware: Firmware) {
        self.shared.depot.put(firmware);
    }

    /// Offers a firmware to a device; returns the number of the task. It is sent as `ota/device/upgrade` as soon as the
    /// device is online and has reported its version, and again after the next login if it was not answered. A
    /// sub-device is sent it through its gateway. An offer on request waits until the device asks for it. The states of
    /// the task are told as [`Event::Upgrade`](crate::Event::Upgrade).
    pub fn offer(&self, device: &DeviceId, offer: Offer) -> Result<u64, OfferError> {
        if self.device(device).is_none() {
            return Err(OfferError::Unknown);
        }
        if offer.needs_image() {
            if self.shared.depot.of(&offer.version).is_none() {
                return Err(OfferError::NoImage);
            }
            let needs_port = matches!(offer.url, FileUrl::Http | FileUrl::Https);
            if needs_port && self.shared.depot.base(&offer.url, None).is_empty() {
                return Err(OfferError::NoPort);
            }
        }
        let task = self.shared.add_task(device, &offer, Some(offer.clone()));
        // If it is offline, it is sent the offer after its next login.
        let _ = self.send(device, Input::Offers(device.clone()));
        Ok(task)
    }

    /// The offers to a device, the latest last, and their states. The latest 64 are remembered.
    pub fn tasks(&self, device: &DeviceId) -> Vec<Task> {
        self.thing(device).tasks
    }

    /// The state of a task.
    pub fn task(&self, device: &DeviceId, task: u64) -> Option<TaskState> {
        self.tasks(device).into_iter().find(|known| known.task == task).map(|known| known.state)
    }

    /// Cancels a task: further progress of the device is refused with 764. False if it is over. EnOS has no message
    /// that tells the device.
    pub fn cancel(&self, device: &DeviceId, task: u64) -> bool {
        self.shared.change_task(None, device, task, TaskState::Cancelled)
    }

    /// The requests to the HTTP ports, in order. The latest 10,000 are remembered.
    pub fn http_requests(&self) -> Vec<HttpRequest> {
        self.shared.requests.all()
    }

    pub fn forget_http_requests(&self) {
        self.shared.requests.forget();
    }

    /// The URL of the plain HTTP port, without a path; a path is that of [`Firmware::path`].
    pub fn http_url(&self) -> Option<String> {
        self.url(&FileUrl::Http)
    }

    /// The same for the port with TLS.
    pub fn https_url(&self) -> Option<String> {
        self.url(&FileUrl::Https)
    }

    fn url(&self, port: &FileUrl) -> Option<String> {
        let base = self.shared.depot.base(port, None);
        (!base.is_empty()).then_some(base)
    }
}
