//! The broker's side of a client's connections, in the client's own thread; nothing here blocks.

use openssl::ssl::{ErrorCode, HandshakeError, MidHandshakeSslStream, Ssl, SslContext, SslStream};
use std::io::{Cursor, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use support::broker::{Packet, Peer};

pub struct Wires {
    listener: TcpListener,
    secure: Option<SslContext>,
    stream: Option<Stream>,
    /// Received bytes that were not processed yet.
    came: Vec<u8>,
}

enum Stream {
    Plain(TcpStream),
    ShakesHands(MidHandshakeSslStream<TcpStream>),
    Secure(SslStream<TcpStream>),
}

impl Stream {
    fn socket(&self) -> &TcpStream {
        match self {
            Stream::Plain(stream) => stream,
            Stream::ShakesHands(stream) => stream.get_ref(),
            Stream::Secure(stream) => stream.get_ref(),
        }
    }
}

impl Wires {
    pub fn bind(secure: Option<SslContext>) -> Wires {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Wires { listener, secure, stream: None, came: Vec::new() }
    }

    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// Accepts a new connection in place of the old one, and reads. Returns whether anything has come.
    pub fn work(&mut self) -> bool {
        let mut moved = false;
        if let Ok((stream, _)) = self.listener.accept() {
            stream.set_nonblocking(true).unwrap();
            stream.set_nodelay(true).unwrap();
            self.reset();
            self.stream = match &self.secure {
                None => Some(Stream::Plain(stream)),
                Some(context) => shake_hands(Ssl::new(context).unwrap().accept(stream)),
            };
            moved = true;
        }
        let had = self.came.len();
        self.stream = match self.stream.take() {
            Some(Stream::ShakesHands(stream)) => shake_hands(stream.handshake()),
            Some(mut stream) => read(&mut stream, &mut self.came).then_some(stream),
            None => None,
        };
        moved || self.came.len() > had
    }

    /// The next packet of the client, if it is complete.
    pub fn packet(&mut self) -> Option<Packet> {
        let mut peer = Peer { stream: Cursor::new(std::mem::take(&mut self.came)) };
        let packet = peer.try_read();
        let taken = if packet.is_some() { peer.stream.position() as usize } else { 0 };
        self.came = peer.stream.into_inner().split_off(taken);
        packet
    }

    pub fn send(&mut self, bytes: &[u8]) {
        // A client that has gone, or does not read, misses it.
        let _ = match &mut self.stream {
            Some(Stream::Plain(stream)) => stream.write(bytes).is_ok(),
            Some(Stream::Secure(stream)) => stream.write(bytes).is_ok(),
            _ => false,
        };
    }

    /// After the TLS handshake, if there is one.
    pub fn send_raw(&mut self, bytes: &[u8]) {
        if let Some(stream) = &self.stream {
            let _ = stream.socket().write(bytes);
        }
    }

    /// Closes the connection normally.
    pub fn close(&mut self) {
        if let Some(Stream::Secure(stream)) = &mut self.stream {
            let _ = stream.shutdown();
        }
        self.stream = None;
        self.came.clear();
    }

    /// Ends the connection with a RST, so that nothing of it stays in the system.
    pub fn reset(&mut self) {
        if let Some(stream) = self.stream.take() {
            if let Ok(stream) = stream.socket().try_clone() {
                Peer { stream }.reset();
            }
        }
        self.came.clear();
    }
}

impl Drop for Wires {
    fn drop(&mut self) {
        self.reset();
    }
}

fn shake_hands(result: Result<SslStream<TcpStream>, HandshakeError<TcpStream>>) -> Option<Stream> {
    match result {
        Ok(stream) => Some(Stream::Secure(stream)),
        Err(HandshakeError::WouldBlock(stream)) => Some(Stream::ShakesHands(stream)),
        Err(HandshakeError::Failure(stream)) => {
            // An alert is in flight, and a reset would overtake it.
            drop(stream);
            None
        }
        Err(HandshakeError::SetupFailure(error)) => panic!("{error}"),
    }
}

/// Whether the connection is still there.
fn read(stream: &mut Stream, came: &mut Vec<u8>) -> bool {
    let mut buffer = [0; 4096];
    loop {
        let result = match stream {
            Stream::Plain(stream) => match stream.read(&mut buffer) {
                Ok(n) => Ok(n),
                Err(error) => Err(error.kind() == std::io::ErrorKind::WouldBlock),
            },
            Stream::Secure(stream) => {
                stream.ssl_read(&mut buffer).map_err(|error| error.code() == ErrorCode::WANT_READ)
            }
            Stream::ShakesHands(_) => return true,
        };
        match result {
            Ok(0) => return false,
            Ok(n) => came.extend_from_slice(&buffer[..n]),
            Err(waits) => return waits,
        }
    }
}
