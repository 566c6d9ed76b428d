//! The setters of a config.

use std::mem::zeroed;
use std::ptr::{null, null_mut};

use enos::internals::error::Status::*;
use enos::internals::ffi::config::*;
use enos::internals::ffi::limits::*;
use enos::internals::ffi::outbox::{enos_config_set_outbox_limits, enos_config_set_outbox_rate};
use enos::internals::ffi::tls::*;
use enos::internals::storage::vtable::enos_storage;

use support::host::Setup;

use super::*;

#[test]
fn every_setter_refuses_null_and_nonsense() {
    let nobody = null_mut::<enos_config>();
    let config = Setup::empty();
    let (c, s, n) = (config.config(), c"text".as_ptr(), NUL_TERMINATED);
    // SAFETY: a handle or NULL, texts or NULL, and lengths that are refused before they are used.
    unsafe {
        let storage = zeroed::<enos_storage>();
        for status in [
            enos_config_set_server(nobody, s),
            enos_config_set_identity(nobody, s, s),
            enos_config_set_client_id(nobody, s),
            enos_config_set_device_secret(nobody, s, n),
            enos_config_set_product_secret(nobody, s, n),
            enos_config_set_integration_channel(nobody, s, s, n),
            enos_config_set_sign_method(nobody, 0),
            enos_config_set_storage(nobody, &storage),
            enos_config_set_event_cb(nobody, None, null_mut()),
            enos_config_set_tls(nobody, s, null(), null()),
            enos_config_set_tls_pem(nobody, s, n, null(), 0, null(), 0),
            enos_config_set_tls_key_password(nobody, s, n),
            enos_config_set_tls_server_name(nobody, s),
            enos_config_set_tls_insecure_skip_name_check(nobody, 1),
            enos_config_set_keep_alive(nobody, 60),
            enos_config_set_connect_timeout(nobody, 1000),
            enos_config_set_activation_timeout(nobody, 1000),
            enos_config_set_reconnect(nobody, 0, 0),
            enos_config_set_reactivation(nobody, 1),
            enos_config_set_connect_budget(nobody, 0, 0, 0),
            enos_config_set_reply_timeout(nobody, 1000),
            enos_config_set_inflight(nobody, 1),
            enos_config_set_subscribe_batch(nobody, 1),
            enos_config_set_queue_limits(nobody, 1, 4096),
            enos_config_set_max_message(nobody, 4096),
            enos_config_set_bind_interface(nobody, s),
        ] {
            refused(status, ENOS_ERR_NULL_ARG, "config is NULL");
        }
        refused(enos_config_new(null_mut()), ENOS_ERR_NULL_ARG, "out");
        enos_config_free(null_mut());

        refused(enos_config_set_server(c, null()), ENOS_ERR_NULL_ARG, "uri");
        refused(enos_config_set_server(c, BAD_UTF8), ENOS_ERR_INVALID_ARG, "uri is not UTF-8");
        refused(enos_config_set_server(c, s), ENOS_ERR_INVALID_ARG, "tcp://");
        refused(enos_config_set_identity(c, null(), s), ENOS_ERR_NULL_ARG, "product_key");
        refused(enos_config_set_identity(c, s, null()), ENOS_ERR_NULL_ARG, "device_key");
        refused(enos_config_set_identity(c, s, BAD_UTF8), ENOS_ERR_INVALID_ARG, "device_key");
        refused(enos_config_set_client_id(c, null()), ENOS_ERR_NULL_ARG, "client_id");
        refused(enos_config_set_client_id(c, c"a,b".as_ptr()), ENOS_ERR_INVALID_ARG, "client_id");
        for set_secret in [enos_config_set_device_secret, enos_config_set_product_secret] {
            refused(set_secret(c, null(), n), ENOS_ERR_NULL_ARG, "secret");
            refused(set_secret(c, null(), 0), ENOS_ERR_INVALID_ARG, "secret");
            refused(set_secret(c, s, n + 1), ENOS_ERR_INVALID_ARG, "secret");
            refused(set_secret(c, s, 5), ENOS_ERR_INVALID_ARG, "NUL");
            accepted(set_secret(c, s, 4));
        }
        refused(enos_config_set_integration_channel(c, null(), s, n), ENOS_ERR_NULL_ARG, "product_key");
        refused(enos_config_set_integration_channel(c, c"a/b".as_ptr(), s, n), ENOS_ERR_INVALID_ARG, "product_key");
        refused(enos_config_set_integration_channel(c, s, null(), n), ENOS_ERR_NULL_ARG, "secret");
        refused(enos_config_set_integration_channel(c, s, s, 0), ENOS_ERR_INVALID_ARG, "product secret");
        refused(enos_config_set_identity(c, s, c"%channel%".as_ptr()), ENOS_ERR_INVALID_ARG, "integration channel");
        for method in [-1, 4, i32::MAX] {
            refused(enos_config_set_sign_method(c, method), ENOS_ERR_INVALID_ARG, "0 (AUTO)");
        }
        (0..=3).for_each(|method| accepted(enos_config_set_sign_method(c, method)));
        refused(enos_config_set_keep_alive(c, 0), ENOS_ERR_INVALID_ARG, "keep_alive is 0");
        refused(enos_config_set_connect_timeout(c, 0), ENOS_ERR_INVALID_ARG, "connect_timeout");
        refused(enos_config_set_activation_timeout(c, 0), ENOS_ERR_INVALID_ARG, "activation_timeout");
        refused(enos_config_set_reconnect(c, 2000, 1000), ENOS_ERR_INVALID_ARG, "max_ms");
        refused(enos_config_set_connect_budget(c, 1, 0, 0), ENOS_ERR_INVALID_ARG, "window_ms");
        refused(enos_config_set_reply_timeout(c, 0), ENOS_ERR_INVALID_ARG, "reply_timeout");
        refused(enos_config_set_inflight(c, 0), ENOS_ERR_INVALID_ARG, "inflight");
        for filters in [0, 257] {
            refused(enos_config_set_subscribe_batch(c, filters), ENOS_ERR_INVALID_ARG, "subscribe_batch");
        }
        [1, 256].into_iter().for_each(|filters| accepted(enos_config_set_subscribe_batch(c, filters)));
        refused(enos_config_set_queue_limits(c, 0, 4096), ENOS_ERR_INVALID_ARG, "inbound_messages");
        refused(enos_config_set_queue_limits(c, 1, 0), ENOS_ERR_INVALID_ARG, "inbound_bytes");
        refused(enos_config_set_max_message(c, usize::MAX), ENOS_ERR_INVALID_ARG, "max_message");
        refused(enos_config_set_bind_interface(c, null()), ENOS_ERR_NULL_ARG, "name");
        refused(
            enos_config_set_bind_interface(c, c"0123456789abcdef".as_ptr()),
            ENOS_ERR_INVALID_ARG,
            "bind_interface",
        );
        for (messages, bytes, policy) in
            [(0, 1 << 20, 0), (1, 4095, 0), (1, 1 << 41, 0), (1_000_000_001, 4096, 0), (1, 4096, 2)]
        {
            refused(enos_config_set_outbox_limits(c, messages, bytes, policy), ENOS_ERR_INVALID_ARG, "");
        }
        for rate in [1, 999, 1_000_000_001] {
            refused(enos_config_set_outbox_rate(c, rate), ENOS_ERR_INVALID_ARG, "");
        }
        accepted(enos_config_set_reactivation(c, i32::MIN));
        accepted(enos_config_set_event_cb(c, None, null_mut()));
    }
}
