//! c_examples/08_durable.c: what it has measured reaches the cloud, in order, whatever happens in between.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::process::Command;

use enos_sim::Event;
use support::desk::Desk;
use support::host::{DEVICE_KEY, PRODUCT_KEY, PRODUCT_SECRET};
use support::native::{c_compilers, root, Workshop, C_STANDARDS};
use support::program::Program;

const OTHERS: [&str; 3] = ["example.c", "flash_store.c", "flash_file.c"];
const KEPT: &str = "samples are in the flash";
const BURST: usize = 20;

fn example(name: &str) -> PathBuf {
    root().join("c_examples").join(name)
}

struct Durable {
    workshop: Workshop,
    program: PathBuf,
}

impl Durable {
    fn build() -> Durable {
        Durable::build_in(Workshop::new(), &example("08_durable.c"))
    }

    /// With an outbox for so many messages.
    fn with_room_for(messages: usize) -> Durable {
        let workshop = Workshop::new();
        let text = format!("#define OUTBOX_MESSAGES {messages}\n#include \"{}\"\n", example("08_durable.c").display());
        let main = workshop.write("small.c", &text);
        Durable::build_in(workshop, &main)
    }

    fn build_in(workshop: Workshop, main: &Path) -> Durable {
        let sources: Vec<_> = OTHERS.map(example).into_iter().chain([main.to_owned()]).rev().collect();
        let program = workshop.build_all("cc", "c11", &sources);
        Durable { workshop, program }
    }

    /// Goes on the air whenever it was offline for a second.
    fn start(&self, desk: &Desk) -> Program {
        self.start_offline_for("1", desk)
    }

    fn start_offline_for(&self, seconds: &str, desk: &Desk) -> Program {
        Program::start(arguments(&mut self.workshop.command(&self.program), &desk.address().to_string(), seconds))
    }
}

fn arguments<'a>(command: &'a mut Command, address: &str, offline_s: &str) -> &'a mut Command {
    command.args([&format!("tcp://{address}"), PRODUCT_KEY, DEVICE_KEY, "flash.bin", offline_s]);
    command.env("ENOS_PRODUCT_SECRET", PRODUCT_SECRET)
}

/// When the samples that the cloud got were taken, by their first arrival.
fn taken(desk: &Desk) -> Vec<i64> {
    let times = RefCell::new(Vec::new());
    desk.count(|event| {
        if let Event::Publish { topic, payload, .. } = event {
            if topic.contains("/thing/measurepoint/") {
                let time = payload.json.as_ref().unwrap()["params"]["time"].as_i64().unwrap();
                if !times.borrow().contains(&time) {
                    times.borrow_mut().push(time);
                }
            }
        }
        false
    });
    times.into_inner()
}

fn resumed(desk: &Desk) -> usize {
    desk.count(|event| matches!(event, Event::Publish { topic, .. } if topic.ends_with("/thing/measurepoint/resume")))
}

fn end(program: Program) -> String {
    program.signal(libc::SIGTERM);
    program.exits(0)
}

#[test]
fn it_compiles_without_a_warning() {
    let workshop = Workshop::new();
    for compiler in c_compilers() {
        for standard in C_STANDARDS {
            OTHERS.iter().chain(&["08_durable.c"]).for_each(|name| workshop.check(compiler, standard, &example(name)));
        }
    }
}

#[test]
fn what_it_measures_offline_arrives_in_order_also_after_kill_9() {
    let (example, desk) = (Durable::build(), Desk::inactive(|_| {}));
    let mut program = example.start(&desk);
    program.expect("ACTIVATED: success");
    program.expect("all is through");
    program.expect("DISCONNECTED: success");
    program.expect(KEPT);
    let before = program.kill();
    let kept = before.matches(KEPT).count() * BURST;

    let mut again = example.start(&desk);
    again.expect("CONNECTED: success");
    again.expect("all is through");
    let output = again.kill();
    assert!(!output.contains("ACTIVATED"), "{output}");
    let taken = taken(&desk);
    assert!(taken.len() >= kept + BURST && taken.is_sorted(), "{kept} and more: {taken:?}");
    assert!(resumed(&desk) >= kept, "{}", resumed(&desk));
    assert_eq!(desk.modes(), [3, 2, 2]);
}

#[test]
fn it_flushes_at_its_end() {
    let (example, desk) = (Durable::build(), Desk::inactive(|_| {}));
    let mut program = example.start(&desk);
    program.expect("all is through");
    program.expect(KEPT);
    let output = end(program);
    assert!(output.contains("nothing is left to send, 0 samples had no room"), "{output}");
    assert!(taken(&desk).len() > BURST * output.matches(KEPT).count() - BURST, "{output}");
}

#[test]
fn an_outbox_that_is_full_refuses_until_there_is_room() {
    let (example, desk) = (Durable::with_room_for(BURST), Desk::inactive(|_| {}));
    // Two bursts are measured before it goes on the air.
    let mut program = example.start_offline_for("3", &desk);
    program.expect(KEPT);
    program.expect("not kept: 20 durable messages");
    program.expect("ROOM: success");
    program.expect(KEPT);
    program.expect("all is through");
    program.kill();
    let taken = taken(&desk);
    assert!(taken.len() >= 2 * BURST && taken.is_sorted(), "{taken:?}");
}

#[test]
fn a_sample_that_enos_refuses_is_given_up_and_the_rest_goes_on() {
    let desk = Desk::inactive(|config| config.faults = vec!["reply=3:code=1206@2".parse().unwrap()]);
    let example = Durable::build();
    let mut program = example.start(&desk);
    let line = program.expect("given up: token ");
    assert!(line.contains("code 1206, {\"measurepoints\""), "{line}");
    program.expect("all is through, 1 set aside so far");
    let output = program.kill();
    assert_eq!(output.matches("REPLY").count(), 1, "{output}");
}

#[test]
fn it_says_why_it_does_not_start() {
    let example = Durable::build();
    assert!(Program::start(&mut example.workshop.command(&example.program)).exits(2).contains("FLASH"));
    let start = || Program::start(arguments(&mut example.workshop.command(&example.program), "127.0.0.1:1", "1"));
    let mut first = start();
    first.expect("DISCONNECTED");
    assert!(start().exits(1).contains("in use"));
    let output = end(first);
    assert!(output.contains("messages stay for the next start"), "{output}");
}

#[test]
fn under_valgrind_there_is_no_memory_error() {
    let (example, desk) = (Durable::build(), Desk::inactive(|_| {}));
    let Some(mut command) = example.workshop.valgrind(&example.program) else { return };
    let mut program = Program::start(arguments(&mut command, &desk.address().to_string(), "1"));
    program.expect("all is through");
    let output = end(program);
    assert!(!output.contains("=="), "{output}");
}
