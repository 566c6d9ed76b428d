//! Requests: what a device tells or asks EnOS. enum enos_operation lists them. The library adds topic, id, version and
//! method, sends at QoS 1, subscribes to the topic of the reply before the first request, and finds the reply by its
//! topic and id.
//!
//! An accepted request has exactly one outcome: ENOS_EVENT_REPLY, or DELIVERED for ENOS_OP_PUBLISH and for a durable
//! request without ENOS_REQUEST_UNTIL_REPLY. It has the request's token, operation and user; a REPLY has EnOS's answer
//! in payload, and "data" and "message" of it as values.
//!
//! The library refuses only what cannot be right: params that are not JSON or have another shape, a message of 512 KiB
//! or more, and a durable request without the time that it needs or with an implausible one. EnOS judges the rest,
//! counts and lengths included, and its code is in detail_code. A code that the library does not know is passed on as
//! it is. EnOS may send the code as a number or as a text.
//!
//! A message that the broker has retained is never a reply. The client stays subscribed to at most 256 topics of
//! replies: for a new one it gives up the one that was used least recently of those that no request needs.
//!
//! Raw requests (ENOS_OP_RAW_UP). Their replies have no id and no code: the first message on the topic of the reply
//! ends the request with ENOS_OK and detail_code 200, and payload is what the script of the product has returned. So
//! only one raw request at a time waits for its reply; the others wait for their turn, in order. The time of each
//! begins when it is sent, so the wait for the turn has no limit of its own: enos_config_set_inflight() limits how many
//! wait. The next one waits for longer when a late reply could be taken for its own:
//!
//!     after a raw request without its reply     for one more enos_config_set_reply_timeout(), which is retry_in_ms of
//!     (ENOS_ERR_TIMEOUT, ENOS_ERR_NETWORK)      the event
//!     after a durable raw request without       until its reply comes, but at most for two
//!     ENOS_REQUEST_UNTIL_REPLY                  enos_config_set_reply_timeout() after it was acknowledged
//!
//! A reply that comes meanwhile is a MESSAGE. Durable raw requests without ENOS_REQUEST_UNTIL_REPLY do not wait for
//! each other. But they, and what is behind them in the outbox, wait while a raw request waits for its turn or for its
//! reply. So a live raw request with a long timeout_ms can hold up the outbox for that long.
//!
//! If EnOS sends the same raw reply twice, the second cannot be told from that of the next request. A broker may also
//! send a reply once for each subscription that matches. So do not subscribe to a filter with + or # that matches the
//! topic of raw replies; the client logs a warning if you do.

use std::ffi::{c_char, c_void};
use std::mem::size_of;

use super::guard::on_client;
use super::handle::{enos_client, Boxed};
use super::input::{bytes, null, optional_text, text, versioned, Versioned};
use super::json::enos_json;
use super::output::{Out, TextOut};
use super::status::enos_status;
use crate::client::{Client, DurableRequest, HostRequest};
use crate::error::{Error, Result, Status};
use crate::protocol::outbox::MAX_TOGETHER;
use crate::protocol::Operation;
use crate::storage::vtable::MAX_VALUE_LEN;

/// A request. It is yours, and copied.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct enos_request {
    /// sizeof(enos_request); ENOS_INIT() sets it. It is the same for all requests of a batch.
    pub struct_size: usize,
    /// One of enum enos_operation.
    pub operation: i32,
    /// ENOS_REQUEST_* bits.
    pub flags: u32,
    /// The id of a sub-device; 0: the client's own device.
    pub subdevice: u64,
    /// The event's identifier, the path or the topic; NULL if the operation has none.
    pub name: *const c_char,
    /// The params as a builder. At most one of json and params is set. Without both, the operation's empty params are
    /// sent: {}, [] or no bytes; a query asks for everything.
    pub json: *const enos_json,
    /// The params as JSON text, or the bytes of a raw request or of a publish.
    pub params: *const c_void,
    /// In bytes, or ENOS_NUL_TERMINATED.
    pub params_len: usize,
    /// For the reply, in milliseconds. 0: enos_config_set_reply_timeout(). With ENOS_REQUEST_DURABLE it must be 0.
    pub timeout_ms: u32,
    /// 0.
    pub reserved: u32,
    /// Comes back in the outcome. After a restart, the outcome of a durable request has NULL.
    pub user: *mut c_void,
}

// SAFETY: repr(C), begins with its size; zero is a valid value of each field.
unsafe impl Versioned for enos_request {
    const NAME: &'static str = "enos_request";
    const V0_1: usize = size_of::<enos_request>();
}

/// Writes the token when the call is accepted, before any event of it can be delivered.
///
/// # Safety
/// `out_token` is NULL or points to a place for the token, writable while the closure lives.
pub(super) unsafe fn token_out(out_token: *mut u64) -> impl FnMut(u64) {
    // SAFETY: the caller's promise.
    let mut out = unsafe { Out::optional(out_token) };
    move |token| {
        if let Some(out) = out.take() {
            out.set(token);
        }
    }
}

/// Sends a request.
///
/// @param client     the client.
/// @param request    the request; copied.
/// @param out_token  receives the token; may be NULL.
/// @retval ENOS_OK               accepted: its outcome will come. If durable: it is in your storage.
/// @retval ENOS_ERR_STATE        not online, or the sub-device is not; if durable: there is no storage, or EnOS has
///                               deleted the sub-device. Or the builder has an open object or array.
/// @retval ENOS_ERR_QUEUE_FULL   too many calls have no outcome yet (enos_config_set_inflight()), or the outbox is full:
///                               ENOS_EVENT_ROOM tells when to continue.
/// @retval ENOS_ERR_TOO_LARGE    the message has 512 KiB or more; or it is durable, and larger than the outbox may be.
/// @retval ENOS_ERR_STORAGE      durable: your storage failed, and nothing was kept.
/// @retval ENOS_ERR_UNSUPPORTED  a sub-device, or this client, cannot send it.
/// @retval ENOS_ERR_NOT_FOUND    no such sub-device.
/// @retval ENOS_ERR_STRUCT_SIZE  the request was not made with ENOS_INIT().
/// @retval ENOS_ERR_INVALID_ARG  there is no such operation, name or flag; params are not JSON that every reader reads
///                               alike, or not the object or array that the operation takes; both json and params are
///                               set; or the request is durable, and its operation cannot be durable, or it has no
///                               plausible time. An error that the builder has kept is returned as it is.
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn enos_client_request(
    client: *mut enos_client,
    request: *const enos_request,
    out_token: *mut u64,
) -> enos_status {
    // SAFETY: the header's contract for each argument.
    unsafe {
        on_client(client, |client| {
            let request = versioned(request, "request")?;
            client.request(&host_request(&request)?, &mut token_out(out_token))
        })
    }
}

/// Accepts durable requests together, all or none. They cost the same as one: one store, and later one erase.
///
/// Storage callbacks run inside this call, as inside every durable request.
///
/// @param client      the client.
/// @param requests    an array of `count` requests, copied. Each has ENOS_REQUEST_DURABLE, and any operation that can
///                    be durable.
/// @param count       1 to 256. Several have at most about 60 KiB in total, a single one at most 524287 bytes.
/// @param out_tokens  receives `count` tokens, in the order of the requests; may be NULL.
/// @param out_bad     receives the index of the request that is at fault, or SIZE_MAX if none of them is.
///                    enos_last_error() says what is wrong with it. May be NULL.
/// @retval ENOS_OK               all are in your storage; each will have its event.
/// @retval ENOS_ERR_STATE        there is no storage, or EnOS has deleted a sub-device. Or a builder has an open object
///                               or array.
/// @retval ENOS_ERR_QUEUE_FULL   no room in the outbox; ENOS_EVENT_ROOM tells when there is. Nothing was kept.
/// @retval ENOS_ERR_STORAGE      your storage failed. Nothing was stored, if a store that fails leaves nothing behind.
/// @retval ENOS_ERR_TOO_LARGE    one has 512 KiB or more, together they are over 60 KiB, or over the outbox's own
///                               limit.
/// @retval ENOS_ERR_UNSUPPORTED  a sub-device, or this client, cannot send one of them.
/// @retval ENOS_ERR_NOT_FOUND    no such sub-device.
/// @retval ENOS_ERR_STRUCT_SIZE  a request was not made with ENOS_INIT().
/// @retval ENOS_ERR_INVALID_ARG  count, or a request, as for enos_client_request().
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn enos_client_request_batch(
    client: *mut enos_client,
    requests: *const enos_request,
    count: usize,
    out_tokens: *mut u64,
    out_bad: *mut usize,
) -> enos_status {
    // SAFETY: the header's contract for each argument.
    unsafe {
        let set_bad = |bad| {
            if let Some(out_bad) = Out::optional(out_bad) {
                out_bad.set(bad);
            }
        };
        set_bad(usize::MAX);
        on_client(client, |client| {
            let mut bad = usize::MAX;
            let batch = batch(client, requests, count, &mut bad);
            set_bad(bad);
            let requests = batch?;
            let mut at = 0;
            client.publish_durable(requests, &mut |token| {
                if !out_tokens.is_null() {
                    out_tokens.add(at).write_unaligned(token);
                }
                at += 1;
            })
        })
    }
}

/// Reports measure points: ENOS_OP_MEASUREPOINT_POST.
///
/// @param client     the client.
/// @param params     a JSON object in UTF-8, e.g. {"measurepoints":{"temperature":21.5},"time":1524448722000}
/// @param len        in bytes, or ENOS_NUL_TERMINATED. The whole message is at most 524287 bytes.
/// @param flags      0, or ENOS_REQUEST_DURABLE, alone or with ENOS_REQUEST_UNTIL_REPLY and ENOS_REQUEST_RESUME. A
///                   durable post has to have "measurepoints", an object with at least one member, and a "time", in
///                   milliseconds since 1970; or ENOS_REQUEST_STAMP, or ENOS_REQUEST_WITHOUT_TIME.
/// @param out_token  receives the token; may be NULL.
/// @retval ENOS_OK  accepted. The errors are those of enos_client_request().
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn enos_client_post_measurepoints(
    client: *mut enos_client,
    params: *const c_char,
    len: usize,
    flags: u32,
    out_token: *mut u64,
) -> enos_status {
    // SAFETY: the header's contract for each argument.
    unsafe { send(client, Operation::ENOS_OP_MEASUREPOINT_POST, None, (params, len), flags, out_token) }
}

/// Reports an event of the thing model: ENOS_OP_EVENT_POST.
///
/// @param client     the client.
/// @param event      the event's identifier.
/// @param params     a JSON object in UTF-8, e.g. {"events":{"temperature":91.5},"time":1524448722000}
/// @param len        in bytes, or ENOS_NUL_TERMINATED.
/// @param flags      0, or ENOS_REQUEST_DURABLE, alone or with ENOS_REQUEST_UNTIL_REPLY. A durable event has to have a
///                   "time"; or ENOS_REQUEST_STAMP, or ENOS_REQUEST_WITHOUT_TIME.
/// @param out_token  receives the token; may be NULL.
/// @retval ENOS_OK  accepted. The errors are those of enos_client_request().
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn enos_client_post_event(
    client: *mut enos_client,
    event: *const c_char,
    params: *const c_char,
    len: usize,
    flags: u32,
    out_token: *mut u64,
) -> enos_status {
    // SAFETY: the header's contract for each argument.
    unsafe { send(client, Operation::ENOS_OP_EVENT_POST, Some((event, "event")), (params, len), flags, out_token) }
}

/// Sets attributes of the device: ENOS_OP_ATTRIBUTE_UPDATE.
///
/// @param client     the client.
/// @param params     a JSON object in UTF-8, e.g. {"attributes":{"serial":"4711"}}
/// @param len        in bytes, or ENOS_NUL_TERMINATED.
/// @param flags      0, or ENOS_REQUEST_DURABLE, alone or with ENOS_REQUEST_UNTIL_REPLY.
/// @param out_token  receives the token; may be NULL.
/// @retval ENOS_OK  accepted. The errors are those of enos_client_request().
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn enos_client_update_attributes(
    client: *mut enos_client,
    params: *const c_char,
    len: usize,
    flags: u32,
    out_token: *mut u64,
) -> enos_status {
    // SAFETY: the header's contract for each argument.
    unsafe { send(client, Operation::ENOS_OP_ATTRIBUTE_UPDATE, None, (params, len), flags, out_token) }
}

/// Writes the topic or filter of a path of the client's own device: /sys/{product key}/{device key}/{path}. With it you
/// can subscribe to topics that EnOS may add.
///
/// @param client  the client.
/// @param path    such as "thing/service/+": no / at its start, + and # as in a filter.
/// @param buffer  receives the text and a NUL; NULL with cap 0 asks for the capacity.
/// @param cap     the buffer's size in bytes.
/// @param len     receives the length without the NUL; with ENOS_ERR_BUFFER_TOO_SMALL, the capacity that is needed.
/// @retval ENOS_OK                    written.
/// @retval ENOS_ERR_BUFFER_TOO_SMALL  nothing but an empty text was written.
/// @retval ENOS_ERR_INVALID_ARG       no such path.
/// @retval ENOS_ERR_UNSUPPORTED       the client is an integration channel.
#[no_mangle]
pub unsafe extern "C" fn enos_client_topic(
    client: *const enos_client,
    path: *const c_char,
    buffer: *mut c_char,
    cap: usize,
    len: *mut usize,
) -> enos_status {
    // SAFETY: the header's contract for each argument.
    unsafe {
        on_client(client, |client| {
            if len.is_null() {
                return Err(null("len"));
            }
            let out = TextOut::new(buffer, cap, len, "buffer")?;
            out.set(client.topic(text(path, "path")?)?.as_bytes())
        })
    }
}

/// A request of a typed call.
///
/// # Safety
/// The arguments are as the header describes them.
unsafe fn send(
    client: *mut enos_client,
    operation: Operation,
    name: Option<(*const c_char, &str)>,
    (params, len): (*const c_char, usize),
    flags: u32,
    out_token: *mut u64,
) -> enos_status {
    // SAFETY: the caller's promise.
    unsafe {
        on_client(client, |client| {
            let name = name.map_or(Ok(""), |(name, argument)| text(name, argument))?;
            let params = Some(bytes(params.cast(), len, "params")?);
            let request = HostRequest { operation, subdevice: 0, flags, name, params, timeout_ms: 0, user: 0 };
            client.request(&request, &mut token_out(out_token))
        })
    }
}

/// # Safety
/// `request` is as the header describes it, during `'a`.
unsafe fn host_request<'a>(request: &enos_request) -> Result<HostRequest<'a>> {
    let Some(operation) = Operation::from_number(request.operation) else {
        let words = format!("operation is {}, which is none of enum enos_operation", request.operation);
        return Err(Error::invalid(words));
    };
    if request.reserved != 0 {
        return Err(Error::invalid("reserved is not 0; set the struct to zero with ENOS_INIT()"));
    }
    // SAFETY: the caller's promise.
    let (name, params) = unsafe {
        let name = optional_text(request.name, "name")?.unwrap_or_default();
        let params = match (request.json.is_null(), request.params.is_null()) {
            (false, false) => return Err(Error::invalid("json and params are both set; a request has one of them")),
            (false, true) => Some(enos_json::borrow(request.json, "json")?.text()?.as_bytes()),
            (true, true) if request.params_len == 0 => None,
            (true, _) => Some(bytes(request.params, request.params_len, "params")?),
        };
        (name, params)
    };
    let enos_request { subdevice, flags, timeout_ms, .. } = *request;
    Ok(HostRequest { operation, subdevice, flags, name, params, timeout_ms, user: request.user.expose_provenance() })
}

/// The requests. `bad` is the index of a request that is at fault.
///
/// # Safety
/// `first` is NULL or points to `count` structs of the size that each says it has, as the header describes them.
unsafe fn batch(
    client: &Client,
    first: *const enos_request,
    count: usize,
    bad: &mut usize,
) -> Result<Vec<DurableRequest>> {
    if first.is_null() {
        return Err(null("requests"));
    }
    if !(1..=MAX_TOGETHER).contains(&count) {
        return Err(Error::invalid(format!("count is {count}; it can be 1 to {MAX_TOGETHER}")));
    }
    // SAFETY: the caller's promise; every version begins with its size.
    let stride = unsafe { first.cast::<usize>().read_unaligned() };
    let mut total = 0usize;
    let mut requests = Vec::with_capacity(count);
    for at in 0..count {
        // SAFETY: the caller's promise: the structs lie one behind the other, all as large as the first.
        let one = unsafe { one_of(client, first.byte_add(at.saturating_mul(stride)), stride) };
        let one = one.and_then(|one| client.check_subdevice(one.subdevice).map(|()| one)).map_err(|error| {
            *bad = at;
            Error::new(error.status, format!("requests[{at}]: {}", error.message))
        })?;
        total = total.saturating_add(one.request.size());
        if count > 1 && total > MAX_VALUE_LEN {
            let words = "the requests are more than a batch can hold together: 60 KiB";
            return Err(Error::new(Status::ENOS_ERR_TOO_LARGE, words));
        }
        requests.push(one);
    }
    Ok(requests)
}

/// # Safety
/// `request` points to a struct of the size that it says it has, as the header describes it.
unsafe fn one_of(client: &Client, request: *const enos_request, stride: usize) -> Result<DurableRequest> {
    // SAFETY: the caller's promise.
    let request = unsafe { versioned(request, "it")? };
    if request.struct_size != stride {
        return Err(Error::invalid("its struct_size is not that of the first one; set each with ENOS_INIT()"));
    }
    // SAFETY: the caller's promise.
    unsafe { host_request(&request) }?.durable(client)
}
