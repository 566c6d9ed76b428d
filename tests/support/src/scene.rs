//! A client that is online with a scripted broker, and a broker that accepts everything.

use crate::broker::*;
use crate::host::{Host, Setup};
use std::io::{Read, Write};
use std::thread::JoinHandle;

/// A client, its broker, and the connection between them.
pub struct Scene {
    pub host: Host,
    pub peer: Peer,
    pub broker: Broker,
}

impl Scene {
    /// A client that is online; the library's thread runs the loop.
    pub fn new() -> Scene {
        Scene::with(|setup| setup)
    }

    /// The same with more settings.
    pub fn with(set: impl FnOnce(Setup) -> Setup) -> Scene {
        let broker = Broker::bind();
        let mut host = set(Setup::device(broker.address())).start();
        host.connect();
        let peer = broker.accept_mqtt();
        host.expect("CONNECTED");
        Scene { host, peer, broker }
    }

    /// Ends the connection, and accepts the next one.
    pub fn reconnect(&mut self) {
        self.peer.stream.shutdown(std::net::Shutdown::Both).unwrap();
        self.peer = self.broker.accept_mqtt();
        self.host.until("CONNECTED");
    }
}

impl Packet {
    /// The answer of a broker that accepts everything.
    pub fn answer(&self) -> Vec<u8> {
        match (self.kind, self.qos()) {
            (CONNECT, _) => connack(0),
            (PUBLISH, 1) => puback(self.id()),
            (SUBSCRIBE, _) => {
                let granted: Vec<u8> = self.filters().iter().map(|(_, qos)| qos & 1).collect();
                suback(self.id(), &granted)
            }
            (UNSUBSCRIBE, _) => unsuback(self.id()),
            (PINGREQ, _) => pingresp(),
            _ => Vec::new(),
        }
    }
}

impl Peer {
    /// The next SUBSCRIBE of one filter, granted or refused with this code; returns the filter and the QoS asked for.
    pub fn answer_subscribe(&mut self, code: u8) -> (String, u8) {
        let [filter] = self.answer_filters(&[code]).try_into().expect("one filter");
        filter
    }

    /// The next SUBSCRIBE, answered with these codes; returns each filter and the QoS asked for.
    pub fn answer_filters(&mut self, codes: &[u8]) -> Vec<(String, u8)> {
        let packet = self.expect(SUBSCRIBE);
        self.send(&suback(packet.id(), codes));
        packet.filters()
    }

    /// The next PUBLISH, at QoS 1, acknowledged.
    pub fn answer_publish(&mut self) -> Packet {
        let packet = self.expect(PUBLISH);
        assert_eq!(packet.qos(), 1, "{packet:?}");
        self.send(&puback(packet.id()));
        packet
    }
}

impl<S: Read + Write + Send + 'static> Peer<S> {
    /// Grants and acknowledges everything until the client has closed; returns the packets.
    pub fn oblige(mut self) -> JoinHandle<Vec<Packet>> {
        std::thread::spawn(move || {
            let mut packets = Vec::new();
            while let Some(packet) = self.try_read() {
                let answer = packet.answer();
                packets.push(packet);
                if !self.try_send(&answer) {
                    break;
                }
            }
            packets
        })
    }
}
