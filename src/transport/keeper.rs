//! The keeper is one thread of the process. It steps the links whose loop does not run.
//!
//! It sleeps while the loop of every link runs. If the loop of a link has not run for half a keep-alive (a callback takes
//! long, or the host does not run the loop), the keeper steps the link once. Until then nothing is read. If the step found
//! something to do, the keeper keeps the link: it waits for the link's socket, reads into the inbox, acknowledges, and
//! keeps the connection alive, until the loop runs again. If the step found nothing, the keeper steps the link again after
//! the same time. It never uses the session, and never calls the host.
//!
//! A thread that leaves a loop does not wake the keeper. It sets the keeper's timer, unless that is set to an earlier time.

use super::clock;
use super::context::{Context, Standing};
use super::thread;
use crate::error::{Error, Result, Status};
use paho_engine::link::Interest;
use rustix::event::epoll;
use rustix::time::{timerfd_create, timerfd_settime, Itimerspec, Timespec};
use rustix::time::{TimerfdClockId, TimerfdFlags, TimerfdTimerFlags};
use std::ffi::c_int;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// A step may be in a TLS handshake, whose deepest call needs about 20 KiB.
const STACK: usize = 64 * 1024;
/// How many packets of one link it reads at once.
const STEP: c_int = 64;
/// The number of the timer in the epoll. Links have other numbers.
const TIMER: u64 = 0;
const NOBODY: u64 = u64::MAX;
const NEVER: u64 = u64::MAX;
/// For [`Attendance::left_at`]: a thread is in the loop.
const PRESENT: u64 = 0;

/// Whether the loop of a link runs.
pub struct Attendance {
    /// Since when no thread is in its loop, or [`PRESENT`].
    left_at: AtomicU64,
    /// How long the loop may be empty before the keeper steps the link.
    patience_ms: u64,
    /// The keeper waits for its socket.
    kept: AtomicBool,
    ever: AtomicBool,
}

impl Attendance {
    pub fn new(patience_ms: u64) -> Attendance {
        Attendance {
            left_at: AtomicU64::new(clock::boottime_ms()),
            patience_ms,
            kept: AtomicBool::new(false),
            ever: AtomicBool::new(false),
        }
    }

    /// Returns whether the keeper has to give the link back.
    pub fn attend(&self) -> bool {
        self.left_at.store(PRESENT, Ordering::SeqCst);
        self.ever.store(true, Ordering::Relaxed);
        self.is_kept()
    }

    pub fn leave(&self) {
        let now = clock::boottime_ms();
        self.left_at.store(now, Ordering::SeqCst);
        if let Some(keeper) = KEEPER.get() {
            keeper.alarm(now + self.patience_ms);
        }
    }

    pub fn is_kept(&self) -> bool {
        self.kept.load(Ordering::SeqCst)
    }

    pub fn was_attended(&self) -> bool {
        self.ever.load(Ordering::Relaxed)
    }

    /// When the keeper has to step the link; `None` while its loop runs.
    fn due(&self) -> Option<u64> {
        match self.left_at.load(Ordering::SeqCst) {
            PRESENT => None,
            left_at => Some(left_at + self.patience_ms),
        }
    }
}

/// The registration of a link with the keeper.
pub struct Place(u64);

struct Entry {
    number: u64,
    context: Arc<Context>,
    attendance: Arc<Attendance>,
    /// How its socket is registered in the keeper's epoll.
    watched: Option<Interest>,
    /// When the link needs its next step, while it is kept; otherwise, when the keeper looks at it again.
    at: Option<u64>,
}

struct Keeper {
    epoll: OwnedFd,
    timer: OwnedFd,
    /// The time to which the timer is set.
    armed: AtomicU64,
    arming: Mutex<()>,
    links: Mutex<Links>,
}

#[derive(Default)]
struct Links {
    entries: Vec<Entry>,
    last: u64,
    runs: bool,
}

static KEEPER: OnceLock<Keeper> = OnceLock::new();

/// Registers a link with the keeper.
pub fn enter(context: &Arc<Context>, attendance: &Arc<Attendance>) -> Result<Place> {
    let keeper = match KEEPER.get() {
        Some(keeper) => keeper,
        None => {
            let made = Keeper::new()?;
            KEEPER.get_or_init(|| made)
        }
    };
    let mut links = keeper.links();
    if !links.runs {
        thread::spawn("enos-keeper", STACK, || keeper.run()).map(drop)?;
        links.runs = true;
    }
    links.last += 1;
    let number = links.last;
    let (context, attendance) = (Arc::clone(context), Arc::clone(attendance));
    let at = attendance.due();
    links.entries.push(Entry { number, context, attendance, watched: None, at });
    drop(links);
    if let Some(at) = at {
        keeper.alarm(at);
    }
    Ok(Place(number))
}

impl Place {
    /// Gives the link back to its loop.
    pub fn take_back(&self) {
        self.with(|keeper, entry| keeper.release(entry));
    }

    /// A call may have changed what the link waits for.
    pub fn changed(&self) {
        self.with(|keeper, entry| {
            if entry.attendance.is_kept() {
                // SAFETY: the caller borrows the link, and is in no callback of it.
                let standing = unsafe { entry.context.standing() };
                keeper.note(entry, standing, 0);
            }
        });
    }

    /// Waits for the end of a step in progress. There is no other step afterwards.
    pub fn leave(&self) {
        let Some(keeper) = KEEPER.get() else { return };
        let mut links = keeper.links();
        if let Some(index) = links.entries.iter().position(|entry| entry.number == self.0) {
            keeper.release(&mut links.entries[index]);
            links.entries.swap_remove(index);
        }
    }

    fn with(&self, call: impl FnOnce(&Keeper, &mut Entry)) {
        let Some(keeper) = KEEPER.get() else { return };
        let mut links = keeper.links();
        if let Some(entry) = links.entries.iter_mut().find(|entry| entry.number == self.0) {
            call(keeper, entry);
        }
    }
}

impl Keeper {
    fn new() -> Result<Keeper> {
        let new = || -> rustix::io::Result<Keeper> {
            let keeper = Keeper {
                epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
                timer: timerfd_create(TimerfdClockId::Boottime, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?,
                armed: AtomicU64::new(NEVER),
                arming: Mutex::default(),
                links: Mutex::default(),
            };
            epoll::add(&keeper.epoll, &keeper.timer, epoll::EventData::new_u64(TIMER), epoll::EventFlags::IN)?;
            Ok(keeper)
        };
        new().map_err(|e| {
            Error::new(Status::ENOS_ERR_NO_MEMORY, format!("the keeper's descriptors cannot be made: {e}"))
        })
    }

    fn links(&self) -> MutexGuard<'_, Links> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        loop {
            // Not on the heap, so that the sleeping thread has no heap memory of its own.
            let (mut room, mut ready) = ([MaybeUninit::uninit(); 64], [NOBODY; 64]);
            // Signals are blocked on this thread. Any other error is temporary.
            let Ok((events, _)) = epoll::wait(&self.epoll, &mut room, None) else { continue };
            ready.iter_mut().zip(events).for_each(|(ready, event)| *ready = event.data.u64());
            if ready.contains(&TIMER) {
                // If there is nothing to read (EAGAIN), the timer is cleared already.
                let _ = rustix::io::read(&self.timer, &mut [0; size_of::<u64>()]);
                self.armed.store(NEVER, Ordering::SeqCst);
            }
            let mut next = NEVER;
            for entry in &mut self.links().entries {
                self.see_to(entry, ready.contains(&entry.number));
                next = next.min(entry.at.unwrap_or(NEVER));
            }
            self.alarm(next);
        }
    }

    /// Steps a link if the keeper has to do that now. Notes in the entry when to look again.
    fn see_to(&self, entry: &mut Entry, ready: bool) {
        let now = clock::boottime_ms();
        let Some(due) = entry.attendance.due() else {
            entry.at = None;
            return;
        };
        if entry.attendance.is_kept() {
            if ready || entry.at.is_some_and(|at| at <= now) {
                self.step(entry, ready, now);
            }
            return;
        }
        let due = entry.at.map_or(due, |at| at.max(due));
        if due > now {
            entry.at = Some(due);
            return;
        }
        entry.attendance.kept.store(true, Ordering::SeqCst);
        let worked = self.step(entry, true, now);
        let is_attended = entry.attendance.due().is_none();
        if is_attended || !worked && entry.attendance.patience_ms > 0 {
            // A host that polls the descriptor runs the loop when there is something to do.
            self.release(entry);
            entry.at = (!is_attended).then_some(now + entry.attendance.patience_ms);
        }
    }

    /// Returns whether there was something to do.
    fn step(&self, entry: &mut Entry, ready: bool, now: u64) -> bool {
        // SAFETY: the link leaves its place, which waits for this, before it is destroyed; this is no callback.
        let standing = unsafe { entry.context.step(ready, STEP) };
        self.note(entry, standing, now);
        standing.worked
    }

    /// Waits for what a kept link waits for.
    fn note(&self, entry: &mut Entry, standing: Standing, now: u64) {
        entry.at = if standing.more { Some(now) } else { standing.deadline };
        if let Some(at) = entry.at {
            self.alarm(at);
        }
        if entry.watched == standing.interest {
            return;
        }
        // A link has one socket in its life. When the socket is closed, the epoll forgets it.
        let same = entry.watched.is_some();
        if let Some(Interest { fd, read, write }) = standing.interest {
            let mut events = epoll::EventFlags::empty();
            events.set(epoll::EventFlags::IN, read);
            events.set(epoll::EventFlags::OUT, write);
            let data = epoll::EventData::new_u64(entry.number);
            // SAFETY: the link has this socket open. Only a step of the link, or a call of its owner, closes it.
            let socket = unsafe { BorrowedFd::borrow_raw(fd) };
            // This fails only for lack of memory or at the user's limit of watches. Then only the deadlines remain.
            let _ = match same {
                true => epoll::modify(&self.epoll, socket, data, events),
                false => epoll::add(&self.epoll, socket, data, events),
            };
        }
        entry.watched = standing.interest;
    }

    fn release(&self, entry: &mut Entry) {
        entry.attendance.kept.store(false, Ordering::SeqCst);
        entry.at = None;
        self.forget(entry);
    }

    fn forget(&self, entry: &mut Entry) {
        if let Some(Interest { fd, .. }) = entry.watched.take() {
            // If it were closed in the meantime, its number might belong to another link.
            // SAFETY: the link is still in its place; a system call on numbers.
            unsafe {
                entry.context.while_open(|| {
                    libc::epoll_ctl(self.epoll.as_raw_fd(), libc::EPOLL_CTL_DEL, fd, ptr::null_mut());
                });
            }
        }
    }

    /// Sets the timer, unless it is set to an earlier time. This wakes no thread.
    fn alarm(&self, at: u64) {
        if at >= self.armed.load(Ordering::SeqCst) {
            return;
        }
        let _arming = self.arming.lock().unwrap_or_else(PoisonError::into_inner);
        if at >= self.armed.load(Ordering::SeqCst) {
            return;
        }
        self.armed.store(at, Ordering::SeqCst);
        // A time of 0 would switch the timer off.
        let at = at.max(1);
        let it_value =
            Timespec { tv_sec: (at / 1000).min(i32::MAX as u64) as i64, tv_nsec: (at % 1000 * 1_000_000) as _ };
        let it_interval = Timespec { tv_sec: 0, tv_nsec: 0 };
        // It cannot fail: the descriptor is a timer, and the time is one.
        let _ = timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &Itimerspec { it_interval, it_value });
    }
}
