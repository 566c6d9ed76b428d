//! What the cloud knows of a device, apart from its login.

use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

use crate::firmware::{self, Offer, Open, Task, TaskState};

/// The state of a device as the cloud has it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Thing {
    /// By identifier.
    pub attributes: Map<String, Value>,
    /// By key.
    pub tags: BTreeMap<String, String>,
    /// The version of its firmware, as the device has reported it.
    pub version: Option<String>,
    /// The firmware that it was offered, the latest last.
    pub tasks: Vec<Task>,
}

impl Thing {
    /// The tasks that wait to be sent to the device, which has to have reported its version.
    pub(crate) fn to_push(&self) -> Vec<(u64, Offer)> {
        let waits = |task: &&Task| task.state == TaskState::Created && !task.on_request;
        let tasks = self.tasks.iter().filter(waits).filter(|_| self.version.is_some());
        tasks.filter_map(|task| Some((task.task, task.offer.clone()?))).collect()
    }

    /// The device has logged in: what it has not answered is sent again.
    pub(crate) fn push_again(&mut self) {
        for task in self.tasks.iter_mut().filter(|task| task.offer.is_some() && task.state == TaskState::Pushed) {
            task.state = TaskState::Created;
        }
    }

    /// The tasks for which the device has asked, which have started by that.
    pub(crate) fn asked(&mut self) -> Vec<Task> {
        if self.version.is_none() {
            return Vec::new();
        }
        let asked = self.tasks.iter_mut().filter(|task| task.on_request && !task.state.is_over());
        asked
            .map(|task| {
                if task.state == TaskState::Created {
                    task.state = TaskState::Received;
                }
                task.clone()
            })
            .collect()
    }

    pub(crate) fn add_task(&mut self, task: Task) {
        firmware::add_task(&mut self.tasks, task);
    }

    pub(crate) fn open_task(&mut self) -> Open<'_> {
        firmware::open_task(&mut self.tasks)
    }

    /// Changes the state of a task that is not over; returns the task as it is now.
    pub(crate) fn change_task(&mut self, number: u64, state: TaskState) -> Option<Task> {
        let task = self.tasks.iter_mut().find(|task| task.task == number && !task.state.is_over())?;
        task.state = state;
        Some(task.clone())
    }

    /// The device has reported its version; returns the tasks that have succeeded by that.
    pub(crate) fn informed(&mut self, version: &str) -> Vec<Task> {
        self.version = Some(version.to_owned());
        let done = self.tasks.iter_mut().filter(|task| !task.state.is_over() && task.version == version);
        done.map(|task| {
            task.state = TaskState::Succeeded;
            task.clone()
        })
        .collect()
    }
}
