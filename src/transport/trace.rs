//! The records of `ENOS_LOG_TRACE`: one for each MQTT packet, in both directions. They hold no payload, and nothing of a
//! CONNECT except its size, because that packet carries the password.

use crate::log;
use paho_engine::link::Direction;
use std::fmt;

const NAMES: [&str; 16] = [
    "packet of type 0",
    "CONNECT",
    "CONNACK",
    "PUBLISH",
    "PUBACK",
    "PUBREC",
    "PUBREL",
    "PUBCOMP",
    "SUBSCRIBE",
    "SUBACK",
    "UNSUBSCRIBE",
    "UNSUBACK",
    "PINGREQ",
    "PINGRESP",
    "DISCONNECT",
    "packet of type 15",
];

/// Logs a packet, which is in pieces. Costs one atomic load if no sink wants this level.
pub fn packet(direction: Direction, pieces: &[&[u8]]) {
    log::trace("mqtt", format_args!("{}", Packet { direction, pieces }));
}

struct Packet<'a> {
    direction: Direction,
    pieces: &'a [&'a [u8]],
}

impl fmt::Display for Packet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = Reader(self.pieces.iter().flat_map(|piece| piece.iter().copied()));
        let first = bytes.0.next().unwrap_or(0);
        let way = match self.direction {
            Direction::Out => "sent",
            Direction::In => "received",
        };
        let size: usize = self.pieces.iter().map(|piece| piece.len()).sum();
        write!(f, "{way} {}, {size} bytes", NAMES[usize::from(first >> 4)])?;
        bytes.skip_length();
        match first >> 4 {
            2 => bytes.show_connack(f),
            3 => bytes.show_publish(f, first),
            4..=7 | 11 => bytes.show_id(f),
            8 => bytes.show_filters(f, true),
            9 => bytes.show_codes(f),
            10 => bytes.show_filters(f, false),
            _ => Ok(()),
        }
    }
}

/// Reads a packet field by field. What a malformed packet does not have is not shown.
struct Reader<I>(I);

impl<I: Iterator<Item = u8>> Reader<I> {
    fn skip_length(&mut self) {
        while self.0.next().is_some_and(|byte| byte & 0x80 != 0) {}
    }

    fn number(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes([self.0.next()?, self.0.next()?]))
    }

    fn text(&mut self) -> Option<String> {
        let length = usize::from(self.number()?);
        let bytes: Vec<u8> = self.0.by_ref().take(length).collect();
        (bytes.len() == length).then(|| String::from_utf8_lossy(&bytes).into_owned())
    }

    fn show_id(&mut self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number().map_or(Ok(()), |id| write!(f, ", packet id {id}"))
    }

    fn show_connack(&mut self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.nth(1).map_or(Ok(()), |code| write!(f, ", code {code}"))
    }

    fn show_publish(&mut self, f: &mut fmt::Formatter<'_>, first: u8) -> fmt::Result {
        let qos = first >> 1 & 3;
        write!(f, ", QoS {qos}")?;
        let topic = self.text();
        if qos > 0 {
            self.show_id(f)?;
        }
        for (flag, words) in [(8, ", duplicate"), (1, ", retained")] {
            f.write_str(if first & flag != 0 { words } else { "" })?;
        }
        topic.map_or(Ok(()), |topic| write!(f, ", topic {topic}"))
    }

    fn show_filters(&mut self, f: &mut fmt::Formatter<'_>, has_qos: bool) -> fmt::Result {
        self.show_id(f)?;
        let mut separator = ", filters ";
        while let Some(filter) = self.text() {
            write!(f, "{separator}{filter}")?;
            if let Some(qos) = has_qos.then(|| self.0.next()).flatten() {
                write!(f, " (QoS {qos})")?;
            }
            separator = ", ";
        }
        Ok(())
    }

    fn show_codes(&mut self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.show_id(f)?;
        f.write_str(", codes")?;
        self.0.by_ref().try_for_each(|code| write!(f, " {code}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(direction: Direction, packet: &[u8]) -> String {
        let whole = Packet { direction, pieces: &[packet] }.to_string();
        let pieces: Vec<&[u8]> = packet.chunks(1).chain([&[][..]]).collect();
        assert_eq!(Packet { direction, pieces: &pieces }.to_string(), whole, "wherever it is cut");
        whole
    }

    #[test]
    fn each_kind_of_packet_is_shown_with_what_it_is_about() {
        let out: [(&[u8], &str); 8] = [
            (b"\x10\x0dwith a secret", "sent CONNECT, 15 bytes"),
            (b"\x30\x07\0\x03a/bPP", "sent PUBLISH, 9 bytes, QoS 0, topic a/b"),
            (b"\x32\x08\0\x03a/b\x01\x02P", "sent PUBLISH, 10 bytes, QoS 1, packet id 258, topic a/b"),
            (b"\x40\x02\0\x07", "sent PUBACK, 4 bytes, packet id 7"),
            (
                b"\x82\x0b\0\x01\0\x01#\x01\0\x02+b\x00",
                "sent SUBSCRIBE, 13 bytes, packet id 1, filters # (QoS 1), +b (QoS 0)",
            ),
            (b"\xa2\x07\0\x02\0\x03a/b", "sent UNSUBSCRIBE, 9 bytes, packet id 2, filters a/b"),
            (b"\xc0\0", "sent PINGREQ, 2 bytes"),
            (b"\xe0\0", "sent DISCONNECT, 2 bytes"),
        ];
        let back: [(&[u8], &str); 6] = [
            (b"\x20\x02\0\x05", "received CONNACK, 4 bytes, code 5"),
            (b"\x3b\x07\0\x01t\0\x09PP", "received PUBLISH, 9 bytes, QoS 1, packet id 9, duplicate, retained, topic t"),
            (b"\x40\x02\0\x07", "received PUBACK, 4 bytes, packet id 7"),
            (b"\x90\x04\0\x01\x01\x80", "received SUBACK, 6 bytes, packet id 1, codes 1 128"),
            (b"\xb0\x02\0\x02", "received UNSUBACK, 4 bytes, packet id 2"),
            (b"\xd0\0", "received PINGRESP, 2 bytes"),
        ];
        for (packet, words) in out {
            assert_eq!(shown(Direction::Out, packet), words);
        }
        for (packet, words) in back {
            assert_eq!(shown(Direction::In, packet), words);
        }
    }

    #[test]
    fn what_is_malformed_is_shown_as_far_as_it_goes() {
        let cases: [(&[u8], &str); 5] = [
            (b"", "received packet of type 0, 0 bytes"),
            (b"\x20\x00", "received CONNACK, 2 bytes"),
            (b"\x32\x03\0\x09t", "received PUBLISH, 5 bytes, QoS 1"),
            (b"\x30\x04\0\x02\xff\xfe", "received PUBLISH, 6 bytes, QoS 0, topic \u{fffd}\u{fffd}"),
            (b"\x90\xff\xff\xff", "received SUBACK, 4 bytes, codes"),
        ];
        for (packet, words) in cases {
            assert_eq!(shown(Direction::In, packet), words);
        }
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..20_000 {
            let mut packet = vec![0; random.usize(..40)];
            random.fill(&mut packet);
            shown(Direction::In, &packet);
        }
    }
}
