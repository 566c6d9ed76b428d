//! The transport below the ABI: links over the real Paho, against a scripted broker and Mosquitto.

mod calls;
mod connect;
mod end;
mod messages;
mod mosquitto;
mod resolve;
