//! The one vocabulary of failure: a status that a program acts on, and words for a person.

use std::fmt;

/// What a call or an outcome came to. 0 is success, every error is negative; a retired number is never used again.
#[repr(C)]
#[allow(non_camel_case_types)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum enos_status_code {
    /// Done, or accepted.
    ENOS_OK = 0,
    /// A pointer that must not be NULL is NULL.
    ENOS_ERR_NULL_ARG = -1,
    /// An argument is out of its range; enos_last_error() names it and says why.
    ENOS_ERR_INVALID_ARG = -2,
    /// The caller's buffer is too small; the length written is the capacity needed, NUL included.
    ENOS_ERR_BUFFER_TOO_SMALL = -3,
    /// There is not enough memory.
    ENOS_ERR_NO_MEMORY = -4,
    /// The call does not fit the state that the object is in.
    ENOS_ERR_STATE = -5,
    /// The call is not legal inside a callback; nothing was done.
    ENOS_ERR_IN_CALLBACK = -6,
    /// The given time is over.
    ENOS_ERR_TIMEOUT = -7,
    /// What was asked for does not exist.
    ENOS_ERR_NOT_FOUND = -8,
    /// This build, or EnOS, does not support it.
    ENOS_ERR_UNSUPPORTED = -9,
    /// struct_size is smaller than version 0.1 of the struct, or the struct has fields set that this library does not
    /// know.
    ENOS_ERR_STRUCT_SIZE = -10,
    /// As many messages as the limit allows have no outcome yet, or are in the outbox; ENOS_EVENT_ROOM tells when to go
    /// on.
    ENOS_ERR_QUEUE_FULL = -11,
    /// Larger than a limit allows.
    ENOS_ERR_TOO_LARGE = -12,
    /// Not JSON, or not the message that was expected.
    ENOS_ERR_PARSE = -20,
    /// It is a message, but not an activation.
    ENOS_ERR_NOT_ACTIVATION = -21,
    /// The message or the record belongs to another device.
    ENOS_ERR_IDENTITY_MISMATCH = -22,
    /// The host's storage failed, or contains a damaged record.
    ENOS_ERR_STORAGE = -30,
    /// The client holds a device secret that is in no storage yet.
    ENOS_ERR_UNSAVED_SECRET = -31,
    /// A durable message can never succeed, and is a dead letter (enos_client_outbox_each()).
    ENOS_ERR_DEAD_LETTER = -32,
    /// A durable message was not sent, because a newer one of its kind says all that it would have said.
    ENOS_ERR_SUPERSEDED = -33,
    /// The network or the broker went away, or never answered.
    ENOS_ERR_NETWORK = -40,
    /// TLS: a certificate or key cannot be used, or the handshake failed. The words say why.
    ENOS_ERR_TLS = -41,
    /// The broker refused what the device signed with.
    ENOS_ERR_CREDENTIALS = -42,
    /// The broker refused the product secret: it is wrong, or the device is active already.
    ENOS_ERR_ACTIVATION_REFUSED = -43,
    /// The broker took the product secret, but sent no device secret in time.
    ENOS_ERR_ACTIVATION_TIMEOUT = -44,
    /// The peer broke the MQTT or the EnOS protocol.
    ENOS_ERR_PROTOCOL = -45,
    /// Another client is probably logged in as the same device: each login of the one ends the other's connection.
    ENOS_ERR_CONFLICT = -46,
    /// EnOS answered with a code other than 200, or the broker refused a subscription; detail_code is that code.
    ENOS_ERR_REFUSED = -47,
    /// A firmware was installed, and another version runs after the restart.
    ENOS_ERR_NOT_INSTALLED = -50,
    /// You have cancelled it.
    ENOS_ERR_CANCELLED = -51,
    /// The digest of a firmware's image is not the one that was offered.
    ENOS_ERR_DIGEST = -52,
    /// A fault of the library, caught at the boundary; the process goes on.
    ENOS_ERR_PANIC = -99,
}

/// The name under which Rust code knows [`enos_status_code`].
pub use enos_status_code as Status;

/// A failure: what to act on, and words that say what to do. The words never hold a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    pub status: Status,
    pub message: String,
}

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub fn new(status: Status, message: impl Into<String>) -> Self {
        Error { status, message: message.into() }
    }

    pub fn invalid(message: impl Into<String>) -> Self {
        Error::new(Status::ENOS_ERR_INVALID_ARG, message)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
