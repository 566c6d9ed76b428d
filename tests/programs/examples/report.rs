//! 02_activate_and_report.c: a complete device with a flash, over TCP and TLS.

use std::fs;

#[cfg(feature = "tls")]
use enos_sim::ca::KeyKind;
use enos_sim::Event;
use serde_json::json;
use support::desk::{device_id, Desk};
use support::program::Program;
#[cfg(feature = "tls")]
use support::tls::Pki;

use super::{end, uri, Example, REPORT};

const ACKNOWLEDGED: &str = "reply success, code 200";

#[test]
fn a_device_is_activated_once_and_reports_at_each_start() {
    let (firmware, desk) = (Example::build(REPORT), Desk::inactive(|_| {}));
    let output = Program::start(&mut firmware.command_with(&uri(&desk), "2")).exits(0);
    assert_eq!(output.matches("ACTIVATED").count(), 1, "{output}");
    assert_eq!(output.matches(ACKNOWLEDGED).count(), 2, "{output}");

    let output = Program::start(&mut firmware.command_with(&uri(&desk), "1")).exits(0);
    assert!(!output.contains("ACTIVATED"), "{output}");
    assert_eq!(desk.modes(), [3, 2, 2]);
    assert_eq!(desk.count(|event| matches!(event, Event::Reply { code: 200, .. })), 3);
    desk.wait_for(|event| matches!(event, Event::Disconnect));
}

#[test]
#[cfg(feature = "tls")]
fn over_tls_it_shows_its_certificate_and_is_activated() {
    let (firmware, pki) = (Example::build(REPORT), Pki::new());
    let [cert, key] = pki.device("device", KeyKind::EcP256);
    let desk = Desk::inactive(|config| (config.plain, config.tls) = (false, Some(pki.demanding())));
    let command =
        || firmware.command_with(&format!("ssl://localhost:{}", desk.cloud.tls_address().unwrap().port()), "1");

    let mut untrusting = Program::start(&mut command());
    assert!(untrusting.expect("DISCONNECTED: TLS failed").contains("unknown authority"));
    untrusting.kill();
    let mut anonymous = Program::start(command().env("ENOS_CA", pki.ca()));
    assert!(anonymous.expect("DISCONNECTED: TLS failed").contains("showed no certificate"));
    anonymous.kill();
    let half = Program::start(command().env("ENOS_CERT", &cert)).exits(1);
    fs::remove_file(firmware.file("store")).unwrap(); // and with it the stored CONNECTs for the limit
    assert!(half.contains("configuration: cert is given, but key is not"), "{half}");

    let mut whole = command();
    whole.env("ENOS_CA", pki.ca()).env("ENOS_CERT", cert).env("ENOS_KEY", key);
    let output = Program::start(&mut whole).exits(0);
    assert!(output.contains("ACTIVATED") && output.contains(ACKNOWLEDGED), "{output}");
    let shown =
        |event: &Event| matches!(event, Event::Tls { client_certificate: Some(name), .. } if name == "CN=device");
    desk.wait_for(shown);
    assert_eq!(desk.modes(), [3, 2]);
}

#[test]
fn it_answers_commands_and_ends_at_a_signal() {
    let (firmware, desk) = (Example::build(REPORT), Desk::inactive(|_| {}));
    for signal in [libc::SIGTERM, libc::SIGINT] {
        let mut program = firmware.start(&desk);
        program.expect("CONNECTED");
        let call = |service: &str, params| desk.cloud.call(&device_id(), service, params).unwrap().code;
        assert_eq!(call("thing/service/measurepoint/set", json!({"id": "no", "x": [1, "}"]})), Some(200));
        program.expect(r#"measurepoint/set: {"id":"no","x":[1,"}"]}"#);
        program.expect("answered with code 200");
        assert_eq!(call("thing/service/reboot", json!({})), Some(1101));
        program.expect("no handler");
        program.signal(signal);
        program.exits(0);
    }
}

/// A flash that fails while there is a file named "broken"; directories do not fail. The text is inserted before the
/// source, and overrides the C library's fsync().
const BREAKABLE_FSYNC: &str = r#"
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

int fsync(int fd)
{
    struct stat file;

    if (fstat(fd, &file) == 0 && S_ISREG(file.st_mode) && access("broken", F_OK) == 0)
        return errno = EIO, -1;
    return fdatasync(fd);
}
"#;

#[test]
fn a_secret_that_cannot_be_stored_keeps_it_alive_until_it_is() {
    let firmware = Example::with(REPORT, BREAKABLE_FSYNC);
    // Formats the flash before it breaks.
    let mut unreachable = Program::start(&mut firmware.command("tcp://127.0.0.1:1"));
    unreachable.expect("DISCONNECTED");
    end(unreachable);

    let broken = firmware.workshop.write("broken", "");
    let desk = Desk::inactive(|_| {});
    let mut program = firmware.start(&desk);
    program.expect("NOT STORED YET");
    program.signal(libc::SIGTERM);
    program.expect("NOT STORED YET");
    fs::remove_file(broken).unwrap();
    program.expect("ACTIVATED");
    program.exits(0);

    Program::start(&mut firmware.command_with(&uri(&desk), "1")).exits(0);
    assert_eq!(desk.modes(), [3, 2]);
}

#[test]
fn it_takes_neither_nonsense_nor_somebodys_flash() {
    let firmware = Example::build(REPORT);
    assert!(Program::start(&mut firmware.command_with("tcp://127.0.0.1:1", "many")).exits(2).contains("POSTS"));
    fs::write(firmware.file("store"), "somebody's data, not to be lost").unwrap();
    assert!(Program::start(&mut firmware.command("tcp://127.0.0.1:1")).exits(1).contains("store: "));
    assert_eq!(fs::read_to_string(firmware.file("store")).unwrap(), "somebody's data, not to be lost");
}
