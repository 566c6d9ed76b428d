//! Shared by the test programs: the scripted broker, hosts of the library, the simulator and Mosquitto as their peers,
//! C programs that the tests build, and the search of a process's memory.
#![allow(
    clippy::new_without_default,
    clippy::not_unsafe_ptr_arg_deref,
    clippy::should_implement_trait,
    reason = "these are for a library that strangers use"
)]

pub mod account;
pub mod alone;
pub mod broker;
pub mod desk;
pub mod ends;
pub mod gate;
pub mod host;
pub mod http;
pub mod log;
pub mod memory;
pub mod mosquitto;
pub mod native;
pub mod nginx;
pub mod online;
pub mod parallel;
pub mod program;
pub mod proxy;
pub mod rig;
pub mod scene;
pub mod tls;
pub mod wire;
