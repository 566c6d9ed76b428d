//! What was received: bytes, and the packets in them.

use crate::fault::Fault;
use crate::output::grow;
use crate::stream::{Moved, Need, Stream};
use std::ops::Range;
use zeroize::Zeroize;

/// How many bytes are read at once, and how large the buffer for a part of a packet is at first.
const CHUNK: usize = 4 * 1024;

const CONNACK: u8 = 2;
const PUBLISH: u8 = 3;

#[derive(Default)]
pub struct Input {
    buffer: Vec<u8>,
    /// `start..end` are the packets that were not taken yet; the rest is free.
    start: usize,
    end: usize,
    /// The size of the packet that was returned last. It is removed when the next one is requested.
    taken: usize,
    /// The socket had nothing more. It is not read until it is ready again.
    drained: bool,
    /// What a read waits for.
    pub need: Option<Need>,
}

/// One packet: its first byte, and where the rest is.
pub struct Packet {
    pub header: u8,
    body: Range<usize>,
}

enum Frame {
    /// The number of bytes that the packet has at least.
    Part(usize),
    Whole {
        header: usize,
        length: usize,
    },
}

impl Input {
    /// The socket may have something to read.
    pub fn ready(&mut self) {
        self.drained = false;
        self.need = None;
    }

    /// Whether only a part of a packet has arrived.
    pub fn is_partial(&self) -> bool {
        self.end - self.start > self.taken
    }

    /// The next packet. `None` if it has not come yet.
    pub fn next(&mut self, stream: &mut Stream, limit: usize, connack: bool) -> Result<Option<Packet>, Fault> {
        self.drop_taken();
        loop {
            let wanted = match frame(&self.buffer[self.start..self.end], limit, connack)? {
                Frame::Whole { header, length } => {
                    self.taken = header + length;
                    let body = self.start + header..self.start + self.taken;
                    return Ok(Some(Packet { header: self.buffer[self.start], body }));
                }
                Frame::Part(wanted) => wanted,
            };
            if self.drained {
                return Ok(None);
            }
            self.make_room(wanted)?;
            let room = &mut self.buffer[self.end..];
            let asked = room.len();
            match stream.read(room) {
                Moved::Bytes(bytes) => {
                    self.end += bytes;
                    self.drained = stream.is_plain() && bytes < asked;
                }
                Moved::Wait(need) => {
                    self.drained = true;
                    self.need = Some(need);
                }
                Moved::End(fault) => return Err(fault),
            }
        }
    }

    /// The body of the packet that was returned last.
    pub fn body(&mut self, packet: &Packet) -> &mut [u8] {
        &mut self.buffer[packet.body.clone()]
    }

    /// The packet that was returned last, with its header.
    pub fn last(&self) -> &[u8] {
        &self.buffer[self.start..self.start + self.taken]
    }

    /// Frees the memory if it is empty.
    pub fn release(&mut self) {
        self.drop_taken();
        if self.start == self.end {
            self.buffer = Vec::new();
            (self.start, self.end) = (0, 0);
        }
    }

    /// Removes the last packet, and wipes it, because it may be a secret.
    fn drop_taken(&mut self) {
        self.buffer[self.start..self.start + self.taken].zeroize();
        self.start += std::mem::take(&mut self.taken);
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Makes room for more bytes. The memory for a packet grows as it arrives, to at most twice what has come, because a
    /// header alone can announce 256 MB.
    fn make_room(&mut self, wanted: usize) -> Result<(), Fault> {
        let held = self.end - self.start;
        if self.start > 0 && self.end == self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            self.buffer[held.max(self.start)..self.end].zeroize();
            (self.start, self.end) = (0, held);
        }
        if self.end == self.buffer.len() {
            let size = wanted.min(2 * held).max(CHUNK);
            grow(&mut self.buffer, size)?;
            self.buffer.resize(size, 0);
        }
        Ok(())
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        self.buffer.zeroize();
    }
}

/// Reads the beginning of a packet. A packet that a broker must not send is an error as soon as that is visible.
fn frame(bytes: &[u8], limit: usize, connack: bool) -> Result<Frame, Fault> {
    let Some(&first) = bytes.first() else { return Ok(Frame::Part(2)) };
    check(first, connack)?;
    let mut length = 0;
    for (index, &byte) in bytes[1..].iter().take(4).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            if limit > 0 && length > limit {
                return Err(Fault::TooLarge { length, limit });
            }
            let header = 2 + index;
            let Some(body) = bytes.get(header..header + length) else { return Ok(Frame::Part(header + length)) };
            check_packet_id(first, body)?;
            return Ok(Frame::Whole { header, length });
        }
        if index == 3 {
            return Err(Fault::Protocol("a packet whose length does not end".into()));
        }
    }
    Ok(Frame::Part(bytes.len() + 1))
}

fn check(first: u8, connack: bool) -> Result<(), Fault> {
    let kind = first >> 4;
    if connack && kind != CONNACK {
        return Err(Fault::Protocol(format!("its first packet is no CONNACK, but of type {kind}")));
    }
    match kind {
        // CONNECT, SUBSCRIBE and so on are a client's; DISCONNECT is, too, in MQTT 3.1.1.
        0 | 1 | 8 | 10 | 12 | 14 | 15 => Err(Fault::Protocol(format!("a packet of type {kind}"))),
        PUBLISH if first & 0x04 != 0 => {
            Err(Fault::Protocol(format!("a message with QoS {}, which nobody has asked for", first >> 1 & 3)))
        }
        _ => Ok(()),
    }
}

/// A message at QoS 1 has a packet id, which is not 0. It is after the topic.
fn check_packet_id(first: u8, body: &[u8]) -> Result<(), Fault> {
    let is_qos_1 = first >> 4 == PUBLISH && first & 0x02 != 0;
    let topic = body.first_chunk().map_or(0, |length| usize::from(u16::from_be_bytes(*length)));
    match body.get(2 + topic..4 + topic) {
        Some([0, 0]) if is_qos_1 => Err(Fault::Protocol("a message with the packet id 0".into())),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(bytes: &[u8]) -> usize {
        match frame(bytes, 1000, false).unwrap() {
            Frame::Part(wanted) => wanted,
            Frame::Whole { .. } => panic!("{bytes:?} is whole"),
        }
    }

    #[test]
    fn a_packet_is_whole_with_its_last_byte() {
        let packet = [&[0x30, 0x83, 0x01][..], &[7; 131]].concat();
        assert_eq!((part(b""), part(&packet[..1]), part(&packet[..2])), (2, 2, 3));
        for length in 3..packet.len() {
            assert_eq!(part(&packet[..length]), 134);
        }
        assert!(matches!(frame(&packet, 1000, false), Ok(Frame::Whole { header: 3, length: 131 })));
        assert!(matches!(frame(&[0xd0, 0, 0x40], 1000, false), Ok(Frame::Whole { header: 2, length: 0 })));
    }

    #[test]
    fn what_a_broker_may_not_send_is_told_from_its_first_bytes() {
        let words = |bytes: &[u8], connack| match frame(bytes, 1000, connack) {
            Err(Fault::Protocol(words)) => words,
            _ => panic!("{bytes:?} is accepted"),
        };
        for kind in [0, 1, 8, 10, 12, 14, 15] {
            assert_eq!(words(&[kind << 4], false), format!("a packet of type {kind}"));
        }
        for kind in [2, 3, 4, 5, 6, 7, 9, 11, 13] {
            assert_eq!(part(&[kind << 4]), 2);
            assert_eq!(frame(&[kind << 4], 1000, true).is_ok(), kind == 2);
        }
        assert!(words(&[0x34], false).contains("QoS 2") && words(&[0x3e], false).contains("QoS 3"));
        assert!(matches!(frame(&[0x30, 0xe9, 0x07], 1000, false), Err(Fault::TooLarge { length: 1001, limit: 1000 })));
        assert!(words(&[0x32, 5, 0, 1, b't', 0, 0], false).contains("packet id 0"));
        for message in [[0x32, 5, 0, 1, b't', 0, 1], [0x32, 5, 0, 1, b't', 1, 0], [0x30, 5, 0, 1, b't', 0, 0]] {
            assert!(matches!(frame(&message, 1000, false), Ok(Frame::Whole { .. })));
        }
        assert!(words(&[0x30, 0xff, 0xff, 0xff, 0xff], false).contains("does not end"));
    }
}
