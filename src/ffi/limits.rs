//! Timeouts, retries and limits of a config. The defaults keep to what EnOS documents, and suit most devices.

use super::config::{enos_config, set};
use super::status::enos_status;

/// Sets the longest silence on the link before a PINGREQ is sent. A silent peer is noticed after about two and a half
/// times as long.
///
/// @param config   the config.
/// @param seconds  10 to 1200. EnOS documents 60 to 300; less is for networks that forget idle connections sooner.
///                 Default: 60.
/// @retval ENOS_OK               done.
/// @retval ENOS_ERR_INVALID_ARG  out of that range; 0 is also out of range.
#[no_mangle]
pub unsafe extern "C" fn enos_config_set_keep_alive(config: *mut enos_config, seconds: u32) -> enos_status {
    // SAFETY: the header's contract.
    unsafe { set(config, |c| c.config.set_keep_alive(seconds)) }
}

/// Sets how long an attempt to connect may take, from resolving the name to the broker's answer.
///
/// @param config  the config.
/// @param ms      100 to 600000. Default: 30000.
/// @retval ENOS_OK               done.
/// @retval ENOS_ERR_INVALID_ARG  out of that range; 0 is also out of range.
#[no_mangle]
pub unsafe extern "C" fn enos_config_set_connect_timeout(config: *mut enos_config, ms: u32) -> enos_status {
    // SAFETY: the header's contract.
    unsafe { set(config, |c| c.config.set_connect_timeout(ms)) }
}

/// Sets how long the device secret may take after a login with the product secret before that is reported
/// (ACTIVATION_LATE). The client keeps waiting for it, and logs in once more after 10 minutes.
///
/// @param config  the config.
/// @param ms      100 to 600000. Default: 30000.
/// @retval ENOS_OK               done.
/// @retval ENOS_ERR_INVALID_ARG  out of that range; 0 is also out of range.
#[no_mangle]
pub unsafe extern "C" fn enos_config_set_activation_timeout(config: *mut enos_config, ms: u32) -> enos_status {
    // SAFETY: the header's contract.
    unsafe { set(config, |c| c.config.set_activation_timeout(ms)) }
}

/// Sets the delays between attempts after a loss of the link, counted from when the connect budget has room. Each is
/// random: at least min_ms; at most twice min_ms after the first failure, twice as much after each further one, and
/// never more than max_ms. If very many devices share one broker, raise min_ms: when all of them lose their links at
/// once and the broker takes them back at once, they come back between min_ms and twice min_ms later. With min_ms equal
/// to max_ms nothing is random.
///
/// @param config  the config.
/// @param min_ms  100 to 3600000. Default: 1000.
/// @param max_ms  min_ms to 3600000. Default: 120000. 0,0: no attempt by itself; call enos_client_connect(). (The steps
///                of an activation are not such attempts and continue.)
/// @retval ENOS_OK               done.
/// @retval ENOS_ERR_INVALID_ARG  out of that range.
#[no_mangle]
pub unsafe extern "C" fn enos_config_set_reconnect(config: *mut enos_config, min_ms: u32, max_ms: u32) -> enos_status {
    // SAFETY: the header's contract.
    unsafe { set(config, |c| c.config.set_reconnect(min_ms, max_ms)) }
}

/// Sets how many CONNECTs may be sent. The defaults keep to EnOS's rule, with a margin: it bars a device for 5 minutes
/// at the 4th CONNECT in 2 minutes, and allows one a second. Change them only for another broker. The count is kept in
/// the storage, so that a crash loop does not cause the ban either; without a storage it is kept in the process.
///
/// @param config      the config.
/// @param connects    at most so many in window_ms, 0 to 16. Default: 3. 0, for a test broker, removes the limit:
///                    window_ms is ignored, and ENOS_ERR_CONFLICT is never reported.
/// @param window_ms   1000 to 3600000. Default: 125000.
/// @param spacing_ms  0 to 60000 between the end of one attempt and the next. Default: 1100. 0: none.
/// @retval ENOS_OK               done.
/// @retval ENOS_ERR_INVALID_ARG  out of that range.
#[no_mangle]
pub unsafe extern "C" fn enos_config_set_connect_budget(
    config: *mut enos_config,
    connects: u32,
    window_ms: u32,
    spacing_ms: u32,
) -> enos_status {
    // SAFETY: the header's contract.
    unsafe { set(config, |c| c.config.set_connect_budget(connects, window_ms, spacing_ms)) }
}

/// Sets how long the answer to an accepted call may take: the reply to a post, the acknowledgement of a publish, a
/// subscribe or an unsubscribe. After that its event comes with ENOS_ERR_TIMEOUT. On a slow link, allow for the time in
/// the queue.
///
/// @param config  the config.
/// @param ms      100 to 600000. Default: 30000.
/// @retval ENOS_OK               done.
/// @retval ENOS_ERR_INVALID_ARG  out of that range; 0 is also out of range.
#[no_mangle]
pub unsafe extern "C" fn enos_config_set_reply_timeout(config: *mut enos_config, ms: u32) -> enos_status {
    // SAFETY: the header's contract.
    unsafe { set(config, |c| c.config.set_reply_timeout(ms)) }
}

/// Sets how many accepted publishes and posts may be without their outcome; one more is ENOS_ERR_QUEUE_FULL. Answers to
/// commands and subscriptions have limits of their own, and durable messages wait in the outbox.
///
/// @param config    the config.
/// @param messages  1 to 10000. Default: 100.
/// @retval ENOS_OK               done.
/// @retval ENOS_ERR_INVALID_ARG  out of that range; 0 is also out of range.
#[no_mangle]
pub unsafe extern "C" fn enos_config_set_inflight(config: *mut enos_config, messages: u32) -> enos_status {
    // SAFETY: the header's contract.
    unsafe { set(config, |c| c.config.set_inflight(messages)) }
}

/// Sets how many topic filters a SUBSCRIBE packet may have. On a new connection the client subscribes to all of your
/// filters again, and to the topics on which EnOS's replies come. If the broker refuses every filter of a packet or
/// does not answer it, the client tries again with packets of half as many filters, down to 1. If the broker accepts
/// those, or if it ends connections instead of an answer, the next packets are smaller, too. When it has accepted
/// packets of that size on two connections, the client tries twice as many, up to this setting, and less often each
/// time that this fails. enos_client_subscribe() while ONLINE sends a packet of its own.
///
/// @param config   the config.
/// @param filters  1 to 256. Default: 100.
/// @retval ENOS_OK               done.
/// @retval ENOS_ERR_INVALID_ARG  out of that range; 0 is also out of range.
#[no_mangle]
pub unsafe extern "C" fn enos_config_set_subscribe_batch(config: *mut enos_config, filters: u32) -> enos_status {
    // SAFETY: the header's contract.
    unsafe { set(config, |c| c.config.set_subscribe_batch(filters)) }
}

/// Sets how much may wait for the loop. If the queue is full, messages are dropped, and ENOS_EVENT_OVERFLOW tells how
/// many. An expected activation is never dropped.
///
/// @param config            the config.
/// @param inbound_messages  1 to 1000000. Default: 1000.
/// @param inbound_bytes     1024 to 1073741824, topics and payloads together; not less than max_message
///                          (enos_client_create() checks that). Default: 4194304.
/// @retval ENOS_OK               done.
/// @retval ENOS_ERR_INVALID_ARG  out of that range; 0 is also out of range.
#[no_mangle]
pub unsafe extern "C" fn enos_config_set_queue_limits(
    config: *mut enos_config,
    inbound_messages: u32,
    inbound_bytes: usize,
) -> enos_status {
    // SAFETY: the header's contract.
    unsafe { set(config, |c| c.config.set_queue_limits(inbound_messages, inbound_bytes)) }
}

/// Sets the largest payload that may come in. A larger one is dropped and counted (ENOS_EVENT_OVERFLOW); one that is
/// larger by the 64 KiB that a topic can have ends the connection before any of it is stored: DISCONNECTED with
/// ENOS_ERR_NETWORK. An expected activation is accepted nevertheless, with up to 64 KiB.
///
/// @param config  the config.
/// @param bytes   1024 to 268435455. Default: 1048576.
/// @retval ENOS_OK               done.
/// @retval ENOS_ERR_INVALID_ARG  out of that range; 0 is also out of range.
#[no_mangle]
pub unsafe extern "C" fn enos_config_set_max_message(config: *mut enos_config, bytes: usize) -> enos_status {
    // SAFETY: the header's contract.
    unsafe { set(config, |c| c.config.set_max_message(bytes)) }
}
