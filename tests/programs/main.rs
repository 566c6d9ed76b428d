//! Programs in C: the examples, the README's program, and those in tests/c; normally, under valgrind, and killed.

mod c;
mod examples;
mod kept;
mod kills;
mod memory;
mod outages;
mod power_cuts;
mod readme;
mod stack;
