//! Signing.

use std::ffi::c_char;
use std::mem::size_of;
use std::ptr::{null, null_mut};

use enos::internals::error::Status::*;
use enos::internals::ffi::sign::*;
use enos::internals::model::sign::{enos_secure_mode, enos_sign_method};

use super::*;

fn sign_params() -> enos_sign_params {
    enos_sign_params {
        struct_size: size_of::<enos_sign_params>(),
        client_id: c"123".as_ptr(),
        product_key: c"123".as_ptr(),
        device_key: c"test".as_ptr(),
        secret: c"deviceSecretxxx".as_ptr(),
        secret_len: NUL_TERMINATED,
        secure_mode: enos_secure_mode::ENOS_SECURE_MODE_DEVICE as i32,
        sign_method: enos_sign_method::ENOS_SIGN_HMACSHA1 as i32,
        timestamp_ms: 1_524_448_722_000,
    }
}

type SignFn = unsafe extern "C" fn(*const enos_sign_params, *mut c_char, usize, *mut usize) -> i32;
const SIGN: [SignFn; 3] = [enos_sign_password, enos_sign_client_id, enos_sign_username];

fn sign(f: SignFn, params: &enos_sign_params) -> i32 {
    let (mut out, mut len) = ([0; 256], 0);
    // SAFETY: a struct, a buffer and its size, a place for the length.
    unsafe { f(params, out.as_mut_ptr(), out.len(), &mut len) }
}

#[test]
fn what_is_signed_comes_out_whole() {
    let expected = [
        "6B1060092E11356DD1B09C0E3680CFD4922F7DC5",
        "123|securemode=2,signmethod=hmacsha1,timestamp=1524448722000|",
        "test&123",
    ];
    let params = sign_params();
    for (f, expected) in SIGN.into_iter().zip(expected) {
        let mut needed = 0;
        // SAFETY: no buffer, of no size.
        refused(unsafe { f(&params, null_mut(), 0, &mut needed) }, ENOS_ERR_BUFFER_TOO_SMALL, "bytes are needed");
        assert_eq!(needed, expected.len() + 1);

        for cap in 1..needed {
            let (mut out, mut len) = (vec![b'#' as c_char; cap], 0);
            // SAFETY: a buffer of `cap` bytes.
            refused(unsafe { f(&params, out.as_mut_ptr(), cap, &mut len) }, ENOS_ERR_BUFFER_TOO_SMALL, "needed");
            assert_eq!(len, needed);
            assert_eq!(out[0], 0, "a buffer that is too small holds an empty text");
            assert!(out[1..].iter().all(|byte| *byte == b'#' as c_char));
        }

        let (mut out, mut len) = (vec![b'#' as c_char; needed], 0);
        // SAFETY: a buffer of `needed` bytes.
        accepted(unsafe { f(&params, out.as_mut_ptr(), needed, &mut len) });
        assert_eq!(len, expected.len());
        assert_eq!(text(out.as_ptr()), expected);
    }
}

#[test]
fn signing_refuses_what_it_should() {
    for f in SIGN {
        let (mut out, mut len) = ([0; 256], 77);
        // SAFETY: NULL where it must not be.
        unsafe {
            refused(f(null(), out.as_mut_ptr(), 256, &mut len), ENOS_ERR_NULL_ARG, "params");
            refused(f(&sign_params(), null_mut(), 256, &mut len), ENOS_ERR_NULL_ARG, "out");
            refused(f(&sign_params(), out.as_mut_ptr(), 256, null_mut()), ENOS_ERR_NULL_ARG, "out_len");
        }
        let with = |change: fn(&mut enos_sign_params)| {
            let mut params = sign_params();
            change(&mut params);
            sign(f, &params)
        };
        refused(with(|p| p.struct_size = 0), ENOS_ERR_STRUCT_SIZE, "ENOS_INIT(params)");
        refused(with(|p| p.struct_size -= 1), ENOS_ERR_STRUCT_SIZE, "struct_size");
        refused(with(|p| p.struct_size = usize::MAX), ENOS_ERR_STRUCT_SIZE, "struct_size");
        refused(with(|p| p.product_key = null()), ENOS_ERR_NULL_ARG, "params->product_key");
        refused(with(|p| p.device_key = null()), ENOS_ERR_NULL_ARG, "params->device_key");
        refused(with(|p| p.product_key = BAD_UTF8), ENOS_ERR_INVALID_ARG, "params->product_key is not UTF-8");
        refused(with(|p| p.client_id = BAD_UTF8), ENOS_ERR_INVALID_ARG, "params->client_id is not UTF-8");
        refused(with(|p| p.client_id = c"a|b".as_ptr()), ENOS_ERR_INVALID_ARG, "client_id");
        refused(with(|p| p.device_key = c"".as_ptr()), ENOS_ERR_INVALID_ARG, "device_key is empty");
        for mode in [0, 1, 4, -1, i32::MAX] {
            let mut params = sign_params();
            params.secure_mode = mode;
            refused(sign(f, &params), ENOS_ERR_INVALID_ARG, "secure_mode");
        }
        for method in [0, 4, -1, i32::MIN] {
            let mut params = sign_params();
            params.sign_method = method;
            refused(sign(f, &params), ENOS_ERR_INVALID_ARG, "sign_method");
        }
        accepted(with(|p| p.client_id = null()));
        assert_eq!(len, 77, "a length is written on success, or when the buffer is too small");
    }
    let secret = |secret: *const c_char, len: usize| {
        let params = enos_sign_params { secret, secret_len: len, ..sign_params() };
        accepted(sign(enos_sign_username, &params));
        accepted(sign(enos_sign_client_id, &params));
        sign(enos_sign_password, &params)
    };
    refused(secret(null(), 0), ENOS_ERR_INVALID_ARG, "secret is empty");
    refused(secret(null(), 1), ENOS_ERR_NULL_ARG, "secret");
    refused(secret(null(), NUL_TERMINATED), ENOS_ERR_NULL_ARG, "secret");
    refused(secret(c"abc".as_ptr(), 4), ENOS_ERR_INVALID_ARG, "NUL");
    refused(secret(c"abc".as_ptr(), usize::MAX - 1), ENOS_ERR_INVALID_ARG, "secret");
    refused(secret(BAD_UTF8, 3), ENOS_ERR_INVALID_ARG, "UTF-8");
}
