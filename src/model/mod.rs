//! Words that several modules share. Each is defined here once, and nothing here depends on the rest of the library
//! except for [`crate::error`].

pub mod command;
pub mod event;
pub mod firmware;
pub mod flags;
#[cfg(feature = "ota")]
pub mod http;
pub mod link;
pub mod nonfinite;
pub mod sign;
pub mod state;
pub mod storage;
pub mod subdevice;
pub mod value;

/// Gives the values of an enum of C short names, and the names without their prefix for logs. A value without a name
/// does not compile.
macro_rules! named {
    ($type:ident, $prefix:literal { $($name:ident = $value:ident,)* }) => {
        #[allow(non_upper_case_globals)]
        impl $type {
            $(pub const $name: $type = $type::$value;)*

            pub fn from_number(number: i32) -> Option<$type> {
                [$($type::$value),*].into_iter().find(|value| *value as i32 == number)
            }

            pub fn c_name(self) -> &'static std::ffi::CStr {
                let whole = match self {
                    $($type::$value => concat!(stringify!($value), "\0"),)*
                };
                let name = whole.strip_prefix($prefix).unwrap_or(whole);
                std::ffi::CStr::from_bytes_with_nul(name.as_bytes()).unwrap_or_default()
            }

            pub fn name(self) -> &'static str {
                self.c_name().to_str().unwrap_or_default()
            }
        }
    };
}

use named;

#[cfg(test)]
mod tests {
    use super::event::EventKind;
    use super::state::State;

    #[test]
    fn numbers_lead_to_values_and_names() {
        assert_eq!(EventKind::from_number(19), Some(EventKind::DeadLetterDropped));
        assert_eq!(EventKind::DeadLetterDropped.c_name(), c"DEAD_LETTER_DROPPED");
        assert_eq!([0, -1, 20, i32::MIN, i32::MAX].map(EventKind::from_number), [None; 5]);
        assert_eq!(State::from_number(0), Some(State::Idle));
        assert_eq!(State::Waiting.name(), "WAITING");
        assert_eq!([6, -1].map(State::from_number), [None; 2]);
    }
}
