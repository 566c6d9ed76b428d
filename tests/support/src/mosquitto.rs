//! Eclipse Mosquitto, an independent broker, on a free loopback port, with a configuration of its own.

use crate::broker::PATIENCE;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{channel, Receiver, RecvTimeoutError};
use std::sync::{Arc, Condvar, Mutex};

/// A running broker. It is killed when this is dropped, and by the kernel when the test program dies.
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

    /// With additional lines of configuration. The log contains everything unless they set a `log_type`.
    pub fn start_with(extra: &str) -> Mosquitto {
        let directory = tempfile::tempdir().unwrap();
        // Another program may take the port before the broker binds it.
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

    /// Kills it with SIGKILL, like a crash.
    pub fn kill(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }

    /// Sends a signal that stops, continues or ends it.
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

    /// Waits until a line of its log, since the last start, contains all of these words.
    pub fn wait_log(&self, words: &[&str]) {
        let found = |lines: &Vec<String>| lines.iter().any(|line| words.iter().all(|word| line.contains(word)));
        let lines = self.log.lines.lock().unwrap();
        let (lines, _) = self.log.more.wait_timeout_while(lines, PATIENCE, |lines| !found(lines)).unwrap();
        assert!(found(&lines), "{words:?} is not in mosquitto's log:\n{}", lines.join("\n"));
    }

    /// Kills it, and returns its complete log since the start.
    pub fn kill_and_log(&mut self) -> Vec<String> {
        self.kill();
        let lines = self.log.lines.lock().unwrap();
        let open = |_: &mut Vec<String>| !self.log.over.load(Ordering::Acquire);
        let (mut lines, late) = self.log.more.wait_timeout_while(lines, PATIENCE, open).unwrap();
        assert!(!late.timed_out(), "the end of mosquitto's log");
        std::mem::take(&mut *lines)
    }

    /// How many lines of its log contain all of these words.
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

/// Starts it and waits until it listens; `None` if it ended instead.
fn run(directory: &std::path::Path, port: u16, extra: &str) -> Option<(Child, Arc<Log>)> {
    let file = directory.join("mosquitto.conf");
    let log_type = if extra.contains("log_type") { "information" } else { "all" };
    let text = format!("listener {port} 127.0.0.1\n{extra}\npersistence false\nlog_dest stderr\nlog_type {log_type}\n");
    std::fs::write(&file, text).unwrap();
    // Debian installs it in a directory that is only on root's PATH.
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

/// Starts a program that the kernel kills together with this one. It does that when the thread that started it ends, so
/// that thread keeps running.
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

/// Collects the log, and reports when the broker runs.
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

/// One of Mosquitto's own clients, for this broker.
pub fn tool(name: &str, broker: SocketAddr) -> Command {
    let mut command = Command::new(name);
    command.args(["-h", "127.0.0.1", "-p", &broker.port().to_string()]);
    command
}
