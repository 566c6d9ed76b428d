//! The commands of each device: those that wait for an answer, those that wait for the device, and the answers that came
//! for none of them. It reads no clock.

use serde_json::Value;
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::mpsc::Sender,
    time::{Duration, Instant},
};

use crate::{event::Stray, thing, DeviceId};

/// The limit of commands that EnOS keeps for a device that is offline.
pub const CACHED: usize = 50;
/// The limit of a device's commands that wait for an answer. It is far above what a device gets in a storm.
const WAITING: usize = 20_000;
/// How many commands that have ended are remembered for each device, to recognise answers that come late or twice.
const REMEMBERED: usize = 1000;

/// The device's answer to a command.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The command's id, as in [`Event::Command`](crate::Event::Command).
    pub id: String,
    /// The topic of the answer.
    pub topic: String,
    /// None: there was none, as in an answer to raw data.
    pub code: Option<i64>,
    /// The payload, as it came.
    pub payload: Vec<u8>,
    /// The time since the command was sent.
    pub elapsed: Duration,
}

impl Answer {
    /// The payload as JSON; null if it is not JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.payload).unwrap_or_default()
    }
}

/// A command that is to be sent.
#[derive(Clone, Debug)]
pub struct Order {
    pub id: String,
    /// The topic after the device's prefix.
    pub suffix: String,
    pub params: Value,
    /// EnOS keeps it until it is answered.
    pub cached: bool,
    /// Gets the answer. It is dropped if none comes.
    pub to: Option<Sender<Answer>>,
    /// The session ends with the answer, or at the command's deadline, for this reason.
    pub ends_session: Option<&'static str>,
    /// The task whose offer it is.
    pub task: Option<u64>,
}

impl Order {
    pub fn new(id: u64, suffix: &str, params: Value) -> Order {
        let (id, suffix) = (id.to_string(), suffix.to_owned());
        Order { id, suffix, params, cached: false, to: None, ends_session: None, task: None }
    }
}

/// A command that waits for its answer.
#[derive(Clone, Debug)]
pub struct Waiting {
    pub order: Order,
    pub topic: String,
    pub sent: Instant,
    /// The id that was sent, as a text; None if there was none.
    pub wire_id: Option<String>,
    /// 0 with QoS 0.
    pub packet_id: u16,
    deadline: Instant,
}

/// What has become of a command that ended.
#[derive(Debug)]
struct Ended {
    topic: String,
    wire_id: Option<String>,
    was_answered: bool,
}

#[derive(Debug, Default)]
struct Queue {
    /// In the order in which they were sent.
    waiting: BTreeMap<u64, Waiting>,
    cached: VecDeque<Order>,
    ended: VecDeque<Ended>,
}

impl Queue {
    fn ended(&mut self, waiting: &Waiting, was_answered: bool) {
        if self.ended.len() >= REMEMBERED {
            self.ended.pop_front();
        }
        let topic = thing::answer_topic(&waiting.topic);
        self.ended.push_back(Ended { topic, wire_id: waiting.wire_id.clone(), was_answered });
        if waiting.order.cached {
            self.cached.retain(|order| order.id != waiting.order.id);
        }
    }
}

/// The commands of all devices.
#[derive(Debug, Default)]
pub struct Commands {
    devices: HashMap<DeviceId, Queue>,
    number: u64,
    /// No deadline is before this.
    soonest: Option<Instant>,
}

/// A command that waits from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// No other deadline comes before its own.
    pub is_soonest: bool,
}

impl Commands {
    /// A command is about to be sent; None if too many wait.
    pub fn send(
        &mut self,
        device: &DeviceId,
        order: Order,
        topic: String,
        now: Instant,
        deadline: Instant,
    ) -> Option<Sent> {
        let queue = self.devices.entry(device.clone()).or_default();
        if queue.waiting.len() >= WAITING {
            return None;
        }
        self.number += 1;
        let wire_id = Some(order.id.clone());
        queue.waiting.insert(self.number, Waiting { order, topic, sent: now, wire_id, packet_id: 0, deadline });
        let is_soonest = self.soonest.is_none_or(|soonest| deadline < soonest);
        if is_soonest {
            self.soonest = Some(deadline);
        }
        Some(Sent { is_soonest })
    }

    /// What was sent in the end: a fault may have changed the id.
    pub fn sent(&mut self, device: &DeviceId, id: &str, wire_id: Option<String>, packet_id: u16) {
        let queue = self.devices.get_mut(device);
        let waiting = queue.and_then(|queue| queue.waiting.values_mut().rev().find(|waiting| waiting.order.id == id));
        if let Some(waiting) = waiting {
            (waiting.wire_id, waiting.packet_id) = (wire_id, packet_id);
        }
    }

    /// The command that an answer on `topic` is for: the oldest with this id.
    pub fn answered(&mut self, device: &DeviceId, topic: &str, wire_id: Option<&str>) -> Result<Waiting, Stray> {
        let Some(queue) = self.devices.get_mut(device) else { return Err(Stray::Unknown) };
        let is_raw = topic.ends_with(thing::DOWN_RAW_REPLY);
        let answers = |waiting: &Waiting| {
            let id_fits = is_raw || waiting.wire_id.as_deref() == wire_id;
            id_fits && thing::answer_topic(&waiting.topic) == topic
        };
        let found = queue.waiting.iter().find(|(_, waiting)| answers(waiting)).map(|(number, _)| *number);
        if let Some(waiting) = found.and_then(|number| queue.waiting.remove(&number)) {
            queue.ended(&waiting, true);
            return Ok(waiting);
        }
        let known = |ended: &&Ended| ended.topic == topic && (is_raw || ended.wire_id.as_deref() == wire_id);
        Err(match queue.ended.iter().rev().find(known) {
            Some(Ended { was_answered: true, .. }) => Stray::Twice,
            Some(_) => Stray::Late,
            None => Stray::Unknown,
        })
    }

    /// Removes the commands whose deadline is over.
    pub fn expire(&mut self, now: Instant) -> Vec<(DeviceId, Waiting)> {
        let mut expired = Vec::new();
        for (device, queue) in &mut self.devices {
            let late = queue.waiting.iter().filter(|(_, waiting)| now >= waiting.deadline);
            let late: Vec<_> = late.map(|(number, _)| *number).collect();
            for waiting in late.iter().filter_map(|number| queue.waiting.remove(number)).collect::<Vec<_>>() {
                queue.ended(&waiting, false);
                expired.push((device.clone(), waiting));
            }
        }
        self.soonest =
            self.devices.values().flat_map(|queue| queue.waiting.values()).map(|waiting| waiting.deadline).min();
        expired
    }

    /// When to call [`Commands::expire`] next.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.soonest
    }

    /// Keeps a command for a device; returns how many there are now, or None if there is no room.
    pub fn cache(&mut self, device: &DeviceId, order: Order) -> Option<usize> {
        let queue = self.devices.entry(device.clone()).or_default();
        if queue.cached.len() >= CACHED {
            return None;
        }
        queue.cached.push_back(order);
        Some(queue.cached.len())
    }

    /// The cached command that is to be sent now; none while another one waits for its answer.
    pub fn next_cached(&self, device: &DeviceId) -> Option<Order> {
        let queue = self.devices.get(device)?;
        match queue.waiting.values().any(|waiting| waiting.order.cached) {
            true => None,
            false => queue.cached.front().cloned(),
        }
    }

    /// The link of a device was lost: a cached command without an answer comes again after the next login.
    pub fn went_offline(&mut self, device: &DeviceId) {
        if let Some(queue) = self.devices.get_mut(device) {
            queue.waiting.retain(|_, waiting| !waiting.order.cached);
        }
    }

    /// The device is deleted: nothing is kept for it.
    pub fn forget_cached(&mut self, device: &DeviceId) {
        if let Some(queue) = self.devices.get_mut(device) {
            queue.cached.clear();
        }
    }

    /// Commands that wait for an answer or for the device.
    pub fn open(&self, device: &DeviceId) -> usize {
        let queue = self.devices.get(device);
        let instant = |queue: &Queue| queue.waiting.values().filter(|waiting| !waiting.order.cached).count();
        queue.map_or(0, |queue| instant(queue) + queue.cached.len())
    }
}

/// An id in an envelope as a text: 7 and "7" are the same, because SDKs answer one with the other.
pub fn wire_id(body: &Value) -> Option<String> {
    match body.get("id")? {
        Value::String(id) => Some(id.clone()),
        id => Some(id.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const TOPIC: &str = "/sys/pk/dk/thing/service/x";

    struct Desk {
        commands: Commands,
        device: DeviceId,
        start: Instant,
    }

    impl Desk {
        fn new() -> Desk {
            Desk { commands: Commands::default(), device: DeviceId::new("pk", "dk"), start: Instant::now() }
        }

        fn send(&mut self, order: Order) -> Option<Sent> {
            let deadline = self.start + Duration::from_secs(30);
            self.commands.send(&self.device, order, TOPIC.to_owned(), self.start, deadline)
        }

        fn answer(&mut self, id: Option<&str>) -> Result<String, Stray> {
            let answered = self.commands.answered(&self.device, &format!("{TOPIC}_reply"), id);
            answered.map(|waiting| waiting.order.id)
        }
    }

    fn order(id: u64) -> Order {
        Order::new(id, "thing/service/x", json!({}))
    }

    #[test]
    fn an_answer_finds_its_command_once() {
        let mut desk = Desk::new();
        for id in [1, 2, 3] {
            desk.send(order(id));
        }
        desk.commands.sent(&desk.device, "3", None, 0);
        assert_eq!(desk.answer(Some("2")), Ok("2".into()));
        assert_eq!(desk.answer(Some("2")), Err(Stray::Twice));
        assert_eq!(desk.answer(Some("9")), Err(Stray::Unknown));
        assert_eq!(desk.answer(None), Ok("3".into()), "it was sent without an id");
        assert_eq!(desk.commands.next_deadline(), Some(desk.start + Duration::from_secs(30)));
        assert_eq!(desk.commands.expire(desk.start + Duration::from_secs(29)).len(), 0);
        assert_eq!(desk.commands.expire(desk.start + Duration::from_secs(30)).len(), 1);
        assert_eq!(desk.answer(Some("1")), Err(Stray::Late));
        assert_eq!(desk.commands.next_deadline(), None);
    }

    #[test]
    fn cached_commands_go_one_by_one_and_again_after_a_loss() {
        let mut desk = Desk::new();
        let kept =
            (0..60).filter(|id| desk.commands.cache(&desk.device, Order { cached: true, ..order(*id) }).is_some());
        assert_eq!(kept.count(), 50);
        let first = desk.commands.next_cached(&desk.device).unwrap();
        assert_eq!(first.id, "0");
        desk.send(first);
        assert!(desk.commands.next_cached(&desk.device).is_none(), "the first is not answered");
        desk.commands.went_offline(&desk.device);
        let again = desk.commands.next_cached(&desk.device).unwrap();
        assert_eq!(again.id, "0");
        desk.send(again);
        assert_eq!(desk.answer(Some("0")), Ok("0".into()));
        let second = desk.commands.next_cached(&desk.device).unwrap();
        assert_eq!(second.id, "1");
        desk.send(second);
        desk.commands.expire(desk.start + Duration::from_secs(30));
        assert_eq!(desk.commands.next_cached(&desk.device).unwrap().id, "2", "a timeout ends it, too");
        assert_eq!(desk.commands.open(&desk.device), 48);
    }

    #[test]
    fn ids_are_compared_as_texts() {
        assert_eq!(
            [json!({"id": 7}), json!({"id": "7"})].map(|body| wire_id(&body)),
            [Some("7".into()), Some("7".into())]
        );
        assert_eq!(wire_id(&json!({})), None);
    }
}
