//! A download and its installation that are killed at any point: the image that is installed in the end is the one that was
//! offered, and EnOS is told so.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use enos_sim::{Device, Firmware, HttpConfig, Offer, TaskState};
use support::desk::Desk;
use support::host::{image, DEVICE_SECRET, PRODUCT_KEY};
use support::native::{test_source, Workshop};

use super::device::id;

/// How many blocks of 64 KiB.
const BLOCKS: usize = 8;
const VERSION: &str = "2.0";

/// Its first line is its version.
fn firmware() -> Vec<u8> {
    let mut bytes = format!("{VERSION}\n").into_bytes();
    bytes.extend(image(BLOCKS * 65536 + 100));
    bytes
}

struct Board<'a> {
    workshop: &'a Workshop,
    program: &'a Path,
    desk: &'a Desk,
    key: String,
}

impl Board<'_> {
    fn file(&self, name: &str) -> std::path::PathBuf {
        self.workshop.path().join(&self.key).join(name)
    }

    /// Runs the program until it ends, or kills itself at this point (0: never).
    fn run(&self, crash_at: usize) -> (ExitStatus, String) {
        let mut command: Command = self.workshop.command(self.program);
        command.current_dir(self.file("")).args([&format!("tcp://{}", self.desk.address()), PRODUCT_KEY, &self.key]);
        command.arg(self.file("store")).env("SECRET", DEVICE_SECRET).env("VERSION", VERSION);
        command.env("CRASH_AT", crash_at.to_string()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = command.output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status, String::from_utf8_lossy(&text).into_owned())
    }
}

/// Kills a device of its own at this point, and starts it again. Returns how many points it passed.
fn killed(workshop: &Workshop, program: &Path, desk: &Desk, at: usize) -> usize {
    let board = Board { workshop, program, desk, key: format!("board-{at}") };
    fs::create_dir(board.file("")).unwrap();
    desk.cloud.put_device(Device::active(id(&board.key), DEVICE_SECRET)).unwrap();
    let task = desk.cloud.offer(&id(&board.key), Offer::new(VERSION)).unwrap();
    let (first, output) = board.run(at);
    use std::os::unix::process::ExitStatusExt;
    assert!(first.success() || first.signal() == Some(libc::SIGKILL), "{at}: {output}");
    let mut last = output;
    if !first.success() {
        let (second, output) = board.run(0);
        assert!(second.success(), "{at}: {last}\nand then {output}");
        last = output;
    }
    assert!(fs::read(board.file("system.img")).unwrap() == firmware(), "{at}: another image: {last}");
    assert!(!board.file("slot.img").exists(), "{at}: {last}");
    assert_eq!(desk.cloud.task(&id(&board.key), task), Some(TaskState::Succeeded), "{at}: {last}");
    let points = last.lines().last().and_then(|line| line.strip_prefix("points ")).and_then(|n| n.parse().ok());
    points.unwrap_or_else(|| panic!("{last}"))
}

#[test]
fn killed_anywhere_the_image_is_installed_that_was_offered() {
    let workshop = Workshop::new();
    let program = workshop.build("cc", "c99", &test_source("crash_ota.c"));
    let desk = Desk::active(|config| config.http = Some(HttpConfig::any_port()));
    desk.cloud.add_firmware(Firmware::from_bytes(VERSION, firmware()).unwrap());
    let points = killed(&workshop, &program, &desk, 0);
    println!("{points} points");
    assert!(points > 40, "{points} points are too few for {BLOCKS} blocks");
    // The order of two threads differs from run to run.
    let step = if std::env::var_os("ENOS_SOAK").is_some() { 1 } else { 2 };
    let deaths: Vec<_> = (1..=points + 2).step_by(step).collect();
    support::parallel::each(&deaths, |at| drop(killed(&workshop, &program, &desk, *at)));
}
