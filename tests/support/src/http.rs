//! A scripted web server. It answers each request with the bytes of a script, and ends the connection then.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use enos_sim::ca::Certified;
use openssl::ssl::{Ssl, SslContext, SslContextBuilder, SslStream};

use crate::tls::server_context;

/// What happens on a connection after a request.
#[derive(Clone)]
pub enum Step {
    Send(Vec<u8>),
    /// The same bytes, so many times.
    Repeat(Arc<[u8]>, usize),
    Pause(Duration),
    /// Nothing more, until the other side ends the connection.
    Hold,
    Reset,
}

/// A request.
#[derive(Clone, Debug)]
pub struct Asked {
    pub path: String,
    /// In their order, without the request line.
    pub lines: Vec<String>,
}

impl Asked {
    /// The values of a header.
    pub fn header(&self, name: &str) -> Vec<&str> {
        let lines = self.lines.iter().filter_map(|line| line.split_once(": "));
        lines.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
    }

    /// The first byte of the range that is asked for; 0 without a range.
    pub fn from(&self) -> usize {
        match self.header("range")[..] {
            [] => 0,
            [range] => range.strip_prefix("bytes=").unwrap().strip_suffix('-').unwrap().parse().unwrap(),
            _ => panic!("several ranges: {self:?}"),
        }
    }
}

/// Each request with its number, from 0.
type Script = dyn Fn(&Asked, usize) -> Vec<Step> + Send + Sync;

struct Shared {
    script: Box<Script>,
    asked: Mutex<Vec<Asked>>,
    context: Option<SslContext>,
    stops: AtomicBool,
}

pub struct HttpServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl HttpServer {
    pub fn new(script: impl Fn(&Asked, usize) -> Vec<Step> + Send + Sync + 'static) -> HttpServer {
        HttpServer::start(None, Box::new(script))
    }

    /// With TLS.
    pub fn secure(
        certified: &Certified,
        set: impl FnOnce(&mut SslContextBuilder),
        script: impl Fn(&Asked, usize) -> Vec<Step> + Send + Sync + 'static,
    ) -> HttpServer {
        HttpServer::start(Some(server_context(certified, set)), Box::new(script))
    }

    fn start(context: Option<SslContext>, script: Box<Script>) -> HttpServer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared { script, asked: Mutex::default(), context, stops: AtomicBool::new(false) });
        let for_thread = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if for_thread.stops.load(Ordering::Acquire) {
                    return;
                }
                let shared = Arc::clone(&for_thread);
                let stream = stream.unwrap();
                thread::spawn(move || serve(&shared, stream));
            }
        });
        HttpServer { address, shared, thread: Some(thread) }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        let scheme = if self.shared.context.is_some() { "https" } else { "http" };
        format!("{scheme}://{}/image", self.address)
    }

    /// The requests so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().unwrap().clone()
    }

    /// Where the requests so far began.
    pub fn offsets(&self) -> Vec<usize> {
        self.asked().iter().map(Asked::from).collect()
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.shared.stops.store(true, Ordering::Release);
        let _ = TcpStream::connect(self.address);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// The client may end a connection at any time, so no error matters here.
fn serve(shared: &Shared, stream: TcpStream) {
    let raw = stream.try_clone().unwrap();
    let _ = match &shared.context {
        None => answer(shared, stream, &raw),
        Some(context) => {
            let mut stream = SslStream::new(Ssl::new(context).unwrap(), stream).unwrap();
            match stream.accept() {
                Ok(()) => answer(shared, stream, &raw),
                Err(_) => Ok(()),
            }
        }
    };
}

fn answer(shared: &Shared, mut stream: impl Read + Write, raw: &TcpStream) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte)? == 0 {
            return Ok(());
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.lines().filter(|line| !line.is_empty()).map(str::to_owned);
    let first = lines.next().unwrap();
    let path = first.strip_prefix("GET ").unwrap().strip_suffix(" HTTP/1.1").unwrap().to_owned();
    let asked = Asked { path, lines: lines.collect() };
    let number = {
        let mut all = shared.asked.lock().unwrap();
        all.push(asked.clone());
        all.len() - 1
    };
    for step in (shared.script)(&asked, number) {
        match step {
            Step::Send(bytes) => stream.write_all(&bytes)?,
            Step::Repeat(bytes, times) => (0..times).try_for_each(|_| stream.write_all(&bytes))?,
            Step::Pause(time) => thread::sleep(time),
            Step::Hold => {
                let _ = std::io::copy(&mut stream, &mut std::io::sink());
            }
            Step::Reset => {
                let _ = reset_at_close(raw);
                return Ok(());
            }
        }
    }
    stream.flush()
}

/// Makes the close a reset.
fn reset_at_close(stream: &TcpStream) -> std::io::Result<()> {
    use std::os::fd::AsRawFd;
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    // SAFETY: a socket, and an option of its size.
    let set = unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_LINGER,
            (&raw const linger).cast(),
            size_of::<libc::linger>() as libc::socklen_t,
        )
    };
    if set == 0 {
        Ok(())
    } else {
        Err(std::io::Error::last_os_error())
    }
}

/// The head of a good server's answer, and the bytes behind it.
pub fn good(asked: &Asked, image: &[u8]) -> (String, Vec<u8>) {
    let (from, size) = (asked.from(), image.len());
    let head = match from {
        0 => format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\nETag: \"1\"\r\n\r\n"),
        _ if from < size => format!(
            "HTTP/1.1 206 Partial Content\r\nContent-Length: {}\r\nContent-Range: bytes {from}-{}/{size}\r\nETag: \
             \"1\"\r\n\r\n",
            size - from,
            size - 1
        ),
        _ => return (format!("HTTP/1.1 416 No\r\nContent-Range: bytes */{size}\r\n\r\n"), Vec::new()),
    };
    (head, image[from..].to_vec())
}

/// A good server's answer, of which only so many bytes of the body come.
pub fn cut(asked: &Asked, image: &[u8], bytes: usize) -> Vec<Step> {
    let (head, body) = good(asked, image);
    vec![Step::Send(head.into_bytes()), Step::Send(body[..bytes.min(body.len())].to_vec())]
}

pub fn whole(asked: &Asked, image: &[u8]) -> Vec<Step> {
    cut(asked, image, usize::MAX)
}

/// These lines, an empty one, and this body.
pub fn raw(lines: &[&str], body: &[u8]) -> Vec<Step> {
    let head = format!("{}\r\n\r\n", lines.join("\r\n"));
    vec![Step::Send(head.into_bytes()), Step::Send(body.to_vec())]
}
