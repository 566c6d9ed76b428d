//! Every type of packet, well formed and not, at every moment; the link broken in every way.

use crate::{
    broker::{connack, packet, publish, Broker, Peer},
    driver::Driver,
    variant::{fixed, Flavour::*},
};
use std::time::Duration;

/// What the client is doing when the packet comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    BeforeConnack,
    WithConnack,
    Idle,
    Publishing(u8),
    Releasing,
    Subscribing,
    Unsubscribing,
    Disconnecting,
}

use Moment::*;

const MOMENTS: [Moment; 9] = [
    BeforeConnack,
    WithConnack,
    Idle,
    Publishing(1),
    Publishing(2),
    Releasing,
    Subscribing,
    Unsubscribing,
    Disconnecting,
];

/// How the link ends after the packet.
#[derive(Clone, Copy, Debug)]
enum Ending {
    Closed,
    Reset,
    HalfClosed,
    /// By the client, which is destroyed.
    Destroyed,
}

use Ending::*;

/// Packets for the exchange with this id, which is the one that is under way, if any is.
pub fn packets(id: [u8; 2]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    let long = [id[0], id[1], 0xff, 0, 1, 2, 0x80, 3, 200, 201];
    for kind in 0..16u8 {
        for (flags, length) in [(0, 0), (0, 1), (0, 2), (2, 2), (0, 3), (0, 4), (15, 10)] {
            all.push(packet(kind << 4 | flags, &long[..length]));
        }
        all.push(packet(kind << 4, &[0xff; 300]));
    }
    for qos in 0..4 {
        for (topic, payload) in [("in/topic", &b"payload"[..]), ("in/topic", b""), ("", b"x"), ("a\0b", &[0; 2000])] {
            all.push(publish(qos, u16::from_be_bytes(id), topic, payload));
            all.push(publish(qos, 0, topic, payload));
        }
        all.push(packet(0x38 | qos << 1, b"\0\x04\xff\xfe\xc0\x80\0\x01")); // a duplicate; a topic that is not UTF-8
        all.push(packet(0x30 | qos << 1, b"\xff\xfftopic")); // a topic longer than its packet
        all.push(packet(0x30 | qos << 1, b"\0"));
    }
    // Two at once, and exchanges that nobody began.
    all.push([publish(2, 1, "in", b"1"), publish(2, 1, "in", b"2"), packet(0x62, &[0, 1])].concat());
    all.push([packet(0x40, &id), packet(0x40, &id)].concat());
    all.push([packet(0x50, &id), packet(0x50, &id), packet(0x70, &id), packet(0x70, &id)].concat());
    all.push([connack(0), connack(0)].concat());
    all.push(vec![0x20, 2, 0, 5]);
    // Lengths: five bytes of it, all there may be, a little more than comes, and none.
    all.push(vec![0x30, 0xff, 0xff, 0xff, 0xff, 0x01]);
    all.push(vec![0x30, 0xff, 0xff, 0xff, 0x7f, 0, 1]);
    all.push(vec![0x32, 9, 0, 1, b'a', 0]);
    all.push(vec![0x90, 0x80]);
    all.push(vec![0x30]);
    all
}

/// Brings client 0 to the moment; the id of the exchange under way.
fn arrange(driver: &mut Driver, broker: &Broker, moment: Moment) -> (Peer, [u8; 2]) {
    driver.tell(&format!("create 0 {}", broker.port()));
    driver.tell("limit 0 100000");
    driver.tell("connect 0");
    let mut peer = broker.accept();
    peer.expect(1);
    if matches!(moment, BeforeConnack | WithConnack) {
        return (peer, [0, 1]);
    }
    peer.try_send(&connack(0));
    driver.event("@0 up");
    let sent = match moment {
        Publishing(qos) => {
            driver.tell(&format!("publish 0 {qos} 100"));
            peer.expect(3)
        }
        Releasing => {
            driver.tell("publish 0 2 100");
            let id = peer.expect(3).body[11..13].to_vec();
            peer.try_send(&packet(0x50, &id));
            peer.expect(6);
            return (peer, [id[0], id[1]]);
        }
        Subscribing => {
            driver.tell("subscribe 0 2");
            peer.expect(8)
        }
        Unsubscribing => {
            driver.tell("unsubscribe 0 1");
            peer.expect(10)
        }
        Disconnecting => {
            driver.tell("publish 0 1 100");
            let sent = peer.expect(3);
            driver.tell("disconnect 0 10000");
            sent
        }
        _ => return (peer, [0, 1]),
    };
    let at = if sent.kind == 3 { 11 } else { 0 };
    (peer, [sent.body[at], sent.body[at + 1]])
}

/// One outcome, and not two, for what the moment began.
fn outcomes(driver: &mut Driver, moment: Moment) -> bool {
    let count = |driver: &mut Driver, words: &[&str]| {
        let events = driver.events();
        events.filter(|event| words.iter().any(|word| event[3..].starts_with(word))).count()
    };
    match moment {
        BeforeConnack | WithConnack => count(driver, &["up", "refused"]) <= 1,
        Publishing(_) | Releasing => count(driver, &["published", "unpublished"]) == 1,
        Subscribing | Unsubscribing => count(driver, &["subscribed", "unsubscribed", "unanswered"]) == 1,
        Disconnecting => {
            count(driver, &["published", "unpublished"]) == 1 && count(driver, &["disconnected", "lost"]) <= 1
        }
        Idle => true,
    }
}

#[test]
fn no_packet_at_any_moment_brings_it_down() {
    let broker = Broker::bind();
    let mut driver = Driver::start(&fixed(Address));
    let mut cases = 0;
    for moment in MOMENTS {
        for (number, ending) in
            (0..packets([0, 1]).len()).zip([Closed, Reset, HalfClosed, Destroyed].into_iter().cycle())
        {
            let (mut peer, id) = arrange(&mut driver, &broker, moment);
            let bytes = &packets(id)[number];
            match moment {
                WithConnack => peer.try_send(&[&connack(0), &bytes[..]].concat()),
                _ => peer.try_send(bytes),
            };
            let case = format!("{moment:?}, {ending:?}, {:02x?}", &bytes[..bytes.len().min(20)]);
            driver.note(&case);
            let over = match ending {
                Destroyed => true,
                Closed => {
                    drop(peer);
                    driver.wait_for_end()
                }
                Reset => {
                    peer.reset();
                    driver.wait_for_end()
                }
                HalfClosed => {
                    peer.half_close();
                    driver.wait_for_end() && peer.closed_within(Duration::from_secs(10))
                }
            };
            driver.number("destroy 0");
            if !over || !outcomes(&mut driver, moment) {
                driver.fail(&case);
            }
            driver.forget();
            cases += 1;
        }
    }
    println!("{cases} hostile cases");
    driver.end_clean();
}

#[test]
fn a_reset_under_load_frees_everything_once() {
    let broker = Broker::bind();
    let mut driver = Driver::start(&fixed(Address));
    for round in 0..30 {
        driver.tell(&format!("create 0 {}", broker.port()));
        driver.tell("burst 0 100");
        driver.tell("connect 0");
        let mut peer = broker.accept();
        peer.welcome();
        for _ in 0..round {
            peer.expect(3); // a little later each time
        }
        peer.reset();
        driver.event("@0 lost");
        driver.number("destroy 0");
        driver.forget();
    }
    driver.end_clean();
}

#[test]
fn clients_come_and_go_under_load() {
    let broker = Broker::bind().narrow();
    let mut driver = Driver::start(&fixed(Address));
    let port = broker.port();
    driver.tell(&format!("create 0 {port}"));
    driver.tell("connect 0");
    let mut first = broker.accept();
    first.welcome();
    driver.event("@0 up");
    first.serve();
    // Every client that comes is greeted with messages, and every third is reset.
    let flood = publish(0, 0, "in/flood", &[7; 500]).repeat(20);
    let server = std::thread::spawn(move || {
        for number in 0.. {
            let Some(mut peer) = broker.accept_within(Duration::from_secs(2)) else { return number };
            peer.try_send(&[&connack(0)[..], &flood].concat());
            if number % 3 == 0 {
                peer.reset();
            }
        }
        0
    });
    driver.tell(&format!("churn 10 1 {port}"));
    for _ in 0..100 {
        driver.ask("publish 0 1 20000");
        if driver.event_within("@0 published", Duration::from_secs(10)).is_none() {
            driver.fail("the steady client stands still");
        }
        driver.forget();
    }
    driver.tell("churn 0 0");
    driver.end_clean();
    println!("{} clients came and went", server.join().unwrap());
}
