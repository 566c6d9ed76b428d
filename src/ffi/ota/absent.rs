//! What stands here in a build without downloads.

use std::sync::Arc;

use super::{enos_firmware, enos_ota_options, enos_ota_sink};
use crate::client::Client;
use crate::error::{Error, Result, Status};

pub fn download(
    _: &Arc<Client>,
    _: *const enos_firmware,
    _: *const enos_ota_sink,
    _: *const enos_ota_options,
    _: *mut u64,
) -> Result<()> {
    Err(none())
}

pub fn go_on(_: &Client, _: u64, _: i32) -> Result<()> {
    Err(none())
}

pub fn cancel(_: &Client, _: u64) -> Result<()> {
    Err(none())
}

fn none() -> Error {
    Error::new(Status::ENOS_ERR_UNSUPPORTED, "this build of libenos has no downloads; enos_features() tells")
}
