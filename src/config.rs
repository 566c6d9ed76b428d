//! The settings of a client. Each setter checks its own values, and [`Config::check`] checks them together.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::error::{Error, Result, Status};
use crate::model::sign::SignMethod;
use crate::protocol::{firmware, topic, Identity, Secret};
use crate::storage::queue::QueueLimits;
use crate::storage::vtable::HostStorage;
use crate::transport::tls::TlsSettings;

mod server;
mod tls;

pub use server::Server;

/// EnOS documents heartbeats of 60 to 300 s. A shorter one keeps the entry in a NAT with a short timeout alive, and
/// 1200 is the maximum in Envision's C SDK.
const KEEP_ALIVE_S: RangeInclusive<u32> = 10..=1200;
const TIMEOUT_MS: RangeInclusive<u32> = 100..=600_000;
const RECONNECT_MS: RangeInclusive<u32> = 100..=3_600_000;
const BUDGET_CONNECTS: RangeInclusive<u32> = 0..=16;
const BUDGET_WINDOW_MS: RangeInclusive<u32> = 1000..=3_600_000;
const BUDGET_SPACING_MS: RangeInclusive<u32> = 0..=60_000;
const INFLIGHT: RangeInclusive<u32> = 1..=10_000;
const SUBSCRIBE_BATCH: RangeInclusive<u32> = 1..=256;
const INBOUND_MESSAGES: RangeInclusive<u32> = 1..=1_000_000;
const INBOUND_BYTES: RangeInclusive<usize> = 1024..=1 << 30;
/// The limit of MQTT is 256 MiB - 1.
const MAX_MESSAGE: RangeInclusive<usize> = 1024..=(1 << 28) - 1;
const OUTBOX_MESSAGES: RangeInclusive<u32> = 1..=1_000_000_000;
const OUTBOX_BYTES: RangeInclusive<u64> = 4096..=1 << 40;
const OUTBOX_RATE: RangeInclusive<u32> = 1000..=1_000_000_000;
/// EnOS waits 1 to 60 seconds for an answer.
const COMMAND_TIMEOUT_MS: RangeInclusive<u32> = 500..=60_000;
const SUBDEVICES: RangeInclusive<u32> = 1..=10_000;
const SUBDEVICE_BATCH: RangeInclusive<u32> = 1..=1_000;
const FIRMWARE_VERSION_BYTES: RangeInclusive<usize> = 1..=firmware::MAX_TEXT;
const JOIN_MS: RangeInclusive<u32> = 0..=10_000;
const COMMANDS: RangeInclusive<u32> = 1..=10_000;
const COMMAND_BYTES: RangeInclusive<usize> = 1024..=1 << 30;
/// A Linux interface name takes 16 bytes with its NUL (IFNAMSIZ).
const INTERFACE_BYTES: RangeInclusive<usize> = 1..=15;

/// At most `connects` CONNECTs in `window_ms`, at least `spacing_ms` apart. If `connects` is 0, their number is not
/// limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    pub connects: u32,
    pub window_ms: u32,
    pub spacing_ms: u32,
}

/// How many durable messages are stored, and how fast they are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outbox {
    pub limits: QueueLimits,
    /// 0: no limit.
    pub bytes_per_s: u32,
}

/// How commands are handed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commands {
    /// How many the host may have, and how many bytes they may take.
    pub limit: u32,
    pub bytes: usize,
    pub timeout_ms: u32,
    /// Services with a timeout of their own.
    pub services: Vec<(String, u32)>,
    /// How long they are refused after a login.
    pub quiet_ms: u32,
    /// Those without an answer are stored.
    pub remembers: bool,
}

/// The sub-devices of a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subdevices {
    /// How many may be online.
    pub limit: u32,
    /// How many log in with one request.
    pub batch: u32,
    /// How long posts that are to be joined wait for others.
    pub join_ms: u32,
}

/// The settings of a client. Clones share the storage. Each clone wipes its own secrets when it is dropped.
#[derive(Clone)]
pub struct Config {
    pub(crate) server: Option<Server>,
    /// With the client id.
    pub(crate) identity: Option<Identity>,
    /// The argument of [`Config::set_client_id`]. It is kept because [`Config::set_identity`] may be called later.
    client_id: Option<String>,
    pub(crate) device_secret: Option<Secret>,
    pub(crate) product_secret: Option<Secret>,
    /// The integration channel that is used instead of a device, and the product secret.
    pub(crate) channel: Option<(Identity, Secret)>,
    /// `None` means AUTO.
    pub(crate) sign_method: Option<SignMethod>,
    pub(crate) storage: Option<Arc<HostStorage>>,
    pub(crate) keep_alive_s: u32,
    pub(crate) connect_timeout_ms: u32,
    pub(crate) activation_timeout_ms: u32,
    /// If both are 0, an unplanned loss is not followed by a retry.
    pub(crate) reconnect_min_ms: u32,
    pub(crate) reconnect_max_ms: u32,
    pub(crate) reactivation: bool,
    pub(crate) budget: Budget,
    pub(crate) reply_timeout_ms: u32,
    pub(crate) inflight: u32,
    pub(crate) subscribe_batch: u32,
    pub(crate) inbound_messages: u32,
    pub(crate) inbound_bytes: usize,
    pub(crate) max_message: usize,
    pub(crate) bind_interface: Option<String>,
    pub(crate) outbox: Outbox,
    pub(crate) commands: Commands,
    pub(crate) subdevices: Subdevices,
    pub(crate) firmware_version: Option<String>,
    pub(crate) tls: Arc<TlsSettings>,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            server: None,
            identity: None,
            client_id: None,
            device_secret: None,
            product_secret: None,
            channel: None,
            sign_method: None,
            storage: None,
            keep_alive_s: 60,
            connect_timeout_ms: 30_000,
            activation_timeout_ms: 30_000,
            reconnect_min_ms: 1000,
            reconnect_max_ms: 120_000,
            reactivation: true,
            // EnOS blocks a device for 5 minutes at the 4th CONNECT in 2 minutes, and allows one per second.
            budget: Budget { connects: 3, window_ms: 125_000, spacing_ms: 1100 },
            reply_timeout_ms: 30_000,
            inflight: 100,
            subscribe_batch: 100,
            inbound_messages: 1000,
            inbound_bytes: 4 << 20,
            max_message: 1 << 20,
            bind_interface: None,
            // EnOS accepts 1 MB per second from a device.
            outbox: Outbox {
                limits: QueueLimits { messages: 100_000, bytes: 64 << 20, drop_oldest: false },
                bytes_per_s: 1_000_000,
            },
            // EnOS documents that a gateway may have 200 online.
            subdevices: Subdevices { limit: 200, batch: 100, join_ms: 50 },
            firmware_version: None,
            commands: Commands {
                limit: 64,
                bytes: 1 << 20,
                timeout_ms: 25_000,
                services: Vec::new(),
                quiet_ms: 0,
                remembers: true,
            },
            tls: Arc::default(),
        }
    }
}

impl Config {
    pub fn set_server(&mut self, uri: &str) -> Result<()> {
        self.server = Some(Server::parse(uri)?);
        Ok(())
    }

    pub fn set_identity(&mut self, product_key: &str, device_key: &str) -> Result<()> {
        self.identity = Some(Identity::new(product_key, device_key, self.client_id.as_deref())?);
        Ok(())
    }

    /// Can be called before or after [`Config::set_identity`].
    pub fn set_client_id(&mut self, client_id: &str) -> Result<()> {
        let (product_key, device_key) =
            self.identity.as_ref().map_or(("-", "-"), |known| (known.product_key(), known.device_key()));
        let checked = Identity::new(product_key, device_key, Some(client_id))?;
        if self.identity.is_some() {
            self.identity = Some(checked);
        }
        self.client_id = Some(client_id.to_owned());
        Ok(())
    }

    pub fn set_device_secret(&mut self, secret: &[u8]) -> Result<()> {
        self.device_secret = Some(named_secret("device", secret)?);
        Ok(())
    }

    pub fn set_product_secret(&mut self, secret: &[u8]) -> Result<()> {
        self.product_secret = Some(named_secret("product", secret)?);
        Ok(())
    }

    pub fn set_integration_channel(&mut self, product_key: &str, secret: &[u8]) -> Result<()> {
        self.channel = Some((Identity::channel(product_key)?, named_secret("product", secret)?));
        Ok(())
    }

    pub fn set_sign_method(&mut self, method: Option<SignMethod>) {
        self.sign_method = method;
    }

    pub fn set_storage(&mut self, storage: Arc<HostStorage>) {
        self.storage = Some(storage);
    }

    pub fn set_keep_alive(&mut self, seconds: u32) -> Result<()> {
        self.keep_alive_s = in_range("keep_alive", seconds, KEEP_ALIVE_S, "seconds")?;
        Ok(())
    }

    pub fn set_connect_timeout(&mut self, ms: u32) -> Result<()> {
        self.connect_timeout_ms = in_range("connect_timeout", ms, TIMEOUT_MS, "ms")?;
        Ok(())
    }

    pub fn set_activation_timeout(&mut self, ms: u32) -> Result<()> {
        self.activation_timeout_ms = in_range("activation_timeout", ms, TIMEOUT_MS, "ms")?;
        Ok(())
    }

    pub fn set_reconnect(&mut self, min_ms: u32, max_ms: u32) -> Result<()> {
        if (min_ms, max_ms) != (0, 0) {
            in_range("reconnect min_ms", min_ms, RECONNECT_MS, "ms (or 0,0: no retry)")?;
            in_range("reconnect max_ms", max_ms, min_ms..=*RECONNECT_MS.end(), "ms, and not less than min_ms")?;
        }
        (self.reconnect_min_ms, self.reconnect_max_ms) = (min_ms, max_ms);
        Ok(())
    }

    pub fn set_reactivation(&mut self, on: bool) {
        self.reactivation = on;
    }

    pub fn set_connect_budget(&mut self, connects: u32, window_ms: u32, spacing_ms: u32) -> Result<()> {
        in_range("connect_budget connects", connects, BUDGET_CONNECTS, "(0: no limit)")?;
        if connects > 0 {
            in_range("connect_budget window_ms", window_ms, BUDGET_WINDOW_MS, "ms")?;
        }
        in_range("connect_budget spacing_ms", spacing_ms, BUDGET_SPACING_MS, "ms")?;
        self.budget = Budget { connects, window_ms, spacing_ms };
        Ok(())
    }

    pub fn set_reply_timeout(&mut self, ms: u32) -> Result<()> {
        self.reply_timeout_ms = in_range("reply_timeout", ms, TIMEOUT_MS, "ms")?;
        Ok(())
    }

    pub fn set_inflight(&mut self, messages: u32) -> Result<()> {
        self.inflight = in_range("inflight", messages, INFLIGHT, "messages")?;
        Ok(())
    }

    pub fn set_subscribe_batch(&mut self, filters: u32) -> Result<()> {
        self.subscribe_batch = in_range("subscribe_batch", filters, SUBSCRIBE_BATCH, "filters")?;
        Ok(())
    }

    pub fn set_queue_limits(&mut self, inbound_messages: u32, inbound_bytes: usize) -> Result<()> {
        in_range("inbound_messages", inbound_messages, INBOUND_MESSAGES, "messages")?;
        in_range("inbound_bytes", inbound_bytes, INBOUND_BYTES, "bytes")?;
        (self.inbound_messages, self.inbound_bytes) = (inbound_messages, inbound_bytes);
        Ok(())
    }

    pub fn set_max_message(&mut self, bytes: usize) -> Result<()> {
        self.max_message = in_range("max_message", bytes, MAX_MESSAGE, "bytes")?;
        Ok(())
    }

    pub fn set_bind_interface(&mut self, name: &str) -> Result<()> {
        in_range("the length of bind_interface", name.len(), INTERFACE_BYTES, "bytes")?;
        // The kernel refuses these names (dev_valid_name).
        if name == "."
            || name == ".."
            || name.contains(|c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control())
        {
            return Err(Error::invalid("bind_interface is not a name that an interface can have, such as eth0"));
        }
        self.bind_interface = Some(name.to_owned());
        Ok(())
    }

    pub fn set_firmware_version(&mut self, version: &str) -> Result<()> {
        in_range("the length of version", version.len(), FIRMWARE_VERSION_BYTES, "bytes")?;
        if version.contains(char::is_control) {
            return Err(Error::invalid("version has a control character"));
        }
        self.firmware_version = Some(version.to_owned());
        Ok(())
    }

    pub fn set_outbox_limits(&mut self, messages: u32, bytes: u64, drop_oldest: bool) -> Result<()> {
        in_range("outbox messages", messages, OUTBOX_MESSAGES, "messages")?;
        in_range("outbox bytes", bytes, OUTBOX_BYTES, "bytes")?;
        self.outbox.limits = QueueLimits { messages: messages.into(), bytes, drop_oldest };
        Ok(())
    }

    pub fn set_outbox_rate(&mut self, bytes_per_s: u32) -> Result<()> {
        if bytes_per_s > 0 {
            in_range("outbox rate", bytes_per_s, OUTBOX_RATE, "bytes per second (or 0: no limit)")?;
        }
        self.outbox.bytes_per_s = bytes_per_s;
        Ok(())
    }

    /// `service`: `None` for all that have no timeout of their own.
    pub fn set_command_timeout(&mut self, service: Option<&str>, ms: u32) -> Result<()> {
        in_range("command_timeout", ms, COMMAND_TIMEOUT_MS, "ms")?;
        let Some(service) = service else {
            self.commands.timeout_ms = ms;
            return Ok(());
        };
        topic::validate_level("service", service)?;
        match self.commands.services.iter_mut().find(|(name, _)| name == service) {
            Some((_, timeout_ms)) => *timeout_ms = ms,
            None => self.commands.services.push((service.to_owned(), ms)),
        }
        Ok(())
    }

    pub fn set_command_limits(&mut self, commands: u32, bytes: usize) -> Result<()> {
        in_range("the limit of commands", commands, COMMANDS, "commands")?;
        in_range("the limit of bytes of commands", bytes, COMMAND_BYTES, "bytes")?;
        (self.commands.limit, self.commands.bytes) = (commands, bytes);
        Ok(())
    }

    pub fn set_subdevice_limit(&mut self, subdevices: u32) -> Result<()> {
        self.subdevices.limit = in_range("the limit of sub-devices", subdevices, SUBDEVICES, "sub-devices")?;
        Ok(())
    }

    pub fn set_subdevice_batch(&mut self, subdevices: u32) -> Result<()> {
        self.subdevices.batch = in_range("subdevice_batch", subdevices, SUBDEVICE_BATCH, "sub-devices")?;
        Ok(())
    }

    pub fn set_join_time(&mut self, ms: u32) -> Result<()> {
        self.subdevices.join_ms = in_range("join_time", ms, JOIN_MS, "ms")?;
        Ok(())
    }

    pub fn set_command_quiet_time(&mut self, ms: u32) -> Result<()> {
        self.commands.quiet_ms = in_range("command_quiet_time", ms, 0..=*TIMEOUT_MS.end(), "ms")?;
        Ok(())
    }

    pub fn set_command_record(&mut self, on: bool) {
        self.commands.remembers = on;
    }

    /// Checks that a client can be made from this config. The error says which setter is missing.
    pub fn check(&self) -> Result<()> {
        if self.server.is_none() {
            return Err(missing("the config has no server: enos_config_set_server()"));
        }
        match self.channel {
            Some(_) => self.check_channel()?,
            None => self.check_device()?,
        }
        if self.max_message > self.inbound_bytes {
            return Err(missing(&format!(
                "max_message ({}) is more than inbound_bytes ({}): a message could never be queued",
                self.max_message, self.inbound_bytes
            )));
        }
        Ok(())
    }

    fn check_channel(&self) -> Result<()> {
        let of_device = [
            (self.identity.is_some(), "enos_config_set_identity()"),
            (self.client_id.is_some(), "enos_config_set_client_id()"),
            (self.device_secret.is_some(), "enos_config_set_device_secret()"),
            (self.product_secret.is_some(), "enos_config_set_product_secret()"),
            (self.firmware_version.is_some(), "enos_config_set_firmware_version()"),
        ];
        match of_device.into_iter().find(|(is_set, _)| *is_set) {
            Some((_, setter)) => Err(missing(&format!(
                "the config has an integration channel and {setter}, which is for a device; a client is one of the two"
            ))),
            None => Ok(()),
        }
    }

    fn check_device(&self) -> Result<()> {
        if self.identity.is_none() {
            return Err(missing(
                "the config has no product key and device key: enos_config_set_identity(), or \
                 enos_config_set_integration_channel()",
            ));
        }
        match (&self.device_secret, &self.product_secret, &self.storage) {
            (Some(_), _, _) | (None, Some(_), Some(_)) => {}
            (None, Some(_), None) => {
                return Err(missing(
                    "the config has a product secret but no storage: the cloud sends the device secret only once, so \
                     it must be stored: enos_config_set_storage()",
                ))
            }
            (None, None, _) => {
                return Err(missing(
                    "the config has no secret: enos_config_set_device_secret(), or enos_config_set_product_secret() \
                     together with enos_config_set_storage()",
                ))
            }
        }
        Ok(())
    }
}

fn missing(words: &str) -> Error {
    Error::new(Status::ENOS_ERR_INVALID_ARG, words)
}

fn named_secret(whose: &str, secret: &[u8]) -> Result<Secret> {
    Secret::new(secret).map_err(|error| Error::new(error.status, format!("{whose} secret: {}", error.message)))
}

fn in_range<T: PartialOrd + Display>(name: &str, value: T, range: RangeInclusive<T>, unit: &str) -> Result<T> {
    if range.contains(&value) {
        return Ok(value);
    }
    let (least, most) = range.into_inner();
    Err(Error::invalid(format!("{name} is {value}; it can be {least} to {most} {unit}")))
}

#[cfg(test)]
mod tests;
