//! What is to be sent. The link keeps a copy of what the kernel has not taken yet, so whoever sends need not keep it.

use crate::fault::Fault;
use crate::stream::{Moved, Need, Stream};
use std::collections::VecDeque;
use zeroize::Zeroize;

/// Packets that wait for one another are sent together, in pieces of about this size.
const TOGETHER: usize = 8 * 1024;
/// Acknowledgements that may wait behind a write that has no room, in bytes: then nothing more is read.
const ACKS: usize = 16 * 1024;
/// Of one TLS record, at most.
const RECORD: usize = 16 * 1024;

#[derive(Default)]
pub struct Output {
    /// What is to be sent stands behind `start`.
    buffer: Vec<u8>,
    start: usize,
    /// What the write waits for; `None`: there was room for all that was tried.
    pub blocked: Option<Need>,
    /// Bytes of acknowledgements that were added since it is blocked.
    acks: usize,
    /// Bytes that were ever handed over, and that ever went out.
    queued: u64,
    written: u64,
    /// Where packets end that the broker has to answer, and that have not gone out as a whole.
    due: VecDeque<u64>,
    /// Packets may wait for others to go out with them; whoever sets this flushes.
    pub cork: bool,
}

impl Output {
    /// Whether so many acknowledgements wait that no more may become due.
    pub fn is_crowded(&self) -> bool {
        self.acks > ACKS
    }

    pub fn is_empty(&self) -> bool {
        self.start == self.buffer.len()
    }

    /// Takes a packet, and sends what may go out now.
    pub fn put(&mut self, stream: &mut Stream, parts: &[&[u8]]) -> Result<(), Fault> {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let kind = parts.iter().find_map(|part| part.first()).map_or(0, |first| first >> 4);
        let qos = parts.iter().find_map(|part| part.first()).map_or(0, |first| first >> 1 & 3);
        self.queued += length as u64;
        // CONNECT, SUBSCRIBE, UNSUBSCRIBE, PINGREQ; a PUBREL, too, but it answers as well.
        if matches!(kind, 1 | 8 | 10 | 12) || kind == 3 && qos > 0 {
            self.due.push_back(self.queued);
        }
        let is_ack = (4..8).contains(&kind);
        if is_ack && self.blocked.is_some() {
            self.acks += length;
        }
        let later = is_ack || self.cork && kind == 3 && qos > 0;
        let mut sent = 0;
        if !later && self.is_empty() && self.blocked.is_none() && stream.is_plain() {
            sent = self.send_parts(stream, parts)?;
            if sent == length {
                return Ok(());
            }
        }
        self.add(parts, sent, length)?;
        match self.blocked {
            Some(_) => Ok(()),
            None if later && self.buffer.len() - self.start < TOGETHER => Ok(()),
            None => self.flush(stream),
        }
    }

    /// Sends what waits, as far as there is room.
    pub fn flush(&mut self, stream: &mut Stream) -> Result<(), Fault> {
        self.blocked = None;
        while self.start < self.buffer.len() {
            let waiting = &self.buffer[self.start..];
            let piece = if stream.is_plain() { waiting } else { &waiting[..waiting.len().min(RECORD)] };
            match stream.write(piece) {
                Moved::Bytes(bytes) => {
                    self.buffer[self.start..self.start + bytes].zeroize();
                    self.start += bytes;
                    self.wrote(bytes);
                }
                Moved::Wait(need) => {
                    self.blocked = Some(need);
                    return Ok(());
                }
                Moved::End(fault) => return Err(fault),
            }
        }
        self.buffer.clear();
        (self.start, self.acks) = (0, 0);
        Ok(())
    }

    /// How many packets that want an answer have gone out since the last call.
    pub fn take_sent(&mut self) -> usize {
        let sent = self.due.iter().take_while(|end| **end <= self.written).count();
        self.due.drain(..sent);
        sent
    }

    /// Gives memory back when nothing stands in it.
    pub fn release(&mut self) {
        if self.is_empty() {
            self.buffer = Vec::new();
            self.start = 0;
        }
        if self.due.is_empty() {
            self.due = VecDeque::new();
        }
    }

    fn send_parts(&mut self, stream: &mut Stream, parts: &[&[u8]]) -> Result<usize, Fault> {
        let mut pieces = [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; 8];
        let count = parts.len().min(pieces.len());
        for (piece, part) in pieces.iter_mut().zip(parts) {
            *piece = libc::iovec { iov_base: part.as_ptr().cast_mut().cast(), iov_len: part.len() };
        }
        match stream.write_all(&pieces[..count]) {
            Moved::Bytes(bytes) => {
                self.wrote(bytes);
                Ok(bytes)
            }
            Moved::Wait(need) => {
                self.blocked = Some(need);
                Ok(0)
            }
            Moved::End(fault) => Err(fault),
        }
    }

    /// Copies what is left of a packet.
    fn add(&mut self, parts: &[&[u8]], mut sent: usize, length: usize) -> Result<(), Fault> {
        if self.start > self.buffer.len() / 2 {
            let left = self.buffer.len() - self.start;
            self.buffer.copy_within(self.start.., 0);
            self.buffer[left..].zeroize();
            self.buffer.truncate(left);
            self.start = 0;
        }
        let size = self.buffer.len() + length - sent;
        grow(&mut self.buffer, size)?;
        for part in parts {
            let skipped = sent.min(part.len());
            sent -= skipped;
            self.buffer.extend_from_slice(&part[skipped..]);
        }
        Ok(())
    }

    fn wrote(&mut self, bytes: usize) {
        self.written += bytes as u64;
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.buffer.zeroize();
    }
}

/// Makes room for `size` bytes in all. A vector that grows by itself leaves what it held in freed memory.
pub fn grow(buffer: &mut Vec<u8>, size: usize) -> Result<(), Fault> {
    if size > buffer.capacity() {
        let mut larger = Vec::new();
        larger.try_reserve_exact(size.max(2 * buffer.len())).map_err(|_| Fault::Memory)?;
        larger.extend_from_slice(buffer);
        buffer.zeroize();
        *buffer = larger;
    }
    Ok(())
}
