//! How often each part of the surroundings fails.

use super::FlashRates;

/// How often something goes wrong, in thousandths.
#[derive(Clone, Copy, Default)]
pub struct Rates {
    pub load_fails: u64,
    pub store_fails: u64,
    /// Failures of the records that are helpful but not necessary: the budget's stamps, and the accepted login.
    pub hint_fails: u64,
    pub connect_fails: u64,
    /// The CONNECT is sent late.
    pub connect_slow: u64,
    pub no_answer: u64,
    pub spurious_refusal: u64,
    pub push_lost: u64,
    pub push_twice: u64,
    pub push_forged: u64,
    /// An attacker is on the path for some time.
    pub attacked: u64,
    pub link_lost: u64,
    /// From some moment on, packets are lost in both directions. The keep-alive notices that much later.
    pub half_open: u64,
    pub no_reply: u64,
    /// The process is killed and started again.
    pub killed: u64,
    /// The board reboots.
    pub power_cut: u64,
    /// The host saves by hand the secrets of PERSIST_FAILED events, and confirms that some time later.
    pub host_saves: u64,
    pub host_disconnects: u64,
    /// The host ends its process in order: it destroys the client, unless that is refused.
    pub host_ends: u64,
    /// A storage call takes time. Everything that happens meanwhile waits, calls of other threads included.
    pub storage_slow: u64,
    pub clock_jumps: u64,
    /// The outbox's storage.
    pub flash: FlashRates,
    /// EnOS refuses some durable messages for good, and the broker closes the connection at some.
    pub poison: u64,
    pub deadly: u64,
    /// EnOS never answers some durable messages.
    pub mute: u64,
    /// A sub-device logs in, and out.
    pub logins: u64,
    pub logouts: u64,
    /// EnOS temporarily answers with errors.
    pub busy: u64,
    pub ack_lost: u64,
    /// A filter of a SUBSCRIBE is refused.
    pub filter_refused: u64,
}
