//! A client connects the session, the transport, the storage and the host's callbacks, and performs the session's
//! actions.
//!
//! Calls of the host go to the session at once, under a short lock, and leave actions there. One thread at a time
//! performs the actions: the one that runs the loop ([`Runner`]). It then holds no lock that a call of the host needs.
//! So a callback may call the library, and slow storage delays no other call.

mod callback;
mod command;
#[cfg(feature = "ota")]
mod download;
mod durable;
mod firmware;
mod perform;
mod queues;
mod request;
mod run;
mod runner;
mod stats;
mod stored;
mod subdevice;

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use crate::config::{Config, Server};
use crate::error::{Error, Result, Status};
use crate::log;
use crate::protocol::topic::{self, Inbound, Scope};
use crate::protocol::{activation, envelope, Identity, Operation, Totals};
use crate::session::{
    BudgetLimits, CommandSettings, Event, Now, OutboxSettings, Session, Settings, State, SubdeviceSettings,
};
use crate::sorted::SortedMap;
use crate::storage::queue::Counts;
use crate::storage::records::Records;
use crate::transport::clock;
use crate::transport::inbox::{Inbox, InboxLimits, Welcome};
use crate::transport::wake::Waker;

pub use command::CommandHandle;
use command::Door;
#[cfg(feature = "ota")]
pub use download::Wanted;
use queues::Queues;
pub use request::{DurableRequest, HostRequest};
use run::LoopThread;
use runner::Runner;
use stats::Counters;
pub use stats::Stats;
pub use subdevice::MAX_ADDED as MAX_SUBDEVICES_ADDED;

/// Receives the events; a command comes with its handle. It is called inside the loop with no lock of the library held.
pub type EventSink = Box<dyn Fn(&Arc<Client>, &Event, Option<&Arc<CommandHandle>>) + Send + Sync>;

/// How many actions may wait for the loop before connect and disconnect are refused. Publishes cannot cause so many.
const MAX_BACKLOG: usize = 20_000;

pub struct Client {
    session: Mutex<Session>,
    /// Signalled when the session may have changed, for threads that wait while another thread runs the loop.
    changed: Condvar,
    /// How many threads wait. A signal is a system call, so it is left out if there are none.
    waiters: AtomicUsize,
    inbox: Arc<Inbox>,
    waker: Arc<Waker>,
    counters: Counters,
    /// `None` without a storage.
    queues: Option<Box<Mutex<Queues>>>,
    /// Held while the record of a device's updates is used.
    updates: Mutex<()>,
    #[cfg(feature = "ota")]
    downloads: download::Downloads,
    /// The state of each queue after its last use, if it is open; 0: of the client's own device.
    counts: Mutex<SortedMap<u64, Counts>>,
    /// Held by the thread that runs the loop. Other threads only try to take it.
    runner: Mutex<Runner>,
    sink: Option<EventSink>,
    /// For the handles of commands.
    door: Arc<Door>,
    thread: Mutex<LoopThread>,
    thread_ended: Condvar,
    stop: AtomicBool,
    unusable: AtomicBool,
}

impl Client {
    /// Checks the configuration and creates the client. This uses no network and no storage, and makes no callback.
    ///
    /// `ENOS_ERR_INVALID_ARG` with words for what is missing.
    pub fn create(config: &Config, sink: Option<EventSink>) -> Result<Arc<Client>> {
        let (settings, server) = settings(config)?;
        if let Some(tls) = config.tls() {
            tls.check()?;
        }
        let waker = Arc::new(Waker::new()?);
        let limits = InboxLimits { messages: config.inbound_messages as usize, bytes: config.inbound_bytes };
        let activating = Arc::new(AtomicU64::new(0));
        let receive = receive(&settings.identity, Arc::clone(&activating));
        let inbox = Arc::new(Inbox::new(limits, Box::new(receive), Arc::clone(&waker)));
        let records = config.storage.as_ref().map(|storage| {
            let identity = &settings.identity;
            Records::new(storage.clone(), identity.product_key(), identity.device_key(), &identity.digest_hex())
        });
        let queues = records.clone().map(|records| Box::new(Mutex::new(Queues::new(records, config.outbox.limits))));
        let counters = Counters::default();
        let traffic = Arc::clone(&counters.traffic);
        let runner = Runner::new(config, server, settings.identity.clone(), records, activating, traffic);
        Ok(Arc::new_cyclic(|client| Client {
            session: Mutex::new(Session::new(settings, fastrand::u64(..))),
            changed: Condvar::new(),
            waiters: AtomicUsize::new(0),
            inbox,
            waker,
            counters,
            queues,
            updates: Mutex::new(()),
            #[cfg(feature = "ota")]
            downloads: download::Downloads::new(config),
            counts: Mutex::new(SortedMap::new()),
            runner: Mutex::new(runner),
            sink,
            door: Door::to(client.clone()),
            thread: Mutex::new(LoopThread::None),
            thread_ended: Condvar::new(),
            stop: AtomicBool::new(false),
            unusable: AtomicBool::new(false),
        }))
    }

    /// Begins to go online; the outcome is an event. If this is in progress, it continues. A wait is cut short as far
    /// as the connect budget permits.
    pub fn connect(&self) -> Result<()> {
        self.tell(|session, now| {
            check_backlog(session)?;
            session.connect(now);
            Ok(())
        })
    }

    /// Begins to go offline. DISCONNECTED with ENOS_OK comes when the device is offline.
    pub fn disconnect(&self) -> Result<()> {
        self.tell(|session, now| {
            check_backlog(session)?;
            session.disconnect(now);
            Ok(())
        })
    }

    /// The host has saved the device secret by hand. Returns `ENOS_ERR_STATE` if no secret is unsaved.
    pub fn activation_saved(&self) -> Result<()> {
        self.tell(|session, now| session.activation_saved(now))
    }

    /// Publishes at QoS 0 or 1. `accepted` gets the token before any event of it can be delivered. The same holds for
    /// the calls below.
    pub fn publish(
        &self,
        topic: &str,
        payload: &[u8],
        qos: i32,
        flags: u32,
        accepted: &mut dyn FnMut(u64),
    ) -> Result<()> {
        let qos = check_qos(qos)?;
        if flags != 0 {
            if qos == 0 {
                return Err(Error::invalid("qos is 0; a durable message is acknowledged, so it has QoS 1"));
            }
            let (operation, name, params) = (Operation::ENOS_OP_PUBLISH, topic, Some(payload));
            return self.request(
                &HostRequest { operation, subdevice: 0, flags, name, params, timeout_ms: 0, user: 0 },
                accepted,
            );
        }
        let payload = envelope::bytes(payload)?;
        self.accept(accepted, |session, now| session.publish(now, topic, payload, qos))
    }

    pub fn subscribe(&self, filter: &str, qos: i32, accepted: &mut dyn FnMut(u64)) -> Result<()> {
        let qos = check_qos(qos)?;
        self.accept(accepted, |session, now| {
            check_backlog(session)?;
            session.subscribe(now, filter, qos)
        })
    }

    pub fn unsubscribe(&self, filter: &str, accepted: &mut dyn FnMut(u64)) -> Result<()> {
        self.accept(accepted, |session, now| {
            check_backlog(session)?;
            session.unsubscribe(now, filter)
        })
    }

    /// The topic or filter of a path of the device.
    pub fn topic(&self, path: &str) -> Result<String> {
        topic::validate_filter(path)?;
        if path.starts_with('/') {
            return Err(Error::invalid("path begins with /; it is what follows the device key and its /"));
        }
        let session = self.session()?;
        if session.identity().is_channel() {
            let words = "an integration channel has no topics of a device";
            return Err(Error::new(Status::ENOS_ERR_UNSUPPORTED, words));
        }
        let topic = topic::of(Scope::Thing, session.identity(), path);
        topic::validate_filter(&topic)?;
        Ok(topic)
    }

    pub fn stats(&self) -> Stats {
        self.counters.read()
    }

    pub fn state(&self) -> Result<State> {
        Ok(self.session()?.state())
    }

    /// An epoll descriptor, readable when the loop has work. The client's own.
    pub fn fd(&self) -> i32 {
        self.waker.fd()
    }

    /// Ends a loop's wait. Safe in a signal handler.
    pub fn wake(&self) {
        self.waker.wake();
    }

    /// Called after a panic was caught at the boundary: its unfinished work must not be continued.
    pub fn mark_unusable(&self) {
        self.unusable.store(true, Ordering::Release);
        self.tell_waiters();
        // Also wakes the thread that waits in the loop.
        self.waker.wake();
    }

    /// Whether the client may be destroyed now. It may not while it holds a device secret that is in no storage. If a
    /// secret may be on its way, this first reads what has arrived. For that, the loop's thread has to stop.
    pub fn check_destroy(self: &Arc<Self>) -> Result<()> {
        callback::refuse_in_callback("enos_client_destroy")?;
        let Ok(session) = self.session() else { return Ok(()) };
        check_saved(&session)?;
        if !session.is_activating() {
            return Ok(());
        }
        drop(session);
        let ran = self.join_thread();
        if let Ok(Some(mut runner)) = self.try_runner() {
            self.take_in(&mut runner);
        }
        let checked = self.session().map_or(Ok(()), |session| check_saved(&session));
        if ran && checked.is_err() {
            // The host has to learn of the secret first. It can run the loop itself.
            if let Err(error) = self.loop_start() {
                log::error("client", format_args!("the loop's thread cannot be started again: {}", error.message));
            }
        }
        checked
    }

    /// Stops the loop's thread and drops the link. The client cannot be used afterwards.
    pub fn shutdown(&self) {
        #[cfg(feature = "ota")]
        self.stop_download();
        let _ = self.join_thread();
        self.door.close();
        self.mark_unusable();
        let mut runner = self.runner.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        runner.drop_link();
    }

    /// Passes a call to the session, and makes the loop perform the actions that follow from it.
    fn tell<T>(&self, call: impl FnOnce(&mut Session, Now) -> Result<T>) -> Result<T> {
        let result = call(&mut *self.session()?, now());
        self.tell_waiters();
        self.waker.notify();
        result
    }

    /// Takes the lock for a moment, so that no thread is between its check and its wait.
    fn tell_waiters(&self) {
        let session = self.session.lock();
        let waiters = self.waiters.load(Ordering::Relaxed);
        drop(session);
        if waiters > 0 {
            self.changed.notify_all();
        }
    }

    /// The session's lock is held while the token is written, so that no event of the call can come first.
    fn accept(&self, accepted: &mut dyn FnMut(u64), call: impl FnOnce(&mut Session, Now) -> Result<u64>) -> Result<()> {
        let mut session = self.session()?;
        accepted(call(&mut session, now())?);
        drop(session);
        self.waker.notify();
        Ok(())
    }

    fn is_unusable(&self) -> bool {
        self.unusable.load(Ordering::Acquire)
    }

    fn session(&self) -> Result<MutexGuard<'_, Session>> {
        if self.is_unusable() {
            return Err(broken());
        }
        self.session.lock().map_err(|_| broken())
    }
}

/// Only the link that has logged in with the product secret waits for an activation. Other messages on an activation
/// topic, of any device, are not shown to the host: they may contain a secret. The replies to logins of sub-devices may
/// contain some, too.
fn receive(identity: &Identity, activating: Arc<AtomicU64>) -> impl Fn(u64, &[u8]) -> Welcome {
    let own = topic::activation_topics(identity);
    let logins = topic::login_reply_topics(identity);
    let is_one_of = |topics: &[String], topic: &[u8]| topics.iter().any(|one| one.as_bytes() == topic);
    move |link, topic| match Inbound::of(topic) {
        Inbound::Activation if activating.load(Ordering::Acquire) == link && is_one_of(&own, topic) => {
            Welcome::Kept(activation::MAX_PAYLOAD)
        }
        Inbound::Activation => Welcome::Unwanted,
        Inbound::Reply if Inbound::is_login_reply(topic) && is_one_of(&logins, topic) => {
            Welcome::Kept(envelope::MAX_PAYLOAD)
        }
        _ => Welcome::Ordinary,
    }
}

fn broken() -> Error {
    Error::new(Status::ENOS_ERR_PANIC, "a fault of the library left this client unusable; destroy it")
}

fn settings(config: &Config) -> Result<(Settings, Server)> {
    config.check()?;
    let (identity, device_secret) = match config.channel.clone() {
        Some((identity, secret)) => (Some(identity), Some(secret)),
        None => (config.identity.clone(), config.device_secret.clone()),
    };
    let (Some(identity), Some(server)) = (identity, config.server.clone()) else {
        return Err(Error::invalid("the config has no identity or no server"));
    };
    let settings = Settings {
        identity,
        device_secret,
        // Without a storage the secret of an activation would be lost.
        product_secret: config.product_secret.clone().filter(|_| config.storage.is_some()),
        sign_method: config.sign_method,
        reactivation: config.reactivation,
        connect_timeout_ms: u64::from(config.connect_timeout_ms),
        activation_timeout_ms: u64::from(config.activation_timeout_ms),
        reply_timeout_ms: u64::from(config.reply_timeout_ms),
        reconnect_min_ms: u64::from(config.reconnect_min_ms),
        reconnect_max_ms: u64::from(config.reconnect_max_ms),
        budget: BudgetLimits {
            connects: config.budget.connects,
            window_ms: u64::from(config.budget.window_ms),
            spacing_ms: u64::from(config.budget.spacing_ms),
        },
        firmware_version: config.firmware_version.as_deref().map(Box::from),
        inflight: config.inflight,
        subscribe_batch: config.subscribe_batch,
        subdevices: SubdeviceSettings {
            limit: config.subdevices.limit as usize,
            batch: config.subdevices.batch as usize,
            join_ms: u64::from(config.subdevices.join_ms),
        },
        commands: CommandSettings {
            limit: config.commands.limit as usize,
            bytes: config.commands.bytes,
            timeout_ms: u64::from(config.commands.timeout_ms),
            services: config.commands.services.iter().map(|(name, ms)| (name.clone(), u64::from(*ms))).collect(),
            quiet_ms: u64::from(config.commands.quiet_ms),
            remembers: config.commands.remembers && config.storage.is_some(),
        },
        outbox: config.storage.is_some().then(|| OutboxSettings {
            window: config.inflight as usize,
            bytes_per_s: u64::from(config.outbox.bytes_per_s),
            timeout_ms: u64::from(config.reply_timeout_ms),
            boot: request::boot(),
            limits: Totals { messages: config.outbox.limits.messages, bytes: config.outbox.limits.bytes },
        }),
    };
    Ok((settings, server))
}

fn check_saved(session: &Session) -> Result<()> {
    if session.has_unsaved_secret() {
        return Err(Error::new(
            Status::ENOS_ERR_UNSAVED_SECRET,
            "the client holds a device secret that is in no storage yet; run the loop until it is stored; if that fails, \
             save the one in the PERSIST_FAILED event, call enos_client_activation_saved() (or, for a sub-device, \
         enos_client_subdevice_saved()), then destroy again",
        ));
    }
    Ok(())
}

fn check_backlog(session: &Session) -> Result<()> {
    if session.backlog() >= MAX_BACKLOG {
        return Err(Error::new(Status::ENOS_ERR_QUEUE_FULL, "nobody runs this client's loop; run it, then try again"));
    }
    Ok(())
}

fn now() -> Now {
    Now { ms: clock::boottime_ms(), wall_ms: clock::wall_ms() }
}

fn check_qos(qos: i32) -> Result<u8> {
    match qos {
        0 => Ok(0),
        1 => Ok(1),
        2 => Err(Error::new(Status::ENOS_ERR_UNSUPPORTED, "qos: EnOS does QoS 0 and 1 only")),
        _ => Err(Error::invalid(format!("qos: {qos} is neither 0 nor 1"))),
    }
}
