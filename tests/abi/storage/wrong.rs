//! The faults of a storage.

use enos::storage::record::{encode, Role};
use support::host::{Asked, Request, NOT_FOUND, TOO_SMALL};

/// The code of a failing call.
pub const CODE: i32 = -77;

/// A fault of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// It fails with [`CODE`]; nothing is read, written or erased.
    Fails,
    /// It returns an invalid number.
    Babbles,
    /// A load returns TOO_SMALL for every buffer.
    TooSmall,
    /// A load returns NOT_FOUND.
    Denies,
    /// A load returns half of the value; a store stores half of it, and returns OK.
    Halves,
    /// A load or a store flips a bit, and returns OK.
    FlipsABit,
    /// A load returns the record of another device; a store or an erase returns OK, and changes nothing.
    MixesUp,
}

impl Wrong {
    pub const ALL: [Wrong; 7] =
        [Wrong::Fails, Wrong::Babbles, Wrong::TooSmall, Wrong::Denies, Wrong::Halves, Wrong::FlipsABit, Wrong::MixesUp];

    /// The code in the event that reports it.
    pub fn code(self) -> i32 {
        if self == Wrong::Fails {
            CODE
        } else {
            0
        }
    }

    /// Applies the fault instead of performing the call.
    pub fn answer(self, request: &mut Request) -> i32 {
        let change = |mut value: Vec<u8>| {
            let middle = value.len() / 2;
            match self {
                Wrong::Halves => value.truncate(middle),
                _ => value[middle] ^= 0x10,
            }
            value
        };
        match (self, &request.asked) {
            (Wrong::Fails, _) | (Wrong::Halves | Wrong::FlipsABit, Asked::Erase) => return CODE,
            (Wrong::Babbles, _) => return 1234,
            (Wrong::TooSmall, _) => return TOO_SMALL,
            (Wrong::Denies, Asked::Erase) => return request.obey(),
            (Wrong::Denies, _) => return NOT_FOUND,
            (Wrong::MixesUp, Asked::Store(_) | Asked::Erase) => {}
            (Wrong::Halves | Wrong::FlipsABit, Asked::Store(data)) => request.keep(change(data.to_vec())),
            (_, Asked::Load(..)) => {
                let Some(value) = request.record() else { return NOT_FOUND };
                let strangers = self == Wrong::MixesUp;
                let value = if strangers { strangers_record(&request.key) } else { change(value) };
                return request.give(&value);
            }
        }
        0
    }
}

/// A complete record of the same role, of another device.
fn strangers_record(key: &str) -> Vec<u8> {
    let roles =
        [Role::Secrets(0), Role::Secrets(1), Role::Secret, Role::Previous, Role::Pending, Role::Sign, Role::Budget];
    let role = roles.into_iter().find(|role| key.starts_with(&format!("{role}."))).unwrap();
    encode(role, "pk", "a stranger", b"\0his secret").unwrap().to_vec()
}
