//! `kill -9` of a device: at every storage call, event and packet of an activation, over TCP and TLS; and repeatedly.

mod activation;
mod device;
mod restarts;
mod subdevices;
