//! Requests of a gateway for its sub-devices, which are not simulated: they are refused as EnOS refuses a device that is
//! not a gateway.

use super::{Request, Verdict};

pub fn register(_: &mut Request) -> Verdict {
    Err((1009, "the device may not register others: it is not a gateway".to_owned()))
}

pub fn topo_add(_: &mut Request) -> Verdict {
    Err((1255, "the device is not a gateway".to_owned()))
}

pub fn topo_delete(_: &mut Request) -> Verdict {
    Err((1256, "the device is not a gateway".to_owned()))
}

pub fn topo_get(_: &mut Request) -> Verdict {
    Err((1200, "the device is not a gateway".to_owned()))
}

/// Logins and logouts.
pub fn combine(_: &mut Request) -> Verdict {
    Err((740, "the device is not a gateway, so no sub-device belongs to it".to_owned()))
}
