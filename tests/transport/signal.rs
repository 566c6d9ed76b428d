//! Waking from a signal handler. Alone in its program: handlers are the process's.

use enos::transport::wake::Waker;
use std::sync::OnceLock;
use std::time::Instant;
use support::alone::alone;

static WAKER: OnceLock<Waker> = OnceLock::new();

extern "C" fn wakes(_: libc::c_int) {
    if let Some(waker) = WAKER.get() {
        waker.wake();
    }
}

extern "C" fn does_nothing(_: libc::c_int) {}

fn handle(signal: libc::c_int, handler: extern "C" fn(libc::c_int)) {
    // SAFETY: an all-zero sigaction is valid: no flags, empty mask; the handler does what a handler may.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as *const () as libc::sighandler_t;
        assert_eq!(libc::sigaction(signal, &action, std::ptr::null_mut()), 0);
    }
}

#[test]
fn a_handler_ends_a_wait_and_its_wake_up_is_kept() {
    alone(|| {
        let waker = WAKER.get_or_init(|| Waker::new().unwrap());
        handle(libc::SIGUSR1, wakes);
        handle(libc::SIGUSR2, does_nothing);

        // SAFETY: a signal that is handled.
        unsafe { libc::raise(libc::SIGUSR1) };
        assert!(waker.wait(Some(0)).unwrap());
        waker.clear();
        waker.rest();

        // SAFETY: the thread's own id.
        let me = unsafe { libc::pthread_self() };
        for (signal, wakes) in [(libc::SIGUSR1, true), (libc::SIGUSR2, false)] {
            let start = Instant::now();
            let (done, stop) = std::sync::mpsc::channel::<()>();
            let sender = std::thread::spawn(move || {
                // Until the wait has ended: the first may come before it begins.
                while stop.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
                    // SAFETY: the thread lives: it joins this one.
                    unsafe { libc::pthread_kill(me, signal) };
                    std::thread::yield_now();
                }
            });
            let woken = waker.wait(Some(600_000)).unwrap();
            drop(done);
            sender.join().unwrap();
            assert!(start.elapsed().as_secs() < 300);
            // The handler may have run between the interruption and the return: then the wake-up is there now.
            assert_eq!(woken || waker.wait(Some(0)).unwrap(), wakes, "signal {signal}");
            waker.clear();
            waker.rest();
        }
    });
}
