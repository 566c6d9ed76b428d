//! The log. Records from any thread wait in a bounded queue until a loop delivers them to the host's sink.
//!
//! It is off by default. A record that no sink wants costs one atomic load. A record must not contain anything that may be
//! a secret.

use crate::text;
use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt;
use std::mem;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// How important a record is. A sink gets its own level and the more important ones.
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

/// How many records wait at most. Later ones are dropped, and a record reports their number.
const QUEUE_LEN: usize = 256;
/// How many bytes a message has at most, so that the queue's memory is bounded as well.
const MESSAGE_LEN: usize = 1024;

/// Both texts are plain ([`text::is_plain`]).
pub struct Record {
    pub level: Level,
    /// The part of the library that wrote the record.
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
    /// A thread is delivering. Other threads leave their records to it, so that they arrive in order.
    delivering: bool,
    /// The generation of the sink that is being called.
    in_call: Option<u64>,
    /// Grows with each `set`.
    generation: u64,
}

/// The level of the present sink, 0 for none. Only this is read for a record that no sink wants.
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

/// True while the sink runs on this thread. The ABI refuses every call then.
pub fn in_log_callback() -> bool {
    IN_CALLBACK.get()
}

/// Replaces the sink. `None` switches the log off and drops the records that wait.
///
/// When this returns, no call of the earlier sink is running or will be made. A sink must not call this.
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
    // A call of a newer generation belongs to this sink, or to one that another thread has set since. It is not waited for.
    while state.in_call.is_some_and(|generation| generation < ours) {
        state = CALL_ENDED.wait(state).unwrap_or_else(PoisonError::into_inner);
    }
    drop(state);
    drop(before);
}

/// Passes the waiting records to the sink: one queue's length at most, because other threads may continue to log, and
/// the loop has other work. Returns true if something is left. A client's loop calls this with no lock of the library
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
    // One more for the record that counts those that were dropped.
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

/// One call of the sink. It ends on drop, so that `set` does not wait for ever if a sink unwinds.
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

pub fn trace(target: &'static str, message: fmt::Arguments<'_>) {
    write(Level::Trace, target, message);
}

pub fn write(level: Level, target: &'static str, message: fmt::Arguments<'_>) {
    if level as i32 > MAX_LEVEL.load(Ordering::Relaxed) {
        return;
    }
    // Formatted before the lock is taken, because a Display may do anything.
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

/// The text, cut to its maximum length, in plain characters. A topic from the network must not end a C string early, forge
/// a line, or control a terminal.
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
    // An error only means that the text was cut.
    let _ = fmt::write(&mut text, message);
    text.0
}

#[cfg(test)]
mod tests;
