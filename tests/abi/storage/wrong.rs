//! What a storage can do wrong.

use enos::internals::storage::record::{encode, Role};
use support::host::{Asked, Request, NOT_FOUND, TOO_SMALL};

/// What a call that fails returns.
pub const CODE: i32 = -77;

/// What goes wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// It fails with [`CODE`]; nothing is read, written or erased.
    Fails,
    /// It answers with a number that is no answer.
    Babbles,
    /// A load calls every buffer too small.
    TooSmall,
    /// A load says that there is no such key.
    Denies,
    /// A load gives half of the value; a store keeps half of it, and says that all is well.
    Halves,
    /// A load or a store turns a bit over, and says that all is well.
    FlipsABit,
    /// A load gives the record of another device; a store or an erase says that all is well, and changes nothing.
    MixesUp,
}

impl Wrong {
    pub const ALL: [Wrong; 7] =
        [Wrong::Fails, Wrong::Babbles, Wrong::TooSmall, Wrong::Denies, Wrong::Halves, Wrong::FlipsABit, Wrong::MixesUp];

    /// The code in the event that tells of it.
    pub fn code(self) -> i32 {
        if self == Wrong::Fails {
            CODE
        } else {
            0
        }
    }

    /// Does this in the place of what the library asks for.
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

/// A whole record of the same role, but another device's.
fn strangers_record(key: &str) -> Vec<u8> {
    let roles =
        [Role::Secrets(0), Role::Secrets(1), Role::Secret, Role::Previous, Role::Pending, Role::Sign, Role::Budget];
    let role = roles.into_iter().find(|role| key.starts_with(&format!("{role}."))).unwrap();
    encode(role, "pk", "a stranger", b"\0his secret").unwrap().to_vec()
}
