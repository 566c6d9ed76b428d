//! Durable messages.

mod broker_kills;
mod delivery;
mod limits;
mod replies;
mod storage;

use support::broker::Broker;
use support::host::{Setup, Store};

fn device(broker: &Broker, store: &Store) -> Setup {
    Setup::device(broker.address()).storage(store)
}
