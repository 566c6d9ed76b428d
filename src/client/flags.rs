//! The flags of a publish.

use super::{copy, now};
use crate::error::{Error, Result};
use crate::protocol::request::{has_time, stamped, Moment, PostTime, CLOCK_IS_SET_MS};
use crate::protocol::{Operation, Request};
use crate::session::Now;
use crate::transport::clock;

/// The message is in the host's storage before the call returns.
pub const PUBLISH_DURABLE: u32 = 1;
/// The message is completed only by EnOS's reply.
pub const PUBLISH_UNTIL_REPLY: u32 = 2;
/// Late data is sent to the resume topic.
pub const PUBLISH_RESUME: u32 = 4;
/// A post may have no time.
pub const PUBLISH_WITHOUT_TIME: u32 = 8;
/// A post without a time gets one.
pub const PUBLISH_STAMP: u32 = 16;

/// Returns `None` if the message is not durable.
pub fn check_flags(flags: u32) -> Result<Option<DurableFlags>> {
    let known = PUBLISH_DURABLE | PUBLISH_UNTIL_REPLY | PUBLISH_RESUME | PUBLISH_WITHOUT_TIME | PUBLISH_STAMP;
    let unknown = flags & !known;
    if unknown != 0 {
        return Err(Error::invalid(format!("flags: {unknown:#x} is not known")));
    }
    if flags & PUBLISH_STAMP != 0 && flags & PUBLISH_WITHOUT_TIME != 0 {
        return Err(Error::invalid("flags: ENOS_PUBLISH_STAMP and ENOS_PUBLISH_WITHOUT_TIME exclude each other"));
    }
    match flags & PUBLISH_DURABLE {
        0 if flags == 0 => Ok(None),
        0 => Err(Error::invalid("flags: all others need ENOS_PUBLISH_DURABLE")),
        _ => Ok(Some(DurableFlags(flags))),
    }
}

/// How a durable message is sent.
#[derive(Clone, Copy)]
pub struct DurableFlags(u32);

impl DurableFlags {
    /// The request, which can be stored and sent.
    pub fn request(self, operation: Operation, name: &str, params: &[u8]) -> Result<Request> {
        // Checked before the copy, so that the copy is not longer than a topic can be.
        operation.check_name(name)?;
        let Now { ms, wall_ms } = now();
        let time = match self.0 & (PUBLISH_WITHOUT_TIME | PUBLISH_STAMP) {
            PUBLISH_WITHOUT_TIME => PostTime::Without,
            PUBLISH_STAMP => PostTime::Stamp(Moment { boot: boot(), ms }),
            _ => PostTime::Own,
        };
        let (name, params) = (name.to_owned(), copy(params)?);
        let (until_reply, resume) = (self.0 & PUBLISH_UNTIL_REPLY != 0, self.0 & PUBLISH_RESUME != 0);
        let mut request = Request { operation, name, params, until_reply, resume, time };
        request.check()?;
        if let PostTime::Stamp(_) = time {
            let has_time = has_time(&request.params);
            if !has_time && wall_ms >= CLOCK_IS_SET_MS {
                request.params = stamped(&request.params, wall_ms);
            }
            if has_time || wall_ms >= CLOCK_IS_SET_MS {
                request.time = PostTime::Own;
                request.check()?;
            }
        }
        Ok(request)
    }
}

/// A number for this boot; 0 if the boot is not known.
pub(super) fn boot() -> u64 {
    clock::boot_id().map_or(0, |id| {
        id.as_bytes().chunks(8).fold(1, |sum: u64, part| {
            let number = part.iter().fold(0, |number: u64, byte| number << 8 | u64::from(*byte));
            sum.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(number)
        })
    })
}
