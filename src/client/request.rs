//! The host's requests: what their flags mean, and whether they go to the session or to the outbox.

use super::{now, Client};
use crate::error::{Error, Result};
use crate::model::flags::Flag;
use crate::protocol::operations::Sender;
use crate::protocol::request::{stamped, Moment, PostTime, CLOCK_IS_SET_MS};
use crate::protocol::{envelope, Operation, Request};
use crate::session::{Call, Now};
use crate::transport::clock;

/// A request as the host passes it.
#[derive(Clone, Copy)]
pub struct HostRequest<'a> {
    pub operation: Operation,
    /// 0: the client's own device.
    pub subdevice: u64,
    /// The bits of [`Flag`].
    pub flags: u32,
    pub name: &'a str,
    /// `None`: the operation's empty params.
    pub params: Option<&'a [u8]>,
    /// 0: the client's timeout for replies.
    pub timeout_ms: u32,
    /// Comes back in the outcome.
    pub user: usize,
}

/// A durable request, which can be stored and sent.
pub struct DurableRequest {
    /// 0: the client's own device.
    pub subdevice: u64,
    pub request: Request,
    /// Comes back in the outcome.
    pub user: usize,
}

impl Client {
    /// Sends a request, or stores it if it is durable. `accepted` gets the token before any event of it can be
    /// delivered.
    pub fn request(&self, request: &HostRequest, accepted: &mut dyn FnMut(u64)) -> Result<()> {
        request.check_flags()?;
        if request.has(Flag::ENOS_REQUEST_DURABLE) {
            return self.publish_durable(vec![request.durable(self)?], accepted);
        }
        let HostRequest { operation, subdevice, flags, name, timeout_ms, user, .. } = *request;
        let timeout_ms = (timeout_ms != 0).then_some(u64::from(timeout_ms));
        let call = Call { operation, subdevice, name, params: request.params(), flags, timeout_ms, user };
        self.accept(accepted, |session, now| session.request(now, &call))
    }
}

impl HostRequest<'_> {
    fn has(&self, flag: Flag) -> bool {
        flag.is_in(self.flags)
    }

    fn params(&self) -> &[u8] {
        self.params.unwrap_or_else(|| self.operation.row().empty())
    }

    fn check_flags(&self) -> Result<()> {
        let unknown = self.flags & !Flag::KNOWN;
        if unknown != 0 {
            return Err(Error::invalid(format!("flags: {unknown:#x} is not known")));
        }
        if self.has(Flag::ENOS_REQUEST_KEEP_SECRETS) && self.operation != Operation::ENOS_OP_SUBDEVICE_REGISTER {
            return Err(Error::invalid("flags: ENOS_REQUEST_KEEP_SECRETS is for ENOS_OP_SUBDEVICE_REGISTER"));
        }
        let is_live_post =
            self.operation == Operation::ENOS_OP_MEASUREPOINT_POST && !self.has(Flag::ENOS_REQUEST_DURABLE);
        if self.has(Flag::ENOS_REQUEST_JOIN) && !is_live_post {
            let words = "flags: ENOS_REQUEST_JOIN is for ENOS_OP_MEASUREPOINT_POST that is not durable";
            return Err(Error::invalid(words));
        }
        if !self.has(Flag::ENOS_REQUEST_DURABLE) {
            return match self.flags & !(Flag::MEMBERS | Flag::LIVE) {
                0 => Ok(()),
                _ => {
                    Err(Error::invalid("flags: UNTIL_REPLY, RESUME, STAMP and WITHOUT_TIME need ENOS_REQUEST_DURABLE"))
                }
            };
        }
        if self.has(Flag::ENOS_REQUEST_STAMP) && self.has(Flag::ENOS_REQUEST_WITHOUT_TIME) {
            return Err(Error::invalid("flags: ENOS_REQUEST_STAMP and ENOS_REQUEST_WITHOUT_TIME exclude each other"));
        }
        if self.timeout_ms != 0 {
            let words = "timeout_ms has to be 0: a durable request is sent until it is acknowledged";
            return Err(Error::invalid(words));
        }
        Ok(())
    }

    /// An error if it is not durable.
    pub fn durable(&self, client: &Client) -> Result<DurableRequest> {
        self.check_flags()?;
        if !self.has(Flag::ENOS_REQUEST_DURABLE) {
            return Err(Error::invalid("flags: a request of a batch needs ENOS_REQUEST_DURABLE"));
        }
        let sender = Sender::of(client.session()?.identity(), self.subdevice);
        self.operation.row().check_sender(sender)?;
        // Checked before the copy, so that the copy is not longer than a topic can be.
        self.operation.row().check_name(self.name)?;
        let Now { ms, wall_ms } = now();
        let time = if self.has(Flag::ENOS_REQUEST_WITHOUT_TIME) {
            PostTime::Without
        } else if self.has(Flag::ENOS_REQUEST_STAMP) {
            PostTime::Stamp(Moment { boot: boot(), ms })
        } else {
            PostTime::Own
        };
        let mut request = Request {
            operation: self.operation,
            name: self.name.to_owned(),
            params: envelope::bytes(self.params())?,
            until_reply: self.has(Flag::ENOS_REQUEST_UNTIL_REPLY),
            resume: self.has(Flag::ENOS_REQUEST_RESUME),
            time,
            members: self.flags & Flag::MEMBERS,
        };
        request.check()?;
        if let PostTime::Stamp(_) = time {
            let has_time = request.operation.row().time.is_in(&request.params)?;
            if !has_time && wall_ms >= CLOCK_IS_SET_MS {
                request.params = stamped(&request.params, wall_ms);
            }
            if has_time || wall_ms >= CLOCK_IS_SET_MS {
                request.time = PostTime::Own;
                request.check()?;
            }
        }
        let HostRequest { subdevice, user, .. } = *self;
        Ok(DurableRequest { subdevice, request, user })
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
