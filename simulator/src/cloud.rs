//! The whole cloud: the ports, the connections, and what they share.

use bytes::Bytes;
use openssl::ssl::SslContext;
use serde_json::Value;
use socket2::{Domain, Socket, Type};
use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::{
    config::Config,
    connection::{self, Input},
    event::{Event, Record},
    link::Tls,
    login::Mode,
    registry::Registry,
    shared::Shared,
    summary::Summary,
    tls::{self, session::Session},
    Device, DeviceId,
};

/// Enough for a JSON text with the deepest nesting that the parser accepts.
pub const STACK: usize = 512 * 1024;
/// The backlog of connections to accept; a whole fleet may connect at once.
const BACKLOG: i32 = 4096;

/// A running cloud. It stops when it is dropped.
pub struct Cloud {
    shared: Arc<Shared>,
    ports: Vec<Port>,
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
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CommandError::Offline => "the device is not online",
            CommandError::Busy => "the device's connection is busy",
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
        let mut cloud = Cloud { shared: Arc::new(Shared::new(config, registry, Box::new(sink))), ports: Vec::new() };
        if let Some(listener) = plain {
            cloud.serve(listener, None)?;
        }
        if let Some((listener, context)) = tls {
            cloud.serve(listener, Some(context))?;
        }
        if cloud.ports.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "there is no port, neither plain nor with TLS"));
        }
        Ok(cloud)
    }

    fn serve(&mut self, listener: TcpListener, tls: Option<SslContext>) -> io::Result<()> {
        let (address, is_tls) = (listener.local_addr()?, tls.is_some());
        let listening = Event::Listening { port: address.port(), address: address.to_string(), tls: is_tls };
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

    /// Sends a command to an online device and returns its id, as in [`Event::Command`] and [`Event::CommandReply`].
    /// `suffix` is as in [`Command`](crate::Command).
    pub fn command(&self, device: &DeviceId, suffix: &str, params: Value) -> Result<String, CommandError> {
        match self.shared.find_online(device) {
            Some((_, Mode::Device)) => {}
            _ => return Err(CommandError::Offline),
        }
        let id = self.shared.next_id().to_string();
        self.tell(device, Input::Command { id: id.clone(), suffix: suffix.to_owned(), params }).map(|()| id)
    }

    /// Publishes to all subscribers of `topic`.
    pub fn publish(&self, topic: &str, payload: &[u8], qos: u8) {
        self.shared.route(topic, &Bytes::copy_from_slice(payload), qos.min(1), 0);
    }

    /// Sends bytes as they are.
    pub fn send_raw(&self, device: &DeviceId, bytes: &[u8]) -> Result<(), CommandError> {
        self.tell(device, Input::Raw(bytes.to_vec()))
    }

    /// Closes a device's connection.
    pub fn kick(&self, device: &DeviceId) -> Result<(), CommandError> {
        self.tell(device, Input::Close("by the operator".into()))
    }

    /// The devices that are logged in.
    pub fn online(&self) -> Vec<DeviceId> {
        self.shared.devices_online()
    }

    /// The present state of a device.
    pub fn device(&self, id: &DeviceId) -> Option<Device> {
        self.shared.registry().find(id)
    }

    /// Registers a device, or replaces one, as in the console.
    pub fn put_device(&self, device: Device) -> io::Result<()> {
        self.shared.registry().put(device)
    }

    /// Deletes a device, as in the console: its credentials become invalid. False if there was none.
    pub fn remove_device(&self, id: &DeviceId) -> io::Result<bool> {
        let removed = self.shared.registry().remove(id);
        let _ = self.kick(id);
        removed
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

    fn tell(&self, device: &DeviceId, input: Input) -> Result<(), CommandError> {
        let (handle, _) = self.shared.find_online(device).ok_or(CommandError::Offline)?;
        handle.inbox.try_send(input).map_err(|_| CommandError::Busy)
    }

    fn end(&mut self) {
        if self.ports.is_empty() {
            return;
        }
        self.shared.stop();
        for port in self.ports.drain(..) {
            // This connection wakes the thread that accepts. If it fails, the thread is left to the end of the process.
            if TcpStream::connect_timeout(&reachable(port.address), Duration::from_secs(1)).is_ok() {
                let _ = port.acceptor.join();
            }
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
