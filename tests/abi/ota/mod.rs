//! Updates of the firmware, with the simulator as the cloud.

mod offers;
mod restarts;
mod subdevices;
mod threads;

use std::cell::RefCell;

use enos::internals::error::Status::*;
use enos::internals::protocol::Operation;
use enos_sim::{Event, Offer, Task, TaskState};
use serde_json::{json, Value};
use support::desk::{device_id, Desk};
use support::host::FirmwareState as State;
use support::host::*;

/// A device that runs this version and is online with EnOS.
fn online(desk: &Desk, store: &Store, version: &str) -> Host {
    let mut host = start(desk, store, version);
    host.connect();
    host.until("CONNECTED");
    host
}

fn start(desk: &Desk, store: &Store, version: &str) -> Host {
    Setup::device(desk.address()).storage(store).firmware_version(version).start()
}

fn params(version: &str) -> Value {
    json!({"version": version, "fileUrl": format!("/ota/{version}"), "signMethod": "md5",
        "sign": "0cc175b9c0f1b6a831c399e269772661", "fileSize": 1024})
}

/// The cloud offers this version. Returns the task.
fn offer(desk: &Desk, version: &str) -> u64 {
    desk.cloud.offer(&device_id(), Offer::raw(params(version))).unwrap()
}

fn state(desk: &Desk, task: u64) -> TaskState {
    desk.cloud.task(&device_id(), task).unwrap()
}

#[track_caller]
fn reaches(host: &mut Host, desk: &Desk, task: u64, wanted: impl Fn(&TaskState) -> bool) {
    host.loop_until(|_| wanted(&state(desk, task)));
}

fn failed_with(wanted: i64) -> impl Fn(&TaskState) -> bool {
    move |state| matches!(state, TaskState::Failed { code, .. } if *code == wanted)
}

/// The states that the task went through.
fn states(desk: &Desk, task: u64) -> Vec<TaskState> {
    let states = RefCell::new(Vec::new());
    desk.count(|event| {
        if let Event::Upgrade(Task { task: of, state, .. }) = event {
            if *of == task {
                states.borrow_mut().push(state.clone());
            }
        }
        false
    });
    states.into_inner()
}

/// The next offer that the host is told.
#[track_caller]
fn offered(host: &mut Host) -> (Firmware, Told) {
    let told = host.until("OTA_OFFER");
    (told.firmware.clone().unwrap(), told)
}
