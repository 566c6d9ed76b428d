//! Links against a broker that nobody here wrote, from many threads. The rest is shown through the ABI.

use enos::transport::inbox::LinkEvent;
use enos::transport::link::{Link, LinkOptions};
use std::net::SocketAddr;
use support::mosquitto::Mosquitto;
use support::rig::{options, Rig};

fn named(address: SocketAddr, client_id: &str) -> LinkOptions {
    LinkOptions { client_id: client_id.into(), ..options(address) }
}

#[test]
fn threads_open_and_drop_links_without_regard_to_each_other() {
    let broker = Mosquitto::start();
    let address = broker.address();
    let threads: Vec<_> = (0..8)
        .map(|thread| {
            std::thread::spawn(move || {
                let mut rig = Rig::new();
                for round in 0..50u64 {
                    let link = Link::open(&named(address, &format!("{thread}-{round}")), round, &rig.inbox).unwrap();
                    assert!(matches!(rig.next_of_any(), (n, LinkEvent::Connected) if n == round));
                    link.publish("t", b"x", 1, round).unwrap();
                    if round % 3 == 0 {
                        rig.expect(&format!("Delivered({round})"));
                    }
                    if round % 3 == 1 {
                        link.disconnect(10_000);
                        rig.expect(&format!("Delivered({round})"));
                        rig.expect("Closed");
                    }
                    drop(link);
                    while !rig.is_quiet() {
                        assert!(matches!(rig.next_of_any(), (n, LinkEvent::Delivered { .. }) if n == round));
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}
