//! The flags of a request: their numbers, and their documentation for C.

/// How a message is sent: the bits of a uint32_t.
#[repr(C)]
#[allow(non_camel_case_types)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum enos_request_flags {
    /// The message is in your storage before the call returns. It is sent until it is acknowledged, across outages and
    /// restarts: see the chapter on the outbox. QoS 1 only.
    ENOS_REQUEST_DURABLE = 1,
    /// With ENOS_REQUEST_DURABLE: the message stays in the outbox until EnOS has answered 200, and its outcome is
    /// REPLY. Without this flag the message is completed when the broker has acknowledged it (DELIVERED), whatever EnOS
    /// answers.
    ENOS_REQUEST_UNTIL_REPLY = 2,
    /// With ENOS_REQUEST_DURABLE, for posts of measure points: if the post is sent on a later link than the one on
    /// which it was accepted, after an outage or a restart, it is sent to thing/measurepoint/resume (a batch to
    /// thing/measurepoint/resume/batch). EnOS stores it, but does not take it for the latest value.
    ENOS_REQUEST_RESUME = 4,
    /// With ENOS_REQUEST_DURABLE, for posts of measure points, events and log records: the post may have no "time", and
    /// neither may the items of a batch of measure points. EnOS takes the time of arrival.
    ENOS_REQUEST_WITHOUT_TIME = 8,
    /// For the same posts but not for batches, on a board whose clock is not set yet: if the post has no "time", it
    /// gets the time of this call. If the clock is before 2020, the post waits until the clock is set, and later
    /// messages wait behind it. After a reboot the time of the call cannot be computed any more, and the post is sent
    /// without a time.
    ENOS_REQUEST_STAMP = 16,
    /// For ENOS_OP_SUBDEVICE_REGISTER: the device secrets in the reply are kept in your storage, as if each device had
    /// been activated. The REPLY comes when the storage has been tried for each. See the chapter on sub-devices.
    ENOS_REQUEST_KEEP_SECRETS = 32,
    /// For ENOS_OP_MEASUREPOINT_POST without ENOS_REQUEST_DURABLE: the post may go in one message with those of other
    /// devices of the gateway. See the chapter on sub-devices.
    ENOS_REQUEST_JOIN = 64,
    /// For a batch of measure points (ENOS_OP_MEASUREPOINT_POST_BATCH, _RESUME_BATCH, and with ENOS_REQUEST_JOIN): the
    /// items of sub-devices that are offline are taken as well. EnOS refuses the whole batch otherwise.
    ENOS_REQUEST_ALLOW_OFFLINE_SUBDEVICE = 0x100,
    /// For a batch of measure points: EnOS takes what is valid, and leaves out the rest. It refuses the whole batch
    /// otherwise.
    ENOS_REQUEST_SKIP_INVALID_POINTS = 0x200,
}

/// The name under which Rust code knows [`enos_request_flags`].
pub use enos_request_flags as Flag;

impl Flag {
    pub const KNOWN: u32 = Flag::ENOS_REQUEST_DURABLE as u32
        | Flag::ENOS_REQUEST_UNTIL_REPLY as u32
        | Flag::ENOS_REQUEST_RESUME as u32
        | Flag::ENOS_REQUEST_WITHOUT_TIME as u32
        | Flag::ENOS_REQUEST_STAMP as u32
        | Flag::LIVE
        | Flag::MEMBERS;
    /// Those of requests that are not durable.
    pub const LIVE: u32 = Flag::ENOS_REQUEST_KEEP_SECRETS as u32 | Flag::ENOS_REQUEST_JOIN as u32;
    /// Those that become members of the message.
    pub const MEMBERS: u32 =
        Flag::ENOS_REQUEST_ALLOW_OFFLINE_SUBDEVICE as u32 | Flag::ENOS_REQUEST_SKIP_INVALID_POINTS as u32;

    pub fn is_in(self, flags: u32) -> bool {
        flags & self as u32 != 0
    }
}
