//! 08_durable.c: the measured values reach the cloud in order, whatever happens in between.

use std::cell::RefCell;

use enos_sim::Event;
use support::desk::Desk;
use support::program::Program;

use super::{end, uri, Example, DURABLE};

const KEPT: &str = "samples are in the flash";
const BURST: usize = 20;

/// The times of the samples that the cloud got, by their first arrival.
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

#[test]
fn what_it_measures_offline_arrives_in_order_also_after_kill_9() {
    let (example, desk) = (Example::build(DURABLE), Desk::inactive(|_| {}));
    // Offline long enough to be killed before it connects again, for which the budget of CONNECTs may not be enough.
    let mut program = Program::start(&mut example.command_with(&uri(&desk), "5"));
    program.expect("ACTIVATED: success");
    program.expect("all is completed");
    program.expect("DISCONNECTED: success");
    program.expect(KEPT);
    let before = program.kill();
    let kept = before.matches(KEPT).count() * BURST;

    let mut again = example.start(&desk);
    again.expect("CONNECTED: success");
    again.expect("all is completed");
    let output = again.kill();
    assert!(!output.contains("ACTIVATED"), "{output}");
    let taken = taken(&desk);
    assert!(taken.len() >= kept + BURST && taken.is_sorted(), "{kept} and more: {taken:?}");
    assert!(resumed(&desk) >= kept, "{}", resumed(&desk));
    assert_eq!(desk.modes(), [3, 2, 2]);
}

#[test]
fn it_flushes_at_its_end() {
    // It does not connect before that. A second connection might have to wait for the budget of CONNECTs.
    let (example, desk) = (Example::with(DURABLE, "#define FLUSH_MS 60000"), Desk::inactive(|_| {}));
    let mut program = Program::start(&mut example.command_with(&uri(&desk), "3600"));
    program.expect(KEPT);
    let output = end(program);
    assert!(output.contains("nothing is left to send, 0 samples had no room"), "{output}");
    assert!(taken(&desk).len() > BURST * output.matches(KEPT).count() - BURST, "{output}");
}

#[test]
fn an_outbox_that_is_full_refuses_until_there_is_room() {
    let example = Example::with(DURABLE, &format!("#define OUTBOX_MESSAGES {BURST}"));
    let desk = Desk::inactive(|_| {});
    // Two bursts are measured before it connects.
    let mut command = example.command_with(&uri(&desk), "3");
    let mut program = Program::start(&mut command);
    program.expect(KEPT);
    program.expect("not kept: the outbox is full: it holds 20 messages");
    program.expect("ROOM: success");
    program.expect(KEPT);
    program.expect("all is completed");
    program.kill();
    let taken = taken(&desk);
    assert!(taken.len() >= 2 * BURST && taken.is_sorted(), "{taken:?}");
}

#[test]
fn a_sample_that_enos_refuses_is_given_up_and_the_rest_goes_on() {
    let desk = Desk::inactive(|config| config.faults = vec!["reply=3:code=1206@2".parse().unwrap()]);
    let example = Example::build(DURABLE);
    let mut program = example.start(&desk);
    let line = program.expect("given up: token ");
    assert!(line.contains("code 1206, {\"measurepoints\""), "{line}");
    program.expect("all is completed, 1 dead letters so far");
    let output = program.kill();
    assert_eq!(output.matches("REPLY").count(), 1, "{output}");
}
