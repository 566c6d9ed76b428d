//! The cloud as a whole: the port, the connections, and what they share.

use bytes::Bytes;
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
    login::Mode,
    registry::Registry,
    shared::Shared,
    summary::Summary,
    Device, DeviceId,
};

/// Enough for a JSON text of the deepest nesting that the parser takes.
pub const STACK: usize = 512 * 1024;
/// Connections that may wait to be accepted: a fleet that comes online at once.
const BACKLOG: i32 = 4096;

/// A running cloud; it stops when it is dropped.
pub struct Cloud {
    shared: Arc<Shared>,
    address: SocketAddr,
    acceptor: Option<JoinHandle<()>>,
}

/// Why a command was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandError {
    /// The device is not logged in, or only to be activated.
    Offline,
    /// Its connection has too much to do.
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
    /// Opens the port and serves it. `sink` is told every event, in order, one at a time, from the threads of the
    /// connections: it must not wait, and must not call the cloud.
    pub fn start(config: Config, sink: impl FnMut(&Record) + Send + 'static) -> io::Result<Cloud> {
        let registry = Registry::open(&config)?;
        let listener = listen(config.listen)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::new(config, registry, Box::new(sink)));
        shared.report(None, None, Event::Listening { port: address.port(), address: address.to_string() });
        let accepting = shared.clone();
        let acceptor = thread::Builder::new().name("sim-accept".into()).spawn(move || accept(&accepting, &listener))?;
        Ok(Cloud { shared, address, acceptor: Some(acceptor) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends a command to a device that is online; the id is the one that its [`Event::Command`] and
    /// [`Event::CommandReply`] name. `suffix` is as in [`Command`](crate::Command).
    pub fn command(&self, device: &DeviceId, suffix: &str, params: Value) -> Result<String, CommandError> {
        match self.shared.find_online(device) {
            Some((_, Mode::Device)) => {}
            _ => return Err(CommandError::Offline),
        }
        let id = self.shared.next_id().to_string();
        self.tell(device, Input::Command { id: id.clone(), suffix: suffix.to_owned(), params }).map(|()| id)
    }

    /// Publishes to whoever has subscribed to `topic`.
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

    /// A device as the console knows it now.
    pub fn device(&self, id: &DeviceId) -> Option<Device> {
        self.shared.registry().find(id)
    }

    /// Registers a device, or replaces one, as in the console.
    pub fn put_device(&self, device: Device) -> io::Result<()> {
        self.shared.registry().put(device)
    }

    /// Deletes a device, as in the console: its credentials are void. The result says whether there was one.
    pub fn remove_device(&self, id: &DeviceId) -> io::Result<bool> {
        let removed = self.shared.registry().remove(id);
        let _ = self.kick(id);
        removed
    }

    /// What the cloud saw until now.
    pub fn summary(&self) -> Summary {
        self.shared.summary()
    }

    /// Reports the summary as an event.
    pub fn report_summary(&self) {
        let summary = self.shared.summary();
        self.shared.report(None, None, Event::Summary { summary });
    }

    /// Closes the port and the connections. What was being answered is answered first.
    pub fn stop(mut self) {
        self.end();
    }

    /// Stops, and then reports the summary as the last event.
    pub fn stop_with_summary(mut self) {
        self.end();
        self.report_summary();
    }

    fn tell(&self, device: &DeviceId, input: Input) -> Result<(), CommandError> {
        let (handle, _) = self.shared.find_online(device).ok_or(CommandError::Offline)?;
        handle.inbox.try_send(input).map_err(|_| CommandError::Busy)
    }

    fn end(&mut self) {
        let Some(acceptor) = self.acceptor.take() else { return };
        self.shared.stop();
        // The acceptor waits for a connection: this is one. If it cannot be made, the thread is left to the process.
        if TcpStream::connect_timeout(&reachable(self.address), Duration::from_secs(1)).is_ok() {
            let _ = acceptor.join();
        }
        self.shared.wait_for_connections();
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        self.end();
    }
}

/// An address of this machine for one that may mean all of its addresses.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // A restart must not wait for the last run's connections to be forgotten.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn accept(shared: &Arc<Shared>, listener: &TcpListener) {
    for number in 1.. {
        let accepted = listener.accept();
        if shared.is_stopping() {
            return;
        }
        let Ok((stream, _)) = accepted else {
            // Out of descriptors, most likely: give the connections time to end.
            shared.pause(Duration::from_millis(50));
            continue;
        };
        let serving = shared.clone();
        let name = format!("sim-{number}");
        // Without a thread for it the stream is dropped, and so closed.
        let _ = thread::Builder::new().name(name).stack_size(STACK).spawn(move || {
            connection::serve(&serving, stream, number);
        });
    }
}
