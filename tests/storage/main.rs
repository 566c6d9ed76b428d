//! The storage module: a host that misbehaves, records that must stay readable, a file system that refuses.

mod crash;
mod directory;
mod opening;
mod records;
mod refusals;
mod vtable;
