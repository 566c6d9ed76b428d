//! The whole client, from its C functions down, on a storage that fails, lies, or takes its time.

mod activating;
mod known;
mod restart;
mod threads;
mod waiting;
mod wrong;

use support::desk::Desk;
use support::host::{Setup, Store};

/// A device of this cloud that may be activated.
fn device(desk: &Desk, key: &str, store: &Store) -> Setup {
    Setup::product(desk.address(), store).identity("pk", key).reconnect(100, 1_000)
}
