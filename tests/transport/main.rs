//! The transport below the ABI: links over the real Paho, against a scripted broker and Mosquitto.

#[cfg(feature = "tls")]
mod bad_network;
#[cfg(feature = "tls")]
mod both_ways;
mod calls;
mod churn;
mod connect;
mod end;
mod keeper;
mod messages;
mod mosquitto;
#[cfg(feature = "tls")]
mod process;
mod resolve;
mod signal;
#[cfg(feature = "tls")]
mod still;
