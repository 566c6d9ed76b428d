//! The tasks of a device: what has become of each offer.

use serde::Serialize;

use super::Offer;

/// The limit of tasks that are remembered for a device.
const REMEMBERED: usize = 64;

/// An offer to a device, and what has become of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Task {
    /// Counted over all devices, from 1.
    pub task: u64,
    pub version: String,
    /// The device has to ask for it.
    pub on_request: bool,
    #[serde(flatten)]
    pub state: TaskState,
    /// None: a command with params of its own was sent.
    #[serde(skip)]
    pub(crate) offer: Option<Offer>,
}

/// The state of a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum TaskState {
    /// It waits until the device is online and has reported its version; or, on request, until the device asks.
    Created,
    /// `ota/device/upgrade` was sent.
    Pushed,
    /// The device has answered it with 200, or has asked for the firmware.
    Received,
    /// The device has reported its progress.
    InProgress { percent: i64, desc: String },
    /// The device has reported a failure: a negative code.
    Failed { code: i64, desc: String },
    /// The device has reported the version of the task.
    Succeeded,
    /// By the operator.
    Cancelled,
}

impl TaskState {
    pub fn is_over(&self) -> bool {
        matches!(self, TaskState::Failed { .. } | TaskState::Succeeded | TaskState::Cancelled)
    }

    fn has_started(&self) -> bool {
        matches!(self, TaskState::Received | TaskState::InProgress { .. })
    }
}

/// The task to which a report of progress belongs.
#[derive(Debug, PartialEq)]
pub enum Open<'a> {
    /// All tasks are over, or there was none.
    None,
    /// There are tasks, but none that the device has received.
    Waiting,
    Started(&'a mut Task),
}

/// Adds a task, and forgets the oldest if there are too many.
pub fn add(tasks: &mut Vec<Task>, task: Task) {
    if tasks.len() >= REMEMBERED {
        let oldest = tasks.iter().position(|task| task.state.is_over()).unwrap_or_default();
        tasks.remove(oldest);
    }
    tasks.push(task);
}

/// A report of progress does not name its task: it belongs to the latest that has started.
pub fn open(tasks: &mut [Task]) -> Open<'_> {
    if tasks.iter().all(|task| task.state.is_over()) {
        return Open::None;
    }
    match tasks.iter_mut().rev().find(|task| task.state.has_started()) {
        Some(task) => Open::Started(task),
        None => Open::Waiting,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(number: u64, state: TaskState) -> Task {
        Task { task: number, version: "2".into(), on_request: false, state, offer: None }
    }

    #[test]
    fn progress_belongs_to_the_latest_that_has_started() {
        assert_eq!(open(&mut []), Open::None);
        assert_eq!(open(&mut [task(1, TaskState::Succeeded), task(2, TaskState::Cancelled)]), Open::None);
        assert_eq!(open(&mut [task(1, TaskState::Succeeded), task(2, TaskState::Pushed)]), Open::Waiting);
        let mut tasks = [task(1, TaskState::Received), task(2, TaskState::Received), task(3, TaskState::Created)];
        assert!(matches!(open(&mut tasks), Open::Started(task) if task.task == 2));
    }

    #[test]
    fn the_oldest_that_is_over_is_forgotten_first() {
        let mut tasks = vec![task(0, TaskState::Created)];
        (1..=2 * REMEMBERED as u64).for_each(|n| add(&mut tasks, task(n, TaskState::Succeeded)));
        assert_eq!((tasks.len(), tasks[0].task, tasks[1].task), (REMEMBERED, 0, REMEMBERED as u64 + 2));
    }
}
