//! A request that the outbox keeps until it is completed.

use super::envelope;
use super::operations::{Durability, Operation, Params, Reply, Time};
use crate::error::{Error, Result};

/// 2020-01-01: a clock before this date was never set.
pub const CLOCK_IS_SET_MS: u64 = 1_577_836_800_000;

#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    pub operation: Operation,
    /// The topic of a publish. Empty if the operation has no name.
    pub name: String,
    /// The payload of a publish, otherwise the "params" of the request. The envelope is made anew for each
    /// transmission.
    pub params: Vec<u8>,
    /// Only the answer 200 from EnOS completes it. The broker's acknowledgement does not.
    pub until_reply: bool,
    /// It is sent as late data on a later link than the one on which it was accepted.
    pub resume: bool,
    pub time: PostTime,
    /// The flags that become members of the message.
    pub members: u32,
}

/// Where the "time" in the params comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PostTime {
    /// The params contain it, or the operation has none.
    #[default]
    Own,
    /// The params may have none. Then EnOS takes the time at which the request arrives.
    Without,
    /// It is added when the clock is set. The request was accepted at this moment.
    Stamp(Moment),
}

/// A moment of a boot, in milliseconds since its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The boot. 0 if it is unknown.
    pub boot: u64,
    pub ms: u64,
}

/// Adds this time to `params`, an object.
pub fn stamped(params: &[u8], time_ms: u64) -> Vec<u8> {
    with_members(params, &format!("\"time\":{time_ms}"))
}

/// Adds these members to `params`, an object.
pub fn with_members(params: &[u8], members: &str) -> Vec<u8> {
    let inside = params.trim_ascii_start().get(1..).unwrap_or_default();
    let comma = if inside.trim_ascii_start().starts_with(b"}") { "" } else { "," };
    [format!("{{{members}{comma}").as_bytes(), inside].concat()
}

/// Shows the size in place of the params.
impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}({:?}, {} bytes)", self.operation, self.name, self.params.len())
    }
}

impl Request {
    /// Approximately how many bytes it takes in memory.
    pub fn size(&self) -> usize {
        self.name.len() + self.params.len()
    }

    /// The operation that it is sent as. `late`: on a later link than the one on which it was accepted.
    pub fn sent_as(&self, late: bool) -> Operation {
        match self.operation.row().durable {
            Durability::KeptThenLate(other) if self.resume && late => other,
            _ => self.operation,
        }
    }

    /// Checks that the request can be stored and sent. An error must be returned now, because nobody waits for it when
    /// the request is sent.
    pub fn check(&self) -> Result<()> {
        let row = self.operation.row();
        let (late, can_resume) = match row.durable {
            Durability::Never => return Err(Error::invalid("flags: this operation cannot be durable")),
            Durability::Kept => (self.operation, false),
            Durability::KeptThenLate(late) => (late, true),
        };
        let unfit = if self.until_reply && row.reply == Reply::None {
            Some("ENOS_REQUEST_UNTIL_REPLY: there is no reply")
        } else if self.resume && !can_resume {
            Some("ENOS_REQUEST_RESUME is for posts of measure points")
        } else if self.time != PostTime::Own && row.time == Time::None {
            Some("ENOS_REQUEST_STAMP and _WITHOUT_TIME: there is no \"time\" in the params")
        } else if matches!(self.time, PostTime::Stamp(_)) && row.time == Time::OfEach {
            Some("ENOS_REQUEST_STAMP: each item has a \"time\" of its own")
        } else {
            None
        };
        if let Some(words) = unfit {
            return Err(Error::invalid(format!("flags: {:?} does not take {words}", self.operation)));
        }
        row.check_members(self.members)?;
        row.check_name(&self.name)?;
        // Check the longest payload that it can have, with the time that may be added.
        let id = u64::MAX.to_string();
        let longest = match row.params {
            Params::Bytes => self.params.len(),
            Params::Object | Params::Array | Params::Json => {
                let method_len = |operation: &Operation| operation.method(&self.name).len();
                let longer = [self.operation, late].into_iter().max_by_key(method_len).unwrap_or(late);
                longer.request(&id, &self.name, &self.params, self.members)?.len()
            }
        };
        (row.check)(&self.params)?;
        let gets_time = !row.time.is_in(&self.params)?;
        match self.time {
            PostTime::Own if gets_time => {
                let (who, or) = match row.time {
                    Time::OfEach => ("each item of a durable batch", ""),
                    Time::None | Time::OfAll => ("a durable post", "ENOS_REQUEST_STAMP, or "),
                };
                Err(Error::invalid(format!(
                    "params: {who} needs its own \"time\", a whole number of milliseconds since 1970; it may be sent \
                     much later. Or {or}ENOS_REQUEST_WITHOUT_TIME"
                )))
            }
            PostTime::Stamp(_) if gets_time => envelope::check_size(longest + stamped(b"", u64::MAX).len()),
            _ => envelope::check_size(longest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Status;

    fn post(params: &str) -> Request {
        Request {
            operation: Operation::ENOS_OP_MEASUREPOINT_POST,
            name: String::new(),
            params: params.into(),
            until_reply: true,
            resume: true,
            time: PostTime::Own,
            members: 0,
        }
    }

    const STAMP: PostTime = PostTime::Stamp(Moment { boot: 1, ms: 2 });

    fn refused(request: &Request) -> String {
        let error = request.check().unwrap_err();
        assert_eq!(error.status, Status::ENOS_ERR_INVALID_ARG, "{error}");
        error.message
    }

    #[test]
    fn a_post_has_a_time_gets_one_or_goes_without() {
        post(r#"{"measurepoints":{"t":1},"time":1700000000000}"#).check().unwrap();
        assert!(refused(&post(r#"{"measurepoints":{"t":1}}"#)).contains("needs its own \"time\""));
        assert!(refused(&post("[]")).contains("takes an object"));
        for time in [PostTime::Without, STAMP] {
            let message = Request { time, ..post(r#" {"measurepoints":{"t":1}}"#) };
            message.check().unwrap();
            let params = stamped(&message.params, 1_700_000_000_000);
            Request { params, ..post("") }.check().unwrap();
            // Another time would be added, or EnOS cannot read this one.
            for wrong in ["5", "null"] {
                refused(&Request { time, ..post(&format!(r#"{{"measurepoints":{{"t":1}},"time":{wrong}}}"#)) });
            }
        }
    }

    #[test]
    fn each_time_of_an_event_a_log_and_a_batch_is_checked() {
        use Operation::*;
        let cases = [
            (ENOS_OP_EVENT_POST, "e", r#"{"events":{},"#, "}"),
            (ENOS_OP_LOG_POST, "", r#"{"logs":{},"#, "}"),
            (ENOS_OP_MEASUREPOINT_POST, "", r#"{"measurepoints":{"t":1},"#, "}"),
            (ENOS_OP_MEASUREPOINT_POST_BATCH, "", r#"[{"measurepoints":{"t":1},"#, "}]"),
            (ENOS_OP_MEASUREPOINT_RESUME_BATCH, "", r#"[{"measurepoints":{"t":1},"#, "}]"),
        ];
        for (operation, name, before, after) in cases {
            let with =
                |params: String, time| Request { operation, name: name.into(), resume: false, time, ..post(&params) };
            for time in [PostTime::Own, PostTime::Without, STAMP] {
                let can_be_stamped = time != STAMP || after == "}";
                let good = with(format!(r#"{before}"time":1700000000000{after}"#), time).check();
                assert_eq!(good.is_ok(), can_be_stamped, "{operation:?} {time:?}");
                for wrong in ["null", r#""yesterday""#, "1700000000"] {
                    refused(&with(format!(r#"{before}"time":{wrong}{after}"#), time));
                }
                let none = with(format!(r#"{}{after}"#, before.trim_end_matches(',')), time);
                assert_eq!(none.check().is_ok(), time != PostTime::Own && can_be_stamped, "{operation:?} {time:?}");
            }
        }
    }

    #[test]
    fn sizes_topics_and_flags_are_checked() {
        let publish = |topic: &str, len| Request {
            operation: Operation::ENOS_OP_PUBLISH,
            name: topic.into(),
            params: vec![0; len],
            until_reply: false,
            resume: false,
            time: PostTime::Own,
            members: 0,
        };
        publish("/a", envelope::MAX_PAYLOAD).check().unwrap();
        assert_eq!(publish("/a", envelope::MAX_PAYLOAD + 1).check().unwrap_err().status, Status::ENOS_ERR_TOO_LARGE);
        refused(&publish("/a/+", 1));
        for (until_reply, resume, time) in
            [(true, false, PostTime::Own), (false, true, PostTime::Own), (false, false, PostTime::Without)]
        {
            refused(&Request { until_reply, resume, time, ..publish("/a", 1) });
        }
        let large = format!(r#"{{"time":1700000000000,"x":"{}"}}"#, "x".repeat(envelope::MAX_PAYLOAD));
        assert_eq!(post(&large).check().unwrap_err().status, Status::ENOS_ERR_TOO_LARGE);
    }

    #[test]
    fn late_data_goes_as_such_if_the_host_wants_it() {
        let (post, now) = (post("{}"), Operation::ENOS_OP_MEASUREPOINT_POST);
        assert_eq!((post.sent_as(false), post.sent_as(true)), (now, Operation::ENOS_OP_MEASUREPOINT_RESUME));
        assert_eq!(Request { resume: false, ..post }.sent_as(true), now);
    }

    #[test]
    fn a_post_that_is_to_be_stamped_has_room_for_its_time() {
        let params = |len| format!(r#"{{"measurepoints":{{"t":"{}"}}}}"#, "x".repeat(len - 26)).into_bytes();
        let is_taken = |len: &usize| Request { time: STAMP, params: params(*len), ..post("") }.check().is_ok();
        let longest = (0..150).map(|less| envelope::MAX_PAYLOAD - less).find(is_taken).unwrap();
        let params = stamped(&params(longest), 1_700_000_000_000);
        Request { params, ..post("") }.check().unwrap();
    }

    #[test]
    fn debug_shows_no_params() {
        let shown = format!("{:?}", post(r#"{"time":1700000000000,"password":"x"}"#));
        assert!(!shown.contains("password"), "{shown}");
    }
}
