//! An EnOS cloud for a desk: what a device sees of EnOS over MQTT, without an account.
//!
//! The binary `enos-sim` is for people; tests run the same cloud inside their own process:
//!
//! ```
//! use enos_sim::{Cloud, Config, Device, DeviceId};
//! use std::sync::mpsc;
//!
//! let (events, seen) = mpsc::channel();
//! let config = Config {
//!     listen: "127.0.0.1:0".parse().unwrap(),
//!     devices: vec![Device::inactive(DeviceId::new("pk", "dk"), "product-secret")],
//!     ..Config::default()
//! };
//! let cloud = Cloud::start(config, move |record| drop(events.send(record.clone()))).unwrap();
//! println!("a device may connect to {}", cloud.address());
//! cloud.stop();
//! assert!(seen.iter().count() > 0);
//! ```
//!
//! The simulator has its own implementation of the protocol. It shares no code with the library that it tests.
#![forbid(unsafe_code)]

pub mod ca;
mod clock;
mod cloud;
mod commands;
mod config;
mod connection;
mod device;
mod digest;
mod event;
mod fault;
mod file;
mod firmware;
mod gateways;
mod link;
mod login;
mod packet;
mod payload;
mod registry;
mod shared;
mod spoil;
mod subscriptions;
mod summary;
mod text;
mod thing;
mod throttle;
mod tls;
mod web;

pub use cloud::{Cloud, CommandError, OfferError};
pub use commands::Answer;
pub use config::{
    Activation, Block, Command, Completed, Config, CountedAs, Excess, FilterLimits, GatewayConfig, HmacSha1,
    HttpConfig, Limits, Methods, SecondLogin, Spelling, ThrottleConfig,
};
pub use connection::Publication;
pub use device::{Device, DeviceId, Product, Secret};
pub use event::{Event, Filter, Record, Rule, Stray, Unsent};
pub use fault::{Fault, FaultError};
pub use file::{read as read_file, Contents};
pub use firmware::{Digest, FileUrl, Firmware, Offer, Task, TaskState};
pub use payload::Payload;
pub use summary::{DeviceSummary, Summary};
pub use thing::Thing;
pub use tls::{TlsConfig, TlsVersion};
pub use web::HttpRequest;
