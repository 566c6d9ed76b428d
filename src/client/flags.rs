//! What the flags of a request mean.

use super::now;
use crate::error::{Error, Result};
use crate::model::flags::Flag;
use crate::protocol::envelope::copy;
use crate::protocol::request::{has_time, stamped, Moment, PostTime, CLOCK_IS_SET_MS};
use crate::protocol::{Operation, Request};
use crate::session::Now;
use crate::transport::clock;

/// Returns `None` if the message is not durable.
pub fn check_flags(flags: u32) -> Result<Option<DurableFlags>> {
    let unknown = flags & !Flag::KNOWN;
    if unknown != 0 {
        return Err(Error::invalid(format!("flags: {unknown:#x} is not known")));
    }
    if Flag::ENOS_REQUEST_STAMP.is_in(flags) && Flag::ENOS_REQUEST_WITHOUT_TIME.is_in(flags) {
        return Err(Error::invalid("flags: ENOS_REQUEST_STAMP and ENOS_REQUEST_WITHOUT_TIME exclude each other"));
    }
    match Flag::ENOS_REQUEST_DURABLE.is_in(flags) {
        true => Ok(Some(DurableFlags(flags))),
        false if flags == 0 => Ok(None),
        false => Err(Error::invalid("flags: all others need ENOS_REQUEST_DURABLE")),
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
        let time = match self.0 {
            flags if Flag::ENOS_REQUEST_WITHOUT_TIME.is_in(flags) => PostTime::Without,
            flags if Flag::ENOS_REQUEST_STAMP.is_in(flags) => PostTime::Stamp(Moment { boot: boot(), ms }),
            _ => PostTime::Own,
        };
        let (name, params) = (name.to_owned(), copy(params)?);
        let (until_reply, resume) =
            (Flag::ENOS_REQUEST_UNTIL_REPLY.is_in(self.0), Flag::ENOS_REQUEST_RESUME.is_in(self.0));
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
