//! What stands inside the records, role by role. The record around it carries version and checksum.
//!
//! Integers are little-endian, texts are preceded by their length in bytes as u16. Each is read strictly: a byte too
//! many or too few is [`RecordError::Broken`].

use zeroize::Zeroizing;

use super::bytes::{Reader, Writer};
use super::record::RecordError;
use crate::error::{Error, Result};

type Decoded<T> = std::result::Result<T, RecordError>;

/// The data of `sign`: what the cloud accepted last. `u8` method, 8 bytes fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredSign {
    /// As in enos_sign_method; not checked here.
    pub method: u8,
    /// Which secret it was: [`Secret::fingerprint`](crate::protocol::Secret::fingerprint). Fit to lie in the storage: a
    /// stored secret lies beside it anyway, and a configured one cannot be guessed from it, being random text.
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

/// The data of `budget`: when the last CONNECTs ended. Text boot id, `u8` how many, that many `u64`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredBudget {
    /// Which boot the stamps are of (/proc/sys/kernel/random/boot_id), at most 36 bytes; empty when unknown.
    pub boot_id: String,
    /// CLOCK_BOOTTIME in milliseconds, oldest first, at most [`StoredBudget::MAX_STAMPS`].
    pub stamps_ms: Vec<u64>,
}

impl StoredBudget {
    /// More than the largest budget that a client may be given.
    pub const MAX_STAMPS: usize = 16;
    /// A UUID as text.
    pub const MAX_BOOT_ID_LEN: usize = 36;

    /// `ENOS_ERR_INVALID_ARG` above one of the limits.
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
        let stamps_ms = (0..count).map(|_| reader.u64()).collect::<Decoded<Vec<u64>>>()?;
        match reader.rest() {
            [] => Ok(StoredBudget { boot_id, stamps_ms }),
            more => Err(RecordError::broken(format!("{} bytes too many", more.len()))),
        }
    }
}
