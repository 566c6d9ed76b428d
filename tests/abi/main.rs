//! The library as firmware uses it: through the functions of enos.h, with a scripted broker, the simulator, or
//! Mosquitto.

mod activation_faults;
mod activation_message;
mod addresses;
mod boundary;
mod callbacks;
mod calls;
mod channel;
mod chaos;
mod commands;
mod faults;
mod idle;
mod json;
mod log;
mod login;
mod looping;
mod mosquitto;
mod ota;
mod outbox;
mod posts;
mod process;
mod reasons;
mod requests;
mod still;
mod storage;
mod subdevices;
mod subscriptions;
#[cfg(feature = "tls")]
mod tls;
mod wire;
