//! One epoll descriptor for the host's own loop. It contains an eventfd for work, a timer, and the link's socket.

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

/// The value of a deadline that is never due.
const NEVER: u64 = u64::MAX;
/// How much too early a deadline may be. This saves a system call for each message that moves the deadline a little.
const EARLY_MS: u64 = 1000;

/// What was found to be ready. These are also the numbers of the descriptors in the epoll.
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
    /// When the waker is due, in milliseconds of [`clock::boottime_ms`].
    deadline: AtomicU64,
    /// The host polls the descriptor itself, so that the timer has to be set. That is a system call, and a slow one on a
    /// virtual machine. A wait of our own needs no timer.
    polled: AtomicBool,
    /// What the last wait has found; [`ALL`] if there was none.
    ready: AtomicU8,
    /// The socket in the epoll, and the number of its link.
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

    /// Ends the present wait, or the next one if there is none. Safe in a signal handler: it is one write, and errno is
    /// restored.
    pub fn wake(&self) {
        self.woken.store(true, Ordering::SeqCst);
        // SAFETY: errno is this thread's own; the buffer is 8 bytes. If the counter is full (EAGAIN), there is a wake-up
        // already.
        unsafe {
            let errno = libc::__errno_location();
            let before = *errno;
            libc::write(self.event.as_raw_fd(), ptr::from_ref(&1u64).cast(), size_of::<u64>());
            *errno = before;
        }
    }

    /// Reports work. Wakes the waiting thread, unless the loop is about to look for work anyway: a write for each message
    /// would be a large part of the cost of a message.
    pub fn notify(&self) {
        if self.awake.notify() {
            self.wake();
        }
    }

    /// From here on [`notify`](Self::notify) wakes again. Call this first, then look for remaining work.
    pub fn rest(&self) {
        self.awake.rest();
    }

    /// The descriptor to poll. It is readable after [`wake`](Self::wake) or from the deadline on, until
    /// [`clear`](Self::clear). The waker owns it.
    pub fn fd(&self) -> RawFd {
        if !self.polled.swap(true, Ordering::SeqCst) {
            // Another thread may be in the loop and set a deadline in the meantime. The last one counts.
            let mut at = self.deadline.load(Ordering::SeqCst);
            loop {
                self.set_timer(at);
                match self.deadline.load(Ordering::SeqCst) {
                    same if same == at => break,
                    other => at = other,
                }
            }
            // The host counts as waiting from here on.
            if self.awake.wait() {
                self.wake();
            }
        }
        self.epoll.as_raw_fd()
    }

    /// Sets the deadline, in milliseconds of [`clock::boottime_ms`]. A time in the past is due at once, `None` is never due.
    /// It replaces the deadline before it, unless that is in the future and earlier by a second at most. This causes an
    /// unneeded wake-up now and then, but saves a system call for each message whose own deadline is a little later. Only
    /// the thread in the loop calls this.
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
        // A time of 0 switches the timer off.
        let at = if at == NEVER { 0 } else { at.max(1) };
        // At most 68 years of uptime, which also fits a 32-bit kernel.
        let tv_sec = (at / 1000).min(i32::MAX as u64) as i64;
        let it_value = Timespec { tv_sec, tv_nsec: (at % 1000 * 1_000_000) as _ };
        let it_interval = Timespec { tv_sec: 0, tv_nsec: 0 };
        // It cannot fail: the descriptor is a timer, and the time is one.
        let _ = timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &Itimerspec { it_interval, it_value });
    }

    /// Waits for a wake-up or the deadline, for at most `timeout_ms` (`None`: without a limit). `false` after the timeout or
    /// a signal. One thread at a time may call this.
    pub fn wait(&self, timeout_ms: Option<u64>) -> Result<bool> {
        self.ready.store(TIMER | SOCKET, Ordering::Relaxed);
        let waited = if self.awake.wait() { Ok(true) } else { self.sleep(timeout_ms) };
        self.awake.waited();
        waited
    }

    /// Waits if there is no work yet.
    fn sleep(&self, timeout_ms: Option<u64>) -> Result<bool> {
        let deadline = self.deadline.load(Ordering::SeqCst);
        let left = deadline.saturating_sub(clock::boottime_ms());
        let due = deadline != NEVER && timeout_ms.is_none_or(|ms| left <= ms);
        // No longer than epoll_wait() can wait. Older kernels have no call for longer waits.
        let timeout = if due { Some(left) } else { timeout_ms }.map(|ms| {
            let ms = ms.min(c_int::MAX as u64);
            Timespec { tv_sec: (ms / 1000) as i64, tv_nsec: (ms % 1000 * 1_000_000) as _ }
        });
        let mut events = [MaybeUninit::uninit(); 3];
        match epoll::wait(&self.epoll, &mut events, timeout.as_ref()) {
            Ok((ready, _)) => {
                let found = ready.iter().fold(0, |found, event| found | event.data.u64() as u8);
                self.ready.store(found, Ordering::Relaxed);
                // The wait may have ended slightly early.
                Ok(found != 0 || due && deadline <= clock::boottime_ms())
            }
            Err(Errno::INTR) => Ok(false),
            Err(e) => Err(Error::new(Status::ENOS_ERR_STATE, format!("waiting failed: {e}"))),
        }
    }

    /// Clears the wake-ups so far, and a deadline that has passed; a later one stays. Call this first, then look for work:
    /// work that comes in between is seen then, or wakes again. [`notify`](Self::notify) does not wake from here to
    /// [`rest`](Self::rest).
    pub fn clear(&self) {
        self.awake.rouse();
        let ready = self.ready.load(Ordering::Relaxed);
        let clear = |fd| {
            // If there is nothing to read (EAGAIN), it is clear already.
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

    /// Whether the socket may be ready, by the result of the last wait.
    pub fn is_socket_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed) & SOCKET != 0
    }

    /// From now on a wait ends when the socket of this link is ready. This replaces the socket before it; `None`: no socket.
    pub fn watch(&self, link: u64, interest: Option<Interest>) {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = interest.map(|interest| (link, interest));
        if *watched == wanted {
            return;
        }
        let same = matches!((&*watched, &wanted), (Some((before, old)), Some((now, new))) if before == now && old.fd == new.fd);
        if let (false, Some((_, old))) = (same, &*watched) {
            // If it is closed, the epoll has forgotten it, and this fails.
            // SAFETY: a system call on numbers.
            unsafe { libc::epoll_ctl(self.epoll.as_raw_fd(), libc::EPOLL_CTL_DEL, old.fd, ptr::null_mut()) };
        }
        if let Some((_, Interest { fd, read, write })) = wanted {
            let mut events = epoll::EventFlags::empty();
            events.set(epoll::EventFlags::IN, read);
            events.set(epoll::EventFlags::OUT, write);
            let data = epoll::EventData::new_u64(SOCKET.into());
            // SAFETY: the link has this socket open. Its owner, which is the caller, is the one that closes it.
            let socket = unsafe { BorrowedFd::borrow_raw(fd) };
            // This fails only for lack of memory or at the user's limit of watches. Then the timer still ends the wait.
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
