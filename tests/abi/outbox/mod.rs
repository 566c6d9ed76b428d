//! Durable messages.

mod broker_kills;
mod delivery;
mod limits;
mod replies;
mod storage;
