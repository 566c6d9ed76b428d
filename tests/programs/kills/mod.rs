//! `kill -9` of a device: at every storage call, event and packet of an activation, over TCP and TLS; at every storage call and
//! event of a firmware update; and repeatedly.

mod activation;
mod device;
mod restarts;
mod subdevices;
mod updates;
