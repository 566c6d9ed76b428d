//! Calls in callbacks, and from many threads.

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

#[test]
fn one_is_added_switched_and_removed_in_a_callback() {
    let desk = desk(2, |_| ());
    static ADDED: AtomicU64 = AtomicU64::new(0);
    let mut host = Setup::device(desk.address())
        .on_event(|client, told| {
            let is = |state: SubState| told.subdevice_state == state as i32;
            if told.name == "CONNECTED" {
                let ids = client.add_subdevices(&[Sub::new(&key(0))]).unwrap();
                ADDED.store(ids[0], Ordering::SeqCst);
            } else if is(SubState::Online) && told.user == 0 {
                // The token is accepted although its event comes later.
                client.request(&post(told.subdevice)).unwrap();
                assert_eq!(client.set_subdevice_online(told.subdevice, false), ENOS_OK);
            } else if is(SubState::Offline) && told.status == ENOS_OK {
                assert_eq!(client.remove_subdevice(told.subdevice), ENOS_OK);
            }
        })
        .start();
    host.connect();
    let reply = host.until("REPLY");
    assert_eq!(reply.subdevice, ADDED.load(Ordering::SeqCst));
    host.loop_until(|host| {
        let mut left = 0;
        host.subdevices(|_, _, _, _| {
            left += 1;
            true
        });
        left == 0 && desk.cloud.sub_devices_online().is_empty()
    });
}

#[test]
fn eight_threads_add_and_remove() {
    let desk = desk(80, |_| ());
    let mut host = Setup::device(desk.address()).start();
    host.connect();
    let client = host.client();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            scope.spawn(move || {
                for n in 0..10 {
                    let sub = Sub::new(&key(thread * 10 + n));
                    let id = client.add_subdevices(std::slice::from_ref(&sub)).unwrap()[0];
                    client.set_subdevice_online(id, n % 2 == 0);
                    client.set_subdevice_online(id, true);
                    if n % 3 == 0 {
                        assert_eq!(client.remove_subdevice(id), ENOS_OK);
                    }
                }
            });
        }
    });
    let mut ids = Vec::new();
    host.subdevices(|id, _, _, _| {
        ids.push(id);
        true
    });
    assert_eq!(ids.len(), 48);
    host.until_all(&ids, SubState::Online);
    host.loop_until(|_| desk.cloud.sub_devices_online().len() == 48);
}
