//! A running driver (c/driver.c): commands in, answers and events out, and how it ended.

use std::{
    collections::VecDeque,
    fs,
    io::{BufRead, BufReader, Read, Write},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{channel, Receiver, RecvTimeoutError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// How long something may take on a busy machine that should take milliseconds.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// How long is waited for what must not come, and would come at once.
pub const SHORT: Duration = Duration::from_millis(500);

pub struct Driver {
    child: Child,
    input: ChildStdin,
    output: Receiver<String>,
    errors: Option<JoinHandle<String>>,
    events: VecDeque<String>,
    /// Everything that was said, for the message of a failed test.
    log: Vec<String>,
}

/// How a driver ended.
#[derive(Debug)]
pub struct End {
    /// Whether it ended by itself, without a sanitizer's report.
    pub clean: bool,
    /// What it said on standard error: the report.
    pub report: String,
}

impl Driver {
    pub fn start(binary: &Path) -> Driver {
        let mut command = Command::new(binary);
        // SAFETY: one system call, between fork and exec.
        unsafe {
            command.pre_exec(|| {
                // gcc's sanitizers cannot place their memory where some kernels scatter the program's; where this is
                // not allowed it is not needed, or they say so.
                libc::personality(libc::ADDR_NO_RANDOMIZE as libc::c_ulong);
                Ok(())
            })
        };
        let mut child = command
            .env("ASAN_OPTIONS", "abort_on_error=0:exitcode=99:detect_leaks=1:quarantine_size_mb=16")
            .env("UBSAN_OPTIONS", "halt_on_error=1:exitcode=98:print_stacktrace=1")
            .env("TSAN_OPTIONS", "halt_on_error=0:exitcode=97:second_deadlock_stack=1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let mut stderr = child.stderr.take().unwrap();
        let (lines, output) = channel();
        thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| lines.send(line)));
        let errors = thread::spawn(move || {
            let mut text = Vec::new();
            let _ = stderr.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        let input = child.stdin.take().unwrap();
        Driver { child, input, output, errors: Some(errors), events: VecDeque::new(), log: Vec::new() }
    }

    /// The next line, or None when the driver has ended or nothing came in time.
    fn line(&mut self, until: Instant) -> Result<String, RecvTimeoutError> {
        let line = self.output.recv_timeout(until.saturating_duration_since(Instant::now()))?;
        self.log.push(line.clone());
        Ok(line)
    }

    /// Gives a command and does not wait for its answer.
    pub fn give(&mut self, command: &str) {
        self.log.push(format!("> {command}"));
        let _ = writeln!(self.input, "{command}");
    }

    /// Gives a command and returns its answer; None when the driver died or stands still.
    pub fn ask(&mut self, command: &str) -> Option<String> {
        self.give(command);
        let until = Instant::now() + PATIENCE;
        loop {
            let line = self.line(until).ok()?;
            match line.starts_with('@') {
                true => self.events.push_back(line),
                false => return Some(line),
            }
        }
    }

    /// Gives a command that has to succeed.
    pub fn tell(&mut self, command: &str) {
        let answer = self.ask(command);
        if !matches!(answer.as_deref(), Some("rc 0" | "count 1")) {
            self.fail(&format!("{command}: {answer:?}"));
        }
    }

    /// The number in a command's answer.
    pub fn number(&mut self, command: &str) -> u64 {
        let answer = self.ask(command);
        let number = answer.as_deref().and_then(|line| line.split(' ').nth(1)).and_then(|word| word.parse().ok());
        number.unwrap_or_else(|| self.fail(&format!("{command}: {answer:?}")))
    }

    /// The first event, from now or from before, that begins so, within a time; those before it are dropped.
    pub fn event_within(&mut self, start: &str, time: Duration) -> Option<String> {
        while let Some(event) = self.events.pop_front() {
            if event.starts_with(start) {
                return Some(event);
            }
        }
        let until = Instant::now() + time;
        while let Ok(line) = self.line(until) {
            if line.starts_with(start) {
                return Some(line);
            }
        }
        None
    }

    /// The first event that begins so; it has to come.
    pub fn event(&mut self, start: &str) -> String {
        match self.event_within(start, PATIENCE) {
            Some(event) => event,
            None => self.fail(&format!("no {start}")),
        }
    }

    /// The events that have come so far.
    pub fn events(&mut self) -> impl Iterator<Item = &String> {
        while let Ok(line) = self.output.try_recv() {
            self.log.push(line.clone());
            self.events.push_back(line);
        }
        self.events.iter()
    }

    pub fn has_descriptor(&self, number: usize) -> bool {
        fs::read_link(format!("/proc/{}/fd/{number}", self.child.id())).is_ok()
    }

    /// Waits until client 0 has no link any more.
    pub fn wait_for_end(&mut self) -> bool {
        let until = Instant::now() + PATIENCE;
        let over = |event: &String| ["lost", "refused", "disconnected"].iter().any(|word| event[3..].starts_with(word));
        loop {
            if self.events.iter().any(over) {
                return true;
            }
            match self.line(until) {
                Ok(line) => self.events.push_back(line),
                Err(_) => return false,
            }
        }
    }

    /// A line for the log of a failure.
    pub fn note(&mut self, text: &str) {
        self.log.push(format!("# {text}"));
    }

    /// Drops the events so far.
    pub fn forget(&mut self) {
        self.events.clear();
        self.log.drain(..self.log.len().saturating_sub(40));
    }

    /// Ends the driver: destroys all clients, then looks for leaks.
    pub fn end(mut self) -> End {
        let _ = writeln!(self.input, "quit");
        let until = Instant::now() + PATIENCE;
        while self.line(until).is_ok() {}
        let ended = Instant::now() < until;
        if !ended {
            let _ = self.child.kill();
        }
        let status = self.child.wait().unwrap();
        let report = self.errors.take().map(|errors| errors.join().unwrap()).unwrap_or_default();
        let said_bye = self.log.last().is_some_and(|line| line == "bye");
        End { clean: ended && status.success() && said_bye, report }
    }

    /// Ends the driver and wants it clean.
    pub fn end_clean(self) {
        let log = self.log.join("\n");
        let end = self.end();
        assert!(end.clean, "{log}\n{}", end.report);
    }

    /// Fails the test with all that is known.
    pub fn fail(&mut self, what: &str) -> ! {
        let _ = self.child.kill();
        let report = self.errors.take().map(|errors| errors.join().unwrap()).unwrap_or_default();
        let from = self.log.len().saturating_sub(40);
        panic!("{what}\n{}\n{report}", self.log[from..].join("\n"));
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A driver with client 0 connected to a broker's peer.
pub fn connected(binary: &Path, broker: &crate::broker::Broker) -> (Driver, crate::broker::Peer) {
    let mut driver = Driver::start(binary);
    driver.tell(&format!("create 0 {}", broker.port()));
    driver.tell("connect 0");
    let mut peer = broker.accept();
    peer.welcome();
    driver.event("@0 up");
    (driver, peer)
}
