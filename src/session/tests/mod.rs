//! Tests of the session in virtual time: single scenes, and random worlds that check its promises.

mod calls;
mod hosts;
mod promises;
mod rivals;
mod scenes;
mod secrets;
pub mod world;

use super::*;
use crate::error::Status;

pub fn lost(reason: &str) -> LinkEvent {
    LinkEvent::Lost { status: Status::ENOS_ERR_NETWORK, reason: reason.into() }
}
