//! Shows that each fix is needed and works, and that no broker brings the mended Paho down.
//!
//! Paho is C, so its clients run in a C program (c/driver.c) under gcc's sanitizers, one process for each test; the
//! broker is a thread of the test.

#[path = "../../build/fixes.rs"]
mod fixes;

mod broker;
mod driver;
mod fuzz;
mod hardened;
mod hostile;
mod linked;
mod many;
mod pace;
mod packets;
mod patches;
mod process;
mod tls;
mod variant;
mod writes;
