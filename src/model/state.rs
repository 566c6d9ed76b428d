//! Where a client stands: the numbers, their documentation for C, and the names that the library uses.

/// Where a client stands.
#[repr(C)]
#[allow(non_camel_case_types)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum enos_state {
    /// Not connected, and nothing is under way.
    ENOS_STATE_IDLE = 0,
    /// Logging in with the product secret, or waiting for the device secret.
    ENOS_STATE_ACTIVATING = 1,
    /// The device secret has arrived and is being stored.
    ENOS_STATE_PERSISTING = 2,
    /// Reading the storage, or logging in as the device.
    ENOS_STATE_CONNECTING = 3,
    /// Connected as the device.
    ENOS_STATE_ONLINE = 4,
    /// Between two attempts, or closing the connection.
    ENOS_STATE_WAITING = 5,
}

/// The name under which Rust code knows [`enos_state`].
pub use enos_state as State;

super::named!(State, "ENOS_STATE_" {
    Idle = ENOS_STATE_IDLE,
    Activating = ENOS_STATE_ACTIVATING,
    Persisting = ENOS_STATE_PERSISTING,
    Connecting = ENOS_STATE_CONNECTING,
    Online = ENOS_STATE_ONLINE,
    Waiting = ENOS_STATE_WAITING,
});
