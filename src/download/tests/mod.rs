//! The download with a server and a sink in virtual time.

mod faults;
mod random;
mod world;
