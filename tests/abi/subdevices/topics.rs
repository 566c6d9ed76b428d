//! The topics of replies are subscribed to, and given up, with few packets.

use super::*;

#[test]
fn two_hundred_activations_need_few_subscribe_packets() {
    let subs = (0..200).map(|n| Device::inactive(sub_id(n), SUB_PRODUCT_SECRET).behind(device_id()));
    let all = [Device::active(device_id(), DEVICE_SECRET).gateway()].into_iter().chain(subs).collect();
    let desk = Desk::active(|config| config.devices = all);
    let mut host = Setup::device(desk.address()).storage(&Store::new()).inflight(1_000).start();
    let ids = host.add_subdevices(&(0..200).map(|n| Sub::unactivated(&key(n))).collect::<Vec<_>>()).unwrap();
    host.connect();
    host.until_all(&ids, SubState::Online);
    post_for_all(&mut host, &ids);
    // One for the replies to logins, and one for each batch. A slow machine may need some more.
    let packets = desk.count(is_subscribe);
    assert!(packets <= 8, "{packets}");
}

#[test]
fn the_topics_of_removed_sub_devices_are_given_up_and_wanted_again() {
    let desk = desk(60, |_| ());
    let (mut host, ids) = online(&desk, 60);
    for id in &ids {
        assert_eq!(host.remove_subdevice(*id), ENOS_OK);
    }
    let again = host.add_subdevices(&subs(30)).unwrap();
    host.until_all(&again, SubState::Online);
    post_for_all(&mut host, &again);
    let given_up = || {
        let topics = std::sync::Mutex::new(Vec::new());
        let packets = desk.count(|event| match event {
            Event::Unsubscribe { filters } => {
                topics.lock().unwrap().extend(filters.clone());
                true
            }
            _ => false,
        });
        (packets, topics.into_inner().unwrap())
    };
    host.loop_until(|_| given_up().1.len() >= 60);
    let (packets, topics) = given_up();
    assert_eq!(topics.len(), 60, "each once");
    assert!(packets < 30, "{packets}");
}
