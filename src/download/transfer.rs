//! A transfer: which requests are made, what their answers mean, and when the image is there. It is pure: it is told
//! what happens and when, and says what to do next.

use super::answer::{meaning, Asked, Meaning};
use super::digest::Digest;
use super::headers;
use super::retry::{after_ms, Delays, Retry};
use super::url::{resolve, Origin};
use super::Order;
use crate::error::{Error, Result, Status};
use crate::log;
use crate::model::http::{Blame, End, Head, Request, BLOCK};
use crate::protocol::request::CLOCK_IS_SET_MS;

const MAX_HOPS: u32 = 10;
/// Fewer bytes a second than this are no progress.
pub const FLOOR_BYTES_PER_S: u64 = 16;

/// Why there is no image.
#[derive(Debug)]
pub struct Failure {
    pub error: Error,
    /// The server's answer, or the sink's; 0 if neither is the reason.
    pub code: i32,
    pub stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Download,
    Verification,
    Writing,
}

#[derive(Debug, PartialEq)]
pub enum Next {
    /// Until then (CLOCK_BOOTTIME milliseconds).
    Wait(u64),
    /// The clock was never set, and TLS needs it. Ask again in a second.
    AwaitClock,
    Ask(Request),
    /// Size and digest are right.
    Done,
}

pub struct Transfer {
    order: Order,
    first: Origin,
    digest: Digest,
    /// So many bytes are in the sink and in the digest.
    at: u64,
    /// The most that was ever there.
    best: u64,
    /// Everything that is there came from one answer. Otherwise a wrong digest may be a mixture.
    is_of_one_answer: bool,
    /// The server can continue.
    ranges: bool,
    etag: Option<String>,
    /// Bytes of bodies, over all tries.
    fetched: u64,
    max_bytes: u64,
    retry: Retry,
    wait_until: u64,
    /// The URL of the next request, and how many redirects led there.
    url: String,
    hops: u32,
    /// The end of the answer that comes.
    until: u64,
    began_at: u64,
    failure: Option<Failure>,
}

impl Transfer {
    /// `ENOS_ERR_INVALID_ARG`, `ENOS_ERR_UNSUPPORTED`: with these, nothing can be fetched.
    pub fn new(order: Order, delays: Delays, seed: u64, now: u64) -> Result<Transfer> {
        let first = Origin::of(&order.url)?;
        headers::check(&order.headers)?;
        let digest = Digest::new(&order.sign_method, &order.sign)?;
        let max_bytes = if order.max_bytes == 0 { order.size.saturating_mul(3) } else { order.max_bytes };
        Ok(Transfer {
            url: order.url.clone(),
            first,
            digest,
            at: 0,
            best: 0,
            is_of_one_answer: true,
            ranges: true,
            etag: None,
            fetched: 0,
            max_bytes,
            retry: Retry::new(delays, seed, now),
            wait_until: 0,
            hops: 0,
            until: 0,
            began_at: 0,
            failure: None,
            order,
        })
    }

    pub fn size(&self) -> u64 {
        self.order.size
    }

    pub fn is_md5(&self) -> bool {
        self.digest.is_md5()
    }

    pub fn at(&self) -> u64 {
        self.at
    }

    /// Bytes of the image that the sink has from before. All of them have to be read back.
    pub fn read_back(&mut self, bytes: &[u8]) {
        self.digest.update(bytes);
        self.at += bytes.len() as u64;
        self.best = self.at;
        self.is_of_one_answer = false;
    }

    pub fn next(&mut self, now: u64, wall_ms: u64) -> std::result::Result<Next, Failure> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        if self.at == self.order.size {
            if self.digest.is(&self.order.sign) {
                return Ok(Next::Done);
            }
            if self.is_of_one_answer {
                let words = "the file that was fetched is not the one that was offered: its digest is another";
                return Err(failure(Status::ENOS_ERR_DIGEST, words, Stage::Verification));
            }
            self.start_over("the digest is wrong, over bytes of several answers");
        }
        if now < self.wait_until {
            return Ok(Next::Wait(self.wait_until));
        }
        if self.fetched.saturating_add(self.order.size - self.at) > self.max_bytes {
            let words = format!(
                "{} bytes were fetched and {} are missing, which is more than max_bytes, {}",
                self.fetched,
                self.order.size - self.at,
                self.max_bytes
            );
            return Err(failure(Status::ENOS_ERR_TOO_LARGE, words, Stage::Download));
        }
        if self.at > 0 && !self.ranges {
            self.start_over("the server cannot continue a download");
        }
        // Checked when it was set.
        let origin = Origin::of(&self.url).unwrap_or_else(|_| self.first.clone());
        if origin.https && wall_ms < CLOCK_IS_SET_MS {
            self.retry.excuse(1000);
            return Ok(Next::AwaitClock);
        }
        let is_first_origin = origin == self.first;
        self.began_at = self.at;
        let strong = self.etag.clone().filter(|etag| self.at > 0 && etag.starts_with('"'));
        Ok(Next::Ask(Request {
            url: self.url.clone(),
            headers: if is_first_origin { self.order.headers.clone() } else { Vec::new() },
            from: self.at,
            if_range: strong,
            shows_identity: is_first_origin,
            https: origin.https,
            host: origin.host,
        }))
    }

    /// Whether the body is wanted. Otherwise the request is over.
    pub fn head(&mut self, head: &Head, now: u64, wall_ms: u64) -> bool {
        let asked = Asked { from: self.at, size: self.order.size, etag: self.etag.as_deref() };
        match meaning(head, asked) {
            Meaning::Bytes { from, until } => {
                if from < self.at {
                    self.start_over("the server does not continue, it sends the file from its beginning");
                }
                self.is_of_one_answer = self.at == 0;
                self.until = until;
                self.etag = head.etag.one().map(str::to_owned);
                return true;
            }
            Meaning::Redirect => {
                if let Err(words) = self.redirect(head) {
                    self.failed(Blame::Content, None, words, now);
                }
            }
            Meaning::StartOver { ranges, words } => {
                self.ranges &= ranges;
                self.start_over(&words);
                self.failed(Blame::Content, None, words, now);
            }
            Meaning::TryAgain { blame, after, words } => {
                let after = after.and_then(|after| after_ms(&after, wall_ms));
                self.failed(blame, after, words, now);
            }
            Meaning::Final { status, code, words } => {
                self.failure = Some(Failure { code, ..failure(status, words, Stage::Download) });
            }
        }
        false
    }

    fn redirect(&mut self, head: &Head) -> std::result::Result<(), String> {
        self.hops += 1;
        if self.hops > MAX_HOPS {
            return Err(format!("the server redirects more than {MAX_HOPS} times"));
        }
        let to = resolve(&self.url, &head.location.value).map_err(|error| error.message)?;
        let is_https = |url: &str| Origin::of(url).is_ok_and(|origin| origin.https);
        if is_https(&self.url) && !is_https(&to) {
            return Err("the server redirects from https:// to http://".into());
        }
        self.url = to;
        Ok(())
    }

    /// So many bytes the next block should have.
    pub fn room(&self) -> usize {
        let to_boundary = BLOCK as u64 - self.at % BLOCK as u64;
        to_boundary.min(self.until.saturating_sub(self.at)) as usize
    }

    /// Bytes of a body have come. False if there were too many over all tries: then the request is over.
    pub fn fetched(&mut self, bytes: u64) -> bool {
        self.fetched = self.fetched.saturating_add(bytes);
        self.fetched <= self.max_bytes
    }

    /// The sink has taken these bytes, the next ones of the image.
    pub fn stored(&mut self, bytes: &[u8], now: u64) {
        self.digest.update(bytes);
        self.at += bytes.len() as u64;
        if self.at > self.best {
            self.best = self.at;
            self.retry.progress(now);
        }
    }

    pub fn ended(&mut self, end: End, now: u64) {
        match end {
            _ if self.failure.is_some() => {}
            // The rest does not matter: the image is complete.
            _ if self.at == self.order.size => {}
            End::Complete if self.at == self.until && self.at - self.began_at >= BLOCK as u64 => self.again_at(now),
            End::Complete => self.failed(Blame::Server, None, "the answer ended early".into(), now),
            End::Broken { blame, words } => self.failed(blame, None, words, now),
        }
    }

    fn again_at(&mut self, at: u64) {
        self.wait_until = at;
        self.url.clone_from(&self.order.url);
        self.hops = 0;
    }

    fn failed(&mut self, blame: Blame, after: Option<u64>, words: String, now: u64) {
        match self.retry.failed(blame, after, now) {
            Ok(at) => {
                log::warn(
                    "ota",
                    format_args!(
                        "{words}; {} of {} bytes are there; next try in {} ms",
                        self.at,
                        self.order.size,
                        at - now
                    ),
                );
                self.again_at(at);
            }
            Err((status, given_up)) => {
                self.failure = Some(failure(status, format!("{words}; {given_up}"), Stage::Download));
            }
        }
    }

    fn start_over(&mut self, words: &str) {
        if self.at > 0 {
            log::warn("ota", format_args!("the download begins again, {} bytes are given up: {words}", self.at));
        }
        self.digest.reset();
        self.at = 0;
        self.etag = None;
        self.is_of_one_answer = true;
    }
}

pub fn failure(status: Status, words: impl Into<String>, stage: Stage) -> Failure {
    Failure { error: Error::new(status, words), code: 0, stage }
}
