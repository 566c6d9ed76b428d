//! The settings of a session.

use super::connection::BudgetLimits;
use super::outbox::OutboxSettings;
use crate::protocol::{Identity, Secret, SignMethod};

#[derive(Clone, Debug)]
pub struct Settings {
    pub identity: Identity,
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
    /// `None`: there is no storage to keep messages in.
    pub outbox: Option<OutboxSettings>,
}
