//! Where the blocks go.

use crate::error::Status;

/// Why a call of the sink gave no result.
#[derive(Debug, PartialEq)]
pub enum Refused {
    /// The download was cancelled.
    Cancelled,
    /// The host's own number, and words.
    Host(i32, String),
}

pub type Answer<T> = Result<T, Refused>;

/// The host's sink. Each call may take as long as the host likes.
pub trait Sink {
    /// How many bytes of this image the sink has.
    fn begin(&mut self) -> Answer<u64>;
    fn block(&mut self, offset: u64, bytes: &[u8]) -> Answer<()>;
    fn read(&mut self, offset: u64, buffer: &mut [u8]) -> Answer<()>;
    fn verified(&mut self) -> Answer<()>;
    fn failed(&mut self, status: Status);
}
