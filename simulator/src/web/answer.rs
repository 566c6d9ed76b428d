//! The answer to a request.

use hyper::{header, http::request::Parts, Method};
use std::{io, net::IpAddr};

use super::{
    content::{Content, Image},
    plan::{Other, Plan, Redirect, Total},
    range::{self, Wanted},
};
use crate::{
    firmware::{Depot, FileUrl},
    shared::Shared,
};

/// The head and the body of an answer.
pub struct Answer {
    pub code: u16,
    pub headers: Vec<(&'static str, String)>,
    pub content: Content,
}

const BOUNDARY: &str = "enos-sim-boundary";

impl Answer {
    pub fn text(code: u16, text: &str) -> Answer {
        let headers = vec![("content-type", "text/plain; charset=utf-8".to_owned())];
        Answer { code, headers, content: Content::Bytes(format!("{text}\n").into()) }
    }

    fn html(bytes: usize) -> Answer {
        let mut page = "<!DOCTYPE html><title>Welcome</title><p>Please log in to use this network.</p>\n".to_owned();
        page.extend(std::iter::repeat_n(' ', bytes.saturating_sub(page.len())));
        let headers = vec![("content-type", "text/html; charset=utf-8".to_owned())];
        Answer { code: 200, headers, content: Content::Bytes(page.into()) }
    }

    fn with(mut self, name: &'static str, value: impl ToString) -> Answer {
        self.headers.push((name, value.to_string()));
        self
    }
}

/// Answers a request as it should be, apart from the faults of the plan.
pub fn answer(shared: &Shared, parts: &Parts, is_tls: bool, local: Option<IpAddr>, plan: &Plan) -> Answer {
    if !matches!(parts.method, Method::GET | Method::HEAD) {
        return Answer::text(405, "only GET and HEAD").with("allow", "GET, HEAD");
    }
    if let Some(answer) = redirect(&shared.depot, parts, is_tls, local, plan) {
        return answer;
    }
    match &plan.other {
        Some(Other::Html(bytes)) => return Answer::html(*bytes),
        Some(Other::Text(text)) => {
            let mut answer = Answer::text(plan.code.unwrap_or(200), "");
            answer.content = Content::Bytes(text.clone().into());
            return answer;
        }
        None => {}
    }
    if let Some(code) = plan.code {
        let answer = Answer::text(code, "by a fault");
        return match plan.retry_after {
            Some(seconds) => answer.with("retry-after", seconds),
            None => answer,
        };
    }
    if shared.requests.has_expired(&url(parts), plan) {
        return Answer::text(403, "the URL has expired");
    }
    let Some(firmware) = shared.depot.at(image_path(parts.uri.path())) else {
        return Answer::text(404, "there is no such image");
    };
    let mut image = Image::new(firmware);
    if plan.is_changed {
        image.change();
    }
    if plan.longer != 0 {
        image.resize(image.size().saturating_add_signed(plan.longer));
    }
    if let Some(at) = plan.corrupt {
        image.corrupt(at);
    }
    let made = if plan.gzip { compressed(&image) } else { served(parts, image, plan) };
    match (made, &plan.encoding) {
        (Ok(answer), Some(encoding)) => answer.with("content-encoding", encoding),
        (Ok(answer), None) => answer,
        (Err(error), _) => Answer::text(500, &format!("the image cannot be read: {error}")),
    }
}

/// The path and the query.
pub fn url(parts: &Parts) -> String {
    parts.uri.path_and_query().map_or_else(|| parts.uri.path().to_owned(), |url| url.as_str().to_owned())
}

fn served(parts: &Parts, image: Image, plan: &Plan) -> io::Result<Answer> {
    let size = image.size();
    let etag = image.etag();
    let text = |name| parts.headers.get(name).and_then(|value| value.to_str().ok());
    // A range belongs to the content that the client knows: if it is another one by now, it gets all of it.
    let fits = text(header::IF_RANGE).is_none_or(|known| !plan.no_etag && known == etag);
    let wanted = match text(header::RANGE) {
        Some(header) if parts.method == Method::GET && fits && !plan.no_range => range::parse(header, size),
        _ => Wanted::All,
    };
    let tagged = |answer: Answer| match plan.no_etag {
        true => answer,
        false => answer.with("etag", &etag),
    };
    let binary = |code, content| {
        let headers = vec![("content-type", "application/octet-stream".to_owned())];
        let answer = tagged(Answer { code, headers, content });
        if plan.no_range {
            answer
        } else {
            answer.with("accept-ranges", "bytes")
        }
    };
    let total = match plan.total {
        None => size.to_string(),
        Some(Total::Wrong) => (size + 1).to_string(),
        Some(Total::Unknown) => "*".to_owned(),
    };
    Ok(match wanted {
        Wanted::All => binary(200, Content::part(image, 0, size)),
        Wanted::Unsatisfiable => {
            Answer::text(416, "there is no such range").with("content-range", format!("bytes */{total}"))
        }
        Wanted::Part(first, last) => {
            let (first, last) = if plan.other_range { (0, last - first) } else { (first, last) };
            let off = u64::from(plan.wrong_range);
            let range = format!("bytes {}-{}/{total}", first + off, last + off);
            let len = last - first + 1;
            if plan.multipart {
                return multipart(&image, first, len, &range).map(tagged);
            }
            binary(206, Content::part(image, first, len)).with("content-range", range)
        }
    })
}

/// A single range as multipart, which is allowed only for several.
fn multipart(image: &Image, first: u64, len: u64, range: &str) -> io::Result<Answer> {
    let mut body = format!("--{BOUNDARY}\r\ncontent-type: application/octet-stream\r\ncontent-range: {range}\r\n\r\n")
        .into_bytes();
    body.extend(image.bytes(first, len)?);
    body.extend(format!("\r\n--{BOUNDARY}--\r\n").into_bytes());
    let headers = vec![("content-type", format!("multipart/byteranges; boundary={BOUNDARY}"))];
    Ok(Answer { code: 206, headers, content: Content::Bytes(body.into()) })
}

/// The whole image as gzip, in blocks that are stored as they are.
fn compressed(image: &Image) -> io::Result<Answer> {
    let bytes = image.bytes(0, image.size())?;
    let mut body = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let mut blocks = bytes.chunks(0xffff).peekable();
    if blocks.peek().is_none() {
        body.extend([1, 0, 0, 0xff, 0xff]);
    }
    while let Some(block) = blocks.next() {
        let len = block.len() as u16;
        body.push(u8::from(blocks.peek().is_none()));
        body.extend(len.to_le_bytes());
        body.extend((!len).to_le_bytes());
        body.extend(block);
    }
    body.extend(crc32fast::hash(&bytes).to_le_bytes());
    body.extend((bytes.len() as u32).to_le_bytes());
    let headers = vec![
        ("content-type", "application/octet-stream".to_owned()),
        ("content-encoding", "gzip".to_owned()),
        ("etag", format!("\"gzip-{}", image.etag().trim_start_matches('"'))),
    ];
    Ok(Answer { code: 200, headers, content: Content::Bytes(body.into()) })
}

const HOPS: &str = "/redirect/";
const RELATIVE_HOPS: &str = "/redirect-relative/";
const LOOP: &str = "/redirect-loop/";

/// The prefix of a path that came by a redirect, its number, and the rest.
fn hop(path: &str) -> Option<(&'static str, u64, &str)> {
    [HOPS, RELATIVE_HOPS, LOOP].into_iter().find_map(|prefix| {
        let (number, rest) = path.strip_prefix(prefix)?.split_once('/')?;
        Some((prefix, number.parse().ok()?, rest))
    })
}

/// The path of the image, also at the end of redirects.
fn image_path(path: &str) -> &str {
    match hop(path) {
        Some((_, _, rest)) => path.get(path.len() - rest.len() - 1..).unwrap_or(path),
        None => path,
    }
}

/// A redirect, if the path or the plan asks for one. The number of hops that are left stands before the path of the
/// image.
fn redirect(depot: &Depot, parts: &Parts, is_tls: bool, local: Option<IpAddr>, plan: &Plan) -> Option<Answer> {
    let found = |location: String| Some(Answer::text(302, "it is elsewhere").with("location", location));
    let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let here = format!("{}://{host}", if is_tls { "https" } else { "http" });
    let query = parts.uri.query().map_or_else(String::new, |query| format!("?{query}"));
    if let Some((prefix, number, image)) = hop(parts.uri.path()) {
        return match (prefix, number) {
            (LOOP, n) => found(format!("{here}{LOOP}{}/{image}{query}", n.wrapping_add(1))),
            (_, 0) => None,
            (RELATIVE_HOPS, n) => {
                let up = "../".repeat(image.matches('/').count() + 1);
                found(format!("{up}{}/{image}{query}", n - 1))
            }
            (_, n) => found(format!("{here}{HOPS}{}/{image}{query}", n - 1)),
        };
    }
    let url = url(parts);
    match plan.redirect.as_ref()? {
        Redirect::Loop => found(format!("{here}{LOOP}1{url}")),
        Redirect::To(location) => found(location.clone()),
        Redirect::ToHttp if is_tls => found(format!("{}{url}", depot.base(&FileUrl::Http, local))),
        Redirect::ToHttp => None,
        Redirect::Times(times) => found(format!("{here}{HOPS}{}{url}", times - 1)),
        Redirect::RelativeTimes(times) => found(format!("{RELATIVE_HOPS}{}{url}", times - 1)),
    }
}
