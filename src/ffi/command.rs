//! Commands: what the cloud asks of the device. Each comes as ENOS_EVENT_COMMAND with a handle. On a link that stays up
//! it gets exactly one answer: yours, or the library's. EnOS sends the next command only after the answer, so silence
//! would block the device.
//!
//!     static void on_event(void *ctx, enos_client *client, const enos_event *event)
//!     {
//!         double power;
//!         if (event->type == ENOS_EVENT_COMMAND && strcmp(enos_command_name(event->command), "limit") == 0) {
//!             enos_value wanted = enos_value_at(enos_command_params(event->command), "/power");
//!             enos_status found = enos_value_double(wanted, &power);
//!             enos_command_reply(event->command, found == ENOS_OK ? 200 : 2001, NULL, NULL, NULL);
//!         }
//!     }
//!
//! The life of a handle. In the callback it is the library's. enos_command_retain() makes it yours as well: then you
//! may answer it later, from any thread. Each retain needs one enos_command_release(); an answer does not release
//! anything. A retained handle stays valid until its last release, also after enos_client_destroy(), and so does what
//! the getters return. Any thread may call the functions, also inside an event callback, and several threads at once.
//! None waits.
//!
//! What the library answers if you do not:
//!
//!     1101  the callback has returned, and you have neither answered nor retained the command
//!     1102  the deadline is over, or you have released the command without an answer
//!     200   in both cases, for ENOS_COMMAND_ENABLE, _DISABLE and _DELETE
//!     429   the limits of enos_config_set_command_limits() are reached, or it is too soon after the login
//!           (enos_config_set_command_quiet_time()); the command is not handed over
//!     460   the command cannot be read, but its id can; it is not handed over
//!
//! The library never answers traffic/control. ENOS_EVENT_OVERFLOW with ENOS_ERR_REFUSED tells how many commands were
//! not handed over, and enos_stats counts them. Commands that arrive faster than the callbacks return wait in the
//! connection. If a callback blocks for longer than half a keep-alive, the library continues to read. It drops the
//! messages for which the inbound queue has no room (enos_config_set_queue_limits()), and these may be commands.
//! OVERFLOW counts them.
//!
//! The deadline. The caller of the command waits 1 to 60 seconds, 30 by default, and the device is not told how long.
//! So the deadline is a setting of the device, enos_config_set_command_timeout(). Its time begins right before the
//! callback. While a callback blocks the loop, the library cannot answer; it does so as soon as the callback has
//! returned. The commands behind it wait: they are not refused, but their callers may have given up. If you answer
//! after the deadline, the call returns ENOS_ERR_STATE, and nothing is sent.
//!
//! If the link is lost, a command can still be answered. An answer that was not sent, or that the broker has not
//! acknowledged yet, goes out on the next link if the deadline is not over. An answer that was sent before is sent
//! again at most once, and only if it has no more than 64 KiB. EnOS may get it twice, with the same id. An answer that
//! the broker does not acknowledge has the outcome ENOS_ERR_TIMEOUT at the deadline or after the reply timeout,
//! whichever is later.
//!
//! Interrupted commands. After a login, EnOS sends a command again if it has no answer and has not given up. A command
//! that reboots the device would reboot it again and again. So the client stores a mark before the callback, and
//! removes it when the broker has acknowledged the answer. If the same command (topic, id and params) comes again in a
//! later process, enos_command_was_interrupted() is 1, and you decide. At most 64 commands are remembered, for 48
//! hours. This needs a storage, and costs one store and one erase for each command (with several at once, a store in
//! place of the erase), and the time that the storage takes; enos_config_set_command_record() switches it off. If the
//! storage fails, the command is handed over nevertheless, and the log says so. Before you reboot, answer, and wait for
//! the DELIVERED event with the token: then the broker has the answer, and the mark is gone.
//!
//! What is a command. EnOS delivers commands to a device without a subscription, and the library does not subscribe to
//! them. With another broker, subscribe to them with enos_client_subscribe(), e.g. to
//! /sys/{product key}/{device key}/thing/service/+. Then they come as COMMAND as well. A retained message is never a
//! command, because it would be carried out at each login. On a topic of commands, OVERFLOW tells of it, and it is not
//! answered. An id is a text, a number or null, and has at most 16 KiB. The answer has the id as it came; a command
//! without an id is answered without one. Commands with the same id are different commands.
//!
//! On the wire, the acknowledgement of a command goes out before its answer, and does not wait for your callback.

use std::ffi::c_char;
use std::ptr;
use std::sync::Arc;

use super::config::{enos_config, set};
use super::guard::{getter, guard};
use super::handle::{command as handle, enos_command};
use super::input::{bytes, optional_text};
use super::json::enos_json;
use super::output::Out;
use super::request::token_out;
use super::status::enos_status;
use super::value::enos_value;
use crate::client::CommandHandle;
use crate::error::{Error, Result, Status};

/// Reads from a command; `nothing` for NULL.
///
/// # Safety
/// As for [`handle`].
unsafe fn look<T: Copy>(command: *const enos_command, nothing: T, read: impl FnOnce(&CommandHandle) -> T) -> T {
    // SAFETY: the caller's promise.
    getter(nothing, || unsafe { handle(command) }.map_or(nothing, read))
}

/// What the command is.
///
/// @param command  the command.
/// @return  one of enum enos_command_type; 0 for NULL.
#[no_mangle]
pub unsafe extern "C" fn enos_command_get_type(command: *const enos_command) -> i32 {
    // SAFETY: the header's contract.
    unsafe { look(command, 0, |command| command.command().command_type() as i32) }
}

/// The identifier of the service.
///
/// @param command  the command.
/// @return  the identifier; "" if the command is not an ENOS_COMMAND_SERVICE. Never NULL.
#[no_mangle]
pub unsafe extern "C" fn enos_command_name(command: *const enos_command) -> *const c_char {
    // SAFETY: the header's contract.
    unsafe { look(command, c"".as_ptr(), |command| command.name().as_ptr()) }
}

/// The "params" of the command.
///
/// @param command  the command.
/// @return  any JSON; {NULL, 0} if the command has no params or is not JSON.
#[no_mangle]
pub unsafe extern "C" fn enos_command_params(command: *const enos_command) -> enos_value {
    // SAFETY: the header's contract.
    unsafe { look(command, enos_value::MISSING, |command| enos_value::whole(command.command().params())) }
}

/// The whole payload of the command: for ENOS_COMMAND_RAW its bytes, for others the JSON around the params.
///
/// @param command  the command.
/// @param len      receives the number of bytes; may be NULL.
/// @return  the bytes, with no NUL after them; NULL if the command is NULL, otherwise never.
#[no_mangle]
pub unsafe extern "C" fn enos_command_raw(command: *const enos_command, len: *mut usize) -> *const u8 {
    // SAFETY: the header's contract.
    unsafe {
        look(command, ptr::null(), |command| {
            let payload = &command.command().payload;
            if let Some(len) = Out::optional(len) {
                len.set(payload.len());
            }
            // C must not get the pointer of an empty vector.
            if payload.is_empty() {
                c"".as_ptr().cast()
            } else {
                payload.as_ptr()
            }
        })
    }
}

/// The sub-device that the command is for.
///
/// @param command  the command.
/// @return  0: the client's own device.
#[no_mangle]
pub unsafe extern "C" fn enos_command_subdevice(command: *const enos_command) -> u64 {
    // SAFETY: the header's contract.
    unsafe { look(command, 0, |command| command.subdevice()) }
}

/// How long the command can still be answered, whether it was answered or not.
///
/// @param command  the command.
/// @return  milliseconds until the deadline; 0: it is over.
#[no_mangle]
pub unsafe extern "C" fn enos_command_remaining_ms(command: *const enos_command) -> u32 {
    // SAFETY: the header's contract.
    unsafe { look(command, 0, CommandHandle::remaining_ms) }
}

/// How long after the last login the command came. If the caller wants that, EnOS keeps commands for a device that is
/// offline, for up to two days, and sends them one after the other after the login. So a small number is a hint that
/// the command is old.
///
/// @param command  the command.
/// @return  milliseconds.
#[no_mangle]
pub unsafe extern "C" fn enos_command_since_login_ms(command: *const enos_command) -> u32 {
    // SAFETY: the header's contract.
    unsafe { look(command, 0, CommandHandle::since_login_ms) }
}

/// Whether an earlier process has had this command, and may not have sent the answer (see "Interrupted commands"). Run
/// it again, or answer it without running it.
///
/// @param command  the command.
/// @return  1 if an earlier process had it, otherwise 0.
#[no_mangle]
pub unsafe extern "C" fn enos_command_was_interrupted(command: *const enos_command) -> i32 {
    // SAFETY: the header's contract.
    unsafe { look(command, 0, |command| command.was_interrupted().into()) }
}

/// Keeps a command beyond the callback. Each call needs one enos_command_release(). This does not fail because of the
/// limits: a command that was handed over is already counted.
///
/// @param command  the command.
/// @retval ENOS_OK  it is valid until you have released it.
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn enos_command_retain(command: *mut enos_command) -> enos_status {
    guard(|| {
        // SAFETY: the header's contract: somebody holds the handle during this call.
        unsafe {
            handle(command)?.retained();
            Arc::increment_strong_count(command.cast_const().cast::<CommandHandle>());
        }
        Ok(())
    })
}

/// Takes back one enos_command_retain(), after which you must not use the handle. If it was the last one, and the
/// command is not answered, the library answers.
///
/// @param command  may be NULL: nothing happens.
#[no_mangle]
pub unsafe extern "C" fn enos_command_release(command: *mut enos_command) {
    getter((), || {
        if !command.is_null() {
            // SAFETY: the header's contract: there was a retain for it.
            drop(unsafe { Arc::from_raw(command.cast_const().cast::<CommandHandle>()) });
        }
    });
}

/// Runs the body of a reply.
///
/// # Safety
/// As for [`handle`], and `out_token` is NULL or points to a place for the token.
unsafe fn reply(
    command: *const enos_command,
    out_token: *mut u64,
    body: impl FnOnce(&CommandHandle, &mut dyn FnMut(u64)) -> Result<()>,
) -> enos_status {
    // SAFETY: the caller's promise.
    guard(|| unsafe { body(handle(command)?, &mut token_out(out_token)) })
}

/// The error of a builder. An open object is a wrong argument here, because the state is that of the command.
fn of_builder(error: Error) -> Error {
    match error.status {
        Status::ENOS_ERR_STATE => Error::invalid(error.message),
        _ => error,
    }
}

/// Answers a command with JSON. A command has one answer. The answer does not release the command.
///
/// @param command    the command.
/// @param code       200: done. 2000 and more: errors of the device's own. EnOS documents others.
/// @param data       a builder with the value of "data"; NULL: {}. It is copied, and stays yours.
/// @param message    the "message" for the caller, UTF-8; NULL: none.
/// @param out_token  receives the token; may be NULL.
/// @retval ENOS_OK               accepted: DELIVERED will come with the token.
/// @retval ENOS_ERR_STATE        the command was answered before, its deadline is over, or the client is gone. Nothing
///                               is sent.
/// @retval ENOS_ERR_TOO_LARGE    the message has 512 KiB or more. As after every other error, the command can still be
///                               answered.
/// @retval ENOS_ERR_INVALID_ARG  message is not UTF-8, the builder is empty or has an open object; or the command is an
///                               ENOS_COMMAND_RAW, which is answered with enos_command_reply_raw(). An error that the
///                               builder has kept is returned as it is.
#[no_mangle]
pub unsafe extern "C" fn enos_command_reply(
    command: *mut enos_command,
    code: i32,
    data: *const enos_json,
    message: *const c_char,
    out_token: *mut u64,
) -> enos_status {
    // SAFETY: the header's contract for each argument.
    unsafe {
        reply(command, out_token, |command, accepted| {
            let data = data.as_ref().map(enos_json::text).transpose().map_err(of_builder)?;
            command.answer(code, data.map(str::as_bytes), optional_text(message, "message")?, accepted)
        })
    }
}

/// The same with a text, for a firmware with a JSON library of its own.
///
/// @param command    the command.
/// @param code       as for enos_command_reply().
/// @param data       the value of "data", any JSON in UTF-8, at most 64 levels deep; NULL: {}.
/// @param len        in bytes, or ENOS_NUL_TERMINATED; ignored if data is NULL.
/// @param message    the "message" for the caller, UTF-8; NULL: none.
/// @param out_token  receives the token; may be NULL.
/// @retval ENOS_OK               accepted: DELIVERED will come with the token.
/// @retval ENOS_ERR_STATE        the command was answered before, its deadline is over, or the client is gone. Nothing
///                               is sent.
/// @retval ENOS_ERR_TOO_LARGE    the message has 512 KiB or more. As after every other error, the command can still be
///                               answered.
/// @retval ENOS_ERR_INVALID_ARG  data is not JSON that every reader reads (see the chapter on messages), message is not
///                               UTF-8, or the command is an ENOS_COMMAND_RAW.
#[no_mangle]
pub unsafe extern "C" fn enos_command_reply_text(
    command: *mut enos_command,
    code: i32,
    data: *const c_char,
    len: usize,
    message: *const c_char,
    out_token: *mut u64,
) -> enos_status {
    // SAFETY: the header's contract for each argument.
    unsafe {
        reply(command, out_token, |command, accepted| {
            let data = if data.is_null() { None } else { Some(bytes(data.cast(), len, "data")?) };
            command.answer(code, data, optional_text(message, "message")?, accepted)
        })
    }
}

/// Answers an ENOS_COMMAND_RAW or ENOS_COMMAND_RRPC with bytes.
///
/// @param command    the command.
/// @param data       any bytes; may be NULL if len is 0.
/// @param len        in bytes, or ENOS_NUL_TERMINATED; at most 524287.
/// @param out_token  receives the token; may be NULL.
/// @retval ENOS_OK               accepted: DELIVERED will come with the token.
/// @retval ENOS_ERR_STATE        the command was answered before, its deadline is over, or the client is gone. Nothing
///                               is sent.
/// @retval ENOS_ERR_TOO_LARGE    the answer has 512 KiB or more. As after every other error, the command can still be
///                               answered.
/// @retval ENOS_ERR_INVALID_ARG  the command is answered with JSON.
#[no_mangle]
pub unsafe extern "C" fn enos_command_reply_raw(
    command: *mut enos_command,
    data: *const std::ffi::c_void,
    len: usize,
    out_token: *mut u64,
) -> enos_status {
    // SAFETY: the header's contract for each argument.
    unsafe { reply(command, out_token, |command, accepted| command.raw_answer(bytes(data, len, "data")?, accepted)) }
}

/// Sets how long a command can be answered. EnOS waits 1 to 60 seconds, as the caller wants, 30 by default.
///
/// @param config   the config.
/// @param service  the identifier of a service; NULL: all commands that have no timeout of their own.
/// @param ms       500 to 60000. Default: 25000.
/// @retval ENOS_OK               done.
/// @retval ENOS_ERR_INVALID_ARG  out of that range; or service is not UTF-8, or cannot be an identifier.
#[no_mangle]
pub unsafe extern "C" fn enos_config_set_command_timeout(
    config: *mut enos_config,
    service: *const c_char,
    ms: u32,
) -> enos_status {
    // SAFETY: the header's contract.
    unsafe { set(config, |c| c.config.set_command_timeout(optional_text(service, "service")?, ms)) }
}

/// Sets how many commands you may have at a time. A command counts from the callback until its last release. Further
/// commands are answered 429, and ENOS_EVENT_OVERFLOW tells of them.
///
/// @param config    the config.
/// @param commands  1 to 10000. Default: 64.
/// @param bytes     1024 to 1073741824: the topics and payloads of these commands, and the answers that are not out
///                  yet. Default: 1048576. A larger command is refused as well. No answer of yours is refused because
///                  of this limit, so they can take 512 KiB more for each command that you have.
/// @retval ENOS_OK               done.
/// @retval ENOS_ERR_INVALID_ARG  out of that range; 0 is also out of range.
#[no_mangle]
pub unsafe extern "C" fn enos_config_set_command_limits(
    config: *mut enos_config,
    commands: u32,
    bytes: usize,
) -> enos_status {
    // SAFETY: the header's contract.
    unsafe { set(config, |c| c.config.set_command_limits(commands, bytes)) }
}

/// Sets for how long after a login the library refuses commands: it answers 429, and ENOS_EVENT_OVERFLOW tells of them.
/// This is for machines that must not carry out the commands that EnOS has kept while the device was offline. EnOS
/// sends these one after the other, each after the answer to the one before it. enable, disable, delete and
/// traffic/control are not refused.
///
/// @param config  the config.
/// @param ms      0 to 600000. Default: 0: none is refused.
/// @retval ENOS_OK               done.
/// @retval ENOS_ERR_INVALID_ARG  out of that range.
#[no_mangle]
pub unsafe extern "C" fn enos_config_set_command_quiet_time(config: *mut enos_config, ms: u32) -> enos_status {
    // SAFETY: the header's contract.
    unsafe { set(config, |c| c.config.set_command_quiet_time(ms)) }
}

/// Sets whether the client stores which commands are not answered yet, so that a later process can recognise them
/// (enos_command_was_interrupted()). Without a storage it does not. If it is off, the record of earlier processes is
/// removed.
///
/// @param config  the config.
/// @param on      0: off; any other value: on. Default: on.
/// @retval ENOS_OK  done.
#[no_mangle]
pub unsafe extern "C" fn enos_config_set_command_record(config: *mut enos_config, on: i32) -> enos_status {
    let set_record = |c: &mut enos_config| {
        c.config.set_command_record(on != 0);
        Ok(())
    };
    // SAFETY: the header's contract.
    unsafe { set(config, set_record) }
}
