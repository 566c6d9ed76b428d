//! One CONNECT and its connection, as one Paho object.

use super::callbacks;
use super::context::Context;
use super::convert::{check, check_qos, create, string, too_large, topic_filters, OVERHEAD, PACKET, STRING};
use super::inbox::Inbox;
use super::keeper::{self, Attendance};
use super::tls::{Secured, Tls};
use super::trace;
use super::wake::Waker;
use crate::error::{Error, Result, Status};
use crate::protocol::topic::validate_publish_topic;
pub use paho_engine::link::Traffic;
use paho_engine::link::{self as wire, Settings};
use paho_engine::{enos_paho_pump, enos_paho_set_link, sys as paho};
use std::ffi::{c_int, c_void, CString};
use std::net::SocketAddr;
use std::sync::Arc;
use zeroize::Zeroizing;

/// The longest name of a network interface, in bytes.
const INTERFACE: usize = 15;
/// By how much Paho's own connect timeout is longer than the one that the caller keeps.
const MARGIN_MS: u64 = 3_000;
/// How many packets one step handles at most, so that a flood does not starve the loop: as many as one drain returns.
const STEP: c_int = super::inbox::DRAIN as c_int;
/// Paho multiplies its timeout by 1000 in an int.
const TIMEOUT_S: u64 = (c_int::MAX / 1000) as u64;

/// The options of a link. All of them are copied; Paho's copy of the password lives as long as the link.
pub struct LinkOptions {
    /// Where the broker is.
    pub address: SocketAddr,
    pub client_id: String,
    pub username: String,
    pub password: Zeroizing<String>,
    /// Seconds; 0 for none. In that case a link that stands still is not noticed.
    pub keep_alive_s: u16,
    /// After how long without a thread in the loop the keeper steps the link; 0: at once.
    pub unattended_ms: u64,
    /// The caller's timeout. The caller drops the link when it is over; Paho gets a longer one.
    pub connect_timeout_ms: u64,
    /// QoS 1 messages without a PUBACK, at most; those beyond wait in Paho.
    pub inflight: u32,
    /// Bytes of an inbound payload. A packet that is certainly longer ends the connection.
    pub max_message: usize,
    /// Network interface to bind to (SO_BINDTODEVICE).
    pub interface: Option<String>,
    /// TLS, or none. The files are read when the link is opened.
    pub tls: Option<Tls>,
    /// Counts the bytes of the link.
    pub traffic: Arc<Traffic>,
}

/// A connection to a broker, or an attempt to connect. No call waits for the network; everything that happens later is an
/// event with the link's generation. Each token has exactly one outcome, before the event that ends the link. If the link
/// is dropped first, there is no event any more.
///
/// The link makes progress only in [`step`](Self::step) and in the calls. Between [`attend`](Self::attend) and
/// [`leave`](Self::leave) the caller waits for its socket with the inbox's waker; otherwise the keeper steps it.
pub struct Link {
    context: Arc<Context>,
    attendance: Arc<Attendance>,
    waker: Arc<Waker>,
    place: keeper::Place,
}

impl Link {
    /// Starts connecting. The outcome is `Connected`, `Refused` or `Failed` in `inbox`, tagged with `generation`.
    pub fn open(options: &LinkOptions, generation: u64, inbox: &Arc<Inbox>) -> Result<Link> {
        let client_id = string("the client id", &options.client_id)?;
        let username = string("the user name", &options.username)?;
        if options.password.len() > STRING {
            return Err(too_large("the password", STRING));
        }
        let inflight = c_int::try_from(options.inflight).unwrap_or(c_int::MAX).clamp(1, STRING as c_int);

        let (secured, wire) = connection(options)?;
        let handle = create(&client_id, inflight)?;
        let context = Arc::new(Context::new(
            handle,
            options.address,
            options.max_message,
            secured,
            wire,
            generation,
            Arc::clone(inbox),
        ));
        let attendance = Arc::new(Attendance::new(options.unattended_ms));
        let waker = Arc::clone(inbox.waker());
        // The keeper may step it from here on.
        match set_up(&context).and_then(|()| keeper::enter(&context, &attendance)) {
            Ok(place) => {
                let link = Link { context, attendance, waker, place };
                link.connect(options, &username, inflight)?;
                Ok(link)
            }
            Err(error) => {
                context.mute();
                // SAFETY: the handle is valid, and nobody else has it.
                unsafe { paho::MQTTAsync_destroy(&mut context.handle.0.clone()) };
                Err(error)
            }
        }
    }

    fn connect(&self, options: &LinkOptions, username: &CString, inflight: c_int) -> Result<()> {
        let timeout_s = (options.connect_timeout_ms.saturating_add(MARGIN_MS) / 1000).min(TIMEOUT_S);
        let connect = paho::MQTTAsync_connectOptions {
            // The link does the keep-alive.
            keepAliveInterval: c_int::from(options.keep_alive_s),
            cleansession: 1,
            maxInflight: inflight,
            connectTimeout: timeout_s as c_int,
            username: username.as_ptr(),
            // Directly from the caller's memory, so that there is no further copy to wipe.
            binarypwd: paho::MQTTAsync_connectOptions__bindgen_ty_1 {
                len: options.password.len() as c_int,
                data: options.password.as_ptr().cast(),
            },
            MQTTVersion: paho::MQTTVERSION_3_1_1 as c_int,
            automaticReconnect: 0,
            onSuccess: Some(callbacks::on_connected),
            onFailure: Some(callbacks::on_not_connected),
            context: self.context(),
            ..Default::default()
        };
        // SAFETY: Paho copies what the options point to, except for the context, which lives longer than it; entered.
        self.entered(|handle| unsafe {
            check(paho::MQTTAsync_connect(handle, &connect), "the connection").map(|()| enos_paho_pump(handle))
        })?;
        self.tell_keeper();
        Ok(())
    }

    /// A thread is in the loop from here on, and waits with the waker.
    pub fn attend(&self) {
        if self.attendance.attend() {
            self.place.take_back();
        }
    }

    /// The thread leaves the loop, and does not wait for the socket any more.
    pub fn leave(&self) {
        self.attendance.leave();
    }

    /// Does what is due, and reads if the socket may be ready. `true` if there may be more to read immediately.
    pub fn step(&self, ready: bool) -> bool {
        // SAFETY: the link is borrowed, and no callback has it.
        let standing = unsafe { self.context.step(ready, STEP) };
        standing.more
    }

    /// Registers with the waker what the link waits for. Returns when to step again if nothing happens before.
    pub fn rest(&self) -> Option<u64> {
        // SAFETY: as above.
        let standing = unsafe { self.context.standing() };
        self.waker.watch(self.context.generation, standing.interest);
        standing.deadline
    }

    /// Publishes at QoS 0 or 1; not retained. The outcome is `Delivered` or `NotDelivered`.
    pub fn publish(&self, topic: &str, payload: &[u8], qos: u8, token: u64) -> Result<()> {
        validate_publish_topic(topic)?;
        let name = string("the topic", topic)?;
        let room = PACKET - OVERHEAD - topic.len();
        if payload.len() > room {
            return Err(too_large("the payload", room));
        }
        let qos = check_qos(qos)?;
        self.call(token, 0, callbacks::on_published, callbacks::on_failed, |handle, response| {
            // SAFETY: Paho copies topic, payload and response.
            unsafe {
                let data = payload.as_ptr().cast();
                paho::MQTTAsync_send(handle, name.as_ptr(), payload.len() as c_int, data, qos, 0, response)
            }
        })
    }

    /// Subscribes to all of these filters with one packet, each with its QoS. The outcome is `Subscribed` or
    /// `NotDelivered`.
    pub fn subscribe(&self, filters: &[(String, u8)], token: u64) -> Result<()> {
        let texts = topic_filters(filters.iter().map(|(filter, _)| filter))?;
        let qos = filters.iter().map(|(_, qos)| check_qos(*qos)).collect::<Result<Vec<_>>>()?;
        let pointers: Vec<_> = texts.iter().map(|text| text.as_ptr().cast_mut()).collect();
        let count = filters.len() as c_int;
        let (done, failed) = (callbacks::on_subscribed, callbacks::on_not_subscribed);
        self.call(token, filters.len(), done, failed, |handle, response| {
            // SAFETY: there are `count` strings and as many QoS; Paho copies them, and the response.
            unsafe { paho::MQTTAsync_subscribeMany(handle, count, pointers.as_ptr(), qos.as_ptr(), response) }
        })
    }

    /// Ends the subscriptions to all of these filters with one packet. The outcome is `Unsubscribed` or `NotDelivered`.
    pub fn unsubscribe(&self, filters: &[String], token: u64) -> Result<()> {
        let texts = topic_filters(filters.iter())?;
        let pointers: Vec<_> = texts.iter().map(|text| text.as_ptr().cast_mut()).collect();
        let count = filters.len() as c_int;
        self.call(token, 0, callbacks::on_unsubscribed, callbacks::on_failed, |handle, response| {
            // SAFETY: there are `count` strings; Paho copies them, and the response.
            unsafe { paho::MQTTAsync_unsubscribeMany(handle, count, pointers.as_ptr(), response) }
        })
    }

    /// Begins an orderly end. What was accepted is sent first, and its answers have at most `linger_ms` to come. Then
    /// DISCONNECT is sent, and `Closed` follows. Without a connection, `Closed` comes at once. A broker that does not read
    /// any more can delay this without a limit: the caller keeps a timeout, and drops the link.
    pub fn disconnect(&self, linger_ms: u64) {
        if self.context.close() {
            let timeout = c_int::try_from(linger_ms).unwrap_or(c_int::MAX);
            self.context.linger(timeout as u64);
            // Unlike destroy, this is allowed inside a callback.
            let options = paho::MQTTAsync_disconnectOptions {
                timeout,
                onSuccess: Some(callbacks::on_closed),
                context: Arc::as_ptr(&self.context).cast_mut().cast(),
                ..Default::default()
            };
            // SAFETY: the link is borrowed; entered. The options are copied.
            self.entered(|handle| unsafe {
                if paho::MQTTAsync_disconnect(handle, &options) != paho::MQTTASYNC_SUCCESS as c_int {
                    // The connection has ended already.
                    self.context.closed();
                }
                enos_paho_pump(handle);
            });
            self.tell_keeper();
        }
    }

    /// The address of the broker.
    pub fn address(&self) -> SocketAddr {
        self.context.address
    }

    /// Whether the CONNECT, or a part of it, was sent.
    pub fn connect_sent(&self) -> bool {
        self.context.connect_sent()
    }

    /// Drops the link, and returns whether its CONNECT, or a part of it, was sent.
    pub fn end(self) -> bool {
        let context = Arc::clone(&self.context);
        // The keeper may be writing at this moment, but not after this.
        drop(self);
        context.connect_sent()
    }

    /// A call may have changed what the link waits for.
    fn tell_keeper(&self) {
        if self.attendance.is_kept() {
            self.place.changed();
        }
    }

    /// Calls Paho with the client's lock held.
    fn entered<R>(&self, call: impl FnOnce(paho::MQTTAsync) -> R) -> R {
        // SAFETY: the link is borrowed, and no callback has it.
        unsafe { self.context.enter(call) }
    }

    fn context(&self) -> *mut c_void {
        Arc::as_ptr(&self.context).cast_mut().cast()
    }

    /// Makes a call whose outcome comes later. `filters` is the number of filters in a SUBSCRIBE, otherwise 0.
    fn call(
        &self,
        token: u64,
        filters: usize,
        on_success: unsafe extern "C" fn(*mut c_void, *mut paho::MQTTAsync_successData),
        on_failure: unsafe extern "C" fn(*mut c_void, *mut paho::MQTTAsync_failureData),
        call: impl FnOnce(paho::MQTTAsync, *mut paho::MQTTAsync_responseOptions) -> c_int,
    ) -> Result<()> {
        let ticket = self.context.begin(token, filters);
        let ticket = ticket.ok_or_else(|| Error::new(Status::ENOS_ERR_STATE, "the connection is closing or over"))?;
        let mut response = paho::MQTTAsync_responseOptions {
            onSuccess: Some(on_success),
            onFailure: Some(on_failure),
            context: ticket,
            ..Default::default()
        };
        // SAFETY: entered.
        let rc = self.entered(|handle| unsafe {
            let rc = call(handle, &mut response);
            enos_paho_pump(handle);
            rc
        });
        self.tell_keeper();
        let accepted = check(rc, "the call");
        // SAFETY: the ticket was made above, and a call that was not accepted leaves it to us.
        if accepted.is_err() && !unsafe { self.context.withdraw(ticket, token) } {
            return Ok(());
        }
        accepted
    }
}

/// Destroys Paho's object. A connection is closed with a DISCONNECT, and a CONNECT in progress is aborted; neither waits.
impl Drop for Link {
    fn drop(&mut self) {
        self.context.mute();
        self.place.leave();
        if self.attendance.was_attended() {
            self.waker.watch(self.context.generation, None);
        }
        // SAFETY: the handle is valid, and this is not a callback, because no event owns a link. The keeper does not step
        // it any more, so that no other thread is in a call.
        unsafe { paho::MQTTAsync_destroy(&mut self.context.handle.0.clone()) };
    }
}

/// Makes the connection under Paho, which does nothing yet.
fn connection(options: &LinkOptions) -> Result<(Option<Secured>, wire::Link)> {
    let interface = options.interface.as_deref().map(|name| string("the interface", name)).transpose()?;
    if interface.as_ref().is_some_and(|name| name.as_bytes().len() > INTERFACE) {
        return Err(too_large("the name of the interface", INTERFACE));
    }
    let prepared = options.tls.as_ref().map(Secured::prepare).transpose()?;
    let (secured, tls) = prepared.unzip();
    if let Some(secured) = &secured {
        secured.warn();
    }
    let mut wire = wire::Link::new(Settings {
        address: options.address,
        interface,
        tls,
        keep_alive_s: options.keep_alive_s,
        max_packet: options.max_message.saturating_add(STRING + OVERHEAD),
        observe: trace::packet,
    });
    wire.count_in(Arc::clone(&options.traffic));
    Ok((secured, wire))
}

/// Gives Paho the connection and the callbacks. This comes before the CONNECT, because a message may follow the CONNACK
/// at once.
fn set_up(context: &Arc<Context>) -> Result<()> {
    let (lost, message) = (Some(callbacks::on_lost as _), Some(callbacks::on_message as _));
    let address = Arc::as_ptr(context).cast_mut().cast();
    // SAFETY: the context, and the connection in it, live until destroy has returned (see `open` and `Drop`).
    let rc = unsafe {
        context.enter(|handle| {
            enos_paho_set_link(handle, &wire::table::TABLE, context.wire());
            paho::MQTTAsync_setCallbacks(handle, address, lost, message, None)
        })
    };
    check(rc, "the connection")
}
