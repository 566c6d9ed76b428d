//! TLS: setters of a config for servers at ssl://. They are not needed if one of the system's authorities has issued
//! the broker's certificate. EnOS has an authority of its own.
//!
//! These rules always hold: TLS 1.2 or 1.3 with modern ciphers. The broker's certificate has to come from a trusted
//! authority, be valid today, and be for the broker's name: one of its DNS names, or one of its addresses if the server
//! is given by its address. Its common name is ignored. A certificate of the device does not replace its secret: the
//! signed password is sent over TLS as well.
//!
//! enos_client_create() reads the files, and fails with ENOS_ERR_TLS and a text if one of them cannot be used. They are
//! read again before each CONNECT: a renewed certificate is used from the next CONNECT on, without a restart. If a new
//! file is broken or half written, the present connection stays, and the next attempts fail with ENOS_ERR_TLS until the
//! files are whole. Write each new file beside the old one and rename() it over that, the key before the certificate.
//! An expired certificate of the device cannot be used. One that is not valid yet is tried, with a warning in the log,
//! because it is more likely that the clock is wrong. For a server at tcp:// these settings are ignored.
//!
//! PEM text may have Windows line ends, a byte order mark, and other text around its blocks. The device's intermediate
//! certificates may be in any order. UTF-16 and OpenSSL's own TRUSTED CERTIFICATE are refused with ENOS_ERR_TLS.
//!
//! Revocation lists (X509 CRL) in the CA file are used, each for the certificates of the authority that has issued it.
//! Certificates of an authority without a list are not checked for revocation. If a list has expired, the certificates
//! of its authority are refused, like revoked ones, until the file has a new list, or none. So use lists only if they
//! are renewed in time, in a way that does not need this connection.
//!
//! The system's authorities are loaded once for the process. They are loaded again when their file or directory has
//! changed, and after an hour.
//!
//! A handshake that fails is DISCONNECTED with ENOS_ERR_TLS; its detail says why, in one line. The next attempt follows
//! as after a loss of the link. (Over TLS 1.3 the broker's refusal of the device's certificate arrives only after the
//! CONNECT, so it counts for the connect budget.)

use std::ffi::{c_char, c_void};

use super::config::{enos_config, set};
use super::input::{bytes, optional_text};
use super::status::enos_status;
use crate::error::Result;

/// Bytes, or `None` for NULL.
///
/// # Safety
/// As for [`bytes`].
unsafe fn optional_bytes<'a>(ptr: *const c_void, len: usize, name: &str) -> Result<Option<&'a [u8]>> {
    if ptr.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller's promise.
    unsafe { bytes(ptr, len, name) }.map(Some)
}

/// Sets the certificates, as PEM files. Replaces all three, and what enos_config_set_tls_pem() was given.
///
/// @param config  the config.
/// @param ca      path of a file with the authorities to trust, and no others; NULL for the system's. Default: NULL.
///                Root certificates, that is: one in between is not trusted for itself. Their revocation lists may
///                stand there too. A file has at most 4 MiB.
/// @param cert    path of a file with the device's certificate, followed by intermediate ones if there are any; NULL
///                for none. Default: NULL.
/// @param key     path of a file with the certificate's private key, RSA or EC, encrypted or not (it may be the same
///                file); NULL for none. Default: NULL.
/// @retval ENOS_OK               done; no file is read yet.
/// @retval ENOS_ERR_INVALID_ARG  one of cert and key without the other, an empty path, or not UTF-8.
/// @retval ENOS_ERR_UNSUPPORTED  this build has no TLS.
#[no_mangle]
pub unsafe extern "C" fn enos_config_set_tls(
    config: *mut enos_config,
    ca: *const c_char,
    cert: *const c_char,
    key: *const c_char,
) -> enos_status {
    // SAFETY: the header's contract.
    unsafe {
        set(config, |c| {
            let (ca, cert) = (optional_text(ca, "ca")?, optional_text(cert, "cert")?);
            c.config.set_tls(ca, cert, optional_text(key, "key")?)
        })
    }
}

/// Sets the certificates, as PEM text in memory: for firmware that keeps keys elsewhere than in files. None of it is
/// ever written to a file. Replaces all three, and what enos_config_set_tls() was given.
///
/// @param config    the config.
/// @param ca        as for enos_config_set_tls(), but the text itself: 1 byte to 4 MiB. NULL for the system's
///                  authorities.
/// @param ca_len    in bytes, or ENOS_NUL_TERMINATED; ignored when ca is NULL.
/// @param cert      as for ca; NULL for none.
/// @param cert_len  as for ca_len.
/// @param key       as for ca; NULL for none. Copied; wipe yours.
/// @param key_len   as for ca_len.
/// @retval ENOS_OK               done; the text is not judged yet.
/// @retval ENOS_ERR_INVALID_ARG  one of cert and key without the other, or a length out of range.
/// @retval ENOS_ERR_UNSUPPORTED  this build has no TLS.
#[no_mangle]
pub unsafe extern "C" fn enos_config_set_tls_pem(
    config: *mut enos_config,
    ca: *const c_char,
    ca_len: usize,
    cert: *const c_char,
    cert_len: usize,
    key: *const c_char,
    key_len: usize,
) -> enos_status {
    // SAFETY: the header's contract.
    unsafe {
        set(config, |c| {
            let ca = optional_bytes(ca.cast(), ca_len, "ca")?;
            let cert = optional_bytes(cert.cast(), cert_len, "cert")?;
            c.config.set_tls_pem(ca, cert, optional_bytes(key.cast(), key_len, "key")?)
        })
    }
}

/// Sets the password of an encrypted private key. The library never asks for it on the terminal.
///
/// @param config    the config.
/// @param password  1 to 1024 bytes. Copied; wipe yours. NULL for none. Default: NULL.
/// @param len       in bytes, or ENOS_NUL_TERMINATED; ignored when password is NULL.
/// @retval ENOS_OK               done.
/// @retval ENOS_ERR_INVALID_ARG  out of that range.
/// @retval ENOS_ERR_UNSUPPORTED  this build has no TLS.
#[no_mangle]
pub unsafe extern "C" fn enos_config_set_tls_key_password(
    config: *mut enos_config,
    password: *const c_char,
    len: usize,
) -> enos_status {
    // SAFETY: the header's contract.
    unsafe { set(config, |c| c.config.set_tls_key_password(optional_bytes(password.cast(), len, "password")?)) }
}

/// Sets the name that the broker's certificate has to be for, when the broker is reached by another one: through a
/// tunnel, or by its address. It is also the name that is sent to the broker (SNI); an address is not sent.
///
/// @param config       the config.
/// @param server_name  a host name or an IP address (IPv6 without brackets); NULL for the host of
///                     enos_config_set_server(). Default: NULL.
/// @retval ENOS_OK               done.
/// @retval ENOS_ERR_INVALID_ARG  neither; enos_last_error() says why.
/// @retval ENOS_ERR_UNSUPPORTED  this build has no TLS.
#[no_mangle]
pub unsafe extern "C" fn enos_config_set_tls_server_name(
    config: *mut enos_config,
    server_name: *const c_char,
) -> enos_status {
    // SAFETY: the header's contract.
    unsafe { set(config, |c| c.config.set_tls_server_name(optional_text(server_name, "server_name")?)) }
}

/// INSECURE. Accepts any broker whose certificate comes from a trusted authority, whatever name it is for: with the
/// system's authorities, that is anyone on the network path who owns a domain. Use it for a test, or until the broker's
/// certificate is corrected; enos_config_set_tls_server_name() is usually the better way. The log has a warning at each
/// attempt to connect. There is no way to switch off the rest of the check.
///
/// @param config  the config.
/// @param skip    not 0: skip the check of the name; 0: check it. Default: 0.
/// @retval ENOS_OK               done.
/// @retval ENOS_ERR_UNSUPPORTED  this build has no TLS.
#[no_mangle]
pub unsafe extern "C" fn enos_config_set_tls_insecure_skip_name_check(
    config: *mut enos_config,
    skip: i32,
) -> enos_status {
    // SAFETY: the header's contract.
    unsafe { set(config, |c| c.config.set_tls_check_name(skip == 0)) }
}
