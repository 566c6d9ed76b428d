//! What stays in memory, and how much is taken. Each test is in a process of its own.

mod outbox;
mod panic;
mod wake;
