//! Dead letters: messages that can never succeed. Each has a number, and stays until the host drops it or
//! [`Queue::append`] needs the room.
//!
//! A dead letter consists of: `u64` token, `i32` code, then `u8` 1 and the message as in a page, or `u8` 0 and the
//! bytes of a page that could not be read. It is split over as many records as it needs. Each record begins with a
//! `u8`, the number of records.

use zeroize::Zeroizing;

use super::message;
use super::page::{self, Page};
use super::{Queue, Result};
use crate::protocol::outbox::{self, Message};
use crate::protocol::{Request, Totals};
use crate::storage::bytes::{Reader, Writer};
use crate::storage::record::{RecordError, Role};
use crate::storage::records::Value;

/// The maximum size of a dead letter in bytes.
const MAX_LETTER: u64 = 1 << 24;

/// How many of the newest dead letters are searched for a duplicate.
const LOOK_BACK: usize = 100;

const RAW: u8 = 0;
const MESSAGE: u8 = 1;

/// A message that can never succeed.
pub struct DeadLetter {
    pub token: u64,
    /// The code from EnOS; 0 if it has another reason.
    pub code: i32,
    /// Several if it is a page that an earlier version could not read. `None`: this version cannot read it.
    pub messages: Vec<Option<Request>>,
}

/// The numbers in use, and the totals. Some numbers in the range may be removed already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dead {
    /// All numbers in use are at least this.
    pub head: u64,
    /// The number of the next dead letter.
    pub tail: u64,
    pub held: Totals,
}

impl Dead {
    /// Limits the count to the range of numbers. The count is too high if a removal succeeded although the storage
    /// returned an error.
    pub fn settle(&mut self) {
        let messages = self.held.messages.min(self.tail - self.head);
        self.held = Totals { messages, bytes: self.held.bytes.min(messages * MAX_LETTER) };
        if self.held.messages == 0 {
            *self = Dead { head: self.tail, tail: self.tail, held: Totals::default() };
        }
    }
}

impl Queue {
    /// Keeps a message that can never succeed. It stays in the queue as well until its page is finished.
    pub fn store_dead_letter(&mut self, token: u64, code: i32, message: &Message) -> Result<()> {
        match message {
            Message::Request(request) => self.keep(token, code, MESSAGE, &message::encode(request)),
            Message::Unknown { bytes, .. } => self.keep(token, code, MESSAGE, bytes),
        }
    }

    /// Keeps the bytes of a page that cannot be read.
    pub(super) fn keep_unreadable(&mut self, page: u64, bytes: &[u8]) -> Result<()> {
        let token = outbox::token(page, 0);
        // An earlier process may have stored this dead letter, and ended before it removed the page.
        for number in self.dead_letters().rev().take(LOOK_BACK) {
            if self.dead_letter(number)?.is_some_and(|letter| letter.token == token) {
                return Ok(());
            }
        }
        self.keep(token, 0, RAW, bytes)
    }

    fn keep(&mut self, token: u64, code: i32, kind: u8, bytes: &[u8]) -> Result<()> {
        let mut whole = Writer::with_capacity(8 + 4 + 1 + bytes.len());
        whole.bytes(&token.to_le_bytes());
        whole.u32(code as u32);
        whole.u8(kind);
        whole.bytes(bytes);
        let whole = whole.finish();
        let size = whole.len() as u64;
        let limits = self.limits;
        while self.dead()?.held.messages > 0 && limits.are_below(self.dead()?.held.plus(1, size)) {
            self.drop_oldest_dead_letter()?;
        }
        let number = self.dead()?.tail;
        let room = self.records.capacity(Role::DeadLetter(u64::MAX, u8::MAX)) - 1;
        let count = whole.len().div_ceil(room) as u8;
        let parts: Vec<(Role, Zeroizing<Vec<u8>>)> = whole
            .chunks(room)
            .enumerate()
            .map(|(part, bytes)| {
                let mut data = Writer::with_capacity(1 + bytes.len());
                data.u8(count);
                data.bytes(bytes);
                (Role::DeadLetter(number, part as u8), data.finish())
            })
            .collect();
        let parts: Vec<(Role, &[u8])> = parts.iter().map(|(role, data)| (*role, data.as_slice())).collect();
        // After a power cut, there may already be a dead letter with this number that was not counted.
        let before = self.parts(number)?;
        self.records.store_all(&parts)?;
        self.records.erase_all((count..before).map(|part| Role::DeadLetter(number, part)))?;
        self.write_index(|index| {
            index.dead_letters_ever += 1;
            index.dead.tail = number + 1;
            index.dead.held = index.dead.held.plus(1, size);
        })
    }

    /// The range of their numbers. It is empty until the queue is open.
    pub fn dead_letters(&self) -> std::ops::Range<u64> {
        self.ends.as_ref().map_or(0..0, |ends| ends.index.dead.head..ends.index.dead.tail)
    }

    /// The dead letter with this number, if it exists.
    pub fn dead_letter(&self, number: u64) -> Result<Option<DeadLetter>> {
        Ok(self.whole(number)?.and_then(|whole| decode(&whole).ok()))
    }

    fn whole(&self, number: u64) -> Result<Option<Zeroizing<Vec<u8>>>> {
        let mut whole = Zeroizing::new(Vec::new());
        let mut parts = 1;
        let mut part = 0;
        while part < parts {
            let Value::Whole(data) = self.records.look(Role::DeadLetter(number, part))? else { return Ok(None) };
            let Some((count, bytes)) = data.split_first() else { return Ok(None) };
            parts = *count;
            whole.extend_from_slice(bytes);
            part += 1;
        }
        Ok(Some(whole))
    }

    /// The number of its records, according to the first one.
    fn parts(&self, number: u64) -> Result<u8> {
        Ok(match self.records.look(Role::DeadLetter(number, 0))? {
            Value::Whole(data) => data.first().copied().unwrap_or(0),
            _ => 0,
        })
    }

    /// Removes the dead letter with this token. False if there is none.
    pub fn drop_dead_letter(&mut self, token: u64) -> Result<bool> {
        for number in self.dead_letters() {
            if self.dead_letter(number)?.is_some_and(|letter| letter.token == token) {
                self.erase_dead_letter(number)?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Removes the oldest dead letter to make room. The host is told, as it is for dropped messages.
    pub(super) fn drop_oldest_dead_letter(&mut self) -> Result<()> {
        let Dead { head, tail, .. } = self.dead()?;
        for number in head..tail {
            // A dead letter that cannot be read cannot be shown to anyone, and is removed as well.
            let token = self.dead_letter(number)?.map(|letter| letter.token);
            let is_gone = matches!(self.records.look(Role::DeadLetter(number, 0))?, Value::None);
            if !is_gone {
                self.erase_dead_letter(number)?;
                self.dropped_dead.extend(token);
                return Ok(());
            }
            let dead = &mut self.ends()?.index.dead;
            dead.head = number + 1;
            dead.settle();
        }
        Ok(())
    }

    /// Removes the later records first: so the dead letter is either whole or absent.
    fn erase_dead_letter(&mut self, number: u64) -> Result<()> {
        let size = self.whole(number)?.map_or(0, |whole| whole.len() as u64);
        let parts = self.parts(number)?.max(1);
        (0..parts).rev().try_for_each(|part| self.records.erase(Role::DeadLetter(number, part)))?;
        self.write_index(|index| {
            let dead = &mut index.dead;
            dead.held = dead.held.since(Totals { messages: 1, bytes: size });
            if dead.head == number {
                dead.head += 1;
            }
            dead.settle();
        })
    }

    fn dead(&mut self) -> Result<Dead> {
        Ok(self.ends()?.index.dead)
    }
}

fn decode(bytes: &[u8]) -> std::result::Result<DeadLetter, RecordError> {
    let mut reader = Reader::new(bytes);
    let (token, code) = (reader.u64()?, reader.u32()? as i32);
    let messages = match reader.u8()? {
        MESSAGE => vec![message::decode(reader.rest())?],
        _ => match page::decode(reader.rest()) {
            Ok(Page::Whole { messages, .. }) => messages,
            Ok(Page::Part { .. }) | Err(_) => vec![None],
        },
    };
    let known = |message| match message {
        Some(Message::Request(request)) => Some(request),
        Some(Message::Unknown { .. }) | None => None,
    };
    Ok(DeadLetter { token, code, messages: messages.into_iter().map(known).collect() })
}
