//! One connection, from the first call to its end.

use crate::fault::{Direction, Fault};
use crate::input::{Input, Packet};
use crate::output::Output;
use crate::socket::Socket;
#[cfg(feature = "tls")]
use crate::stream::secure::Secure;
use crate::stream::{Need, Stream};
use crate::watch::{Sight, Verdict, Watch};
use crate::{now_ms, Interest};
use std::ffi::CString;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;

/// OpenSSL's object for one connection, with the checks that the application wants.
#[cfg(feature = "tls")]
pub struct Tls(pub openssl::ssl::Ssl);
/// This build has no TLS.
#[cfg(not(feature = "tls"))]
pub enum Tls {}

pub struct Settings {
    pub address: SocketAddr,
    /// The network interface to connect through.
    pub interface: Option<CString>,
    pub tls: Option<Tls>,
    /// Seconds; 0: no PINGREQ is sent, and a connection that stands still is not noticed.
    pub keep_alive_s: u16,
    /// Bytes that an inbound packet may have after its header; 0 for any number.
    pub max_packet: usize,
    pub observe: Observer,
}

/// Is called with each packet when it is handed over to be sent, and when it has arrived. The pieces are the whole
/// packet.
pub type Observer = fn(Direction, &[&[u8]]);

/// Counts bytes, for any number of connections.
#[derive(Debug, Default)]
pub struct Traffic {
    sent: AtomicU64,
    received: AtomicU64,
}

impl Traffic {
    /// How many bytes the kernel has accepted, and how many were received.
    pub fn read(&self) -> (u64, u64) {
        (self.sent.load(Ordering::Relaxed), self.received.load(Ordering::Relaxed))
    }

    fn count(&self, sent: u64, received: u64) {
        self.sent.fetch_add(sent, Ordering::Relaxed);
        self.received.fetch_add(received, Ordering::Relaxed);
    }
}

pub struct Link {
    settings: Settings,
    state: State,
    input: Input,
    output: Output,
    watch: Watch,
    fault: Option<Box<Fault>>,
    /// The broker has accepted the CONNECT.
    established: bool,
    sent: Arc<AtomicBool>,
    traffic: Arc<Traffic>,
    now: u64,
}

enum State {
    Idle,
    Connecting(Socket),
    #[cfg(feature = "tls")]
    Handshake(Box<Secure>, Need),
    Open(Stream),
    Over,
}

/// The result of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    Done,
    /// Not now: see [`Link::interest`].
    Wait,
    /// The connection is lost: see [`Link::fault`].
    Lost,
}

/// The connection is lost: see [`Link::fault`].
#[derive(Debug)]
pub struct Lost;

/// What [`Link::look`] finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    Fine,
    /// A PINGREQ is due.
    Ping,
    Lost,
}

impl Link {
    pub fn new(settings: Settings) -> Link {
        let now = now_ms();
        Link {
            watch: Watch::new(settings.keep_alive_s, now),
            settings,
            state: State::Idle,
            input: Input::default(),
            output: Output::default(),
            fault: None,
            established: false,
            sent: Arc::default(),
            traffic: Arc::default(),
            now,
        }
    }

    /// Counts its bytes in this object.
    pub fn count_in(&mut self, traffic: Arc<Traffic>) {
        self.traffic = traffic;
    }

    /// Becomes true when the kernel has accepted a part of the first packet.
    pub fn sent(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.sent)
    }

    /// Why the connection was lost.
    pub fn fault(&self) -> Option<&Fault> {
        self.fault.as_deref()
    }

    pub fn set_max_packet(&mut self, bytes: usize) {
        self.settings.max_packet = bytes;
    }

    /// If on, packets that may wait are sent together at the next [`flush`](Self::flush).
    pub fn cork(&mut self, on: bool) {
        self.output.cork = on;
    }

    /// Begins a step. `ready`: the descriptor may have something to read.
    pub fn begin(&mut self, ready: bool) {
        self.now = now_ms();
        if ready {
            self.input.ready();
        }
    }

    /// Begins to connect or continues it, including TLS.
    pub fn connect(&mut self) -> Progress {
        loop {
            match std::mem::replace(&mut self.state, State::Over) {
                State::Idle => match Socket::connect(&self.settings.address, self.settings.interface.as_deref()) {
                    Ok(socket) => self.state = State::Connecting(socket),
                    Err(error) => return self.lose(Fault::system("connecting", error)),
                },
                State::Connecting(socket) => match socket.is_connected() {
                    Ok(true) => {
                        self.watch = Watch::new(self.settings.keep_alive_s, self.now);
                        self.state = match self.secure(socket) {
                            Ok(state) => state,
                            Err(fault) => return self.lose(fault),
                        };
                    }
                    Ok(false) => {
                        self.state = State::Connecting(socket);
                        return Progress::Wait;
                    }
                    Err(error) => return self.lose(Fault::system("connecting", error)),
                },
                #[cfg(feature = "tls")]
                State::Handshake(mut secure, _) => {
                    use crate::stream::Moved;
                    let before = (secure.socket().sent, secure.socket().received);
                    let moved = secure.shake_hands();
                    self.note_moved(before, (secure.socket().sent, secure.socket().received));
                    match moved {
                        Moved::Bytes(_) => self.state = State::Open(Stream::Tls(secure)),
                        Moved::Wait(need) => {
                            self.state = State::Handshake(secure, need);
                            return Progress::Wait;
                        }
                        Moved::End(fault) => return self.lose(fault),
                    }
                }
                State::Open(stream) => {
                    self.state = State::Open(stream);
                    return Progress::Done;
                }
                State::Over => return Progress::Lost,
            }
        }
    }

    /// The next packet, if it has arrived completely.
    pub fn packet(&mut self) -> Result<Option<Packet>, Lost> {
        if self.output.is_crowded() {
            return Ok(None);
        }
        let State::Open(stream) = &mut self.state else { return Err(Lost) };
        let before = (stream.socket().sent, stream.socket().received);
        let limit = self.settings.max_packet;
        let packet = self.input.next(stream, limit, !self.established);
        let after = (stream.socket().sent, stream.socket().received);
        self.note_moved(before, after);
        let sent = after.0;
        match packet {
            Ok(Some(packet)) => {
                let kind = packet.header >> 4;
                self.watch.came(kind, self.now, sent);
                self.established = true;
                (self.settings.observe)(Direction::In, &[self.input.last()]);
                Ok(Some(packet))
            }
            Ok(None) => Ok(None),
            Err(fault) => {
                self.lose(fault);
                Err(Lost)
            }
        }
    }

    /// The body of a packet, until the next packet is requested.
    pub fn body(&mut self, packet: &Packet) -> &mut [u8] {
        self.input.body(packet)
    }

    /// Takes a packet to send. The link keeps what cannot be sent at once.
    pub fn put(&mut self, parts: &[&[u8]]) -> Progress {
        if parts.iter().find_map(|part| part.first()) == Some(&0xc0) {
            self.watch.pinged();
        }
        if matches!(self.state, State::Open(_)) {
            (self.settings.observe)(Direction::Out, parts);
        }
        self.write(|output, stream| output.put(stream, parts))
    }

    /// Sends as much as possible of what waits.
    pub fn flush(&mut self) -> Progress {
        match self.output.is_empty() {
            true => Progress::Done,
            false => self.write(|output, stream| output.flush(stream)),
        }
    }

    /// Whether the kernel accepts more.
    pub fn is_free(&self) -> bool {
        self.output.blocked.is_none()
    }

    /// Checks both directions.
    pub fn look(&mut self) -> Sign {
        let sight = self.sight();
        let socket = match &self.state {
            State::Open(stream) => stream.socket(),
            #[cfg(feature = "tls")]
            State::Handshake(secure, _) => secure.socket(),
            _ => return Sign::Fine,
        };
        match self.watch.look(self.now, sight, socket.sent, || socket.unconfirmed()) {
            Verdict::Fine => Sign::Fine,
            Verdict::Ping => Sign::Ping,
            Verdict::Still(fault) => {
                self.lose(fault);
                Sign::Lost
            }
        }
    }

    /// When to call again if the descriptor is not ready before: a time of [`now_ms`].
    pub fn deadline(&self) -> Option<u64> {
        match self.state {
            State::Idle | State::Connecting(_) | State::Over => None,
            _ => self.watch.deadline(self.sight()),
        }
    }

    /// A number that changes when a byte has moved or the connection has ended.
    pub fn moved(&self) -> u64 {
        match &self.state {
            State::Idle => 0,
            State::Connecting(_) => 1,
            #[cfg(feature = "tls")]
            State::Handshake(secure, _) => 2 + secure.socket().sent + secure.socket().received,
            State::Open(stream) => 3 + stream.socket().sent + stream.socket().received,
            State::Over => u64::MAX,
        }
    }

    /// What to wait for. `None` without a connection.
    pub fn interest(&self) -> Option<Interest> {
        let (fd, read, write) = match &self.state {
            State::Idle | State::Over => return None,
            State::Connecting(socket) => (socket.raw(), false, true),
            #[cfg(feature = "tls")]
            State::Handshake(secure, need) => (secure.socket().raw(), *need == Need::Read, *need == Need::Write),
            State::Open(stream) => {
                let (reads, writes) = (self.input.need, self.output.blocked);
                let paused = self.output.is_crowded();
                let read = !paused && reads != Some(Need::Write) || writes == Some(Need::Read);
                let write = writes == Some(Need::Write) || !paused && reads == Some(Need::Write);
                (stream.socket().raw(), read, write)
            }
        };
        Some(Interest { fd, read, write })
    }

    /// Ends a step: frees the memory of empty buffers.
    pub fn rest(&mut self) {
        self.input.release();
        self.output.release();
    }

    /// Closes the connection, after a last attempt to send what waits.
    pub fn close(&mut self) {
        self.flush();
        if let State::Open(stream) = &mut self.state {
            stream.shut_down();
        }
        self.state = State::Over;
        self.input = Input::default();
        self.output = Output::default();
    }

    /// The next state when TCP is connected.
    fn secure(&mut self, socket: Socket) -> Result<State, Fault> {
        match self.settings.tls.take() {
            None => Ok(State::Open(Stream::Plain(socket))),
            #[cfg(feature = "tls")]
            Some(Tls(ssl)) => Ok(State::Handshake(Box::new(Secure::new(ssl, socket)?), Need::Write)),
        }
    }

    fn write(&mut self, write: impl FnOnce(&mut Output, &mut Stream) -> Result<(), Fault>) -> Progress {
        let State::Open(stream) = &mut self.state else { return Progress::Lost };
        let before = (stream.socket().sent, stream.socket().received);
        let result = write(&mut self.output, stream);
        let after = (stream.socket().sent, stream.socket().received);
        if after.0 > before.0 {
            self.sent.store(true, Ordering::Relaxed);
        }
        self.note_moved(before, after);
        self.watch.asked(self.output.take_sent(), self.now, after.0);
        match result {
            Ok(()) => Progress::Done,
            Err(fault) => self.lose(fault),
        }
    }

    fn note_moved(&mut self, before: (u64, u64), after: (u64, u64)) {
        self.traffic.count(after.0 - before.0, after.1 - before.1);
        if after.0 > before.0 {
            self.watch.moved_out(self.now);
        }
        if after.1 > before.1 {
            self.watch.moved_in(self.now);
        }
    }

    fn sight(&self) -> Sight {
        let open = matches!(self.state, State::Open(_));
        Sight {
            blocked: self.output.blocked.is_some(),
            partial: !open || self.input.is_partial(),
            paused: self.output.is_crowded(),
            established: self.established,
        }
    }

    /// Notes the first reason. The descriptor stays open until [`close`](Self::close), which follows.
    fn lose(&mut self, fault: Fault) -> Progress {
        self.fault.get_or_insert_with(|| Box::new(fault));
        self.output = Output::default();
        Progress::Lost
    }
}
