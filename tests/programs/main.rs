//! Programs in C: the examples, the README's, and those in tests/c, as they are, under valgrind, and killed.

mod c;
mod clients;
mod examples;
mod flash_store;
mod kills;
mod memory;
mod outages;
mod power_cuts;
mod readme;
mod threads;
mod tls;
mod valgrind;
