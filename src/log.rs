//! The log: records of any thread wait here, in a bounded queue, until a loop delivers them to the host's sink.
//!
//! Off by default; a record that nobody wants costs one atomic load. Nothing that could hold a secret belongs in one.

use crate::text;
use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt;
use std::mem;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// How much a record matters; a sink gets its own level and what stands above it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Error = 1,
    Warn = 2,
    Info = 3,
    Debug = 4,
    Trace = 5,
}

/// Where records go.
pub type Sink = Box<dyn Fn(&Record) + Send + Sync>;

/// Records that wait at most; later ones are counted and told.
const QUEUE_LEN: usize = 256;
/// Bytes of a message at most, so that the queue is bounded in memory, too.
const MESSAGE_LEN: usize = 1024;

/// Both texts are plain ([`text::is_plain`]).
pub struct Record {
    pub level: Level,
    /// Which part of the library speaks.
    pub target: &'static str,
    pub message: String,
    /// When it was written, by the wall clock: milliseconds since 1970.
    pub time_ms: u64,
}

impl Record {
    fn new(level: Level, target: &'static str, message: String) -> Record {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Record { level, target, message, time_ms: u64::try_from(since.as_millis()).unwrap_or(u64::MAX) }
    }
}

struct State {
    sink: Option<Arc<Sink>>,
    queue: VecDeque<Record>,
    lost: u64,
    /// A thread is delivering; the others leave their records to it, so that they arrive in order.
    delivering: bool,
    /// The generation of the sink that is being called right now.
    in_call: Option<u64>,
    /// Grows with each `set`.
    generation: u64,
}

/// The level of the sink in place, 0 for none: what the fast path looks at.
static MAX_LEVEL: AtomicI32 = AtomicI32::new(0);
static STATE: Mutex<State> =
    Mutex::new(State { sink: None, queue: VecDeque::new(), lost: 0, delivering: false, in_call: None, generation: 0 });
static CALL_ENDED: Condvar = Condvar::new();

thread_local! {
    static IN_CALLBACK: Cell<bool> = const { Cell::new(false) };
}

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// True while the sink runs on this thread: the boundary refuses every call then.
pub fn in_log_callback() -> bool {
    IN_CALLBACK.get()
}

/// Puts `sink` in place of the one before; `None` switches the log off and drops what waits.
///
/// When this returns, no call of the sink before is running or will be made. Must not be called from a sink.
pub fn set(sink: Option<Sink>, max_level: Level) {
    let mut state = state();
    MAX_LEVEL.store(if sink.is_some() { max_level as i32 } else { 0 }, Ordering::Relaxed);
    if sink.is_none() {
        state.queue = VecDeque::new();
        state.lost = 0;
    }
    let before = mem::replace(&mut state.sink, sink.map(Arc::new));
    state.generation += 1;
    let ours = state.generation;
    // A call of a newer generation is of this sink, or of one that another thread has set since: not ours to wait for.
    while state.in_call.is_some_and(|generation| generation < ours) {
        state = CALL_ENDED.wait(state).unwrap_or_else(PoisonError::into_inner);
    }
    drop(state);
    drop(before);
}

/// Hands what waits to the sink, one queue's length at most: with other threads that go on logging, a loop would else
/// never get back to its own work. True when something is left. Called by a client's loop with no lock of the library
/// held.
pub fn deliver() -> bool {
    if MAX_LEVEL.load(Ordering::Relaxed) == 0 || in_log_callback() {
        return false;
    }
    let mut locked = state();
    if locked.delivering {
        return false;
    }
    locked.delivering = true;
    // And the record of those that were dropped.
    for _ in 0..=QUEUE_LEN {
        let Some((sink, record)) = next(&mut locked) else { break };
        locked.in_call = Some(locked.generation);
        drop(locked);
        let call = Call::begin();
        sink(&record);
        drop(sink);
        drop(call);
        locked = state();
    }
    locked.delivering = false;
    !locked.queue.is_empty() || locked.lost > 0
}

fn next(state: &mut State) -> Option<(Arc<Sink>, Record)> {
    let sink = state.sink.clone()?;
    if let Some(record) = state.queue.pop_front() {
        return Some((sink, record));
    }
    match mem::take(&mut state.lost) {
        0 => None,
        lost => {
            let message = format!("{lost} log records were dropped: nobody ran a client's loop in time");
            Some((sink, Record::new(Level::Warn, "log", message)))
        }
    }
}

/// One call of the sink. Ended by drop, so that a sink that unwinds does not leave `set` waiting for ever.
struct Call(());

impl Call {
    fn begin() -> Call {
        IN_CALLBACK.set(true);
        Call(())
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        IN_CALLBACK.set(false);
        let mut state = state();
        state.in_call = None;
        if std::thread::panicking() {
            state.delivering = false;
        }
        drop(state);
        CALL_ENDED.notify_all();
    }
}

pub fn error(target: &'static str, message: fmt::Arguments<'_>) {
    write(Level::Error, target, message);
}

pub fn warn(target: &'static str, message: fmt::Arguments<'_>) {
    write(Level::Warn, target, message);
}

#[allow(dead_code, reason = "for the packets of the transport")]
pub fn trace(target: &'static str, message: fmt::Arguments<'_>) {
    write(Level::Trace, target, message);
}

pub fn write(level: Level, target: &'static str, message: fmt::Arguments<'_>) {
    if level as i32 > MAX_LEVEL.load(Ordering::Relaxed) {
        return;
    }
    // Formatted before the lock is taken: a Display may do anything.
    let record = Record::new(level, target, printable(message));
    let mut state = state();
    if state.sink.is_none() {
        return;
    }
    if state.queue.len() >= QUEUE_LEN {
        state.lost += 1;
        return;
    }
    state.queue.push_back(record);
}

/// The text, cut to length, in plain characters: a topic off the network must neither end a C string early nor forge a
/// line or drive a terminal.
fn printable(message: fmt::Arguments<'_>) -> String {
    struct Text(String);
    impl fmt::Write for Text {
        fn write_str(&mut self, piece: &str) -> fmt::Result {
            for c in piece.chars() {
                if self.0.len() + c.len_utf8() > MESSAGE_LEN {
                    return Err(fmt::Error);
                }
                self.0.push(text::plain(c));
            }
            Ok(())
        }
    }
    let mut text = Text(String::new());
    // An error only says that the text was cut.
    let _ = fmt::write(&mut text, message);
    text.0
}

#[cfg(test)]
mod tests;
