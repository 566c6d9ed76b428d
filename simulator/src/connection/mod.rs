//! One connection. One thread decides and sends, another one reads.

mod commands;
mod gateway;
mod login;
mod messages;
mod outflow;
mod packets;

use bytes::{Bytes, BytesMut};
use std::{
    net::{IpAddr, Shutdown, TcpStream},
    sync::{
        mpsc::{sync_channel, Receiver, RecvTimeoutError, SyncSender},
        Arc,
    },
    thread,
    time::{Duration, Instant},
};

use outflow::Outflow;

use crate::{
    commands::Order,
    event::Event,
    fault::Kind,
    link::{self, Closed, Heard, Link, Tls},
    login::Mode,
    packet::{self, Malformed},
    shared::{Reporter, Shared},
    subscriptions::Subscriptions,
    DeviceId,
};

/// The length of a connection's inbox; with the size of the reader's chunks at most 128 KiB.
const INBOX: usize = 32;
/// How long the peer may take to notice that the link is closed. Then its data is answered with a reset.
const PARTING: Duration = Duration::from_secs(2);

/// The beginning of a TLS handshake; MQTT has no such packet.
const CLIENT_HELLO: [u8; 2] = [0x16, 3];

/// Inputs of a connection, from its reader and from the cloud.
#[derive(Debug)]
pub enum Input {
    Bytes(Bytes),
    /// The reader has reached the end.
    End(String),
    /// Close the link.
    Close(String),
    /// Send a command to the device, or to a sub-device.
    Command(DeviceId, Order),
    /// Send the next command that is kept for it.
    Cached(DeviceId),
    /// Send the firmware that it is offered.
    Offers(DeviceId),
    /// Send this if the device has subscribed to it.
    Deliver {
        topic: String,
        payload: Bytes,
        qos: u8,
    },
    /// Send this in any case.
    Push(Publication),
    /// Send these bytes.
    Raw(Vec<u8>),
}

/// A publication of the cloud, with all that MQTT can say about it.
#[derive(Clone, Debug, Default)]
pub struct Publication {
    pub topic: String,
    pub payload: Vec<u8>,
    /// 0 or 1.
    pub qos: u8,
    pub retain: bool,
    pub dup: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// No CONNECT yet.
    Fresh,
    /// CONNACK waits to be sent; the result of the login takes effect when it is sent.
    Answering(Option<Mode>),
    Online(Mode),
    /// A fault: all input is ignored.
    Deaf,
}

/// A handle for other threads to reach a connection.
#[derive(Clone)]
pub struct Handle {
    pub number: u64,
    pub inbox: SyncSender<Input>,
    pub stream: Arc<TcpStream>,
}

impl Handle {
    /// Closes the connection after its earlier inputs, or at once if its inbox is full.
    pub fn close(&self, reason: &str) {
        if self.inbox.try_send(Input::Close(reason.into())).is_err() {
            let _ = self.stream.shutdown(Shutdown::Both);
        }
    }
}

struct Connection {
    shared: Arc<Shared>,
    link: Link,
    inbox: Receiver<Input>,
    handle: Handle,
    peer: String,
    /// The last byte of the peer is in the buffer.
    peer_has_ended: bool,
    /// The peer has ended its TLS session.
    peer_has_said_goodbye: bool,
    buffer: BytesMut,
    stage: Stage,
    since: Instant,
    last_heard: Instant,
    keep_alive: Option<Duration>,
    subscriptions: Subscriptions,
    /// All filters in SUBSCRIBEs so far, granted or not.
    filters_asked: u64,
    last_packet_id: u16,
    posts: u64,
    commands_sent: usize,
    outflow: Outflow,
}

/// Serves a connection until its end.
pub fn serve(shared: &Arc<Shared>, stream: TcpStream, number: u64, tls: Option<Tls>) {
    let limits = shared.config.limits;
    let peer = stream.peer_addr().map_or_else(|_| "unknown".into(), |peer| peer.to_string());
    let stream = Arc::new(stream);
    let _ = stream.set_nodelay(true);
    let _ = stream.set_write_timeout(Some(limits.write_wait));
    let (sender, inbox) = sync_channel(INBOX);
    let handle = Handle { number, inbox: sender.clone(), stream: stream.clone() };
    if !shared.enlist(handle.clone()) {
        return;
    }
    thread::scope(|scope| {
        let _seat = Seat { shared, number, stream: &stream };
        let reading = stream.clone();
        let reader = thread::Builder::new()
            .name(format!("sim-read-{number}"))
            .stack_size(crate::cloud::STACK)
            .spawn_scoped(scope, move || link::read_into(&reading, &sender));
        if reader.is_ok() {
            let reporter = Reporter::new(shared.clone(), number);
            let link = Link::new(stream.clone(), shared.faults(), reporter, number, tls);
            Connection::new(shared.clone(), link, inbox, handle, peer).run();
        }
    });
}

/// Registers a connection, and unregisters it even if its thread panics.
struct Seat<'a> {
    shared: &'a Shared,
    number: u64,
    stream: &'a TcpStream,
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            // Otherwise the reader would wait for the peer.
            let _ = self.stream.shutdown(Shutdown::Both);
        }
        self.shared.forget(self.number);
    }
}

impl Connection {
    fn new(shared: Arc<Shared>, link: Link, inbox: Receiver<Input>, handle: Handle, peer: String) -> Connection {
        let now = Instant::now();
        Connection {
            shared,
            link,
            inbox,
            handle,
            peer,
            peer_has_ended: false,
            peer_has_said_goodbye: false,
            buffer: BytesMut::new(),
            stage: Stage::Fresh,
            since: now,
            last_heard: now,
            keep_alive: None,
            subscriptions: Subscriptions::default(),
            filters_asked: 0,
            last_packet_id: 0,
            posts: 0,
            commands_sent: 0,
            outflow: Outflow::default(),
        }
    }

    fn run(mut self) {
        let Closed(reason) = self.serve();
        if let Some(device) = self.device() {
            self.shared.offline(device, self.handle.number);
        }
        if let Some((server_name, reason)) = self.link.failed_handshake(&reason) {
            self.report(Event::TlsFailed { peer: self.peer.clone(), server_name, reason });
        }
        let reset = reason == link::RESET;
        self.link.reporter.report(Event::Closed { reason });
        if reset {
            // A reset is sent when the last owner closes. Ending the reader must not send FIN before that.
            let _ = self.handle.stream.shutdown(Shutdown::Read);
        } else {
            self.link.say_goodbye();
            let _ = self.handle.stream.shutdown(Shutdown::Write);
            if !self.peer_has_ended {
                self.part();
            }
            self.link.shut();
        }
    }

    /// Reads and discards what the peer still sends, within limits. Unread bytes would turn the close into a reset,
    /// which could cost the peer the last packet.
    fn part(&self) {
        let deadline = Instant::now() + PARTING;
        let mut taken = 0;
        while taken <= self.shared.config.limits.packet && !self.shared.is_stopping() {
            match self.inbox.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(Input::Bytes(bytes)) => taken += bytes.len(),
                Ok(Input::End(_)) | Err(_) => return,
                Ok(_) => {}
            }
        }
    }

    fn device(&self) -> Option<&DeviceId> {
        self.link.reporter.device()
    }

    /// The address at which the device has found the cloud.
    fn local_address(&self) -> Option<IpAddr> {
        self.handle.stream.local_addr().ok().map(|address| address.ip())
    }

    fn report(&self, event: Event) {
        self.link.reporter.report(event);
    }

    fn serve(&mut self) -> Closed {
        match self.link.got(&[Kind::Accept]) {
            Ok(true) => {}
            Ok(false) => self.stage = Stage::Deaf,
            Err(closed) => return closed,
        }
        loop {
            if let Err(closed) = self.step() {
                return closed;
            }
        }
    }

    /// Sends what is due, processes the input, and waits for more.
    fn step(&mut self) -> Result<(), Closed> {
        while let Some(item) = self.link.clear_due()? {
            self.transmit(item)?;
        }
        self.blow()?;
        self.act_upon_packets()?;
        if self.peer_has_said_goodbye {
            return Err(Closed("by the peer".into()));
        }
        let deadline = self.next_deadline();
        let wait = deadline.saturating_duration_since(Instant::now());
        match self.inbox.recv_timeout(wait) {
            Ok(input) => self.hear(input),
            Err(RecvTimeoutError::Timeout) => self.check_time(),
            Err(RecvTimeoutError::Disconnected) => Err(Closed("by the simulator".into())),
        }
    }

    fn act_upon_packets(&mut self) -> Result<(), Closed> {
        if self.stage == Stage::Fresh && self.buffer.starts_with(&CLIENT_HELLO) {
            return Err(Closed("it speaks TLS, but this port has no TLS".into()));
        }
        // No packet is processed before a delayed CONNACK is sent.
        while matches!(self.stage, Stage::Fresh | Stage::Online(_)) {
            match packet::decode(&mut self.buffer, self.shared.config.limits.packet) {
                Ok(Some(packet)) => self.received(packet)?,
                Ok(None) => return Ok(()),
                Err(Malformed::Level) if self.stage == Stage::Fresh => {
                    self.stage = Stage::Answering(None);
                    return self.connack(1, Some("the protocol is not MQTT 3.1.1"));
                }
                Err(Malformed::Level) => return Err(Closed("after a second CONNECT".into())),
                Err(Malformed::Packet(reason)) => return Err(Closed(format!("after {reason}"))),
            }
        }
        Ok(())
    }

    fn hear(&mut self, input: Input) -> Result<(), Closed> {
        match input {
            Input::Bytes(_) if self.stage == Stage::Deaf => Ok(()),
            Input::Bytes(bytes) => {
                self.last_heard = Instant::now();
                match self.link.receive(&bytes, &mut self.buffer)? {
                    Heard::Bytes => {}
                    Heard::Goodbye => self.peer_has_said_goodbye = true,
                    Heard::Silence => self.stage = Stage::Deaf,
                }
                // The packet limit applies to decoded packets; this limit applies to data behind a delayed CONNACK.
                if self.buffer.len() > 2 * self.shared.config.limits.packet {
                    return Err(Closed("the peer sends without waiting for CONNACK".into()));
                }
                Ok(())
            }
            Input::End(reason) => {
                self.peer_has_ended = true;
                Err(Closed(reason))
            }
            Input::Close(reason) => Err(Closed(reason)),
            Input::Command(device, order) => self.command(&device, order),
            Input::Cached(device) => self.send_cached(&device),
            Input::Offers(device) => self.send_offers(&device),
            Input::Deliver { topic, payload, qos } => {
                self.deliver(Kind::Publish, topic, payload, qos, (None, None)).map(drop)
            }
            Input::Push(publication) => self.push(publication),
            Input::Raw(bytes) => self.link.write(&bytes),
        }
    }

    fn next_deadline(&self) -> Instant {
        if self.outflow.is_busy() {
            return Instant::now();
        }
        let connect = (self.stage == Stage::Fresh).then(|| self.since + self.shared.config.limits.connect_wait);
        let keep_alive = self.keep_alive.filter(|_| self.stage != Stage::Deaf).map(|time| self.last_heard + time);
        let deadlines = [connect, keep_alive, self.link.next_due()];
        deadlines.into_iter().flatten().min().unwrap_or_else(|| Instant::now() + Duration::from_secs(3600))
    }

    fn check_time(&mut self) -> Result<(), Closed> {
        let now = Instant::now();
        if self.stage == Stage::Fresh && now >= self.since + self.shared.config.limits.connect_wait {
            return Err(Closed("no CONNECT came".into()));
        }
        if self.stage != Stage::Deaf && self.keep_alive.is_some_and(|time| now >= self.last_heard + time) {
            return Err(Closed("nothing came for one and a half keepalives".into()));
        }
        Ok(())
    }
}
