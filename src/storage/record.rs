//! What a value looks like in the host's storage: whose it is, what it is, and whether it is whole.
//!
//! Version 1, integers little-endian, texts preceded by their length in bytes as u16:
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 4 | `ENOS` |
//! | 4 | 2 | version, 1 |
//! | 6 | 4 | length of the whole record, from the first byte to the last |
//! | 10 | 2 + n | role, as in the key (`secret`, `out.17`) |
//! | | 2 + n | product key |
//! | | 2 + n | device key |
//! | | n | data, as the role defines it (see [`contents`](super::contents)) |
//! | end - 4 | 4 | CRC-32 (IEEE) of all bytes before it |
//!
//! Magic, version and length stay where they are, and the CRC at the end, in every later version: an older library
//! must be able to tell a record that is newer from one that is broken.

use std::fmt;

use zeroize::Zeroizing;

use super::bytes::{Reader, Writer};
use super::vtable::MAX_VALUE_LEN;
use crate::error::{Error, Result, Status};
use crate::protocol::wipe;

const MAGIC: &[u8; 4] = b"ENOS";
const VERSION: u16 = 1;
const CRC_LEN: usize = 4;
/// Magic, version, length, three text lengths and the CRC.
pub(super) const FIXED_LEN: usize = 4 + 2 + 4 + 3 * 2 + CRC_LEN;

/// What a record is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The device secrets: two, written in turn, so that none is ever in one record alone that is being written.
    Secrets(u8),
    /// Of version 0.1, read where there is no [`Secrets`](Role::Secrets): the device secret in use.
    Secret,
    /// Of version 0.1: the device secret before it.
    Previous,
    /// Of version 0.1: the secrets of activations that the cloud had not accepted in a login.
    Pending,
    /// The sign method that worked last, and with which secret.
    Sign,
    /// The times of the last CONNECTs.
    Budget,
    /// A page of the queue of durable messages, by its number.
    Page(u64),
    /// Where that queue begins and ends: two, written in turn.
    Index(u8),
    /// A dead letter: which, and which part of it.
    DeadLetter(u64, u8),
}

impl Role {
    /// The key of this role's record; `digest` is 16 hex digits that stand for the device.
    pub fn key(self, digest: &str) -> String {
        format!("{self}.{digest}")
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Role::Secrets(n) => write!(f, "secrets.{n}"),
            Role::Secret => f.write_str("secret"),
            Role::Previous => f.write_str("previous"),
            Role::Pending => f.write_str("pending"),
            Role::Sign => f.write_str("sign"),
            Role::Budget => f.write_str("budget"),
            Role::Page(n) => write!(f, "out.{n}"),
            Role::Index(n) => write!(f, "index.{n}"),
            Role::DeadLetter(n, part) => write!(f, "aside.{n}.{part}"),
        }
    }
}

/// Why bytes from the storage are not the record that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordError {
    /// Not a whole record: what is wrong with it.
    Broken(String),
    /// A whole record of another device.
    OtherIdentity,
    /// A whole record of this device, but of another role: the store mixes up its keys.
    OtherRole,
    /// A whole record that a newer library wrote.
    NewerVersion,
}

impl RecordError {
    pub(super) fn broken(words: impl Into<String>) -> RecordError {
        RecordError::Broken(words.into())
    }
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecordError::Broken(words) => write!(f, "the record is broken: {words}"),
            RecordError::OtherIdentity => f.write_str("the record belongs to another device"),
            RecordError::OtherRole => f.write_str("another record of this device came back: the storage mixes up keys"),
            RecordError::NewerVersion => f.write_str("the record was written by a newer version of this library"),
        }
    }
}

impl std::error::Error for RecordError {}

/// The record of `data`; `ENOS_ERR_TOO_LARGE` when it would be longer than a value may be.
pub fn encode(role: Role, product_key: &str, device_key: &str, data: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    let role = role.to_string();
    let texts = [role.as_str(), product_key, device_key];
    let len = texts.iter().fold(FIXED_LEN.saturating_add(data.len()), |sum, text| sum.saturating_add(text.len()));
    if len > MAX_VALUE_LEN {
        let words = format!("the record {role:?} would be {len} bytes long; {MAX_VALUE_LEN} is the limit");
        return Err(Error::new(Status::ENOS_ERR_TOO_LARGE, words));
    }
    let mut out = Writer::with_capacity(len);
    out.bytes(MAGIC);
    out.u16(VERSION);
    out.u32(len as u32);
    texts.iter().for_each(|text| out.text(text));
    out.bytes(data);
    out.u32(checksum(out.written()));
    Ok(out.finish())
}

/// The data of the record `bytes`, if it is whole and is that of this role and device.
pub fn decode<'a>(
    role: Role,
    product_key: &str,
    device_key: &str,
    bytes: &'a [u8],
) -> std::result::Result<&'a [u8], RecordError> {
    let mut version_1 = Reader::new(whole(bytes)?);
    let found = [version_1.text()?, version_1.text()?, version_1.text()?];
    if found[1..] != [product_key, device_key] {
        return Err(RecordError::OtherIdentity);
    }
    if found[0] != role.to_string() {
        return Err(RecordError::OtherRole);
    }
    Ok(version_1.rest())
}

/// With wide registers the bytes go over the stack, and stay there.
fn checksum(bytes: &[u8]) -> u32 {
    wipe::clean_stack(|| crc32fast::hash(bytes))
}

/// What stands between length and CRC, when the record is whole and of a version that is known here.
fn whole(bytes: &[u8]) -> std::result::Result<&[u8], RecordError> {
    let Some((checked, crc)) = bytes.split_last_chunk::<CRC_LEN>() else {
        return Err(RecordError::broken(format!("it has {} bytes", bytes.len())));
    };
    let mut reader = Reader::new(checked);
    if reader.bytes(MAGIC.len())? != MAGIC {
        return Err(RecordError::broken("it does not begin as one"));
    }
    let version = reader.u16()?;
    let len = reader.u32()?;
    if usize::try_from(len) != Ok(bytes.len()) {
        return Err(RecordError::broken(format!("it has {} bytes and should have {len}", bytes.len())));
    }
    if u32::from_le_bytes(*crc) != checksum(checked) {
        return Err(RecordError::broken("its checksum is wrong"));
    }
    match version {
        VERSION => Ok(reader.rest()),
        0 => Err(RecordError::broken("it has no version")),
        _ => Err(RecordError::NewerVersion),
    }
}
