//! What a download and its HTTP tell each other.

/// The most bytes that the sink gets at a time. A block ends where a multiple of this ends, or where the connection did.
pub const BLOCK: usize = 64 * 1024;

#[derive(Debug, PartialEq)]
pub struct Request {
    pub url: String,
    /// From the URL.
    pub https: bool,
    pub host: String,
    /// The host's headers, if they are for this server.
    pub headers: Vec<String>,
    /// From this byte on; 0: everything.
    pub from: u64,
    pub if_range: Option<String>,
    /// The server is the one that the host named, and may ask for the device's certificate.
    pub shows_identity: bool,
}

/// How an answer ended.
#[derive(Debug, PartialEq)]
pub enum End {
    Complete,
    Broken { blame: Blame, words: String },
}

/// Who or what is the reason that a try has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The network, or a server that is overloaded: it may take hours until that is mended.
    Server,
    /// The answer is not the image that was offered.
    Content,
    Tls,
}

/// What has come of a request.
#[derive(Debug)]
pub enum Got {
    /// Nothing yet.
    Nothing,
    /// Once, before anything of the body.
    Head(Box<Head>),
    /// There are at least as many bytes as were asked for.
    Bytes,
    /// No more bytes will come. There may be some.
    End(End),
}

/// One request at a time.
pub trait Fetch {
    /// Begins a request. It ends the one before.
    fn ask(&mut self, request: &Request);

    /// Waits until the head is there, or `bytes` of the body, or the end; at most `wait_ms`. A wake-up ends the wait.
    fn step(&mut self, bytes: usize, wait_ms: u64) -> Got;

    /// The bytes of the body that have come and were not taken.
    fn body(&self) -> &[u8];

    fn take(&mut self, bytes: usize);

    /// How many bytes of the body have come, the taken ones included.
    fn received(&self) -> u64;

    /// Ends the request.
    fn close(&mut self);
}

/// How many bytes of header lines a server may send.
const MAX_BYTES: usize = 64 * 1024;
/// The longest value that is kept.
const MAX_VALUE: usize = 8 * 1024;

/// A field of the head: how often it came, and its last value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Field {
    pub times: u32,
    pub value: String,
}

impl Field {
    pub fn one(&self) -> Option<&str> {
        (self.times == 1).then_some(&*self.value)
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Head {
    pub status: u16,
    pub content_length: Field,
    pub content_range: Field,
    pub content_encoding: Field,
    pub content_type: Field,
    pub etag: Field,
    pub retry_after: Field,
    pub location: Field,
    /// Of all lines, and of the heads of earlier answers on the way (a proxy's, 100 Continue).
    bytes: usize,
}

impl Head {
    /// Takes a line as it came. False if there are too many bytes of them.
    pub fn line(&mut self, line: &[u8]) -> bool {
        self.bytes = self.bytes.saturating_add(line.len());
        if self.bytes > MAX_BYTES {
            return false;
        }
        let line = String::from_utf8_lossy(line);
        let line = line.trim();
        if let Some(version) = line.strip_prefix("HTTP/") {
            let status = version.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
            *self = Head { status, bytes: self.bytes, ..Head::default() };
        } else if let Some((name, value)) = line.split_once(':') {
            self.field(name, value.trim());
        }
        true
    }

    fn field(&mut self, name: &str, value: &str) {
        let field = match name.to_ascii_lowercase().as_str() {
            "content-length" => &mut self.content_length,
            "content-range" => &mut self.content_range,
            "content-encoding" => &mut self.content_encoding,
            "content-type" => &mut self.content_type,
            "etag" => &mut self.etag,
            "location" => &mut self.location,
            "retry-after" => &mut self.retry_after,
            _ => return,
        };
        field.times += 1;
        field.value = if value.len() > MAX_VALUE { String::new() } else { value.to_owned() };
    }
}
