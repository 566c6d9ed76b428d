//! Programs in C: the examples, the README's, and those in tests/c, as they are, under valgrind, and killed.

mod clients;
mod example_08;
mod examples;
mod examples_03_to_07;
mod flash_store;
mod kills;
mod memory;
mod outages;
mod power_cuts;
mod readme;
mod stack;
mod threads;
mod tls;
mod valgrind;
