//! The texts and the PEM data of a config.

use crate::certificate::other;
use crate::input::Input;
use crate::oracle::check_words;
use enos::internals::config::Server;
use enos::internals::error::Status;
use enos::internals::ffi::config::*;
use enos::internals::ffi::limits::*;
use enos::internals::ffi::tls::enos_config_set_tls_server_name;
use std::ffi::CString;
use std::net::SocketAddr;
use support::host::{last_error, Setup, DEVICE_SECRET};

/// The address of a broker, compared with the parser of std.
pub fn server(bytes: &[u8]) {
    let Ok(uri) = std::str::from_utf8(bytes) else { return };
    let read = Server::parse(uri);
    match &read {
        Err(error) => check_words(&error.message),
        Ok(server) => {
            assert!(server.port != 0 && (1..=254).contains(&server.host.len()), "{server:?}");
            check_words(&server.host);
        }
    }
    let Some(address) = uri.strip_prefix("tcp://") else { return };
    if let Ok(address) = address.parse::<SocketAddr>() {
        let zone = matches!(address, SocketAddr::V6(v6) if v6.scope_id() != 0 || uri.contains('%'));
        if !zone && address.port() != 0 {
            let server = read.unwrap_or_else(|error| panic!("{uri:?}: {error}"));
            assert_eq!((server.host.parse(), server.port), (Ok(address.ip()), address.port()), "{uri:?}");
        }
    }
}

/// Every text of a config, through the ABI; a client can be made from accepted texts.
pub fn config(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let setup = Setup::empty();
    let config = setup.config();
    let (mut have, mut is_channel) = ([false; 3], false);
    while !input.is_empty() {
        let kind = input.byte() % 10;
        let (first, second) = (input.chunk(), if matches!(kind, 1 | 9) { input.chunk() } else { &[] });
        let [text, other] = [first, second].map(|bytes| {
            let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
            CString::new(&bytes[..end]).unwrap()
        });
        // SAFETY: a config, texts, and bytes with their length, which live across the call.
        let status = unsafe {
            match kind {
                0 => enos_config_set_server(config, text.as_ptr()),
                1 => enos_config_set_identity(config, text.as_ptr(), other.as_ptr()),
                2 => enos_config_set_client_id(config, text.as_ptr()),
                3 => enos_config_set_device_secret(config, first.as_ptr().cast(), first.len()),
                4 => enos_config_set_product_secret(config, first.as_ptr().cast(), first.len()),
                5 => enos_config_set_bind_interface(config, text.as_ptr()),
                6 => enos_config_set_tls_server_name(config, text.as_ptr()),
                7 => enos_config_set_keep_alive(config, u32::from(input.u16())),
                8 => enos_config_set_reconnect(config, u32::from(input.u16()), u32::from(input.u16())),
                _ => enos_config_set_integration_channel(config, text.as_ptr(), second.as_ptr().cast(), second.len()),
            }
        };
        if status == Status::ENOS_OK as i32 {
            have[0] |= kind == 0;
            have[1] |= kind == 1;
            have[2] |= kind == 3;
            is_channel |= kind == 9;
        } else {
            check_words(&last_error());
        }
    }
    match setup.try_create() {
        Ok(_host) => {}
        Err((status, words)) => {
            let is_device = have.iter().all(|it| *it) && !is_channel;
            assert!(!is_device || status != Status::ENOS_ERR_INVALID_ARG, "{status:?}: {words}");
            check_words(&words);
        }
    }
}

/// Certificates and a key, which are checked when the client is created.
pub fn pem(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let password = String::from_utf8_lossy(input.chunk()).into_owned();
    let pems = [input.long_chunk(), input.long_chunk(), input.rest()];
    let [ca, cert, key] = pems.map(|pem| (!pem.is_empty()).then_some(pem));
    let (cert, key) = cert.zip(key).unzip();
    // Reading the system's authorities each time would take too long.
    let ca = ca.or(Some(other()));
    let mut setup = Setup::to("ssl://127.0.0.1:1").device_secret(DEVICE_SECRET).tls_pem([ca, cert, key]);
    if !password.is_empty() {
        setup = setup.key_password(&password);
    }
    if let Err((status, words)) = setup.try_create() {
        assert_eq!(status, Status::ENOS_ERR_TLS, "{words}");
        check_words(&words);
    }
}
