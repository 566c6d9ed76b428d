//! A download and its installation that are killed at any point: the image that is installed in the end is the one that was
//! offered, and EnOS is told so.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::time::Duration;

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

    /// Runs the program until EnOS knows of the success, or it kills itself at this point (0: never).
    fn run(&self, crash_at: usize, task: u64) -> (ExitStatus, String) {
        let mut command: Command = self.workshop.command(self.program);
        command.current_dir(self.file("")).args([&format!("tcp://{}", self.desk.address()), PRODUCT_KEY, &self.key]);
        command.arg(self.file("store")).env("SECRET", DEVICE_SECRET).env("CRASH_AT", crash_at.to_string());
        let log = File::create(self.file("log")).unwrap();
        let mut program = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let mut was_told = false;
        let status = loop {
            if let Some(status) = program.try_wait().unwrap() {
                break status;
            }
            if !was_told && self.desk.cloud.task(&id(&self.key), task) == Some(TaskState::Succeeded) {
                was_told = true;
                // SAFETY: a signal to a child that was not waited for.
                unsafe { libc::kill(program.id() as i32, libc::SIGTERM) };
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        (status, fs::read_to_string(self.file("log")).unwrap())
    }
}

/// Kills a device of its own at this point, and starts it again. Returns how many points it passed.
fn killed(workshop: &Workshop, program: &Path, desk: &Desk, at: usize) -> usize {
    let board = Board { workshop, program, desk, key: format!("board-{at}") };
    fs::create_dir(board.file("")).unwrap();
    desk.cloud.put_device(Device::active(id(&board.key), DEVICE_SECRET)).unwrap();
    let task = desk.cloud.offer(&id(&board.key), Offer::new(VERSION)).unwrap();
    let (first, output) = board.run(at, task);
    use std::os::unix::process::ExitStatusExt;
    assert!(first.success() || first.signal() == Some(libc::SIGKILL), "{at}: {output}");
    let mut last = output;
    // If EnOS knows of the success, nothing is left to do.
    if !first.success() && desk.cloud.task(&id(&board.key), task) != Some(TaskState::Succeeded) {
        let (second, output) = board.run(0, task);
        assert!(second.success(), "{at}: {last}\nand then {output}");
        last = output;
    }
    assert!(fs::read(board.file("system.img")).unwrap() == firmware(), "{at}: another image: {last}");
    assert!(!board.file("slot.img").exists(), "{at}: {last}");
    assert_eq!(desk.cloud.task(&id(&board.key), task), Some(TaskState::Succeeded), "{at}: {last}");
    last.lines().last().and_then(|line| line.strip_prefix("points ")).and_then(|n| n.parse().ok()).unwrap_or(0)
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
    let step = if std::env::var_os("ENOS_SOAK").is_some() { 1 } else { 3 };
    let deaths: Vec<_> = (1..=points + 2).step_by(step).collect();
    support::parallel::each(&deaths, |at| {
        killed(&workshop, &program, &desk, *at);
    });
}
