//! The use of memory. Each test is in a process of its own.

mod allocations;
#[cfg(target_env = "gnu")] // mallinfo2
mod clients;
#[cfg(all(target_env = "gnu", feature = "tls"))]
mod downloads;
#[cfg(target_env = "gnu")]
mod held;
#[cfg(target_env = "gnu")]
mod outbox;
mod panic;
#[cfg(target_env = "gnu")]
mod subdevices;
mod values;
mod wake;
