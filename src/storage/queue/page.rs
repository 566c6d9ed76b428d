//! The format of a page. Integers are little-endian.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | 1: whole messages; 2: a part of one message that is too large for a page |
//! | 8, 8 | messages and bytes that the queue had ever accepted before this page; the difference of two pages is what lies between them |
//! | | of whole messages: `u16` how many, then each of them, see [`message`] |
//! | | of a part: `u16` which, `u16` of how many, `u32` CRC-32 of the message, then these bytes of it |

use zeroize::Zeroizing;

use super::message::{self, Bytes, DROPPED};
use crate::protocol::outbox::{Message, MAX_TOGETHER};
use crate::protocol::{Request, Totals};
use crate::storage::bytes::{Reader, Writer};
use crate::storage::record::RecordError;

const WHOLE: u8 = 1;
const PART: u8 = 2;
const HEAD: usize = 1 + 8 + 8;
const WHOLE_HEAD: usize = HEAD + 2;
const PART_HEAD: usize = HEAD + 2 + 2 + 4;

type Decoded<T> = std::result::Result<T, RecordError>;

/// No queue has ever held this many messages or bytes, so additions to it do not overflow.
const MAX_TOTAL: u64 = 1 << 60;

/// A decoded page.
pub enum Page {
    Whole {
        before: Totals,
        /// `None`: the host has dropped it.
        messages: Vec<Option<Message>>,
    },
    Part {
        before: Totals,
        part: Part,
    },
}

/// One part of a large message. Each part has a page of its own.
pub struct Part {
    pub index: u16,
    pub of: u16,
    pub crc: u32,
    pub bytes: Bytes,
}

/// Encodes the data of the pages for these messages: one page, or the parts of a single message. `None` if there are
/// several messages that do not fit into a page of this `capacity`.
pub fn encode(before: Totals, messages: &[Request], capacity: usize) -> Option<Vec<Bytes>> {
    let encoded: Vec<Bytes> = messages.iter().map(message::encode).collect();
    let messages: Vec<&[u8]> = encoded.iter().map(|message| message.as_slice()).collect();
    let len: usize = messages.iter().map(|message| message.len()).sum();
    match messages.as_slice() {
        _ if WHOLE_HEAD + len <= capacity => Some(vec![whole(before, &messages)]),
        [message] => Some(parts(before, message, capacity.checked_sub(PART_HEAD)?)),
        _ => None,
    }
}

/// The page without this message, which the host drops. The other messages keep their index and bytes. `None` if it
/// does not exist.
pub fn without(data: &[u8], index: usize) -> Decoded<Option<Bytes>> {
    let mut reader = Reader::new(data);
    let (kind, before) = head(&mut reader)?;
    match kind {
        WHOLE => {
            let mut messages = messages(reader)?;
            match messages.get_mut(index).filter(|message| **message != DROPPED) {
                Some(message) => *message = DROPPED,
                None => return Ok(None),
            }
            Ok(Some(whole(before, &messages)))
        }
        // If the first part is missing, the other parts are ignored.
        _ => Ok((index == 0 && reader.u16()? == 0).then(|| whole(before, &[DROPPED]))),
    }
}

fn whole(before: Totals, messages: &[&[u8]]) -> Bytes {
    let mut out = Writer::with_capacity(WHOLE_HEAD + messages.iter().map(|message| message.len()).sum::<usize>());
    write_head(&mut out, WHOLE, before);
    out.u16(messages.len() as u16);
    messages.iter().for_each(|message| out.bytes(message));
    out.finish()
}

fn write_head(out: &mut Writer, kind: u8, before: Totals) {
    out.u8(kind);
    out.u64(before.messages);
    out.u64(before.bytes);
}

fn parts(before: Totals, message: &[u8], room: usize) -> Vec<Bytes> {
    let crc = crc32fast::hash(message);
    let parts = message.chunks(room.max(1));
    let of = parts.len() as u16;
    let part = |(index, bytes): (u16, &[u8])| {
        let mut out = Writer::with_capacity(PART_HEAD + bytes.len());
        write_head(&mut out, PART, before);
        out.u16(index);
        out.u16(of);
        out.u32(crc);
        out.bytes(bytes);
        out.finish()
    };
    (0..).zip(parts).map(part).collect()
}

pub fn decode(data: &[u8]) -> Decoded<Page> {
    let mut reader = Reader::new(data);
    let (kind, before) = head(&mut reader)?;
    if kind == WHOLE {
        let messages = messages(reader)?.into_iter().map(message::decode).collect::<Decoded<_>>()?;
        return Ok(Page::Whole { before, messages });
    }
    let (index, of, crc) = (reader.u16()?, reader.u16()?, reader.u32()?);
    if index >= of {
        return Err(RecordError::broken("its part number is too large"));
    }
    Ok(Page::Part { before, part: Part { index, of, crc, bytes: Zeroizing::new(reader.rest().to_vec()) } })
}

fn head(reader: &mut Reader) -> Decoded<(u8, Totals)> {
    let kind = reader.u8()?;
    if ![WHOLE, PART].contains(&kind) {
        return Err(RecordError::broken("it is not a page of the queue"));
    }
    let before = Totals { messages: reader.u64()?, bytes: reader.u64()? };
    if before.messages > MAX_TOTAL || before.bytes > MAX_TOTAL {
        return Err(RecordError::broken("its totals are too large"));
    }
    Ok((kind, before))
}

/// The bytes of each message.
fn messages(mut reader: Reader<'_>) -> Decoded<Vec<&[u8]>> {
    let count = usize::from(reader.u16()?);
    if !(1..=MAX_TOGETHER).contains(&count) {
        return Err(RecordError::broken("it holds too many messages, or none"));
    }
    let mut left = reader.rest();
    let mut messages = Vec::with_capacity(count);
    for _ in 0..count {
        let (message, rest) = message::split(left)?;
        messages.push(message);
        left = rest;
    }
    match left {
        [] => Ok(messages),
        more => Err(RecordError::broken(format!("{} bytes too many", more.len()))),
    }
}

/// Joins the parts of a message.
pub fn join(parts: &[Part]) -> Decoded<Message> {
    let mut message = Zeroizing::new(Vec::with_capacity(parts.iter().map(|part| part.bytes.len()).sum()));
    parts.iter().for_each(|part| message.extend_from_slice(&part.bytes));
    if parts.iter().any(|part| part.crc != crc32fast::hash(&message)) {
        return Err(RecordError::broken("its parts belong to different messages"));
    }
    match message::split(&message)? {
        (whole, []) => message::decode(whole)?.ok_or_else(|| RecordError::broken("its parts are not a message")),
        _ => Err(RecordError::broken("it is longer than its message")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::request::{Moment, PostTime};
    use crate::protocol::Operation;

    fn publish(len: usize) -> Request {
        let params = (0..len).map(|n| n as u8).collect();
        let (operation, name) = (Operation::ENOS_OP_PUBLISH, "/a/b".into());
        Request { operation, name, params, until_reply: false, resume: false, time: PostTime::Own, members: 0 }
    }

    fn post() -> Request {
        let (operation, params) = (Operation::ENOS_OP_MEASUREPOINT_POST, b"{\"time\":1}".to_vec());
        let time = PostTime::Stamp(Moment { boot: 7, ms: 8 });
        Request { operation, name: String::new(), params, until_reply: true, resume: true, time, members: 0 }
    }

    const BEFORE: Totals = Totals { messages: 3, bytes: 300 };

    #[test]
    fn what_is_small_shares_a_page() {
        let messages = [publish(0), post(), publish(100)];
        let pages = encode(BEFORE, &messages, 1000).unwrap();
        let [page] = pages.as_slice() else { panic!("{} pages", pages.len()) };
        let Page::Whole { before, messages: read } = decode(page).unwrap() else { panic!("a part") };
        let mut all: Vec<_> = messages.iter().cloned().map(Message::Request).map(Some).collect();
        assert_eq!((before, &read), (BEFORE, &all));
        all[1] = None;
        let rest = without(page, 1).unwrap().unwrap();
        assert!(without(&rest, 1).unwrap().is_none() && without(page, 3).unwrap().is_none());
        let Page::Whole { before, messages: read } = decode(&rest).unwrap() else { panic!("a part") };
        assert_eq!((before, read), (BEFORE, all), "one is gone, and the others stay where they are");
        assert!(encode(BEFORE, &messages, 100).is_none(), "several that are too large together");
    }

    #[test]
    fn what_is_large_is_spread_and_joined() {
        let message = publish(5_000);
        let pages = encode(BEFORE, std::slice::from_ref(&message), 1000).unwrap();
        assert!(pages.len() == 6 && pages.iter().all(|page| page.len() <= 1000), "{}", pages.len());
        let mut parts: Vec<Part> = pages
            .iter()
            .map(|page| match decode(page).unwrap() {
                Page::Part { part, .. } => part,
                Page::Whole { .. } => panic!("whole"),
            })
            .collect();
        assert_eq!(join(&parts).unwrap(), Message::Request(message));
        parts.swap(0, 1);
        assert!(join(&parts).is_err());
    }

    #[test]
    fn no_part_of_a_page_passes_for_the_whole_and_no_byte_is_ignored() {
        let page = &encode(BEFORE, &[publish(20), post()], 1000).unwrap()[0];
        for len in 0..page.len() {
            assert!(decode(&page[..len]).is_err(), "the first {len} bytes");
        }
        assert!(decode(&[page, &b"x"[..]].concat()).is_err());
        let mut random = fastrand::Rng::with_seed(3);
        for _ in 0..20_000 {
            let mut page = page.to_vec();
            let from = random.usize(..page.len());
            page[from..].fill_with(|| random.u8(..));
            let _ = decode(&page);
        }
    }
}
