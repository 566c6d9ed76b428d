//! HTTP with libcurl, for downloads: one request at a time, whose body is received as fast as it is taken.

use crate::error::{Error, Result, Status};
use crate::model::http::{Blame, End, Fetch, Got, Head, Request, BLOCK};
use crate::text;
use crate::transport::tls::TlsSettings;
use curl::easy::{Easy2, Handler, HttpVersion, List, WriteError};
use curl::multi::{Easy2Handle, Multi};
use std::ffi::{c_char, c_long, c_void};
use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "tls")]
use crate::transport::tls::curl as tls;

/// libcurl's buffer, and the most that it hands over at a time. While the sink is slow it keeps a piece, in memory of the next
/// power of two above this.
const PIECE: usize = 8 * 1024 - 1;
/// CURLOPT_QUICK_EXIT of libcurl 7.87: the end of a request does not wait for a name to be looked up.
const QUICK_EXIT: curl_sys::CURLoption = curl_sys::CURLOPTTYPE_LONG + 322;

pub struct Settings {
    pub tls: Arc<TlsSettings>,
    pub connect_timeout_ms: u64,
    pub interface: Option<String>,
    /// 0: no limit.
    pub bytes_per_s: u64,
}

pub struct Http {
    settings: Settings,
    multi: Multi,
    request: Option<Easy2Handle<Receiver>>,
    /// Why the present request could not be begun.
    refused: Option<Error>,
    /// The head was handed out.
    is_told: bool,
    end: Option<Option<curl::Error>>,
}

/// What libcurl calls.
struct Receiver {
    head: Head,
    too_many_lines: bool,
    /// Nothing of the body is accepted before the head was looked at, and while there are so many bytes.
    wanted: usize,
    is_paused: bool,
    body: Vec<u8>,
    received: u64,
    #[cfg_attr(not(feature = "tls"), allow(dead_code, reason = "only OpenSSL reads it"))]
    request: Option<Secure>,
}

/// For the TLS of a request.
#[cfg_attr(not(feature = "tls"), allow(dead_code, reason = "only OpenSSL reads it"))]
struct Secure {
    settings: Arc<TlsSettings>,
    name: String,
    identity: bool,
    error: Option<Error>,
    #[cfg(feature = "tls")]
    explainer: Option<tls::Explainer>,
}

impl Handler for Receiver {
    fn header(&mut self, line: &[u8]) -> bool {
        self.too_many_lines |= !self.head.line(line);
        !self.too_many_lines
    }

    fn write(&mut self, bytes: &[u8]) -> std::result::Result<usize, WriteError> {
        if self.body.len() >= self.wanted {
            self.is_paused = true;
            return Err(WriteError::Pause);
        }
        let room = if self.body.capacity() == 0 { BLOCK + PIECE } else { bytes.len() };
        if self.body.try_reserve_exact(room).is_err() {
            return Ok(0);
        }
        self.body.extend_from_slice(bytes);
        self.received += bytes.len() as u64;
        Ok(bytes.len())
    }

    #[cfg(feature = "tls")]
    fn ssl_ctx(&mut self, context: *mut c_void) -> std::result::Result<(), curl::Error> {
        let refused = || curl::Error::new(curl_sys::CURLE_SSL_CONNECT_ERROR);
        let secure = self.request.as_mut().ok_or_else(refused)?;
        let Secure { settings, name, identity, .. } = secure;
        // SAFETY: `Http::ask` has checked that the OpenSSL is the same. The context is libcurl's for this call.
        match unsafe { tls::prepare(context, settings, name, *identity) } {
            Ok(explainer) => secure.explainer = Some(explainer),
            Err(error) => {
                secure.error = Some(error);
                return Err(refused());
            }
        }
        Ok(())
    }

    #[cfg(not(feature = "tls"))]
    fn ssl_ctx(&mut self, _: *mut c_void) -> std::result::Result<(), curl::Error> {
        Err(curl::Error::new(curl_sys::CURLE_SSL_CONNECT_ERROR))
    }
}

/// Whether this URL can be fetched at all: TLS may be missing.
pub fn check(https: bool) -> Result<()> {
    if !https {
        return Ok(());
    }
    #[cfg(feature = "tls")]
    return tls::check();
    #[cfg(not(feature = "tls"))]
    Err(Error::new(Status::ENOS_ERR_UNSUPPORTED, "this build of libenos has no TLS, which https:// needs"))
}

impl Http {
    pub fn new(settings: Settings) -> Http {
        Http { settings, multi: Multi::new(), request: None, refused: None, is_told: false, end: None }
    }

    /// Ends the wait of [`Fetch::step`], from any thread.
    pub fn waker(&self) -> Box<dyn Fn() + Send> {
        let waker = self.multi.waker();
        Box::new(move || drop(waker.wakeup()))
    }

    fn begin(&mut self, request: &Request) -> Result<()> {
        check(request.https)?;
        let secure = request.https.then(|| Secure {
            settings: Arc::clone(&self.settings.tls),
            name: request.host.clone(),
            identity: request.shows_identity,
            error: None,
            #[cfg(feature = "tls")]
            explainer: None,
        });
        let mut easy = Easy2::new(Receiver {
            head: Head::default(),
            too_many_lines: false,
            wanted: 0,
            is_paused: false,
            body: Vec::new(),
            received: 0,
            request: secure,
        });
        self.set_up(&mut easy, request).map_err(|error| {
            let words = format!("libcurl cannot make the request: {}", said(&error));
            Error::new(Status::ENOS_ERR_UNSUPPORTED, words)
        })?;
        let added = self.multi.add2(easy).map_err(|error| {
            Error::new(Status::ENOS_ERR_NO_MEMORY, format!("libcurl cannot begin the request: {error}"))
        })?;
        self.request = Some(added);
        Ok(())
    }

    fn set_up(&self, easy: &mut Easy2<Receiver>, request: &Request) -> std::result::Result<(), curl::Error> {
        easy.url(&request.url)?;
        easy.useragent(concat!("libenos/", env!("CARGO_PKG_VERSION")))?;
        // HTTP/2 would buffer megabytes while the sink is slow.
        easy.http_version(HttpVersion::V11)?;
        easy.buffer_size(PIECE)?;
        easy.connect_timeout(Duration::from_millis(self.settings.connect_timeout_ms))?;
        if let Some(interface) = &self.settings.interface {
            easy.interface(&format!("if!{interface}"))?;
        }
        if self.settings.bytes_per_s > 0 {
            easy.max_recv_speed(self.settings.bytes_per_s)?;
        }
        let mut lines = List::new();
        lines.append("Accept-Encoding: identity")?;
        for line in &request.headers {
            lines.append(line)?;
        }
        if request.from > 0 {
            easy.range(&format!("{}-", request.from))?;
            if let Some(etag) = &request.if_range {
                lines.append(&format!("If-Range: {etag}"))?;
            }
        }
        easy.http_headers(lines)?;
        // SAFETY: the handle is valid. An older libcurl does not know the first option, and says so.
        unsafe {
            curl_sys::curl_easy_setopt(easy.raw(), QUICK_EXIT, 1 as c_long);
            // Otherwise it would load the system's authorities, a megabyte, before it gets those of the link.
            for option in [curl_sys::CURLOPT_CAINFO, curl_sys::CURLOPT_CAPATH] {
                curl_sys::curl_easy_setopt(easy.raw(), option, std::ptr::null::<c_char>());
            }
        }
        Ok(())
    }

    fn perform(&mut self) {
        if self.end.is_some() {
            return;
        }
        if let Err(error) = self.multi.perform() {
            self.refused = Some(Error::new(Status::ENOS_ERR_NETWORK, format!("libcurl has failed: {error}")));
        }
        let Some(request) = &self.request else { return };
        let mut end = None;
        self.multi.messages(|message| {
            if let Some(result) = message.result_for2(request) {
                end = Some(result.err());
            }
        });
        self.end = end;
    }

    /// The end of the request, in words.
    fn ended(&self, error: Option<&curl::Error>) -> End {
        let Some(error) = error else { return End::Complete };
        let receiver = self.request.as_ref().map(Easy2Handle::get_ref);
        if receiver.is_some_and(|receiver| receiver.too_many_lines) {
            let words = "the server sends header lines without end".into();
            return End::Broken { blame: Blame::Content, words };
        }
        let words = said(error);
        #[cfg(feature = "tls")]
        if let Some(secure) = receiver.and_then(|receiver| receiver.request.as_ref()) {
            let explained = secure.error.as_ref().map(|error| error.message.clone());
            let explained = explained.or_else(|| secure.explainer.as_ref()?.words(&words));
            if let Some(words) = explained {
                return End::Broken { blame: Blame::Tls, words };
            }
        }
        let is_content = matches!(
            error.code(),
            curl_sys::CURLE_UNSUPPORTED_PROTOCOL | curl_sys::CURLE_URL_MALFORMAT | curl_sys::CURLE_BAD_CONTENT_ENCODING
        );
        End::Broken { blame: if is_content { Blame::Content } else { Blame::Server }, words }
    }
}

/// libcurl's words. They may quote a server.
fn said(error: &curl::Error) -> String {
    error.extra_description().unwrap_or_else(|| error.description()).chars().map(text::plain).collect()
}

impl Fetch for Http {
    fn ask(&mut self, request: &Request) {
        self.close();
        self.refused = self.begin(request).err();
    }

    fn step(&mut self, bytes: usize, wait_ms: u64) -> Got {
        if let Some(Error { message, .. }) = self.refused.take() {
            self.close();
            return Got::End(End::Broken { blame: Blame::Tls, words: message });
        }
        let is_told = self.is_told;
        let Some(request) = &mut self.request else { return Got::End(End::Complete) };
        let receiver = request.get_mut();
        receiver.wanted = if is_told { bytes } else { 0 };
        if std::mem::take(&mut receiver.is_paused) && receiver.body.len() < receiver.wanted {
            // It may hand over at once what it has kept. An error of that is the request's.
            let _ = request.unpause_write();
        }
        for turn in 0..2 {
            self.perform();
            let Some(receiver) = self.request.as_ref().map(Easy2Handle::get_ref) else { break };
            let has_head = receiver.is_paused || self.end.is_some();
            if !self.is_told && has_head && receiver.head.status > 0 && !receiver.too_many_lines {
                self.is_told = true;
                return Got::Head(Box::new(receiver.head.clone()));
            }
            if self.is_told && receiver.body.len() >= bytes.max(1) {
                return Got::Bytes;
            }
            if let Some(error) = &self.end {
                return Got::End(self.ended(error.as_ref()));
            }
            if turn == 0 {
                let _ = self.multi.poll(&mut [], Duration::from_millis(wait_ms));
            }
        }
        Got::Nothing
    }

    fn body(&self) -> &[u8] {
        self.request.as_ref().map_or(&[], |request| &request.get_ref().body)
    }

    fn take(&mut self, bytes: usize) {
        if let Some(request) = &mut self.request {
            request.get_mut().body.drain(..bytes);
        }
    }

    fn received(&self) -> u64 {
        self.request.as_ref().map_or(0, |request| request.get_ref().received)
    }

    fn close(&mut self) {
        if let Some(request) = self.request.take() {
            let _ = self.multi.remove2(request);
        }
        (self.refused, self.is_told, self.end) = (None, false, None);
    }
}
