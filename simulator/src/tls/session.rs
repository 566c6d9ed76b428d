//! TLS without a socket: the peer's bytes go in, the connection's bytes come out. Only the connection's thread uses it,
//! so reading and writing cannot wait for each other.

use bytes::BytesMut;
use openssl::{
    error::ErrorStack,
    ssl::{ErrorCode, NameType, Ssl, SslContext, SslRef, SslStream},
    x509::X509StoreContextRef,
};
use std::{
    io::{self, Read, Write},
    sync::{Arc, Mutex, PoisonError},
};

use super::refusal;
use crate::event::Event;

/// The size of a read; a record holds no more.
const RECORD: usize = 16 * 1024;

/// One end of a TLS connection.
pub struct Session {
    stream: SslStream<Wires>,
    /// The client certificate that was not accepted, and why.
    rejected: Arc<Mutex<Option<String>>>,
}

impl Session {
    pub fn new(context: &SslContext) -> Result<Session, ErrorStack> {
        let mut ssl = Ssl::new(context)?;
        let rejected = Arc::new(Mutex::new(None));
        let noted = rejected.clone();
        let mode = context.verify_mode();
        ssl.set_verify_callback(mode, move |accepted, chain| {
            if !accepted {
                *noted.lock().unwrap_or_else(PoisonError::into_inner) = Some(describe_rejected(chain));
            }
            accepted
        });
        Ok(Session { stream: SslStream::new(ssl, Wires::default())?, rejected })
    }

    /// Adds bytes from the peer.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.stream.get_mut().incoming.extend_from_slice(bytes);
    }

    /// Takes the bytes for the peer.
    pub fn take_outgoing(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.stream.get_mut().outgoing)
    }

    /// Continues the handshake as far as the received bytes allow, and returns its result when it is done. After a
    /// failure there may be an alert to send.
    pub fn shake_hands(&mut self) -> Result<Option<Event>, String> {
        match self.stream.accept() {
            Ok(()) => Ok(Some(agreed(self.stream.ssl()))),
            Err(error) if is_hungry(&error) => Ok(None),
            Err(error) => {
                let rejected = self.rejected.lock().unwrap_or_else(PoisonError::into_inner).take();
                Err(rejected.unwrap_or_else(|| refusal::describe(&error)))
            }
        }
    }

    /// The SNI of the client.
    pub fn server_name(&self) -> Option<String> {
        server_name(self.stream.ssl())
    }

    /// Appends the decrypted data; true if the peer has ended its TLS session.
    pub fn read(&mut self, into: &mut BytesMut) -> Result<bool, String> {
        let mut chunk = [0; RECORD];
        loop {
            match self.stream.ssl_read(&mut chunk) {
                Ok(n) => into.extend_from_slice(chunk.get(..n).unwrap_or_default()),
                Err(error) if is_hungry(&error) => return Ok(false),
                Err(error) if error.code() == ErrorCode::ZERO_RETURN => return Ok(true),
                Err(error) => return Err(refusal::describe(&error)),
            }
        }
    }

    /// Encrypts data.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Ends the TLS session.
    pub fn say_goodbye(&mut self) {
        // There is no need to wait for the peer's answer.
        let _ = self.stream.shutdown();
    }
}

/// The event of a handshake that is done.
pub fn agreed(ssl: &SslRef) -> Event {
    Event::Tls {
        version: ssl.version_str().to_owned(),
        cipher: ssl.current_cipher().map_or_else(String::new, |cipher| cipher.name().to_owned()),
        server_name: server_name(ssl),
        client_certificate: ssl.peer_certificate().map(|own| refusal::name(own.subject_name())),
    }
}

pub fn server_name(ssl: &SslRef) -> Option<String> {
    ssl.servername(NameType::HOST_NAME).map(str::to_owned)
}

fn is_hungry(error: &openssl::ssl::Error) -> bool {
    error.code() == ErrorCode::WANT_READ
}

fn describe_rejected(chain: &X509StoreContextRef) -> String {
    let subject = chain.current_cert().map_or_else(String::new, |it| refusal::name(it.subject_name()));
    format!("the client's certificate {subject}: {}", chain.error().error_string())
}

/// In place of the socket.
#[derive(Debug, Default)]
struct Wires {
    incoming: BytesMut,
    outgoing: Vec<u8>,
}

impl Read for Wires {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.incoming.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let n = into.len().min(self.incoming.len());
        Read::read(&mut &*self.incoming.split_to(n), into)
    }
}

impl Write for Wires {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.outgoing.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
