//! Eclipse Mosquitto on a free loopback port, with a configuration of its own: a broker that nobody here wrote.

use crate::broker::PATIENCE;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{channel, Receiver, RecvTimeoutError};
use std::sync::{Arc, Condvar, Mutex};

/// A running broker. It is killed when this goes, and by the kernel when the test program dies in another way.
pub struct Mosquitto {
    child: Child,
    port: u16,
    extra: String,
    directory: tempfile::TempDir,
    log: Arc<Log>,
}

impl Mosquitto {
    /// Anonymous log-in, nothing persisted.
    pub fn start() -> Mosquitto {
        Mosquitto::start_with("allow_anonymous true\n")
    }

    /// With lines of configuration of the test's own, beside the listener and the log. The log has everything in it
    /// unless they name a `log_type`.
    pub fn start_with(extra: &str) -> Mosquitto {
        let directory = tempfile::tempdir().unwrap();
        // Another program may take the port between the look and the bind.
        for _ in 0..20 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            if let Some((child, log)) = run(directory.path(), port, extra) {
                return Mosquitto { child, port, extra: extra.to_owned(), directory, log };
            }
        }
        panic!("mosquitto does not start; is it installed?");
    }

    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Ends it as a crash would: SIGKILL.
    pub fn kill(&mut self) {
        // An error means that it is dead already.
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }

    /// Has it stop, go on, or end.
    pub fn signal(&self, signal: i32) {
        // SAFETY: no memory is involved; the pid is that of a child that was not waited for yet.
        assert_eq!(unsafe { libc::kill(self.child.id() as i32, signal) }, 0);
    }

    /// Starts it again on the same port.
    pub fn restart(&mut self) {
        self.kill();
        (self.child, self.log) =
            run(self.directory.path(), self.port, &self.extra).expect("mosquitto on the port that it had");
    }

    /// Waits until a line of its log, since the last start, has all of these words in it.
    pub fn wait_log(&self, words: &[&str]) {
        let found = |lines: &Vec<String>| lines.iter().any(|line| words.iter().all(|word| line.contains(word)));
        let lines = self.log.lines.lock().unwrap();
        let (lines, _) = self.log.more.wait_timeout_while(lines, PATIENCE, |lines| !found(lines)).unwrap();
        assert!(found(&lines), "{words:?} is not in mosquitto's log:\n{}", lines.join("\n"));
    }

    /// Ends it as a crash would, and gives its log since it was started: all that it ever wrote.
    pub fn kill_and_log(&mut self) -> Vec<String> {
        self.kill();
        let lines = self.log.lines.lock().unwrap();
        let open = |_: &mut Vec<String>| !self.log.over.load(Ordering::Acquire);
        let (mut lines, late) = self.log.more.wait_timeout_while(lines, PATIENCE, open).unwrap();
        assert!(!late.timed_out(), "the end of mosquitto's log");
        std::mem::take(&mut *lines)
    }

    /// How many lines of its log have all of these words in them.
    pub fn count_log(&self, words: &[&str]) -> usize {
        let lines = self.log.lines.lock().unwrap();
        lines.iter().filter(|line| words.iter().all(|word| line.contains(word))).count()
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.kill();
    }
}

#[derive(Default)]
struct Log {
    lines: Mutex<Vec<String>>,
    more: Condvar,
    over: AtomicBool,
}

/// Starts it and waits until it listens; `None` when it ended instead.
fn run(directory: &std::path::Path, port: u16, extra: &str) -> Option<(Child, Arc<Log>)> {
    let file = directory.join("mosquitto.conf");
    let log_type = if extra.contains("log_type") { "information" } else { "all" };
    let text = format!("listener {port} 127.0.0.1\n{extra}\npersistence false\nlog_dest stderr\nlog_type {log_type}\n");
    std::fs::write(&file, text).unwrap();
    // Debian keeps it where only root's PATH looks.
    let path = format!("{}:/usr/sbin:/usr/local/sbin", std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new("mosquitto");
    command.env("PATH", path).arg("-c").arg(&file);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = spawn(command);
    let (started, log) = follow(child.stderr.take().unwrap());
    match started.recv_timeout(PATIENCE) {
        Ok(()) => Some((child, log)),
        Err(e) => {
            let _ = child.kill();
            child.wait().unwrap();
            assert!(e != RecvTimeoutError::Timeout, "mosquitto did not start within {PATIENCE:?}");
            None
        }
    }
}

/// Starts a program that the kernel kills with this one. It does so when the thread that started it ends, so that
/// thread stays.
fn spawn(mut command: Command) -> Child {
    // SAFETY: one system call, safe between fork and exec.
    unsafe {
        command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        });
    }
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        sender.send(command.spawn()).unwrap();
        loop {
            std::thread::park();
        }
    });
    receiver.recv().unwrap().expect("mosquitto, from the package of this name")
}

/// Collects the log, and says when it tells that the broker runs.
fn follow(stderr: ChildStderr) -> (Receiver<()>, Arc<Log>) {
    let (sender, started) = channel();
    let log = Arc::new(Log::default());
    let collected = Arc::clone(&log);
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines() {
            let Ok(line) = line else { break };
            if line.contains("mosquitto version") && line.contains("running") {
                let _ = sender.send(());
            }
            collected.lines.lock().unwrap().push(line);
            collected.more.notify_all();
        }
        let _lines = collected.lines.lock().unwrap();
        collected.over.store(true, Ordering::Release);
        collected.more.notify_all();
    });
    (started, log)
}
