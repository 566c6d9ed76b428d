//! A small HTTP client, which shows an answer as it came.

use super::{connect, PATIENCE};
use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Instant,
};

/// The peer has closed the link; with TLS, as TLS wants it.
pub const END: io::ErrorKind = io::ErrorKind::ConnectionAborted;

/// An answer, as far as it came.
#[derive(Debug, Default)]
pub struct Answer {
    pub code: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// How the body ended before its length; None: it is whole.
    pub end: Option<io::ErrorKind>,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }
}

/// A connection.
pub struct Http<S = TcpStream> {
    pub stream: S,
    buffer: Vec<u8>,
}

/// The address in a URL, and its path.
pub fn split(url: &str) -> (SocketAddr, &str) {
    let (_, rest) = url.split_once("://").unwrap();
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    (host.parse().unwrap(), path)
}

/// A GET on a connection of its own.
pub fn get(url: &str, headers: &[(&str, &str)]) -> Answer {
    let (address, path) = split(url);
    Http::over(connect(address)).request("GET", path, headers)
}

impl<S: Read + Write> Http<S> {
    pub fn over(stream: S) -> Http<S> {
        Http { stream, buffer: Vec::new() }
    }

    pub fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)]) {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: here.example\r\n");
        headers.iter().for_each(|(name, value)| head += &format!("{name}: {value}\r\n"));
        self.stream.write_all((head + "\r\n").as_bytes()).unwrap();
    }

    pub fn request(&mut self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(method, path, headers);
        self.answer(method == "HEAD")
    }

    fn more(&mut self) -> io::Result<()> {
        let mut chunk = [0; 16 * 1024];
        let n = self.stream.read(&mut chunk)?;
        if n == 0 {
            return Err(END.into());
        }
        self.buffer.extend_from_slice(&chunk[..n]);
        Ok(())
    }

    fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|two| two == b"\r\n") {
                let line: Vec<_> = self.buffer.drain(..end + 2).collect();
                return Ok(String::from_utf8(line[..end].to_vec()).unwrap());
            }
            self.more()?;
        }
    }

    fn head(&mut self, answer: &mut Answer) -> io::Result<()> {
        answer.code = self.line()?.split(' ').nth(1).unwrap().parse().unwrap();
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(": ") else { return Ok(()) };
            answer.headers.push((name.to_owned(), value.to_owned()));
        }
    }

    fn take(&mut self, answer: &mut Answer, bytes: usize) -> io::Result<()> {
        let began = Instant::now();
        let mut left = bytes;
        while left > 0 {
            assert!(began.elapsed() < PATIENCE, "{bytes} bytes are not there in time");
            let n = left.min(self.buffer.len());
            answer.body.extend(self.buffer.drain(..n));
            left -= n;
            if left > 0 {
                self.more()?;
            }
        }
        Ok(())
    }

    fn body(&mut self, answer: &mut Answer) -> io::Result<()> {
        if answer.header("transfer-encoding") == "chunked" {
            loop {
                let bytes = usize::from_str_radix(&self.line()?, 16).unwrap();
                self.take(answer, bytes)?;
                self.line()?;
                if bytes == 0 {
                    return Ok(());
                }
            }
        }
        match answer.header("content-length").parse() {
            Ok(length) => self.take(answer, length),
            Err(_) => loop {
                answer.body.append(&mut self.buffer);
                match self.more() {
                    Err(error) if error.kind() == END => return Ok(()),
                    more => more?,
                }
            },
        }
    }

    pub fn answer(&mut self, is_head: bool) -> Answer {
        let mut answer = Answer::default();
        let read = self.head(&mut answer).and_then(|()| if is_head { Ok(()) } else { self.body(&mut answer) });
        answer.end = read.err().map(|error| error.kind());
        answer
    }

    /// Bytes as they come, exactly so many.
    pub fn bytes(&mut self, n: usize) -> Vec<u8> {
        while self.buffer.len() < n {
            self.more().unwrap();
        }
        self.buffer.drain(..n).collect()
    }
}
