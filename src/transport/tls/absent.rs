//! What stands here in a build without TLS.

use super::Tls;
use crate::error::{Error, Result, Status};
use paho_engine::sys as paho;

/// There is none.
pub enum Secured {}

pub fn start() {}

impl Secured {
    pub fn prepare(_: &Tls) -> Result<Secured> {
        Err(Error::new(Status::ENOS_ERR_UNSUPPORTED, "this build of libenos has no TLS"))
    }

    /// # Safety
    /// There is no value to call it on.
    pub unsafe fn apply(&self, _: paho::MQTTAsync) -> Result<()> {
        match *self {}
    }

    /// # Safety
    /// As above.
    pub unsafe fn explain(&self, _: paho::MQTTAsync) -> Option<String> {
        match *self {}
    }
}
