//! A broker's side of one connection over TCP or TLS, which the test controls, and a link to it.

use crate::broker::Peer;
use crate::rig::{options, Rig};
use crate::tls::{local, server_context, Pki};
use enos::transport::link::{Link, LinkOptions};
use enos::transport::tls::{Pem, Tls, TlsSettings};
use openssl::ssl::{Ssl, SslContext, SslStream};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A listener for links. Its connections have small buffers.
pub struct Wires {
    listener: TcpListener,
    secure: Option<(Pki, SslContext)>,
}

/// The broker's side of a connection.
pub enum Wire {
    Plain(TcpStream),
    Secure(Arc<Mutex<SslStream<TcpStream>>>),
}

impl Wires {
    pub fn bind(secure: bool) -> Wires {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        set_buffer(listener.as_raw_fd(), libc::SO_RCVBUF, 4096);
        let secure = secure.then(|| {
            let pki = Pki::new();
            let context = server_context(&pki.root.issue(&local()).unwrap(), |_| ());
            (pki, context)
        });
        Wires { listener, secure }
    }

    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// Options for a link to this listener.
    pub fn options(&self) -> LinkOptions {
        let mut options = options(self.address());
        if let Some((pki, _)) = &self.secure {
            let settings = TlsSettings { ca: Some(Pem::File(pki.ca().into())), ..TlsSettings::default() };
            options.tls = Some(Tls { settings: Arc::new(settings), host: "localhost".into() });
        }
        options
    }

    /// The next TCP connection.
    pub fn accept_tcp(&self) -> TcpStream {
        let stream = self.listener.accept().unwrap().0;
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// The next connection, after CONNECT and CONNACK.
    pub fn accept(&self) -> Wire {
        let stream = self.accept_tcp();
        match &self.secure {
            None => {
                let mut peer = Peer { stream };
                peer.welcome();
                Wire::Plain(peer.stream)
            }
            Some((_, context)) => {
                let mut stream = SslStream::new(Ssl::new(context).unwrap(), stream).unwrap();
                stream.accept().unwrap();
                let mut peer = Peer { stream };
                peer.welcome();
                Wire::Secure(Arc::new(Mutex::new(peer.stream)))
            }
        }
    }

    /// A connected link with changed options, and its other side.
    pub fn online(&self, rig: &mut Rig, change: impl FnOnce(&mut LinkOptions)) -> (Link, Wire) {
        let mut options = self.options();
        change(&mut options);
        let link = rig.open(&options);
        let wire = self.accept();
        rig.expect("Connected");
        (link, wire)
    }

    /// Gives the links' sockets a small buffer, so that large writes are sent in parts.
    pub fn narrow(&self) {
        let mut narrowed = 0;
        for entry in std::fs::read_dir("/proc/self/fd").unwrap() {
            let name = entry.unwrap().file_name();
            let fd: RawFd = name.to_str().unwrap().parse().unwrap();
            if peer_of(fd) == Some(self.address()) {
                set_buffer(fd, libc::SO_SNDBUF, 4608);
                narrowed += 1;
            }
        }
        assert!(narrowed > 0);
    }
}

impl Wire {
    /// A handle for another thread. With TLS, threads take turns, so a read must not block for long.
    pub fn also(&self) -> Wire {
        match self {
            Wire::Plain(stream) => Wire::Plain(stream.try_clone().unwrap()),
            Wire::Secure(stream) => Wire::Secure(Arc::clone(stream)),
        }
    }

    pub fn socket(&self) -> TcpStream {
        match self {
            Wire::Plain(stream) => stream.try_clone().unwrap(),
            Wire::Secure(stream) => stream.lock().unwrap().get_ref().try_clone().unwrap(),
        }
    }

    /// A read that finds nothing returns after this time, with an error.
    pub fn patience(&self, time: Duration) {
        self.socket().set_read_timeout(Some(time)).unwrap();
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Wire::Plain(stream) => stream.read(buffer),
            Wire::Secure(stream) => stream.lock().unwrap().read(buffer),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Wire::Plain(stream) => stream.write(bytes),
            Wire::Secure(stream) => stream.lock().unwrap().write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

pub fn set_buffer(fd: RawFd, option: libc::c_int, bytes: libc::c_int) {
    let length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the option's own type and its length.
    let rc = unsafe { libc::setsockopt(fd, libc::SOL_SOCKET, option, (&raw const bytes).cast(), length) };
    assert_eq!(rc, 0);
}

/// Makes the close of the last descriptor reset the connection.
pub fn reset_at_close(fd: RawFd) {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    let length = size_of::<libc::linger>() as libc::socklen_t;
    // SAFETY: the option's own type and its length.
    let rc = unsafe { libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_LINGER, (&raw const linger).cast(), length) };
    assert_eq!(rc, 0);
}

/// The IPv4 peer of a descriptor.
fn peer_of(fd: RawFd) -> Option<SocketAddr> {
    // SAFETY: all zeros is a valid address.
    let mut address: libc::sockaddr_in = unsafe { std::mem::zeroed() };
    let mut length = size_of::<libc::sockaddr_in>() as libc::socklen_t;
    // SAFETY: a place for an address, and its length; what is not a socket, or of another family, is an error or cut off.
    let rc = unsafe { libc::getpeername(fd, (&raw mut address).cast(), &mut length) };
    let is_ipv4 = rc == 0 && address.sin_family == libc::AF_INET as libc::sa_family_t;
    is_ipv4.then(|| (address.sin_addr.s_addr.to_ne_bytes(), u16::from_be(address.sin_port)).into())
}
