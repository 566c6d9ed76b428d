//! The transport below the ABI: links over the real Paho, against a scripted broker.

#[cfg(feature = "tls")]
mod bad_network;
#[cfg(feature = "tls")]
mod both_ways;
mod calls;
mod connect;
mod end;
mod keeper;
#[cfg(feature = "tls")]
mod process;
mod resolve;
#[cfg(feature = "tls")]
mod still;
#[cfg(feature = "tls")]
mod writes;
