//! How many filters a SUBSCRIBE packet has.

use super::*;

/// The broker accepts packets of up to 10 filters, and refuses all filters of a larger one.
#[test]
fn a_packet_that_is_refused_whole_is_asked_for_in_halves() {
    let mut desk = Desk::with_filters(200, 0);
    let mut packets = desk.link_up();
    let mut seen = Vec::new();
    while let Some(packet) = packets.pop() {
        seen.push(packet.1.len());
        packets.extend(desk.answer(&packet, |_| packet.1.len() <= 10));
    }
    assert!([100, 50, 25, 12, 6].iter().all(|size| seen.contains(size)), "{seen:?}");
    let told = desk.told();
    assert!(told.len() == 200 && told.iter().all(|(_, _, status)| *status == S::ENOS_OK), "{told:?}");
    desk.lose_link(true);
    assert!(sizes(&desk.link_up())[..33].iter().all(|size| *size == 6), "it is known from then on");
}

#[test]
fn a_broker_that_hangs_up_on_large_packets_gets_smaller_ones() {
    let mut desk = Desk::with_filters(100, 0);
    for size in [100, 50, 25, 12, 6, 3, 1, 1] {
        assert_eq!(desk.link_up()[0].1.len(), size);
        desk.lose_link(true);
    }
}

#[test]
fn a_link_that_ends_for_another_reason_leaves_the_packets_as_they_are() {
    let mut desk = Desk::with_filters(200, 0);
    desk.link_up();
    desk.lose_link(false);
    let packets = desk.link_up();
    desk.answer(&packets[0], |_| true);
    desk.lose_link(true);
    assert_eq!(sizes(&desk.link_up()), [100, 100], "one as large was answered on that link");
    let mut desk = Desk::with_filters(1, 0);
    desk.link_up();
    desk.lose_link(true);
    desk.subscribe(100);
    assert_eq!(sizes(&desk.link_up()), [100], "a single filter is as small as it gets");
}

/// An occasional loss does not lower a size that the broker has accepted before.
#[test]
fn a_link_that_is_lost_now_and_then_leaves_the_packets_as_they_are() {
    let mut desk = Desk::with_filters(100, 0);
    for _ in 0..20 {
        let packets = desk.link_up();
        assert_eq!(sizes(&packets), [100]);
        desk.answer(&packets[0], |_| true);
        desk.lose_link(true);
        assert_eq!(sizes(&desk.link_up()), [100]);
        desk.lose_link(true);
    }
    // A broker that accepts less than before closes each connection.
    for size in [100, 50, 50, 25, 25] {
        assert_eq!(desk.link_up()[0].1.len(), size);
        desk.lose_link(true);
    }
}

#[test]
fn forbidden_filters_are_no_reason_for_smaller_packets() {
    for (host, reply_topics) in [(2, 200), (100, 0)] {
        let mut desk = Desk::with_filters(host, reply_topics);
        for _ in 0..3 {
            let mut packets = VecDeque::from(desk.link_up());
            assert_eq!(packets.len(), 1 + reply_topics / 100);
            while let Some(packet) = packets.pop_front() {
                packets.extend(desk.answer(&packet, |filter| !filter.starts_with("f/")));
            }
            let refused = desk.told().iter().filter(|(_, _, status)| *status == S::ENOS_ERR_REFUSED).count();
            assert_eq!(refused, host);
            desk.lose_link(false);
        }
    }
}

#[test]
fn the_packets_grow_again_once_the_broker_takes_them() {
    let mut desk = Desk::with_filters(100, 0);
    for _ in 0..7 {
        desk.link_up();
        desk.lose_link(true);
    }
    for size in [1, 2, 4, 8, 16, 32, 64, 100] {
        for _ in 0..2 {
            let packets = desk.link_up();
            assert_eq!(packets[0].1.len(), size);
            packets.iter().for_each(|packet| assert!(desk.answer(packet, |_| true).is_empty()));
            // A link that is lost before any answer changes nothing.
            desk.lose_link(true);
            assert!(desk.link_up()[0].1.len() >= size);
            desk.lose_link(true);
        }
    }
}

/// Each attempt to grow costs two connections.
#[test]
fn a_broker_that_hangs_up_on_large_packets_is_tried_less_and_less() {
    let mut desk = Desk::with_filters(100, 0);
    let mut hung_up = Vec::new();
    for link in 0..1_000 {
        let packets = desk.link_up();
        let too_large = packets[0].1.len() > 10;
        if too_large {
            hung_up.push(link);
        } else {
            packets.iter().for_each(|packet| assert!(desk.answer(packet, |_| true).is_empty()));
        }
        desk.lose_link(too_large);
    }
    assert_eq!(hung_up[..10], [0, 1, 2, 3, 6, 7, 12, 13, 22, 23]);
    assert!(hung_up.len() < 50, "{hung_up:?}");
}
