//! Lost links: after each of them every sub-device is served as before.

use super::*;
use support::proxy::{Point, Proxy};

/// How many packets a login round has at most, in both directions together.
const PACKETS: usize = 30;

/// How many sub-devices, how many of them are in a login, and how many links are lost.
fn size() -> (usize, u32, usize) {
    if std::env::var_os("ENOS_SOAK").is_some() {
        (200, 100, 60)
    } else {
        (40, 20, 6)
    }
}

/// Each has a durable message, a post and a command for each link, and the connection ends at each packet of the login
/// round.
#[test]
fn the_link_ends_at_each_packet_of_a_login_round() {
    let (count, together, links) = size();
    let (desk, store) = (desk(count, |_| ()), Store::new());
    let proxy = Proxy::start(desk.address());
    let setup = Setup::device(proxy.address()).storage(&store).outbox_rate(0);
    let mut host = setup.inflight(1_000).subdevice_batch(together).command_limits(1_000, 1 << 20).start();
    let ids = host.add_subdevices(&subs(count)).unwrap();
    let are_online = |host: &Host| ids.iter().all(|id| host.subdevice_state(*id) == SubState::Online as i32);
    host.connect();
    host.loop_until(are_online);
    for link in 0..links {
        let before = proxy.connects().len();
        // In an order in which the first few are spread.
        proxy.arm(Point::End(1 + link * 7 % PACKETS));
        proxy.cut();
        let params = params(link as u32);
        let batch: Vec<Ask> = ids.iter().map(|id| kept(*id, &params)).collect();
        let tokens = host.request_batch(&batch).unwrap();
        let outcomes = host.outcomes(&tokens);
        for (token, id) in tokens.iter().zip(&ids) {
            assert_eq!((outcomes[token].status, outcomes[token].subdevice), (ENOS_OK, *id), "{:?}", outcomes[token]);
        }
        // The device may not know yet that its connection has ended.
        let connects = before + 1 + usize::from(proxy.disarm());
        host.loop_until(|host| proxy.connects().len() >= connects && are_online(host));
        host.seen.clear();
        post_for_all(&mut host, &ids);
        for n in 0..count {
            desk.cloud.command(&sub_id(n), "thing/service/x", json!({"link": link})).unwrap();
        }
        for (n, id) in ids.iter().enumerate() {
            let told = host.until("COMMAND");
            assert_eq!((told.subdevice, told.user), (*id, 1000 + n), "link {link}");
        }
        let is_answer = |event: &Event| matches!(event, Event::CommandReply { code: Some(1101), .. });
        host.loop_until(|_| desk.count(is_answer) == count * (link + 1));
        host.seen.clear();
    }
    assert_eq!(host.flush(PATIENCE_MS), ENOS_OK);
    for n in 0..count {
        // The post has no number.
        let mut there = numbers(&desk, n);
        there.dedup();
        assert_eq!(there, (0..links as u64).collect::<Vec<_>>(), "{n}");
    }
    let is_early = |event: &Event| matches!(event, Event::Reply { code: 1009, .. });
    assert_eq!(desk.count(is_early), 0, "nothing of a sub-device goes out before its login");
}
