//! Messages that were set aside, each under a key of its own: the last [`SLOTS`] of them. A newer one takes the place of
//! the oldest.
//!
//! Over all parts of a record, one behind the other: `u64` token, `i32` code, `u8` 1 and the message as in a page, or 0
//! and the bytes of a page that could not be read. The first part begins with a `u8`: how many there are.

use zeroize::Zeroizing;

use super::page::{decode_message, encode_message};
use super::{Done, Queue};
use crate::protocol::{durable, Durable};
use crate::storage::bytes::{Reader, Writer};
use crate::storage::record::{RecordError, Role};
use crate::storage::records::Value;

/// How many are kept.
pub const SLOTS: u64 = 64;

const RAW: u8 = 0;
const MESSAGE: u8 = 1;

/// One that was set aside.
pub struct Aside {
    pub token: u64,
    /// EnOS's code; 0 for other reasons.
    pub code: i32,
    /// `None`: what is there cannot be read.
    pub message: Option<Durable>,
}

impl Queue {
    /// Keeps a message that cannot succeed. It is still in the queue, until that is told that it is through.
    pub fn set_aside(&mut self, token: u64, code: i32, message: &Durable) -> Done<()> {
        self.keep(token, code, MESSAGE, &encode_message(message))
    }

    /// Keeps what stands where a page should.
    pub(super) fn keep_raw(&mut self, page: u64, bytes: &[u8]) -> Done<()> {
        self.keep(durable::token(page, 0), 0, RAW, bytes)
    }

    fn keep(&mut self, token: u64, code: i32, kind: u8, bytes: &[u8]) -> Done<()> {
        let number = self.ends()?.index.set_aside;
        let slot = (number % SLOTS) as u8;
        let mut whole = Writer::with_capacity(8 + 4 + 1 + bytes.len());
        whole.bytes(&token.to_le_bytes());
        whole.u32(code as u32);
        whole.u8(kind);
        whole.bytes(bytes);
        let whole = whole.finish();
        let room = self.records.capacity(Role::Aside(u8::MAX, u8::MAX)) - 1;
        let count = whole.len().div_ceil(room) as u8;
        let parts: Vec<(Role, Zeroizing<Vec<u8>>)> = whole
            .chunks(room)
            .enumerate()
            .map(|(part, bytes)| {
                let mut data = Writer::with_capacity(1 + bytes.len());
                data.u8(count);
                data.bytes(bytes);
                (Role::Aside(slot, part as u8), data.finish())
            })
            .collect();
        let parts: Vec<(Role, &[u8])> = parts.iter().map(|(role, data)| (*role, data.as_slice())).collect();
        let before = self.parts(slot)?;
        self.records.store_all(&parts)?;
        // What is left of a longer one that it takes the place of.
        self.records.erase_all((count..before).map(|part| Role::Aside(slot, part)))?;
        self.write_index(|index| index.set_aside = number + 1)
    }

    /// What is in one of the [`SLOTS`].
    pub fn aside(&mut self, slot: u8) -> Done<Option<Aside>> {
        let mut whole = Zeroizing::new(Vec::new());
        let mut parts = 1;
        let mut part = 0;
        while part < parts {
            let Value::Whole(data) = self.records.look(Role::Aside(slot, part))? else { return Ok(None) };
            let Some((count, bytes)) = data.split_first() else { return Ok(None) };
            parts = *count;
            whole.extend_from_slice(bytes);
            part += 1;
        }
        Ok(decode(&whole).ok())
    }

    /// How many parts are there, as the first one says.
    fn parts(&self, slot: u8) -> Done<u8> {
        Ok(match self.records.look(Role::Aside(slot, 0))? {
            Value::Whole(data) => data.first().copied().unwrap_or(0),
            _ => 0,
        })
    }

    /// Removes it. Its later parts go first, so that it is whole or not there.
    pub fn erase_aside(&mut self, slot: u8) -> Done<()> {
        let parts = self.parts(slot)?.max(1);
        (0..parts).rev().try_for_each(|part| self.records.erase(Role::Aside(slot, part)))
    }
}

fn decode(bytes: &[u8]) -> std::result::Result<Aside, RecordError> {
    let mut reader = Reader::new(bytes);
    let (token, code) = (reader.u64()?, reader.u32()? as i32);
    let message = match reader.u8()? {
        MESSAGE => Some(decode_message(reader.rest())?),
        _ => None,
    };
    Ok(Aside { token, code, message })
}
