//! Versions of firmware and the progress of upgrades.

use serde_json::Value;

use super::{no_params, nothing, optional, Request, Verdict};
use crate::firmware::{Open, TaskState};

/// `ota/device/inform`: a device that reports the version of a task has finished it.
pub fn inform(request: &mut Request) -> Verdict {
    let version = request.params.get("version").and_then(Value::as_str).filter(|version| !version.is_empty());
    let version = version.ok_or_else(|| (1220, "\"version\" in the params is not a string".to_owned()))?;
    for task in request.thing.informed(version) {
        request.session.tell(request.device, task.into());
    }
    nothing()
}

/// `ota/device/progress`: `step` is a percentage, or a negative number for a failure; as a string or as a number.
pub fn progress(request: &mut Request) -> Verdict {
    let step = request.params.get("step");
    let step = step.and_then(|step| step.as_i64().or_else(|| step.as_str()?.parse().ok()));
    let step = step.filter(|step| *step <= 100);
    let step = step.ok_or_else(|| (1220, "\"step\" in the params is not a number up to 100".to_owned()))?;
    optional(request.params, &["desc"], "a string", Value::is_string)?;
    let desc = request.params.get("desc").and_then(Value::as_str).unwrap_or_default().to_owned();
    match request.thing.open_task() {
        Open::None => {
            Err((764, "there is no such task: the device was offered nothing, or all of it is over".to_owned()))
        }
        Open::Waiting => Err((765, "the task has not started: the device has not received the offer yet".to_owned())),
        Open::Started(task) => {
            task.state = match step {
                percent @ 0.. => TaskState::InProgress { percent, desc },
                code => TaskState::Failed { code, desc },
            };
            let event = task.clone().into();
            request.session.tell(request.device, event);
            nothing()
        }
    }
}

/// `ota/device/getversion`: only a device that has reported its version gets the firmware that waits for it.
pub fn getversion(request: &mut Request) -> Verdict {
    no_params(request)?;
    let mut offers = Vec::new();
    for task in request.thing.asked() {
        let local = request.session.local;
        offers.extend(task.offer.as_ref().map(|offer| request.session.depot.params(offer, task.task, local)));
        request.session.tell(request.device, task.into());
    }
    Ok(offers.into())
}

#[cfg(test)]
mod tests {
    use super::super::tests::Desk;
    use super::*;
    use crate::firmware::{Offer, Task};
    use serde_json::json;

    fn task(state: TaskState) -> Task {
        Task { task: 1, version: "2".into(), on_request: false, state, offer: None }
    }

    #[test]
    fn an_upgrade_is_sent_answered_and_then_progresses() {
        let progress = |tasks: &[TaskState], params| {
            let mut device = Desk::default();
            device.thing.tasks = tasks.iter().cloned().map(task).collect();
            (device.code("ota/device/progress", params), device.thing.tasks.pop().map(|task| task.state))
        };
        let code = |tasks: &[TaskState], params| progress(tasks, params).0;
        assert_eq!(code(&[], json!({"step": "10"})), 764);
        assert_eq!(code(&[TaskState::Succeeded], json!({"step": "10"})), 764);
        assert_eq!(code(&[TaskState::Pushed], json!({"step": "10"})), 765);
        assert_eq!(code(&[TaskState::Created], json!({"step": "10"})), 765);
        for step in [json!("10"), json!(10)] {
            let state = TaskState::InProgress { percent: 10, desc: "x".into() };
            assert_eq!(progress(&[TaskState::Received], json!({"step": step, "desc": "x"})), (200, Some(state)));
        }
        let failed = TaskState::Failed { code: -3, desc: String::new() };
        assert_eq!(progress(&[TaskState::Received], json!({"step": "-3"})), (200, Some(failed.clone())));
        assert_eq!(code(&[failed], json!({"step": "-3"})), 764, "it is over");
        for wrong in [json!({}), json!({"step": "101"}), json!({"step": "half"}), json!({"step": 1, "desc": 1})] {
            assert_eq!(code(&[TaskState::Received], wrong), 1220);
        }
        let informed = [json!({"version": "2"}), json!({}), json!({"version": 2}), json!({"version": ""})];
        assert_eq!(
            informed.map(|params| super::super::tests::code("ota/device/inform", params)),
            [200, 1220, 1220, 1220]
        );
    }

    #[test]
    fn the_reported_version_ends_the_upgrade() {
        let mut device = Desk::default();
        let offer = Offer::raw(json!({"version": "2", "fileUrl": "file"})).on_request();
        device.thing.tasks = vec![Task { on_request: true, offer: Some(offer), ..task(TaskState::Created) }];
        let query = |device: &mut Desk| device.ask_with("ota/device/getversion", json!({"params": {}}));
        assert_eq!(query(&mut device), (200, json!([])), "its version is not known");
        assert_eq!(device.code("ota/device/inform", json!({"version": "1"})), 200);
        for _ in 0..2 {
            assert_eq!(query(&mut device).1[0]["version"], "2");
            assert_eq!(device.thing.tasks[0].state, TaskState::Received);
        }
        assert_eq!(device.code("ota/device/progress", json!({"step": "100"})), 200);
        assert_eq!(query(&mut device).1[0]["version"], "2", "also after a restart in the middle");
        assert_eq!(device.code("ota/device/inform", json!({"version": "2"})), 200);
        assert_eq!(query(&mut device), (200, json!([])));
        assert_eq!(device.thing.tasks[0].state, TaskState::Succeeded);
        assert_eq!(device.code("ota/device/progress", json!({"step": "100"})), 764);
    }
}
