//! The program: an EnOS cloud in a terminal. See `--help`.
#![forbid(unsafe_code)]

mod args;
mod console;
mod make_ca;

use args::{Options, Request};
use console::Outcome;
use enos_sim::{Cloud, Event, Record};
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    iterator::Signals,
};
use std::{
    collections::HashMap,
    io::{self, BufRead, Write},
    process::ExitCode,
    sync::mpsc::{channel, Receiver, Sender},
    thread,
    time::{Duration, Instant},
};

/// The longest line of standard input that is read.
const LONGEST_LINE: u64 = 1024 * 1024;

/// Events for the main thread.
enum Wake {
    /// SIGINT, SIGTERM, or the output was closed.
    Stop,
    /// A condition for the end is true.
    Reached,
    /// A line of standard input.
    Line(String),
}

fn main() -> ExitCode {
    match args::parse(lexopt::Parser::from_env()) {
        // A closed pipe is not an error: the reader has read enough.
        Ok(Request::Help) => {
            let _ = io::stdout().write_all(include_bytes!("help.txt"));
            ExitCode::SUCCESS
        }
        Ok(Request::Version) => {
            let _ = writeln!(io::stdout(), "enos-sim {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        Ok(Request::MakeCa(options)) => match make_ca::make(&options) {
            Ok(report) => {
                let _ = io::stdout().write_all(report.as_bytes());
                ExitCode::SUCCESS
            }
            Err(error) => fail(&error.to_string()),
        },
        Ok(Request::Run(options)) => run(*options).unwrap_or_else(|error| fail(&error)),
        Err(error) => fail(&error),
    }
}

fn fail(error: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "enos-sim: {error}");
    ExitCode::from(2)
}

fn run(options: Options) -> Result<ExitCode, String> {
    let (wake, woken) = channel();
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(|error| format!("signals: {error}"))?;
    let signalled = wake.clone();
    thread::spawn(move || signals.forever().for_each(|_| drop(signalled.send(Wake::Stop))));

    let waits_for_something = options.exit_after_posts.is_some() || !options.exit_when.is_empty();
    let mut watch = Watch::new(&options, wake.clone());
    let cloud = Cloud::start(options.config, move |record| watch.see(record))
        .map_err(|error| format!("cannot start: {error}"))?;
    if options.interactive {
        thread::spawn(move || read_lines(&wake));
    }

    let in_time = wait(&cloud, &woken, options.timeout);
    if options.summary {
        cloud.stop_with_summary();
    } else {
        cloud.stop();
    }
    Ok(if in_time || !waits_for_something { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Performs the commands from standard input until the program has to end; false if it timed out.
fn wait(cloud: &Cloud, woken: &Receiver<Wake>, timeout: Option<Duration>) -> bool {
    let deadline = timeout.map(|timeout| Instant::now() + timeout);
    loop {
        let left = deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(Instant::now()));
        match woken.recv_timeout(left) {
            Ok(Wake::Line(line)) => match console::perform(cloud, &line) {
                Outcome::Done => {}
                // On stderr, because a program may read the events from stdout.
                Outcome::Say(words) => drop(io::stderr().write_all(words.as_bytes())),
                Outcome::Quit => return true,
            },
            Ok(Wake::Stop | Wake::Reached) => return true,
            Err(_) => return false,
        }
    }
}

fn read_lines(wake: &Sender<Wake>) {
    let mut input = io::stdin().lock();
    loop {
        let mut line = String::new();
        match io::Read::take(&mut input, LONGEST_LINE).read_line(&mut line) {
            Ok(n) if n > 0 && wake.send(Wake::Line(line)).is_ok() => {}
            _ => return,
        }
    }
}

/// Prints events, and finds the one that ends the program.
struct Watch {
    json: bool,
    exit_when: HashMap<String, u64>,
    posts_left: Option<u64>,
    wake: Sender<Wake>,
}

impl Watch {
    fn new(options: &Options, wake: Sender<Wake>) -> Watch {
        Watch {
            json: options.json,
            exit_when: options.exit_when.iter().cloned().collect(),
            posts_left: options.exit_after_posts,
            wake,
        }
    }

    fn see(&mut self, record: &Record) {
        if self.print(record).is_err() {
            let _ = self.wake.send(Wake::Stop);
        }
        if !self.exit_when.is_empty() && self.was_awaited(record) {
            let _ = self.wake.send(Wake::Reached);
        }
        if let (Some(left), Event::Reply { code: 200, .. }) = (&mut self.posts_left, &record.event) {
            *left = left.saturating_sub(1);
            if *left == 0 {
                let _ = self.wake.send(Wake::Reached);
            }
        }
    }

    /// Whether this event makes one of the conditions true.
    fn was_awaited(&mut self, record: &Record) -> bool {
        let event = serde_json::to_value(&record.event).unwrap_or_default();
        let left = event["event"].as_str().and_then(|name| self.exit_when.get_mut(name));
        left.is_some_and(|left| {
            *left = left.saturating_sub(1);
            *left == 0
        })
    }

    fn print(&self, record: &Record) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if self.json {
            serde_json::to_writer(&mut out, record)?;
            writeln!(out)
        } else {
            writeln!(out, "{record}")
        }
    }
}
