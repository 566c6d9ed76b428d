//! The programs in tests/c with the libenos.so of this test run, normally and under valgrind.

use std::net::TcpListener;
use std::process::Command;
use std::thread;

use enos_sim::{Device, DeviceId, Event};
use serde_json::json;
use support::broker::Peer;
use support::desk::{device_id, Desk};
use support::host::{DEVICE_SECRET, SUB_PRODUCT, SUB_PRODUCT_SECRET};
use support::mosquitto::Mosquitto;
use support::native::{c_compilers, cpp_compilers, passed, quiet, root, succeed, test_source, Workshop};
use support::native::{CPP_STANDARDS, RACES};
use support::program::Program;
#[cfg(feature = "tls")]
use {
    enos_sim::ca::{Authority, KeyKind},
    support::tls::{path, Pki},
};

/// Runs a program with each compiler and standard, and the first of these again under valgrind: no memory error, and no
/// definitely lost memory. Each run has a directory to create.
#[track_caller]
fn runs_and_leaks_nothing(source: &str, compilers: Vec<&str>, standards: &[&str]) {
    let workshop = Workshop::new();
    let mut first = None;
    for compiler in compilers {
        for standard in standards {
            let program = workshop.build(compiler, standard, &test_source(source));
            passed(&succeed(workshop.command(&program).arg(format!("{compiler}-{standard}-store"))));
            first = first.or(Some(program));
        }
    }
    if let Some(mut command) = workshop.valgrind(first.unwrap()) {
        passed(&quiet(command.arg("store"), ""));
    }
}

#[test]
fn the_boundary_from_c() {
    runs_and_leaks_nothing("test_boundary.c", c_compilers(), &["c99"]);
}

/// In locales with other decimal points, digits and letters: what is written and read is the same.
#[test]
fn values_from_c() {
    let workshop = Workshop::new();
    let locales = ["de_DE", "fa_IR"].map(|language| (language, workshop.path().join(language)));
    for (language, path) in &locales {
        succeed(Command::new("localedef").args(["-i", language, "-f", "UTF-8"]).arg(path));
    }
    let in_locales = |mut command: Command| {
        command.args(locales.iter().map(|(language, _)| language)).env("LOCPATH", workshop.path());
        command
    };
    let programs =
        c_compilers().into_iter().map(|compiler| workshop.build(compiler, "c99", &test_source("test_values.c")));
    let programs: Vec<_> = programs.collect();
    for program in &programs {
        passed(&succeed(&mut in_locales(workshop.command(program))));
    }
    if let Some(command) = workshop.valgrind(programs.into_iter().next().unwrap()) {
        passed(&quiet(&mut in_locales(command), ""));
    }
}

/// With a cloud that sends commands. The program keeps all but one, and answers all but two. Then it is a gateway.
#[test]
fn the_cover_for_cplusplus() {
    let workshop = Workshop::new();
    let run = |mut command: Command, name: &str| {
        let desk = Desk::active(|config| {
            let services = ["kept", "dropped", "ignored", "last"].map(|name| format!("thing/service/{name}"));
            let services = services.map(|suffix| enos_sim::Command { suffix, params: json!({"n": 1}), after_posts: 0 });
            let raw = enos_sim::Command { suffix: "thing/model/down_raw".into(), params: json!("raw"), after_posts: 0 };
            config.commands = services.into_iter().chain([raw]).collect();
        });
        let gateway = Desk::active(|config| {
            config.devices[0].is_gateway = true;
            let sub = |key| DeviceId::new(SUB_PRODUCT, key);
            let active = ["s1", "s3"].map(|key| Device::active(sub(key), DEVICE_SECRET));
            let all = active.into_iter().chain([Device::inactive(sub("s2"), SUB_PRODUCT_SECRET)]);
            config.devices.extend(all.map(|device| device.behind(device_id())));
        });
        let first = DeviceId::new(SUB_PRODUCT, "s1");
        gateway.cloud.command_cached(&first, "thing/service/x", json!({})).unwrap();
        let [uri, gateway_uri] = [&desk, &gateway].map(|desk| format!("tcp://{}", desk.address()));
        passed(&quiet(command.args([name, &uri, DEVICE_SECRET, &gateway_uri]), ""));
        let is_answer = |event: &Event| matches!(event, Event::CommandReply { code: Some(200), .. });
        assert_eq!(gateway.count_of(&first, is_answer), 1);
        for (service, expected) in [("kept", Some(200)), ("dropped", Some(1102)), ("ignored", Some(1101))] {
            let topic_end = format!("/{service}_reply");
            let answers = |event: &Event| matches!(event, Event::CommandReply { topic, code, .. } if topic.ends_with(&topic_end) && *code == expected);
            assert_eq!(desk.count(answers), 1, "{service}");
        }
    };
    let mut first = None;
    for compiler in cpp_compilers() {
        for standard in CPP_STANDARDS {
            let program = workshop.build(compiler, standard, &test_source("test_hpp.cpp"));
            run(workshop.command(&program), &format!("{compiler}-{standard}-store"));
            first = first.or(Some(program));
        }
    }
    if let Some(command) = workshop.valgrind(first.unwrap()) {
        run(command, "store");
    }
}

/// A broker that accepts and answers everything, until this process ends.
fn broker() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            Peer { stream }.oblige();
        }
    });
    port
}

/// Runs a program with such a broker.
fn passes_with_a_broker(source: &str) {
    let workshop = Workshop::new();
    for compiler in c_compilers() {
        let program = workshop.build(compiler, "c99", &test_source(source));
        passed(&succeed(workshop.command("timeout").arg("100").arg(&program).arg(broker().to_string())));
    }
}

#[test]
fn a_name_server_that_never_answers_harms_nobody_else() {
    passes_with_a_broker("test_resolver.c");
}

#[test]
fn a_thread_that_cannot_be_started_is_told_and_tried_again() {
    let workshop = Workshop::new();
    let program = workshop.build("cc", "c99", &test_source("test_threads.c"));
    let port = broker().to_string();
    passed(&succeed(workshop.command(&program).arg(&port)));
    if let Some(mut command) = workshop.valgrind(program) {
        passed(&quiet(command.arg(&port), ""));
    }
}

#[test]
fn a_signal_each_millisecond_disturbs_nothing() {
    passes_with_a_broker("test_signals.c");
}

/// Eight threads on one client, normally and under DRD, which reports data that they share without a lock.
/// tests/c/drd.supp has the exceptions, with reasons.
#[test]
fn eight_threads_get_each_outcome_once_and_drd_finds_no_race() {
    let broker = Mosquitto::start_with("allow_anonymous true\nlog_type error\n");
    let uri = format!("tcp://{}", broker.address());
    let workshop = Workshop::new();
    let program = workshop.build("cc", "c99", &test_source("stress_device.c"));
    let (fast, watched) = if std::env::var_os("ENOS_SOAK").is_some() { (20_000, 1000) } else { (1000, 40) };
    let last = |printed: String| printed.lines().last().unwrap().to_owned();
    let printed = quiet(workshop.command(&program).args([&uri, &fast.to_string()]), "");
    println!("{fast} rounds of each: {}", last(printed));
    let Some(mut command) = workshop.valgrind_with(&RACES, &program) else { return };
    let printed = quiet(command.args([&uri, &watched.to_string()]), "");
    println!("{watched} rounds of each under DRD: {}", last(printed));
}

#[cfg(feature = "tls")]
struct Scene {
    pki: Pki,
    desk: Desk,
    workshop: Workshop,
    program: std::path::PathBuf,
}

/// A device, and a cloud that requires certificates.
#[cfg(feature = "tls")]
fn scene() -> Scene {
    let pki = Pki::new();
    pki.device("dk", KeyKind::EcP256);
    let desk = Desk::active(|config| config.tls = Some(pki.demanding()));
    let workshop = Workshop::new();
    let program = workshop.build("cc", "c99", &test_source("tls_device.c"));
    Scene { pki, desk, workshop, program }
}

#[cfg(feature = "tls")]
impl Scene {
    fn arguments(&self, ca: &str, end: &str) -> [String; 5] {
        let uri = format!("ssl://{}", self.desk.cloud.tls_address().unwrap());
        let [cert, key] = ["dk.pem", "dk.key"].map(|name| path(&self.pki.file(name)));
        [uri, ca.to_owned(), cert, key, end.to_owned()]
    }
}

#[cfg(feature = "tls")]
#[test]
fn a_program_may_end_with_its_connection_up() {
    let scene = scene();
    // Several times, because a fault at exit may not occur each time.
    for _ in 0..10 {
        for end in ["exit", "return", "destroy"] {
            let arguments = scene.arguments(&scene.pki.ca(), end);
            let said = succeed(scene.workshop.command(&scene.program).args(arguments));
            assert!(said.contains("CONNECTED 0") && said.contains("REPLY 0"), "{end}: {said}");
        }
    }
}

#[cfg(feature = "tls")]
#[test]
fn tls_under_valgrind() {
    let scene = scene();
    let stranger = Authority::root("A stranger's CA", KeyKind::EcP256).unwrap();
    let strange = path(&stranger.write(scene.workshop.path()).unwrap().certificate);
    let run = |ca: &str, end: &str| {
        // A client that is not destroyed is not a leak of the library.
        let command = match end {
            "return" => scene.workshop.valgrind_with(&["--leak-check=no"], &scene.program),
            _ => scene.workshop.valgrind(&scene.program),
        };
        command.map(|mut command| quiet(command.args(scene.arguments(ca, end)), ""))
    };
    // In parallel, because they mostly wait; except the two that are the same device.
    thread::scope(|scope| {
        scope.spawn(|| run(&strange, "fail"));
        run(&scene.pki.ca(), "destroy");
        run(&scene.pki.ca(), "return");
    });
}

#[test]
fn the_flash_store_survives_power_cuts_and_failing_flash() {
    let workshop = Workshop::new();
    let program = workshop.build("cc", "c11", &test_source("test_flash_store.c"));
    passed(&succeed(workshop.command("timeout").arg("300").arg(program)));
}

#[test]
fn the_sectors_of_the_flash_store_wear_evenly() {
    let workshop = Workshop::new();
    let program = workshop.build("cc", "c11", &test_source("test_flash_wear.c"));
    let under_valgrind = workshop.valgrind(&program);
    passed(&quiet(&mut under_valgrind.unwrap_or_else(|| workshop.command(&program)), ""));
}

#[test]
fn the_flash_store_survives_kill_9_in_the_middle_of_its_stores() {
    let workshop = Workshop::new();
    let sources = ["tests/c/flash_store_writer.c", "c_examples/flash_store.c", "c_examples/flash_file.c"];
    let sources = sources.map(|name| root().join(name));
    for compiler in c_compilers() {
        let program = workshop.build_all(compiler, "c99", &sources);
        let start = || Program::start(workshop.command(&program).arg(format!("flash-{compiler}")));
        let number = |line: &str| line.parse::<u32>().unwrap();
        let mut last = 0;
        for round in 0..40 {
            let mut writer = start();
            let found = number(&writer.expect(""));
            // Everything that was reported as stored is there; one more value may be there whose report did not come.
            assert!(found == last || found == last + 1, "{found} after {last}");
            let stop = found + 1 + round * 7 % 50;
            while number(&writer.expect("")) < stop {}
            last = number(writer.kill().lines().last().unwrap());
        }
        assert!(last > 500);
    }
}

/// Eight threads answer commands, normally, under memcheck and under DRD; the last commands outlive the client.
#[test]
fn commands_are_answered_by_eight_threads() {
    let broker = Mosquitto::start_with("allow_anonymous true\nlog_type error\n");
    let uri = format!("tcp://{}", broker.address());
    let workshop = Workshop::new();
    let program = workshop.build("cc", "c99", &test_source("command_device.c"));
    quiet(workshop.command(&program).args([&uri, "5000"]), "");
    if let Some(mut command) = workshop.valgrind(program.clone()) {
        quiet(command.args([&uri, "200"]), "");
    }
    let Some(mut command) = workshop.valgrind_with(&RACES, &program) else { return };
    quiet(command.args([&uri, "200"]), "");
}
