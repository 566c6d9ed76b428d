//! The types of a JSON value: the numbers, and their documentation for C.

/// The type of a value.
#[repr(C)]
#[allow(non_camel_case_types)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum enos_value_kind {
    /// The value is missing.
    ENOS_VALUE_NONE = 0,
    /// null.
    ENOS_VALUE_NULL = 1,
    /// true or false.
    ENOS_VALUE_BOOL = 2,
    /// A number, whole or not.
    ENOS_VALUE_NUMBER = 3,
    /// A text.
    ENOS_VALUE_TEXT = 4,
    /// An array.
    ENOS_VALUE_ARRAY = 5,
    /// An object.
    ENOS_VALUE_OBJECT = 6,
}

/// The name under which Rust code knows [`enos_value_kind`].
pub use enos_value_kind as Kind;
