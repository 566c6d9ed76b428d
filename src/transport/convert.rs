//! Converts and checks the values that Paho's functions take and return.

use crate::error::{Error, Result, Status};
use crate::protocol::topic::validate_filter;
use paho_engine::sys as paho;
use std::ffi::{c_int, CString};
use std::ptr;

/// The longest MQTT string, in bytes.
pub const STRING: usize = 65_535;
/// The most bytes that an MQTT packet can have after its header.
pub const PACKET: usize = 268_435_455;
/// The bytes of a PUBLISH after its header, except for topic and payload: the topic's length and the packet id.
pub const OVERHEAD: usize = 2 + 2;
/// Calls that may wait in Paho beside the messages in flight: subscriptions, QoS 0.
const QUEUE: c_int = 128;

/// Paho's object.
#[derive(Clone, Copy)]
pub struct Handle(pub paho::MQTTAsync);

// SAFETY: Paho's functions may be called from any thread, because the client's lock is held around each call. Only destroy
// needs an owner, which is the link.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

/// Makes Paho's object for one connection, over MQTT 3.1.1: with the default, 5, Paho mishandles queued messages.
pub fn create(client_id: &CString, buffered: c_int) -> Result<Handle> {
    let mut options = paho::MQTTAsync_createOptions {
        sendWhileDisconnected: 0,
        allowDisconnectedSendAtAnyTime: 0,
        // Messages in flight count, too.
        maxBufferedMessages: buffered.saturating_mul(2).saturating_add(QUEUE),
        MQTTVersion: paho::MQTTVERSION_3_1_1 as c_int,
        ..Default::default()
    };
    let mut handle = ptr::null_mut();
    // SAFETY: the strings and the options live across the call, which copies them. The link knows the address.
    let rc = unsafe {
        paho::MQTTAsync_createWithOptions(
            &mut handle,
            c"tcp://link".as_ptr(),
            client_id.as_ptr(),
            paho::MQTTCLIENT_PERSISTENCE_NONE as c_int,
            ptr::null_mut(),
            &mut options,
        )
    };
    check(rc, "the connection").map(|()| Handle(handle))
}

pub fn check_qos(qos: u8) -> Result<c_int> {
    match qos {
        0 | 1 => Ok(c_int::from(qos)),
        2 => Err(Error::new(Status::ENOS_ERR_UNSUPPORTED, "EnOS has QoS 0 and 1, not 2")),
        _ => Err(Error::invalid("the QoS is neither 0 nor 1")),
    }
}

/// An MQTT string for C.
pub fn string(name: &str, text: &str) -> Result<CString> {
    if text.len() > STRING {
        return Err(too_large(name, STRING));
    }
    CString::new(text).map_err(|_| Error::invalid(format!("{name} has a NUL character in it")))
}

/// Checks the filters of a packet, because many brokers end the connection if one is not valid.
pub fn topic_filters<'a>(filters: impl ExactSizeIterator<Item = &'a String> + Clone) -> Result<Vec<CString>> {
    let bytes: usize = filters.clone().map(|filter| filter.len() + 3).sum();
    if filters.len() == 0 {
        return Err(Error::invalid("there is no topic filter"));
    }
    if bytes > PACKET - OVERHEAD {
        return Err(too_large("the list of topic filters", PACKET - OVERHEAD));
    }
    let check = |filter: &String| {
        validate_filter(filter)?;
        string("the topic filter", filter)
    };
    filters.map(check).collect()
}

pub fn too_large(name: &str, limit: usize) -> Error {
    Error::new(Status::ENOS_ERR_TOO_LARGE, format!("{name} is longer than {limit} bytes"))
}

pub fn check(rc: c_int, what: &str) -> Result<()> {
    let error = match rc {
        0 => return Ok(()),
        paho::MQTTASYNC_DISCONNECTED => Error::new(Status::ENOS_ERR_STATE, "there is no connection to the broker"),
        paho::MQTTASYNC_BAD_UTF8_STRING => {
            Error::invalid(format!("{what}: a string has characters that MQTT does not allow"))
        }
        paho::MQTTASYNC_MAX_BUFFERED_MESSAGES | paho::MQTTASYNC_NO_MORE_MSGIDS => {
            Error::new(Status::ENOS_ERR_QUEUE_FULL, "too many messages are under way; wait for an outcome")
        }
        NO_MEMORY => Error::new(Status::ENOS_ERR_NO_MEMORY, format!("there is no memory for {what}")),
        _ => Error::new(Status::ENOS_ERR_STATE, format!("{what} cannot be made (Paho's code {rc})")),
    };
    Err(error)
}

/// Paho's code for a failed allocation, which its header does not name.
const NO_MEMORY: c_int = -99;
