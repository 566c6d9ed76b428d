//! Sub-devices of a client.

use std::collections::BTreeMap;
use std::ffi::{c_void, CStr, CString};
use std::ptr::{null, null_mut};

use enos::internals::error::Status;
use enos::internals::ffi::subdevice::*;
use enos::internals::model::subdevice::SubdeviceFlag;

use super::{status, text, Client, Host};

pub use enos::internals::model::subdevice::enos_subdevice_state as SubState;

pub const SUB_PRODUCT: &str = "sub";
pub const SUB_SECRET: &str = "the-sub-s3cret";
pub const SUB_PRODUCT_SECRET: &str = "the-sub-product-s3cret";
pub const ADD_TOPOLOGY: u32 = SubdeviceFlag::ENOS_SUBDEVICE_ADD_TOPOLOGY as u32;
pub const OFFLINE: u32 = SubdeviceFlag::ENOS_SUBDEVICE_OFFLINE as u32;

/// The options of a sub-device, as [`enos_subdevice_options`].
#[derive(Clone, Debug)]
pub struct Sub {
    pub product_key: CString,
    pub device_key: CString,
    pub device_secret: Option<CString>,
    pub product_secret: Option<CString>,
    pub sign_method: i32,
    pub flags: u32,
    pub user: usize,
}

impl Sub {
    /// With a device secret.
    pub fn new(device_key: &str) -> Sub {
        Sub {
            device_secret: Some(CString::new(SUB_SECRET).unwrap()),
            product_secret: None,
            ..Sub::unactivated(device_key)
        }
    }

    /// With the product secret alone.
    pub fn unactivated(device_key: &str) -> Sub {
        Sub {
            product_key: CString::new(SUB_PRODUCT).unwrap(),
            device_key: CString::new(device_key).unwrap(),
            device_secret: None,
            product_secret: Some(CString::new(SUB_PRODUCT_SECRET).unwrap()),
            sign_method: 0,
            flags: 0,
            user: 0,
        }
    }

    pub fn as_c(&self) -> enos_subdevice_options {
        let secret = |secret: &Option<CString>| {
            secret.as_deref().map_or((null(), 0), |secret| (secret.as_ptr(), secret.to_bytes().len()))
        };
        let (device_secret, device_secret_len) = secret(&self.device_secret);
        let (product_secret, product_secret_len) = secret(&self.product_secret);
        enos_subdevice_options {
            struct_size: size_of::<enos_subdevice_options>(),
            product_key: self.product_key.as_ptr(),
            device_key: self.device_key.as_ptr(),
            client_id: null(),
            device_secret,
            device_secret_len,
            product_secret,
            product_secret_len,
            sign_method: self.sign_method,
            flags: self.flags,
            user: std::ptr::without_provenance_mut(self.user),
        }
    }
}

// Every SAFETY below: the handle is valid until the host destroys it; structs and texts live across the call.
#[allow(clippy::undocumented_unsafe_blocks)]
impl Client {
    pub fn add_subdevices(self, subs: &[Sub]) -> Result<Vec<u64>, Status> {
        let options: Vec<_> = subs.iter().map(Sub::as_c).collect();
        self.add_subdevices_c(&options)
    }

    pub fn add_subdevices_c(self, options: &[enos_subdevice_options]) -> Result<Vec<u64>, Status> {
        let mut ids = vec![0; options.len()];
        match status(unsafe { enos_client_add_subdevices(self.0, options.as_ptr(), options.len(), ids.as_mut_ptr()) }) {
            Status::ENOS_OK => Ok(ids),
            status => Err(status),
        }
    }

    pub fn set_subdevice_online(self, id: u64, on: bool) -> Status {
        status(unsafe { enos_client_set_subdevice_online(self.0, id, on.into()) })
    }

    pub fn remove_subdevice(self, id: u64) -> Status {
        status(unsafe { enos_client_remove_subdevice(self.0, id) })
    }

    pub fn subdevice_saved(self, id: u64) -> Status {
        status(unsafe { enos_client_subdevice_saved(self.0, id) })
    }

    /// A state, or a negative status.
    pub fn subdevice_state(self, id: u64) -> i32 {
        unsafe { enos_client_subdevice_state(self.0, id) }
    }

    /// Id, device key, state and user of each, until `look` returns false.
    pub fn subdevices(self, mut look: impl FnMut(u64, &str, i32, usize) -> bool) {
        unsafe extern "C" fn show(ctx: *mut c_void, subdevice: *const enos_subdevice) -> i32 {
            let (look, one) =
                unsafe { (&mut *ctx.cast::<&mut dyn FnMut(u64, &str, i32, usize) -> bool>(), &*subdevice) };
            let key = text(one.device_key);
            i32::from(!look(one.id, &key, one.state, one.user.addr()))
        }
        let mut look: &mut dyn FnMut(u64, &str, i32, usize) -> bool = &mut look;
        let ctx = (&raw mut look).cast();
        assert_eq!(status(unsafe { enos_client_subdevices(self.0, Some(show), ctx) }), Status::ENOS_OK);
    }

    pub fn subdevices_without_callback(self) -> Status {
        status(unsafe { enos_client_subdevices(self.0, None, null_mut()) })
    }
}

impl Host {
    /// Loops until the last event of each of these tells this state. Returns what was told on the way.
    #[track_caller]
    pub fn until_all(&mut self, ids: &[u64], state: SubState) -> Vec<super::Told> {
        let mut last: BTreeMap<u64, i32> = ids.iter().map(|id| (*id, SubState::Offline as i32)).collect();
        let mut note = |told: &super::Told| {
            if let Some(last) = last.get_mut(&told.subdevice).filter(|_| told.name == "SUBDEVICE_STATE") {
                *last = told.subdevice_state;
            }
            last.values().all(|last| *last == state as i32)
        };
        let seen = self.seen.iter().map(&mut note).last();
        let mut all_are = seen.unwrap_or_default();
        let mut told = Vec::new();
        while !all_are {
            let event = self.next();
            all_are = note(&event);
            told.push(event);
        }
        told
    }
}

/// The name of a state.
pub fn subdevice_state_name(state: i32) -> String {
    // SAFETY: static text.
    unsafe { CStr::from_ptr(enos_subdevice_state_name(state)) }.to_str().unwrap().to_owned()
}
