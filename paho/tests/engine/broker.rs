//! The scripted broker of all tests, and what only these send.

pub use support::broker::*;

/// A PUBLISH of any QoS, QoS 2 and 3 included.
pub fn publish(qos: u8, id: u16, topic: &str, payload: &[u8]) -> Vec<u8> {
    let mut body = (topic.len() as u16).to_be_bytes().to_vec();
    body.extend(topic.bytes());
    if qos > 0 {
        body.extend(id.to_be_bytes());
    }
    body.extend(payload);
    packet(0x30 | qos << 1, &body)
}
