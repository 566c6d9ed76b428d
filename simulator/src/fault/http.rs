//! The faults of the HTTP port: what becomes of an answer.

use super::{Action, Fault, Kind, Phase};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpAction {
    /// After so many bytes of the body nothing more comes, and the link stays open.
    Stall(u64),
    /// After so many bytes of the body the link is closed; with TLS without a word.
    Cut(u64),
    /// The same with a reset.
    CutReset(u64),
    /// The body comes with so many bytes a second.
    Slow(u64),
    /// 503, to be tried again after so many seconds.
    RetryAfter(u64),
    /// So many redirects on the way to the image.
    Redirect(u64),
    /// The same with a URL that is relative.
    RedirectRelative(u64),
    RedirectLoop,
    /// To the plain port.
    RedirectHttp,
    /// A redirect to this URL.
    Location(String),
    /// Another content of the same size, with another ETag.
    Changed,
    /// The content is longer by so many bytes, with another ETag.
    Longer(u64),
    Shorter(u64),
    /// The byte at this position is another one, with the same ETag.
    Corrupt(u64),
    /// Neither ETag nor Last-Modified.
    NoEtag,
    /// Another Content-Length; the body stays as it is.
    Length(Length),
    /// No length; the end of the link is the end of the body.
    NoLength,
    Chunked,
    EndlessHeaders,
    /// A body without a length and without an end.
    EndlessBody,
    /// A URL works for so many requests, then 403.
    Expires(u64),
    /// A URL works for so many milliseconds after its first request, then 403.
    ExpiresAfter(u64),
    /// An HTML page with 200, of at least so many bytes.
    Html(usize),
    /// The range is ignored: 200 and everything.
    NoRange,
    /// The Content-Range begins and ends a byte later than the body.
    WrongRange,
    /// The Content-Range has another total.
    WrongTotal,
    /// The Content-Range has "*" in place of the total.
    NoTotal,
    /// Another range than the one that was asked for: it begins at 0.
    OtherRange,
    /// The range comes as multipart/byteranges.
    Multipart,
    /// Everything, compressed.
    Gzip,
    /// This Content-Encoding, although the body is as it is.
    Encoding(String),
}

/// A Content-Length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    Of(u64),
    /// The right one and so many more or less.
    Off(i64),
}

impl Fault {
    /// What is to be done to the `n`-th request, which came on this HTTP connection.
    pub(crate) fn of_request(&self, n: u64, connection: u64) -> Option<&Action> {
        self.applies(Phase::Before, Kind::Http, n, connection).then_some(&self.action)
    }
}

/// The action of this name, if it is one of the HTTP port's.
pub fn parse(name: &str, value: Option<&str>) -> Option<Result<HttpAction, String>> {
    let number = |least: u64| {
        let number = value.and_then(|value| value.parse::<u64>().ok()).filter(|number| *number >= least);
        number.ok_or_else(|| format!("{name}= needs a number from {least} on"))
    };
    let or = |default: u64, least: u64| if value.is_some() { number(least) } else { Ok(default) };
    let alone = |action: HttpAction| match value {
        None => Ok(action),
        Some(_) => Err(format!("{name} takes no value")),
    };
    Some(match name {
        "stall" => or(0, 0).map(HttpAction::Stall),
        "cut" => or(0, 0).map(HttpAction::Cut),
        "cut-reset" => or(0, 0).map(HttpAction::CutReset),
        "slow" => or(1, 1).map(HttpAction::Slow),
        "retry-after" => number(0).map(HttpAction::RetryAfter),
        "redirect" => or(1, 1).map(HttpAction::Redirect),
        "redirect-relative" => or(1, 1).map(HttpAction::RedirectRelative),
        "redirect-loop" => alone(HttpAction::RedirectLoop),
        "redirect-http" => alone(HttpAction::RedirectHttp),
        "location" => Ok(HttpAction::Location(value.unwrap_or_default().to_owned())),
        "changed" => alone(HttpAction::Changed),
        "longer" => or(1, 1).map(HttpAction::Longer),
        "shorter" => or(1, 1).map(HttpAction::Shorter),
        "corrupt" => or(0, 0).map(HttpAction::Corrupt),
        "no-etag" => alone(HttpAction::NoEtag),
        "length" => length(value.unwrap_or_default()).map(HttpAction::Length),
        "no-length" => alone(HttpAction::NoLength),
        "chunked" => alone(HttpAction::Chunked),
        "endless-headers" => alone(HttpAction::EndlessHeaders),
        "endless-body" => alone(HttpAction::EndlessBody),
        "expires" => number(0).map(HttpAction::Expires),
        "expires-after" => number(0).map(HttpAction::ExpiresAfter),
        "html" => or(0, 0).map(|bytes| HttpAction::Html(bytes.min(LONGEST_PAGE) as usize)),
        "no-range" => alone(HttpAction::NoRange),
        "wrong-range" => alone(HttpAction::WrongRange),
        "wrong-total" => alone(HttpAction::WrongTotal),
        "no-total" => alone(HttpAction::NoTotal),
        "other-range" => alone(HttpAction::OtherRange),
        "multipart" => alone(HttpAction::Multipart),
        "gzip" => alone(HttpAction::Gzip),
        "encoding" => Ok(HttpAction::Encoding(value.unwrap_or_default().to_owned())),
        _ => return None,
    })
}

/// The limit of an HTML page.
const LONGEST_PAGE: u64 = 16 * 1024 * 1024;

fn length(value: &str) -> Result<Length, String> {
    let is_relative = value.starts_with(['+', '-']);
    let length = match is_relative {
        true => value.parse().ok().map(Length::Off),
        false => value.parse().ok().map(Length::Of),
    };
    length.ok_or_else(|| "length= needs a number, or +N or -N".to_owned())
}
