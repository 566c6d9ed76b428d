//! The state machine: (state, input, now) -> actions. No socket, clock, thread or callback.
#![forbid(unsafe_code)]
