//! Clients, and messages of a client that is offline.

use std::ptr::{null, null_mut};

use enos::internals::error::Status::*;
use enos::internals::ffi::client::*;
use enos::internals::ffi::config::*;
use enos::internals::ffi::handle::enos_client;
use enos::internals::ffi::limits::*;
use enos::internals::ffi::message::*;
use enos::internals::ffi::request::*;
use enos::internals::model::state::enos_state;

use support::alone::alone;
use support::broker::nobody;
use support::host::Setup;

use super::*;

#[test]
fn a_client_says_what_its_config_lacks() {
    let mut client = null_mut();
    let config = Setup::empty();
    // SAFETY: handles or NULL.
    unsafe {
        refused(enos_client_create(null(), &mut client), ENOS_ERR_NULL_ARG, "config");
        refused(enos_client_create(config.config(), null_mut()), ENOS_ERR_NULL_ARG, "out");
        refused(enos_client_create(config.config(), &mut client), ENOS_ERR_INVALID_ARG, "enos_config_set_server()");
        accepted(enos_config_set_server(config.config(), c"tcp://127.0.0.1:9".as_ptr()));
        refused(enos_client_create(config.config(), &mut client), ENOS_ERR_INVALID_ARG, "enos_config_set_identity()");
        accepted(enos_config_set_identity(config.config(), c"pk".as_ptr(), c"dk".as_ptr()));
        refused(
            enos_client_create(config.config(), &mut client),
            ENOS_ERR_INVALID_ARG,
            "enos_config_set_device_secret()",
        );
        accepted(enos_config_set_product_secret(config.config(), c"s".as_ptr(), 1));
        refused(enos_client_create(config.config(), &mut client), ENOS_ERR_INVALID_ARG, "enos_config_set_storage()");
        accepted(enos_config_set_device_secret(config.config(), c"s".as_ptr(), 1));
        accepted(enos_config_set_queue_limits(config.config(), 1, 4096));
        accepted(enos_config_set_max_message(config.config(), 4097));
        for words in ["max_message", "inbound_bytes"] {
            refused(enos_client_create(config.config(), &mut client), ENOS_ERR_INVALID_ARG, words);
        }
        assert!(client.is_null(), "nothing is written on failure");
    }
}

#[test]
fn every_client_function_refuses_null() {
    let nobody = null_mut::<enos_client>();
    let s = c"text".as_ptr();
    // SAFETY: NULL, and texts.
    unsafe {
        for status in [
            enos_client_connect(nobody),
            enos_client_disconnect(nobody),
            enos_client_activation_saved(nobody),
            enos_client_loop(nobody, 0),
            enos_client_wait(nobody, 0, 0),
            enos_client_loop_start(nobody),
            enos_client_loop_stop(nobody),
            enos_client_publish(nobody, s, null(), 0, 0, 0, null_mut()),
            enos_client_subscribe(nobody, s, 0, null_mut()),
            enos_client_unsubscribe(nobody, s, null_mut()),
            enos_client_post_measurepoints(nobody, s, NUL_TERMINATED, 0, null_mut()),
            enos_client_request(nobody, null(), null_mut()),
            enos_client_post_event(nobody, s, s, NUL_TERMINATED, 0, null_mut()),
            enos_client_update_attributes(nobody, s, NUL_TERMINATED, 0, null_mut()),
            enos_client_topic(nobody, s, null_mut(), 0, &mut 0),
        ] {
            refused(status, ENOS_ERR_NULL_ARG, "client is NULL");
        }
        let mut bad = 7;
        let status = enos_client_request_batch(nobody, null(), 1, null_mut(), &mut bad);
        refused(status, ENOS_ERR_NULL_ARG, "client is NULL");
        assert_eq!(bad, usize::MAX, "none of the requests is at fault");
        assert_eq!(enos_client_state(nobody), ENOS_ERR_NULL_ARG as i32);
        assert_eq!(enos_client_fd(nobody), ENOS_ERR_NULL_ARG as i32);
        enos_client_wake(nobody);
        accepted(enos_client_destroy(nobody));
    }
}

#[test]
fn a_client_offline_checks_its_arguments_first() {
    alone(|| {
        let client = Setup::device(nobody()).create();
        let (c, s, mut token) = (client.handle(), c"text".as_ptr(), 77);
        let p = s.cast::<u8>();
        // SAFETY: a handle, texts or NULL, and lengths that are refused before they are used.
        unsafe {
            let publish =
                |topic, payload, len, qos, flags, token| enos_client_publish(c, topic, payload, len, qos, flags, token);
            refused(publish(null(), p, 4, 0, 0, &mut token), ENOS_ERR_NULL_ARG, "topic");
            refused(publish(BAD_UTF8, p, 4, 0, 0, &mut token), ENOS_ERR_INVALID_ARG, "topic");
            refused(publish(s, null(), 4, 0, 0, &mut token), ENOS_ERR_NULL_ARG, "payload");
            for len in [usize::MAX, NUL_TERMINATED + 1] {
                refused(publish(s, p, len, 0, 0, &mut token), ENOS_ERR_INVALID_ARG, "payload");
            }
            refused(publish(s, p, 4, 2, 0, &mut token), ENOS_ERR_UNSUPPORTED, "qos");
            refused(publish(s, p, 4, 3, 0, &mut token), ENOS_ERR_INVALID_ARG, "qos");
            refused(publish(s, p, 4, -1, 0, &mut token), ENOS_ERR_INVALID_ARG, "qos");
            refused(publish(s, p, 4, 1, 1, &mut token), ENOS_ERR_STATE, "storage");
            refused(publish(s, p, 4, 0, 1, &mut token), ENOS_ERR_INVALID_ARG, "qos");
            refused(publish(s, p, 4, 1, 2, &mut token), ENOS_ERR_INVALID_ARG, "DURABLE");
            refused(publish(s, p, 4, 1, 3, &mut token), ENOS_ERR_INVALID_ARG, "UNTIL_REPLY");
            refused(publish(s, p, 4, 1, 8, &mut token), ENOS_ERR_INVALID_ARG, "flags");
            refused(publish(s, p, 4, 1, 0, &mut token), ENOS_ERR_STATE, "");
            refused(publish(s, p, 4, 1, 0, null_mut()), ENOS_ERR_STATE, "");
            refused(enos_client_subscribe(c, null(), 0, &mut token), ENOS_ERR_NULL_ARG, "filter");
            refused(enos_client_subscribe(c, BAD_UTF8, 0, &mut token), ENOS_ERR_INVALID_ARG, "filter");
            refused(enos_client_subscribe(c, s, 2, &mut token), ENOS_ERR_UNSUPPORTED, "qos");
            refused(enos_client_subscribe(c, s, 9, &mut token), ENOS_ERR_INVALID_ARG, "qos");
            refused(enos_client_unsubscribe(c, null(), &mut token), ENOS_ERR_NULL_ARG, "filter");
            let post = |json, len, flags| enos_client_post_measurepoints(c, json, len, flags, null_mut());
            refused(post(null(), 1, 0), ENOS_ERR_NULL_ARG, "params");
            refused(post(s, usize::MAX, 0), ENOS_ERR_INVALID_ARG, "params");
            refused(post(c"{}".as_ptr(), 2, 1), ENOS_ERR_INVALID_ARG, "measurepoints");
            refused(post(c"{}".as_ptr(), 2, 4), ENOS_ERR_INVALID_ARG, "flags");
            refused(post(c"{}".as_ptr(), 2, 0), ENOS_ERR_STATE, "");
            refused(enos_client_wait(c, 6, 0), ENOS_ERR_INVALID_ARG, "state");
            refused(enos_client_wait(c, -1, 0), ENOS_ERR_INVALID_ARG, "state");
            refused(enos_client_activation_saved(c), ENOS_ERR_STATE, "");
            assert_eq!(token, 77, "no token without a call that was accepted");

            assert_eq!(enos_client_state(c), enos_state::ENOS_STATE_IDLE as i32);
            assert!(enos_client_fd(c) >= 0);
            enos_client_wake(c);
            accepted(enos_client_loop(c, 0));
        }
    });
}
