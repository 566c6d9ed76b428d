//! The programs of c_examples that show one subject each, against the simulator.

use std::path::PathBuf;
use std::process::Command;

use enos_sim::{Device, DeviceId, Event};
use serde_json::{json, Value};
use support::desk::{device_id, Desk};
use support::host::{DEVICE_KEY, PRODUCT_KEY, PRODUCT_SECRET};
use support::native::{c_compilers, cpp_compilers, root, Workshop, CPP_STANDARDS, C_STANDARDS};
use support::program::Program;

const C_EXAMPLES: [&str; 4] = ["03_poll_loop", "04_threads", "05_commands", "06_several_devices"];
const CPP_EXAMPLE: &str = "07_cplusplus";

fn source(name: &str) -> PathBuf {
    root().join("c_examples").join(name)
}

/// An example, built.
struct Example {
    name: &'static str,
    workshop: Workshop,
    program: PathBuf,
}

impl Example {
    fn build(name: &'static str) -> Example {
        let workshop = Workshop::new();
        let program = if name == CPP_EXAMPLE {
            workshop.build("c++", "c++11", &source(&format!("{name}.cpp")))
        } else {
            workshop.build_all("cc", "c11", &[&format!("{name}.c"), "example.c", "json.c"].map(source))
        };
        Example { name, workshop, program }
    }

    /// The command line for the device dk, or for dk and others.
    fn with_arguments(&self, mut command: Command, server: &str) -> Command {
        command.env("ENOS_PRODUCT_SECRET", PRODUCT_SECRET);
        match self.name {
            "06_several_devices" => command.args([server, PRODUCT_KEY, "store", DEVICE_KEY, "dk2", "dk3"]),
            _ => command.args([server, PRODUCT_KEY, DEVICE_KEY, "store"]),
        };
        command
    }

    fn start(&self, desk: &Desk) -> Program {
        let command = self.workshop.command(&self.program);
        Program::start(&mut self.with_arguments(command, &format!("tcp://{}", desk.address())))
    }
}

/// What an example prints when a report was acknowledged.
fn acknowledged(name: &str) -> &'static str {
    match name {
        "04_threads" => "outlet: success, code 200",
        "06_several_devices" => "dk3 REPLY: success, code 200",
        "07_cplusplus" => "reply, code 200",
        _ => "dk REPLY: success, code 200",
    }
}

fn end(program: Program) -> String {
    program.signal(libc::SIGTERM);
    program.exits(0)
}

/// A cloud with the devices dk, dk2 and dk3, none of which is active yet.
fn desk() -> Desk {
    Desk::inactive(|config| {
        let others = ["dk2", "dk3"].map(|key| Device::inactive(DeviceId::new(PRODUCT_KEY, key), PRODUCT_SECRET));
        config.devices.extend(others);
    })
}

#[test]
fn they_compile_without_a_warning() {
    let workshop = Workshop::new();
    for compiler in c_compilers() {
        for standard in C_STANDARDS {
            let names = C_EXAMPLES.iter().chain(&["example"]);
            names.for_each(|name| workshop.check(compiler, standard, &source(&format!("{name}.c"))));
        }
    }
    for compiler in cpp_compilers() {
        CPP_STANDARDS.iter().for_each(|standard| workshop.check(compiler, standard, &source("07_cplusplus.cpp")));
    }
}

#[test]
fn each_activates_reports_survives_a_loss_and_ends_in_order() {
    for name in ["03_poll_loop", "04_threads", CPP_EXAMPLE] {
        let (example, desk) = (Example::build(name), desk());
        let mut program = example.start(&desk);
        program.expect("ACTIVATED: success");
        program.expect("CONNECTED: success");
        program.expect(acknowledged(name));
        desk.cloud.kick(&device_id()).unwrap();
        program.expect("DISCONNECTED: the network");
        program.expect("CONNECTED: success");
        program.expect(acknowledged(name));
        let output = end(program);
        assert!(output.contains("DISCONNECTED: success"), "{name}: {output}");
        assert_eq!(desk.modes(), [3, 2, 2], "{name}");
        desk.wait_for(|event| matches!(event, Event::Disconnect));
        assert!(!output.contains("not reported"), "{name}: {output}");
    }
}

/// Both workers get the outcomes of their own posts.
#[test]
fn its_workers_post_side_by_side() {
    let (example, desk) = (Example::build("04_threads"), desk());
    let mut program = example.start(&desk);
    let mut acknowledged = [0; 2];
    while acknowledged.contains(&0) || acknowledged.contains(&1) {
        let line = program.expect("let: success, code 200");
        acknowledged[usize::from(line.starts_with("outlet"))] += 1;
    }
    let output = end(program);
    assert_eq!(output.matches(" REPLY: ").count(), output.matches("let: ").count(), "{output}");
}

/// A worker that waits for a reply that never comes is released by the end, not by the timeout.
#[test]
fn its_workers_end_while_they_wait() {
    let desk = Desk::inactive(|config| config.faults = vec!["reply:silence".parse().unwrap()]);
    let example = Example::build("04_threads");
    let mut program = example.start(&desk);
    program.expect("CONNECTED");
    desk.wait_for(|event| matches!(event, Event::Reply { .. }));
    let output = end(program);
    assert!(output.contains("let: ") && !output.contains("let: success"), "{output}");
}

#[test]
fn it_answers_each_command() {
    let (example, desk) = (Example::build("05_commands"), desk());
    let mut program = example.start(&desk);
    program.expect("CONNECTED");
    let mut ask = |service: &str, params: Value| {
        let id = desk.cloud.command(&device_id(), &format!("thing/service/{service}"), params).unwrap();
        let answers = |event: &Event| matches!(event, Event::CommandReply { id: known, .. } if *known == id);
        desk.wait_for(answers);
        program.expect(&format!("thing/service/{service} "))
    };
    let cases = [
        ("measurepoint/set", json!({"setpoint": 21.5}), "code 200, {}"),
        ("measurepoint/get", json!(["setpoint"]), r#"code 200, {"setpoint":21.5}"#),
        ("measurepoint/set", json!({"setpoint": 99}), "code 2002, {}"),
        ("measurepoint/set", json!({"unknown": 1}), "code 2001, {}"),
        ("measurepoint/set", json!({"setpoint": "warm"}), "code 2001, {}"),
        ("measurepoint/get", json!(["setpoint", "unknown"]), "code 2001, {}"),
        ("measurepoint/get", json!([]), "code 200, {}"),
        ("blink", json!({"times": 3}), r#"code 200, {"blinked":3}"#),
        ("blink", json!({"times": 1e9}), "code 2002, {}"),
        ("reboot", json!({}), "code 1101, {}"),
    ];
    for (service, params, expected) in &cases {
        let line = ask(service, params.clone());
        assert!(line.ends_with(expected), "{params}: {line}");
    }
    let line = ask("measurepoint/get", json!(["temperature", "setpoint"]));
    assert!(line.contains(r#"code 200, {"temperature":2"#) && line.ends_with(r#","setpoint":21.5}"#), "{line}");
    end(program);
    let taken = |event: &Event| matches!(event, Event::CommandReply { code: Some(_), timed_out: false, .. });
    assert_eq!(desk.count(taken), cases.len() + 1);
}

#[test]
fn a_command_without_an_id_is_not_answered() {
    let desk = Desk::inactive(|config| config.faults = vec!["command:payload={\"id\":[1]}".parse().unwrap()]);
    let example = Example::build("05_commands");
    let mut program = example.start(&desk);
    program.expect("CONNECTED");
    desk.cloud.command(&device_id(), "thing/service/blink", json!({"times": 1})).unwrap();
    program.expect("not answered: the command has no id");
    end(program);
}

#[test]
fn several_devices_share_a_process_and_a_storage() {
    let (example, desk) = (Example::build("06_several_devices"), desk());
    let mut program = example.start(&desk);
    for _ in 0..3 {
        program.expect(" REPLY: success, code 200");
    }
    desk.cloud.kick(&DeviceId::new(PRODUCT_KEY, "dk2")).unwrap();
    program.expect("dk2 DISCONNECTED: the network");
    program.expect("dk2 CONNECTED");
    let output = end(program);
    for key in [DEVICE_KEY, "dk2", "dk3"] {
        assert_eq!(output.matches(&format!("{key} ACTIVATED: success")).count(), 1, "{output}");
        assert!(output.contains(&format!("{key} REPLY: success, code 200")), "{output}");
        assert!(output.contains(&format!("{key} DISCONNECTED: success")), "{output}");
    }
    assert_eq!(output.matches("DISCONNECTED: the network").count(), 1, "{output}");

    let mut again = example.start(&desk);
    again.expect(acknowledged("06_several_devices"));
    assert!(!end(again).contains("ACTIVATED"));
    assert_eq!(desk.modes().iter().filter(|mode| **mode == 3).count(), 3);
}

#[test]
fn they_say_why_they_do_not_start() {
    for name in C_EXAMPLES.into_iter().chain([CPP_EXAMPLE]) {
        let example = Example::build(name);
        let run = |server: &str, set: &dyn Fn(&mut Command)| {
            let mut command = example.with_arguments(example.workshop.command(&example.program), server);
            set(&mut command);
            Program::start(&mut command)
        };
        let plain = |_: &mut Command| ();
        assert!(run("http://x", &plain).exits(1).contains("tcp://"), "{name}");
        assert!(Program::start(&mut example.workshop.command(&example.program)).exits(2).contains("SERVER"), "{name}");
        let without_secret = |command: &mut Command| {
            command.env_remove("ENOS_PRODUCT_SECRET");
        };
        let (status, said) = run("tcp://127.0.0.1:1", &without_secret).end();
        assert!(matches!(status.code(), Some(1 | 2)) && said.to_lowercase().contains("secret"), "{name}: {said}");

        let mut first = run("tcp://127.0.0.1:1", &plain);
        first.expect("DISCONNECTED");
        assert!(run("tcp://127.0.0.1:1", &plain).exits(1).contains("in use"), "{name}");
        end(first);
    }
}

#[test]
fn under_valgrind_there_is_no_memory_error() {
    let desks = C_EXAMPLES.into_iter().chain([CPP_EXAMPLE]).map(|name| (Example::build(name), desk()));
    let desks: Vec<_> = desks.collect();
    // All at once: they mostly wait.
    let start = |(example, desk): &(Example, Desk)| {
        let command = example.workshop.valgrind(&example.program)?;
        Some(Program::start(&mut example.with_arguments(command, &format!("tcp://{}", desk.address()))))
    };
    let Some(programs) = desks.iter().map(start).collect::<Option<Vec<_>>>() else { return };
    for ((example, desk), mut program) in desks.iter().zip(programs) {
        if example.name == "05_commands" {
            program.expect("CONNECTED");
            desk.cloud.command(&device_id(), "thing/service/measurepoint/get", json!(["temperature"])).unwrap();
            program.expect("code 200");
        } else {
            program.expect(acknowledged(example.name));
        }
        let output = end(program);
        assert!(!output.contains("=="), "{}: {output}", example.name);
    }
}
