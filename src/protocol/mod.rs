//! What EnOS says on the wire, as pure functions: no I/O, no clock, no unsafe.
#![forbid(unsafe_code)]
