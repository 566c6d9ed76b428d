//! Where the queue begins and ends, near enough: written seldom, so that a message costs little more than its own page.
//!
//! Two records are written in turn; the one with the higher serial number counts, and the other is there for when that
//! one is torn. Between two writes each end of the queue moves by at most [`SPAN`] pages.
//!
//! `u64` serial number, `u64` first page, `u64` page after the last, `u64` messages ever set aside, then the suspect:
//! `u64` first token, `u64` last token, `u8` losses (0: there is none).

use crate::protocol::Suspect;
use crate::storage::bytes::{Reader, Writer};
use crate::storage::record::RecordError;
use zeroize::Zeroizing;

/// How many pages either end of the queue may be ahead of the newest index.
pub const SPAN: u64 = 16;
/// How many it may be ahead of whichever of the two can be read.
pub const REACH: u64 = 2 * SPAN;

/// More than a device can count to.
const MAX_COUNT: u64 = 1 << 52;
const MAX_LOSSES: u8 = 100;

const LEN: usize = 4 * 8 + 2 * 8 + 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Index {
    pub serial: u64,
    /// The first page that is not through.
    pub head: u64,
    /// The page that the next message will have.
    pub tail: u64,
    pub set_aside: u64,
    pub suspect: Option<Suspect>,
}

impl Index {
    /// Which of the two records it is written to.
    pub fn slot(&self) -> u8 {
        (self.serial % 2) as u8
    }

    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let suspect = self.suspect.unwrap_or(Suspect { first: 0, last: 0, losses: 0 });
        let mut out = Writer::with_capacity(LEN);
        for number in [self.serial, self.head, self.tail, self.set_aside, suspect.first, suspect.last] {
            out.bytes(&number.to_le_bytes());
        }
        out.u8(suspect.losses);
        out.finish()
    }

    pub fn decode(data: &[u8]) -> Result<Index, RecordError> {
        let mut reader = Reader::new(data);
        let (serial, head, tail, set_aside) = (reader.u64()?, reader.u64()?, reader.u64()?, reader.u64()?);
        let suspect = Suspect { first: reader.u64()?, last: reader.u64()?, losses: reader.u8()? };
        // Numbers that a queue can reach: what is added to them later does not overflow.
        let counts = serial.max(tail).max(set_aside);
        if !reader.rest().is_empty() || head > tail || counts > MAX_COUNT || suspect.losses > MAX_LOSSES {
            return Err(RecordError::broken("it is no index of a queue"));
        }
        Ok(Index { serial, head, tail, set_aside, suspect: (suspect.losses > 0).then_some(suspect) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_back_as_it_was() {
        let suspect = Some(Suspect { first: 1 << 62, last: 1 << 62 | 7, losses: 2 });
        for suspect in [None, suspect] {
            let index = Index { serial: 7, head: 3, tail: MAX_COUNT, set_aside: 9, suspect };
            let data = index.encode();
            assert_eq!(Index::decode(&data).unwrap(), index);
            assert!((0..data.len()).all(|len| Index::decode(&data[..len]).is_err()));
            assert!(Index::decode(&[&data[..], b"x"].concat()).is_err());
        }
    }
}
