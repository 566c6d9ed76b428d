mod dead;
mod versions;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use zeroize::Zeroizing;

use super::*;
use crate::protocol::outbox::{self, Message, PageFound};
use crate::protocol::request::{Moment, PostTime};
use crate::protocol::{Operation, Request};
use crate::storage::key_value::{Change, KeyValue};
use crate::storage::records::Value;

/// A store in memory that stops working after so many changes.
#[derive(Default)]
struct Cells {
    values: BTreeMap<String, Vec<u8>>,
    left: Option<u64>,
    /// A key that cannot be loaded.
    bad: Option<String>,
    loads: u64,
    /// How many changes came in each batch.
    batches: Vec<usize>,
}

#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Cells>>);

impl Memory {
    fn queue(&self, limits: QueueLimits) -> Queue {
        let storage: Arc<dyn KeyValue> = Arc::new(self.clone());
        Memory::queue_of(&storage, "0123456789abcdef", limits)
    }

    /// Of the device with this digest.
    fn queue_of(storage: &Arc<dyn KeyValue>, digest: &str, limits: QueueLimits) -> Queue {
        Queue::new(Records::new(Arc::clone(storage), "pk", "dk", digest), limits)
    }

    fn cells(&self) -> std::sync::MutexGuard<'_, Cells> {
        self.0.lock().unwrap()
    }

    fn pages(&self) -> Vec<String> {
        self.cells().values.keys().filter(|key| key.starts_with("out.")).cloned().collect()
    }
}

impl KeyValue for Memory {
    fn load(&self, key: &str) -> Result<Option<Zeroizing<Vec<u8>>>> {
        self.cells().loads += 1;
        if self.cells().bad.as_deref().is_some_and(|bad| key.starts_with(bad)) {
            return Err(StorageError::new(-5, "a bad block"));
        }
        Ok(self.cells().values.get(key).cloned().map(Zeroizing::new))
    }

    fn store(&self, key: &str, value: &[u8]) -> Result<()> {
        let mut cells = self.cells();
        if let Some(left) = &mut cells.left {
            *left = left.checked_sub(1).ok_or(StorageError::new(-9, "dead"))?;
        }
        cells.values.insert(key.to_owned(), value.to_vec());
        Ok(())
    }

    fn erase(&self, key: &str) -> Result<()> {
        let mut cells = self.cells();
        if cells.left == Some(0) {
            return Err(StorageError::new(-9, "dead"));
        }
        cells.values.remove(key);
        Ok(())
    }

    fn change(&self, changes: &[Change]) -> Result<()> {
        self.cells().batches.push(changes.len());
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
    Request { operation, name, params, until_reply: false, resume: false, time: PostTime::Own, members: 0 }
}

fn known(message: Message) -> Request {
    match message {
        Message::Request(request) => request,
        Message::Unknown { words, .. } => panic!("{words}"),
    }
}

fn bury(queue: &mut Queue, token: u64, code: i32, request: Request) {
    queue.store_dead_letter(token, code, &Message::Request(request)).unwrap();
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

/// All dead letters.
fn letters(queue: &Queue) -> Vec<DeadLetter> {
    queue.dead_letters().filter_map(|number| queue.dead_letter(number).unwrap()).collect()
}

fn old_post() -> Request {
    let (operation, params) = (Operation::ENOS_OP_MEASUREPOINT_POST, b"{}".to_vec());
    Request { operation, name: String::new(), params, until_reply: true, resume: true, time: PostTime::Own, members: 0 }
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

#[test]
fn a_batch_over_the_queues_of_several_devices_is_one_call_of_the_storage() {
    let digests = ["0000000000000001", "0000000000000002", "0000000000000003"];
    let batches = [vec![message(1, 10)], vec![message(2, 10), message(3, 10)], vec![message(4, 150_000)]];
    for left in 0.. {
        let memory = Memory::default();
        let storage: Arc<dyn KeyValue> = Arc::new(memory.clone());
        let queues = || digests.map(|digest| Memory::queue_of(&storage, digest, WIDE));
        let mut live = queues();
        // Opened, and with an index.
        for queue in &mut live {
            queue.append(&[message(0, 1)]).unwrap();
        }
        memory.cells().left = Some(left);
        memory.cells().batches.clear();
        let mut all: Vec<_> = live.iter_mut().zip(&batches).map(|(queue, batch)| (queue, batch.as_slice())).collect();
        let accepted = Queue::append_to_all(&mut all).is_ok();
        assert_eq!(memory.cells().batches[0], 5, "three of them are of the large message");
        memory.cells().left = None;
        for (queue, batch) in queues().iter_mut().zip(&batches) {
            let found = contents(queue);
            assert!(found[1..] == batch[..] || (found.len() == 1 && !accepted), "after {left} stores");
        }
        if accepted {
            return;
        }
    }
}

/// A gateway may have many sub-devices that keep nothing.
#[test]
fn a_queue_that_was_never_used_costs_two_loads_to_open_and_nothing_before() {
    let memory = Memory::default();
    let mut queue = memory.queue(WIDE);
    assert_eq!(memory.cells().loads, 0);
    queue.open().unwrap();
    assert_eq!(memory.cells().loads, 2);
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
            records.store(Role::Page(page.into()), &data).unwrap();
        }
        let mut queue = memory.queue(limits);
        let taken = (0..100).take_while(|number| queue.append(&[message(*number, 1)]).is_ok()).count();
        assert!(taken <= 10, "{taken} with totals of {first} and {last}");
        assert!(queue.held().messages <= 40 * 256, "{:?}", queue.held());
    }
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
        assert_eq!((counts.dead_letters, counts.dead_letters_ever), (1, 1));
    }
}

#[test]
fn a_batch_that_cannot_be_costs_nothing() {
    let (memory, other) = (Memory::default(), Memory::default());
    let limits = QueueLimits { messages: 1, drop_oldest: true, ..WIDE };
    let (mut queue, mut another) = (memory.queue(limits), other.queue(WIDE));
    queue.append(&[message(1, 1)]).unwrap();
    let many: Vec<Request> = (0..=outbox::MAX_TOGETHER as u32).map(|number| message(number, 1)).collect();
    let one = [message(2, 1)];
    let errors = [
        queue.append(&[]).err(),
        another.append(&many).err(),
        Queue::append_to_all(&mut [(&mut queue, &one), (&mut another, &one)]).err(),
    ];
    for (error, words) in errors.into_iter().zip(["0 messages", "257 messages", "several storages"]) {
        let error = error.unwrap();
        assert!(error.status == Status::ENOS_ERR_INVALID_ARG && error.message.contains(words), "{}", error.message);
    }
    assert_eq!((contents(&mut queue), contents(&mut another)), (vec![message(1, 1)], Vec::new()));
    another.append(&many[1..]).unwrap();
}
