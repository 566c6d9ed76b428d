//! The program as a person or a script starts it.

mod common;

use common::*;
use enos_sim::DeviceId;
use serde_json::Value;
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, ChildStdout, Command, Stdio},
};

/// A running enos-sim, killed at the latest with the test.
struct Program {
    child: Child,
    /// None once it was taken or closed.
    output: Option<BufReader<ChildStdout>>,
    address: SocketAddr,
}

impl Program {
    /// Starts it with `--json` on a free port.
    fn start(args: &[&str]) -> Program {
        let mut child = Command::new(env!("CARGO_BIN_EXE_enos-sim"))
            .args(["--listen", "127.0.0.1:0", "--json", "--device", &format!("pk,dk,,{DEVICE_SECRET}")])
            .args(args)
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

    fn event(&mut self) -> Value {
        let mut line = String::new();
        self.output.as_mut().unwrap().read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"))
    }

    fn wait_for(&mut self, name: &str) -> Value {
        loop {
            let event = self.event();
            if event["event"] == name {
                return event;
            }
        }
    }

    fn device(&self) -> Client {
        let mut client = Client::open(self.address);
        assert_eq!(client.login(&Login::device(DEVICE_SECRET)), 0);
        client
    }

    fn say(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap().success());
    }

    /// Its exit status, and the last event.
    fn end(mut self) -> (Option<i32>, Value) {
        let mut rest = String::new();
        self.output.take().unwrap().read_to_string(&mut rest).unwrap();
        let last = rest.lines().last().map(|line| serde_json::from_str(line).unwrap()).unwrap_or_default();
        (self.child.wait().unwrap().code(), last)
    }

    /// Entries of a directory under /proc: descriptors, threads.
    fn proc(&self, name: &str) -> usize {
        fs::read_dir(format!("/proc/{}/{name}", self.child.id())).unwrap().count()
    }

    fn resident_kb(&self) -> usize {
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

fn fails(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_enos-sim")).args(args).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn signals_end_it_with_a_summary() {
    for signal in ["INT", "TERM"] {
        let mut program = Program::start(&["--summary"]);
        let mut client = program.device();
        client.post("1");
        program.wait_for("reply");
        program.signal(signal);
        client.end();
        let (code, last) = program.end();
        assert_eq!((code, &last["event"]), (Some(0), &"summary".into()));
        assert_eq!(last["summary"]["devices"][0]["posts_accepted"], 1);
    }
}

#[test]
fn the_summary_counts() {
    let program = Program::start(&["--summary", "--exit-after-posts", "2"]);
    let mut client = program.device();
    client.post("1");
    client.post("2");
    client.end();
    let mut program = program;
    let summary = program.wait_for("summary")["summary"].clone();
    assert_eq!(
        (&summary["devices"][0]["device"], &summary["devices"][0]["posts_accepted"]),
        (&"pk/dk".into(), &2.into())
    );
    assert_eq!(program.end().0, Some(0));
}

#[test]
fn a_reply_that_ends_the_program_is_still_sent() {
    let program = Program::start(&["--exit-when", "reply"]);
    let mut client = program.device();
    client.subscribe(&format!("{POST}_reply"), mqttbytes::QoS::AtMostOnce);
    client.post("1");
    assert_eq!(client.next_json().1["code"], 200);
    client.end();
    assert_eq!(program.end().0, Some(0));
}

#[test]
fn waiting_in_vain_is_a_failure_and_a_mere_timeout_is_not() {
    assert_eq!(Program::start(&["--exit-when", "publish=3", "--timeout", "50"]).end().0, Some(1));
    assert_eq!(Program::start(&["--timeout", "50"]).end().0, Some(0));
}

#[test]
fn killed_it_leaves_nothing_behind() {
    let program = Program::start(&[]);
    let mut client = program.device();
    let address = program.address;
    drop(program);
    while client.try_next().is_ok() {}
    assert!(TcpStream::connect(address).is_err(), "the port is free");
}

#[test]
fn it_ends_when_nobody_reads_its_output() {
    let mut program = Program::start(&[]);
    program.output = None;
    let mut client = Client::open(program.address);
    client.send(|out| Login::device(DEVICE_SECRET).connect().write(out));
    assert!(program.child.wait().unwrap().success());
}

#[test]
fn it_takes_commands_from_its_input() {
    let mut program = Program::start(&["--interactive"]);
    let mut client = program.device();
    program.say("command thing/service/measurepoint/set {\"t\": 1}");
    let (topic, body) = client.next_json();
    assert_eq!((topic.as_str(), &body["params"]["t"]), ("/sys/pk/dk/thing/service/measurepoint/set", &1.into()));
    program.say("raw @pk/dk d000");
    assert_eq!(client.bytes(2), [0xd0, 0]);
    program.say("summary");
    assert_eq!(program.wait_for("summary")["summary"]["connects"], 1);
    program.say("kick");
    client.end();
    program.say("quit");
    assert_eq!(program.end().0, Some(0));
}

#[test]
fn devices_and_faults_from_a_file_and_state_across_restarts() {
    let directory = tempfile::tempdir().unwrap();
    let (devices, state) = (directory.path().join("devices.toml"), directory.path().join("state.json"));
    let file = format!(
        "fault = [\"connack:code=3@1\"]\n[[device]]\nproduct_key = \"pk\"\ndevice_key = \"d2\"\nproduct_secret = \
         \"{PRODUCT_SECRET}\"\n"
    );
    fs::write(&devices, file).unwrap();
    let args = ["--devices", devices.to_str().unwrap(), "--state", state.to_str().unwrap()];
    let login = Login { id: DeviceId::new("pk", "d2"), ..Login::product() };

    let program = Program::start(&args);
    assert_eq!(Client::open(program.address).login(&login), 3);
    let mut client = Client::open(program.address);
    assert_eq!(client.login(&login), 0);
    let secret = client.next_json().1["params"]["deviceSecret"].as_str().unwrap().to_owned();
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&state).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    drop(program);

    let program = Program::start(&args);
    let device = Login { secret: secret.clone(), secure_mode: 2, ..login };
    assert_eq!(Client::open(program.address).login(&device), 3);
    assert_eq!(Client::open(program.address).login(&device), 0);
}

#[test]
fn errors_name_the_argument_and_repeat_no_secret() {
    assert!(fails(&["--colour"]).contains("--colour"));
    assert!(fails(&["--fault", "connack"]).contains("WHEN:WHAT"));
    assert!(fails(&["--push-qos", "2"]).contains("0 to 1"));
    assert!(fails(&["--exit-when", "post"]).contains("no event"));
    assert!(fails(&["--device", "s3cr3t"]).contains("PRODUCT_KEY"));
    assert!(!fails(&["--device", "a,b,c,d,s3cr3t"]).contains("s3cr3t"));
    assert!(!fails(&["--product", "s3cr3t"]).contains("s3cr3t"));
    assert!(fails(&["--devices", "/nonexistent"]).contains("/nonexistent"));
    assert!(fails(&["--listen"]).contains("listen"));
    let taken = Program::start(&[]);
    assert!(fails(&["--listen", &taken.address.to_string()]).contains("cannot start"));
}

#[test]
fn the_help_knows_every_option_and_event() {
    let output = Command::new(env!("CARGO_BIN_EXE_enos-sim")).arg("--help").output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    for name in enos_sim::Event::NAMES {
        assert!(help.contains(name), "{name}");
    }
    // An option stands in quotes in the program's source exactly where it is matched.
    let source = include_str!("../src/args.rs");
    let options = source.lines().filter_map(|line| line.trim().strip_prefix('"')?.split_once("\" =>"));
    let options: Vec<_> = options.map(|(option, _)| option).collect();
    assert!(options.len() > 25, "{options:?}");
    for option in options {
        assert!(help.contains(&format!("--{option}")), "{option}");
    }
}

#[test]
fn thousands_of_connects_leave_nothing_behind() {
    let mut program = Program::start(&[]);
    let mut output = program.output.take().unwrap();
    let reader = std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
    let round = |program: &Program, rounds: usize| {
        for n in 0..rounds {
            match n % 3 {
                0 => drop(TcpStream::connect(program.address).unwrap()),
                1 => TcpStream::connect(program.address).unwrap().write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap(),
                _ => program.device().ping(),
            }
        }
        let settled = || program.proc("task") <= 8 && program.proc("fd") <= 16;
        let deadline = std::time::Instant::now() + PATIENCE;
        while !settled() {
            assert!(std::time::Instant::now() < deadline, "{} {}", program.proc("task"), program.proc("fd"));
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        program.resident_kb()
    };
    // Stacks and arenas of threads are kept by the C library: the first round fills them.
    let before = round(&program, 2000);
    let after = round(&program, 2000);
    assert!(after < before + 4096, "{before} kB have become {after} kB");
    drop(program);
    reader.join().unwrap().unwrap();
}

#[test]
fn a_silenced_connection_costs_no_time() {
    let program = Program::start(&["--fault", "connack:silence"]);
    let mut client = Client::open(program.address);
    client.send(|out| Login { keep_alive: 1, ..Login::device(DEVICE_SECRET) }.connect().write(out));
    // Clock ticks, of which there are 100 in a second, in user and system mode.
    let ticks = || -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", program.child.id())).unwrap();
        let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    };
    // The keepalive is over after 1.5 s; silence goes on after it.
    client.stream.set_read_timeout(Some(std::time::Duration::from_secs(2))).unwrap();
    assert_eq!(client.try_next(), Err(std::io::ErrorKind::WouldBlock));
    let before = ticks();
    client.stream.set_read_timeout(Some(std::time::Duration::from_secs(1))).unwrap();
    assert_eq!(client.try_next(), Err(std::io::ErrorKind::WouldBlock));
    assert!(ticks() <= before + 3, "it spins");
}
