//! What stands here in a build without TLS.

use super::Tls;
use crate::error::{Error, Result, Status};
use paho_engine::link;

/// There is none.
pub enum Secured {}

impl Secured {
    pub fn prepare(_: &Tls) -> Result<(Secured, link::Tls)> {
        Err(Error::new(Status::ENOS_ERR_UNSUPPORTED, "this build of libenos has no TLS"))
    }

    pub fn warn(&self) {
        match *self {}
    }

    pub fn explain(&self, _: &link::TlsFault) -> Option<String> {
        match *self {}
    }
}
