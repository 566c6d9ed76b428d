//! Approximately where the queue begins and ends. It is written seldom, so a message costs little more than its own
//! page.
//!
//! Two records are written in turn. The one with the higher serial number counts. If it is torn, the other is used.
//! Between two writes, each end of the queue moves by at most [`SPAN`] pages.
//!
//! `u64` serial number, `u64` first page, `u64` page after the last, `u64` how many dead letters there have ever been,
//! then the suspect: `u64` first token, `u64` last token, `u8` losses (0: there is none). Then the dead letters: `u64`
//! first number, `u64` number after the last, `u64` how many, `u64` bytes. An early version did not write these last
//! four: it kept at most 64 dead letters, numbered from 0 on.

use super::dead::Dead;
use crate::protocol::{Suspect, Totals};
use crate::storage::bytes::{Reader, Writer};
use crate::storage::record::RecordError;
use zeroize::Zeroizing;

/// The maximum distance in pages of either end of the queue from the newest index.
pub const SPAN: u64 = 16;
/// The maximum distance from the older of the two.
pub const REACH: u64 = 2 * SPAN;

const MAX_PAGE: u64 = 1 << 52;
const MAX_LOSSES: u8 = 100;

/// No real count reaches this, and additions to it do not overflow.
const MAX_COUNT: u64 = 1 << 60;
const EARLIER_LETTERS: u64 = 64;

const LEN: usize = 4 * 8 + 2 * 8 + 1 + 4 * 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Index {
    pub serial: u64,
    /// The first page that is not completed.
    pub head: u64,
    /// The page of the next message.
    pub tail: u64,
    pub dead_letters_ever: u64,
    pub suspect: Option<Suspect>,
    pub dead: Dead,
}

impl Index {
    /// Which of the two records it is written to.
    pub fn slot(&self) -> u8 {
        (self.serial % 2) as u8
    }

    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let suspect = self.suspect.unwrap_or(Suspect { first: 0, last: 0, losses: 0 });
        let mut out = Writer::with_capacity(LEN);
        for number in [self.serial, self.head, self.tail, self.dead_letters_ever, suspect.first, suspect.last] {
            out.bytes(&number.to_le_bytes());
        }
        out.u8(suspect.losses);
        let Dead { head, tail, held } = self.dead;
        [head, tail, held.messages, held.bytes].iter().for_each(|number| out.bytes(&number.to_le_bytes()));
        out.finish()
    }

    pub fn decode(data: &[u8]) -> Result<Index, RecordError> {
        let mut reader = Reader::new(data);
        let (serial, head, tail, dead_letters_ever) = (reader.u64()?, reader.u64()?, reader.u64()?, reader.u64()?);
        let suspect = Suspect { first: reader.u64()?, last: reader.u64()?, losses: reader.u8()? };
        let mut dead = match reader.is_empty() {
            true => {
                let letters = dead_letters_ever.min(EARLIER_LETTERS);
                Dead { head: 0, tail: letters, held: Totals { messages: letters, bytes: 0 } }
            }
            false => Dead {
                head: reader.u64()?,
                tail: reader.u64()?,
                held: Totals { messages: reader.u64()?, bytes: reader.u64()? },
            },
        };
        // Only numbers that a queue can reach. So later additions do not overflow, and the limits keep their meaning.
        let is_sound = reader.is_empty()
            && head <= tail
            && tail <= MAX_PAGE
            && serial <= MAX_COUNT
            && dead_letters_ever <= MAX_COUNT
            && suspect.losses <= MAX_LOSSES
            && dead.head <= dead.tail
            && dead.tail <= MAX_PAGE;
        if !is_sound {
            return Err(RecordError::broken("it is not the index of a queue"));
        }
        dead.settle();
        Ok(Index { serial, head, tail, dead_letters_ever, suspect: (suspect.losses > 0).then_some(suspect), dead })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_back_as_it_was() {
        let suspect = Some(Suspect { first: 1 << 62, last: 1 << 62 | 7, losses: 2 });
        for suspect in [None, suspect] {
            let dead = Dead { head: 2, tail: 9, held: Totals { messages: 5, bytes: 700 } };
            let index = Index { serial: 7, head: 3, tail: MAX_PAGE, dead_letters_ever: 70, suspect, dead };
            let data = index.encode();
            assert_eq!(Index::decode(&data).unwrap(), index);
            let earlier = data.len() - 4 * 8;
            assert!((0..data.len()).all(|len| len == earlier || Index::decode(&data[..len]).is_err()));
            assert!(Index::decode(&[&data[..], b"x"].concat()).is_err());
            let dead = Dead { head: 0, tail: 64, held: Totals { messages: 64, bytes: 0 } };
            assert_eq!(Index::decode(&data[..earlier]).unwrap(), Index { dead, ..index }, "of an earlier library");
        }
    }

    #[test]
    fn no_more_dead_letters_are_counted_than_there_are_numbers_for() {
        let dead = Dead { head: 5, tail: 6, held: Totals { messages: 2, bytes: u64::MAX } };
        let data = Index { serial: 7, head: 3, tail: 9, dead_letters_ever: 1, suspect: None, dead }.encode();
        let held = Index::decode(&data).unwrap().dead.held;
        assert!(held.messages == 1 && held.bytes < 1 << 30, "{held:?}");
    }

    #[test]
    fn numbers_that_no_queue_reaches_are_no_index() {
        let data =
            Index { serial: 7, head: 3, tail: 9, dead_letters_ever: 1, suspect: None, dead: Dead::default() }.encode();
        for at in [0, 8, 16, 24, 49, 57] {
            for number in [u64::MAX, 1 << 61] {
                let mut data = data.to_vec();
                data[at..at + 8].copy_from_slice(&number.to_le_bytes());
                assert!(Index::decode(&data).is_err(), "{number} at {at}");
            }
        }
    }
}
