//! The format of a value in the host's storage: the device, the role, the data and a checksum.
//!
//! Version 1. Integers are little-endian. Each text follows its length in bytes as u16.
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
//! In every later version, magic, version, length and CRC stay where they are. So an older library can tell a newer
//! record from a broken one.

use std::fmt;

use zeroize::Zeroizing;

use super::bytes::{Malformed, Reader, Writer};
use super::vtable::MAX_VALUE_LEN;
use crate::error::{Error, Result, Status};
use crate::protocol::wipe;

const MAGIC: &[u8; 4] = b"ENOS";
const VERSION: u16 = 1;
const CRC_LEN: usize = 4;
/// Magic, version, length, the lengths of three texts, and the CRC.
pub(super) const FIXED_LEN: usize = 4 + 2 + 4 + 3 * 2 + CRC_LEN;

/// What a record is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The device secrets. There are two records, written in turn: so while one is being written, the other holds the
    /// earlier secrets.
    Secrets(u8),
    /// The device secret in use, as version 0.1 wrote it. It is read if there is no [`Secrets`](Role::Secrets).
    Secret,
    /// The previous device secret, as version 0.1 wrote it.
    Previous,
    /// The secrets of activations that had not logged in yet, as version 0.1 wrote them.
    Pending,
    /// The sign method that worked last, and with which secret.
    Sign,
    /// The times of the last CONNECTs.
    Budget,
    /// The commands that were handed over, and whose answers are not out yet.
    Commands,
    /// What has to be remembered of firmware updates.
    Ota,
    /// A page of the queue of durable messages, by number.
    Page(u64),
    /// Where that queue begins and ends. There are two records, written in turn.
    Index(u8),
    /// A part of a dead letter: the number of the dead letter, and the number of the part.
    DeadLetter(u64, u8),
}

impl Role {
    /// The key of this role's record. `digest` is 16 hexadecimal digits that identify the device.
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
            Role::Commands => f.write_str("commands"),
            Role::Ota => f.write_str("ota"),
            Role::Page(n) => write!(f, "out.{n}"),
            Role::Index(n) => write!(f, "index.{n}"),
            Role::DeadLetter(n, part) => write!(f, "aside.{n}.{part}"),
        }
    }
}

/// Why the bytes from the storage are not the requested record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordError {
    /// It is not a whole record. The text says why.
    Broken(String),
    /// It is a whole record of another device.
    OtherIdentity,
    /// It is a whole record of this device, but of another role: the storage mixes up its keys.
    OtherRole,
    /// It is a whole record of a newer version of the library.
    NewerVersion,
}

impl RecordError {
    pub(super) fn broken(words: impl Into<String>) -> RecordError {
        RecordError::Broken(words.into())
    }
}

impl From<Malformed> for RecordError {
    fn from(Malformed(words): Malformed) -> RecordError {
        RecordError::broken(words)
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

/// Encodes the record. `ENOS_ERR_TOO_LARGE` if it would exceed the limit for a value.
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

/// The data of a record, if the record is whole and belongs to this role and device.
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

/// The checksum code may leave the bytes, which can hold a secret, on the stack.
fn checksum(bytes: &[u8]) -> u32 {
    wipe::clean_stack(|| crc32fast::hash(bytes))
}

/// The content between length and CRC, if the record is whole and this version can read it.
fn whole(bytes: &[u8]) -> std::result::Result<&[u8], RecordError> {
    let Some((checked, crc)) = bytes.split_last_chunk::<CRC_LEN>() else {
        return Err(RecordError::broken(format!("it has {} bytes", bytes.len())));
    };
    let mut reader = Reader::new(checked);
    if reader.bytes(MAGIC.len())? != MAGIC {
        return Err(RecordError::broken("it does not begin with ENOS"));
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_page_on_storage_names_every_key() {
        let mut keys = BTreeSet::new();
        for role in [
            Role::Secrets(0),
            Role::Secrets(1),
            Role::Secret,
            Role::Previous,
            Role::Pending,
            Role::Sign,
            Role::Budget,
            Role::Commands,
            Role::Ota,
            Role::Page(1),
            Role::Index(0),
            Role::Index(1),
            Role::DeadLetter(1, 2),
        ] {
            // A new role does not compile here: add it above as well, and to the page.
            keys.insert(match role {
                Role::Page(_) => role.key("").replace('1', "<number>"),
                Role::DeadLetter(..) => role.key("").replace('1', "<number>").replace('2', "<part>"),
                Role::Secrets(_) | Role::Secret | Role::Previous | Role::Pending => role.key(""),
                Role::Sign | Role::Budget | Role::Commands | Role::Ota | Role::Index(_) => role.key(""),
            });
        }
        let page = include_str!("../../docs/storage.md");
        let part = page.split_once("**Keys**").unwrap().1.split_once("**Values**").unwrap().0;
        let named = part.split('`').skip(1).step_by(2).filter(|word| word.ends_with('.') && *word != "secrets.");
        assert_eq!(named.map(str::to_owned).collect::<BTreeSet<_>>(), keys);
    }
}
