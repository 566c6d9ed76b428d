//! What has to be sent. The link keeps a copy of what the kernel has not accepted yet, so that the sender need not.

use crate::fault::Fault;
use crate::stream::{Moved, Need, Stream};
use std::collections::VecDeque;
use zeroize::Zeroize;

/// Packets that wait to be sent together are sent in pieces of about this size.
const TOGETHER: usize = 8 * 1024;
/// How many bytes of acknowledgements may wait behind a blocked write. Beyond that nothing more is read.
const ACKS: usize = 16 * 1024;
/// How many bytes a TLS record has at most.
const RECORD: usize = 16 * 1024;

#[derive(Default)]
pub struct Output {
    /// What has to be sent begins at `start`.
    buffer: Vec<u8>,
    start: usize,
    /// What the write waits for. `None` if the kernel has accepted everything so far.
    pub blocked: Option<Need>,
    /// How many bytes of acknowledgements were added since the write is blocked.
    acks: usize,
    /// How many bytes were handed over in total, and how many were sent.
    queued: u64,
    written: u64,
    /// The ends of the packets that the broker has to answer and that were not sent completely.
    due: VecDeque<u64>,
    /// Packets may wait to be sent together with others. The code that sets this also flushes.
    pub cork: bool,
}

impl Output {
    /// Whether so many acknowledgements wait that nothing more must be read.
    pub fn is_crowded(&self) -> bool {
        self.acks > ACKS
    }

    pub fn is_empty(&self) -> bool {
        self.start == self.buffer.len()
    }

    /// Takes a packet, and sends what may be sent now.
    pub fn put(&mut self, stream: &mut Stream, parts: &[&[u8]]) -> Result<(), Fault> {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let kind = parts.iter().find_map(|part| part.first()).map_or(0, |first| first >> 4);
        let qos = parts.iter().find_map(|part| part.first()).map_or(0, |first| first >> 1 & 3);
        self.queued += length as u64;
        // CONNECT, SUBSCRIBE, UNSUBSCRIBE, PINGREQ. A PUBREL is not here, because it is itself an answer.
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

    /// Sends as much as possible of what waits.
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

    /// How many packets that need an answer were sent since the last call.
    pub fn take_sent(&mut self) -> usize {
        let sent = self.due.iter().take_while(|end| **end <= self.written).count();
        self.due.drain(..sent);
        sent
    }

    /// Frees the memory if it is empty.
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

    /// Copies the rest of a packet.
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

/// Makes room for `size` bytes in total. A vector that grows by itself would leave its content in freed memory.
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
