//! The transport below the ABI: links over the real Paho, against a scripted broker.

mod calls;
mod connect;
mod end;
mod resolve;
