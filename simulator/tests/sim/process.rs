//! The program, as a person or a script starts it.

use crate::common::{
    program::{self, Program},
    tls::*,
    *,
};
use enos_sim::DeviceId;
use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    process::{Command, Stdio},
};
use support::tls::Pki;

fn fails(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_enos-sim")).args(args).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn it_ends_with_a_summary() {
    for signal in [Some(libc::SIGINT), Some(libc::SIGTERM), None] {
        let mut program = Program::start(&["--summary", "--exit-after-posts", "2"]);
        let mut client = program.device();
        client.post("1");
        program.wait_for("reply");
        match signal {
            Some(signal) => program.signal(signal),
            None => client.post("2"),
        }
        client.end();
        let last = program.exits(0);
        assert_eq!(last["event"], "summary");
        let device = &last["summary"]["devices"][0];
        let posts = if signal.is_some() { 1 } else { 2 };
        assert_eq!((&device["device"], &device["posts_accepted"]), (&"pk/dk".into(), &posts.into()));
    }
}

#[test]
fn a_reply_that_ends_the_program_is_still_sent() {
    let program = Program::start(&["--exit-when", "reply"]);
    let mut client = program.device();
    client.subscribe(&format!("{POST}_reply"), mqttbytes::QoS::AtMostOnce);
    client.post("1");
    assert_eq!(client.next_json().1["code"], 200);
    client.end();
    program.exits(0);
}

#[test]
fn a_missed_condition_is_a_failure_and_a_timeout_alone_is_not() {
    Program::start(&["--exit-when", "publish=3", "--timeout", "50"]).exits(1);
    Program::start(&["--timeout", "50"]).exits(0);
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
    let mut child = program::listening(&[]).stdout(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    let port = serde_json::from_str::<serde_json::Value>(&first).unwrap()["port"].as_u64().unwrap() as u16;
    let mut client = Client::open(([127, 0, 0, 1], port).into());
    client.send(|out| Login::device(DEVICE_SECRET).connect().write(out));
    assert!(child.wait().unwrap().success());
}

#[test]
fn it_takes_commands_from_its_input() {
    let mut program = Program::start(&["--interactive"]);
    let mut client = program.device();
    program.say("command thing/service/measurepoint/set {\"t\": 1}");
    let (topic, body) = client.next_json();
    assert_eq!((topic.as_str(), &body["params"]["t"]), ("/sys/pk/dk/thing/service/measurepoint/set", &1.into()));
    program.say("cache @pk/dk thing/service/x {}");
    assert_eq!(client.next_json().0, "/sys/pk/dk/thing/service/x");
    program.say("raw @pk/dk d000");
    assert_eq!(client.bytes(2), [0xd0, 0]);
    program.say("summary");
    assert_eq!(program.wait_for("summary")["summary"]["connects"], 1);
    program.say("kick");
    client.end();
    program.say("quit");
    program.exits(0);
}

#[test]
fn it_sends_commands_at_random() {
    let mut program = Program::start(&["--commands-every", "1", "--exit-when", "command=20"]);
    let mut client = program.device();
    assert!(program.wait_for("command")["topic"].as_str().unwrap().starts_with("/sys/pk/dk/"));
    while client.try_next().is_ok() {}
    program.exits(0);
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
    let device = Login { secret, secure_mode: 2, ..login.clone() };
    assert_eq!(Client::open(program.address).login(&device), 3);
    assert_eq!(Client::open(program.address).login(&device), 0);
    assert_eq!(Client::open(program.address).login(&login), 5, "it is known that the device is active");
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
    assert!(fails(&["--firmware", "2.0"]).contains("VERSION=FILE"));
    assert!(fails(&["--firmware", "2.0=/nonexistent"]).contains("/nonexistent"));
    assert!(fails(&["--https", "0"]).contains("--tls-cert"));
    assert!(fails(&["--offer", "demo,static,2.0"]).contains("no image of this version"));
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
    // In the program's source, an option is in quotes only where it is matched.
    let source = [
        include_str!("../../src/args.rs"),
        include_str!("../../src/args/ports.rs"),
        include_str!("../../src/make_ca.rs"),
    ]
    .concat();
    let options = source.lines().filter_map(|line| line.trim().strip_prefix('"')?.split_once("\" =>"));
    let options: Vec<_> = options.map(|(option, _)| option).collect();
    assert!(options.len() > 35, "{options:?}");
    for option in options {
        assert!(help.contains(&format!("--{option}")), "{option}");
    }
}

/// Opens connections, and checks that the program is as large after them as before.
fn leaves_nothing_behind(program: Program, rounds: usize, open: impl Fn(&Program, usize)) {
    let round = |program: &Program| {
        (0..rounds).for_each(|n| open(program, n));
        let settled = || program.proc("task") <= 8 && program.proc("fd") <= 16;
        let deadline = std::time::Instant::now() + PATIENCE;
        while !settled() {
            assert!(std::time::Instant::now() < deadline, "{} {}", program.proc("task"), program.proc("fd"));
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        program.resident_kb()
    };
    // The C library keeps stacks and arenas of threads, which the first round fills.
    let before = round(&program);
    let after = round(&program);
    assert!(after < before + 4096, "{before} kB have become {after} kB");
}

#[test]
fn thousands_of_connects_leave_nothing_behind() {
    leaves_nothing_behind(Program::start(&[]), 2000, |program, n| match n % 3 {
        0 => drop(TcpStream::connect(program.address).unwrap()),
        1 => TcpStream::connect(program.address).unwrap().write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap(),
        _ => program.device().ping(),
    });
}

#[test]
fn hundreds_of_handshakes_leave_nothing_behind() {
    let pki = Pki::new();
    pki.port();
    let args = ["--tls-listen", "127.0.0.1:0", "--tls-cert", "server.pem", "--tls-key", "server.key"];
    let faults = ["--fault", "record=2:close@2-", "--tls-client-ca", "ca.pem"];
    for args in [&args[..], &[&args[..], &faults].concat()] {
        let mut program = Program::start_in(pki.directory.path(), args);
        let port = program.event()["port"].as_u64().unwrap() as u16;
        let address = ([127, 0, 0, 1], port).into();
        leaves_nothing_behind(program, 150, |_, n| match n % 3 {
            0 => drop(TcpStream::connect(address).unwrap()),
            1 => TcpStream::connect(address).unwrap().write_all(&[22, 3, 1, 0, 2, 1, 2]).unwrap(),
            _ => {
                drop(try_open_at(address, trusting(&pki)).map(|mut client| client.login(&Login::device(DEVICE_SECRET))))
            }
        });
    }
}

#[test]
fn a_silenced_connection_costs_no_time() {
    let program = Program::start(&["--fault", "connack:silence"]);
    let mut client = Client::open(program.address);
    client.send(|out| Login { keep_alive: 1, ..Login::device(DEVICE_SECRET) }.connect().write(out));
    // Clock ticks, of which there are 100 in a second, in user and system mode.
    let ticks = || -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", program.id())).unwrap();
        let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    };
    // The keepalive ends after 1.5 s; the silence goes on after it.
    client.stream.set_read_timeout(Some(std::time::Duration::from_secs(2))).unwrap();
    assert_eq!(client.try_next(), Err(std::io::ErrorKind::WouldBlock));
    let before = ticks();
    client.stream.set_read_timeout(Some(std::time::Duration::from_secs(1))).unwrap();
    assert_eq!(client.try_next(), Err(std::io::ErrorKind::WouldBlock));
    assert!(ticks() <= before + 3, "it spins");
}
