//! A message that is kept until it is through: what it is, and the token that names it for as long.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{envelope, json, topic};
use crate::error::{Error, Result};

/// Messages that can be accepted together, and share a page of the queue.
pub const MAX_TOGETHER: usize = 256;

/// Times in a post, in milliseconds since 1970: from 1973 to 5138. Seconds, and a clock that was never set, lie outside.
const TIMES_MS: std::ops::RangeInclusive<u64> = 100_000_000_000..=100_000_000_000_000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Durable {
    pub content: Content,
    /// Through only when EnOS has answered 200, not at the broker's acknowledgement.
    pub until_reply: bool,
    /// A post that goes out later than on the link on which it was accepted goes as late data.
    pub resume: bool,
    pub time: PostTime,
}

/// Where the "time" of a post comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PostTime {
    /// It has one.
    #[default]
    Own,
    /// It may have none: then EnOS takes the time at which it arrives.
    Without,
    /// It gets one when the clock is known: it was accepted at this moment.
    Stamp(Moment),
}

/// A moment of a boot, in milliseconds since then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Which boot. 0: nobody knows.
    pub boot: u64,
    pub ms: u64,
}

/// 2020-01-01: a clock that stands before it was never set.
pub const CLOCK_IS_SET_MS: u64 = 1_577_836_800_000;

/// `params`, which are an object that has members, with this time.
pub fn stamped(params: &[u8], time_ms: u64) -> Vec<u8> {
    let inside = params.trim_ascii_start();
    [format!("{{\"time\":{time_ms},").as_bytes(), inside.get(1..).unwrap_or_default()].concat()
}

/// Whether a post has a time of its own; false as well when it is no post.
pub fn has_time(params: &[u8]) -> bool {
    json::object::<Fields>("params_json", params).is_ok_and(|fields| fields.time.is_some())
}

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    measurepoints: Option<&'a RawValue>,
    /// One that is null is one, too.
    #[serde(borrow, default, deserialize_with = "there")]
    time: Option<&'a RawValue>,
}

fn there<'a, D: serde::Deserializer<'a>>(value: D) -> std::result::Result<Option<&'a RawValue>, D::Error> {
    Deserialize::deserialize(value).map(Some)
}

#[derive(Clone, PartialEq, Eq)]
pub enum Content {
    Publish {
        topic: String,
        payload: Vec<u8>,
    },
    /// The "params" of a post of measure points; the envelope is made anew for each transmission.
    Measurepoints {
        params: Vec<u8>,
    },
}

impl Content {
    /// Without the topic.
    pub fn payload(&self) -> &[u8] {
        match self {
            Content::Publish { payload, .. } => payload,
            Content::Measurepoints { params } => params,
        }
    }

    /// What it takes up in memory, near enough.
    pub fn size(&self) -> usize {
        match self {
            Content::Publish { topic, payload } => topic.len() + payload.len(),
            Content::Measurepoints { params } => params.len(),
        }
    }
}

/// Shows sizes in place of payloads.
impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Content::Publish { topic, payload } => write!(f, "Publish({topic:?}, {} bytes)", payload.len()),
            Content::Measurepoints { params } => write!(f, "Measurepoints({} bytes)", params.len()),
        }
    }
}

impl Durable {
    /// Whether it can go out at all: what is wrong with it is said now, and not when the caller is long gone.
    pub fn check(&self) -> Result<()> {
        match &self.content {
            Content::Publish { .. } if self.until_reply || self.resume || self.time != PostTime::Own => {
                Err(Error::invalid("flags: ENOS_PUBLISH_UNTIL_REPLY, _RESUME, _STAMP and _WITHOUT_TIME are for posts; a plain publish has no reply"))
            }
            Content::Publish { topic, payload } => {
                topic::validate_publish_topic(topic)?;
                envelope::check_size(payload.len())
            }
            Content::Measurepoints { params } => {
                // The longest envelope that it can get, and the time that it may get.
                let longest = envelope::request(&u64::MAX.to_string(), "thing.measurepoint.resume", params)?;
                check_params(params, self.time == PostTime::Own)?;
                let time = match self.time {
                    PostTime::Stamp(_) if !has_time(params) => stamped(b"", u64::MAX).len(),
                    _ => 0,
                };
                envelope::check_size(longest.len() + time)
            }
        }
    }
}

/// What EnOS would refuse: points that are none. And what is sent later needs the time of its measurement, for EnOS would
/// take that of its arrival.
fn check_params(params: &[u8], needs_time: bool) -> Result<()> {
    let missing = || {
        Error::invalid(
            "params_json: a durable post needs its own \"time\", a whole number of milliseconds since 1970; it may be \
             sent much later. Or ENOS_PUBLISH_STAMP, or ENOS_PUBLISH_WITHOUT_TIME",
        )
    };
    let fields: Fields = json::object("params_json", params).map_err(|error| Error::invalid(error.message))?;
    let inside = fields.measurepoints.and_then(|points| points.get().strip_prefix('{')?.strip_suffix('}'));
    if inside.is_none_or(|inside| inside.trim().is_empty()) {
        return Err(Error::invalid("params_json: its \"measurepoints\" have to be an object with at least one member"));
    }
    if fields.time.is_none() && !needs_time {
        return Ok(());
    }
    let time: u64 = fields.time.and_then(|time| time.get().parse().ok()).ok_or_else(missing)?;
    if !TIMES_MS.contains(&time) {
        return Err(Error::invalid(format!(
            "params_json: \"time\" is {time}, which is no time of our days in milliseconds since 1970"
        )));
    }
    Ok(())
}

/// Tokens of durable messages: apart from all others, and never used twice for one device's storage.
const TOKENS: u64 = 1 << 62;

/// The token of the message at `index` of a page.
pub fn token(page: u64, index: usize) -> u64 {
    TOKENS | (page << 8) | (index as u64 & 0xFF)
}

/// Page and index of the message with this token; `None`: it is no durable message's.
pub fn place(token: u64) -> Option<(u64, usize)> {
    (token & TOKENS != 0 && token < TOKENS << 1).then_some(((token & !TOKENS) >> 8, (token & 0xFF) as usize))
}

/// Messages and bytes: how many the queue has ever held before some point, or their difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub messages: u64,
    pub bytes: u64,
}

impl Totals {
    pub fn plus(self, messages: u64, bytes: u64) -> Totals {
        Totals { messages: self.messages.saturating_add(messages), bytes: self.bytes.saturating_add(bytes) }
    }

    pub fn since(self, earlier: Totals) -> Totals {
        Totals {
            messages: self.messages.saturating_sub(earlier.messages),
            bytes: self.bytes.saturating_sub(earlier.bytes),
        }
    }
}

/// Messages, by their tokens, that were under way when the link was lost, and how often in a row that was so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suspect {
    pub first: u64,
    pub last: u64,
    pub losses: u8,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Status;

    fn post(params: &str) -> Durable {
        let content = Content::Measurepoints { params: params.into() };
        Durable { content, until_reply: true, resume: true, time: PostTime::Own }
    }

    #[test]
    fn a_post_needs_a_time_in_milliseconds() {
        post(r#"{"measurepoints":{"t":1},"time":1700000000000}"#).check().unwrap();
        for params in [
            r#"{"measurepoints":{"t":1}}"#,
            r#"{"measurepoints":{"t":1},"time":null}"#,
            r#"{"measurepoints":{"t":1},"time":"1700000000000"}"#,
            r#"{"measurepoints":{"t":1},"time":1700000000}"#,
            r#"{"measurepoints":{"t":1},"time":-1}"#,
            r#"{"measurepoints":{"t":1},"time":1700000000000.5}"#,
            r#"{"measurepoints":{"t":1},"time":1700000000000,"time":1700000000000}"#,
            r#"[{"measurepoints":{"t":1},"time":1700000000000}]"#,
            "{",
        ] {
            assert_eq!(post(params).check().unwrap_err().status, Status::ENOS_ERR_INVALID_ARG, "{params}");
        }
    }

    #[test]
    fn a_post_gets_a_time_or_needs_none() {
        for time in [PostTime::Without, PostTime::Stamp(Moment { boot: 1, ms: 2 })] {
            let message = Durable { time, ..post(r#" {"measurepoints":{"t":1}}"#) };
            message.check().unwrap();
            let content = Content::Measurepoints { params: stamped(message.content.payload(), 1_700_000_000_000) };
            Durable { content, ..post("") }.check().unwrap();
            let wrong = Durable { time, ..post(r#"{"measurepoints":{"t":1},"time":5}"#) };
            assert_eq!(wrong.check().unwrap_err().status, Status::ENOS_ERR_INVALID_ARG);
        }
        // It would have two of them, or one that EnOS cannot read.
        for time in [PostTime::Without, PostTime::Stamp(Moment { boot: 1, ms: 2 })] {
            let wrong = Durable { time, ..post(r#"{"measurepoints":{"t":1},"time":null}"#) };
            assert_eq!(wrong.check().unwrap_err().status, Status::ENOS_ERR_INVALID_ARG, "{time:?}");
        }
        assert!(
            has_time(br#"{"time":1}"#)
                && has_time(br#"{"time":null}"#)
                && !has_time(br#"{"a":{"time":1}}"#)
                && !has_time(b"[")
        );
    }

    #[test]
    fn a_post_has_points() {
        for points in [r#""#, r#""measurepoints":{ },"#, r#""measurepoints":[1],"#, r#""measurepoints":"{1}","#] {
            let error = post(&format!(r#"{{{points}"time":1700000000000}}"#)).check().unwrap_err();
            assert!(error.message.contains("at least one member"), "{points}: {error}");
        }
    }

    #[test]
    fn sizes_topics_and_flags_are_checked() {
        let publish = |topic: &str, len| Durable {
            content: Content::Publish { topic: topic.into(), payload: vec![0; len] },
            until_reply: false,
            resume: false,
            time: PostTime::Own,
        };
        publish("/a", envelope::MAX_PAYLOAD).check().unwrap();
        assert_eq!(publish("/a", envelope::MAX_PAYLOAD + 1).check().unwrap_err().status, Status::ENOS_ERR_TOO_LARGE);
        assert_eq!(publish("/a/+", 1).check().unwrap_err().status, Status::ENOS_ERR_INVALID_ARG);
        for (until_reply, resume) in [(true, false), (false, true)] {
            let wrong = Durable { until_reply, resume, ..publish("/a", 1) };
            assert_eq!(wrong.check().unwrap_err().status, Status::ENOS_ERR_INVALID_ARG);
        }
        let large = format!(r#"{{"time":1700000000000,"x":"{}"}}"#, "x".repeat(envelope::MAX_PAYLOAD));
        assert_eq!(post(&large).check().unwrap_err().status, Status::ENOS_ERR_TOO_LARGE);
    }

    #[test]
    fn a_post_that_is_to_be_stamped_has_room_for_its_time() {
        let mut taken = 0;
        for len in (0..200).map(|less| envelope::MAX_PAYLOAD - less) {
            let params = |len| format!(r#"{{"measurepoints":{{"t":"{}"}}}}"#, "x".repeat(len - 26)).into_bytes();
            let stamp = PostTime::Stamp(Moment { boot: 1, ms: 2 });
            let content = Content::Measurepoints { params: params(len) };
            if (Durable { time: stamp, content, ..post("") }).check().is_ok() {
                taken += 1;
                let content = Content::Measurepoints { params: stamped(&params(len), 1_700_000_000_000) };
                Durable { content, ..post("") }.check().unwrap();
            }
        }
        assert!(taken > 50, "{taken}");
    }

    #[test]
    fn tokens_are_apart_and_in_order() {
        assert!(token(1, 0) > u64::from(u32::MAX) && token(1, 255) < token(2, 0));
        assert!(token(u64::from(u32::MAX) << 8, 3) > token(7, 9));
        assert_eq!([place(token(7, 9)), place(7 << 8), place(u64::MAX)], [Some((7, 9)), None, None]);
    }

    #[test]
    fn debug_shows_no_payload() {
        let shown = format!("{:?}", post(r#"{"time":1700000000000,"password":"x"}"#));
        assert!(!shown.contains("password"), "{shown}");
    }
}
