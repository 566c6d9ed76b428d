//! What the host is told.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::ota::Offer;
use crate::error::Status;
pub use crate::model::event::EventKind;
pub use crate::model::state::State;
use crate::protocol::Activation;

/// One thing that happened. `detail` is for a log and never holds a secret; a payload may, so none of this has Debug.
#[derive(Clone)]
pub struct Event {
    pub kind: EventKind,
    pub status: Status,
    pub detail_code: i32,
    pub qos: i32,
    /// The message has the retain flag.
    pub retained: bool,
    /// The token of the call whose outcome this is; 0 if none.
    pub token: u64,
    pub retry_in_ms: u32,
    /// The number of the operation whose outcome this is; 0 if none.
    pub operation: i32,
    /// The sub-device that it is about; 0: the client's own device.
    pub subdevice: u64,
    /// Its state, if the event tells of that; otherwise 0.
    pub subdevice_state: i32,
    /// What the host has given with the request or the sub-device; 0 if nothing.
    pub user: usize,
    pub detail: String,
    pub topic: Vec<u8>,
    pub payload: Zeroizing<Vec<u8>>,
    pub activation: Option<Arc<Activation>>,
    /// The firmware that it is about.
    pub firmware: Option<Arc<Offer>>,
}

impl Event {
    pub fn new(kind: EventKind, status: Status, detail: impl Into<String>) -> Event {
        Event {
            kind,
            status,
            detail_code: 0,
            qos: 0,
            retained: false,
            token: 0,
            retry_in_ms: 0,
            operation: 0,
            subdevice: 0,
            subdevice_state: 0,
            user: 0,
            detail: detail.into(),
            topic: Vec::new(),
            payload: Zeroizing::new(Vec::new()),
            activation: None,
            firmware: None,
        }
    }

    /// A message that came in.
    pub fn message(topic: Vec<u8>, payload: Zeroizing<Vec<u8>>, qos: u8, retained: bool) -> Event {
        let event = Event::new(EventKind::Message, Status::ENOS_OK, "");
        Event { topic, payload, qos: i32::from(qos), retained, ..event }
    }

    /// Inbound messages were dropped.
    pub fn dropped(count: u64) -> Event {
        let words = format!(
            "{count} inbound messages were dropped: they were too large, the queue was full, or they came on the topic of \
             an activation that is not awaited"
        );
        let code = i32::try_from(count).unwrap_or(i32::MAX);
        Event::new(EventKind::Overflow, Status::ENOS_ERR_QUEUE_FULL, words).code(code)
    }

    /// Commands were not handed over.
    pub fn commands_refused(count: u32, words: String) -> Event {
        let code = i32::try_from(count).unwrap_or(i32::MAX);
        Event::new(EventKind::Overflow, Status::ENOS_ERR_REFUSED, words).code(code)
    }

    pub fn code(mut self, detail_code: i32) -> Event {
        self.detail_code = detail_code;
        self
    }

    pub fn token(mut self, token: u64) -> Event {
        self.token = token;
        self
    }

    /// At least 1, because 0 means that there is no retry.
    pub fn retry_in(mut self, ms: u64) -> Event {
        self.retry_in_ms = u32::try_from(ms.max(1)).unwrap_or(u32::MAX);
        self
    }

    /// Adds words to the detail.
    pub fn more(mut self, words: &str) -> Event {
        let between = if self.detail.is_empty() { "" } else { "; " };
        self.detail = format!("{}{between}{words}", self.detail);
        self
    }

    pub fn topic(mut self, topic: impl Into<Vec<u8>>) -> Event {
        self.topic = topic.into();
        self
    }
}
