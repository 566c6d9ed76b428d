//! What the session asks of a link, and what a link reports.

use std::fmt;

use zeroize::Zeroizing;

use crate::error::Status;

/// A request that a link sends. Each has a token, and exactly one [`LinkEvent`] with this token answers it.
pub enum LinkRequest {
    Publish {
        token: u64,
        topic: String,
        payload: Vec<u8>,
        qos: u8,
    },
    /// One packet with all of these filters, each with the QoS that is asked for.
    Subscribe {
        token: u64,
        filters: Vec<(String, u8)>,
    },
    /// One packet with all of these filters.
    Unsubscribe {
        token: u64,
        filters: Vec<String>,
    },
}

impl LinkRequest {
    pub fn token(&self) -> u64 {
        match self {
            LinkRequest::Publish { token, .. }
            | LinkRequest::Subscribe { token, .. }
            | LinkRequest::Unsubscribe { token, .. } => *token,
        }
    }
}

/// What happened to a link.
pub enum LinkEvent {
    /// CONNACK 0.
    Connected,
    /// CONNACK with a code other than 0: 1 to 5 in MQTT 3.1.1. The link has ended.
    Refused { code: u8 },
    /// The attempt ended without a CONNACK: `ENOS_ERR_NETWORK`, `ENOS_ERR_TLS` or `ENOS_ERR_PROTOCOL`. `connect_sent`
    /// says whether the CONNECT, or a part of it, was sent. The link has ended.
    Failed { status: Status, reason: String, connect_sent: bool },
    /// The connection ended after [`Connected`](Self::Connected), and nobody asked for it: `ENOS_ERR_NETWORK`, or
    /// `ENOS_ERR_PROTOCOL` if the broker sent what it must not send. The link has ended.
    Lost { status: Status, reason: String },
    /// The disconnect that was asked for is complete. The link has ended.
    Closed,
    /// A publish at QoS 0 was written to the socket, or one at QoS 1 was acknowledged.
    Delivered { token: u64 },
    /// The link ended before the outcome of a request was known: `ENOS_ERR_NETWORK`. Any other status: the request
    /// could not be sent, and the link may live on.
    NotDelivered { token: u64, status: Status, reason: String },
    /// SUBACK. One entry for each filter of the request, in its order: the QoS granted, or `None` if it was refused.
    Subscribed { token: u64, granted: Vec<Option<u8>> },
    /// UNSUBACK.
    Unsubscribed { token: u64 },
    /// A PUBLISH from the broker. The topic is as it came, and may be any bytes.
    Message { topic: Vec<u8>, payload: Zeroizing<Vec<u8>>, qos: u8, retained: bool },
}

impl LinkEvent {
    /// Whether the link has ended with this event.
    pub fn is_end(&self) -> bool {
        matches!(
            self,
            LinkEvent::Refused { .. } | LinkEvent::Failed { .. } | LinkEvent::Lost { .. } | LinkEvent::Closed
        )
    }
}

/// Shows the size of a payload in place of its bytes, which may hold a secret.
impl fmt::Debug for LinkEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LinkEvent::Connected => f.write_str("Connected"),
            LinkEvent::Refused { code } => write!(f, "Refused({code})"),
            LinkEvent::Failed { status, reason, connect_sent } => {
                write!(f, "Failed({status:?}, {reason:?}, sent: {connect_sent})")
            }
            LinkEvent::Lost { status, reason } => write!(f, "Lost({status:?}, {reason:?})"),
            LinkEvent::Closed => f.write_str("Closed"),
            LinkEvent::Delivered { token } => write!(f, "Delivered({token})"),
            LinkEvent::NotDelivered { token, status, reason } => {
                write!(f, "NotDelivered({token}, {status:?}, {reason:?})")
            }
            LinkEvent::Subscribed { token, granted } => write!(f, "Subscribed({token}, {granted:?})"),
            LinkEvent::Unsubscribed { token } => write!(f, "Unsubscribed({token})"),
            LinkEvent::Message { topic, payload, qos, retained } => {
                let (topic, len) = (String::from_utf8_lossy(topic), payload.len());
                write!(f, "Message({topic:?}, {len} bytes, QoS {qos}, retained: {retained})")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_payload() {
        let event = LinkEvent::Message {
            topic: b"t".to_vec(),
            payload: b"deviceSecret".to_vec().into(),
            qos: 1,
            retained: false,
        };
        assert_eq!(format!("{event:?}"), r#"Message("t", 12 bytes, QoS 1, retained: false)"#);
    }
}
