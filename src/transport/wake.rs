//! One epoll descriptor for the host's own loop: an eventfd that says "there is work", a timer, and the link's socket.

use super::awake::Awake;
use super::clock;
use crate::error::{Error, Result, Status};
use paho_engine::link::Interest;
use rustix::event::{epoll, eventfd, EventfdFlags};
use rustix::io::Errno;
use rustix::time::{timerfd_create, timerfd_settime, Itimerspec, Timespec};
use rustix::time::{TimerfdClockId, TimerfdFlags, TimerfdTimerFlags};
use std::ffi::c_int;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};

/// What [`Waker::set_deadline`] keeps for no deadline: later than any.
const NEVER: u64 = u64::MAX;
/// A deadline may be so much too early: that saves a system call for each message that moves it on a little.
const EARLY_MS: u64 = 1000;

/// What was found to be ready; also what the descriptors are known by.
const EVENT: u8 = 1;
const TIMER: u8 = 2;
const SOCKET: u8 = 4;
const ALL: u8 = EVENT | TIMER | SOCKET;

/// Ends a wait: from any thread, from a signal handler, or when a deadline has come. All descriptors close on exec.
pub struct Waker {
    epoll: OwnedFd,
    event: OwnedFd,
    timer: OwnedFd,
    awake: Awake,
    /// The event may have been set.
    woken: AtomicBool,
    /// When to be due.
    deadline: AtomicU64,
    /// The host waits for the descriptor by itself, so the timer has to be set: that is a system call, and a slow one on
    /// a virtual machine. A wait of our own needs no timer.
    polled: AtomicBool,
    /// What the last wait has found; [`ALL`] if nobody looked.
    ready: AtomicU8,
    /// The socket that the epoll has, and which link's it is.
    watched: Mutex<Option<(u64, Interest)>>,
}

impl Waker {
    /// Makes the three descriptors.
    pub fn new() -> Result<Waker> {
        let new = || -> rustix::io::Result<Waker> {
            let waker = Waker {
                epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
                event: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
                timer: timerfd_create(TimerfdClockId::Boottime, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?,
                awake: Awake::new(),
                woken: AtomicBool::new(false),
                deadline: AtomicU64::new(NEVER),
                polled: AtomicBool::new(false),
                ready: AtomicU8::new(ALL),
                watched: Mutex::new(None),
            };
            for (fd, ready) in [(&waker.event, EVENT), (&waker.timer, TIMER)] {
                epoll::add(&waker.epoll, fd, epoll::EventData::new_u64(ready.into()), epoll::EventFlags::IN)?;
            }
            Ok(waker)
        };
        new().map_err(|e| Error::new(Status::ENOS_ERR_NO_MEMORY, format!("the loop's descriptors cannot be made: {e}")))
    }

    /// Ends the wait that runs, or else the next one. Safe in a signal handler: one write, and errno as it was.
    pub fn wake(&self) {
        self.woken.store(true, Ordering::SeqCst);
        // SAFETY: errno is this thread's own; the buffer is 8 bytes. That the counter is full (EAGAIN) means that a
        // wake-up is under way already, which is all that is wanted.
        unsafe {
            let errno = libc::__errno_location();
            let before = *errno;
            libc::write(self.event.as_raw_fd(), ptr::from_ref(&1u64).cast(), size_of::<u64>());
            *errno = before;
        }
    }

    /// Says that there is work. Wakes who waits, unless the loop is about to look for work anyway: a write for each
    /// message is a good part of what a message costs.
    pub fn notify(&self) {
        if self.awake.notify() {
            self.wake();
        }
    }

    /// From here on [`notify`](Self::notify) wakes again. Rest first, then look for work that is left.
    pub fn rest(&self) {
        self.awake.rest();
    }

    /// The descriptor to poll: readable after [`wake`](Self::wake) or from the deadline on, until
    /// [`clear`](Self::clear). It stays the waker's.
    pub fn fd(&self) -> RawFd {
        if !self.polled.swap(true, Ordering::SeqCst) {
            // Another thread may be in the loop, and set a deadline meanwhile: the last one counts.
            let mut at = self.deadline.load(Ordering::SeqCst);
            loop {
                self.set_timer(at);
                match self.deadline.load(Ordering::SeqCst) {
                    same if same == at => break,
                    other => at = other,
                }
            }
            // The host waits from here on, for good.
            if self.awake.wait() {
                self.wake();
            }
        }
        self.epoll.as_raw_fd()
    }

    /// When to be due, in milliseconds of [`clock::boottime_ms`]; a time that has passed is due at once, `None` never.
    /// Replaces the deadline before it, but for one that is still to come and a second earlier at most: that makes a
    /// wake-up too many now and then, and not a system call for each message whose own deadline is a little later. For
    /// the thread in the loop alone.
    pub fn set_deadline(&self, at_ms: Option<u64>) {
        let before = self.deadline.load(Ordering::SeqCst);
        let wanted = at_ms.unwrap_or(NEVER);
        if before <= wanted && wanted - before <= EARLY_MS && before > clock::boottime_ms() {
            return;
        }
        self.deadline.store(wanted, Ordering::SeqCst);
        if self.polled.load(Ordering::SeqCst) {
            self.set_timer(wanted);
        }
    }

    fn set_timer(&self, at: u64) {
        // All zeros switch the timer off.
        let at = if at == NEVER { 0 } else { at.max(1) };
        // 68 years of uptime at most: what also fits a kernel of 32 bits.
        let tv_sec = (at / 1000).min(i32::MAX as u64) as i64;
        let it_value = Timespec { tv_sec, tv_nsec: (at % 1000 * 1_000_000) as _ };
        let it_interval = Timespec { tv_sec: 0, tv_nsec: 0 };
        // It cannot fail: the descriptor is a timer, and the time is one.
        let _ = timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &Itimerspec { it_interval, it_value });
    }

    /// Waits for a wake-up or the deadline, at most `timeout_ms` (`None`: as long as it takes). `false` when the time
    /// was over or a signal came. For one thread at a time.
    pub fn wait(&self, timeout_ms: Option<u64>) -> Result<bool> {
        self.ready.store(TIMER | SOCKET, Ordering::Relaxed);
        let waited = if self.awake.wait() { Ok(true) } else { self.sleep(timeout_ms) };
        self.awake.waited();
        waited
    }

    /// The wait, when there is no work yet.
    fn sleep(&self, timeout_ms: Option<u64>) -> Result<bool> {
        let deadline = self.deadline.load(Ordering::SeqCst);
        let left = deadline.saturating_sub(clock::boottime_ms());
        let due = deadline != NEVER && timeout_ms.is_none_or(|ms| left <= ms);
        // No longer than epoll_wait() can: the call for longer ones is not in older kernels.
        let timeout = if due { Some(left) } else { timeout_ms }.map(|ms| {
            let ms = ms.min(c_int::MAX as u64);
            Timespec { tv_sec: (ms / 1000) as i64, tv_nsec: (ms % 1000 * 1_000_000) as _ }
        });
        let mut events = [MaybeUninit::uninit(); 3];
        match epoll::wait(&self.epoll, &mut events, timeout.as_ref()) {
            Ok((ready, _)) => {
                let found = ready.iter().fold(0, |found, event| found | event.data.u64() as u8);
                self.ready.store(found, Ordering::Relaxed);
                // The wait may have ended a moment early.
                Ok(found != 0 || due && deadline <= clock::boottime_ms())
            }
            Err(Errno::INTR) => Ok(false),
            Err(e) => Err(Error::new(Status::ENOS_ERR_STATE, format!("waiting failed: {e}"))),
        }
    }

    /// Takes back the wake-ups so far, and a deadline that has come; one still to come stays. Clear first, then look
    /// for work: what is pushed in between is seen then, or wakes again. [`notify`](Self::notify) does not wake from
    /// here to [`rest`](Self::rest).
    pub fn clear(&self) {
        self.awake.rouse();
        let ready = self.ready.load(Ordering::Relaxed);
        let clear = |fd| {
            // Nothing to read (EAGAIN) is as good.
            let _ = rustix::io::read(fd, &mut [0; size_of::<u64>()]);
        };
        if self.woken.swap(false, Ordering::SeqCst) || ready & EVENT != 0 {
            clear(&self.event);
        }
        if self.deadline.load(Ordering::SeqCst) <= clock::boottime_ms() {
            self.deadline.store(NEVER, Ordering::SeqCst);
            if self.polled.load(Ordering::SeqCst) {
                clear(&self.timer);
            }
        }
        self.ready.store(ready | EVENT | TIMER, Ordering::Relaxed);
    }

    /// Whether the socket may be ready, as the last wait has found it.
    pub fn is_socket_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed) & SOCKET != 0
    }

    /// Has the wait end when the socket of a link is ready, in place of the one before it; `None`: of no link.
    pub fn watch(&self, link: u64, interest: Option<Interest>) {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = interest.map(|interest| (link, interest));
        if *watched == wanted {
            return;
        }
        let same = matches!((&*watched, &wanted), (Some((before, old)), Some((now, new))) if before == now && old.fd == new.fd);
        if let (false, Some((_, old))) = (same, &*watched) {
            // It may be closed, and out of the epoll with that: then this fails.
            // SAFETY: a system call on numbers.
            unsafe { libc::epoll_ctl(self.epoll.as_raw_fd(), libc::EPOLL_CTL_DEL, old.fd, ptr::null_mut()) };
        }
        if let Some((_, Interest { fd, read, write })) = wanted {
            let mut events = epoll::EventFlags::empty();
            events.set(epoll::EventFlags::IN, read);
            events.set(epoll::EventFlags::OUT, write);
            let data = epoll::EventData::new_u64(SOCKET.into());
            // SAFETY: the link has this socket open: its owner calls, which is the one to close it.
            let socket = unsafe { BorrowedFd::borrow_raw(fd) };
            // It cannot fail but for memory or the user's limit on watches: then the timer still brings the loop here.
            let _ = match same {
                true => epoll::modify(&self.epoll, socket, data, events),
                false => epoll::add(&self.epoll, socket, data, events),
            };
        }
        *watched = wanted;
    }
}

#[cfg(test)]
mod tests;
