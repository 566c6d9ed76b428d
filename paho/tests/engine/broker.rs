//! A broker that does as the test says: it sends the bytes it is given when it is told, and breaks the link as told.

use crate::driver::PATIENCE;
use std::{
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    thread,
    time::{Duration, Instant},
};

pub const CONNACK: [u8; 4] = [0x20, 2, 0, 0];

pub struct Broker(TcpListener);

/// One connection of a client.
pub struct Peer(TcpStream);

/// What a client sent.
#[derive(Debug, PartialEq, Eq)]
pub struct Packet {
    /// The type's number in MQTT, 1 for CONNECT and so on.
    pub kind: u8,
    pub body: Vec<u8>,
}

impl Broker {
    pub fn new() -> Broker {
        Broker(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap())
    }

    /// Stops listening. The port is nobody else's while the result lives.
    pub fn close(self) -> OwnedFd {
        let address = libc::sockaddr_in {
            sin_family: libc::AF_INET as libc::sa_family_t,
            sin_port: self.port().to_be(),
            sin_addr: libc::in_addr { s_addr: u32::from(Ipv4Addr::LOCALHOST).to_be() },
            sin_zero: [0; 8],
        };
        drop(self);
        let (on, int) = (1 as libc::c_int, size_of::<libc::c_int>() as libc::socklen_t);
        // SAFETY: system calls on an address and an option of the lengths that they are told, and on a new descriptor.
        unsafe {
            let fd = OwnedFd::from_raw_fd(libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0));
            // Connections of the listener's may not be over yet.
            let (raw, place) = (fd.as_raw_fd(), (&raw const on).cast());
            assert_eq!(libc::setsockopt(raw, libc::SOL_SOCKET, libc::SO_REUSEADDR, place, int), 0);
            let length = size_of_val(&address) as libc::socklen_t;
            assert_eq!(libc::bind(raw, (&raw const address).cast(), length), 0, "{}", std::io::Error::last_os_error());
            fd
        }
    }

    /// Gives each connection a small receive buffer, so that what a client writes at once goes out in parts.
    pub fn narrow(self) -> Broker {
        let size: libc::c_int = 4096;
        let length = size_of::<libc::c_int>() as libc::socklen_t;
        // SAFETY: the option's own type and its length.
        unsafe {
            libc::setsockopt(self.0.as_raw_fd(), libc::SOL_SOCKET, libc::SO_RCVBUF, (&raw const size).cast(), length)
        };
        self
    }

    pub fn port(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }

    pub fn listener(&self) -> &TcpListener {
        &self.0
    }

    /// The next connection; it has to come.
    pub fn accept(&self) -> Peer {
        self.accept_within(PATIENCE).expect("a connection")
    }

    /// The next connection, if one comes in time.
    pub fn accept_within(&self, time: Duration) -> Option<Peer> {
        self.0.set_nonblocking(true).unwrap();
        let until = Instant::now() + time;
        loop {
            match self.0.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(false).unwrap();
                    stream.set_nodelay(true).unwrap();
                    stream.set_read_timeout(Some(PATIENCE)).unwrap();
                    stream.set_write_timeout(Some(PATIENCE)).unwrap();
                    return Some(Peer(stream));
                }
                Err(error) if error.kind() != ErrorKind::WouldBlock => panic!("accept: {error}"),
                Err(_) if Instant::now() >= until => return None,
                Err(_) => wait_readable(&self.0, until),
            }
        }
    }
}

/// Waits until a socket has something to read, or the time is over.
fn wait_readable(socket: &impl AsRawFd, until: Instant) {
    let left = until.saturating_duration_since(Instant::now()).as_millis().min(1000) as i32;
    let mut poll = libc::pollfd { fd: socket.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one pollfd, which lives until the call returns.
    unsafe { libc::poll(&mut poll, 1, left) };
}

impl From<TcpStream> for Peer {
    fn from(stream: TcpStream) -> Peer {
        Peer(stream)
    }
}

impl Peer {
    /// Sends bytes; a client that has gone is no fault of the test's.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.0.write_all(bytes);
    }

    /// The next packet, or None when the client closed or reset the link or stayed silent.
    pub fn packet(&mut self) -> Option<Packet> {
        let mut byte = [0];
        self.0.read_exact(&mut byte).ok()?;
        let kind = byte[0] >> 4;
        let (mut length, mut shift) = (0usize, 0);
        loop {
            self.0.read_exact(&mut byte).ok()?;
            length |= usize::from(byte[0] & 127) << shift;
            shift += 7;
            if byte[0] & 128 == 0 {
                break;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).ok()?;
        Some(Packet { kind, body })
    }

    /// The next packet, which has to be of this type.
    pub fn expect(&mut self, kind: u8) -> Packet {
        let packet = self.packet();
        match packet {
            Some(packet) if packet.kind == kind => packet,
            other => panic!("expected a packet of type {kind}, got {other:?}"),
        }
    }

    /// Takes CONNECT and accepts it.
    pub fn welcome(&mut self) {
        self.expect(1);
        self.send(&CONNACK);
    }

    /// Whether the client closes the link within the time; what it sends until then is dropped.
    pub fn closed_within(&mut self, time: Duration) -> bool {
        let until = Instant::now() + time;
        let mut drain = [0; 4096];
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            self.0.set_read_timeout(Some(left)).unwrap();
            match self.0.read(&mut drain) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(_) => return true,
            }
        }
    }

    /// Closes the link with a reset rather than an orderly end.
    pub fn reset(self) {
        let linger = libc::linger { l_onoff: 1, l_linger: 0 };
        let length = size_of::<libc::linger>() as libc::socklen_t;
        // SAFETY: the option's own structure and its length.
        unsafe {
            libc::setsockopt(self.0.as_raw_fd(), libc::SOL_SOCKET, libc::SO_LINGER, (&raw const linger).cast(), length)
        };
    }

    /// Says that nothing more comes, but goes on listening.
    pub fn half_close(&self) {
        let _ = self.0.shutdown(std::net::Shutdown::Write);
    }

    /// Answers as a broker should, on a thread of its own, until the link ends.
    pub fn serve(mut self) -> thread::JoinHandle<()> {
        self.0.set_read_timeout(None).unwrap();
        thread::spawn(move || {
            while let Some(packet) = self.packet() {
                match packet.kind {
                    1 => self.send(&CONNACK),
                    3 => {
                        let topic = usize::from(u16::from_be_bytes([packet.body[0], packet.body[1]]));
                        self.send(&[0x40, 2, packet.body[2 + topic], packet.body[3 + topic]]);
                    }
                    8 => self.send(&[0x90, 3, packet.body[0], packet.body[1], 1]),
                    12 => self.send(&[0xd0, 0]),
                    _ => {}
                }
            }
        })
    }
}

/// A PUBLISH as a broker sends it.
pub fn publish(qos: u8, id: u16, topic: &str, payload: &[u8]) -> Vec<u8> {
    let mut body = (topic.len() as u16).to_be_bytes().to_vec();
    body.extend(topic.bytes());
    if qos > 0 {
        body.extend(id.to_be_bytes());
    }
    body.extend(payload);
    packet(0x30 | qos << 1, &body)
}

/// A packet with its length in front.
pub fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    let mut length = body.len();
    loop {
        let digit = (length % 128) as u8;
        length /= 128;
        bytes.push(if length > 0 { digit | 128 } else { digit });
        if length == 0 {
            break;
        }
    }
    bytes.extend(body);
    bytes
}

/// Fills the queue of a listener that nobody accepts from, so that a further connect stays pending.
pub fn fill(broker: &Broker) -> Vec<TcpStream> {
    // SAFETY: listen() again, on a listening socket, only changes the length of its queue.
    unsafe { libc::listen(broker.listener().as_raw_fd(), 0) };
    let address = broker.listener().local_addr().unwrap();
    let mut held = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
        held.push(stream);
    }
    held
}
