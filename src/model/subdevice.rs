//! The states of sub-devices, and the flags with which they are added: the numbers, and their documentation for C.

/// Where a sub-device stands. Later versions may add states.
#[repr(C)]
#[allow(non_camel_case_types)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum enos_subdevice_state {
    /// The gateway is offline, or the sub-device is to be offline (enos_client_set_subdevice_online()), or it is the
    /// turn of others to log in.
    ENOS_SUBDEVICE_STATE_OFFLINE = 1,
    /// Its login with the product secret is under way, or the device secret has arrived and is being stored.
    ENOS_SUBDEVICE_STATE_ACTIVATING = 2,
    /// Its login is under way.
    ENOS_SUBDEVICE_STATE_LOGGING_IN = 3,
    /// It is logged in: send its requests from here on.
    ENOS_SUBDEVICE_STATE_ONLINE = 4,
    /// EnOS has refused its login, or has not answered. The library tries again.
    ENOS_SUBDEVICE_STATE_REFUSED = 5,
    /// EnOS has disabled it (combine/disable). The library tries one login after each login of the gateway, and logs it
    /// in when EnOS enables it (combine/enable).
    ENOS_SUBDEVICE_STATE_DISABLED = 6,
    /// EnOS has deleted it (combine/delete). It logs in again only if EnOS enables it, or if you ask for it with
    /// enos_client_set_subdevice_online().
    ENOS_SUBDEVICE_STATE_DELETED = 7,
}

/// The name under which Rust code knows [`enos_subdevice_state`].
pub use enos_subdevice_state as SubdeviceState;

super::named!(SubdeviceState, "ENOS_SUBDEVICE_STATE_" {
    Offline = ENOS_SUBDEVICE_STATE_OFFLINE,
    Activating = ENOS_SUBDEVICE_STATE_ACTIVATING,
    LoggingIn = ENOS_SUBDEVICE_STATE_LOGGING_IN,
    Online = ENOS_SUBDEVICE_STATE_ONLINE,
    Refused = ENOS_SUBDEVICE_STATE_REFUSED,
    Disabled = ENOS_SUBDEVICE_STATE_DISABLED,
    Deleted = ENOS_SUBDEVICE_STATE_DELETED,
});

/// How a sub-device is added: the bits of a uint32_t.
#[repr(C)]
#[allow(non_camel_case_types)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum enos_subdevice_flags {
    /// If EnOS refuses its first login because it is not in the gateway's topology (code 740), the library adds it,
    /// once.
    ENOS_SUBDEVICE_ADD_TOPOLOGY = 1,
    /// It is not logged in until enos_client_set_subdevice_online().
    ENOS_SUBDEVICE_OFFLINE = 2,
}

/// The name under which Rust code knows [`enos_subdevice_flags`].
pub use enos_subdevice_flags as SubdeviceFlag;

impl SubdeviceFlag {
    pub const KNOWN: u32 =
        SubdeviceFlag::ENOS_SUBDEVICE_ADD_TOPOLOGY as u32 | SubdeviceFlag::ENOS_SUBDEVICE_OFFLINE as u32;

    pub fn is_in(self, flags: u32) -> bool {
        flags & self as u32 != 0
    }
}
