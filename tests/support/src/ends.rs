//! The ways in which a broker can end a connection.

use crate::broker::Peer;
use enos::error::Status::{self, *};

/// How a connection ends.
#[derive(Clone, Debug)]
pub enum End {
    Close,
    Reset,
    /// These bytes, then a close, because the client ignores some garbage and would stay connected.
    Garbage(Vec<u8>),
}

impl End {
    /// All ends.
    pub fn all() -> Vec<End> {
        let bytes: [&[u8]; 17] = [
            &[0x00, 0x00],                                     // no such packet
            &[0xf0, 0x00],                                     // nor such
            &[0xff; 64],                                       // a length that never ends
            &[0x30, 0xff, 0xff, 0xff, 0xff, 0xff],             // nor does this one
            &[0x30, 0xff, 0xff, 0xff, 0x7f],                   // a PUBLISH of 256 MB
            &[0x30, 0x03, 0x00, 0x05, b't'],                   // a topic longer than its packet
            &[0x32, 0x03, 0x00, 0x01, b't'],                   // QoS 1 without an id
            &[0x36, 0x05, 0x00, 0x01, b't', 0x00, 0x01],       // QoS 3
            &[0x30, 0x05, 0x00, 0x03, 0xff, 0xfe, 0x00],       // a topic that is no text
            &[0x20, 0x02, 0x00, 0x00],                         // a CONNACK that nobody waits for
            &[0x20, 0x02, 0x00, 0x05],                         // or a refusal
            &[0x40, 0x02, 0x00, 0x01],                         // a PUBACK of something
            &[0x40, 0x00],                                     // a PUBACK of nothing
            &[0x90, 0x02, 0x00, 0x01],                         // a SUBACK without codes
            &[0xb0, 0x02, 0xff, 0xff],                         // an UNSUBACK of nothing
            &[0xe0, 0x00],                                     // a broker's DISCONNECT
            &[0x10, 0x0c, 0, 4, b'M', b'Q', b'T', b'T', 4, 2], // half a CONNECT
        ];
        let garbage = bytes.iter().map(|bytes| End::Garbage(bytes.to_vec()));
        [End::Close, End::Reset].into_iter().chain(garbage).collect()
    }

    /// Whether the host may be told this status. Some garbage is a protocol error of the broker, some is ignored until
    /// the close, and some is lost when unread data turns the close into a reset.
    pub fn is_told_as(&self, status: Status) -> bool {
        status == ENOS_ERR_NETWORK || matches!(self, End::Garbage(_)) && status == ENOS_ERR_PROTOCOL
    }

    pub fn come(&self, mut peer: Peer) {
        match self {
            End::Close => drop(peer),
            End::Reset => peer.reset(),
            End::Garbage(bytes) => {
                peer.try_send(bytes);
            }
        }
    }
}
