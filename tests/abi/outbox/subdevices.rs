//! Durable messages of sub-devices, as the host keeps them. What is sent is in the tests of sub-devices.

use enos::internals::error::Status::*;
use enos::internals::protocol::Operation;
use support::broker::*;
use support::host::*;

use super::{params, KEPT};

/// A client with these sub-devices, offline.
fn gateway(store: &Store, keys: &[&str]) -> (Host, Vec<u64>) {
    let host = Setup::device(nobody()).storage(store).start();
    let subs: Vec<Sub> = keys.iter().map(|key| Sub::new(key)).collect();
    let ids = host.add_subdevices(&subs).unwrap();
    (host, ids)
}

/// A durable post of a device.
fn post(subdevice: u64, params: &str) -> Ask<'_> {
    Ask { subdevice, flags: KEPT, ..Ask::json(Operation::ENOS_OP_MEASUREPOINT_POST, params) }
}

fn tokens(kept: &[Kept]) -> Vec<u64> {
    kept.iter().map(|kept| kept.token).collect()
}

#[test]
fn a_batch_over_several_devices_is_all_or_nothing() {
    let store = Store::new();
    let (host, ids) = gateway(&store, &["a", "b"]);
    let (a, b) = (ids[0], ids[1]);
    let numbers: Vec<String> = (0..5).map(params).collect();
    let asks: Vec<Ask> = [b, 0, a, 0, b].iter().zip(&numbers).map(|(id, params)| post(*id, params)).collect();
    let all = host.request_batch(&asks).unwrap();
    for (id, expected) in [(0, [1, 3].as_slice()), (a, &[2]), (b, &[0, 4])] {
        let shown = host.waiting_of(id);
        assert_eq!(tokens(&shown), expected.iter().map(|at| all[*at]).collect::<Vec<_>>());
        let payloads = expected.iter().map(|at| numbers[*at].clone().into_bytes()).collect::<Vec<_>>();
        assert_eq!(shown.into_iter().map(|kept| kept.payload).collect::<Vec<_>>(), payloads);
        assert_eq!(host.outbox_info_of(id).unwrap().messages, expected.len() as u64);
    }
    // Each token says whose message it is.
    for (token, ask) in all.iter().zip(&asks) {
        let id = if token >> 63 == 0 { 0 } else { token << 1 >> 43 };
        assert_eq!((id, *token >= 1 << 62), (ask.subdevice, true), "{token:#x}");
    }
    let (keys, number) = (store.keys("out"), store.number());
    store.answer(move |call| (call.is_store() && call.number > number + 2).then_some(-5));
    assert_eq!(host.request_batch(&asks), Err((ENOS_ERR_STORAGE, usize::MAX)));
    store.mend();
    assert_eq!(store.keys("out"), keys);
    let unknown = [post(a, &numbers[0]), post(77, &numbers[1])];
    assert_eq!(host.request_batch(&unknown), Err((ENOS_ERR_NOT_FOUND, 1)));
    assert!(last_error().contains("sub-device 77"), "{}", last_error());
    assert_eq!([0, a, b].map(|id| host.waiting_of(id).len()), [2, 1, 2]);
    assert_eq!(host.outbox_info_of(77).err(), Some(ENOS_ERR_NOT_FOUND));
}

#[test]
fn what_waits_is_found_by_the_keys_of_the_subdevice_and_dropped_by_its_token() {
    let store = Store::new();
    let (one, two) = (params(1), params(2));
    let (host, ids) = gateway(&store, &["a", "b"]);
    let a = host.request(&post(ids[0], &one)).unwrap();
    let b = [1, 2].map(|_| host.request(&post(ids[1], &two)).unwrap());
    assert_eq!(host.remove_subdevice(ids[0]), ENOS_OK);
    assert_eq!(host.request(&post(ids[0], &one)), Err(ENOS_ERR_NOT_FOUND));
    assert_eq!((host.drop_message(a), host.drop_message(b[0])), (ENOS_ERR_NOT_FOUND, ENOS_OK));
    // Added again, it has another id, and its messages.
    let again = host.add_subdevices(&[Sub::new("a")]).unwrap()[0];
    assert_eq!(host.waiting_of(again)[0].payload, one.as_bytes());
    assert_ne!(host.waiting_of(again)[0].token, a);
    host.destroy();
    // Now the ids are the other way round.
    let (host, ids) = gateway(&store, &["b", "a"]);
    let shown = [ids[0], ids[1]].map(|id| host.waiting_of(id));
    assert_eq!([&shown[0][0].payload, &shown[1][0].payload], [two.as_bytes(), one.as_bytes()]);
    assert_eq!(shown.each_ref().map(Vec::len), [1, 1]);
    let token = shown[1][0].token;
    assert_eq!((host.drop_message(token), host.drop_message(token)), (ENOS_OK, ENOS_ERR_NOT_FOUND));
    assert_eq!([ids[0], ids[1]].map(|id| host.waiting_of(id).len()), [1, 0]);
}

#[test]
fn the_limits_are_for_each_device() {
    let store = Store::new();
    let mut host = Setup::device(nobody()).storage(&store).outbox_limits(2, 4096, 0).start();
    let id = host.add_subdevices(&[Sub::new("a")]).unwrap()[0];
    let one = params(1);
    for of in [0, id] {
        let taken = [(); 3].map(|()| host.request(&post(of, &one)));
        assert_eq!((taken[0].is_ok(), taken[1].is_ok(), taken[2]), (true, true, Err(ENOS_ERR_QUEUE_FULL)));
    }
    assert_eq!(host.drop_message(host.waiting_of(id)[0].token), ENOS_OK);
    assert_eq!(host.until("ROOM").subdevice, id);
}
