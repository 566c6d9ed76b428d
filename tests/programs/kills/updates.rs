//! A device that is killed anywhere in an update: each phase survives, and the cloud is told one result.

use std::path::PathBuf;

use enos::internals::protocol::update::Phase;
use enos::internals::protocol::{Identity, Update};
use enos::internals::storage::directory::directory;
use enos::internals::storage::record::Role;
use enos::internals::storage::records::Records;
use enos::internals::storage::update::decode;
use enos::internals::storage::vtable::HostStorage;
use enos_sim::{Device, Event, Offer, Task, TaskState};
use serde_json::json;
use support::desk::Desk;
use support::host::{DEVICE_SECRET, PRODUCT_KEY};
use support::native::{test_source, Workshop};

use super::device::id;
use super::device::Run;

struct Board {
    workshop: Workshop,
    program: PathBuf,
}

/// One device, its cloud, and its task.
struct Rig<'a> {
    board: &'a Board,
    desk: Desk,
    directory: PathBuf,
    task: u64,
}

impl Board {
    fn build() -> Board {
        let workshop = Workshop::new();
        let program = workshop.build("cc", "c99", &test_source("crash_update.c"));
        Board { workshop, program }
    }

    fn rig(&self, key: &str) -> Rig<'_> {
        let desk = Desk::active(|config| config.devices = vec![Device::active(id("dk"), DEVICE_SECRET)]);
        let params = json!({"version": "2", "fileUrl": "/2", "signMethod": "md5", "sign": "00", "fileSize": 7});
        let task = desk.cloud.offer(&id("dk"), Offer::raw(params)).unwrap();
        let directory = self.workshop.path().join(format!("store-{key}"));
        Rig { board: self, desk, directory, task }
    }
}

impl Rig<'_> {
    fn run(&self, version: &str, takes: bool, crash_at: usize) -> Run {
        let mut command = self.board.workshop.command(&self.board.program);
        command.arg(format!("tcp://{}", self.desk.address())).arg(&self.directory);
        command.args([PRODUCT_KEY, "dk", DEVICE_SECRET, version]).env("CRASH_AT", crash_at.to_string());
        if takes {
            command.env("TAKE", "1");
        }
        let output = command.output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        Run { status: output.status, output: String::from_utf8_lossy(&text).into_owned(), packets: 0 }
    }

    fn record(&self) -> Update {
        // SAFETY: the directory's callbacks keep to the contract.
        let storage = unsafe { HostStorage::new(&directory(&self.directory).unwrap()) }.unwrap();
        let digest = Identity::new(PRODUCT_KEY, "dk", None).unwrap().digest_hex();
        let data = Records::new(storage, PRODUCT_KEY, "dk", &digest).load(Role::Ota).unwrap();
        data.map(|data| decode(&data).unwrap()).unwrap_or_default()
    }

    fn is_installed(&self) -> bool {
        matches!(self.record().taken, Some((Phase::Installed, _)))
    }

    fn state(&self) -> TaskState {
        self.desk.cloud.task(&id("dk"), self.task).unwrap()
    }

    /// How often the task got this result.
    fn count(&self, is: impl Fn(&TaskState) -> bool) -> usize {
        self.desk.count(|event| matches!(event, Event::Upgrade(Task { state, .. }) if is(state)))
    }

    /// It has an installed firmware, whatever became of the first try.
    fn install(&self, crash_at: usize) {
        let first = self.run("1", true, crash_at);
        assert!(first.killed() || first.status.success(), "{}", first.output);
        if self.is_installed() {
            return;
        }
        assert!(!first.output.contains("\ninstalled"), "it was stored before the call returned: {}", first.output);
        let second = self.run("1", true, 0);
        assert!(second.status.success() && self.is_installed(), "{}", second.output);
    }
}

fn failed(state: &TaskState) -> bool {
    matches!(state, TaskState::Failed { code: -4, .. })
}

#[test]
fn killed_anywhere_an_offer_is_taken_and_its_success_is_told() {
    let board = Board::build();
    let whole = board.rig("whole").run("1", true, 0);
    assert!(whole.status.success(), "{}", whole.output);
    println!("{} points", whole.points());
    assert!(whole.points() > 20);
    let points: Vec<usize> = (0..=whole.points()).collect();
    support::parallel::each(&points, |at| {
        let rig = board.rig(&at.to_string());
        rig.install(*at);
        let last = rig.run("2", false, 0);
        assert!(last.status.success(), "{}", last.output);
        assert_eq!((rig.state(), rig.record()), (TaskState::Succeeded, Update::default()), "{at}: {}", last.output);
        assert_eq!(rig.count(failed), 0, "{at}");
    });
}

#[test]
fn killed_anywhere_a_failed_installation_is_told_once() {
    let board = Board::build();
    let rig = board.rig("whole");
    rig.install(0);
    let whole = rig.run("1", false, 0);
    assert!(whole.status.success() && failed(&rig.state()), "{}", whole.output);
    println!("{} points", whole.points());
    assert!(whole.points() > 20);
    let points: Vec<usize> = (1..=whole.points()).collect();
    support::parallel::each(&points, |at| {
        let rig = board.rig(&format!("back-{at}"));
        rig.install(0);
        let first = rig.run("1", false, *at);
        assert!(first.killed() || first.status.success(), "{}", first.output);
        let next = rig.run("1", false, 0);
        assert!(next.status.success(), "{}", next.output);
        assert!(failed(&rig.state()), "{at}: {:?}", rig.state());
        assert_eq!(rig.count(failed), 1, "{at}");
        let record = rig.record();
        assert!(record.taken.is_none() && record.failed.is_some_and(|failed| failed.version == "2"), "{at}");
    });
}
