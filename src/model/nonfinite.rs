//! What a builder of JSON does with NaN and the infinities: the numbers, and their documentation for C.

/// What to do with a number that JSON cannot represent: NaN and the infinities.
#[repr(C)]
#[allow(non_camel_case_types)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum enos_nonfinite {
    /// It becomes an error of the text.
    #[default]
    ENOS_NONFINITE_ERROR = 0,
    /// It is written as null.
    ENOS_NONFINITE_NULL = 1,
    /// It is left out with its key, or with its whole measure point. It is counted (enos_json_left_out()), and a log
    /// record of the level ENOS_LOG_INFO names the key. In an array it is written as null: otherwise the elements
    /// behind it would move up.
    ENOS_NONFINITE_LEAVE_OUT = 2,
}

/// The name under which Rust code knows [`enos_nonfinite`].
pub use enos_nonfinite as Nonfinite;

impl Nonfinite {
    pub fn from_number(number: i32) -> Option<Nonfinite> {
        use enos_nonfinite::*;
        [ENOS_NONFINITE_ERROR, ENOS_NONFINITE_NULL, ENOS_NONFINITE_LEAVE_OUT]
            .into_iter()
            .find(|policy| *policy as i32 == number)
    }
}
