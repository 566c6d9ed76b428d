//! A scripted broker: the test is the broker, packet by packet.
//!
//! ```ignore
//! let broker = Broker::bind();
//! // ... let something connect to broker.address() ...
//! let mut peer = broker.accept();
//! assert_eq!(peer.read().kind, CONNECT);
//! peer.send(&connack(0));
//! peer.reset();
//! ```
//! If an expected packet does not come within [`PATIENCE`], the test fails.

use crate::wire::{reset_at_close, set_buffer};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::OnceLock;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long a test waits for an expected packet or event.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub const CONNECT: u8 = 1;
pub const CONNACK: u8 = 2;
pub const PUBLISH: u8 = 3;
pub const PUBACK: u8 = 4;
pub const SUBSCRIBE: u8 = 8;
pub const SUBACK: u8 = 9;
pub const UNSUBSCRIBE: u8 = 10;
pub const UNSUBACK: u8 = 11;
pub const PINGREQ: u8 = 12;
pub const PINGRESP: u8 = 13;
pub const DISCONNECT: u8 = 14;

/// A listener on a free loopback port.
pub struct Broker {
    listener: TcpListener,
}

impl Broker {
    pub fn bind() -> Broker {
        Broker::bind_to("127.0.0.1:0")
    }

    /// Binds `"[::1]:0"`, or the address of a former broker.
    pub fn bind_to(address: &str) -> Broker {
        Broker { listener: TcpListener::bind(address).unwrap() }
    }

    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    pub fn port(&self) -> u16 {
        self.address().port()
    }

    /// Gives its connections a small receive buffer, so that large writes of a client are sent in parts.
    pub fn narrow(self) -> Broker {
        set_buffer(self.listener.as_raw_fd(), libc::SO_RCVBUF, 4096);
        self
    }

    /// Stops listening. The port stays reserved while the result lives.
    pub fn close(self) -> OwnedFd {
        let port = self.port();
        drop(self);
        bound(port).0
    }

    /// The next connection.
    pub fn accept(&self) -> Peer {
        self.accept_within(PATIENCE).unwrap_or_else(|| panic!("no connection came within {PATIENCE:?}"))
    }

    /// The next connection, if one comes in time.
    pub fn accept_within(&self, time: Duration) -> Option<Peer> {
        let mut poll = libc::pollfd { fd: self.listener.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one pollfd.
        if unsafe { libc::poll(&mut poll, 1, time.as_millis() as i32) } != 1 {
            return None;
        }
        let (stream, _) = self.listener.accept().unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Some(Peer { stream })
    }

    /// The next connection, past CONNECT and CONNACK 0.
    pub fn accept_mqtt(&self) -> Peer {
        let mut peer = self.accept();
        peer.welcome();
        peer
    }
}

/// An address where nobody listens. The port stays reserved, so that no listener of another test gets it.
pub fn nobody() -> SocketAddr {
    static NOBODY: OnceLock<(OwnedFd, SocketAddr)> = OnceLock::new();
    NOBODY.get_or_init(|| bound(0)).1
}

/// A socket that is bound but does not listen, and its address.
fn bound(port: u16) -> (OwnedFd, SocketAddr) {
    let mut address: libc::sockaddr_in = libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: port.to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from(Ipv4Addr::LOCALHOST).to_be() },
        sin_zero: [0; 8],
    };
    let mut length = size_of_val(&address) as libc::socklen_t;
    let on: libc::c_int = 1;
    // SAFETY: system calls on an address and an option of the lengths that they are told, and on a new descriptor.
    let fd = unsafe {
        let fd = libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0);
        assert!(fd >= 0);
        // Connections of an earlier listener may still be in TIME_WAIT.
        let size = size_of_val(&on) as libc::socklen_t;
        assert_eq!(libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_REUSEADDR, (&raw const on).cast(), size), 0);
        assert_eq!(libc::bind(fd, (&raw const address).cast(), length), 0, "{}", std::io::Error::last_os_error());
        assert_eq!(libc::getsockname(fd, (&raw mut address).cast(), &mut length), 0);
        OwnedFd::from_raw_fd(fd)
    };
    (fd, (Ipv4Addr::LOCALHOST, u16::from_be(address.sin_port)).into())
}

/// An address where connecting neither succeeds nor fails: a listener with a full backlog that never accepts.
pub struct Full {
    broker: Broker,
    _waiting: Vec<TcpStream>,
}

impl Full {
    pub fn bind() -> Full {
        let broker = Broker::bind();
        // SAFETY: a listening socket; this only changes its backlog, to the smallest there is.
        assert_eq!(unsafe { libc::listen(broker.listener.as_raw_fd(), 0) }, 0);
        let connect = || TcpStream::connect_timeout(&broker.address(), Duration::from_millis(200)).ok();
        let _waiting = std::iter::from_fn(connect).collect();
        Full { broker, _waiting }
    }

    pub fn address(&self) -> SocketAddr {
        self.broker.address()
    }
}

/// One connection, with or without TLS. Dropping it closes it.
pub struct Peer<S = TcpStream> {
    pub stream: S,
}

impl<S: Read + Write> Peer<S> {
    /// The next packet.
    pub fn read(&mut self) -> Packet {
        self.try_read().expect("a packet, not the end of the connection")
    }

    /// The next packet, or `None` when the client has closed or reset.
    pub fn try_read(&mut self) -> Option<Packet> {
        let header = self.byte()?;
        let (mut length, mut shift) = (0, 0);
        loop {
            let byte = usize::from(self.byte()?);
            length |= (byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let mut body = vec![0; length];
        self.fill(&mut body)?;
        Some(Packet { kind: header >> 4, flags: header & 0xf, body })
    }

    /// The next packet, which must be of this kind.
    pub fn expect(&mut self, kind: u8) -> Packet {
        let packet = self.read();
        assert_eq!(packet.kind, kind, "{packet:?}");
        packet
    }

    /// Takes CONNECT and accepts it.
    pub fn welcome(&mut self) {
        self.expect(CONNECT);
        self.send(&connack(0));
    }

    /// Reads until the client has closed or reset the connection.
    pub fn expect_end(&mut self) {
        while self.try_read().is_some() {}
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Like `send`, for a client that may be gone.
    pub fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    fn byte(&mut self) -> Option<u8> {
        let mut byte = [0];
        self.fill(&mut byte)?;
        Some(byte[0])
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Option<()> {
        match self.stream.read_exact(buffer) {
            Ok(()) => Some(()),
            Err(e) if matches!(e.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => None,
            Err(e) => panic!("the client sent nothing for {PATIENCE:?}: {e}"),
        }
    }
}

impl Peer {
    /// Whether the client ends the connection in time; packets until then are discarded.
    pub fn closed_within(&mut self, time: Duration) -> bool {
        let until = Instant::now() + time;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            self.stream.set_read_timeout(Some(left)).unwrap();
            match self.stream.read(&mut [0; 4096]) {
                Ok(1..) => {}
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Ok(0) | Err(_) => return true,
            }
        }
    }

    /// Closes the sending direction, but goes on reading.
    pub fn half_close(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Answers like a correct broker, on its own thread, until the connection ends.
    pub fn serve(mut self) -> JoinHandle<()> {
        self.stream.set_read_timeout(None).unwrap();
        thread::spawn(move || {
            while let Some(packet) = self.try_read() {
                self.try_send(&match packet.kind {
                    CONNECT => connack(0),
                    PUBLISH if packet.qos() > 0 => puback(packet.id()),
                    SUBSCRIBE => suback(packet.id(), &vec![1; packet.filters().len()]),
                    PINGREQ => pingresp(),
                    _ => continue,
                });
            }
        })
    }

    /// Ends the connection with a RST.
    pub fn reset(self) {
        reset_at_close(self.stream.as_raw_fd());
    }
}

/// A received packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    pub kind: u8,
    pub flags: u8,
    pub body: Vec<u8>,
}

impl Packet {
    /// The packet id of a SUBSCRIBE, an UNSUBSCRIBE, an ack, or a PUBLISH above QoS 0.
    pub fn id(&self) -> u16 {
        let at = if self.kind == PUBLISH { 2 + self.string(0).len() } else { 0 };
        u16::from_be_bytes([self.body[at], self.body[at + 1]])
    }

    /// The QoS of a PUBLISH.
    pub fn qos(&self) -> u8 {
        self.flags >> 1 & 3
    }

    /// The topic of a PUBLISH.
    pub fn topic(&self) -> &str {
        std::str::from_utf8(self.string(0)).unwrap()
    }

    /// The payload of a PUBLISH.
    pub fn payload(&self) -> &[u8] {
        let id = if self.qos() > 0 { 2 } else { 0 };
        &self.body[2 + self.string(0).len() + id..]
    }

    /// The filters of a SUBSCRIBE, each with the requested QoS.
    pub fn filters(&self) -> Vec<(String, u8)> {
        let (mut filters, mut at) = (Vec::new(), 2);
        while at < self.body.len() {
            let filter = self.string(at);
            at += 2 + filter.len();
            filters.push((String::from_utf8(filter.to_vec()).unwrap(), self.body[at]));
            at += 1;
        }
        filters
    }

    /// The strings of a CONNECT without a will: client id, user name, password.
    pub fn credentials(&self) -> [&str; 3] {
        let mut at = 10;
        std::array::from_fn(|_| {
            let string = self.string(at);
            at += 2 + string.len();
            std::str::from_utf8(string).unwrap()
        })
    }

    fn string(&self, at: usize) -> &[u8] {
        let length = usize::from(u16::from_be_bytes([self.body[at], self.body[at + 1]]));
        &self.body[at + 2..at + 2 + length]
    }
}

pub fn connack(code: u8) -> Vec<u8> {
    vec![CONNACK << 4, 2, 0, code]
}

pub fn puback(id: u16) -> Vec<u8> {
    with_id(PUBACK << 4, id, &[])
}

pub fn suback(id: u16, codes: &[u8]) -> Vec<u8> {
    with_id(SUBACK << 4, id, codes)
}

pub fn unsuback(id: u16) -> Vec<u8> {
    with_id(UNSUBACK << 4, id, &[])
}

pub fn pingresp() -> Vec<u8> {
    vec![PINGRESP << 4, 0]
}

/// A PUBLISH at QoS 0 without an id, or at QoS 1 with one. The topic is any bytes.
pub fn publish(topic: &[u8], payload: &[u8], id: Option<u16>) -> Vec<u8> {
    let mut body = u16::try_from(topic.len()).unwrap().to_be_bytes().to_vec();
    body.extend_from_slice(topic);
    body.extend(id.iter().flat_map(|id| id.to_be_bytes()));
    body.extend_from_slice(payload);
    packet(PUBLISH << 4 | if id.is_some() { 2 } else { 0 }, &body)
}

/// Any packet: the first byte, the length, the body.
pub fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![first];
    let mut left = body.len();
    loop {
        let byte = (left & 0x7f) as u8;
        left >>= 7;
        packet.push(if left > 0 { byte | 0x80 } else { byte });
        if left == 0 {
            break;
        }
    }
    packet.extend_from_slice(body);
    packet
}

fn with_id(first: u8, id: u16, rest: &[u8]) -> Vec<u8> {
    packet(first, &[&id.to_be_bytes(), rest].concat())
}
