//! Signing: pure functions without I/O and clock. A client signs by itself; these functions are for a host with its own
//! MQTT stack. They may be called from any thread.
//!
//! EnOS requires three fields of a CONNECT (MQTT 3.1.1, clean session) that are made from the device's keys and a
//! secret:
//!
//!     client id   <client id>|securemode=2,signmethod=hmacsha1,timestamp=1524448722000|
//!     user name   <device key>&<product key>
//!     password    40 or 64 hexadecimal digits, upper case
//!
//! Fill in one enos_sign_params and call all three functions with it. A new timestamp changes the client id and the
//! password.

use std::ffi::c_char;
use std::mem::size_of;

use super::guard::guard;
use super::input::{bytes, optional_text, text, versioned, Versioned};
use super::output::TextOut;
use super::status::enos_status;
use crate::error::{Error, Result};
use crate::model::sign::{enos_sign_method, SecureMode, SignMethod};
use crate::protocol::{sign, Identity, Secret, SignParams};

/// The input of the signing functions. It is yours, and is read only during the call. Start with ENOS_INIT().
#[repr(C)]
#[derive(Clone, Copy)]
pub struct enos_sign_params {
    /// sizeof(enos_sign_params); ENOS_INIT() sets it.
    pub struct_size: usize,
    /// 1 to 64 characters, none of them a control character or one of `| , =`. NULL: the device key.
    pub client_id: *const c_char,
    /// 1 to 64 characters, none of them a control character or one of `/ + # & | , =`.
    pub product_key: *const c_char,
    /// As product_key.
    pub device_key: *const c_char,
    /// The device secret (mode 2) or the product secret (mode 3): 1 to 1024 bytes of UTF-8 without NUL. Only
    /// enos_sign_password() uses it.
    pub secret: *const c_char,
    /// In bytes, or ENOS_NUL_TERMINATED.
    pub secret_len: usize,
    /// One of enum enos_secure_mode, but not ENOS_SECURE_MODE_INTEGRATION.
    pub secure_mode: i32,
    /// One of enum enos_sign_method, but not ENOS_SIGN_AUTO.
    pub sign_method: i32,
    /// Milliseconds since 1970-01-01 UTC; signed, and shown in the client id. A board without a clock may use any
    /// value: Envision's C SDK always sends 2524608000000.
    pub timestamp_ms: u64,
}

// SAFETY: repr(C), begins with its size; zero is a valid value of each field.
unsafe impl Versioned for enos_sign_params {
    const NAME: &'static str = "enos_sign_params";
    const V0_1: usize = size_of::<enos_sign_params>();
}

struct Checked {
    raw: enos_sign_params,
    identity: Identity,
    mode: SecureMode,
    method: SignMethod,
}

/// # Safety
/// `params` is NULL or a caller's struct as the header describes it.
unsafe fn checked(params: *const enos_sign_params) -> Result<Checked> {
    // SAFETY: the caller's promise, here and for the texts in the struct.
    let raw = unsafe { versioned(params, "params") }?;
    // SAFETY: as above.
    let (client_id, product_key, device_key) = unsafe {
        (
            optional_text(raw.client_id, "params->client_id")?,
            text(raw.product_key, "params->product_key")?,
            text(raw.device_key, "params->device_key")?,
        )
    };
    Ok(Checked {
        raw,
        identity: Identity::new(product_key, device_key, client_id)?,
        mode: secure_mode(raw.secure_mode)?,
        method: sign_method(raw.sign_method)?,
    })
}

fn secure_mode(number: i32) -> Result<SecureMode> {
    SecureMode::from_number(number).ok_or_else(|| {
        Error::invalid(format!("secure_mode is {number}; it is 2 (device secret) or 3 (product secret)"))
    })
}

fn sign_method(number: i32) -> Result<SignMethod> {
    SignMethod::from_number(number).ok_or_else(|| {
        Error::invalid(if number == enos_sign_method::ENOS_SIGN_AUTO as i32 {
            "sign_method is AUTO (0), which only a client can resolve; name HMACSHA1, SHA1 or SHA256".to_owned()
        } else {
            format!("sign_method is {number}; it is 1 (HMACSHA1), 2 (SHA1) or 3 (SHA256)")
        })
    })
}

/// Makes the password of a CONNECT.
///
/// @param params   what to sign.
/// @param out      receives the text and a NUL; 65 bytes are always enough. NULL with cap 0 asks for the capacity.
/// @param cap      the size of out in bytes.
/// @param out_len  receives the length without the NUL; on ENOS_ERR_BUFFER_TOO_SMALL the capacity needed, with it.
/// @retval ENOS_OK                    out holds the password. It is as good as the secret: wipe it after use.
/// @retval ENOS_ERR_BUFFER_TOO_SMALL  see out_len.
/// @retval ENOS_ERR_INVALID_ARG       a field is out of its range; enos_last_error() names it.
/// @retval ENOS_ERR_STRUCT_SIZE       params was not made with ENOS_INIT(), or is of a later version.
#[no_mangle]
pub unsafe extern "C" fn enos_sign_password(
    params: *const enos_sign_params,
    out: *mut c_char,
    cap: usize,
    out_len: *mut usize,
) -> enos_status {
    guard(|| {
        // SAFETY: the header's contract, here and below.
        let out = unsafe { TextOut::new(out, cap, out_len, "out") }?;
        // SAFETY: as above.
        let Checked { raw, identity, mode, method } = unsafe { checked(params) }?;
        // SAFETY: as above.
        let secret = unsafe { bytes(raw.secret.cast(), raw.secret_len, "params->secret") }?;
        let secret = Secret::new(secret)?;
        let params = SignParams { identity: &identity, secret: &secret, mode, method, timestamp_ms: raw.timestamp_ms };
        out.set(sign::mqtt_password(&params).as_bytes())
    })
}

/// Makes the client id of a CONNECT.
///
/// @param params   what to sign; the secret is ignored.
/// @param out      receives the text and a NUL. NULL with cap 0 asks for the capacity.
/// @param cap      the size of out in bytes.
/// @param out_len  receives the length without the NUL; on ENOS_ERR_BUFFER_TOO_SMALL the capacity needed, with it.
/// @retval ENOS_OK                    out holds the client id.
/// @retval ENOS_ERR_BUFFER_TOO_SMALL  see out_len.
/// @retval ENOS_ERR_INVALID_ARG       a field is out of its range; enos_last_error() names it.
/// @retval ENOS_ERR_STRUCT_SIZE       params was not made with ENOS_INIT(), or is of a later version.
#[no_mangle]
pub unsafe extern "C" fn enos_sign_client_id(
    params: *const enos_sign_params,
    out: *mut c_char,
    cap: usize,
    out_len: *mut usize,
) -> enos_status {
    guard(|| {
        // SAFETY: the header's contract.
        let out = unsafe { TextOut::new(out, cap, out_len, "out") }?;
        // SAFETY: as above.
        let Checked { raw, identity, mode, method } = unsafe { checked(params) }?;
        out.set(sign::mqtt_client_id(&identity, mode, method, raw.timestamp_ms).as_bytes())
    })
}

/// Makes the user name of a CONNECT.
///
/// @param params   what to sign; the secret is ignored.
/// @param out      receives the text and a NUL. NULL with cap 0 asks for the capacity.
/// @param cap      the size of out in bytes.
/// @param out_len  receives the length without the NUL; on ENOS_ERR_BUFFER_TOO_SMALL the capacity needed, with it.
/// @retval ENOS_OK                    out holds the user name.
/// @retval ENOS_ERR_BUFFER_TOO_SMALL  see out_len.
/// @retval ENOS_ERR_INVALID_ARG       a field is out of its range; enos_last_error() names it.
/// @retval ENOS_ERR_STRUCT_SIZE       params was not made with ENOS_INIT(), or is of a later version.
#[no_mangle]
pub unsafe extern "C" fn enos_sign_username(
    params: *const enos_sign_params,
    out: *mut c_char,
    cap: usize,
    out_len: *mut usize,
) -> enos_status {
    guard(|| {
        // SAFETY: the header's contract.
        let out = unsafe { TextOut::new(out, cap, out_len, "out") }?;
        // SAFETY: as above.
        let Checked { identity, .. } = unsafe { checked(params) }?;
        out.set(sign::mqtt_username(&identity).as_bytes())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Status;

    #[test]
    fn numbers_become_modes_and_methods() {
        for mode in [SecureMode::ENOS_SECURE_MODE_DEVICE, SecureMode::ENOS_SECURE_MODE_PRODUCT] {
            assert_eq!(secure_mode(mode as i32), Ok(mode));
        }
        for method in [SignMethod::HmacSha1, SignMethod::Sha1, SignMethod::Sha256] {
            assert_eq!(sign_method(method as i32), Ok(method));
        }
        for value in [i32::MIN, -1, 0, 1, 4, i32::MAX] {
            let error = secure_mode(value).unwrap_err();
            assert_eq!(error.status, Status::ENOS_ERR_INVALID_ARG);
            assert!(error.message.starts_with(&format!("secure_mode is {value};")), "{error}");
        }
        for value in [i32::MIN, -1, 4, i32::MAX] {
            let error = sign_method(value).unwrap_err();
            assert_eq!(error.status, Status::ENOS_ERR_INVALID_ARG);
            assert!(error.message.starts_with(&format!("sign_method is {value};")), "{error}");
        }
        assert!(sign_method(0).unwrap_err().message.starts_with("sign_method is AUTO (0)"));
    }
}
