//! The whole cloud: the ports, the connections, and what they share.

mod firmware;
mod sub_devices;

pub use firmware::OfferError;

use bytes::Bytes;
use openssl::ssl::SslContext;
use serde_json::{json, Value};
use socket2::{Domain, Socket, Type};
use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    sync::{
        mpsc::{channel, TrySendError},
        Arc,
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::{
    clock,
    commands::{Answer, Order},
    config::Config,
    connection::{self, Input, Publication},
    event::{Event, Record},
    link::Tls,
    login::Mode,
    registry::Registry,
    shared::Shared,
    summary::Summary,
    thing::{command_topic, Thing},
    tls::{self, session::Session},
    web::Web,
    Device, DeviceId, Fault,
};

/// Enough for a JSON text with the deepest nesting that the parser accepts.
pub const STACK: usize = 512 * 1024;
/// The backlog of connections to accept; a whole fleet may connect at once.
const BACKLOG: i32 = 4096;

/// How long a command waits for room in the queue of a connection.
const SENDING: Duration = Duration::from_secs(1);

/// A running cloud. It stops when it is dropped.
pub struct Cloud {
    shared: Arc<Shared>,
    ports: Vec<Port>,
    web: Option<Web>,
    clock: Option<JoinHandle<()>>,
}

/// A listening port.
struct Port {
    address: SocketAddr,
    is_tls: bool,
    acceptor: JoinHandle<()>,
}

/// Why a command was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandError {
    /// The device is not logged in, or only for an activation.
    Offline,
    /// The queue of its connection is full.
    Busy,
    /// There is no such device.
    Unknown,
    /// As many commands as EnOS keeps for a device are kept for it already.
    Full,
    /// The device did not answer in time.
    TimedOut,
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CommandError::Offline => "the device is not online",
            CommandError::Busy => "the device's connection is busy",
            CommandError::Unknown => "the device is not registered",
            CommandError::Full => "50 commands are kept for the device already",
            CommandError::TimedOut => "the device did not answer in time",
        })
    }
}

impl std::error::Error for CommandError {}

impl Cloud {
    /// Opens the ports and serves them. `sink` gets every event, in order, one at a time, on the threads of the
    /// connections. It must not block or call the cloud.
    pub fn start(config: Config, sink: impl FnMut(&Record) + Send + 'static) -> io::Result<Cloud> {
        let registry = Registry::open(&config)?;
        let plain = config.plain.then(|| listen(config.listen)).transpose()?;
        let tls = match &config.tls {
            Some(config) => Some((listen(config.listen)?, tls::context(config)?)),
            None => None,
        };
        let http = firmware::listen(&config)?;
        let shared = Arc::new(Shared::new(config, registry, Box::new(sink)));
        let mut cloud = Cloud { shared: shared.clone(), ports: Vec::new(), web: None, clock: None };
        if let Some(listener) = plain {
            cloud.serve(listener, None)?;
        }
        if let Some((listener, context)) = tls {
            cloud.serve(listener, Some(context))?;
        }
        if cloud.ports.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "there is no port, neither plain nor with TLS"));
        }
        cloud.open_depot(http)?;
        cloud.clock = Some(thread::Builder::new().name("sim-clock".into()).spawn(move || clock::run(&shared))?);
        Ok(cloud)
    }

    fn serve(&mut self, listener: TcpListener, tls: Option<SslContext>) -> io::Result<()> {
        let (address, is_tls) = (listener.local_addr()?, tls.is_some());
        let listening =
            Event::Listening { port: address.port(), address: address.to_string(), tls: is_tls, http: false };
        self.shared.report(None, None, listening);
        let shared = self.shared.clone();
        let acceptor = thread::Builder::new().name("sim-accept".into());
        let acceptor = acceptor.spawn(move || accept(&shared, &listener, tls.as_ref()))?;
        self.ports.push(Port { address, is_tls, acceptor });
        Ok(())
    }

    /// The address of the plain port, or of the TLS port if there is no other.
    pub fn address(&self) -> SocketAddr {
        self.ports.first().map_or(self.shared.config.listen, |port| port.address)
    }

    /// The address of the TLS port.
    pub fn tls_address(&self) -> Option<SocketAddr> {
        self.ports.iter().find(|port| port.is_tls).map(|port| port.address)
    }

    /// Sends a command to an online device, or to an online sub-device through its gateway, and returns its id, as in [`Event::Command`] and [`Event::CommandReply`].
    /// `suffix` is as in [`Command`](crate::Command). A command that is not answered in time ends as a
    /// [`Event::CommandReply`] with `timed_out`; until then the device may answer on a later connection.
    pub fn command(&self, device: &DeviceId, suffix: &str, params: Value) -> Result<String, CommandError> {
        let order = Order::new(self.shared.next_id(), suffix, params);
        let id = order.id.clone();
        self.send(device, Input::Command(device.clone(), order)).map(|()| id)
    }

    /// Sends a command and waits for its answer.
    pub fn call(&self, device: &DeviceId, suffix: &str, params: Value) -> Result<Answer, CommandError> {
        let (to, answer) = channel();
        let order = Order { to: Some(to), ..Order::new(self.shared.next_id(), suffix, params) };
        self.send(device, Input::Command(device.clone(), order))?;
        answer.recv().map_err(|_| CommandError::TimedOut)
    }

    /// Keeps a command for a device, as EnOS does for a device that is offline; returns its id. EnOS keeps 50 at most,
    /// and sends them after the login, one by one: each when the one before it was answered or its time was over. If
    /// the link is lost before the answer, the command comes again after the next login.
    pub fn command_cached(&self, device: &DeviceId, suffix: &str, params: Value) -> Result<String, CommandError> {
        if self.device(device).is_none() {
            return Err(CommandError::Unknown);
        }
        let order = Order { cached: true, ..Order::new(self.shared.next_id(), suffix, params) };
        let (id, topic) = (order.id.clone(), command_topic(device, suffix));
        let waiting = self.shared.commands().cache(device, order).ok_or(CommandError::Full)?;
        self.shared.report(None, Some(device.clone()), Event::CommandCached { topic, id: id.clone(), waiting });
        // If it is offline, its next login sends the command.
        let _ = self.tell(device, Input::Cached(device.clone()));
        Ok(id)
    }

    /// How many commands of a device wait for an answer or, if they are kept, for the device.
    pub fn open_commands(&self, device: &DeviceId) -> usize {
        self.shared.commands().open(device)
    }

    /// Replaces the faults. They apply to the connections that begin from now on, and to the HTTP requests that come
    /// from now on; those, and their connections, are counted from 1 again.
    pub fn set_faults(&self, faults: Vec<Fault>) {
        self.shared.set_faults(faults);
    }

    /// Publishes to all subscribers of `topic`.
    pub fn publish(&self, topic: &str, payload: &[u8], qos: u8) {
        self.shared.route(topic, &Bytes::copy_from_slice(payload), qos.min(1), 0);
    }

    /// Sends a publication to a device as it is, also if the device has not subscribed to its topic. No answer is
    /// expected: one that comes is an [`Event::StrayReply`].
    pub fn push(&self, device: &DeviceId, publication: Publication) -> Result<(), CommandError> {
        self.tell(device, Input::Push(publication))
    }

    /// Sends bytes as they are.
    pub fn send_raw(&self, device: &DeviceId, bytes: &[u8]) -> Result<(), CommandError> {
        self.tell(device, Input::Raw(bytes.to_vec()))
    }

    /// Closes a device's connection. The login of a sub-device ends, and its gateway's connection stays.
    pub fn kick(&self, device: &DeviceId) -> Result<(), CommandError> {
        if self.log_out(device) {
            return Ok(());
        }
        self.tell(device, Input::Close("by the operator".into()))
    }

    /// The devices that are logged in with a connection of their own.
    pub fn online(&self) -> Vec<DeviceId> {
        self.shared.devices_online()
    }

    /// The present state of a device.
    pub fn device(&self, id: &DeviceId) -> Option<Device> {
        self.shared.registry().find(id)
    }

    /// What the cloud knows of a device apart from its login: attributes, tags, firmware.
    pub fn thing(&self, id: &DeviceId) -> Thing {
        self.shared.with_thing(id, |thing| thing.clone())
    }

    /// Changes it, as in the console.
    pub fn change_thing(&self, id: &DeviceId, change: impl FnOnce(&mut Thing)) {
        self.shared.with_thing(id, change);
    }

    /// Registers a device, or replaces one, as in the console.
    pub fn put_device(&self, device: Device) -> io::Result<()> {
        self.shared.registry().put(device)
    }

    /// Disables a device, as in the console: its logins are refused. If it is online, it is sent `thing/disable`, and
    /// its session ends when it has answered, or after a second. A sub-device is logged out, and its gateway is sent
    /// `combine/disable`. False if there is no such device.
    pub fn disable(&self, id: &DeviceId) -> io::Result<bool> {
        let gateways = self.gateways_of(id);
        let known = self.shared.registry().enable(id, false);
        self.part(id, &gateways, "disable", "the device is disabled");
        known
    }

    /// Enables a device again. If it is online all the same, it is sent `thing/enable`, and the gateway of a sub-device
    /// `combine/enable`. False if there is no such device.
    pub fn enable(&self, id: &DeviceId) -> io::Result<bool> {
        let known = self.shared.registry().enable(id, true)?;
        match self.gateways_of(id) {
            gateways if gateways.is_empty() => drop(self.command(id, "thing/enable", json!([]))),
            gateways => self.tell_gateways(&gateways, id, "combine/enable"),
        }
        Ok(known)
    }

    /// Deletes a device, as in the console: its credentials become invalid. If it is online, it is sent `thing/delete`,
    /// and its session ends when it has answered, or after a second. A sub-device is logged out, and its gateway is sent
    /// `combine/delete`. False if there was none.
    pub fn remove_device(&self, id: &DeviceId) -> io::Result<bool> {
        let gateways = self.gateways_of(id);
        let removed = self.shared.registry().remove(id);
        self.shared.forget_thing(id);
        self.shared.commands().forget_cached(id);
        self.part(id, &gateways, "delete", "the device is deleted");
        removed
    }

    fn gateways_of(&self, id: &DeviceId) -> Vec<DeviceId> {
        self.device(id).map(|device| device.gateways).unwrap_or_default()
    }

    fn part(&self, device: &DeviceId, gateways: &[DeviceId], verb: &str, reason: &'static str) {
        self.shared.end_sub_device(device, reason);
        if !gateways.is_empty() {
            return self.tell_gateways(gateways, device, &format!("combine/{verb}"));
        }
        let suffix = &format!("thing/{verb}");
        let order = Order { ends_session: Some(reason), ..Order::new(self.shared.next_id(), suffix, json!([])) };
        if self.send(device, Input::Command(device.clone(), order)).is_err() {
            // It is offline, or in a session for its activation, or does not listen.
            let _ = self.tell(device, Input::Close(reason.into()));
        }
    }

    /// The counts until now.
    pub fn summary(&self) -> Summary {
        self.shared.summary()
    }

    /// Reports the summary as an event.
    pub fn report_summary(&self) {
        let summary = self.shared.summary();
        self.shared.report(None, None, Event::Summary { summary });
    }

    /// Closes the ports and the connections, after answers in progress were sent.
    pub fn stop(mut self) {
        self.end();
    }

    /// Stops, and reports the summary as the last event.
    pub fn stop_with_summary(mut self) {
        self.end();
        self.report_summary();
    }

    /// Waits for room in the queue of the connection, but not for long.
    fn send(&self, device: &DeviceId, mut input: Input) -> Result<(), CommandError> {
        let Some((handle, Mode::Device)) = self.shared.find_online(device) else { return Err(CommandError::Offline) };
        let until = Instant::now() + SENDING;
        loop {
            match handle.inbox.try_send(input) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Disconnected(_)) => return Err(CommandError::Offline),
                Err(TrySendError::Full(_)) if Instant::now() > until || self.shared.is_stopping() => {
                    return Err(CommandError::Busy)
                }
                Err(TrySendError::Full(back)) => input = back,
            }
            self.shared.pause(Duration::from_millis(1));
        }
    }

    fn tell(&self, device: &DeviceId, input: Input) -> Result<(), CommandError> {
        let (handle, _) = self.shared.find_online(device).ok_or(CommandError::Offline)?;
        handle.inbox.try_send(input).map_err(|_| CommandError::Busy)
    }

    fn end(&mut self) {
        if self.ports.is_empty() {
            return;
        }
        self.shared.stop();
        if let Some(mut web) = self.web.take() {
            web.stop();
        }
        for port in self.ports.drain(..) {
            // This connection wakes the thread that accepts. If it fails, the thread is left to the end of the process.
            if TcpStream::connect_timeout(&reachable(port.address), Duration::from_secs(1)).is_ok() {
                let _ = port.acceptor.join();
            }
        }
        if let Some(clock) = self.clock.take() {
            let _ = clock.join();
        }
        self.shared.wait_for_connections();
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        self.end();
    }
}

/// An address to connect to, for one that may be the wildcard address.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

/// The text of an error names the address.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let bound = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        // A restart must not have to wait for connections in TIME_WAIT.
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    };
    bound().map_err(|error: io::Error| io::Error::new(error.kind(), format!("{address}: {error}")))
}

fn accept(shared: &Arc<Shared>, listener: &TcpListener, tls: Option<&SslContext>) {
    loop {
        let accepted = listener.accept();
        if shared.is_stopping() {
            return;
        }
        // Probably out of descriptors or memory: give the connections time to end.
        let session = tls.map(Session::new).transpose();
        let (Ok((stream, _)), Ok(session)) = (accepted, session) else {
            shared.pause(Duration::from_millis(50));
            continue;
        };
        let serving = shared.clone();
        let number = shared.next_connection();
        let name = format!("sim-{number}");
        // If there is no thread, the stream is dropped, which closes it.
        let _ = thread::Builder::new().name(name).stack_size(STACK).spawn(move || {
            connection::serve(&serving, stream, number, session.map(Tls::new));
        });
    }
}
