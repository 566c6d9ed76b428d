//! The encoding of records: little-endian integers, and texts after their length as u16.

use zeroize::Zeroizing;

/// Why bytes cannot be read.
#[derive(Debug)]
pub(super) struct Malformed(pub(super) &'static str);

type Read<T> = std::result::Result<T, Malformed>;

/// Writes into a buffer of fixed capacity. It never reallocates, so no copy of a secret stays in freed memory.
pub(super) struct Writer {
    out: Zeroizing<Vec<u8>>,
}

impl Writer {
    /// `len` is the total number of bytes that will be written.
    pub(super) fn with_capacity(len: usize) -> Writer {
        Writer { out: Zeroizing::new(Vec::with_capacity(len)) }
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        debug_assert!(self.out.len() + bytes.len() <= self.out.capacity(), "the buffer would move");
        self.out.extend_from_slice(bytes);
    }

    pub(super) fn u8(&mut self, n: u8) {
        self.bytes(&[n]);
    }

    pub(super) fn u16(&mut self, n: u16) {
        self.bytes(&n.to_le_bytes());
    }

    pub(super) fn u32(&mut self, n: u32) {
        self.bytes(&n.to_le_bytes());
    }

    pub(super) fn u64(&mut self, n: u64) {
        self.bytes(&n.to_le_bytes());
    }

    /// The caller has checked that the length fits into a u16.
    pub(super) fn text(&mut self, text: &str) {
        debug_assert!(text.len() <= usize::from(u16::MAX));
        self.u16(text.len() as u16);
        self.bytes(text.as_bytes());
    }

    pub(super) fn written(&self) -> &[u8] {
        &self.out
    }

    pub(super) fn finish(self) -> Zeroizing<Vec<u8>> {
        self.out
    }
}

/// Reads from the front of a slice. If there are too few bytes, it returns an error.
pub(super) struct Reader<'a> {
    left: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { left: bytes }
    }

    pub(super) fn bytes(&mut self, len: usize) -> Read<&'a [u8]> {
        let (taken, left) = self.left.split_at_checked(len).ok_or(Malformed("it ends too early"))?;
        self.left = left;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Read<[u8; N]> {
        let (taken, left) = self.left.split_first_chunk().ok_or(Malformed("it ends too early"))?;
        self.left = left;
        Ok(*taken)
    }

    pub(super) fn u8(&mut self) -> Read<u8> {
        self.array().map(|[n]| n)
    }

    pub(super) fn u16(&mut self) -> Read<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Read<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Read<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn text(&mut self) -> Read<&'a str> {
        let len = self.u16()?;
        std::str::from_utf8(self.bytes(len.into())?).map_err(|_| Malformed("a text is not UTF-8"))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    pub(super) fn rest(self) -> &'a [u8] {
        self.left
    }
}
