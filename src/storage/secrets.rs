//! The data of `secrets`: all device secrets that are stored. And the records that version 0.1 wrote instead.
//!
//! A secret is encoded as follows: `u8` 1 or 0, whether there is an asset id; its text, if there is one; then the
//! secret, up to the end. In version 0.1, this was the data of `secret` and of `previous`.

use zeroize::Zeroizing;

use super::bytes::{Reader, Writer};
use super::record::RecordError;
use crate::error::{Error, Result, Status};
use crate::protocol::{DeviceSecret, Secret, Standing};

type Decoded<T> = std::result::Result<T, RecordError>;

/// The most secrets in one record.
const MAX: usize = 8;

/// `u64` number; `u8` count; then for each secret: `u8` standing, `u32` length, data.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredSecrets {
    /// One more than the number of the earlier record.
    pub number: u64,
    /// In the order in which they arrived or last logged in, the oldest first.
    pub secrets: Vec<DeviceSecret>,
}

impl StoredSecrets {
    /// `ENOS_ERR_TOO_LARGE` for more than [`MAX`] secrets, and for an asset id of more than 65535 bytes.
    pub fn encode(&self) -> Result<Zeroizing<Vec<u8>>> {
        if self.secrets.len() > MAX {
            let words = format!("{} device secrets, {MAX} is the limit", self.secrets.len());
            return Err(Error::new(Status::ENOS_ERR_TOO_LARGE, words));
        }
        let encoded = self.secrets.iter().map(encode).collect::<Result<Vec<_>>>()?;
        let mut out = Writer::with_capacity(8 + 1 + encoded.iter().map(|data| 1 + 4 + data.len()).sum::<usize>());
        out.u64(self.number);
        out.u8(self.secrets.len() as u8);
        for (secret, data) in self.secrets.iter().zip(&encoded) {
            out.u8(secret.standing as u8);
            out.u32(data.len() as u32);
            out.bytes(data);
        }
        Ok(out.finish())
    }

    pub fn decode(data: &[u8]) -> Decoded<StoredSecrets> {
        let mut reader = Reader::new(data);
        let number = reader.u64()?;
        let secrets = list(reader, |reader| {
            let standing = Standing::from_number(reader.u8()?);
            item(reader, standing.ok_or_else(|| RecordError::broken("a secret's standing is unknown"))?)
        })?;
        Ok(StoredSecrets { number, secrets })
    }

    /// Whether this record was written after the one with that number. The numbers may wrap around.
    pub fn is_after(&self, number: u64) -> bool {
        (self.number.wrapping_sub(number) as i64) > 0
    }
}

/// `ENOS_ERR_TOO_LARGE` for an asset id of more than 65535 bytes.
pub fn encode(device: &DeviceSecret) -> Result<Zeroizing<Vec<u8>>> {
    let asset_id = device.asset_id.as_deref();
    let asset_len = asset_id.map_or(0, str::len);
    if asset_len > usize::from(u16::MAX) {
        let words = format!("asset id: it is {asset_len} bytes long; {} is the limit", u16::MAX);
        return Err(Error::new(Status::ENOS_ERR_TOO_LARGE, words));
    }
    let secret = device.secret.as_bytes();
    let mut out = Writer::with_capacity(1 + 2 + asset_len + secret.len());
    out.u8(asset_id.is_some().into());
    if let Some(asset_id) = asset_id {
        out.text(asset_id);
    }
    out.bytes(secret);
    Ok(out.finish())
}

/// Decodes a secret, and gives it this standing.
pub fn decode(data: &[u8], standing: Standing) -> Decoded<DeviceSecret> {
    let mut reader = Reader::new(data);
    let asset_id = match reader.u8()? {
        0 => None,
        1 => Some(reader.text()?.to_owned()),
        _ => return Err(RecordError::broken("asset id: its flag is neither 0 nor 1")),
    };
    let secret = Secret::new(reader.rest()).map_err(|error| RecordError::broken(error.message))?;
    Ok(DeviceSecret { secret, asset_id, standing, brought_by: 0 })
}

/// The secrets of `pending`, as version 0.1 wrote it, the oldest first: `u8` count; then for each secret: `u32` length,
/// data. None of them has logged in.
pub fn decode_pending(data: &[u8]) -> Decoded<Vec<DeviceSecret>> {
    list(Reader::new(data), |reader| item(reader, Standing::Unproven))
}

fn list<'a, T>(mut reader: Reader<'a>, mut item: impl FnMut(&mut Reader<'a>) -> Decoded<T>) -> Decoded<Vec<T>> {
    let count = usize::from(reader.u8()?);
    if count > MAX {
        return Err(RecordError::broken("it holds too many secrets"));
    }
    let items = (0..count).map(|_| item(&mut reader)).collect::<Decoded<Vec<T>>>()?;
    match reader.rest() {
        [] => Ok(items),
        _ => Err(RecordError::broken("there are bytes after its last secret")),
    }
}

fn item(reader: &mut Reader<'_>, standing: Standing) -> Decoded<DeviceSecret> {
    let len = reader.u32()? as usize;
    decode(reader.bytes(len)?, standing)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(texts: &[&str]) -> StoredSecrets {
        let secret = |(text, n): (&&str, usize)| {
            let secret = Secret::new(text.as_bytes()).unwrap();
            let standing = Standing::from_number((n % 3) as u8).unwrap();
            DeviceSecret { secret, asset_id: Some(format!("asset of {text}")), standing, brought_by: 0 }
        };
        StoredSecrets { number: 7, secrets: texts.iter().zip(0..).map(secret).collect() }
    }

    #[test]
    fn comes_back_as_it_was() {
        for texts in [&[][..], &["one"], &["one", "two", "three", "four"], &["x"; 8]] {
            let stored = stored(texts);
            assert_eq!(StoredSecrets::decode(&stored.encode().unwrap()).unwrap(), stored);
        }
    }

    #[test]
    fn no_part_of_it_passes_for_the_whole() {
        let whole = stored(&["one", "two"]).encode().unwrap();
        for len in 0..whole.len() {
            assert!(StoredSecrets::decode(&whole[..len]).is_err(), "the first {len} bytes");
        }
        assert!(StoredSecrets::decode(&[&whole[..], b"x"].concat()).is_err());
    }

    #[test]
    fn what_cannot_be_is_refused() {
        assert_eq!(stored(&["x"; 9]).encode().unwrap_err().status, Status::ENOS_ERR_TOO_LARGE);
        assert!(StoredSecrets::decode(&[9; 200]).is_err());
        let mut standing = stored(&["one"]).encode().unwrap();
        standing[9] = 3;
        assert!(StoredSecrets::decode(&standing).is_err());
    }

    #[test]
    fn the_number_never_comes_to_an_end() {
        let numbered = |number| StoredSecrets { number, secrets: Vec::new() };
        for (number, before) in [(1, 0), (8, 7), (0, u64::MAX), (u64::MAX, u64::MAX - 1)] {
            assert!(numbered(number).is_after(before) && !numbered(before).is_after(number), "{number} after {before}");
        }
    }
}
