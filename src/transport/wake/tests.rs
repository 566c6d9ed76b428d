use super::super::clock::boottime_ms;
use super::*;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Longer than any of these waits takes on a busy machine.
const LONG: Option<u64> = Some(30_000);

/// A turn of the loop that finds nothing to do.
fn clear(waker: &Waker) {
    waker.clear();
    waker.rest();
}

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
    clear(&waker);
    assert!(!waker.wait(Some(0)).unwrap() && !readable(waker.fd()));
}

#[test]
fn a_notification_wakes_a_loop_that_rests_and_only_that() {
    let waker = Waker::new().unwrap();
    waker.notify();
    assert!(readable(waker.fd()) && waker.wait(None).unwrap());
    waker.clear();
    waker.notify();
    assert!(!readable(waker.fd()), "the loop is at work");
    waker.rest();
    assert!(!readable(waker.fd()) && !waker.wait(Some(0)).unwrap());
    waker.notify();
    waker.notify();
    assert!(readable(waker.fd()) && waker.wait(None).unwrap());
    waker.clear();
    waker.wake();
    assert!(readable(waker.fd()), "a wake-up is more than a notification");
}

#[test]
fn a_notification_writes_for_those_alone_who_wait_or_poll() {
    let waker = Waker::new().unwrap();
    waker.notify();
    assert!(!readable(waker.epoll.as_raw_fd()), "nobody waits");
    assert!(waker.wait(None).unwrap());
    clear(&waker);
    assert!(!waker.wait(Some(0)).unwrap());
    waker.notify();
    assert!(readable(waker.fd()), "it is polled from here on");
    clear(&waker);
    waker.notify();
    assert!(readable(waker.epoll.as_raw_fd()));
}

#[test]
fn no_notification_is_lost_between_work_and_rest() {
    let waker = Arc::new(Waker::new().unwrap());
    let work = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let (other, given) = (Arc::clone(&waker), Arc::clone(&work));
    let thread = std::thread::spawn(move || {
        for _ in 0..100_000 {
            given.fetch_add(1, Ordering::Release);
            other.notify();
        }
    });
    let mut done = 0;
    while done < 100_000 {
        assert!(waker.wait(LONG).unwrap(), "{done} done, and nobody said that there is more");
        waker.clear();
        done += work.swap(0, Ordering::Acquire);
        waker.rest();
        if work.load(Ordering::Acquire) > 0 {
            waker.notify();
        }
    }
    thread.join().unwrap();
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
    let fd = waker.fd();
    let start = boottime_ms();
    waker.set_deadline(Some(start + 50));
    clear(&waker);
    assert!(waker.wait(LONG).unwrap(), "clear must not lose a deadline to come");
    assert!(boottime_ms() >= start + 50);
    assert!(readable(fd));
    clear(&waker);
    assert!(!waker.wait(Some(0)).unwrap());
}

#[test]
fn a_wait_of_our_own_needs_no_timer() {
    let waker = Waker::new().unwrap();
    let soon = boottime_ms() + 50;
    waker.set_deadline(Some(soon));
    assert!(!waker.wait(Some(10)).unwrap() && waker.wait(LONG).unwrap() && boottime_ms() >= soon);
    clear(&waker);
    assert!(!waker.wait(Some(0)).unwrap());
    // Who asks for the descriptor later has the deadline in it.
    waker.set_deadline(Some(boottime_ms() + 50));
    let mut poll = libc::pollfd { fd: waker.fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one pollfd.
    assert_eq!(unsafe { libc::poll(&mut poll, 1, 30_000) }, 1);
    clear(&waker);
    assert!(!readable(waker.fd()));
}

#[test]
fn a_deadline_set_while_the_descriptor_is_asked_for_is_in_it() {
    for _ in 0..300 {
        let (waker, go) = (Waker::new().unwrap(), AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                go.store(true, Ordering::SeqCst);
                waker.set_deadline(Some(boottime_ms()));
            });
            while !go.load(Ordering::SeqCst) {
                std::hint::spin_loop();
            }
            waker.fd();
        });
        assert!(readable(waker.epoll.as_raw_fd()), "the timer is off");
    }
}

#[test]
fn a_deadline_can_be_in_the_past_moved_and_taken_back() {
    let waker = Waker::new().unwrap();
    for past in [0, 1, boottime_ms()] {
        waker.set_deadline(Some(past));
        assert!(waker.wait(LONG).unwrap());
        clear(&waker);
    }
    waker.set_deadline(Some(u64::MAX));
    assert!(!waker.wait(Some(0)).unwrap());
    waker.set_deadline(Some(boottime_ms() + 3_600_000));
    assert!(!waker.wait(Some(0)).unwrap());
    waker.set_deadline(None);
    let soon = boottime_ms() + 50;
    waker.set_deadline(Some(soon));
    waker.set_deadline(Some(soon + 500));
    assert!(waker.wait(LONG).unwrap() && boottime_ms() >= soon, "due when it was, for a turn that sets it anew");
    clear(&waker);
    waker.set_deadline(Some(boottime_ms() + 50));
    waker.set_deadline(Some(soon + 3_600_000));
    assert!(!waker.wait(Some(200)).unwrap(), "much later is later");
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
    clear(&waker);
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
