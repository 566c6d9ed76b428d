//! The directory store in processes that die, and with power cuts.
//!
//! The tests fork: see [`tracer`].

mod kill;
mod power_cut;
mod processes;
mod queue;
mod tracer;

use std::path::Path;
use std::sync::Arc;

use enos::storage::directory::directory_create;
use enos::storage::vtable::HostStorage;

/// Opens `path`, makes it if it is missing, and takes over the storage.
fn open(path: &Path) -> Arc<HostStorage> {
    // SAFETY: the vtable is the library's own.
    unsafe { HostStorage::new(&directory_create(path).unwrap()) }.unwrap()
}
