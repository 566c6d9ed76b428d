//! One epoll descriptor for the host's own loop: an eventfd that says "there is work" and a timer.

use crate::error::{Error, Result, Status};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

/// Ends a wait: from any thread, from a signal handler, or when a deadline has come. All descriptors close on exec.
pub struct Waker {
    epoll: OwnedFd,
    event: File,
    timer: File,
}

impl Waker {
    /// Makes the three descriptors.
    pub fn new() -> Result<Waker> {
        let new = || -> io::Result<Waker> {
            // SAFETY: no pointers are passed; `owned` takes a descriptor that nobody else has.
            let (epoll, event, timer) = unsafe {
                (
                    owned(libc::epoll_create1(libc::EPOLL_CLOEXEC))?,
                    owned(libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK))?,
                    owned(libc::timerfd_create(libc::CLOCK_BOOTTIME, libc::TFD_CLOEXEC | libc::TFD_NONBLOCK))?,
                )
            };
            for fd in [event.as_raw_fd(), timer.as_raw_fd()] {
                let mut interest = libc::epoll_event { events: libc::EPOLLIN as u32, u64: fd as u64 };
                // SAFETY: both descriptors are open, and `interest` lives across the call.
                if unsafe { libc::epoll_ctl(epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &mut interest) } != 0 {
                    return Err(io::Error::last_os_error());
                }
            }
            Ok(Waker { epoll, event: event.into(), timer: timer.into() })
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
        let value = libc::timespec {
            tv_sec: (at / 1000).try_into().unwrap_or(libc::time_t::MAX),
            tv_nsec: (at % 1000 * 1_000_000) as libc::c_long,
        };
        let spec = libc::itimerspec { it_interval: libc::timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
        // SAFETY: the descriptor is a timer, `spec` is valid, and the old time is not asked for.
        unsafe { libc::timerfd_settime(self.timer.as_raw_fd(), libc::TFD_TIMER_ABSTIME, &spec, ptr::null_mut()) };
    }

    /// Waits for a wake-up or the deadline, at most `timeout_ms` (`None`: as long as it takes). `false` when the time
    /// was over or a signal came.
    pub fn wait(&self, timeout_ms: Option<u64>) -> Result<bool> {
        let timeout = timeout_ms.map_or(-1, |ms| ms.try_into().unwrap_or(libc::c_int::MAX));
        let mut event = libc::epoll_event { events: 0, u64: 0 };
        // SAFETY: room for one event is given, and one is asked for.
        match unsafe { libc::epoll_wait(self.epoll.as_raw_fd(), &mut event, 1, timeout) } {
            0 => Ok(false),
            n if n > 0 => Ok(true),
            _ => match io::Error::last_os_error() {
                e if e.kind() == io::ErrorKind::Interrupted => Ok(false),
                e => Err(Error::new(Status::ENOS_ERR_STATE, format!("waiting failed: {e}"))),
            },
        }
    }

    /// Takes back the wake-ups so far, and a deadline that has come; one still to come stays. Clear first, then look
    /// for work: what is pushed in between wakes again.
    pub fn clear(&self) {
        for file in [&self.event, &self.timer] {
            let mut count = [0; size_of::<u64>()];
            // Nothing to read (EAGAIN) is as good.
            let _ = io::Read::read(&mut &*file, &mut count);
        }
    }
}

/// # Safety
/// `fd` is either negative, with errno set, or an open descriptor that nobody else owns.
unsafe fn owned(fd: RawFd) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the caller's promise.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
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
        io::Write::write_all(&mut &waker.event, &(u64::MAX - 1).to_ne_bytes()).unwrap();
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
