//! 11_reboot.c: the board restarts when the answer is out, and not for ever.

use std::fs;
use std::os::unix::process::ExitStatusExt;

use enos_sim::Event;
use serde_json::json;
use support::desk::{device_id, Desk};
use support::program::Program;

use super::{desk, end, uri, Example, REBOOT};

const SERVICE: &str = "thing/service/reboot";

/// The answers with this code that came in time.
fn answers(desk: &Desk, expected: i64) -> usize {
    desk.count(|event| matches!(event, Event::CommandReply { code: Some(code), .. } if *code == expected))
}

#[test]
fn it_restarts_when_its_answer_is_out() {
    let (example, desk) = (Example::build(REBOOT), desk());
    let mut program = example.start(&desk);
    program.expect("CONNECTED");
    assert_eq!(desk.cloud.call(&device_id(), SERVICE, json!({})).unwrap().code, Some(200));
    program.expect("the answer is out");
    program.expect("DISCONNECTED: success");
    program.expect("restart");
    program.expect("CONNECTED");
    end(program);
    assert_eq!(desk.modes(), [3, 2, 2]);
}

/// Nothing of the process is left at the moment in which the board would restart.
const KILLED: &str = r#"
#define _POSIX_C_SOURCE 200809L
#include <signal.h>
#define kill(pid, signal) kill(pid, SIGKILL)
"#;

#[test]
fn at_delivered_the_broker_has_the_answer() {
    let example = Example::with(REBOOT, KILLED);
    for _ in 0..20 {
        let desk = desk();
        let mut program = example.start(&desk);
        program.expect("CONNECTED");
        desk.cloud.command(&device_id(), SERVICE, json!({})).unwrap();
        let (status, output) = program.end();
        assert_eq!(status.signal(), Some(libc::SIGKILL), "{output}");
        desk.wait_for(|event| matches!(event, Event::CommandReply { code: Some(200), .. }));
        assert_eq!(desk.cloud.open_commands(&device_id()), 0);
        // The next device is a new one.
        for record in fs::read_dir(example.file("store")).unwrap() {
            fs::remove_file(record.unwrap().path()).unwrap();
        }
    }
}

/// The power fails while there is a file named "power-cut", right before the answer.
const POWER_CUT: &str = r#"
#define _POSIX_C_SOURCE 200809L
#include <enos.h>
#include <signal.h>
#include <unistd.h>

static enos_status reply(enos_command *command, int32_t code, const enos_json *data, const char *message,
                         uint64_t *token)
{
    if (access("power-cut", F_OK) == 0)
        raise(SIGKILL);
    return enos_command_reply(command, code, data, message, token);
}
#define enos_command_reply reply
"#;

/// EnOS sends the command again at the login. The program does not restart again, but answers.
#[test]
fn a_power_cut_before_the_answer_does_not_make_it_restart_for_ever() {
    let (example, desk) = (Example::with(REBOOT, POWER_CUT), desk());
    let cut = example.workshop.write("power-cut", "");
    let mut program = example.start(&desk);
    program.expect("CONNECTED");
    desk.cloud.command_cached(&device_id(), SERVICE, json!({})).unwrap();
    let (status, output) = program.end();
    assert!(!status.success() && !output.contains("answered"), "{output}");

    fs::remove_file(cut).unwrap();
    let mut program = Program::start(&mut example.command(&uri(&desk)));
    program.expect("has restarted since this command came: only answered");
    desk.wait_for(|event| matches!(event, Event::CommandReply { code: Some(200), .. }));
    let output = end(program);
    assert!(!output.contains("restart\n"), "{output}");
    assert_eq!((answers(&desk, 200), desk.cloud.open_commands(&device_id())), (1, 0));
    assert_eq!(desk.modes(), [3, 2, 2]);
}
