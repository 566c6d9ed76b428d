//! Performs a transfer: the thread of a download.

use super::control::Control;
use super::sink::{Answer, Refused, Sink};
use super::transfer::{failure, Failure, Next, Stage, Transfer, FLOOR_BYTES_PER_S};
use crate::error::{Error, Result, Status};
use crate::log;
use crate::model::http::{Blame, End, Fetch, Got, BLOCK};

/// How long one wait for the network is at most.
const STEP_MS: u64 = 1000;
/// How often a clock is looked at that was never set.
const CLOCK_MS: u64 = 1000;

/// Who is told of the download.
pub trait Report {
    /// So many bytes of the image are there.
    fn progress(&mut self, bytes: u64);
    /// The image is complete and right. Returns when that is stored.
    fn verified(&mut self) -> Result<()>;
}

/// The clocks, in milliseconds.
pub trait Clock {
    fn now(&self) -> u64;
    fn wall(&self) -> u64;
    /// Waits. False if it is cancelled.
    fn sleep(&self, ms: u64) -> bool;
}

pub struct Task<'a, F> {
    pub transfer: Transfer,
    pub stall_ms: u64,
    pub fetch: F,
    pub sink: &'a mut dyn Sink,
    pub report: &'a mut dyn Report,
    pub control: &'a Control,
    pub clock: &'a dyn Clock,
}

/// A request whose body is being received.
struct Watch {
    since: u64,
    received: u64,
}

impl<F: Fetch> Task<'_, F> {
    /// Returns when the sink has taken over the verified image, or when there will be none. The sink has been told.
    pub fn run(mut self) -> std::result::Result<(), Failure> {
        let result = self.all();
        self.fetch.close();
        if let Err(failure) = &result {
            self.sink.failed(failure.error.status);
        }
        result
    }

    fn all(&mut self) -> std::result::Result<(), Failure> {
        self.begin()?;
        self.download()?;
        self.fetch.close();
        if !self.control.seal() {
            return Err(cancelled());
        }
        self.report.verified().map_err(|error| Failure { error, code: 0, stage: Stage::Writing })?;
        told("verified", self.sink.verified())
    }

    /// Asks the sink what it has, and reads that back for the digest.
    fn begin(&mut self) -> std::result::Result<(), Failure> {
        let there = told("begin", self.sink.begin())?;
        let size = self.transfer.size();
        if there > size {
            log::warn(
                "ota",
                format_args!("the sink says that it has {there} bytes of an image of {size}; it begins at 0"),
            );
            return Ok(());
        }
        let mut buffer = buffer()?;
        while self.transfer.at() < there {
            self.check()?;
            let at = self.transfer.at();
            let len = (there - at).min(BLOCK as u64) as usize;
            told("read", self.sink.read(at, &mut buffer[..len]))?;
            self.transfer.read_back(&buffer[..len]);
        }
        self.report.progress(self.transfer.at());
        Ok(())
    }

    fn download(&mut self) -> std::result::Result<(), Failure> {
        let mut awaits_clock = false;
        loop {
            self.check()?;
            let now = self.clock.now();
            match self.transfer.next(now, self.clock.wall())? {
                Next::Done => return Ok(()),
                Next::Wait(until) => drop(self.clock.sleep(until.saturating_sub(now))),
                Next::AwaitClock => {
                    if !std::mem::replace(&mut awaits_clock, true) {
                        log::warn("ota", format_args!("the download waits until the clock is set: TLS needs the time"));
                    }
                    self.clock.sleep(CLOCK_MS);
                }
                Next::Ask(request) => {
                    awaits_clock = false;
                    self.fetch.ask(&request);
                    self.receive()?;
                    self.fetch.close();
                }
            }
        }
    }

    /// Receives one answer. What has come of it is with the sink in the end.
    fn receive(&mut self) -> std::result::Result<(), Failure> {
        let mut watch = Watch { since: self.clock.now(), received: 0 };
        let mut counted = 0;
        let mut has_head = false;
        loop {
            self.check()?;
            let room = if has_head { self.transfer.room() } else { BLOCK };
            let got = self.fetch.step(room, STEP_MS);
            let (now, received) = (self.clock.now(), self.fetch.received());
            let within_limit = self.transfer.fetched(received - counted);
            counted = received;
            match got {
                Got::Head(head) => {
                    if !self.transfer.head(&head, now, self.clock.wall()) {
                        return Ok(());
                    }
                    has_head = true;
                }
                Got::Bytes => self.blocks(false)?,
                Got::End(end) => {
                    self.blocks(true)?;
                    self.transfer.ended(end, now);
                    return Ok(());
                }
                Got::Nothing => {}
            }
            if has_head && self.transfer.room() == 0 {
                self.transfer.ended(End::Complete, now);
                return Ok(());
            }
            let stalled = watch.is_stalled(now, received, self.stall_ms);
            // The sink may have taken its time.
            watch.after_sink(now, self.clock.now());
            if !within_limit || stalled {
                self.blocks(true)?;
                if stalled {
                    let words = format!("the server sent nothing, or almost nothing, for {} s", self.stall_ms / 1000);
                    self.transfer.ended(End::Broken { blame: Blame::Server, words }, now);
                }
                return Ok(());
            }
        }
    }

    /// Gives the sink the whole blocks that have come, or all bytes, except for those behind the end of the answer's range.
    fn blocks(&mut self, all: bool) -> std::result::Result<(), Failure> {
        loop {
            let room = self.transfer.room();
            let len = room.min(self.fetch.body().len());
            if len == 0 || (len < room && !all) {
                return Ok(());
            }
            let block = &self.fetch.body()[..len];
            told("block", self.sink.block(self.transfer.at(), block))?;
            self.transfer.stored(block, self.clock.now());
            self.fetch.take(len);
            self.report.progress(self.transfer.at());
        }
    }

    fn check(&self) -> std::result::Result<(), Failure> {
        match self.control.is_cancelled() {
            true => Err(cancelled()),
            false => Ok(()),
        }
    }
}

impl Watch {
    fn is_stalled(&mut self, now: u64, received: u64, stall_ms: u64) -> bool {
        if now - self.since < stall_ms {
            return false;
        }
        let progress = received - self.received;
        let wanted = FLOOR_BYTES_PER_S * stall_ms / 1000;
        *self = Watch { since: now, received };
        progress < wanted.max(1)
    }

    fn after_sink(&mut self, before: u64, after: u64) {
        self.since += after - before;
    }
}

fn told<T>(call: &str, answer: Answer<T>) -> std::result::Result<T, Failure> {
    answer.map_err(|refused| match refused {
        Refused::Cancelled => cancelled(),
        Refused::Host(code, words) => {
            let words = format!("the sink's {call}: {words}");
            Failure { code, ..failure(Status::ENOS_ERR_STORAGE, words, Stage::Writing) }
        }
    })
}

fn cancelled() -> Failure {
    failure(Status::ENOS_ERR_CANCELLED, "the download was cancelled", Stage::Download)
}

fn buffer() -> std::result::Result<Vec<u8>, Failure> {
    let mut buffer = Vec::new();
    if buffer.try_reserve_exact(BLOCK).is_err() {
        let error = Error::new(Status::ENOS_ERR_NO_MEMORY, "there is no memory for a block");
        return Err(Failure { error, code: 0, stage: Stage::Download });
    }
    buffer.resize(BLOCK, 0);
    Ok(buffer)
}
