//! Children of this process: one that is killed, and one that is traced at each system call.
//!
//! A child is forked without exec. A lock that another thread holds at that moment would stay locked in the child, so
//! each test that forks has a process of its own (`support::alone`).

use std::mem::MaybeUninit;
use std::ops::ControlFlow;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::{fs, io, ptr};

/// A child process; killed and reaped when dropped.
pub struct Child {
    pid: libc::pid_t,
    ready: OwnedFd,
}

impl Child {
    /// Runs `body` in a child, with a function that reports that it is ready.
    pub fn fork(body: impl FnOnce(&dyn Fn())) -> Child {
        let mut ends = [0; 2];
        // SAFETY: room for two descriptors.
        assert_eq!(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) }, 0);
        // SAFETY: both are new and owned by nobody else.
        let [ready, say] = ends.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
        // SAFETY: no other thread is inside the library; the child leaves by _exit.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0, "{}", io::Error::last_os_error());
        if pid == 0 {
            // SAFETY: writes one byte.
            let say = || assert_eq!(unsafe { libc::write(say.as_raw_fd(), b"!".as_ptr().cast(), 1) }, 1);
            let code = catch_unwind(AssertUnwindSafe(|| body(&say))).map_or(101, |()| 0);
            // SAFETY: ends the child without running what belongs to the parent.
            unsafe { libc::_exit(code) }
        }
        Child { pid, ready }
    }

    pub fn wait_until_ready(&self) {
        let mut byte = 0u8;
        // SAFETY: reads one byte.
        let read = unsafe { libc::read(self.ready.as_raw_fd(), (&raw mut byte).cast(), 1) };
        assert_eq!(read, 1, "the child died");
    }

    /// Returns when it has ended.
    pub fn kill(self) {
        drop(self);
    }

    fn wait(&self) -> libc::c_int {
        let mut status = 0;
        loop {
            // SAFETY: our own child, not reaped yet.
            match unsafe { libc::waitpid(self.pid, &mut status, libc::__WALL) } {
                -1 => assert_eq!(io::Error::last_os_error().kind(), io::ErrorKind::Interrupted),
                _ => return status,
            }
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let mut status = 0;
        // SAFETY: our own child; when it is reaped already, both calls fail and do nothing.
        unsafe {
            if libc::waitpid(self.pid, &mut status, libc::WNOHANG) == 0 {
                libc::kill(self.pid, libc::SIGKILL);
                libc::waitpid(self.pid, &mut status, 0);
            }
        }
    }
}

/// A traced child, stopped before or after a system call.
pub struct Stop {
    pid: libc::pid_t,
    pub number: i64,
    pub args: [u64; 6],
    /// `None` before the call.
    pub result: Option<i64>,
}

impl Stop {
    /// `len` bytes of the child's memory.
    pub fn bytes(&self, address: u64, len: usize) -> Vec<u8> {
        let memory = fs::File::open(format!("/proc/{}/mem", self.pid)).unwrap();
        let mut out = vec![0; len];
        std::os::unix::fs::FileExt::read_exact_at(&memory, &mut out, address).unwrap();
        out
    }

    /// The NUL-terminated text at this address.
    pub fn text(&self, address: u64) -> String {
        let bytes = (address..).map(|at| self.bytes(at, 1)[0]).take_while(|&byte| byte != 0).collect();
        String::from_utf8(bytes).unwrap()
    }
}

/// Runs `body` in a child and calls `at` before and after each of its system calls; `Break` kills the child there.
///
/// Returns whether it ran to its end, which must be without a panic.
pub fn trace(body: impl FnOnce(), mut at: impl FnMut(&Stop) -> ControlFlow<()>) -> bool {
    let child = Child::fork(|_| {
        // SAFETY: stops this child until its parent watches it.
        unsafe {
            assert_eq!(libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0), 0);
            libc::raise(libc::SIGSTOP);
        }
        body();
    });
    let pid = child.pid;
    assert!(libc::WIFSTOPPED(child.wait()));
    // SAFETY: our own child, stopped.
    let set = unsafe { libc::ptrace(libc::PTRACE_SETOPTIONS, pid, 0, libc::PTRACE_O_TRACESYSGOOD) };
    assert_eq!(set, 0, "{}", io::Error::last_os_error());
    let (mut number, mut args) = (0, [0; 6]);
    loop {
        // SAFETY: our own child, stopped.
        assert_eq!(unsafe { libc::ptrace(libc::PTRACE_SYSCALL, pid, 0, 0) }, 0, "{}", io::Error::last_os_error());
        let status = child.wait();
        if libc::WIFEXITED(status) {
            assert_eq!(libc::WEXITSTATUS(status), 0, "the child panicked");
            return true;
        }
        assert!(libc::WIFSTOPPED(status) && libc::WSTOPSIG(status) == libc::SIGTRAP | 0x80, "status {status:#x}");
        let result = match syscall_info(pid) {
            Info::Entry(entry) => {
                (number, args) = entry;
                None
            }
            Info::Exit(result) => Some(result),
        };
        if at(&Stop { pid, number, args, result }).is_break() {
            return false;
        }
    }
}

enum Info {
    Entry((i64, [u64; 6])),
    Exit(i64),
}

fn syscall_info(pid: libc::pid_t) -> Info {
    let mut info = MaybeUninit::<libc::ptrace_syscall_info>::zeroed();
    let size = size_of::<libc::ptrace_syscall_info>();
    // SAFETY: the child is stopped at a system call; the kernel writes at most `size` bytes, and tells by `op` which
    // part of the union it wrote.
    unsafe {
        let written = libc::ptrace(
            libc::PTRACE_GET_SYSCALL_INFO,
            pid,
            ptr::without_provenance_mut::<u8>(size),
            info.as_mut_ptr(),
        );
        assert!(written > 0, "{}", io::Error::last_os_error());
        let info = info.assume_init();
        match info.op {
            libc::PTRACE_SYSCALL_INFO_ENTRY => Info::Entry((info.u.entry.nr as i64, info.u.entry.args)),
            libc::PTRACE_SYSCALL_INFO_EXIT => Info::Exit(info.u.exit.sval),
            op => panic!("op {op}"),
        }
    }
}
