//! The program in a process of its own.

use serde_json::Value;
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::SocketAddr,
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
};

use super::{Client, Login, DEVICE_SECRET};

/// A running enos-sim, killed at the latest with the test.
pub struct Program {
    pub child: Child,
    /// None once it was taken or closed.
    pub output: Option<BufReader<ChildStdout>>,
    pub address: SocketAddr,
}

impl Program {
    /// Starts it with `--json` on a free port.
    pub fn start(args: &[&str]) -> Program {
        Program::start_in(Path::new("."), args)
    }

    /// In another directory.
    pub fn start_in(directory: &Path, args: &[&str]) -> Program {
        let mut child = Command::new(env!("CARGO_BIN_EXE_enos-sim"))
            .args(["--listen", "127.0.0.1:0", "--json", "--device", &format!("pk,dk,,{DEVICE_SECRET}")])
            .args(args)
            .current_dir(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = child.stdout.take().map(BufReader::new);
        let mut program = Program { child, output, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        let first = program.event();
        assert_eq!(first["event"], "listening");
        program.address.set_port(first["port"].as_u64().unwrap() as u16);
        program
    }

    pub fn event(&mut self) -> Value {
        let mut line = String::new();
        self.output.as_mut().unwrap().read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"))
    }

    pub fn wait_for(&mut self, name: &str) -> Value {
        loop {
            let event = self.event();
            if event["event"] == name {
                return event;
            }
        }
    }

    pub fn device(&self) -> Client {
        let mut client = Client::open(self.address);
        assert_eq!(client.login(&Login::device(DEVICE_SECRET)), 0);
        client
    }

    pub fn say(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap().success());
    }

    /// Its exit status, and the last event.
    pub fn end(mut self) -> (Option<i32>, Value) {
        let mut rest = String::new();
        self.output.take().unwrap().read_to_string(&mut rest).unwrap();
        let last = rest.lines().last().map(|line| serde_json::from_str(line).unwrap()).unwrap_or_default();
        (self.child.wait().unwrap().code(), last)
    }

    /// Entries of a directory under /proc: descriptors, threads.
    pub fn proc(&self, name: &str) -> usize {
        fs::read_dir(format!("/proc/{}/{name}", self.child.id())).unwrap().count()
    }

    pub fn resident_kb(&self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
