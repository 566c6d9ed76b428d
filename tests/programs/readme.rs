//! README.md and NOTICE are correct: the program in the README runs, and NOTICE names every linked crate. The programs of
//! docs/durable.md, docs/requests.md, docs/commands.md, docs/gateways.md, docs/ota.md and docs/values.md do what the pages say.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::PathBuf;
use std::process::Command;

use enos_sim::{Device, DeviceId, Event, Offer, Task, TaskState};
use serde_json::json;
use support::desk::{device_id, Desk};
use support::host::{DEVICE_KEY, PRODUCT_KEY, PRODUCT_SECRET};
use support::native::{c_compilers, root, succeed, Workshop, C_STANDARDS};
use support::program::Program;

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap()
}

/// The blocks of C in a page.
fn blocks(page: &str) -> Vec<String> {
    let page = read(page);
    let blocks = page.split("\n```c\n").skip(1).map(|rest| rest.split_once("\n```\n").unwrap().0);
    blocks.map(|block| format!("{block}\n")).collect()
}

/// The program in a page, with its placeholders replaced.
fn program(page: &str, desk: &Desk) -> String {
    let replacements = [
        ("tcp://mqtt.example.com:11883", &*format!("tcp://{}", desk.address())),
        ("/var/lib/my-device", "store"),
        ("my-product-key", PRODUCT_KEY),
        ("my-device-key", DEVICE_KEY),
        ("my-product-secret", PRODUCT_SECRET),
    ];
    let programs: Vec<_> = blocks(page).into_iter().filter(|block| block.contains("\nint main(")).collect();
    let [block] = &programs[..] else { panic!("{} programs", programs.len()) };
    replacements.iter().fold(block.clone(), |program, (from, to)| {
        assert_eq!(program.matches(from).count(), 1, "{from}");
        program.replace(from, to)
    })
}

/// Compiles it with every compiler and standard, and links it with one.
fn build(workshop: &Workshop, program: &str) -> PathBuf {
    let source = workshop.write("page.c", program);
    for compiler in c_compilers() {
        C_STANDARDS.iter().for_each(|standard| workshop.check(compiler, standard, &source));
    }
    fs::DirBuilder::new().mode(0o700).create(workshop.path().join("store")).unwrap();
    workshop.build("cc", "c11", &source)
}

#[test]
fn its_program_activates_a_device_and_reports() {
    let workshop = Workshop::new();
    let desk = Desk::inactive(|_| {});
    let built = build(&workshop, &program("README.md", &desk));
    for start in 1..=2 {
        let mut running = Program::start(workshop.command("stdbuf").arg("-oL").arg(&built));
        running.expect("REPLY: success");
        let output = running.kill();
        assert!(output.contains("CONNECTED: success"), "{output}");
        assert_eq!(output.contains("ACTIVATED: success"), start == 1, "{output}");
    }
    assert_eq!(desk.modes(), [3, 2, 2]);
    assert_eq!(desk.count(|event| matches!(event, Event::Reply { code: 200, .. })), 2);
}

/// It is killed when it has stored its messages, and sends them at its next start, with the new ones.
#[test]
fn the_durable_program_loses_nothing() {
    let workshop = Workshop::new();
    let desk = Desk::inactive(|_| {});
    let built = build(&workshop, &program("docs/durable.md", &desk));
    let start = || Program::start(workshop.command("stdbuf").arg("-oL").arg(&built));
    let mut killed = start();
    (0..3).for_each(|_| drop(killed.expect("kept ")));
    let output = killed.kill() + &start().exits(0);
    let all = |begin: &str| output.lines().filter_map(|line| line.strip_prefix(begin)).collect::<BTreeSet<_>>();
    let (kept, replies) = (all("kept "), all("REPLY "));
    assert!(kept.len() == 6 && kept.iter().all(|token| token.parse::<u64>().unwrap() >= 1 << 62), "{output}");
    let through = replies.iter().map(|reply| reply.split_once(": success; ").expect(reply).0);
    assert_eq!(through.collect::<BTreeSet<_>>(), kept, "{output}");
}

#[test]
fn the_program_on_requests_prints_what_it_has_asked_for() {
    let workshop = Workshop::new();
    let desk = Desk::inactive(|_| {});
    let built = build(&workshop, &program("docs/requests.md", &desk));
    for (limit, said) in [(None, "no limit is set"), (Some(22.5), "limit 22.5")] {
        desk.cloud.change_thing(&device_id(), |thing| {
            thing.attributes.extend(limit.map(|limit| ("limit".to_owned(), json!(limit))));
        });
        assert_eq!(
            Program::start(&mut workshop.command(&built)).exits(0),
            format!("at start-up: success, code 200\n{said}\n")
        );
    }
}

#[test]
fn the_program_on_commands_answers_from_another_thread() {
    let workshop = Workshop::new();
    let desk = Desk::inactive(|_| {});
    let built = build(&workshop, &program("docs/commands.md", &desk));
    let mut running = Program::start(workshop.command("stdbuf").arg("-oL").arg(&built));
    running.expect("CONNECTED");
    let call =
        |service: &str, params| desk.cloud.call(&device_id(), &format!("thing/service/{service}"), params).unwrap();
    let answer = call("calibrate", json!({"offset": 3.0}));
    assert_eq!((answer.code, &answer.json()["data"]), (Some(200), &json!({"offset": 1.5})));
    assert_eq!(call("explode", json!({})).code, Some(1101));
}

#[test]
fn the_program_on_gateways_reports_for_each_inverter() {
    let workshop = Workshop::new();
    let inverters = ["inverter-1", "inverter-2"];
    let desk = Desk::inactive(|config| {
        config.devices[0].is_gateway = true;
        let inverter = |key| Device::inactive(DeviceId::new("inverters", key), "inverters-secret");
        config.devices.extend(inverters.map(|key| inverter(key).behind(device_id())));
    });
    let built = build(&workshop, &program("docs/gateways.md", &desk));
    for start in 1..=2 {
        let mut running = Program::start(workshop.command("stdbuf").arg("-oL").arg(&built));
        (0..2).for_each(|_| drop(running.expect(" REPLY: success")));
        let output = running.kill();
        for key in inverters {
            assert!(output.contains(&format!("{key} REPLY: success")), "{output}");
            assert_eq!(output.contains(&format!("{key} ACTIVATED: success")), start == 1, "{output}");
        }
    }
}

/// The first firmware is installed and runs. The installer does not take the second.
#[test]
fn the_program_on_updates_installs_what_is_offered() {
    let workshop = Workshop::new();
    let desk = Desk::inactive(|_| {});
    let paths = [("/usr/lib/my-device/install", "./install"), ("/sbin/reboot", "./restart")];
    let page = paths.iter().fold(program("docs/ota.md", &desk), |page, (from, to)| page.replace(from, to));
    let built = build(&workshop, &page.replace("\"1.0\"", "getenv(\"RUNS\")"));
    let scripts = [("install", "test \"$*\" = '/f/2.0 7 md5 00'"), ("restart", "exit 0")];
    for (name, text) in scripts {
        let path = workshop.write(name, &format!("#!/bin/sh\n{text}\n"));
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let start = |runs: &str| Program::start(workshop.command("stdbuf").arg("-oL").arg(&built).env("RUNS", runs));
    let offer = |version: &str| {
        let url = format!("/f/{version}");
        let params = json!({"version": version, "fileUrl": url, "signMethod": "md5", "sign": "00", "fileSize": 7});
        desk.cloud.offer(&device_id(), Offer::raw(params)).unwrap()
    };
    let reaches = |number: u64, wanted: fn(&TaskState) -> bool| {
        let is = |task: &Task| task.task == number && wanted(&task.state);
        desk.wait_for(|event| matches!(event, Event::Upgrade(task) if is(task)));
    };
    let first = offer("2.0");
    let output = start("1.0").exits(0);
    assert!(output.contains("OTA_OFFER: success; EnOS offers 2.0, 7 bytes (OFFERED)"), "{output}");
    let mut running = start("2.0");
    running.expect("OTA: success; 2.0 runs after its installation");
    reaches(first, |state| *state == TaskState::Succeeded);
    let second = offer("3.0");
    reaches(second, |state| matches!(state, TaskState::Failed { code: -1, .. }));
    offer("3.0");
    running.expect("EnOS offers 3.0, 7 bytes (FAILED)");
}

#[test]
fn the_programs_on_values_print_what_they_read_and_build() {
    let workshop = Workshop::new();
    let [reads, builds] = &blocks("docs/values.md")[..] else { panic!() };
    let run = |program: &str| {
        let source = workshop.write("page.c", program);
        for compiler in c_compilers() {
            C_STANDARDS.iter().for_each(|standard| workshop.check(compiler, standard, &source));
        }
        succeed(&mut workshop.command(workshop.build("cc", "c11", &source)))
    };
    assert_eq!(run(reads), "power 1500\neco\nstep 10\nstep 20\nstep 30\n");
    let built = run(builds);
    let readings = ["21.1", "22.1", "23.1"];
    assert_eq!(built.lines().count(), readings.len());
    for (line, temperature) in built.lines().zip(readings) {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        let points = &value["measurepoints"];
        assert_eq!(points["temperature"].to_string(), temperature);
        assert_eq!(points["power"].to_string(), r#"{"quality":9,"value":1500.5}"#);
        assert!(value["time"].as_i64().unwrap() > 1_600_000_000_000);
    }
}

/// The crates that are linked into libenos.so, with their licences, are those in NOTICE.
#[test]
fn notice_names_every_crate_that_is_linked() {
    let mut tree = Command::new(env!("CARGO"));
    tree.args(["tree", "--locked", "--offline", "-p", "enos", "-e", "normal,no-proc-macro", "--prefix", "none"]);
    let tree = succeed(tree.args(["--format", "{p}|{l}"]).current_dir(root()));
    let linked: BTreeSet<_> = tree
        .lines()
        .filter_map(|line| line.trim_end_matches(" (*)").split_once('|'))
        .map(|(package, licence)| (package.split(' ').next().unwrap().to_owned(), licence.to_owned()))
        .filter(|(name, _)| !["enos", "paho-engine", "paho-link", "paho-mqtt-sys"].contains(&name.as_str()))
        .collect();
    let notice = read("NOTICE");
    let part = notice.split_once("\n2. Rust crates\n").unwrap().1;
    let table = part.split("\n\n").find(|paragraph| paragraph.starts_with("    ")).unwrap();
    let named: BTreeSet<_> = table
        .lines()
        .filter_map(|line| line.trim_start().split_once(' '))
        .map(|(name, licence)| (name.to_owned(), licence.trim_start().to_owned()))
        .collect();
    assert!(linked.len() > 10);
    assert_eq!(named, linked);
    assert!(notice.contains(&format!("paho-mqtt-sys {}", version_in_lock("paho-mqtt-sys"))));
}

fn version_in_lock(package: &str) -> String {
    let lock = read("Cargo.lock");
    let entry = lock.split_once(&format!("name = \"{package}\"\nversion = \"")).unwrap().1;
    entry.split_once('"').unwrap().0.to_owned()
}
