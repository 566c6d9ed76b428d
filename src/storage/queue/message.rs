//! The format of a message in a page and in a dead letter. Integers are little-endian. Each text follows its length in
//! bytes as u16.
//!
//! The kinds 0 (a publish) and 1 (a post of measure points) are those of the first versions. They are still written for
//! these two, so that a firmware that is rolled back can send what is stored: `u8` kind, `u8` flags as below, the moment
//! as below, the topic as a text (of a publish only), `u32` length of the payload, the payload.
//!
//! Everything else is of kind 3:
//!
//! | bytes | what |
//! |---|---|
//! | 1 | kind: 3, a request |
//! | 4 | length of what follows |
//! | 2 | number of the operation, see [`Operation`] |
//! | 1 | flags: 1 until the reply, 2 resume, 4 to be stamped with a time, 8 `allowOfflineSubDevice`, 16 `skipInvalidMeasurepoints` |
//! | 8, 8 | only if it is to be stamped: the boot in which it was accepted, and the milliseconds since its start |
//! | 2 + n | name |
//! | n | params |
//!
//! A message that the host has dropped is a single byte, the kind 2. Every kind that is added later must have its
//! length after it too, so that a version that does not know it can skip it. Such a version keeps the bytes of the
//! message. It also keeps them if it does not know the operation or a flag.

use zeroize::Zeroizing;

use crate::model::flags::Flag;
use crate::protocol::outbox::Message;
use crate::protocol::request::{Moment, PostTime};
use crate::protocol::{Operation, Request};
use crate::storage::bytes::{Reader, Writer};
use crate::storage::record::RecordError;

const PUBLISH: u8 = 0;
const POST: u8 = 1;
const GONE: u8 = 2;
const REQUEST: u8 = 3;

const UNTIL_REPLY: u8 = 1;
const RESUME: u8 = 2;
const STAMP: u8 = 4;
/// The flags of the host that become members of the message, and theirs here.
const MEMBERS: [(Flag, u8); 2] =
    [(Flag::ENOS_REQUEST_ALLOW_OFFLINE_SUBDEVICE, 8), (Flag::ENOS_REQUEST_SKIP_INVALID_POINTS, 16)];

/// Where the flags of a message of the kind [`REQUEST`] are.
const FLAGS_AT: usize = 1 + 4 + 2;

type Decoded<T> = std::result::Result<T, RecordError>;
pub type Bytes = Zeroizing<Vec<u8>>;

/// A message that the host has dropped.
pub const DROPPED: &[u8] = &[GONE];

pub fn encode(request: &Request) -> Bytes {
    let Request { operation, name, params, .. } = request;
    let moment = match request.time {
        PostTime::Stamp(Moment { boot, ms }) => Some([boot, ms]),
        PostTime::Own | PostTime::Without => None,
    };
    let flags = (u8::from(request.until_reply) * UNTIL_REPLY)
        | (u8::from(request.resume) * RESUME)
        | (u8::from(moment.is_some()) * STAMP)
        | MEMBERS.iter().filter(|(flag, _)| flag.is_in(request.members)).fold(0, |all, (_, bit)| all | bit);
    let len = 2 + 1 + moment.map_or(0, |_| 16) + 2 + name.len() + params.len();
    let mut out = Writer::with_capacity(1 + 4 + len);
    let kind = match operation {
        Operation::ENOS_OP_PUBLISH if moment.is_none() => PUBLISH,
        Operation::ENOS_OP_MEASUREPOINT_POST if name.is_empty() => POST,
        _ => REQUEST,
    };
    out.u8(kind);
    if kind == REQUEST {
        out.u32(len as u32);
        out.u16(*operation as u16);
    }
    out.u8(flags);
    moment.into_iter().flatten().for_each(|number| out.u64(number));
    if kind != POST {
        out.text(name);
    }
    if kind != REQUEST {
        out.u32(params.len() as u32);
    }
    out.bytes(params);
    out.finish()
}

/// `None`: the host has dropped it.
pub fn decode(bytes: &[u8]) -> Decoded<Option<Message>> {
    let mut reader = Reader::new(bytes);
    let unknown =
        |words, flags| Message::Unknown { bytes: bytes.to_vec(), until_reply: flags & UNTIL_REPLY != 0, words };
    Ok(Some(match reader.u8()? {
        GONE => return Ok(None),
        kind @ (PUBLISH | POST) => Message::Request(publish_or_post(kind, &mut reader)?),
        REQUEST => {
            reader.u32()?;
            let flags = bytes.get(FLAGS_AT).copied().unwrap_or_default();
            request(reader).map_or_else(|words| unknown(words, flags), Message::Request)
        }
        kind => unknown(format!("a message of kind {kind} is unknown to this version of the library"), 0),
    }))
}

/// Splits off the first message.
pub fn split(bytes: &[u8]) -> Decoded<(&[u8], &[u8])> {
    let mut reader = Reader::new(bytes);
    match reader.u8()? {
        GONE => {}
        kind @ (PUBLISH | POST) => drop(publish_or_post(kind, &mut reader)?),
        _ => {
            let len = reader.u32()?;
            reader.bytes(len as usize)?;
        }
    }
    Ok(bytes.split_at(bytes.len() - reader.rest().len()))
}

/// The error says why this version cannot send it.
fn request(mut reader: Reader) -> std::result::Result<Request, String> {
    fn words(error: impl Into<RecordError>) -> String {
        error.into().to_string()
    }
    let number = reader.u16().map_err(words)?;
    let operation = Operation::from_number(number.into())
        .ok_or_else(|| format!("operation {number} is unknown to this version of the library"))?;
    let flags = reader.u8().map_err(words)?;
    if flags & !(UNTIL_REPLY | RESUME | STAMP | MEMBERS[0].1 | MEMBERS[1].1) != 0 {
        return Err(format!("one of its flags ({flags:#x}) is unknown to this version of the library"));
    }
    let time = time(flags, &mut reader).map_err(words)?;
    let name = reader.text().map_err(words)?.to_owned();
    let params = reader.rest().to_vec();
    let members = MEMBERS.iter().filter(|(_, bit)| flags & bit != 0).fold(0, |all, (flag, _)| all | *flag as u32);
    let (until_reply, resume) = (flags & UNTIL_REPLY != 0, flags & RESUME != 0);
    Ok(Request { operation, name, params, until_reply, resume, time, members })
}

fn publish_or_post(kind: u8, reader: &mut Reader) -> Decoded<Request> {
    let flags = reader.u8()?;
    let time = time(flags, reader)?;
    let (operation, name) = match kind {
        PUBLISH => (Operation::ENOS_OP_PUBLISH, reader.text()?),
        _ => (Operation::ENOS_OP_MEASUREPOINT_POST, ""),
    };
    let len = reader.u32()? as usize;
    let params = reader.bytes(len)?.to_vec();
    let (until_reply, resume) = (flags & UNTIL_REPLY != 0, flags & RESUME != 0);
    Ok(Request { operation, name: name.to_owned(), params, until_reply, resume, time, members: 0 })
}

fn time(flags: u8, reader: &mut Reader) -> Decoded<PostTime> {
    Ok(match flags & STAMP {
        0 => PostTime::Own,
        _ => PostTime::Stamp(Moment { boot: reader.u64()?, ms: reader.u64()? }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn post() -> Request {
        let (operation, params) = (Operation::ENOS_OP_MEASUREPOINT_RESUME, b"{\"time\":1}".to_vec());
        let time = PostTime::Stamp(Moment { boot: 7, ms: 8 });
        Request { operation, name: String::new(), params, until_reply: true, resume: false, time, members: 0 }
    }

    /// The words, and whether it waits for a reply.
    fn unknown(bytes: &[u8]) -> (String, bool) {
        let Some(message @ Message::Unknown { .. }) = decode(bytes).unwrap() else { panic!("it is known") };
        let until_reply = message.until_reply();
        let Message::Unknown { bytes: kept, words, .. } = message else { panic!("it was unknown") };
        assert_eq!(kept, bytes);
        (words, until_reply)
    }

    #[test]
    fn comes_back_as_it_was() {
        let publish = Request {
            operation: Operation::ENOS_OP_PUBLISH,
            name: "/a/b".into(),
            until_reply: false,
            resume: true,
            time: PostTime::Own,
            ..post()
        };
        let measured = Request { operation: Operation::ENOS_OP_MEASUREPOINT_POST, ..post() };
        let members = Flag::ENOS_REQUEST_SKIP_INVALID_POINTS as u32;
        let batch = Request { operation: Operation::ENOS_OP_MEASUREPOINT_POST_BATCH, members, ..post() };
        for request in [post(), measured, publish, batch] {
            assert_eq!(decode(&encode(&request)).unwrap(), Some(Message::Request(request)));
        }
        assert_eq!(decode(DROPPED).unwrap(), None);
    }

    #[test]
    fn what_a_later_version_wrote_is_kept_as_it_is() {
        let bytes = encode(&post());
        let with = |at: usize, byte| {
            let mut bytes = bytes.to_vec();
            bytes[at] = byte;
            bytes
        };
        for (bytes, words, until_reply) in [
            (with(5, 99), "operation 99 is unknown", true),
            (with(7, 0x41), "flags (0x41)", true),
            (with(7, 0x40), "flags (0x40)", false),
            (with(0, 9), "kind 9", false),
        ] {
            let found = unknown(&bytes);
            assert!(found.0.contains(words) && found.1 == until_reply, "{found:?}");
        }
    }

    #[test]
    fn any_bytes_are_words_or_a_message() {
        let mut random = fastrand::Rng::with_seed(5);
        let whole = encode(&post());
        for _ in 0..20_000 {
            let mut bytes = whole[..random.usize(..=whole.len())].to_vec();
            let from = random.usize(..=bytes.len());
            bytes[from..].fill_with(|| random.u8(..));
            if let Ok((first, rest)) = split(&bytes) {
                assert_eq!([first, rest].concat(), bytes);
                let _ = decode(first);
            }
        }
    }
}
