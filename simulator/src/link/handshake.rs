//! The TLS of a link: the handshake, record by record and byte by byte, so that a fault can cut it anywhere, and the
//! encrypted data after it.

use bytes::BytesMut;

use super::{Closed, Link};
use crate::{
    fault::{Kind, Phase},
    tls::session::Session,
};

/// A record's header: type, version, length.
const HEADER: usize = 5;
/// The longest record that TLS allows; OpenSSL accepts less.
const LONGEST: usize = HEADER + 16 * 1024 + 2048;
/// The first byte of an MQTT CONNECT.
const CONNECT: u8 = 0x10;

/// The result of received bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The data was appended.
    Bytes,
    /// The data was appended, and the peer has ended its TLS session.
    Goodbye,
    /// A fault dropped a record: from now on all input is ignored.
    Silence,
}

/// The additional state of a TLS link.
pub struct Tls {
    session: Session,
    /// An incomplete record of the handshake.
    arriving: Vec<u8>,
    first_byte: Option<u8>,
    /// The handshake is done, and all of its records are sent.
    is_open: bool,
    failure: Option<String>,
}

impl Tls {
    pub fn new(session: Session) -> Tls {
        Tls { session, arriving: Vec::new(), first_byte: None, is_open: false, failure: None }
    }

    /// OpenSSL's text, or a better one.
    fn fail(&mut self, reason: String) -> Closed {
        self.failure =
            Some(if self.first_byte == Some(CONNECT) { "it speaks MQTT without TLS".into() } else { reason });
        Closed("after a failed TLS handshake".into())
    }
}

impl Link {
    /// Reads received data, and decrypts it on a TLS link.
    pub fn receive(&mut self, bytes: &[u8], into: &mut BytesMut) -> Result<Heard, Closed> {
        let Some(tls) = &self.tls else {
            into.extend_from_slice(bytes);
            return Ok(Heard::Bytes);
        };
        let bytes = match tls.is_open {
            true => bytes,
            false => match self.shake_hands(bytes)? {
                Some(rest) => rest,
                None => return Ok(Heard::Silence),
            },
        };
        let Some(tls) = self.tls.as_mut().filter(|tls| tls.is_open) else { return Ok(Heard::Bytes) };
        tls.session.feed(bytes);
        let read = tls.session.read(into);
        let outgoing = tls.session.take_outgoing();
        self.put(&outgoing)?;
        match read {
            Ok(false) => Ok(Heard::Bytes),
            Ok(true) => Ok(Heard::Goodbye),
            Err(reason) => Err(Closed(format!("TLS: {reason}"))),
        }
    }

    /// Encrypts bytes on a TLS link; bytes that a fault inserts into a handshake stay as they are.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Closed> {
        match self.tls.as_mut().filter(|tls| tls.is_open) {
            None => self.put(bytes),
            Some(tls) => {
                tls.session.write(bytes)?;
                let outgoing = tls.session.take_outgoing();
                self.put(&outgoing)
            }
        }
    }

    /// Before a link is closed in order.
    pub fn say_goodbye(&mut self) {
        if let Some(tls) = self.tls.as_mut().filter(|tls| tls.is_open) {
            tls.session.say_goodbye();
            let outgoing = tls.session.take_outgoing();
            let _ = self.put(&outgoing);
        }
    }

    /// The SNI and the failure of a handshake that the end of the link has interrupted.
    pub fn failed_handshake(&mut self, end: &str) -> Option<(Option<String>, String)> {
        let tls = self.tls.as_mut().filter(|tls| !tls.is_open)?;
        let reason = tls.failure.take().unwrap_or_else(|| format!("the link was closed: {end}"));
        Some((tls.session.server_name(), reason))
    }

    /// Continues the handshake. Returns the bytes that are left when it is finished; None: a fault silenced it.
    fn shake_hands<'a>(&mut self, bytes: &'a [u8]) -> Result<Option<&'a [u8]>, Closed> {
        let mut rest = bytes;
        while let Some((byte, after)) = rest.split_first() {
            rest = after;
            if !self.got(&[Kind::Byte])? {
                return Ok(None);
            }
            let Some(tls) = &mut self.tls else { break };
            tls.first_byte.get_or_insert(*byte);
            tls.arriving.push(*byte);
            if !is_whole(&tls.arriving) {
                continue;
            }
            if !self.got(&[Kind::Record])? {
                return Ok(None);
            }
            let Some(tls) = &mut self.tls else { break };
            let record = std::mem::take(&mut tls.arriving);
            tls.session.feed(&record);
            let outcome = tls.session.shake_hands().map_err(|reason| tls.fail(reason));
            let outgoing = tls.session.take_outgoing();
            if !self.put_records(&outgoing)? {
                return Ok(None);
            }
            if let (Some(agreed), Some(tls)) = (outcome?, &mut self.tls) {
                tls.is_open = true;
                self.reporter.report(agreed);
                return Ok(Some(rest));
            }
        }
        Ok(Some(rest))
    }

    /// Sends records of the handshake, with the faults of each record and of its bytes; false if one of them is
    /// silence.
    fn put_records(&mut self, bytes: &[u8]) -> Result<bool, Closed> {
        let (mut sent, mut next_record) = (0, 0);
        for n in 0..bytes.len() {
            let begins = n == next_record;
            if begins {
                next_record = n + bytes.get(n..).and_then(length).unwrap_or(bytes.len());
            }
            let ends = n + 1 == next_record;
            for (phase, kind, is_now) in [
                (Phase::Before, Kind::Record, begins),
                (Phase::Before, Kind::Byte, true),
                (Phase::After, Kind::Byte, true),
                (Phase::After, Kind::Record, ends),
            ] {
                let faults = if is_now { self.faults_at(phase, &[kind]) } else { Vec::new() };
                if !faults.is_empty() {
                    let end = if phase == Phase::Before { n } else { n + 1 };
                    self.put_flight(bytes.get(sent..end).unwrap_or_default());
                    sent = end;
                    if !self.commit_all(faults)? {
                        return Ok(false);
                    }
                }
            }
        }
        self.put_flight(bytes.get(sent..).unwrap_or_default());
        Ok(true)
    }

    /// If this fails, the peer has gone, and has probably sent an alert: read that before the link ends.
    fn put_flight(&mut self, bytes: &[u8]) {
        let _ = self.put(bytes);
    }
}

/// The length in a record's header.
fn length(bytes: &[u8]) -> Option<usize> {
    let length = bytes.get(3..HEADER)?.try_into().map(u16::from_be_bytes).ok()?;
    Some(HEADER + usize::from(length))
}

/// Whether the record is complete. OpenSSL refuses data that is no record, or a record that is too long.
fn is_whole(bytes: &[u8]) -> bool {
    let is_record = bytes.first().is_some_and(|kind| (20..=23).contains(kind));
    !is_record || length(bytes).is_some_and(|length| length > LONGEST || bytes.len() >= length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_told_apart() {
        assert!(!is_whole(&[22, 3, 1, 0]) && !is_whole(&[22, 3, 1, 0, 2, 1]));
        assert!(is_whole(&[22, 3, 1, 0, 2, 1, 2]));
        assert!(is_whole(&[CONNECT]) && is_whole(b"G"), "no TLS");
        assert!(is_whole(&[22, 3, 1, 0xff, 0xff]), "longer than any");
    }
}
