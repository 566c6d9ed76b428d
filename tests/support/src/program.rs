//! A program that runs beside the test. The test can wait for its output. It never outlives the test.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{channel, Receiver};
use std::thread;
use std::time::{Duration, Instant};

/// How long a test waits for an expected line.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Program {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    seen: String,
}

impl Program {
    /// Starts it without input.
    pub fn start(command: &mut Command) -> Program {
        Program::spawn(command.stdin(Stdio::null()))
    }

    /// Starts it with input from the test.
    pub fn listening(command: &mut Command) -> Program {
        Program::spawn(command.stdin(Stdio::piped()))
    }

    fn spawn(command: &mut Command) -> Program {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let input = child.stdin.take();
        let (sender, lines) = channel();
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let streams: [Box<dyn BufRead + Send>; 2] = [Box::new(BufReader::new(out)), Box::new(BufReader::new(err))];
        for stream in streams {
            let sender = sender.clone();
            thread::spawn(move || stream.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        }
        Program { child, input, lines, seen: String::new() }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn say(&mut self, text: &str) {
        self.input.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// The next line that contains these words.
    #[track_caller]
    pub fn expect(&mut self, words: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else { panic!("no '{words}' in\n{}", self.seen) };
            self.seen.extend([line.as_str(), "\n"]);
            if line.contains(words) {
                return line;
            }
        }
    }

    /// Waits for its end; returns the status and all output.
    #[track_caller]
    pub fn end(mut self) -> (ExitStatus, String) {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = std::mem::take(&mut self.seen);
        // Its output ends with the program.
        while let Ok(line) = self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            seen.extend([line.as_str(), "\n"]);
        }
        assert!(Instant::now() < deadline, "it does not end:\n{seen}");
        (self.child.wait().unwrap(), seen)
    }

    /// Waits for its end with this exit status; returns all output.
    #[track_caller]
    pub fn exits(self, code: i32) -> String {
        let (status, seen) = self.end();
        assert_eq!(status.code(), Some(code), "{status}\n{seen}");
        seen
    }

    pub fn signal(&self, number: i32) {
        // SAFETY: a plain system call; the child was not waited for yet, so that the id is still its own.
        assert_eq!(unsafe { libc::kill(self.child.id() as i32, number) }, 0);
    }

    /// Kills it with SIGKILL, and returns all output.
    #[track_caller]
    pub fn kill(self) -> String {
        self.signal(libc::SIGKILL);
        let (status, seen) = self.end();
        assert_eq!(status.signal(), Some(libc::SIGKILL), "{status}\n{seen}");
        seen
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
