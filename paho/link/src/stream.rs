//! Bytes over TCP, or over TLS on TCP.

use crate::fault::Fault;
use crate::socket::Socket;
use std::io::{self, Read};

/// The result of an attempt to move bytes.
pub enum Moved {
    Bytes(usize),
    /// Nothing can be moved now. The socket has to become readable or writable first: with TLS, a read can wait for a
    /// write, and the reverse.
    Wait(Need),
    End(Fault),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    Read,
    Write,
}

pub enum Stream {
    Plain(Socket),
    #[cfg(feature = "tls")]
    Tls(Box<secure::Secure>),
}

impl Stream {
    pub fn socket(&self) -> &Socket {
        match self {
            Stream::Plain(socket) => socket,
            #[cfg(feature = "tls")]
            Stream::Tls(secure) => secure.socket(),
        }
    }

    /// A plain socket that returned less than requested has nothing more. TLS may have more, because it returns one
    /// record at a time.
    pub fn is_plain(&self) -> bool {
        matches!(self, Stream::Plain(_))
    }

    pub fn read(&mut self, buffer: &mut [u8]) -> Moved {
        match self {
            Stream::Plain(socket) => match socket.read(buffer) {
                Ok(0) => Moved::End(Fault::Closed),
                Ok(bytes) => Moved::Bytes(bytes),
                Err(error) => moved(error, Need::Read, "reading"),
            },
            #[cfg(feature = "tls")]
            Stream::Tls(secure) => secure.read(buffer),
        }
    }

    pub fn write(&mut self, bytes: &[u8]) -> Moved {
        match self {
            Stream::Plain(socket) => match io::Write::write(socket, bytes) {
                Ok(bytes) => Moved::Bytes(bytes),
                Err(error) => moved(error, Need::Write, "writing"),
            },
            #[cfg(feature = "tls")]
            Stream::Tls(secure) => secure.write(bytes),
        }
    }

    /// Sends several pieces at once; only a plain socket can.
    pub fn write_all(&mut self, parts: &[libc::iovec]) -> Moved {
        match self {
            Stream::Plain(socket) => match socket.send_all(parts) {
                Ok(bytes) => Moved::Bytes(bytes),
                Err(error) => moved(error, Need::Write, "writing"),
            },
            #[cfg(feature = "tls")]
            Stream::Tls(_) => Moved::Bytes(0),
        }
    }

    /// Tells a TLS peer that nothing more is sent.
    pub fn shut_down(&mut self) {
        match self {
            Stream::Plain(_) => (),
            #[cfg(feature = "tls")]
            Stream::Tls(secure) => secure.shut_down(),
        }
    }
}

fn moved(error: io::Error, need: Need, doing: &'static str) -> Moved {
    match error.kind() {
        io::ErrorKind::WouldBlock => Moved::Wait(need),
        _ => Moved::End(Fault::system(doing, error)),
    }
}

#[cfg(feature = "tls")]
pub mod secure {
    use super::{Moved, Need};
    use crate::fault::{Fault, TlsFault};
    use crate::socket::Socket;
    use openssl::error::ErrorStack;
    use openssl::ssl::{Error, ErrorCode, Ssl, SslStream};

    pub struct Secure {
        stream: SslStream<Socket>,
        handshaken: bool,
    }

    impl Secure {
        pub fn new(ssl: Ssl, socket: Socket) -> Result<Secure, Fault> {
            let stream = SslStream::new(ssl, socket).map_err(|_| Fault::Memory)?;
            Ok(Secure { stream, handshaken: false })
        }

        pub fn socket(&self) -> &Socket {
            self.stream.get_ref()
        }

        /// Continues the handshake. 0 bytes mean that it is finished.
        pub fn shake_hands(&mut self) -> Moved {
            forget_errors();
            match self.stream.connect() {
                Ok(()) => {
                    self.handshaken = true;
                    Moved::Bytes(0)
                }
                Err(error) => self.moved(&error),
            }
        }

        pub fn read(&mut self, buffer: &mut [u8]) -> Moved {
            forget_errors();
            match self.stream.ssl_read(buffer) {
                Ok(bytes) => Moved::Bytes(bytes),
                Err(error) => self.moved(&error),
            }
        }

        pub fn write(&mut self, bytes: &[u8]) -> Moved {
            forget_errors();
            match self.stream.ssl_write(bytes) {
                Ok(bytes) => Moved::Bytes(bytes),
                Err(error) => match self.moved(&error) {
                    // A broker that refuses the device sends the reason before it closes the connection. The reason may
                    // be waiting to be read.
                    Moved::End(fault) => match self.read(&mut [0]) {
                        Moved::End(Fault::Tls(said)) if said.library != 0 => Moved::End(Fault::Tls(said)),
                        _ => Moved::End(fault),
                    },
                    moved => moved,
                },
            }
        }

        pub fn shut_down(&mut self) {
            if self.handshaken {
                forget_errors();
                let _ = self.stream.shutdown();
            }
        }

        fn moved(&self, error: &Error) -> Moved {
            match error.code() {
                ErrorCode::WANT_READ => return Moved::Wait(Need::Read),
                ErrorCode::WANT_WRITE => return Moved::Wait(Need::Write),
                _ => (),
            }
            let first = error.ssl_error().and_then(|stack| stack.errors().first());
            let fault = TlsFault {
                error: error.code().as_raw(),
                handshake: !self.handshaken,
                system: error.io_error().and_then(std::io::Error::raw_os_error).unwrap_or(0),
                library: first.map_or(0, openssl::error::Error::library_code),
                reason: first.map_or(0, openssl::error::Error::reason_code),
                text: first.and_then(openssl::error::Error::reason).unwrap_or(""),
            };
            if self.handshaken && fault.library == 0 {
                return Moved::End(match error.io_error().and_then(std::io::Error::raw_os_error) {
                    Some(code) => Fault::system("the connection", std::io::Error::from_raw_os_error(code)),
                    None => Fault::Closed,
                });
            }
            Moved::End(Fault::Tls(fault))
        }
    }

    /// OpenSSL has one error queue for each thread. The host's own use of OpenSSL may have left errors in it.
    fn forget_errors() {
        drop(ErrorStack::get());
    }
}

#[cfg(all(test, feature = "tls"))]
mod tests {
    use super::secure::Secure;
    use super::{Moved, Need};
    use crate::socket::Socket;
    use openssl::asn1::Asn1Time;
    use openssl::bn::BigNum;
    use openssl::hash::MessageDigest;
    use openssl::pkey::{PKey, Private};
    use openssl::rsa::Rsa;
    use openssl::ssl::{Ssl, SslContext, SslMethod, SslStream, SslVerifyMode};
    use openssl::x509::{X509NameBuilder, X509};
    use std::io::{Read, Result, Write};
    use std::net::{TcpListener, TcpStream};
    use std::sync::mpsc::{channel, Receiver};

    /// The certificates differ, so that OpenSSL cannot compress the chain much.
    fn certificate(key: &PKey<Private>, number: u32) -> X509 {
        let mut name = X509NameBuilder::new().unwrap();
        name.append_entry_by_text("CN", &"x".repeat(60)).unwrap();
        let name = name.build();
        let mut certificate = X509::builder().unwrap();
        certificate.set_version(2).unwrap();
        let serial = BigNum::from_u32(number).and_then(|number| number.to_asn1_integer()).unwrap();
        certificate.set_serial_number(&serial).unwrap();
        certificate.set_subject_name(&name).unwrap();
        certificate.set_issuer_name(&name).unwrap();
        certificate.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
        certificate.set_not_after(&Asn1Time::days_from_now(1).unwrap()).unwrap();
        certificate.set_pubkey(key).unwrap();
        certificate.sign(key, MessageDigest::sha256()).unwrap();
        certificate.build()
    }

    fn wait(socket: &Socket, events: i16) {
        let mut poll = libc::pollfd { fd: socket.raw(), events, revents: 0 };
        // SAFETY: one pollfd, which lives across the call.
        assert_eq!(unsafe { libc::poll(&mut poll, 1, 30_000) }, 1, "the handshake stands still");
    }

    /// The server's side. After it has written, it continues reading only when the client has had to wait.
    struct Paced {
        stream: TcpStream,
        has_written: bool,
        client_waits: Receiver<()>,
    }

    impl Read for Paced {
        fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
            if self.has_written {
                // An error means that the client has finished or is gone.
                let _ = self.client_waits.recv();
            }
            self.stream.read(buf)
        }
    }

    impl Write for Paced {
        fn write(&mut self, buf: &[u8]) -> Result<usize> {
            self.has_written = true;
            self.stream.write(buf)
        }

        fn flush(&mut self) -> Result<()> {
            self.stream.flush()
        }
    }

    /// A client with a long chain of certificates sends more than fits into the socket's buffer.
    #[test]
    fn a_handshake_goes_on_when_a_write_in_it_has_to_wait() {
        let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
        let own = certificate(&key, 0);
        let context = |method, chain| {
            let mut context = SslContext::builder(method).unwrap();
            context.set_certificate(&own).unwrap();
            context.set_private_key(&key).unwrap();
            for number in 1..=chain {
                context.add_extra_chain_cert(certificate(&key, number)).unwrap();
            }
            context.set_verify_callback(SslVerifyMode::PEER, |_, _| true);
            context.build()
        };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Ssl::new(&context(SslMethod::tls_server(), 0)).unwrap();
        let client = Ssl::new(&context(SslMethod::tls_client(), 80)).unwrap();
        let small = 2048i32.to_ne_bytes();
        let set = |fd, option| {
            // SAFETY: the option's value, with its length.
            let rc = unsafe { libc::setsockopt(fd, libc::SOL_SOCKET, option, small.as_ptr().cast(), 4) };
            assert_eq!(rc, 0);
        };
        set(std::os::fd::AsRawFd::as_raw_fd(&listener), libc::SO_RCVBUF);
        let socket = Socket::connect(&listener.local_addr().unwrap(), None).unwrap();
        set(socket.raw(), libc::SO_SNDBUF);
        let (waits, client_waits) = channel();
        let accepted = Paced { stream: listener.accept().unwrap().0, has_written: false, client_waits };
        let server = std::thread::spawn(move || {
            let mut stream = SslStream::new(server, accepted).unwrap();
            stream.accept().unwrap();
            stream
        });
        wait(&socket, libc::POLLOUT);
        assert!(socket.is_connected().unwrap());
        let mut secure = Secure::new(client, socket).unwrap_or_else(|_| panic!("no memory"));
        let mut waits = Some(waits);
        loop {
            match secure.shake_hands() {
                Moved::Bytes(_) => break,
                Moved::Wait(Need::Read) => wait(secure.socket(), libc::POLLIN),
                Moved::Wait(Need::Write) => {
                    // The server can continue now.
                    waits = None;
                    wait(secure.socket(), libc::POLLOUT);
                }
                Moved::End(fault) => panic!("{fault}"),
            }
        }
        assert!(waits.is_none(), "all of it had room: the test shows nothing");
        server.join().unwrap();
    }
}
