//! The data of the records, by role. The record itself has the version and the checksum.
//!
//! Integers are little-endian. Each text follows its length in bytes as u16. Decoding is strict: too many or too few
//! bytes are [`RecordError::Broken`].

use zeroize::Zeroizing;

use super::bytes::{Reader, Writer};
use super::record::RecordError;
use crate::error::{Error, Result};

type Decoded<T> = std::result::Result<T, RecordError>;

/// The data of `sign`: the sign method that the cloud accepted last. `u8` method, 8 bytes fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredSign {
    /// A number of enos_sign_method. It is not checked here.
    pub method: u8,
    /// The [`Secret::fingerprint`](crate::protocol::Secret::fingerprint) of the secret. It may be stored: a stored
    /// secret is in the same storage anyway, and a configured one is random text, which cannot be guessed from it.
    pub fingerprint: [u8; 8],
}

impl StoredSign {
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut out = Writer::with_capacity(1 + self.fingerprint.len());
        out.u8(self.method);
        out.bytes(&self.fingerprint);
        out.finish()
    }

    pub fn decode(data: &[u8]) -> Decoded<StoredSign> {
        match *data {
            [method, a, b, c, d, e, f, g, h] => Ok(StoredSign { method, fingerprint: [a, b, c, d, e, f, g, h] }),
            _ => Err(RecordError::broken(format!("{} bytes for a method and a fingerprint", data.len()))),
        }
    }
}

/// The data of `budget`: when the last CONNECTs ended. Text boot id, `u8` count, then that many `u64`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredBudget {
    /// The boot that the times belong to (/proc/sys/kernel/random/boot_id), at most 36 bytes. Empty if it is unknown.
    pub boot_id: String,
    /// CLOCK_BOOTTIME in milliseconds, oldest first, at most [`StoredBudget::MAX_STAMPS`].
    pub stamps_ms: Vec<u64>,
}

impl StoredBudget {
    /// More than the largest budget that can be configured.
    pub const MAX_STAMPS: usize = 16;
    /// The length of a UUID as text.
    pub const MAX_BOOT_ID_LEN: usize = 36;

    /// `ENOS_ERR_INVALID_ARG` if one of the limits is exceeded.
    pub fn encode(&self) -> Result<Zeroizing<Vec<u8>>> {
        if self.boot_id.len() > Self::MAX_BOOT_ID_LEN {
            return Err(Error::invalid(format!("boot id: longer than {} bytes", Self::MAX_BOOT_ID_LEN)));
        }
        let count = self.stamps_ms.len();
        if count > Self::MAX_STAMPS {
            return Err(Error::invalid(format!("connect budget: {count} times, {} is the limit", Self::MAX_STAMPS)));
        }
        let mut out = Writer::with_capacity(2 + self.boot_id.len() + 1 + 8 * count);
        out.text(&self.boot_id);
        out.u8(count as u8);
        self.stamps_ms.iter().for_each(|stamp| out.bytes(&stamp.to_le_bytes()));
        Ok(out.finish())
    }

    pub fn decode(data: &[u8]) -> Decoded<StoredBudget> {
        let mut reader = Reader::new(data);
        let boot_id = reader.text()?.to_owned();
        let count = usize::from(reader.u8()?);
        if boot_id.len() > Self::MAX_BOOT_ID_LEN || count > Self::MAX_STAMPS {
            return Err(RecordError::broken("it is larger than a connect budget"));
        }
        let stamps_ms = (0..count).map(|_| Ok(reader.u64()?)).collect::<Decoded<Vec<u64>>>()?;
        match reader.rest() {
            [] => Ok(StoredBudget { boot_id, stamps_ms }),
            more => Err(RecordError::broken(format!("{} bytes too many", more.len()))),
        }
    }
}

/// How many bytes stand for a command in `commands`.
const COMMAND_LEN: usize = 16;

/// The data of `commands`: the first bytes of a SHA-256 for each command that is not answered yet, the oldest first.
pub fn encode_commands(digests: &[[u8; COMMAND_LEN]]) -> Zeroizing<Vec<u8>> {
    let mut out = Writer::with_capacity(digests.len() * COMMAND_LEN);
    digests.iter().for_each(|digest| out.bytes(digest));
    out.finish()
}

pub fn decode_commands(data: &[u8]) -> Decoded<Vec<[u8; COMMAND_LEN]>> {
    let digests = data.chunks(COMMAND_LEN).map(<[u8; COMMAND_LEN]>::try_from);
    digests.collect::<std::result::Result<_, _>>().map_err(|_| RecordError::broken("a digest of a command is cut off"))
}
