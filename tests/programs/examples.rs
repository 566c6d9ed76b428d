//! The first two programs in c_examples, against the simulator. The others: examples_03_to_07.rs.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

#[cfg(feature = "tls")]
use enos_sim::ca::{Authority, KeyKind, Profile};
use enos_sim::Event;
#[cfg(feature = "tls")]
use enos_sim::TlsConfig;
use serde_json::json;
use support::desk::{device_id, Desk};
use support::host::{DEVICE_KEY, PRODUCT_KEY, PRODUCT_SECRET};
use support::native::{c_compilers, root, succeed, Workshop, C_STANDARDS};
use support::program::Program;

const REPORT: [&str; 4] = ["02_activate_and_report.c", "flash_store.c", "flash_file.c", "json.c"];
const ACKNOWLEDGED: &str = "reply success, code 200";

fn example(name: &str) -> PathBuf {
    root().join("c_examples").join(name)
}

#[test]
fn they_compile_without_a_warning() {
    let workshop = Workshop::new();
    for compiler in c_compilers() {
        for standard in C_STANDARDS {
            REPORT.iter().chain(&["01_sign.c"]).for_each(|name| workshop.check(compiler, standard, &example(name)));
        }
    }
}

/// The passwords of 01_sign: by HMACSHA1, SHA1 and SHA256.
fn signed(workshop: &Workshop, arguments: &[&str], secret: &str) -> [String; 3] {
    let program = workshop.build("cc", "c11", &example("01_sign.c"));
    let output = succeed(workshop.command(program).args(arguments).env("ENOS_SECRET", secret));
    let after = |method: &str, field: &str| {
        let part = output.split_once(&format!("{method}: ")).unwrap().1;
        let line = part.lines().find_map(|line| line.trim_start().strip_prefix(field)).unwrap();
        line.trim_start().to_owned()
    };
    for (method, label) in [("HMACSHA1", "hmacsha1"), ("\nSHA1", "hmacsha1"), ("SHA256", "sha256")] {
        let (mode, client_id, time) = (if arguments[0] == "device" { 2 } else { 3 }, arguments[3], arguments[4]);
        let fields = format!("{client_id}|securemode={mode},signmethod={label},timestamp={time}|");
        assert_eq!(after(method, "client id"), fields);
        assert_eq!(after(method, "user name"), format!("{}&{}", arguments[2], arguments[1]));
    }
    ["HMACSHA1", "\nSHA1", "SHA256"].map(|method| after(method, "password"))
}

#[test]
fn signing_gives_the_known_passwords() {
    let workshop = Workshop::new();
    let document = |mode| [mode, "123", "test", "123", "1524448722000"];
    let later = ["device", "654321", "test", "123456", "1548753362502"];
    // Computed with Python's hashlib and hmac over the documents' own values.
    for (arguments, secret, passwords) in [
        (
            document("device"),
            "deviceSecretxxx",
            [
                "6B1060092E11356DD1B09C0E3680CFD4922F7DC5",
                "DCF3F4B8D77D78B6598BDCC65A0A65C8BB3C1B08",
                "C2A8D4DD2BFAE73AE0F52DF974DD6F5DBB22635C78CD8C62676F04D971D5F6F9",
            ],
        ),
        (
            document("product"),
            "productSecretxxx",
            [
                "C2BF7202F432DC208014974EE8C010C9443CE5A5",
                "D06B83252541B81A6BD18BF46DC721B601BB93A8",
                "835BF08DAEEB04346B81C33A731D8C047EB751EE9780F61626FD7BAF9D1BFD79",
            ],
        ),
        (
            later,
            "abcdefg",
            [
                "4ED8173DEEEE6E8117757E087F3EB448D8ABE78C",
                "53D00561032C47B8555B768A08FDE176A6F0D267",
                "B99032D49C706F7B27B22AB5CD2DD3C56A31E1BCBBC83BA0A2A6BB3272FBB166",
            ],
        ),
        (
            document("product"),
            "abcdefg",
            [
                "A6708680CD576ADFDC910F40E2482CCE948E5D65",
                "31119FD1CCFC01C4536113DF3BBAEA0F0CE95E85",
                "A4F9AD91051E3CA89440E0157029DD358C3A2C556D3C543B9FD5A38484785AC9",
            ],
        ),
    ] {
        assert_eq!(signed(&workshop, &arguments, secret), passwords);
    }
}

#[test]
fn signing_says_what_is_wrong() {
    let workshop = Workshop::new();
    let program = workshop.build("cc", "c11", &example("01_sign.c"));
    let refused = |arguments: &[&str], secret: &str, code| {
        Program::start(workshop.command(&program).args(arguments).env("ENOS_SECRET", secret)).exits(code)
    };
    assert!(refused(&["device", "p|k", "dk"], "s", 1).contains("product_key"));
    assert!(refused(&["device", "pk", "dk"], "", 1).contains("secret"));
    assert!(refused(&["device", "pk", "dk", "dk", "today"], "s", 2).contains("TIMESTAMP_MS"));
    assert!(refused(&["neither", "pk", "dk"], "s", 2).contains("PRODUCT_KEY DEVICE_KEY"));
}

/// A device that runs 02_activate_and_report.
struct Firmware {
    workshop: Workshop,
    program: PathBuf,
}

impl Firmware {
    fn build() -> Firmware {
        let workshop = Workshop::new();
        let program = workshop.build_all("cc", "c11", &REPORT.map(example));
        Firmware { workshop, program }
    }

    fn command(&self, server: &str, posts: &str) -> Command {
        let mut command = self.workshop.command(&self.program);
        command.args([server, PRODUCT_KEY, DEVICE_KEY, "flash", posts]).env("ENOS_PRODUCT_SECRET", PRODUCT_SECRET);
        command
    }

    fn start(&self, desk: &Desk, posts: u32) -> Program {
        Program::start(&mut self.command(&format!("tcp://{}", desk.address()), &posts.to_string()))
    }
}

fn is_command_reply(event: &Event, expected: i64) -> bool {
    matches!(event, Event::CommandReply { code: Some(code), .. } if *code == expected)
}

#[test]
fn a_device_is_activated_once_and_reports_at_each_start() {
    let (firmware, desk) = (Firmware::build(), Desk::inactive(|_| {}));
    let output = firmware.start(&desk, 2).exits(0);
    assert_eq!(output.matches("ACTIVATED").count(), 1, "{output}");
    assert_eq!(output.matches(ACKNOWLEDGED).count(), 2, "{output}");

    let output = firmware.start(&desk, 1).exits(0);
    assert!(!output.contains("ACTIVATED"), "{output}");
    assert_eq!(desk.modes(), [3, 2, 2]);
    assert_eq!(desk.count(|event| matches!(event, Event::Reply { code: 200, .. })), 3);
    desk.wait_for(|event| matches!(event, Event::Disconnect));
}

#[test]
#[cfg(feature = "tls")]
fn over_tls_it_shows_its_certificate_and_is_activated() {
    let firmware = Firmware::build();
    let file = |name: &str| firmware.workshop.path().join(name);
    let authority = Authority::root("The test's CA", KeyKind::EcP256).unwrap();
    let client_ca = Some(authority.write(firmware.workshop.path()).unwrap().certificate);
    let issue = |profile: Profile, name: &str| {
        authority.issue(&profile).unwrap().write(firmware.workshop.path(), name).unwrap()
    };
    let server = issue(Profile::server().dns("localhost"), "server");
    issue(Profile::client("device"), "device");
    let listen = "127.0.0.1:0".parse().unwrap();
    let tls = TlsConfig { listen, client_ca, require_client_certificate: true, ..TlsConfig::new(server) };
    let desk = Desk::inactive(|config| (config.plain, config.tls) = (false, Some(tls)));
    let command = || firmware.command(&format!("ssl://localhost:{}", desk.cloud.tls_address().unwrap().port()), "1");

    let mut untrusting = Program::start(&mut command());
    assert!(untrusting.expect("DISCONNECTED: TLS failed").contains("unknown authority"));
    untrusting.kill();
    let mut anonymous = Program::start(command().env("ENOS_CA", file("ca.pem")));
    assert!(anonymous.expect("DISCONNECTED: TLS failed").contains("showed no certificate"));
    anonymous.kill();
    let half = Program::start(command().env("ENOS_CERT", file("device.pem"))).exits(1);
    fs::remove_file(file("flash")).unwrap(); // and with it what counts for the limit of CONNECTs
    assert!(half.contains("configuration: cert is given, but key is not"), "{half}");

    let mut whole = command();
    whole.env("ENOS_CA", file("ca.pem")).env("ENOS_CERT", file("device.pem")).env("ENOS_KEY", file("device.key"));
    let output = Program::start(&mut whole).exits(0);
    assert!(output.contains("ACTIVATED") && output.contains(ACKNOWLEDGED), "{output}");
    let shown =
        |event: &Event| matches!(event, Event::Tls { client_certificate: Some(name), .. } if name == "CN=device");
    desk.wait_for(shown);
    assert_eq!(desk.modes(), [3, 2]);
}

#[test]
fn a_device_that_is_killed_when_it_is_activated_comes_back_with_its_secret() {
    let (firmware, desk) = (Firmware::build(), Desk::inactive(|_| {}));
    let mut first = firmware.start(&desk, 0);
    first.expect("ACTIVATED");
    first.kill();
    firmware.start(&desk, 1).exits(0);
    assert_eq!(desk.modes().iter().filter(|mode| **mode == 3).count(), 1);
}

#[test]
fn it_answers_commands_and_ends_at_a_signal() {
    let (firmware, desk) = (Firmware::build(), Desk::inactive(|_| {}));
    for signal in [libc::SIGTERM, libc::SIGINT] {
        let mut program = firmware.start(&desk, 0);
        program.expect("CONNECTED");
        desk.cloud.command(&device_id(), "thing/service/measurepoint/set", json!({"id": "no", "x": [1, "}"]})).unwrap();
        program.expect(r#"measurepoint/set: {"id":"no","x":[1,"}"]}"#);
        program.expect("answered with code 200");
        desk.cloud.command(&device_id(), "thing/service/reboot", json!({})).unwrap();
        program.expect("answered with code 1101");
        program.signal(signal);
        program.exits(0);
    }
    assert_eq!([200, 1101].map(|code| desk.count(|event| is_command_reply(event, code))), [2, 2]);
}

#[test]
fn what_is_no_command_is_not_answered() {
    for payload in ["garbage=300", r#"payload={"method":"m","params":{"id":"7"}}"#, "payload={\"id\":\"1\0\"}"] {
        let desk = Desk::inactive(|config| {
            config.faults = vec![format!("command:{payload}").parse().unwrap()];
        });
        let firmware = Firmware::build();
        let mut program = firmware.start(&desk, 0);
        program.expect("CONNECTED");
        desk.cloud.command(&device_id(), "thing/service/reboot", json!({})).unwrap();
        program.expect("not answered: the command has no id");
        program.signal(libc::SIGTERM);
        program.exits(0);
    }
}

#[test]
fn it_goes_on_after_a_loss_of_the_link() {
    let (firmware, desk) = (Firmware::build(), Desk::inactive(|_| {}));
    let mut program = firmware.start(&desk, 0);
    program.expect(ACKNOWLEDGED);
    desk.cloud.kick(&device_id()).unwrap();
    assert!(program.expect("DISCONNECTED").contains("next attempt in"));
    program.expect("CONNECTED as the device");
    program.expect(ACKNOWLEDGED);
    program.signal(libc::SIGTERM);
    program.exits(0);
}

/// A flash that fails for as long as there is a file of the name "broken"; directories do not.
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
    let mut firmware = Firmware::build();
    let breakable = firmware.workshop.write("breakable.c", BREAKABLE_FSYNC);
    let sources: Vec<_> = REPORT.map(example).into_iter().chain([breakable]).collect();
    firmware.program = firmware.workshop.build_all("cc", "c11", &sources);

    // Formats the flash: breaking comes later.
    let mut unreachable = Program::start(&mut firmware.command("tcp://127.0.0.1:1", "0"));
    unreachable.expect("DISCONNECTED");
    unreachable.signal(libc::SIGTERM);
    unreachable.exits(0);

    let broken = firmware.workshop.write("broken", "");
    let desk = Desk::inactive(|_| {});
    let mut program = firmware.start(&desk, 0);
    program.expect("NOT STORED YET");
    program.signal(libc::SIGTERM);
    program.expect("NOT STORED YET");
    fs::remove_file(broken).unwrap();
    program.expect("ACTIVATED");
    program.exits(0);

    firmware.start(&desk, 1).exits(0);
    assert_eq!(desk.modes(), [3, 2]);
}

#[test]
fn it_says_why_it_does_not_start() {
    let firmware = Firmware::build();
    assert!(Program::start(&mut firmware.command("http://x", "1")).exits(1).contains("configuration: "));
    assert!(Program::start(&mut firmware.workshop.command(&firmware.program)).exits(2).contains("STORE"));

    assert!(Program::start(&mut firmware.command("tcp://127.0.0.1:1", "many")).exits(2).contains("POSTS"));

    let mut without_secret = firmware.command("tcp://127.0.0.1:1", "1");
    assert!(Program::start(without_secret.env_remove("ENOS_PRODUCT_SECRET")).exits(1).contains("secret"));

    let mut first = Program::start(&mut firmware.command("tcp://127.0.0.1:1", "0"));
    first.expect("DISCONNECTED");
    assert!(Program::start(&mut firmware.command("tcp://127.0.0.1:1", "0")).exits(1).contains("busy"));
    first.kill();

    fs::write(firmware.workshop.path().join("flash"), "somebody's data, not to be lost").unwrap();
    assert!(Program::start(&mut firmware.command("tcp://127.0.0.1:1", "0")).exits(1).contains("flash: "));
    let flash = fs::read_to_string(firmware.workshop.path().join("flash")).unwrap();
    assert_eq!(flash, "somebody's data, not to be lost");
}
