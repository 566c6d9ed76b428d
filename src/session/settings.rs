//! What a session is made from.

use super::connection::BudgetLimits;
use super::outbox::OutboxSettings;
use crate::protocol::{Identity, Secret, SignMethod};

#[derive(Clone, Debug)]
pub struct Settings {
    pub identity: Identity,
    pub device_secret: Option<Secret>,
    pub product_secret: Option<Secret>,
    /// `None` is AUTO: HMACSHA1, then SHA1 when that is refused.
    pub sign_method: Option<SignMethod>,
    pub reactivation: bool,
    pub connect_timeout_ms: u64,
    pub activation_timeout_ms: u64,
    pub reply_timeout_ms: u64,
    /// Both 0: an unplanned loss is not retried.
    pub reconnect_min_ms: u64,
    pub reconnect_max_ms: u64,
    pub budget: BudgetLimits,
    /// How many calls may be accepted and not yet have their outcome.
    pub inflight: u32,
    /// `None`: there is no storage to keep messages in.
    pub outbox: Option<OutboxSettings>,
}
