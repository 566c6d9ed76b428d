//! The setters of TLS, in builds with and without TLS.

use std::ptr::null;

use enos::error::Status::*;
use enos::ffi::config::*;
use enos::ffi::tls::*;

use support::host::Setup;

use super::*;

#[test]
#[cfg(feature = "tls")]
fn every_setter_checks_what_it_gets() {
    let config = Setup::empty();
    let (c, s, n) = (config.config(), c"text".as_ptr(), NUL_TERMINATED);
    let none = null();
    // SAFETY: a handle, texts or NULL, and lengths that are refused before they are used.
    unsafe {
        refused(enos_config_set_tls(c, BAD_UTF8, none, none), ENOS_ERR_INVALID_ARG, "ca is not UTF-8");
        refused(enos_config_set_tls(c, c"".as_ptr(), none, none), ENOS_ERR_INVALID_ARG, "ca is an empty path");
        refused(enos_config_set_tls(c, none, s, none), ENOS_ERR_INVALID_ARG, "key is not");
        refused(enos_config_set_tls(c, s, none, s), ENOS_ERR_INVALID_ARG, "cert is not");
        accepted(enos_config_set_tls(c, s, s, s));
        accepted(enos_config_set_tls(c, none, none, none));

        refused(enos_config_set_tls_pem(c, s, 0, none, 0, none, 0), ENOS_ERR_INVALID_ARG, "ca has 0 bytes");
        refused(enos_config_set_tls_pem(c, s, n + 1, none, 0, none, 0), ENOS_ERR_INVALID_ARG, "the length of ca");
        refused(enos_config_set_tls_pem(c, none, 7, s, 4, none, 7), ENOS_ERR_INVALID_ARG, "key is not");
        accepted(enos_config_set_tls_pem(c, none, 7, s, n, s, 4));

        refused(enos_config_set_tls_key_password(c, s, 0), ENOS_ERR_INVALID_ARG, "password has 0 bytes");
        accepted(enos_config_set_tls_key_password(c, s, n));
        accepted(enos_config_set_tls_key_password(c, none, 0));

        refused(enos_config_set_tls_server_name(c, c"a b".as_ptr()), ENOS_ERR_INVALID_ARG, "server_name");
        refused(enos_config_set_tls_server_name(c, BAD_UTF8), ENOS_ERR_INVALID_ARG, "server_name is not UTF-8");
        accepted(enos_config_set_tls_server_name(c, c"::1".as_ptr()));
        accepted(enos_config_set_tls_server_name(c, none));
        accepted(enos_config_set_tls_insecure_skip_name_check(c, 1));
        accepted(enos_config_set_tls_insecure_skip_name_check(c, 0));
        accepted(enos_config_set_server(c, c"ssl://broker".as_ptr()));
    }
}

#[test]
#[cfg(not(feature = "tls"))]
fn a_build_without_tls_says_so() {
    let config = Setup::empty();
    let (c, s, n) = (config.config(), c"text".as_ptr(), NUL_TERMINATED);
    // SAFETY: a handle, texts or NULL.
    unsafe {
        for status in [
            enos_config_set_server(c, c"ssl://broker".as_ptr()),
            enos_config_set_tls(c, s, null(), null()),
            enos_config_set_tls_pem(c, s, n, null(), 0, null(), 0),
            enos_config_set_tls_key_password(c, s, n),
            enos_config_set_tls_server_name(c, s),
            enos_config_set_tls_insecure_skip_name_check(c, 1),
        ] {
            refused(status, ENOS_ERR_UNSUPPORTED, "no TLS");
        }
    }
}
