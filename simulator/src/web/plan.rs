//! What the faults of a request make of its answer.

use std::time::Duration;

use crate::fault::{Action, Fault, HttpAction, Length};

/// How an answer ends before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Stall,
    Cut,
    Reset,
}

/// Where a redirect leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Redirect {
    Times(u64),
    RelativeTimes(u64),
    Loop,
    ToHttp,
    To(String),
}

/// Another body than the image, with 200.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Other {
    Html(usize),
    Text(String),
}

/// The total of a Content-Range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Total {
    Wrong,
    Unknown,
}

/// All faults of an answer together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    pub delay: Duration,
    /// No answer: the link stays open.
    pub is_silent: bool,
    /// No answer, but these bytes, and then the end of the link.
    pub instead: Option<Vec<u8>>,
    /// So many random bytes in place of the answer.
    pub garbage: Option<usize>,
    /// After so many bytes of the body; None: before the head.
    pub end: Option<(Option<u64>, End)>,
    /// Bytes a second.
    pub rate: Option<u64>,
    pub code: Option<u16>,
    pub retry_after: Option<u64>,
    pub redirect: Option<Redirect>,
    pub other: Option<Other>,
    pub is_changed: bool,
    pub longer: i64,
    pub corrupt: Option<u64>,
    pub no_etag: bool,
    pub length: Option<Length>,
    pub no_length: bool,
    pub is_chunked: bool,
    pub endless_headers: bool,
    pub endless_body: bool,
    pub expires: Option<u64>,
    pub expires_after: Option<Duration>,
    pub no_range: bool,
    pub wrong_range: bool,
    /// What the total of the Content-Range is in place of the right one.
    pub total: Option<Total>,
    pub other_range: bool,
    pub multipart: bool,
    pub gzip: bool,
    pub encoding: Option<String>,
}

impl Plan {
    /// Of the faults that apply to the `n`-th request on this connection. `applied` is told each of them.
    pub fn new(faults: &[Fault], n: u64, connection: u64, mut applied: impl FnMut(&Fault)) -> Plan {
        let mut plan = Plan::default();
        for fault in faults {
            if let Some(action) = fault.of_request(n, connection) {
                applied(fault);
                plan.add(action);
            }
        }
        plan
    }

    fn add(&mut self, action: &Action) {
        match action {
            Action::Silence => self.is_silent = true,
            Action::Delay(time) => self.delay += *time,
            Action::Close => self.end = Some((None, End::Cut)),
            Action::Reset => self.end = Some((None, End::Reset)),
            Action::Raw(bytes) => self.instead.get_or_insert_default().extend_from_slice(bytes),
            Action::Garbage(bytes) => self.garbage = Some(*bytes),
            Action::Code(code) => self.code = u16::try_from(*code).ok(),
            Action::Payload(text) => self.other = Some(Other::Text(text.clone())),
            Action::Http(action) => self.add_http(action),
            _ => {}
        }
    }

    fn add_http(&mut self, action: &HttpAction) {
        match action {
            HttpAction::Stall(at) => self.end = Some((Some(*at), End::Stall)),
            HttpAction::Cut(at) => self.end = Some((Some(*at), End::Cut)),
            HttpAction::CutReset(at) => self.end = Some((Some(*at), End::Reset)),
            HttpAction::Slow(rate) => self.rate = Some(*rate),
            HttpAction::RetryAfter(seconds) => (self.code, self.retry_after) = (Some(503), Some(*seconds)),
            HttpAction::Redirect(times) => self.redirect = Some(Redirect::Times(*times)),
            HttpAction::RedirectRelative(times) => self.redirect = Some(Redirect::RelativeTimes(*times)),
            HttpAction::RedirectLoop => self.redirect = Some(Redirect::Loop),
            HttpAction::RedirectHttp => self.redirect = Some(Redirect::ToHttp),
            HttpAction::Location(url) => self.redirect = Some(Redirect::To(url.clone())),
            HttpAction::Changed => self.is_changed = true,
            HttpAction::Longer(bytes) => self.longer = signed(*bytes),
            HttpAction::Shorter(bytes) => self.longer = -signed(*bytes),
            HttpAction::Corrupt(at) => self.corrupt = Some(*at),
            HttpAction::NoEtag => self.no_etag = true,
            HttpAction::Length(length) => self.length = Some(*length),
            HttpAction::NoLength => self.no_length = true,
            HttpAction::Chunked => self.is_chunked = true,
            HttpAction::EndlessHeaders => self.endless_headers = true,
            HttpAction::EndlessBody => self.endless_body = true,
            HttpAction::Expires(requests) => self.expires = Some(*requests),
            HttpAction::ExpiresAfter(ms) => self.expires_after = Some(Duration::from_millis(*ms)),
            HttpAction::Html(bytes) => self.other = Some(Other::Html(*bytes)),
            HttpAction::NoRange => self.no_range = true,
            HttpAction::WrongRange => self.wrong_range = true,
            HttpAction::WrongTotal => self.total = Some(Total::Wrong),
            HttpAction::NoTotal => self.total = Some(Total::Unknown),
            HttpAction::OtherRange => self.other_range = true,
            HttpAction::Multipart => self.multipart = true,
            HttpAction::Gzip => self.gzip = true,
            HttpAction::Encoding(name) => self.encoding = Some(name.clone()),
        }
    }

    /// Whether there is no answer at all.
    pub fn suppresses(&self) -> bool {
        self.is_silent || self.instead.is_some() || self.garbage.is_some() || matches!(self.end, Some((None, _)))
    }

    /// Whether the answer has to be written without hyper, which does not make such answers.
    pub fn is_by_hand(&self) -> bool {
        self.suppresses()
            || self.end.is_some()
            || self.rate.is_some()
            || self.length.is_some()
            || self.no_length
            || self.endless_headers
            || self.endless_body
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
