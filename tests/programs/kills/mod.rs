//! `kill -9` of a device: at every storage call, event and packet of an activation, over TCP and TLS; at every block of a
//! download; and repeatedly.

mod activation;
mod device;
mod ota;
mod restarts;
mod subdevices;
