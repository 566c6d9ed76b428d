//! What EnOS tells the gateway of its sub-devices, and their commands.

use super::*;

fn order(park: &mut Park, what: &str, keys: &[usize]) {
    let devices: Vec<_> = keys.iter().map(|key| json!({"productKey": "sub", "deviceKey": Park::key(*key)})).collect();
    let body = json!({"id": "900", "method": format!("combine.{what}"), "params": devices});
    park.message(&format!("/ext/session/pk/dk/combine/{what}"), &body);
}

#[test]
fn a_disabled_one_waits_until_it_is_enabled() {
    let (mut park, ids) = Park::online(3);
    order(&mut park, "disable", &[1]);
    assert_eq!(park.told(), [(ids[1], State::Disabled, S::ENOS_OK, 0)]);
    park.cloud.refused.insert(Park::key(1), 723);
    park.wait(3_600_000);
    assert!(park.cloud.logins.is_empty());
    // One login is tried on a new link: it may have been enabled while the gateway was offline.
    park.lose_link();
    park.wait(3_600_000);
    let of_it = park.cloud.logins.iter().filter(|(_, keys)| keys.contains(&Park::key(1))).count();
    assert_eq!(of_it, 1);
    assert_eq!(park.states(&ids), [State::Online, State::Disabled, State::Online]);
    park.cloud.refused.clear();
    order(&mut park, "enable", &[1]);
    park.wait(10_000);
    assert_eq!(park.states(&ids), [State::Online; 3]);
}

#[test]
fn a_disabled_one_that_was_enabled_meanwhile_is_back_on_the_next_link() {
    let (mut park, ids) = Park::online(2);
    order(&mut park, "disable", &[0, 1]);
    park.lose_link();
    park.wait(200_000);
    assert_eq!(park.states(&ids), [State::Online; 2]);
}

#[test]
fn a_deleted_one_comes_back_by_the_host_or_by_enable_only() {
    let mut park = Park::new();
    let new = |n: usize| NewSubdevice { add_topology: true, ..Park::new_one(&Park::key(n)) };
    let ids = park.try_add((0..2).map(new).collect()).unwrap();
    park.connect();
    order(&mut park, "delete", &[0, 1]);
    park.cloud.not_in_topology = (0..2).map(Park::key).collect();
    park.forget();
    for _ in 0..3 {
        park.lose_link();
        park.wait(1_000_000);
    }
    assert_eq!(park.states(&ids), [State::Deleted; 2]);
    assert!(park.cloud.logins.is_empty() && park.cloud.topology.is_empty());
    park.cloud.not_in_topology.clear();
    order(&mut park, "enable", &[0]);
    park.set_online(ids[1], true);
    park.wait(10_000);
    assert_eq!(park.states(&ids), [State::Online; 2]);
    assert!(park.cloud.topology.is_empty());
}

/// EnOS may send an object as well, and the answer to a login may come after the order.
#[test]
fn an_order_counts_more_than_the_answer_to_an_earlier_login() {
    let mut park = Park::new();
    park.cloud.holds = true;
    let ids = park.add(1);
    park.connect();
    let device = json!({"productKey": "sub", "deviceKey": Park::key(0)});
    park.message(
        "/ext/session/pk/dk/combine/disable",
        &json!({"id": "1", "method": "combine.disable", "params": device}),
    );
    park.deliver();
    assert_eq!(park.states(&ids), [State::Disabled]);
}

#[test]
fn an_order_is_answered_and_unknown_devices_are_none() {
    let (mut park, ids) = Park::online(1);
    order(&mut park, "disable", &[7]);
    order(&mut park, "disable", &[]);
    assert_eq!(park.states(&ids), [State::Online]);
    let body = json!({"id": "1", "method": "combine.disable", "params": 7});
    park.message("/ext/session/pk/dk/combine/disable", &body);
    assert_eq!(park.states(&ids), [State::Online]);
}
