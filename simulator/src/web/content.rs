//! The body of an answer.

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use super::requests::Account;
use crate::firmware::Firmware;

/// Bytes that are sent at once.
pub const CHUNK: usize = 64 * 1024;

/// An image, or what faults have made of it.
#[derive(Clone)]
pub struct Image {
    firmware: Arc<Firmware>,
    size: u64,
    is_changed: bool,
    /// The position of a byte that is wrong.
    corrupt: Option<u64>,
}

impl Image {
    pub fn new(firmware: Arc<Firmware>) -> Image {
        let size = firmware.size();
        Image { firmware, size, is_changed: false, corrupt: None }
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    pub fn etag(&self) -> String {
        let digest = self.firmware.digest(crate::Digest::Sha256);
        let change = if self.is_changed { "-changed" } else { "" };
        format!("\"{}-{}{change}\"", digest.get(..32).unwrap_or(digest), self.size)
    }

    pub fn change(&mut self) {
        self.is_changed = true;
    }

    pub fn resize(&mut self, size: u64) {
        self.size = size;
    }

    pub fn corrupt(&mut self, at: u64) {
        self.corrupt = Some(at);
    }

    /// At most so many bytes from a position.
    fn read(&self, at: u64, most: usize) -> io::Result<Bytes> {
        let most = most.min(CHUNK).min(usize::try_from(self.size.saturating_sub(at)).unwrap_or(CHUNK));
        if at >= self.firmware.size() {
            return Ok(vec![0; most].into());
        }
        let bytes = self.firmware.read(at, most)?;
        let corrupt = self.corrupt.and_then(|wrong| wrong.checked_sub(at)).filter(|n| *n < bytes.len() as u64);
        if !self.is_changed && corrupt.is_none() {
            return Ok(bytes);
        }
        let mut bytes = bytes.to_vec();
        if self.is_changed {
            bytes.iter_mut().for_each(|byte| *byte ^= 0x5a);
        }
        if let Some(byte) = corrupt.and_then(|n| bytes.get_mut(n as usize)) {
            *byte ^= 0x01;
        }
        Ok(bytes.into())
    }

    /// All of it, in memory.
    pub fn bytes(&self, first: u64, len: u64) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        let mut content = Content::part(self.clone(), first, len);
        while let Some(chunk) = content.next(CHUNK)? {
            all.extend_from_slice(&chunk);
        }
        Ok(all)
    }
}

/// What is left to send of a body.
pub enum Content {
    Bytes(Bytes),
    Part { image: Image, at: u64, left: u64 },
    Endless,
}

impl Content {
    pub fn empty() -> Content {
        Content::Bytes(Bytes::new())
    }

    pub fn part(image: Image, at: u64, len: u64) -> Content {
        Content::Part { image, at, left: len }
    }

    /// None: it has no end.
    pub fn left(&self) -> Option<u64> {
        match self {
            Content::Bytes(bytes) => Some(bytes.len() as u64),
            Content::Part { left, .. } => Some(*left),
            Content::Endless => None,
        }
    }

    /// At most so many further bytes; None at the end.
    pub fn next(&mut self, most: usize) -> io::Result<Option<Bytes>> {
        let most = most.min(CHUNK);
        match self {
            Content::Bytes(bytes) if bytes.is_empty() => Ok(None),
            Content::Bytes(bytes) => Ok(Some(bytes.split_to(bytes.len().min(most)))),
            Content::Part { left: 0, .. } => Ok(None),
            Content::Part { image, at, left } => {
                let most = most.min(usize::try_from(*left).unwrap_or(CHUNK));
                let bytes = image.read(*at, most)?;
                *at += bytes.len() as u64;
                *left = left.saturating_sub(bytes.len() as u64);
                Ok(Some(bytes))
            }
            Content::Endless => Ok(Some(vec![0x5a; most].into())),
        }
    }
}

/// A body as hyper sends it.
pub struct Sending {
    pub content: Content,
    pub account: Account,
    /// Its length is not told.
    pub is_chunked: bool,
}

impl Body for Sending {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let next = self.content.next(CHUNK);
        if let Ok(Some(bytes)) = &next {
            self.account.add(bytes.len());
        }
        Poll::Ready(next.transpose().map(|next| next.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.content.left() == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        match self.content.left() {
            Some(left) if !self.is_chunked => SizeHint::with_exact(left),
            _ => SizeHint::new(),
        }
    }
}
