//! One epoll descriptor for the host's own loop: an eventfd that says "there is work" and a timer.

use crate::error::{Error, Result, Status};
use rustix::event::{epoll, eventfd, EventfdFlags};
use rustix::io::Errno;
use rustix::time::{timerfd_create, timerfd_settime, Itimerspec, Timespec};
use rustix::time::{TimerfdClockId, TimerfdFlags, TimerfdTimerFlags};
use std::ffi::c_int;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::ptr;

/// Ends a wait: from any thread, from a signal handler, or when a deadline has come. All descriptors close on exec.
pub struct Waker {
    epoll: OwnedFd,
    event: OwnedFd,
    timer: OwnedFd,
}

impl Waker {
    /// Makes the three descriptors.
    pub fn new() -> Result<Waker> {
        let new = || -> rustix::io::Result<Waker> {
            let waker = Waker {
                epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
                event: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
                timer: timerfd_create(TimerfdClockId::Boottime, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?,
            };
            for fd in [&waker.event, &waker.timer] {
                epoll::add(&waker.epoll, fd, epoll::EventData::new_u64(0), epoll::EventFlags::IN)?;
            }
            Ok(waker)
        };
        new().map_err(|e| Error::new(Status::ENOS_ERR_NO_MEMORY, format!("the loop's descriptors cannot be made: {e}")))
    }

    /// Ends the wait that runs, or else the next one. Safe in a signal handler: one write, and errno as it was.
    pub fn wake(&self) {
        // SAFETY: errno is this thread's own; the buffer is 8 bytes. That the counter is full (EAGAIN) means that a
        // wake-up is under way already, which is all that is wanted.
        unsafe {
            let errno = libc::__errno_location();
            let before = *errno;
            libc::write(self.event.as_raw_fd(), ptr::from_ref(&1u64).cast(), size_of::<u64>());
            *errno = before;
        }
    }

    /// The descriptor to poll: readable after [`wake`](Self::wake) or from the deadline on, until
    /// [`clear`](Self::clear). It stays the waker's.
    pub fn fd(&self) -> RawFd {
        self.epoll.as_raw_fd()
    }

    /// When to be due, in milliseconds of [`clock::boottime_ms`](super::clock::boottime_ms); a time that has passed
    /// is due at once, `None` never. Replaces the deadline before it.
    pub fn set_deadline(&self, at_ms: Option<u64>) {
        // All zeros would switch the timer off.
        let at = at_ms.map_or(0, |at| at.max(1));
        // 68 years of uptime at most: what also fits a kernel of 32 bits.
        let tv_sec = (at / 1000).min(i32::MAX as u64) as i64;
        let it_value = Timespec { tv_sec, tv_nsec: (at % 1000 * 1_000_000) as _ };
        let it_interval = Timespec { tv_sec: 0, tv_nsec: 0 };
        // It cannot fail: the descriptor is a timer, and the time is one.
        let _ = timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &Itimerspec { it_interval, it_value });
    }

    /// Waits for a wake-up or the deadline, at most `timeout_ms` (`None`: as long as it takes). `false` when the time
    /// was over or a signal came.
    pub fn wait(&self, timeout_ms: Option<u64>) -> Result<bool> {
        // No longer than epoll_wait() can: the call for longer ones is not in older kernels.
        let timeout = timeout_ms.map(|ms| {
            let ms = ms.min(c_int::MAX as u64);
            Timespec { tv_sec: (ms / 1000) as i64, tv_nsec: (ms % 1000 * 1_000_000) as _ }
        });
        let mut events = [MaybeUninit::uninit()];
        match epoll::wait(&self.epoll, &mut events, timeout.as_ref()) {
            Ok((ready, _)) => Ok(!ready.is_empty()),
            Err(Errno::INTR) => Ok(false),
            Err(e) => Err(Error::new(Status::ENOS_ERR_STATE, format!("waiting failed: {e}"))),
        }
    }

    /// Takes back the wake-ups so far, and a deadline that has come; one still to come stays. Clear first, then look
    /// for work: what is pushed in between wakes again.
    pub fn clear(&self) {
        for fd in [&self.event, &self.timer] {
            // Nothing to read (EAGAIN) is as good.
            let _ = rustix::io::read(fd, &mut [0; size_of::<u64>()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::clock::boottime_ms;
    use super::*;
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    /// Longer than any of these waits takes on a busy machine.
    const LONG: Option<u64> = Some(30_000);

    fn readable(fd: RawFd) -> bool {
        let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        // SAFETY: one pollfd.
        unsafe { libc::poll(&mut poll, 1, 0) == 1 }
    }

    #[test]
    fn a_wake_up_is_kept_until_cleared() {
        let waker = Waker::new().unwrap();
        assert!(!waker.wait(Some(0)).unwrap() && !readable(waker.fd()));
        waker.wake();
        waker.wake();
        assert!(waker.wait(None).unwrap() && waker.wait(None).unwrap() && readable(waker.fd()));
        waker.clear();
        assert!(!waker.wait(Some(0)).unwrap() && !readable(waker.fd()));
    }

    #[test]
    fn another_thread_ends_a_wait() {
        let waker = Arc::new(Waker::new().unwrap());
        let other = Arc::clone(&waker);
        let thread = std::thread::spawn(move || other.wake());
        assert!(waker.wait(LONG).unwrap());
        thread.join().unwrap();
    }

    #[test]
    fn a_deadline_is_due_in_time_and_once() {
        let waker = Waker::new().unwrap();
        let start = boottime_ms();
        waker.set_deadline(Some(start + 50));
        waker.clear();
        assert!(waker.wait(LONG).unwrap(), "clear must not lose a deadline to come");
        assert!(boottime_ms() >= start + 50);
        assert!(readable(waker.fd()));
        waker.clear();
        assert!(!waker.wait(Some(0)).unwrap());
    }

    #[test]
    fn a_deadline_can_be_in_the_past_moved_and_taken_back() {
        let waker = Waker::new().unwrap();
        for past in [0, 1, boottime_ms()] {
            waker.set_deadline(Some(past));
            assert!(waker.wait(LONG).unwrap());
            waker.clear();
        }
        waker.set_deadline(Some(u64::MAX));
        assert!(!waker.wait(Some(0)).unwrap());
        waker.set_deadline(Some(boottime_ms() + 3_600_000));
        assert!(!waker.wait(Some(0)).unwrap());
        waker.set_deadline(Some(boottime_ms()));
        assert!(waker.wait(LONG).unwrap());
        waker.set_deadline(None);
        assert!(!waker.wait(Some(0)).unwrap(), "taken back, though it had come");
    }

    #[test]
    fn a_wait_ends_when_its_time_is_over() {
        let waker = Waker::new().unwrap();
        let start = Instant::now();
        assert!(!waker.wait(Some(30)).unwrap());
        assert!(start.elapsed() >= Duration::from_millis(30));
    }

    #[test]
    fn a_full_counter_still_means_wake_up_and_errno_is_kept() {
        let waker = Waker::new().unwrap();
        assert_eq!(rustix::io::write(&waker.event, &(u64::MAX - 1).to_ne_bytes()), Ok(size_of::<u64>()));
        // SAFETY: errno is this thread's own.
        let errno = unsafe {
            *libc::__errno_location() = libc::E2BIG;
            waker.wake();
            *libc::__errno_location()
        };
        assert_eq!(errno, libc::E2BIG);
        assert!(waker.wait(Some(0)).unwrap());
        waker.clear();
        assert!(!waker.wait(Some(0)).unwrap());
    }

    #[test]
    fn every_descriptor_closes_on_exec() {
        let waker = Waker::new().unwrap();
        for fd in [waker.epoll.as_raw_fd(), waker.event.as_raw_fd(), waker.timer.as_raw_fd()] {
            // SAFETY: asks for the flags of an open descriptor.
            assert_eq!(unsafe { libc::fcntl(fd, libc::F_GETFD) } & libc::FD_CLOEXEC, libc::FD_CLOEXEC);
        }
    }
}
