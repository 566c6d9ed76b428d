//! Programs in C: the examples, the README's, and those in tests/c, as they are, under valgrind, and killed.

mod c;
mod examples;
mod kills;
mod memory;
mod outages;
mod power_cuts;
mod readme;
mod stack;
