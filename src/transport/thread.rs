//! The library's own threads: named, with a small stack, and with the host's signals blocked.

use crate::error::{Error, Result, Status};
use crate::panic;
use std::mem::MaybeUninit;
use std::thread::{Builder, JoinHandle};

/// Signals that a fault of the thread itself raises. If they were blocked, the process would end without a call of the
/// host's crash handler.
const FAULTS: [libc::c_int; 6] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGABRT, libc::SIGTRAP];

/// Starts a thread with all signals except for [`FAULTS`] blocked, so that no handler of the host runs on it. Dropping the
/// handle detaches the thread. A panic of `f` ends the thread and is logged. The kernel keeps 15 bytes of `name`; `stack`
/// is in bytes.
pub fn spawn(name: &str, stack: usize, f: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    let builder = Builder::new().name(name.to_owned()).stack_size(stack);
    let body = move || {
        // A panic is in the log already.
        let _ = panic::catch(f);
    };
    with_signals_blocked(|| builder.spawn(body)).map_err(|e| {
        let words = format!("the thread {name} cannot be started: {e}; look at the limits of threads and of memory");
        Error::new(Status::ENOS_ERR_NO_MEMORY, words)
    })
}

/// Runs `f` with all signals of this thread except for [`FAULTS`] blocked. The threads that it starts inherit that.
fn with_signals_blocked<R>(f: impl FnOnce() -> R) -> R {
    struct Restore(libc::sigset_t);
    impl Drop for Restore {
        fn drop(&mut self) {
            // SAFETY: the set is the one that pthread_sigmask wrote; the old mask is not requested.
            unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.0, std::ptr::null_mut()) };
        }
    }
    let mut all = MaybeUninit::uninit();
    let mut old = MaybeUninit::uninit();
    // SAFETY: sigfillset initialises `all`, sigdelset takes signals that exist, and pthread_sigmask, which cannot fail with
    // these arguments, initialises `old`.
    let _restore = unsafe {
        libc::sigfillset(all.as_mut_ptr());
        for fault in FAULTS {
            libc::sigdelset(all.as_mut_ptr(), fault);
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), old.as_mut_ptr());
        Restore(old.assume_init())
    };
    f()
}

extern "C" {
    fn pthread_setcancelstate(state: libc::c_int, before: *mut libc::c_int) -> libc::c_int;
}

/// PTHREAD_CANCEL_DISABLE.
const CANCEL_DISABLE: libc::c_int = 1;

/// Runs `f` with the cancellation of this thread disabled, because a cancelled thread would leave locks behind. If the
/// thread is cancelled during the call, it ends at its first cancellation point afterwards.
pub fn without_cancellation<R>(f: impl FnOnce() -> R) -> R {
    struct Restore(libc::c_int);
    impl Drop for Restore {
        fn drop(&mut self) {
            // SAFETY: the state is the one that this function wrote before; the old one is not requested.
            unsafe { pthread_setcancelstate(self.0, std::ptr::null_mut()) };
        }
    }
    let mut before = 0;
    // SAFETY: the state is a valid one, and `before` can be written to.
    unsafe { pthread_setcancelstate(CANCEL_DISABLE, &mut before) };
    let _restore = Restore(before);
    f()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocked(task: &str) -> u64 {
        let status = std::fs::read_to_string(format!("{task}/status")).unwrap();
        let mask = status.lines().find_map(|l| l.strip_prefix("SigBlk:")).unwrap().trim();
        u64::from_str_radix(mask, 16).unwrap()
    }

    #[test]
    fn a_thread_has_its_name_and_hears_no_signal() {
        let before = blocked("/proc/thread-self");
        let (sender, receiver) = std::sync::mpsc::channel();
        let thread = spawn("enos-test", 64 * 1024, move || {
            let name = std::fs::read_to_string("/proc/thread-self/comm").unwrap();
            sender.send((name, blocked("/proc/thread-self"))).unwrap();
        });
        let (name, mask) = receiver.recv().unwrap();
        thread.unwrap().join().unwrap();
        assert_eq!(name.trim(), "enos-test");
        for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGUSR1, libc::SIGALRM, libc::SIGTERM, libc::SIGCHLD] {
            assert!(mask & 1 << (signal - 1) != 0, "signal {signal} is not blocked");
        }
        for signal in FAULTS {
            assert!(mask & 1 << (signal - 1) == 0, "signal {signal} is blocked");
        }
        assert_eq!(blocked("/proc/thread-self"), before, "the caller's mask has to be as it was");
    }
}
