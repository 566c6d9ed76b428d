//! The settings of a session.

use crate::model::sign::SignMethod;
use crate::protocol::{Identity, Secret, Totals};

/// How commands are handed over. The default hands none over.
#[derive(Clone, Debug, Default)]
pub struct CommandSettings {
    /// How many the host may have, and how many bytes they and the answers may take.
    pub limit: usize,
    pub bytes: usize,
    pub timeout_ms: u64,
    /// The services with a timeout of their own.
    pub services: Vec<(String, u64)>,
    /// How long commands are refused after a login.
    pub quiet_ms: u64,
    /// Those without an answer are stored, to be known after a restart.
    pub remembers: bool,
}

/// The sub-devices of a gateway.
#[derive(Clone, Copy, Debug)]
pub struct SubdeviceSettings {
    /// How many may be online.
    pub limit: usize,
    /// How many log in with one request.
    pub batch: usize,
    /// How long posts that are to be joined wait for others.
    pub join_ms: u64,
}

#[derive(Clone, Debug)]
pub struct Settings {
    /// A device, or an integration channel.
    pub identity: Identity,
    /// The secret to log in with. Of an integration channel, it is the product secret.
    pub device_secret: Option<Secret>,
    pub product_secret: Option<Secret>,
    /// `None` is AUTO: HMACSHA1 first, and SHA1 if that is refused.
    pub sign_method: Option<SignMethod>,
    pub reactivation: bool,
    pub connect_timeout_ms: u64,
    pub activation_timeout_ms: u64,
    pub reply_timeout_ms: u64,
    /// Both 0: no retries.
    pub reconnect_min_ms: u64,
    pub reconnect_max_ms: u64,
    pub budget: BudgetLimits,
    /// How many accepted calls may be without their outcome.
    pub inflight: u32,
    /// How many filters a SUBSCRIBE packet may have.
    pub subscribe_batch: u32,
    pub commands: CommandSettings,
    pub subdevices: SubdeviceSettings,
    /// The version of the firmware that runs. `None`: the library does not report it.
    pub firmware_version: Option<Box<str>>,
    /// `None`: there is no storage to keep messages in.
    pub outbox: Option<OutboxSettings>,
}

/// At most `connects` in any `window_ms`, and `spacing_ms` from one to the next. `connects` 0: any number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetLimits {
    pub connects: u32,
    pub window_ms: u64,
    pub spacing_ms: u64,
}

#[derive(Clone, Copy, Debug)]
pub struct OutboxSettings {
    /// How many messages may be in flight.
    pub window: usize,
    /// The rate of all that is sent, live data included. 0: no limit.
    pub bytes_per_s: u64,
    /// For a reply, and for any acknowledgement of the broker.
    pub timeout_ms: u64,
    /// The number of this boot; 0 if it is not known.
    pub boot: u64,
    /// What the queue may hold.
    pub limits: Totals,
}
