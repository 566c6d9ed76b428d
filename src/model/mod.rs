//! Words that several modules share. Each is defined here once, and nothing here depends on the rest of the library
//! except for [`crate::error`].

pub mod link;
pub mod storage;
