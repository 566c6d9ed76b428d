//! The session in virtual time: single scenes, and random worlds that hold it to its promises.

mod calls;
mod hosts;
mod promises;
mod rivals;
mod scenes;
mod secrets;
mod world;
