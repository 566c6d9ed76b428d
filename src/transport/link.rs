//! One CONNECT and the connection that comes of it, as one Paho object.

use super::callbacks::{self, Context, Handle};
use super::inbox::Inbox;
use super::thread;
use super::tls::{self, Secured, Tls};
use crate::error::{Error, Result, Status};
use paho_engine::{enos_paho_connect_sent, enos_paho_set_interface, enos_paho_set_max_packet, sys as paho};
use std::ffi::{c_int, c_void, CString};
use std::net::SocketAddr;
use std::ptr;
use std::sync::{Arc, Mutex, PoisonError};
use zeroize::Zeroizing;

/// Bytes that an MQTT string can have.
const STRING: usize = 65_535;
/// Bytes that an MQTT packet can have after its header.
const PACKET: usize = 268_435_455;
/// Bytes of these in a PUBLISH beside topic and payload: the topic's length and the packet id.
const OVERHEAD: usize = 2 + 2;
/// Bytes of the name of a network interface.
const INTERFACE: usize = 15;
/// Calls that may wait in Paho beside the messages in flight: subscriptions, QoS 0.
const QUEUE: c_int = 128;
/// What Paho's own connect timeout is longer than the one that its caller keeps.
const MARGIN_MS: u64 = 3_000;
/// Paho multiplies its timeout by 1000 in an int.
const TIMEOUT_S: u64 = (c_int::MAX / 1000) as u64;

/// What a link is made from. All of it is copied; Paho's copy of the password lives as long as the link.
pub struct LinkOptions {
    /// Where the broker is. Resolved already: Paho would do it with its process-wide mutex held.
    pub address: SocketAddr,
    pub client_id: String,
    pub username: String,
    pub password: Zeroizing<String>,
    /// Seconds; 0 for none.
    pub keep_alive_s: u16,
    /// The caller's timeout, which the caller keeps by dropping the link. Paho gets a longer one.
    pub connect_timeout_ms: u64,
    /// QoS 1 messages without a PUBACK, at most; those beyond wait in Paho.
    pub inflight: u32,
    /// Bytes of an inbound payload. A packet that cannot be within this closes the connection.
    pub max_message: usize,
    /// Network interface to bind to (SO_BINDTODEVICE).
    pub interface: Option<String>,
    /// TLS, or none. What it names is read when the link is opened.
    pub tls: Option<Tls>,
}

/// A connection to a broker, or the attempt at one. Every call returns without waiting for the network; every later
/// happening is an event of the link's generation. Each token passed in has exactly one outcome, before the event that
/// ends the link, unless the link is dropped first: then there is no event any more.
pub struct Link {
    context: Arc<Context>,
}

impl Link {
    /// Starts connecting. The outcome is `Connected`, `Refused` or `Failed` in `inbox`, tagged with `generation`.
    pub fn open(options: &LinkOptions, generation: u64, inbox: &Arc<Inbox>) -> Result<Link> {
        let client_id = string("the client id", &options.client_id)?;
        let username = string("the user name", &options.username)?;
        if options.password.len() > STRING {
            return Err(too_large("the password", STRING));
        }
        let interface = options.interface.as_deref().map(|name| string("the interface", name)).transpose()?;
        if interface.as_ref().is_some_and(|name| name.as_bytes().len() > INTERFACE) {
            return Err(too_large("the name of the interface", INTERFACE));
        }
        let inflight = c_int::try_from(options.inflight).unwrap_or(c_int::MAX).clamp(1, STRING as c_int);

        hold_engine()?;
        let secured = options.tls.as_ref().map(Secured::prepare).transpose()?;
        let handle = create(secured.is_some(), options.address, &client_id, inflight)?;
        let context = Context::new(handle, options, secured, generation, Arc::clone(inbox));
        let link = Link { context: Arc::new(context) };
        link.set_up(options, interface.as_ref())?;
        link.connect(options, &username, inflight)?;
        Ok(link)
    }

    fn set_up(&self, options: &LinkOptions, interface: Option<&CString>) -> Result<()> {
        let context = self.context();
        let max_packet = options.max_message.saturating_add(STRING + OVERHEAD);
        // Before CONNECT goes out: a message may follow CONNACK at once.
        let (lost, message) = (Some(callbacks::on_lost as _), Some(callbacks::on_message as _));
        let disconnected = Some(callbacks::on_disconnected as _);
        // SAFETY: the handle is valid; the context lives until destroy has returned (see Drop); the name is a C string.
        unsafe {
            check(paho::MQTTAsync_setCallbacks(self.handle(), context, lost, message, None), "the connection")?;
            check(paho::MQTTAsync_setDisconnected(self.handle(), context, disconnected), "the connection")?;
            check(enos_paho_set_max_packet(self.handle(), max_packet), "the connection")?;
            if let Some(secured) = &self.context.secured {
                secured.apply(self.handle())?;
            }
            match interface {
                Some(name) => check(enos_paho_set_interface(self.handle(), name.as_ptr()), "the interface"),
                None => Ok(()),
            }
        }
    }

    fn connect(&self, options: &LinkOptions, username: &CString, inflight: c_int) -> Result<()> {
        let timeout_s = (options.connect_timeout_ms.saturating_add(MARGIN_MS) / 1000).min(TIMEOUT_S);
        // Without these Paho makes no TLS; what counts stands in the context that it has.
        let mut ssl = paho::MQTTAsync_SSLOptions::default();
        let connect = paho::MQTTAsync_connectOptions {
            keepAliveInterval: c_int::from(options.keep_alive_s),
            cleansession: 1,
            maxInflight: inflight,
            connectTimeout: timeout_s as c_int,
            username: username.as_ptr(),
            // With its length, straight from the caller's: no copy of ours to wipe.
            binarypwd: paho::MQTTAsync_connectOptions__bindgen_ty_1 {
                len: options.password.len() as c_int,
                data: options.password.as_ptr().cast(),
            },
            MQTTVersion: paho::MQTTVERSION_3_1_1 as c_int,
            automaticReconnect: 0,
            onSuccess: Some(callbacks::on_connected),
            onFailure: Some(callbacks::on_not_connected),
            context: self.context(),
            ssl: if self.context.secured.is_some() { &mut ssl } else { ptr::null_mut() },
            ..Default::default()
        };
        // The first connect starts Paho's threads; they inherit the signal mask.
        // SAFETY: the handle is valid; Paho copies what the options point to, but the context, which outlives it.
        let rc = thread::with_signals_blocked(|| unsafe { paho::MQTTAsync_connect(self.handle(), &connect) });
        check(rc, "the connection")
    }

    /// Publishes at QoS 0 or 1; not retained. The outcome is `Delivered` or `NotDelivered`.
    pub fn publish(&self, topic: &str, payload: &[u8], qos: u8, token: u64) -> Result<()> {
        let name = string("the topic", topic)?;
        if topic.is_empty() || topic.contains(['+', '#']) {
            return Err(Error::invalid("the topic to publish to is empty or has a wildcard (+ or #) in it"));
        }
        let room = PACKET - OVERHEAD - topic.len();
        if payload.len() > room {
            return Err(too_large("the payload", room));
        }
        let qos = check_qos(qos)?;
        self.call(token, callbacks::on_published, callbacks::on_failed, |response| {
            // SAFETY: the handle is valid; Paho copies topic, payload and response.
            unsafe {
                let data = payload.as_ptr().cast();
                paho::MQTTAsync_send(self.handle(), name.as_ptr(), payload.len() as c_int, data, qos, 0, response)
            }
        })
    }

    /// Subscribes. The outcome is `Subscribed` or `NotDelivered`.
    pub fn subscribe(&self, filter: &str, qos: u8, token: u64) -> Result<()> {
        let filter = topic_filter(filter)?;
        let qos = check_qos(qos)?;
        self.call(token, callbacks::on_subscribed, callbacks::on_not_subscribed, |response| {
            // SAFETY: the handle is valid; Paho copies filter and response.
            unsafe { paho::MQTTAsync_subscribe(self.handle(), filter.as_ptr(), qos, response) }
        })
    }

    /// Ends a subscription. The outcome is `Unsubscribed` or `NotDelivered`.
    pub fn unsubscribe(&self, filter: &str, token: u64) -> Result<()> {
        let filter = topic_filter(filter)?;
        self.call(token, callbacks::on_unsubscribed, callbacks::on_failed, |response| {
            // SAFETY: the handle is valid; Paho copies filter and response.
            unsafe { paho::MQTTAsync_unsubscribe(self.handle(), filter.as_ptr(), response) }
        })
    }

    /// Begins an orderly end: what was accepted goes out first and has at most `linger_ms` to be answered, then
    /// DISCONNECT follows, and `Closed`. Without a connection, `Closed` comes at once. A broker that does not read any
    /// more can hold all of this up: the caller waits as long as it likes, and drops the link.
    pub fn disconnect(&self, linger_ms: u64) {
        if self.context.close() {
            // SAFETY: the link is borrowed.
            unsafe { self.context.disconnect(linger_ms.try_into().unwrap_or(c_int::MAX)) }
        }
    }

    /// Whether the CONNECT packet has gone out.
    pub fn connect_sent(&self) -> bool {
        // SAFETY: the handle is valid.
        unsafe { enos_paho_connect_sent(self.handle()) != 0 }
    }

    fn handle(&self) -> paho::MQTTAsync {
        self.context.handle.0
    }

    fn context(&self) -> *mut c_void {
        Arc::as_ptr(&self.context).cast_mut().cast()
    }

    /// Makes a call whose outcome comes later.
    fn call(
        &self,
        token: u64,
        on_success: unsafe extern "C" fn(*mut c_void, *mut paho::MQTTAsync_successData),
        on_failure: unsafe extern "C" fn(*mut c_void, *mut paho::MQTTAsync_failureData),
        call: impl FnOnce(*mut paho::MQTTAsync_responseOptions) -> c_int,
    ) -> Result<()> {
        let ticket = self.context.begin(token);
        let ticket = ticket.ok_or_else(|| Error::new(Status::ENOS_ERR_STATE, "the connection is closing or over"))?;
        let mut response = paho::MQTTAsync_responseOptions {
            onSuccess: Some(on_success),
            onFailure: Some(on_failure),
            context: ticket,
            ..Default::default()
        };
        let accepted = check(call(&mut response), "the call");
        // SAFETY: the ticket was made above, and a call that was not accepted leaves it to us.
        if accepted.is_err() && !unsafe { self.context.withdraw(ticket, token) } {
            return Ok(());
        }
        accepted
    }
}

/// Destroys Paho's object. A connection is closed with a DISCONNECT, a CONNECT under way is broken off; neither waits.
impl Drop for Link {
    fn drop(&mut self) {
        self.context.mute();
        // SAFETY: the handle is valid, and this is not a thread of Paho's: no event owns a link. Destroy waits for a
        // callback that runs, and none comes after it, so the context may go then.
        unsafe { paho::MQTTAsync_destroy(&mut self.handle()) };
    }
}

/// Makes Paho's object for one connection, over MQTT 3.1.1: with the default, 5, Paho mishandles queued messages.
fn create(tls: bool, address: SocketAddr, client_id: &CString, buffered: c_int) -> Result<Handle> {
    let scheme = if tls { "ssl" } else { "tcp" };
    let uri = string("the address", &format!("{scheme}://{address}"))?;
    let mut options = paho::MQTTAsync_createOptions {
        sendWhileDisconnected: 0,
        allowDisconnectedSendAtAnyTime: 0,
        // Messages in flight count, too.
        maxBufferedMessages: buffered.saturating_mul(2).saturating_add(QUEUE),
        MQTTVersion: paho::MQTTVERSION_3_1_1 as c_int,
        ..Default::default()
    };
    let mut handle = ptr::null_mut();
    // SAFETY: the strings and the options live across the call, which copies them.
    let rc = unsafe {
        paho::MQTTAsync_createWithOptions(
            &mut handle,
            uri.as_ptr(),
            client_id.as_ptr(),
            paho::MQTTCLIENT_PERSISTENCE_NONE as c_int,
            ptr::null_mut(),
            &mut options,
        )
    };
    check(rc, "the connection").map(|()| Handle(handle))
}

/// Keeps one object that is never connected for as long as the process lives. Destroying the last one ends Paho's
/// threads and waits for that: a drop would take 60 ms at times, 20 µs otherwise.
fn hold_engine() -> Result<()> {
    static HELD: Mutex<bool> = Mutex::new(false);
    let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    if !*held {
        tls::start();
        create(false, SocketAddr::from(([127, 0, 0, 1], 1)), &CString::default(), 1)?;
        *held = true;
    }
    Ok(())
}

fn check_qos(qos: u8) -> Result<c_int> {
    match qos {
        0 | 1 => Ok(c_int::from(qos)),
        2 => Err(Error::new(Status::ENOS_ERR_UNSUPPORTED, "EnOS has QoS 0 and 1, not 2")),
        _ => Err(Error::invalid("the QoS is neither 0 nor 1")),
    }
}

/// An MQTT string, as C has it.
fn string(name: &str, text: &str) -> Result<CString> {
    if text.len() > STRING {
        return Err(too_large(name, STRING));
    }
    CString::new(text).map_err(|_| Error::invalid(format!("{name} has a NUL character in it")))
}

/// A filter that a broker takes; many end the connection over another.
fn topic_filter(filter: &str) -> Result<CString> {
    let mut levels = filter.split('/').rev();
    let last = levels.next().unwrap_or_default();
    let fits = |level: &str, wildcards: &[&str]| wildcards.contains(&level) || !level.contains(['+', '#']);
    if filter.is_empty() || !fits(last, &["+", "#"]) || !levels.all(|level| fits(level, &["+"])) {
        return Err(Error::invalid(
            "the topic filter is empty, or has a + that is not a whole level, or a # that is not the whole last level",
        ));
    }
    string("the topic filter", filter)
}

fn too_large(name: &str, limit: usize) -> Error {
    Error::new(Status::ENOS_ERR_TOO_LARGE, format!("{name} is longer than {limit} bytes"))
}

fn check(rc: c_int, what: &str) -> Result<()> {
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
