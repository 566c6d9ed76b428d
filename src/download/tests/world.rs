//! A server, a sink and the clocks.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::download::control::Control;
use crate::download::retry::Delays;
use crate::download::sink::{Answer, Refused, Sink};
use crate::download::task::{Clock, Report, Task};
use crate::download::transfer::{Failure, Transfer};
use crate::download::Order;
use crate::error::{Result, Status};
use crate::model::http::{Blame, End, Fetch, Got, Head, Request, BLOCK};
use sha2::{Digest, Sha256};

/// 2026-01-01.
pub const WALL: u64 = 1_767_225_600_000;

/// What the server answers.
#[derive(Clone)]
pub struct Reply {
    pub lines: Vec<String>,
    pub body: Vec<u8>,
    /// The connection ends after so many bytes of the body.
    pub cut: Option<usize>,
    /// 0: at once.
    pub bytes_per_s: u64,
    /// Nothing follows the body, and the connection stays.
    pub hangs: bool,
}

impl Reply {
    pub fn new(lines: &[&str], body: &[u8]) -> Reply {
        let lines = lines.iter().map(|line| line.to_string()).collect();
        Reply { lines, body: body.to_vec(), cut: None, bytes_per_s: 0, hangs: false }
    }

    /// As a good server answers a request of `image`.
    pub fn to(request: &Request, image: &[u8]) -> Reply {
        let size = image.len();
        match request.from as usize {
            0 => Reply::new(&["HTTP/1.1 200 OK", &format!("Content-Length: {size}"), "ETag: \"1\""], image),
            from if from < size => {
                let range = format!("Content-Range: bytes {from}-{}/{size}", size - 1);
                Reply::new(&["HTTP/1.1 206 Partial Content", &range, "ETag: \"1\""], &image[from..])
            }
            _ => Reply::new(&["HTTP/1.1 416 Not Satisfiable"], b""),
        }
    }

    pub fn cut(mut self, at: usize) -> Reply {
        self.cut = Some(at);
        self
    }
}

#[derive(Default)]
pub struct Time {
    pub now: Cell<u64>,
    pub wall: Cell<u64>,
}

impl Time {
    fn pass(&self, ms: u64) {
        self.now.set(self.now.get() + ms);
        self.wall.set(self.wall.get() + ms);
    }
}

impl Clock for Rc<Time> {
    fn now(&self) -> u64 {
        self.now.get()
    }

    fn wall(&self) -> u64 {
        self.wall.get()
    }

    fn sleep(&self, ms: u64) -> bool {
        self.pass(ms);
        true
    }
}

type Server = dyn FnMut(&Request, u64) -> Reply;

struct Line {
    time: Rc<Time>,
    server: Box<Server>,
    reply: Option<(Reply, u64)>,
    is_told: bool,
    body: Vec<u8>,
    received: u64,
    /// Of all requests.
    sent: Rc<Cell<u64>>,
    requests: Rc<RefCell<Vec<u64>>>,
}

impl Fetch for Line {
    fn ask(&mut self, request: &Request) {
        self.close();
        self.requests.borrow_mut().push(request.from);
        self.reply = Some(((self.server)(request, self.time.now.get()), self.time.now.get()));
    }

    fn step(&mut self, bytes: usize, wait_ms: u64) -> Got {
        let Some((reply, since)) = &self.reply else { panic!("nothing was asked for") };
        if !std::mem::replace(&mut self.is_told, true) {
            let mut head = Head::default();
            if !reply.lines.iter().all(|line| head.line(line.as_bytes())) {
                return Got::End(End::Broken { blame: Blame::Content, words: "too many lines".into() });
            }
            return Got::Head(Box::new(head));
        }
        let end = reply.cut.unwrap_or(usize::MAX).min(reply.body.len());
        for turn in 0..2 {
            let sent = match reply.bytes_per_s {
                0 => end,
                rate => end.min(((self.time.now.get() - since) * rate / 1000) as usize),
            };
            // As HTTP does, up to a piece more than it is asked for.
            let most = self.received as usize + (bytes + 16 * 1024).saturating_sub(self.body.len());
            let piece = &reply.body[(self.received as usize).min(sent)..sent.min(most)];
            self.body.extend_from_slice(piece);
            self.received += piece.len() as u64;
            self.sent.set(self.sent.get() + piece.len() as u64);
            if self.body.len() >= bytes.max(1) {
                return Got::Bytes;
            }
            if self.received as usize == end && !reply.hangs {
                let words = "the connection was lost".into();
                return Got::End(match reply.cut.is_some() {
                    true => End::Broken { blame: Blame::Server, words },
                    false => End::Complete,
                });
            }
            if turn == 0 {
                self.time.pass(wait_ms);
            }
        }
        Got::Nothing
    }

    fn body(&self) -> &[u8] {
        &self.body
    }

    fn take(&mut self, bytes: usize) {
        self.body.drain(..bytes);
    }

    fn received(&self) -> u64 {
        self.received
    }

    fn close(&mut self) {
        (self.reply, self.is_told, self.received) = (None, false, 0);
        self.body.clear();
    }
}

/// What is in the slot, and what the sink was told.
#[derive(Default)]
pub struct Slot {
    pub bytes: Vec<u8>,
    /// What begin says, if not how much is there.
    pub claims: Option<u64>,
    pub verified: bool,
    pub failed: Option<Status>,
    /// Fails at this block.
    pub full_at: Option<u64>,
    pub largest: usize,
}

impl Sink for Slot {
    fn begin(&mut self) -> Answer<u64> {
        Ok(self.claims.unwrap_or(self.bytes.len() as u64))
    }

    fn block(&mut self, offset: u64, bytes: &[u8]) -> Answer<()> {
        assert!(!self.verified && !bytes.is_empty() && bytes.len() <= BLOCK);
        assert!(offset == 0 || offset == self.bytes.len() as u64, "blocks come in order");
        if self.full_at.is_some_and(|full| offset + bytes.len() as u64 > full) {
            return Err(Refused::Host(-28, "no room".into()));
        }
        self.bytes.truncate(offset as usize);
        self.bytes.extend_from_slice(bytes);
        self.largest = self.largest.max(bytes.len());
        Ok(())
    }

    fn read(&mut self, offset: u64, buffer: &mut [u8]) -> Answer<()> {
        buffer.copy_from_slice(&self.bytes[offset as usize..][..buffer.len()]);
        Ok(())
    }

    fn verified(&mut self) -> Answer<()> {
        self.verified = true;
        Ok(())
    }

    fn failed(&mut self, status: Status) {
        self.failed = Some(status);
    }
}

struct Listener;

impl Report for Listener {
    fn progress(&mut self, _: u64) {}

    fn verified(&mut self) -> Result<()> {
        Ok(())
    }
}

pub struct World {
    pub time: Rc<Time>,
    pub slot: Slot,
    pub image: Vec<u8>,
    pub order: Order,
    /// Where each request began, and the bytes of all bodies.
    pub requests: Rc<RefCell<Vec<u64>>>,
    pub sent: Rc<Cell<u64>>,
    pub seed: u64,
    pub control: Control,
}

impl World {
    pub fn new(size: usize) -> World {
        let image = image(size, 1);
        let time = Rc::new(Time { now: Cell::new(1_000_000), wall: Cell::new(WALL) });
        let order = Order {
            url: "http://files.example/fw".into(),
            headers: vec!["Authorization: secret".into()],
            size: size as u64,
            sign_method: "sha256".into(),
            sign: hex::encode(Sha256::digest(&image)),
            max_bytes: 0,
        };
        let (requests, sent) = Default::default();
        World { time, slot: Slot::default(), image, order, requests, sent, seed: 1, control: Control::default() }
    }

    /// A download from this server. It is told each request, and the time.
    pub fn run(&mut self, server: impl FnMut(&Request, u64) -> Reply + 'static) -> std::result::Result<(), Failure> {
        self.run_with(&Rc::clone(&self.time), server)
    }

    pub fn run_with(
        &mut self,
        clock: &dyn Clock,
        server: impl FnMut(&Request, u64) -> Reply + 'static,
    ) -> std::result::Result<(), Failure> {
        let delays = Delays { min_ms: 1_000, max_ms: 120_000 };
        let transfer = Transfer::new(self.order.clone(), delays, self.seed, self.time.now.get()).unwrap();
        let line = Line {
            time: Rc::clone(&self.time),
            server: Box::new(server),
            reply: None,
            is_told: false,
            body: Vec::new(),
            received: 0,
            sent: Rc::clone(&self.sent),
            requests: Rc::clone(&self.requests),
        };
        let task = Task {
            transfer,
            stall_ms: 60_000,
            fetch: line,
            sink: &mut self.slot,
            report: &mut Listener,
            control: &self.control,
            clock,
        };
        let result = task.run();
        assert_eq!(self.slot.verified, result.is_ok());
        assert_eq!(self.slot.failed, result.as_ref().err().map(|failure| failure.error.status));
        if self.slot.verified {
            assert!(self.slot.bytes == self.image, "what is verified is the image");
        }
        result
    }
}

pub fn image(size: usize, seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    std::iter::repeat_with(|| random.u8(..)).take(size).collect()
}
