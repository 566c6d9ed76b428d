//! What the head of an answer means for a request of an image, or of the rest of one.

use crate::error::Status;
use crate::model::http::{Blame, Head};

/// What was asked for.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// From this byte on; 0: everything, without a range.
    pub from: u64,
    pub size: u64,
    /// The entity tag of the answers before.
    pub etag: Option<&'a str>,
}

#[derive(Debug, PartialEq)]
pub enum Meaning {
    /// The body has the bytes of the image from `from` up to, not including, `until`.
    Bytes {
        from: u64,
        until: u64,
    },
    Redirect,
    /// What is there cannot be continued. Begin again; with ranges, if they work.
    StartOver {
        ranges: bool,
        words: String,
    },
    /// The next try may have another answer.
    TryAgain {
        blame: Blame,
        after: Option<String>,
        words: String,
    },
    /// No other try of this URL.
    Final {
        status: Status,
        code: i32,
        words: String,
    },
}

pub fn meaning(head: &Head, asked: Asked<'_>) -> Meaning {
    let code = i32::from(head.status);
    match head.status {
        200 | 206 => body(head, asked),
        301 | 302 | 303 | 307 | 308 => Meaning::Redirect,
        416 if asked.from > 0 => {
            let words = "the server has no bytes from there on (416)".into();
            Meaning::StartOver { ranges: true, words }
        }
        401 | 403 | 404 | 410 => {
            let words = format!(
                "the server answered {code}: the URL is wrong, or it has expired; ask for the offer again \
                 (ENOS_OP_OTA_VERSION_QUERY), or set another URL"
            );
            Meaning::Final { status: Status::ENOS_ERR_REFUSED, code, words }
        }
        408 | 425 | 429 | 500..=599 => {
            let words = format!("the server answered {code}");
            Meaning::TryAgain { blame: Blame::Server, after: head.retry_after.one().map(str::to_owned), words }
        }
        _ => {
            let words = format!("the server answered {code}, which is no answer to the request of a file");
            Meaning::Final { status: Status::ENOS_ERR_REFUSED, code, words }
        }
    }
}

fn body(head: &Head, asked: Asked<'_>) -> Meaning {
    let misfit = |words: String| Meaning::TryAgain { blame: Blame::Content, after: None, words };
    let encoding = &head.content_encoding;
    if encoding.times > 0 && !(encoding.times == 1 && encoding.value.eq_ignore_ascii_case("identity")) {
        return misfit("the answer is compressed, which was not asked for".into());
    }
    let kind = head.content_type.value.to_ascii_lowercase();
    if ["text/html", "application/xhtml+xml"].iter().any(|page| kind.starts_with(page)) {
        return misfit("the answer is a web page and no image: a proxy or a router has answered".into());
    }
    match head.status {
        200 => whole(head, asked).unwrap_or_else(misfit),
        _ if asked.from == 0 => misfit("the answer is a part (206), and the whole was asked for".into()),
        _ => part(head, asked),
    }
}

fn whole(head: &Head, asked: Asked<'_>) -> Result<Meaning, String> {
    match length(head)? {
        Some(length) if length != asked.size => {
            let Asked { size, .. } = asked;
            Err(format!("the answer has {length} bytes, and the offer is of {size}: it is another file"))
        }
        _ => Ok(Meaning::Bytes { from: 0, until: asked.size }),
    }
}

fn part(head: &Head, asked: Asked<'_>) -> Meaning {
    let useless = |ranges: bool, words: &str| Meaning::StartOver { ranges, words: words.into() };
    if kind_is(head, "multipart/byteranges") {
        return useless(false, "the server answers with several ranges to the request of one");
    }
    let Some(range) = head.content_range.one().and_then(Range::parse) else {
        return useless(false, "the server's Content-Range cannot be read");
    };
    if range.total.is_some_and(|total| total != asked.size) {
        return useless(true, "the server has a file of another size by now");
    }
    if range.first != asked.from || range.last < range.first || range.last >= asked.size {
        return useless(false, "the server answers with another range than it was asked for");
    }
    if length(head).is_ok_and(|length| length.is_some_and(|length| length != range.last - range.first + 1)) {
        return useless(false, "the server's Content-Length and Content-Range do not fit each other");
    }
    if asked.etag.is_some_and(|etag| head.etag.times > 0 && head.etag.value != etag) {
        return useless(true, "the file has changed on the server (ETag)");
    }
    Meaning::Bytes { from: asked.from, until: range.last + 1 }
}

fn kind_is(head: &Head, kind: &str) -> bool {
    head.content_type.value.to_ascii_lowercase().starts_with(kind)
}

fn length(head: &Head) -> Result<Option<u64>, String> {
    match head.content_length.times {
        0 => Ok(None),
        1 => number(&head.content_length.value).map(Some).ok_or_else(|| "its Content-Length is no number".into()),
        _ => Err("it has several Content-Lengths".into()),
    }
}

fn number(digits: &str) -> Option<u64> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

/// `bytes FIRST-LAST/TOTAL`, with `*` for a total that is not known.
struct Range {
    first: u64,
    last: u64,
    total: Option<u64>,
}

impl Range {
    fn parse(value: &str) -> Option<Range> {
        let (unit, rest) = value.split_once(' ')?;
        let (range, total) = rest.trim().split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let total = if total == "*" { None } else { Some(number(total)?) };
        let range = Range { first: number(first)?, last: number(last)?, total };
        unit.eq_ignore_ascii_case("bytes").then_some(range)
    }
}

#[cfg(test)]
mod tests;
