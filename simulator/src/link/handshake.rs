//! A link's TLS: the handshake, record by record and byte by byte, so that a fault can cut it anywhere, and what is
//! enciphered after it.

use bytes::BytesMut;

use super::{Closed, Link};
use crate::{
    fault::{Kind, Phase},
    tls::session::Session,
};

/// A record's header: type, version, length.
const HEADER: usize = 5;
/// The longest record that TLS allows, and more than OpenSSL takes.
const LONGEST: usize = HEADER + 16 * 1024 + 2048;
/// The first byte of an MQTT CONNECT.
const CONNECT: u8 = 0x10;

/// What has come of bytes that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// What there was to be read was appended.
    Bytes,
    /// So it was, and the peer has said that nothing more will come.
    Goodbye,
    /// A fault swallowed something: from now on nothing is heard.
    Silence,
}

/// What a TLS link is beyond a plain one.
pub struct Tls {
    session: Session,
    /// The beginning of a record of the handshake.
    arriving: Vec<u8>,
    first_byte: Option<u8>,
    /// The handshake is done, and all that belongs to it sent.
    is_open: bool,
    failure: Option<String>,
}

impl Tls {
    pub fn new(session: Session) -> Tls {
        Tls { session, arriving: Vec::new(), first_byte: None, is_open: false, failure: None }
    }

    /// OpenSSL's words, or better ones.
    fn fail(&mut self, reason: String) -> Closed {
        self.failure =
            Some(if self.first_byte == Some(CONNECT) { "it speaks MQTT without TLS".into() } else { reason });
        Closed("after a failed TLS handshake".into())
    }
}

impl Link {
    /// Reads what has arrived: as it is, or deciphered.
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

    /// Bytes, enciphered if the link is; what a fault sends into a handshake goes out as it is.
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

    /// A handshake that the link's end has cut short: the name that was asked for, and why it failed.
    pub fn failed_handshake(&mut self, end: &str) -> Option<(Option<String>, String)> {
        let tls = self.tls.as_mut().filter(|tls| !tls.is_open)?;
        let reason = tls.failure.take().unwrap_or_else(|| format!("the link was closed: {end}"));
        Some((tls.session.server_name(), reason))
    }

    /// Goes on with the handshake. What comes back is left of the bytes when it is finished; None: a fault silenced it.
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

    /// Sends records of the handshake, with the faults of each and of its bytes; false when one of them is silence.
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

    /// A peer that does not take it has gone, and has most likely said why: that is read before the link ends.
    fn put_flight(&mut self, bytes: &[u8]) {
        let _ = self.put(bytes);
    }
}

/// The length that a record's header says.
fn length(bytes: &[u8]) -> Option<usize> {
    let length = bytes.get(3..HEADER)?.try_into().map(u16::from_be_bytes).ok()?;
    Some(HEADER + usize::from(length))
}

/// Whether this can be handed over. What is no record, or too long for one, is for OpenSSL to refuse.
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
