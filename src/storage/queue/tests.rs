use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use zeroize::Zeroizing;

use super::*;
use crate::protocol::request::{Moment, PostTime};
use crate::protocol::{outbox, Operation};
use crate::storage::key_value::{Change, KeyValue};

/// A store in memory that stops working after so many changes.
#[derive(Default)]
struct Cells {
    values: BTreeMap<String, Vec<u8>>,
    left: Option<u64>,
    /// A key that cannot be loaded.
    bad: Option<String>,
}

#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Cells>>);

impl Memory {
    fn queue(&self, limits: QueueLimits) -> Queue {
        Queue::new(Records::new(Arc::new(self.clone()), "pk", "dk", "0123456789abcdef"), limits)
    }

    fn cells(&self) -> std::sync::MutexGuard<'_, Cells> {
        self.0.lock().unwrap()
    }

    fn pages(&self) -> Vec<String> {
        self.cells().values.keys().filter(|key| key.starts_with("out.")).cloned().collect()
    }
}

impl KeyValue for Memory {
    fn load(&self, key: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StorageError> {
        if self.cells().bad.as_deref().is_some_and(|bad| key.starts_with(bad)) {
            return Err(StorageError::new(-5, "a bad block"));
        }
        Ok(self.cells().values.get(key).cloned().map(Zeroizing::new))
    }

    fn store(&self, key: &str, value: &[u8]) -> Result<(), StorageError> {
        let mut cells = self.cells();
        if let Some(left) = &mut cells.left {
            *left = left.checked_sub(1).ok_or(StorageError::new(-9, "dead"))?;
        }
        cells.values.insert(key.to_owned(), value.to_vec());
        Ok(())
    }

    fn erase(&self, key: &str) -> Result<(), StorageError> {
        let mut cells = self.cells();
        if cells.left == Some(0) {
            return Err(StorageError::new(-9, "dead"));
        }
        cells.values.remove(key);
        Ok(())
    }

    fn change(&self, changes: &[Change]) -> Result<(), StorageError> {
        changes.iter().try_for_each(|change| match change.value() {
            Some(value) => self.store(change.key(), value),
            None => self.erase(change.key()),
        })
    }
}

const WIDE: QueueLimits = QueueLimits { messages: u64::MAX, bytes: u64::MAX, drop_oldest: false };

fn message(number: u32, len: usize) -> Request {
    let (name, params) = (format!("/n/{number}"), vec![number as u8; len]);
    let operation = Operation::ENOS_OP_PUBLISH;
    Request { operation, name, params, until_reply: false, resume: false, time: PostTime::Own }
}

fn known(message: Message) -> Request {
    match message {
        Message::Request(request) => request,
        Message::Unknown { words, .. } => panic!("{words}"),
    }
}

fn set_aside(queue: &mut Queue, token: u64, code: i32, request: Request) {
    queue.set_aside(token, code, &Message::Request(request)).unwrap();
}

/// All that is in the queue, from its head on.
fn contents(queue: &mut Queue) -> Vec<Request> {
    let opened = queue.open().unwrap();
    let (mut at, mut all) = (opened.head, Vec::new());
    while at < opened.tail {
        at = match queue.read(at, false).unwrap() {
            PageFound::Messages { next, messages, .. } => {
                all.extend(messages.into_iter().flatten().map(known));
                next
            }
            PageFound::Nothing { next } => next,
            PageFound::Lost { words, .. } => panic!("{words}"),
        };
    }
    all
}

#[test]
fn a_large_message_is_there_whole_or_not_at_all_wherever_the_power_goes() {
    let large = message(7, 500_000);
    let mut whole = 0;
    for left in 0.. {
        let memory = Memory::default();
        let mut queue = memory.queue(WIDE);
        queue.append(&[message(1, 1)]).unwrap();
        memory.cells().left = Some(left);
        let appended = queue.append(std::slice::from_ref(&large));
        memory.cells().left = None;
        let mut queue = memory.queue(WIDE);
        let found = contents(&mut queue);
        let accepted = appended.is_ok();
        assert_eq!(found.len(), 1 + usize::from(accepted), "after {left} stores");
        assert!(!accepted || found[1] == large);
        // Nothing of what was never accepted stays, or gets in the way of the next.
        queue.append(&[message(2, 1)]).unwrap();
        assert_eq!(contents(&mut memory.queue(WIDE)).last().unwrap(), &message(2, 1));
        if !accepted {
            assert_eq!(memory.pages().len(), 2, "{:?}", memory.pages());
        } else {
            whole += 1;
        }
        if whole == 2 {
            return;
        }
    }
}

#[test]
fn a_torn_index_is_made_up_for_by_the_other_one() {
    let memory = Memory::default();
    let mut random = fastrand::Rng::with_seed(2);
    let mut number = 0;
    for life in 0..200 {
        // A process that takes some messages, and has some go.
        let mut queue = memory.queue(WIDE);
        for _ in 0..random.u32(..50) {
            let appended = queue.append(&[message(number, 1)]).unwrap();
            number += 1;
            if life % 3 > 0 && random.u32(..3) > 0 {
                queue.finish(appended.next, appended.after).unwrap();
            }
        }
        let wanted = contents(&mut queue);
        let slots: Vec<String> =
            memory.cells().values.keys().filter(|key| key.starts_with("index.")).cloned().collect();
        for slot in slots {
            let values = memory.cells().values.clone();
            let copy = Memory(Arc::new(Mutex::new(Cells { values, ..Cells::default() })));
            copy.cells().values.get_mut(&slot).unwrap().truncate(9);
            let mut queue = copy.queue(WIDE);
            let found = contents(&mut queue);
            assert!(found.ends_with(&wanted), "in life {life} without {slot}: {} of {}", found.len(), wanted.len());
            queue.append(&[message(1_000_000, 1)]).unwrap();
            assert!(contents(&mut copy.queue(WIDE)).ends_with(&[message(1_000_000, 1)]));
        }
    }
}

#[test]
fn without_any_index_nothing_is_written_over() {
    let memory = Memory::default();
    let mut queue = memory.queue(WIDE);
    for number in 0..40 {
        queue.append(&[message(number, 1)]).unwrap();
    }
    let before = memory.pages();
    for value in memory.cells().values.iter_mut().filter(|(key, _)| key.starts_with("index.")).map(|(_, value)| value) {
        value.clear();
    }
    let mut queue = memory.queue(WIDE);
    queue.append(&[message(99, 1)]).unwrap();
    assert_eq!(contents(&mut queue), [message(99, 1)]);
    assert!(before.iter().all(|page| memory.pages().contains(page)));
}

#[test]
fn a_bad_block_costs_what_stands_in_it_and_no_more() {
    let memory = Memory::default();
    let mut queue = memory.queue(WIDE);
    for number in 0..3 {
        queue.append(&[message(number, 1)]).unwrap();
    }
    memory.cells().bad = Some("out.2.".into());
    assert!(queue.read(2, false).is_err(), "it may get better");
    assert!(matches!(queue.read(2, true).unwrap(), PageFound::Lost { next: 3, .. }));
    assert!(matches!(queue.read(3, true).unwrap(), PageFound::Messages { next: 4, .. }));
    // A storage that fails altogether is no reason to give up.
    memory.cells().bad = Some(String::new());
    assert!(queue.read(2, true).is_err());
    // Either index may be in one.
    for slot in ["index.0", "index.1"] {
        memory.cells().bad = Some(slot.into());
        assert_eq!(contents(&mut memory.queue(WIDE)).len(), 3);
    }
}

/// All dead letters.
fn letters(queue: &Queue) -> Vec<DeadLetter> {
    queue.dead_letters().filter_map(|number| queue.dead_letter(number).unwrap()).collect()
}

#[test]
fn dead_letters_stay_until_they_are_dropped() {
    let memory = Memory::default();
    let mut queue = memory.queue(WIDE);
    queue.append(&[message(1, 1)]).unwrap();
    // Large ones take several values.
    let len = |number: u64| if number % 10 == 0 { 70_000 } else { 5 };
    for number in 0..30 {
        set_aside(&mut queue, number, 1206, message(number as u32, len(number)));
    }
    let mut queue = memory.queue(WIDE);
    queue.open().unwrap();
    for (number, letter) in (0..).zip(letters(&queue)) {
        assert_eq!((letter.token, letter.code), (number, 1206));
        assert_eq!(letter.request, Some(message(number as u32, len(number))));
    }
    for number in (0..30).filter(|number| number % 3 > 0).rev() {
        assert!(queue.drop_dead_letter(number).unwrap());
        assert!(!queue.drop_dead_letter(number).unwrap(), "it is gone");
    }
    let mut queue = memory.queue(WIDE);
    queue.open().unwrap();
    assert_eq!(queue.counts().unwrap(), Counts { dead_letters: 10, set_aside: 30, ..queue.counts().unwrap() });
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
        set_aside(&mut queue, u64::from(number), 0, message(number, 1));
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
        set_aside(&mut queue, number, 0, message(1, 1000));
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
    set_aside(&mut queue, 0, 0, message(1, 1));
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
        (0..3).for_each(|number| set_aside(&mut queue, number, 0, message(1, 1)));
        let key = format!("{slot}.0123456789abcdef");
        memory.cells().values.get_mut(&key).unwrap().truncate(9);
        let mut queue = memory.queue(WIDE);
        queue.open().unwrap();
        set_aside(&mut queue, 3, 0, message(1, 1));
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

#[test]
fn totals_that_make_no_sense_do_not_switch_the_limits_off() {
    let limits = QueueLimits { messages: 10, bytes: 4096, drop_oldest: false };
    for (first, last) in [(u64::MAX, 0), (0, u64::MAX), (1 << 59, 0), (0, 1 << 59), (1 << 59, 1 << 59)] {
        let memory = Memory::default();
        let mut queue = memory.queue(limits);
        for number in 0..4 {
            queue.append(&[message(number, 1)]).unwrap();
        }
        let records = Records::new(Arc::new(memory.clone()), "pk", "dk", "0123456789abcdef");
        for (page, total) in [(1, first), (4, last)] {
            let before = Totals { messages: total, bytes: total };
            let data = page::encode(before, &[message(page, 1)], 1000).unwrap().remove(0);
            records.store(Role::Outbox(page.into()), &data).unwrap();
        }
        let mut queue = memory.queue(limits);
        let taken = (0..100).take_while(|number| queue.append(&[message(*number, 1)]).is_ok()).count();
        assert!(taken <= 10, "{taken} with totals of {first} and {last}");
        assert!(queue.held().messages <= 40 * 256, "{:?}", queue.held());
    }
}

fn old_post() -> Request {
    let (operation, params) = (Operation::ENOS_OP_MEASUREPOINT_POST, b"{}".to_vec());
    Request { operation, name: String::new(), params, until_reply: true, resume: true, time: PostTime::Own }
}

/// What is on flash stays there for years.
#[test]
fn the_bytes_are_those_of_the_golden_file() {
    let memory = Memory::default();
    let mut queue = memory.queue(WIDE);
    let time = PostTime::Stamp(Moment { boot: 7, ms: 8 });
    let late = Request { operation: Operation::ENOS_OP_MEASUREPOINT_RESUME, resume: false, time, ..old_post() };
    queue.append(&[message(1, 2), old_post(), late, message(2, 1)]).unwrap();
    set_aside(&mut queue, 1 << 62, -2, old_post());
    assert!(queue.drop_waiting(outbox::token(1, 3)).unwrap());
    let cells = memory.cells();
    let line = |(key, value): (&String, &Vec<u8>)| {
        format!("{} {}", key.trim_end_matches(".0123456789abcdef"), hex::encode(value))
    };
    let lines: Vec<String> = cells.values.iter().map(line).collect();
    assert_eq!(lines, include_str!("../../../tests/golden/queue-v2.txt").lines().collect::<Vec<_>>());
}

#[test]
fn what_earlier_versions_have_stored_is_read_and_drains() {
    for golden in
        [include_str!("../../../tests/golden/queue-v0.1.txt"), include_str!("../../../tests/golden/queue-v1.txt")]
    {
        let memory = Memory::default();
        for line in golden.lines() {
            let (key, value) = line.split_once(' ').unwrap();
            memory.store(&format!("{key}.0123456789abcdef"), &hex::decode(value).unwrap()).unwrap();
        }
        let mut queue = memory.queue(WIDE);
        assert_eq!(contents(&mut queue), [message(1, 2), old_post()]);
        let letters: Vec<_> =
            letters(&queue).into_iter().map(|letter| (letter.token, letter.code, letter.request)).collect();
        assert_eq!(letters, [(1 << 62, -2, Some(old_post()))]);
        // A page of an earlier version from which one is gone, and one of this version.
        queue.append(&[message(2, 2)]).unwrap();
        assert!(queue.drop_waiting(outbox::token(1, 0)).unwrap());
        assert_eq!(contents(&mut memory.queue(WIDE)), [old_post(), message(2, 2)]);
        let opened = queue.open().unwrap();
        queue.finish(opened.tail, Totals::default()).unwrap();
        assert_eq!((contents(&mut memory.queue(WIDE)), memory.pages().len()), (Vec::new(), 0));
    }
}

/// As a firmware finds it that was rolled back.
#[test]
fn a_message_of_a_later_version_costs_the_others_nothing() {
    let memory = Memory::default();
    let mut queue = memory.queue(WIDE);
    queue.append(&[message(1, 1), message(2, 1), message(3, 1)]).unwrap();
    let records = Records::new(Arc::new(memory.clone()), "pk", "dk", "0123456789abcdef");
    let Value::Whole(page) = records.look(Role::Outbox(1)).unwrap() else { panic!() };
    let at = page.windows(4).position(|bytes| bytes == b"/n/2").unwrap() - 5;
    let mut page = page.to_vec();
    assert_eq!(page[at], Operation::ENOS_OP_PUBLISH as u8);
    page[at] = 99;
    records.store(Role::Outbox(1), &page).unwrap();
    let PageFound::Messages { messages, .. } = queue.read(1, false).unwrap() else { panic!() };
    let [first, Some(unknown @ Message::Unknown { words, bytes }), third] = &messages[..] else {
        panic!("{messages:?}")
    };
    let known = |number| Some(Message::Request(message(number, 1)));
    assert_eq!((first, third), (&known(1), &known(3)));
    assert!(words.contains("operation 99"), "{words}");
    // It stays as it is, for the version that knows it.
    queue.set_aside(outbox::token(1, 1), 0, unknown).unwrap();
    let letter = queue.dead_letter(0).unwrap().unwrap();
    assert_eq!((letter.token, letter.request), (outbox::token(1, 1), None));
    assert!(memory.cells().values["aside.0.0.0123456789abcdef"].windows(bytes.len()).any(|part| part == bytes));
    assert!(queue.drop_waiting(outbox::token(1, 1)).unwrap());
    assert_eq!(contents(&mut queue), [message(1, 1), message(3, 1)]);
}

#[test]
fn a_page_that_is_garbled_is_kept_once_however_often_it_is_read() {
    let memory = Memory::default();
    let mut queue = memory.queue(WIDE);
    queue.append(&[message(1, 10)]).unwrap();
    queue.append(&[message(2, 10)]).unwrap();
    let first = memory.pages()[0].clone();
    memory.cells().values.insert(first, b"not a record".to_vec());
    for _ in 0..3 {
        // A process that ends before the page is removed.
        let mut queue = memory.queue(WIDE);
        let head = queue.open().unwrap().head;
        assert!(matches!(queue.read(head, false).unwrap(), PageFound::Lost { .. }));
        let counts = queue.counts().unwrap();
        assert_eq!((counts.dead_letters, counts.set_aside), (1, 1));
    }
}
