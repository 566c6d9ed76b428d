//! Dead letters, and messages that the host drops.

use super::*;

#[test]
fn dead_letters_stay_until_they_are_dropped() {
    let memory = Memory::default();
    let mut queue = memory.queue(WIDE);
    queue.append(&[message(1, 1)]).unwrap();
    // Large ones take several values.
    let len = |number: u64| if number % 10 == 0 { 70_000 } else { 5 };
    for number in 0..30 {
        bury(&mut queue, number, 1206, message(number as u32, len(number)));
    }
    let mut queue = memory.queue(WIDE);
    queue.open().unwrap();
    for (number, letter) in (0..).zip(letters(&queue)) {
        assert_eq!((letter.token, letter.code), (number, 1206));
        assert_eq!(letter.messages, [Some(message(number as u32, len(number)))]);
    }
    for number in (0..30).filter(|number| number % 3 > 0).rev() {
        assert!(queue.drop_dead_letter(number).unwrap());
        assert!(!queue.drop_dead_letter(number).unwrap(), "it is gone");
    }
    let mut queue = memory.queue(WIDE);
    queue.open().unwrap();
    assert_eq!(queue.counts().unwrap(), Counts { dead_letters: 10, dead_letters_ever: 30, ..queue.counts().unwrap() });
    for number in (0..30).step_by(3) {
        assert!(queue.drop_dead_letter(number).unwrap());
    }
    assert_eq!((letters(&queue).len(), queue.counts().unwrap().dead_letters), (0, 0));
    let left: Vec<String> = memory.cells().values.keys().filter(|key| key.starts_with("aside.")).cloned().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn dead_letters_share_the_limits_and_make_room_for_what_is_new() {
    let memory = Memory::default();
    let limits = QueueLimits { messages: 10, bytes: 4096, drop_oldest: false };
    let mut queue = memory.queue(limits);
    for number in 0..4 {
        let appended = queue.append(&[message(number, 1)]).unwrap();
        bury(&mut queue, u64::from(number), 0, message(number, 1));
        queue.finish(appended.next, appended.after).unwrap();
    }
    for number in 4..10 {
        queue.append(&[message(number, 1)]).unwrap();
    }
    assert_eq!(queue.take_dropped_dead(), [0; 0]);
    for number in 10..14 {
        queue.append(&[message(number, 1)]).unwrap();
        assert_eq!(queue.take_dropped_dead(), [u64::from(number) - 10], "the oldest, and no more than it takes");
    }
    assert_eq!(queue.append(&[message(14, 1)]).err().unwrap().status, Status::ENOS_ERR_QUEUE_FULL);
    // By themselves they keep to the limits as well.
    for number in 100..200 {
        bury(&mut queue, number, 0, message(1, 1000));
    }
    assert_eq!((letters(&queue).len(), queue.take_dropped_dead().len()), (3, 97), "none goes untold");
}

#[test]
fn a_message_that_is_refused_costs_no_dead_letter() {
    let memory = Memory::default();
    let mut queue = memory.queue(QueueLimits { messages: 10, bytes: 4096, drop_oldest: false });
    for number in 0..8 {
        queue.append(&[message(number, 1)]).unwrap();
    }
    bury(&mut queue, 0, 0, message(1, 1));
    let three = [message(8, 1), message(9, 1), message(10, 1)];
    assert_eq!(queue.append(&three).err().unwrap().status, Status::ENOS_ERR_QUEUE_FULL);
    assert_eq!((queue.take_dropped_dead().len(), letters(&queue).len()), (0, 1));
    queue.append(&three[..2]).unwrap();
    assert_eq!(queue.take_dropped_dead(), [0], "it goes for what is taken");
}

#[test]
fn a_large_message_that_the_host_drops_gives_its_bytes_back_at_once() {
    let memory = Memory::default();
    let mut queue = memory.queue(QueueLimits { messages: 10, bytes: 300_000, drop_oldest: false });
    let batch = queue.append(&[message(0, 20_000), message(1, 20_000)]).unwrap();
    let large = queue.append(&[message(2, 200_000)]).unwrap();
    queue.append(&[message(3, 1)]).unwrap();
    for token in [outbox::token(batch.page, 0), outbox::token(batch.page, 1), outbox::token(large.page, 0)] {
        assert!(queue.drop_waiting(token).unwrap());
    }
    assert!(queue.held().messages == 1 && queue.held().bytes < 100, "{:?}", queue.held());
    queue.append(&[message(4, 250_000)]).unwrap();
    let held = queue.held();
    let mut queue = memory.queue(WIDE);
    queue.open().unwrap();
    assert_eq!(queue.held(), held, "after a restart");
}

#[test]
fn what_the_host_drops_is_gone_though_its_page_cannot_be_removed_yet() {
    let memory = Memory::default();
    let mut queue = memory.queue(WIDE);
    for number in 0..2 {
        queue.append(&[message(number, 1)]).unwrap();
    }
    memory.cells().left = Some(1);
    assert!(queue.drop_waiting(outbox::token(1, 0)).unwrap());
    memory.cells().left = None;
    assert_eq!(contents(&mut queue), [message(1, 1)]);
}

#[test]
fn a_torn_index_costs_no_dead_letter() {
    for slot in ["index.0", "index.1"] {
        let memory = Memory::default();
        let mut queue = memory.queue(WIDE);
        queue.append(&[message(1, 1)]).unwrap();
        (0..3).for_each(|number| bury(&mut queue, number, 0, message(1, 1)));
        let key = format!("{slot}.0123456789abcdef");
        memory.cells().values.get_mut(&key).unwrap().truncate(9);
        let mut queue = memory.queue(WIDE);
        queue.open().unwrap();
        bury(&mut queue, 3, 0, message(1, 1));
        let tokens: Vec<u64> = letters(&queue).iter().map(|letter| letter.token).collect();
        assert_eq!(tokens, [0, 1, 2, 3], "without {slot}");
    }
}

#[test]
fn what_the_host_drops_is_gone_and_the_rest_stays_as_it_is() {
    let memory = Memory::default();
    let mut queue = memory.queue(WIDE);
    queue.append(&[message(0, 1)]).unwrap();
    let batch = queue.append(&[message(1, 1), message(2, 1), message(3, 1)]).unwrap();
    let large = queue.append(&[message(4, 200_000)]).unwrap();
    queue.append(&[message(5, 1)]).unwrap();
    for token in [outbox::token(batch.page, 1), outbox::token(large.page, 0)] {
        assert!(queue.drop_waiting(token).unwrap());
        assert!(!queue.drop_waiting(token).unwrap(), "it is gone");
    }
    for token in [outbox::token(batch.page, 3), outbox::token(large.page + 1, 0), outbox::token(1 << 40, 0), 7] {
        assert!(!queue.drop_waiting(token).unwrap(), "{token} is nobody's");
    }
    let left = [message(0, 1), message(1, 1), message(3, 1), message(5, 1)];
    assert_eq!(contents(&mut queue), left);
    assert_eq!(contents(&mut memory.queue(WIDE)), left, "after a restart");
    // The first of all makes room at once, and so do those behind it that are gone.
    for token in [outbox::token(1, 0), outbox::token(batch.page, 0), outbox::token(batch.page, 2)] {
        assert!(queue.drop_waiting(token).unwrap());
    }
    assert_eq!((queue.held().messages, memory.pages().len()), (1, 1));
    assert_eq!(contents(&mut memory.queue(WIDE)), [message(5, 1)]);
}
