//! What stands in a page of the queue. Integers are little-endian.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | 1: whole messages; 2: a part of one message that is too large for a page |
//! | 8, 8 | messages and bytes that the queue had taken before this page: their differences are its length |
//! | | of whole messages: `u16` how many, then each as below |
//! | | of a part: `u16` which, `u16` of how many, `u32` CRC-32 of the message, then these bytes of it |
//!
//! A message: `u8` kind (0: publish, 1: measure points), `u8` flags (1: until the reply, 2: resume, 4: to be stamped), where it
//! is to be stamped the `u64` boot and the `u64` milliseconds since then at which it was accepted, topic as a text (of
//! a publish only), `u32` length of the payload, the payload. One that the host has dropped is its kind alone, 2.

use zeroize::Zeroizing;

use crate::protocol::outbox::MAX_TOGETHER;
use crate::protocol::request::{Moment, PostTime};
use crate::protocol::{Operation, Request, Totals};
use crate::storage::bytes::{Reader, Writer};
use crate::storage::record::RecordError;

const WHOLE: u8 = 1;
const PART: u8 = 2;
const PUBLISH: u8 = 0;
const MEASUREPOINTS: u8 = 1;
const GONE: u8 = 2;
const UNTIL_REPLY: u8 = 1;
const RESUME: u8 = 2;
const STAMP: u8 = 4;
const HEAD: usize = 1 + 8 + 8;
const WHOLE_HEAD: usize = HEAD + 2;
const PART_HEAD: usize = HEAD + 2 + 2 + 4;

type Decoded<T> = std::result::Result<T, RecordError>;
type Bytes = Zeroizing<Vec<u8>>;

/// No queue has held so many messages or bytes: what is added to it does not overflow.
const MAX_TOTAL: u64 = 1 << 60;

/// A page as it is read.
pub enum Page {
    Whole { before: Totals, messages: Vec<Option<Request>> },
    Part { before: Totals, part: Part },
}

/// One of the pages that a large message is spread over.
pub struct Part {
    pub index: u16,
    pub of: u16,
    pub crc: u32,
    pub bytes: Bytes,
}

/// The data of the pages that these messages take, one behind the other: one page, or the parts of a single message.
/// `None` when they do not fit: several messages, and more than a page's `capacity`.
pub fn encode(before: Totals, messages: &[Request], capacity: usize) -> Option<Vec<Bytes>> {
    let encoded: Vec<Bytes> = messages.iter().map(|message| encode_message(Some(message))).collect();
    let len: usize = encoded.iter().map(|message| message.len()).sum();
    match encoded.as_slice() {
        _ if WHOLE_HEAD + len <= capacity => Some(vec![whole(before, &encoded)]),
        [message] => Some(parts(before, message, capacity.checked_sub(PART_HEAD)?)),
        _ => None,
    }
}

/// A page of which some messages are gone.
pub fn encode_rest(before: Totals, messages: &[Option<Request>]) -> Bytes {
    let encoded: Vec<Bytes> = messages.iter().map(|message| encode_message(message.as_ref())).collect();
    whole(before, &encoded)
}

fn whole(before: Totals, messages: &[Bytes]) -> Bytes {
    let mut out = Writer::with_capacity(WHOLE_HEAD + messages.iter().map(|message| message.len()).sum::<usize>());
    head(&mut out, WHOLE, before);
    out.u16(messages.len() as u16);
    messages.iter().for_each(|message| out.bytes(message));
    out.finish()
}

fn head(out: &mut Writer, kind: u8, before: Totals) {
    out.u8(kind);
    out.bytes(&before.messages.to_le_bytes());
    out.bytes(&before.bytes.to_le_bytes());
}

fn parts(before: Totals, message: &[u8], room: usize) -> Vec<Bytes> {
    let crc = crc32fast::hash(message);
    let parts = message.chunks(room.max(1));
    let of = parts.len() as u16;
    let part = |(index, bytes): (u16, &[u8])| {
        let mut out = Writer::with_capacity(PART_HEAD + bytes.len());
        head(&mut out, PART, before);
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
    let kind = reader.u8()?;
    let before = Totals { messages: reader.u64()?, bytes: reader.u64()? };
    if before.messages > MAX_TOTAL || before.bytes > MAX_TOTAL {
        return Err(RecordError::broken("no queue has held so much"));
    }
    match kind {
        WHOLE => {
            let count = usize::from(reader.u16()?);
            if !(1..=MAX_TOGETHER).contains(&count) {
                return Err(RecordError::broken("it holds more messages than a page can, or none"));
            }
            let messages = (0..count).map(|_| take_message(&mut reader)).collect::<Decoded<Vec<_>>>()?;
            end(reader)?;
            Ok(Page::Whole { before, messages })
        }
        PART => {
            let (index, of, crc) = (reader.u16()?, reader.u16()?, reader.u32()?);
            if index >= of {
                return Err(RecordError::broken("it is a part beyond the last"));
            }
            Ok(Page::Part { before, part: Part { index, of, crc, bytes: Zeroizing::new(reader.rest().to_vec()) } })
        }
        _ => Err(RecordError::broken("it is no page of the queue")),
    }
}

/// The message whose parts these are.
pub fn join(parts: &[Part]) -> Decoded<Request> {
    let mut message = Zeroizing::new(Vec::with_capacity(parts.iter().map(|part| part.bytes.len()).sum()));
    parts.iter().for_each(|part| message.extend_from_slice(&part.bytes));
    if parts.iter().any(|part| part.crc != crc32fast::hash(&message)) {
        return Err(RecordError::broken("its parts are not of one message"));
    }
    decode_message(&message)?.ok_or_else(|| RecordError::broken("its parts are of no message"))
}

/// `None`: it is gone.
pub fn encode_message(message: Option<&Request>) -> Bytes {
    let Some(message) = message else { return Zeroizing::new(vec![GONE]) };
    let mut out = Writer::with_capacity(1 + 1 + 16 + 2 + message.size() + 4);
    let mut flags = (u8::from(message.until_reply) * UNTIL_REPLY) | (u8::from(message.resume) * RESUME);
    let stamp = match message.time {
        PostTime::Stamp(moment) => {
            flags |= STAMP;
            Some(moment)
        }
        PostTime::Own | PostTime::Without => None,
    };
    match message.operation {
        Operation::ENOS_OP_PUBLISH => {
            out.u8(PUBLISH);
            out.u8(flags);
            out.text(&message.name);
        }
        Operation::ENOS_OP_MEASUREPOINT_POST | Operation::ENOS_OP_MEASUREPOINT_RESUME => {
            out.u8(MEASUREPOINTS);
            out.u8(flags);
            for number in stamp.iter().flat_map(|moment| [moment.boot, moment.ms]) {
                out.bytes(&number.to_le_bytes());
            }
        }
    }
    out.u32(message.params.len() as u32);
    out.bytes(&message.params);
    out.finish()
}

pub fn decode_message(bytes: &[u8]) -> Decoded<Option<Request>> {
    let mut reader = Reader::new(bytes);
    let message = take_message(&mut reader)?;
    end(reader)?;
    Ok(message)
}

fn take_message(reader: &mut Reader) -> Decoded<Option<Request>> {
    let kind = reader.u8()?;
    if kind == GONE {
        return Ok(None);
    }
    let flags = reader.u8()?;
    let time = match flags & STAMP {
        0 => PostTime::Own,
        _ => PostTime::Stamp(Moment { boot: reader.u64()?, ms: reader.u64()? }),
    };
    let (operation, name) = match kind {
        PUBLISH => (Operation::ENOS_OP_PUBLISH, reader.text()?.to_owned()),
        MEASUREPOINTS => (Operation::ENOS_OP_MEASUREPOINT_POST, String::new()),
        _ => return Err(RecordError::broken("it holds a message of a kind that is not known")),
    };
    let len = reader.u32()? as usize;
    let params = reader.bytes(len)?.to_vec();
    let (until_reply, resume) = (flags & UNTIL_REPLY != 0, flags & RESUME != 0);
    Ok(Some(Request { operation, name, params, until_reply, resume, time }))
}

fn end(reader: Reader) -> Decoded<()> {
    match reader.rest() {
        [] => Ok(()),
        more => Err(RecordError::broken(format!("{} bytes too many", more.len()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publish(len: usize) -> Request {
        let params = (0..len).map(|n| n as u8).collect();
        let (operation, name) = (Operation::ENOS_OP_PUBLISH, "/a/b".into());
        Request { operation, name, params, until_reply: false, resume: false, time: PostTime::Own }
    }

    fn post() -> Request {
        let (operation, params) = (Operation::ENOS_OP_MEASUREPOINT_POST, b"{\"time\":1}".to_vec());
        let time = PostTime::Stamp(Moment { boot: 7, ms: 8 });
        Request { operation, name: String::new(), params, until_reply: true, resume: true, time }
    }

    const BEFORE: Totals = Totals { messages: 3, bytes: 300 };

    #[test]
    fn what_is_small_shares_a_page() {
        let messages = [publish(0), post(), publish(100)];
        let pages = encode(BEFORE, &messages, 1000).unwrap();
        let [page] = pages.as_slice() else { panic!("{} pages", pages.len()) };
        let Page::Whole { before, messages: read } = decode(page).unwrap() else { panic!("a part") };
        let mut all: Vec<_> = messages.iter().cloned().map(Some).collect();
        assert_eq!((before, &read), (BEFORE, &all));
        all[1] = None;
        let Page::Whole { before, messages: read } = decode(&encode_rest(BEFORE, &all)).unwrap() else {
            panic!("a part")
        };
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
        assert_eq!(join(&parts).unwrap(), message);
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
