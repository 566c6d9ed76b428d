//! The data of `pending`: the device secrets that activations have brought and that no login has confirmed yet.

use zeroize::Zeroizing;

use super::bytes::{Reader, Writer};
use super::contents::StoredSecret;
use super::record::RecordError;
use crate::error::{Error, Result, Status};

/// Oldest first. `u8` how many; for each, `u32` its length and its data, as in [`StoredSecret`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPending {
    pub secrets: Vec<StoredSecret>,
}

impl StoredPending {
    pub const MAX: usize = 8;

    /// `ENOS_ERR_TOO_LARGE` above [`StoredPending::MAX`].
    pub fn encode(&self) -> Result<Zeroizing<Vec<u8>>> {
        if self.secrets.len() > Self::MAX {
            let words = format!("{} pending secrets, {} is the limit", self.secrets.len(), Self::MAX);
            return Err(Error::new(Status::ENOS_ERR_TOO_LARGE, words));
        }
        let encoded = self.secrets.iter().map(StoredSecret::encode).collect::<Result<Vec<_>>>()?;
        let mut out = Writer::with_capacity(1 + encoded.iter().map(|data| 4 + data.len()).sum::<usize>());
        out.u8(self.secrets.len() as u8);
        for data in &encoded {
            out.u32(data.len() as u32);
            out.bytes(data);
        }
        Ok(out.finish())
    }

    pub fn decode(data: &[u8]) -> std::result::Result<StoredPending, RecordError> {
        let mut reader = Reader::new(data);
        let count = usize::from(reader.u8()?);
        if count > Self::MAX {
            return Err(RecordError::broken("it holds more secrets than there can be"));
        }
        let mut secrets = Vec::with_capacity(count);
        for _ in 0..count {
            let len = reader.u32()? as usize;
            secrets.push(StoredSecret::decode(reader.bytes(len)?)?);
        }
        match reader.rest() {
            [] => Ok(StoredPending { secrets }),
            _ => Err(RecordError::broken("something follows its last secret")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(texts: &[&str]) -> StoredPending {
        let secret = |text: &&str| StoredSecret {
            secret: Zeroizing::new(text.as_bytes().to_vec()),
            asset_id: Some(format!("asset of {text}")),
        };
        StoredPending { secrets: texts.iter().map(secret).collect() }
    }

    #[test]
    fn comes_back_as_it_was() {
        for texts in [&[][..], &["one"], &["one", "two", "three", "four"]] {
            let stored = stored(texts);
            assert_eq!(StoredPending::decode(&stored.encode().unwrap()).unwrap(), stored);
        }
    }

    #[test]
    fn no_part_of_it_passes_for_the_whole() {
        let whole = stored(&["one", "two"]).encode().unwrap();
        for len in 0..whole.len() {
            assert!(StoredPending::decode(&whole[..len]).is_err(), "the first {len} bytes");
        }
        assert!(StoredPending::decode(&[&whole[..], b"x"].concat()).is_err());
    }

    #[test]
    fn more_than_there_can_be_is_refused() {
        assert_eq!(stored(&["x"; 9]).encode().unwrap_err().status, Status::ENOS_ERR_TOO_LARGE);
        assert!(StoredPending::decode(&[9; 200]).is_err());
    }
}
