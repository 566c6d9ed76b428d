//! Why a link ended.

use std::fmt;
use std::io;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Out,
    In,
}

#[derive(Debug)]
pub enum Fault {
    /// The peer ended the connection in order.
    Closed,
    /// An error of the system, and the operation that returned it.
    System { doing: &'static str, error: io::Error },
    /// No byte has moved in this direction for this many seconds.
    Still { direction: Direction, seconds: u64 },
    /// The broker sent something that is not MQTT, or that it must not send.
    Protocol(String),
    /// A packet is longer than the limit.
    TooLarge { length: usize, limit: usize },
    /// TLS failed.
    Tls(TlsFault),
    /// There is no memory for data to send or for received data.
    Memory,
}

/// What OpenSSL reported about the call that failed.
#[derive(Clone, Debug, Default)]
pub struct TlsFault {
    /// Of `SSL_get_error`.
    pub error: i32,
    pub handshake: bool,
    /// `errno` at that time, 0 for none.
    pub system: i32,
    /// The library of the first entry in OpenSSL's error queue, 0 for none.
    pub library: i32,
    /// The reason of that entry.
    pub reason: i32,
    /// Its words, or "".
    pub text: &'static str,
}

impl Fault {
    pub(crate) fn system(doing: &'static str, error: io::Error) -> Fault {
        Fault::System { doing, error }
    }
}

/// Completes "the connection was lost: ".
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Closed => f.write_str("the broker closed it"),
            Fault::System { doing, error } => write!(f, "{doing} failed: {error}"),
            Fault::Still { direction: Direction::Out, seconds } => {
                write!(f, "the keep-alive is over: the broker has taken no byte for {seconds} s")
            }
            Fault::Still { direction: Direction::In, seconds } => {
                write!(f, "the keep-alive was not answered: no byte has come for {seconds} s, and an answer is due")
            }
            Fault::Protocol(words) => write!(f, "the broker broke the protocol: {words}"),
            Fault::TooLarge { length, limit } => {
                write!(f, "the broker sent a packet of {length} bytes, and the limit is {limit}")
            }
            Fault::Tls(TlsFault { system, text: "", .. }) if *system != 0 => {
                write!(f, "TLS failed: {}", io::Error::from_raw_os_error(*system))
            }
            Fault::Tls(TlsFault { text: "", .. }) => f.write_str("the broker ended TLS"),
            Fault::Tls(TlsFault { text, .. }) => write!(f, "TLS failed: {text}"),
            Fault::Memory => f.write_str("there is no memory for a packet"),
        }
    }
}
