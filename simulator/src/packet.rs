//! Packets, in and out: those of the codec, with the checks that it lacks.

use bytes::{BufMut, BytesMut};
use mqttbytes::{v4, Error, QoS};

/// The protocol level of the CONNECT is not that of 3.1.1: answered with CONNACK 1. Everything else closes the link.
#[derive(Debug, PartialEq, Eq)]
pub enum Malformed {
    Level,
    Packet(String),
}

/// The next complete packet of `buffer`, if there is one.
pub fn decode(buffer: &mut BytesMut, limit: usize) -> Result<Option<v4::Packet>, Malformed> {
    let flags = buffer.first().copied().unwrap_or_default();
    let packet = match v4::read(buffer, limit) {
        Ok(packet) => packet,
        Err(Error::InsufficientBytes(_)) => return Ok(None),
        Err(Error::InvalidProtocol | Error::InvalidProtocolLevel(_)) => return Err(Malformed::Level),
        Err(Error::PayloadSizeLimitExceeded(size)) => {
            return Err(Malformed::Packet(format!("a packet of {size} bytes, more than the limit of {limit}")))
        }
        Err(error) => return Err(Malformed::Packet(format!("a malformed packet ({error:?})"))),
    };
    match &packet {
        v4::Packet::Connect(connect) if connect.protocol != mqttbytes::Protocol::V4 => Err(Malformed::Level),
        v4::Packet::Subscribe(subscribe) if flags & 0xf != 2 || subscribe.filters.is_empty() || subscribe.pkid == 0 => {
            Err(Malformed::Packet("a malformed SUBSCRIBE".into()))
        }
        v4::Packet::Unsubscribe(unsubscribe)
            if flags & 0xf != 2 || unsubscribe.topics.is_empty() || unsubscribe.pkid == 0 =>
        {
            Err(Malformed::Packet("a malformed UNSUBSCRIBE".into()))
        }
        _ => Ok(Some(packet)),
    }
}

/// What a broker sends.
#[derive(Clone, Debug)]
pub enum Outgoing {
    /// Any code, also one that MQTT does not define.
    ConnAck(u8),
    PubAck(u16),
    /// One code for each filter: 0, 1 or 0x80, or what a fault has chosen.
    SubAck(u16, Vec<u8>),
    UnsubAck(u16),
    PingResp,
    Publish(v4::Publish),
}

impl Outgoing {
    pub fn encode(&self) -> Vec<u8> {
        let mut out = BytesMut::new();
        let written = match self {
            Outgoing::ConnAck(code) => {
                let codec = v4::ConnAck::new(v4::ConnectReturnCode::Success, false).write(&mut out);
                patch(&mut out, *code, 1);
                codec
            }
            Outgoing::PubAck(id) => v4::PubAck::new(*id).write(&mut out),
            Outgoing::SubAck(id, codes) => {
                let failures = vec![v4::SubscribeReasonCode::Failure; codes.len()];
                let codec = v4::SubAck::new(*id, failures).write(&mut out);
                let start = out.len() - codes.len().min(out.len());
                out.truncate(start);
                out.put_slice(codes);
                codec
            }
            Outgoing::UnsubAck(id) => v4::UnsubAck::new(*id).write(&mut out),
            Outgoing::PingResp => v4::PingResp.write(&mut out),
            Outgoing::Publish(publish) => publish.write(&mut out),
        };
        debug_assert!(written.is_ok(), "{written:?}");
        out.to_vec()
    }
}

/// Overwrites the byte that is `from_end` before the end.
fn patch(out: &mut BytesMut, value: u8, from_end: usize) {
    let place = out.len().checked_sub(from_end);
    if let Some(byte) = place.and_then(|place| out.get_mut(place)) {
        *byte = value;
    }
}

/// A QoS that was checked to be 0 or 1.
pub fn qos(qos: u8) -> QoS {
    if qos == 0 {
        QoS::AtMostOnce
    } else {
        QoS::AtLeastOnce
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_code_can_be_sent() {
        assert_eq!(Outgoing::ConnAck(77).encode(), [0x20, 2, 0, 77]);
        assert_eq!(Outgoing::SubAck(258, vec![1, 0x80]).encode(), [0x90, 4, 1, 2, 1, 0x80]);
    }

    #[test]
    fn invalid_packets_that_the_codec_accepts_are_refused() {
        let decode = |bytes: &[u8]| decode(&mut BytesMut::from(bytes), 100);
        assert!(decode(&[0x80, 6, 0, 1, 0, 1, b'a', 0]).is_err(), "flags");
        assert!(decode(&[0x82, 2, 0, 1]).is_err(), "no filter");
        assert!(decode(&[0xa2, 2, 0, 1]).is_err(), "no filter");
        assert!(decode(&[0x82, 6, 0, 1, 0, 1, b'a', 0]).unwrap().is_some());
        assert_eq!(decode(&[0x10, 9, 0, 6, b'M', b'Q', b'I', b's', b'd', b'p', 3]), Err(Malformed::Level));
        assert_eq!(decode(&[0x10, 100, 0, 4]), Ok(None));
    }
}
