//! The program in a process of its own.

use serde_json::Value;
use std::{fs, net::SocketAddr, ops::Deref, path::Path, process::Command};

use super::{Client, Login, DEVICE_SECRET};

/// A command line that listens on a free port, and knows the device.
pub fn listening(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_enos-sim"));
    command.args(["--listen", "127.0.0.1:0", "--json", "--device", &format!("pk,dk,,{DEVICE_SECRET}")]).args(args);
    command
}

/// A running enos-sim, killed at the latest with the test.
pub struct Program {
    pub process: support::program::Program,
    pub address: SocketAddr,
}

impl Deref for Program {
    type Target = support::program::Program;

    fn deref(&self) -> &Self::Target {
        &self.process
    }
}

impl Program {
    pub fn start(args: &[&str]) -> Program {
        Program::start_in(Path::new("."), args)
    }

    /// In another directory.
    pub fn start_in(directory: &Path, args: &[&str]) -> Program {
        let process = support::program::Program::listening(listening(args).current_dir(directory));
        let mut program = Program { process, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        let first = program.event();
        assert_eq!(first["event"], "listening");
        program.address.set_port(first["port"].as_u64().unwrap() as u16);
        program
    }

    pub fn event(&mut self) -> Value {
        let line = self.process.expect("");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"))
    }

    pub fn wait_for(&mut self, name: &str) -> Value {
        std::iter::repeat_with(|| self.event()).find(|event| event["event"] == name).unwrap()
    }

    pub fn device(&self) -> Client {
        let mut client = Client::open(self.address);
        assert_eq!(client.login(&Login::device(DEVICE_SECRET)), 0);
        client
    }

    /// A line for its standard input.
    pub fn say(&mut self, line: &str) {
        self.process.say(&format!("{line}\n"));
    }

    /// Waits for its end with this status; returns the last event.
    #[track_caller]
    pub fn exits(self, code: i32) -> Value {
        let seen = self.process.exits(code);
        serde_json::from_str(seen.lines().last().unwrap()).unwrap()
    }

    /// Entries of a directory under /proc: descriptors, threads.
    pub fn proc(&self, name: &str) -> usize {
        fs::read_dir(format!("/proc/{}/{name}", self.id())).unwrap().count()
    }

    pub fn resident_kb(&self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}
