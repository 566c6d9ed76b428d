//! The programs of c_examples with the simulator. The tests of all examples are here; those of single examples are in
//! the modules.

mod durable;
mod gateway;
#[cfg(feature = "tls")]
mod inverter;
mod ota;
mod reboot;
mod report;
mod subjects;

use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::process::Command;
use std::{fs, thread};

use enos_sim::{Device, DeviceId, Event};
use serde_json::json;
use support::desk::{device_id, Desk};
use support::host::{DEVICE_KEY, PRODUCT_KEY, PRODUCT_SECRET, SUB_PRODUCT, SUB_PRODUCT_SECRET};
use support::native::{c_compilers, cpp_compilers, root, Workshop, CPP_STANDARDS, C_STANDARDS};
use support::program::Program;

const REPORT: &str = "02_activate_and_report";
const LOOP: &str = "03_poll_loop";
const THREADS: &str = "04_threads";
const COMMANDS: &str = "05_commands";
const SEVERAL: &str = "06_several_devices";
const CPLUSPLUS: &str = "07_cplusplus";
const DURABLE: &str = "08_durable";
const EVENTS: &str = "09_events_and_attributes";
const BATCH: &str = "10_batch";
const REBOOT: &str = "11_reboot";
const INVERTER: &str = "12_inverter";
const GATEWAY: &str = "13_gateway";
const CPLUSPLUS_GATEWAY: &str = "14_gateway";
const OTA: &str = "15_ota";
const DEVICES: [&str; 14] = [
    REPORT,
    LOOP,
    THREADS,
    COMMANDS,
    SEVERAL,
    CPLUSPLUS,
    DURABLE,
    EVENTS,
    BATCH,
    REBOOT,
    INVERTER,
    GATEWAY,
    CPLUSPLUS_GATEWAY,
    OTA,
];

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
        Example::with(name, "")
    }

    /// With this text before the source.
    fn with(name: &'static str, before: &str) -> Example {
        Example::compiled(name, before, &[])
    }

    /// And with additional compiler options.
    fn compiled(name: &'static str, before: &str, options: &[&str]) -> Example {
        let workshop = Workshop::new();
        let program = if [CPLUSPLUS, CPLUSPLUS_GATEWAY].contains(&name) {
            workshop.build("c++", "c++11", &source(&format!("{name}.cpp")))
        } else {
            let others: &[&str] = match name {
                "01_sign" | INVERTER => &[],
                REPORT => &["flash_store.c", "flash_file.c"],
                DURABLE => &["example.c", "flash_store.c", "flash_file.c"],
                _ => &["example.c"],
            };
            let main = format!("{before}\n#include \"{}\"\n", source(&format!("{name}.c")).display());
            let main = workshop.write("main.c", &main);
            let sources: Vec<_> = [main].into_iter().chain(others.iter().map(|name| source(name))).collect();
            workshop.build_with("cc", "c11", options, &sources)
        };
        if ![REPORT, DURABLE].contains(&name) {
            fs::DirBuilder::new().mode(0o700).create(workshop.path().join("store")).unwrap();
        }
        if name == GATEWAY {
            workshop.write(gateway::TABLE, &gateway::table(20));
        }
        Example { name, workshop, program }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.workshop.path().join(name)
    }

    /// The command line for the device dk, or for dk and others. The last argument is the number of reports for 02 (0:
    /// no end), and the number of seconds before 08 connects.
    fn arguments(&self, mut command: Command, server: &str, last: Option<&str>) -> Command {
        command.env("ENOS_PRODUCT_SECRET", PRODUCT_SECRET);
        match self.name {
            SEVERAL => command.args([server, PRODUCT_KEY, "store", DEVICE_KEY, "dk2", "dk3"]),
            _ => command.args([server, PRODUCT_KEY, DEVICE_KEY, "store"]),
        };
        let of_gateway = [(GATEWAY, gateway::TABLE), (CPLUSPLUS_GATEWAY, SUB_PRODUCT)];
        if let Some((_, argument)) = of_gateway.into_iter().find(|(name, _)| *name == self.name) {
            command.arg(argument).env("ENOS_INVERTER_SECRET", SUB_PRODUCT_SECRET);
        }
        command.args(last.or((self.name == DURABLE).then_some("1")));
        command
    }

    fn command(&self, server: &str) -> Command {
        self.arguments(self.workshop.command(&self.program), server, None)
    }

    fn command_with(&self, server: &str, last: &str) -> Command {
        self.arguments(self.workshop.command(&self.program), server, Some(last))
    }

    fn start(&self, desk: &Desk) -> Program {
        Program::start(&mut self.command(&uri(desk)))
    }

    /// The output for a report that EnOS has answered.
    fn acknowledged(&self) -> &'static str {
        match self.name {
            REPORT => "reply success, code 200",
            THREADS => "outlet: success, code 200",
            SEVERAL => "dk3 REPLY: success, code 200",
            CPLUSPLUS => "reply, code 200",
            DURABLE => "all is completed",
            BATCH => "EnOS has 5 of 5 readings",
            _ => "dk REPLY: success, code 200",
        }
    }
}

fn uri(desk: &Desk) -> String {
    format!("tcp://{}", desk.address())
}

fn end(program: Program) -> String {
    program.signal(libc::SIGTERM);
    program.exits(0)
}

/// A cloud with the devices dk, dk2 and dk3, none of which is active yet. dk is a gateway, with inverters.
fn desk() -> Desk {
    Desk::inactive(|config| {
        config.devices[0].is_gateway = true;
        config.devices.extend(gateway::inverters());
        let others = ["dk2", "dk3"].map(|key| Device::inactive(DeviceId::new(PRODUCT_KEY, key), PRODUCT_SECRET));
        config.devices.extend(others);
    })
}

/// Runs this for all of them in parallel, because they mostly wait.
fn with_each(names: &[&'static str], what: impl Fn(&'static str) + Sync) {
    thread::scope(|scope| names.iter().for_each(|name| drop(scope.spawn(|| what(name)))));
}

#[test]
fn they_compile_without_a_warning() {
    let workshop = Workshop::new();
    let files: Vec<_> = fs::read_dir(source("")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let of = |kind: &str| files.iter().filter(|path| path.extension() == Some(kind.as_ref())).collect::<Vec<_>>();
    let (c, cpp) = (of("c"), of("cpp"));
    assert_eq!((c.len(), cpp.len()), (16, 2));
    for compiler in c_compilers() {
        C_STANDARDS.iter().for_each(|standard| workshop.check_all(compiler, standard, &c));
    }
    for compiler in cpp_compilers() {
        CPP_STANDARDS.iter().for_each(|standard| workshop.check_all(compiler, standard, &cpp));
    }
}

#[test]
fn each_activates_reports_survives_a_loss_and_ends_in_order() {
    with_each(&[REPORT, LOOP, THREADS, CPLUSPLUS], |name| {
        let (example, desk) = (Example::build(name), desk());
        let (activated, connected, ended) = match name {
            REPORT => ("ACTIVATED", "CONNECTED as the device", "DISCONNECTED"),
            _ => ("ACTIVATED: success", "CONNECTED: success", "DISCONNECTED: success"),
        };
        let mut program = example.start(&desk);
        program.expect(activated);
        program.expect(connected);
        program.expect(example.acknowledged());
        desk.cloud.kick(&device_id()).unwrap();
        assert!(program.expect("DISCONNECTED: the network").contains("next attempt in") || name == CPLUSPLUS);
        program.expect(connected);
        program.expect(example.acknowledged());
        let output = end(program);
        let mut not_reported = output.lines().filter(|line| line.contains("not reported"));
        let all_while_offline = not_reported.all(|line| line.contains("the device is not online"));
        assert!(output.contains(ended) && all_while_offline, "{name}: {output}");
        assert_eq!(desk.modes(), [3, 2, 2], "{name}");
        desk.wait_for(|event| matches!(event, Event::Disconnect));
    });
}

#[test]
fn they_say_why_they_do_not_start() {
    with_each(&DEVICES, |name| {
        // The rest cannot be sent; the program does not wait for it long.
        let example = if name == DURABLE { Example::with(name, "#define FLUSH_MS 300") } else { Example::build(name) };
        let run = |server: &str, set: &dyn Fn(&mut Command)| {
            let mut command = example.command(server);
            set(&mut command);
            Program::start(&mut command)
        };
        let plain = |_: &mut Command| ();
        let (no_arguments, in_use) = match name {
            REPORT => ("STORE", "busy"),
            DURABLE => ("FLASH", "in use"),
            _ => ("SERVER", "in use"),
        };
        let said = run("http://x", &plain).exits(1);
        assert!(said.contains("tcp://") && (name != REPORT || said.contains("configuration: ")), "{name}: {said}");
        let said = Program::start(&mut example.workshop.command(&example.program)).exits(2);
        assert!(said.contains(no_arguments), "{name}: {said}");
        let without_secret = |command: &mut Command| {
            command.env_remove("ENOS_PRODUCT_SECRET");
        };
        let (status, said) = run("tcp://127.0.0.1:1", &without_secret).end();
        assert!(matches!(status.code(), Some(1 | 2)) && said.to_lowercase().contains("secret"), "{name}: {said}");

        let mut first = run("tcp://127.0.0.1:1", &plain);
        first.expect("DISCONNECTED");
        let said = run("tcp://127.0.0.1:1", &plain).exits(1);
        assert!(said.contains(in_use), "{name}: {said}");
        let output = end(first);
        assert!(name != DURABLE || output.contains("messages stay for the next start"), "{output}");
    });
}

#[test]
fn under_valgrind_there_is_no_memory_error_and_no_leak() {
    let check = |name| {
        let (example, desk) = (Example::build(name), desk());
        // Once with an activation; the simplest one again with its stored secret.
        for _ in 0..if name == LOOP { 2 } else { 1 } {
            let Some(command) = example.workshop.valgrind(&example.program) else { return };
            let mut program = Program::start(&mut example.arguments(command, &uri(&desk), None));
            match name {
                // After a reboot it would be a process without valgrind.
                COMMANDS | REBOOT => {
                    program.expect("CONNECTED");
                    let (service, code) = if name == REBOOT { ("blink", 1101) } else { ("measurepoint/get", 200) };
                    let service = format!("thing/service/{service}");
                    assert_eq!(desk.cloud.call(&device_id(), &service, json!(["setpoint"])).unwrap().code, Some(code));
                }
                GATEWAY | CPLUSPLUS_GATEWAY => gateway::reported(&desk, 2),
                OTA => drop(program.expect("CONNECTED: success")),
                INVERTER => desk.wait_for(|event| matches!(event, Event::Reply { code: 200, .. })),
                _ => drop(program.expect(example.acknowledged())),
            }
            let output = end(program);
            assert!(!output.contains("=="), "{name}: {output}");
        }
    };
    // Not all in parallel, because each has to get its answers in time.
    DEVICES.chunks(4).for_each(|some| with_each(some, check));
}

/// As in docs/debugging.md.
#[test]
fn under_thread_sanitizer_there_is_no_race() {
    let (example, desk) = (Example::compiled(THREADS, "", &["-fsanitize=thread"]), desk());
    // The sanitizer does not work with full address space randomisation.
    let mut command = example.workshop.command("setarch");
    command.arg("--addr-no-randomize").arg(&example.program);
    command.env("TSAN_OPTIONS", "ignore_noninstrumented_modules=1");
    let mut program = Program::start(&mut example.arguments(command, &uri(&desk), None));
    program.expect(example.acknowledged());
    let output = end(program);
    assert!(!output.contains("ThreadSanitizer"), "{output}");
}
