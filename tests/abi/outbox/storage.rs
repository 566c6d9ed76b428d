//! The outbox and its storage: the cost of a message, and a storage that fails, fills up or damages values.

use enos::internals::error::Status::*;
use support::broker::*;
use support::host::*;

use super::device;

fn batch<'a>(payloads: &'a [Vec<u8>]) -> Vec<Durable<'a>> {
    payloads.iter().map(|payload| Durable { topic: Some("t"), payload, flags: 0 }).collect()
}

fn payloads(count: usize, len: usize) -> Vec<Vec<u8>> {
    (0..count).map(|n| vec![n as u8; len]).collect()
}

/// A device that is online with a broker that acknowledges everything.
fn obliged(setup: Setup, broker: &Broker) -> (Host, std::thread::JoinHandle<Vec<Packet>>) {
    let mut host = setup.start();
    host.connect();
    let thread = broker.accept_mqtt().oblige();
    host.until("CONNECTED");
    (host, thread)
}

/// The published messages, when the client is gone.
fn published(host: Host, thread: std::thread::JoinHandle<Vec<Packet>>) -> Vec<Vec<u8>> {
    host.destroy();
    let packets = thread.join().unwrap();
    packets.iter().filter(|packet| packet.kind == PUBLISH).map(|packet| packet.payload().to_vec()).collect()
}

/// The bound: a store and an erase for each message or batch, and one index for 16 stores and for 16 erases, which is
/// the same index while a device is online. Each opening of the queue may add an index or two.
#[test]
fn a_message_costs_two_calls_and_a_sixteenth() {
    const MESSAGES: usize = 1600;
    const INDEXES: usize = MESSAGES / 16;
    let (broker, store) = (Broker::bind(), Store::new());
    // Accepted offline and sent later: both ends move separately, and each stores its index.
    let host = device(&broker, &store).start();
    assert_eq!(host.waiting(), 0);
    store.calls();
    for number in 0..MESSAGES {
        host.publish_durable("t", &number.to_le_bytes()).unwrap();
    }
    let calls = store.calls();
    println!("accepting {MESSAGES} messages: {calls:?}");
    assert_eq!((calls.loads, calls.erases), (0, 0));
    assert!(calls.stores <= MESSAGES + INDEXES + 2, "{calls:?}");
    host.connect();
    let thread = broker.accept_mqtt().oblige();
    assert_eq!(host.flush(PATIENCE_MS), ENOS_OK);
    let calls = store.calls();
    println!("sending them: {calls:?}");
    assert_eq!(calls.erases, MESSAGES);
    // One index of the queue. The budget's record is stored before and after the CONNECT.
    assert!(calls.stores <= INDEXES + 6, "{calls:?}");
    assert!(calls.loads <= MESSAGES + 4, "{calls:?}");
    // Online, one message at a time: nothing is read, and mostly both ends share an index.
    for number in 0..MESSAGES {
        host.publish_durable("t", &number.to_le_bytes()).unwrap();
        if number % 10 == 9 {
            assert_eq!(host.flush(PATIENCE_MS), ENOS_OK);
        }
    }
    let calls = store.calls();
    println!("online: {calls:?}");
    assert_eq!((calls.loads, calls.erases), (0, MESSAGES));
    assert!(calls.stores <= MESSAGES + INDEXES + INDEXES / 4, "{calls:?}");
    assert_eq!(published(host, thread).len(), 2 * MESSAGES);
}

#[test]
fn a_batch_costs_one_store_and_one_erase_and_goes_out_in_order() {
    let (broker, store) = (Broker::bind(), Store::new());
    let host = device(&broker, &store).start();
    assert_eq!(host.waiting(), 0);
    // The very first message also stores an index.
    host.publish_durable("t", b"first").unwrap();
    store.calls();
    let payloads = payloads(200, 100);
    let tokens = host.publish_batch(&batch(&payloads)).unwrap();
    assert!(tokens.is_sorted());
    assert_eq!(store.calls(), Calls { loads: 0, stores: 1, erases: 0 });
    assert_eq!((host.waiting(), store.keys("out").len()), (201, 2));
    host.connect();
    let thread = broker.accept_mqtt().oblige();
    assert_eq!(host.flush(PATIENCE_MS), ENOS_OK);
    assert_eq!(store.calls().erases, 2);
    assert_eq!(published(host, thread)[1..], payloads);
}

#[test]
fn a_batch_is_taken_whole_or_not_at_all() {
    let (broker, store) = (Broker::bind(), Store::new());
    let host = device(&broker, &store).outbox_limits(10, 1 << 20, 0).start();
    let seven = payloads(7, 10);
    host.publish_batch(&batch(&seven)).unwrap();
    assert_eq!(host.publish_batch(&batch(&seven)), Err(ENOS_ERR_QUEUE_FULL));
    assert_eq!(host.publish_batch(&batch(&payloads(11, 10))), Err(ENOS_ERR_TOO_LARGE));
    assert_eq!(host.publish_batch(&batch(&payloads(2, 40_000))), Err(ENOS_ERR_TOO_LARGE));
    assert_eq!(host.publish_batch(&batch(&payloads(257, 1))), Err(ENOS_ERR_INVALID_ARG));
    assert_eq!(host.publish_batch(&[]), Err(ENOS_ERR_INVALID_ARG));
    let good = Durable { topic: Some("t"), payload: b"good", flags: 0 };
    for bad in [
        Durable { topic: Some("t/#"), ..good },
        Durable { topic: None, payload: br#"{"measurepoints":{"t":1}}"#, flags: 0 },
        Durable { topic: None, payload: br#"{"measurepoints":{},"time":1700000000000}"#, flags: 0 },
        Durable { flags: RESUME, ..good },
        Durable { flags: 1 << 31, ..good },
    ] {
        assert_eq!(host.try_publish_batch(&[good, bad, good]), Err((ENOS_ERR_INVALID_ARG, 1)), "{}", last_error());
        assert!(last_error().starts_with("requests[1]: "), "{}", last_error());
    }
    store.fail(-5, false);
    assert_eq!(host.publish_batch(&batch(&payloads(2, 10))), Err(ENOS_ERR_STORAGE));
    store.fail(0, false);
    assert_eq!((host.waiting(), store.keys("out").len()), (7, 1));
}

#[test]
fn a_storage_that_fails_is_told_to_the_caller_and_nothing_is_kept() {
    // A full storage stores nothing; another one has stored the value, but cannot guarantee it.
    for all_the_same in [false, true] {
        let (broker, store) = (Broker::bind(), Store::new());
        let mut host = device(&broker, &store).start();
        let kept = host.publish_durable("t", b"kept").unwrap();
        store.fail(-28, all_the_same);
        assert_eq!(host.publish_durable("t", b"refused"), Err(ENOS_ERR_STORAGE));
        assert!(last_error().contains("-28"), "{}", last_error());
        assert_eq!(host.publish_durable("t", &vec![7; 200_000]), Err(ENOS_ERR_STORAGE), "of several parts");
        store.fail(0, false);
        assert_eq!((host.waiting(), store.keys("out").len()), (1, 1));
        let after = host.publish_durable("t", b"after").unwrap();
        host.connect();
        let thread = broker.accept_mqtt().oblige();
        assert_eq!(host.flush(PATIENCE_MS), ENOS_OK);
        while host.take().is_some() {}
        exactly_once(&[kept, after], &host.seen);
        assert_eq!(published(host, thread), [b"kept".to_vec(), b"after".to_vec()]);
    }
}

#[test]
fn a_large_message_is_spread_over_records_and_comes_out_whole() {
    let (broker, store) = (Broker::bind(), Store::new());
    let host = device(&broker, &store).start();
    let large: Vec<u8> = (0..512 * 1024 - 1).map(|n: u32| (n % 251) as u8).collect();
    host.publish_durable("t", b"before").unwrap();
    host.publish_durable("t", &large).unwrap();
    host.publish_durable("t", b"after").unwrap();
    assert_eq!(host.waiting(), 3);
    host.destroy();
    let (host, thread) = obliged(device(&broker, &store), &broker);
    assert_eq!(host.flush(PATIENCE_MS), ENOS_OK);
    assert_eq!(published(host, thread), [b"before".to_vec(), large, b"after".to_vec()]);
    assert!(!store.has("out"));
}

#[test]
fn a_damaged_record_is_reported_and_becomes_a_dead_letter() {
    type Harm = fn(&mut Vec<u8>);
    let harms: [(&str, Harm); 4] = [
        ("a bit", |bytes| bytes[40] ^= 4),
        ("torn", |bytes| bytes.truncate(30)),
        ("all of it", |bytes| bytes.fill(0xff)),
        ("another's", |bytes| *bytes = b"not a record of this library".to_vec()),
    ];
    for (harm, change) in harms {
        let (broker, store) = (Broker::bind(), Store::new());
        let host = device(&broker, &store).start();
        let tokens: Vec<_> = (0..5u8).map(|n| host.publish_durable("t", &[n]).unwrap()).collect();
        host.destroy();
        store.garble(&store.keys("out")[2], change);
        let (mut host, thread) = obliged(device(&broker, &store), &broker);
        assert_eq!(host.flush(PATIENCE_MS), ENOS_OK);
        while host.take().is_some() {}
        exactly_once(&tokens, &host.seen);
        let told = host.seen.iter().find(|told| told.token == tokens[2]).unwrap();
        assert_eq!((told.name.as_str(), told.status), ("DELIVERED", ENOS_ERR_STORAGE), "{harm}: {told:?}");
        let asides = host.dead_letters();
        assert_eq!((asides.len(), asides[0].token, &asides[0].topic), (1, tokens[2], &None), "{harm}: {asides:?}");
        assert_eq!(published(host, thread), [[0], [1], [3], [4]], "{harm}");
        assert!(!store.has("out"), "{harm}");
    }
}

#[test]
fn what_was_given_with_the_messages_of_a_damaged_batch_comes_back() {
    for (users, told) in [([0, 7, 9], &[(0, 0), (1, 7), (2, 9)][..]), ([5, 0, 0], &[(0, 5)]), ([0; 3], &[(0, 0)])] {
        let (broker, store) = (Broker::bind(), Store::new());
        // The first message fills the memory, so that the others are read from the storage.
        let mut host = device(&broker, &store).inflight(1).start();
        host.publish_durable("t", b"before").unwrap();
        let batch = users.map(|user| Ask { user, ..Durable { topic: Some("t"), payload: b"x", flags: 0 }.ask() });
        let tokens = host.request_batch(&batch).unwrap();
        store.garble(&store.keys("out")[1], |bytes| bytes[40] ^= 4);
        host.connect();
        let _broker = broker.accept_mqtt().oblige();
        assert_eq!(host.flush(PATIENCE_MS), ENOS_OK);
        while host.take().is_some() {}
        let outcomes: Vec<_> = host.seen.iter().filter(|told| told.token >= tokens[0]).collect();
        assert!(outcomes.iter().all(|told| (told.name.as_str(), told.status) == ("DELIVERED", ENOS_ERR_STORAGE)));
        let outcomes: Vec<_> = outcomes.iter().map(|told| (told.token, told.user)).collect();
        let told: Vec<_> = told.iter().map(|(index, user)| (tokens[*index], *user)).collect();
        assert_eq!(outcomes, told, "{users:?}");
    }
}

/// As a firmware finds it that was rolled back: a later version of the library has accepted an operation that this one
/// does not know.
#[test]
fn a_message_that_only_a_later_version_knows_is_a_dead_letter_and_the_rest_goes_on() {
    let (broker, store) = (Broker::bind(), Store::new());
    let host = device(&broker, &store).start();
    let message = |payload| Durable { topic: Some("t"), payload, flags: 0 };
    let mut tokens = host.publish_batch(&[message(b"one"), message(b"two"), message(b"three")]).unwrap();
    tokens.push(host.publish_durable("t", b"four").unwrap());
    host.destroy();
    store.garble(&store.keys("out")[0], |record| {
        let two = b"\0\0\x01\0t\x03\0\0\0two";
        let at = record.windows(two.len()).position(|bytes| bytes == two).unwrap();
        // Operation 99, until the reply, without a name.
        record[at..at + two.len()].copy_from_slice(b"\x03\x07\0\0\0\x63\0\x01\0\0wo");
        let end = record.len() - 4;
        let crc = crc32fast::hash(&record[..end]);
        record[end..].copy_from_slice(&crc.to_le_bytes());
    });
    let (mut host, thread) = obliged(device(&broker, &store), &broker);
    assert_eq!(host.flush(PATIENCE_MS), ENOS_OK);
    while host.take().is_some() {}
    exactly_once(&tokens, &host.seen);
    let told = host.seen.iter().find(|told| told.token == tokens[1]).unwrap();
    assert_eq!((told.name.as_str(), told.status), ("REPLY", ENOS_ERR_DEAD_LETTER), "{told:?}");
    assert!(told.detail.contains("operation 99"), "{told:?}");
    let letters = host.dead_letters();
    assert_eq!((letters.len(), letters[0].token, &letters[0].topic), (1, tokens[1], &None), "{letters:?}");
    assert_eq!(published(host, thread), [&b"one"[..], b"three", b"four"]);
    assert!(!store.has("out"));
}

/// The bound at the first use: both indexes and the pages around both ends, however long the queue is.
#[test]
fn a_long_backlog_is_opened_without_reading_it() {
    for backlog in [1, 100, 20_000] {
        let (broker, store) = (Broker::bind(), Store::new());
        let host = device(&broker, &store).start();
        for number in 0..backlog {
            host.publish_durable("t", &u64::to_le_bytes(number)).unwrap();
        }
        host.destroy();
        let host = device(&broker, &store).start();
        // The client's own records are read when it is created.
        let before = store.calls();
        assert_eq!(host.waiting(), backlog);
        let calls = store.calls();
        println!("opening {backlog} messages: {calls:?}, after {before:?} for the client");
        assert!(calls.loads <= 70 && calls.stores == 0 && calls.erases == 0, "{calls:?}");
    }
}
