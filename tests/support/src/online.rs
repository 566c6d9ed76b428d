//! A link that is connected to a scripted broker.

use crate::broker::{Broker, Peer};
use crate::rig::{options, Rig};
use enos::transport::link::{Link, LinkOptions};

/// A connected link, and its peer.
pub fn online(rig: &mut Rig) -> (Link, Peer) {
    online_with(rig, |_| ())
}

pub fn online_with(rig: &mut Rig, change: impl FnOnce(&mut LinkOptions)) -> (Link, Peer) {
    let broker = Broker::bind();
    let mut options = options(broker.address());
    change(&mut options);
    let link = rig.open(&options);
    let peer = broker.accept_mqtt();
    rig.expect("Connected");
    (link, peer)
}
