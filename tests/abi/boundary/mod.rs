//! Every exported function, called as C calls it, with what C should not pass.

mod activation;
mod client;
mod config;
mod fault;
mod sign;
mod status;
mod storage;
mod support;
mod tls;
