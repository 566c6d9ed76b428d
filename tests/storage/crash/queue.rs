//! The queue of durable messages in the directory, with a power cut after any system call: accepted messages are there,
//! complete and in order, and the operation in progress has happened or not.

use std::collections::BTreeSet;
use std::path::Path;
use support::alone::alone;

use enos::internals::protocol::outbox::PageFound;
use enos::internals::protocol::request::PostTime;
use enos::internals::protocol::{Operation, Request, Totals};
use enos::internals::storage::queue::{Queue, QueueLimits};
use enos::internals::storage::records::Records;

use super::open;
use super::power_cut::{build, Disk, Files, Op, Recorder};

/// The steps of the device.
enum Step {
    /// Accepts messages with these numbers and this size, together.
    Append(std::ops::Range<u32>, usize),
    /// All messages in these first pages are through.
    Finish(u64),
}

use Step::{Append, Finish};

/// Single messages, batches, and one in several parts; removed one by one, and several at once.
fn steps() -> Vec<Step> {
    vec![
        Append(0..1, 10),
        Append(1..2, 10),
        Append(2..5, 10),
        Finish(2),
        Append(5..6, 130_000),
        Append(6..7, 10),
        Finish(4),
        Append(7..9, 10),
        Finish(8),
        Append(9..10, 10),
    ]
}

fn queue(path: &Path) -> Queue {
    let records = Records::new(open(path), "pk", "dk", "0123456789abcdef");
    Queue::new(records, QueueLimits { messages: 1000, bytes: 1 << 30, drop_oldest: false })
}

fn message(number: u32, size: usize) -> Request {
    let mut payload = number.to_le_bytes().to_vec();
    payload.resize(size, number as u8);
    Request {
        operation: Operation::ENOS_OP_PUBLISH,
        name: "t".into(),
        params: payload,
        until_reply: false,
        resume: false,
        time: PostTime::Own,
        members: 0,
    }
}

/// The child: reports each step by a system call that nothing else makes.
fn work(path: &Path) {
    let mut queue = queue(path);
    for step in steps() {
        match step {
            Append(numbers, size) => {
                let messages: Vec<_> = numbers.map(|number| message(number, size)).collect();
                queue.append(&messages).unwrap();
            }
            Finish(through) => queue.finish(through, Totals::default()).unwrap(),
        }
        // SAFETY: asks for a number.
        unsafe { libc::getppid() };
    }
}

/// The messages after this many completed steps, and one step in progress: those that must be there, and those that may
/// be.
fn expected(done: usize) -> (BTreeSet<u32>, BTreeSet<u32>) {
    let (mut must, mut can) = (BTreeSet::new(), BTreeSet::new());
    let mut pages: Vec<Vec<u32>> = Vec::new();
    for (at, step) in steps().into_iter().enumerate().take(done + 1) {
        match step {
            Append(numbers, size) => {
                let parts = if size > 65_536 { size.div_ceil(65_000) } else { 1 };
                pages.extend((0..parts).map(|_| numbers.clone().collect()));
                can.extend(numbers.clone());
                if at < done {
                    must.extend(numbers);
                }
            }
            Finish(through) => {
                for number in pages.iter().take(through as usize - 1).flatten() {
                    must.remove(number);
                    if at < done {
                        can.remove(number);
                    }
                }
            }
        }
    }
    (must, can)
}

/// The numbers in a queue; each message must be complete.
fn numbers(mut queue: Queue) -> Result<Vec<u32>, String> {
    let opened = queue.open().map_err(|e| e.to_string())?;
    let (mut at, mut found) = (opened.head, Vec::new());
    while at < opened.tail {
        at = match queue.read(at, false).map_err(|e| e.to_string())? {
            PageFound::Messages { next, messages, .. } => {
                for message in messages.into_iter().flatten() {
                    let payload = &message.request().unwrap().params;
                    let number = u32::from_le_bytes(payload[..4].try_into().unwrap());
                    assert!(payload[4..].iter().all(|byte| *byte == number as u8), "not whole");
                    found.push(number);
                }
                next
            }
            PageFound::Nothing { next } => next,
            PageFound::Lost { words, .. } => return Err(words),
        };
    }
    Ok(found)
}

fn on_disk(files: Option<&Files>) -> Result<Vec<u32>, String> {
    let (_root, path) = build(files);
    let found = numbers(queue(&path))?;
    // The next process finds the same.
    assert_eq!(numbers(queue(&path))?, found);
    Ok(found)
}

fn recorded() -> Vec<Op> {
    let (_root, path) = build(None);
    Recorder::new(&path).follow(|| work(&path))
}

/// Cuts the power after each operation, and checks each disk that it could leave; returns their number.
fn cut_everywhere(ops: &[Op]) -> Result<usize, String> {
    let (mut disk, mut done, mut looked) = (Disk::default(), 0, 0);
    for (at, op) in ops.iter().enumerate() {
        disk.apply(op);
        done += usize::from(*op == Op::Acknowledge);
        let (must, can) = expected(done);
        for files in disk.after_cut() {
            looked += 1;
            let found = on_disk(files.as_ref()).map_err(|words| format!("cut after {at}: {words}"))?;
            let set: BTreeSet<u32> = found.iter().copied().collect();
            let whole = found.is_sorted() && set.len() == found.len();
            if !whole || !must.is_subset(&set) || !set.is_subset(&can) {
                return Err(format!(
                    "cut after {at}, {done} steps done: {found:?}, which must have {must:?} of {can:?}"
                ));
            }
        }
    }
    Ok(looked)
}

#[test]
fn no_power_cut_loses_what_the_queue_has_accepted_or_keeps_half_of_it() {
    alone(|| {
        let ops = recorded();
        assert_eq!(ops.iter().filter(|op| **op == Op::Acknowledge).count(), steps().len());
        let looked = cut_everywhere(&ops).unwrap();
        println!("{} operations, {looked} disks that a power cut could leave", ops.len());
        assert!(looked > 2 * ops.len(), "{looked}");
    });
}

/// A test of the model: without the syncs of the directory it must find the fault.
#[test]
fn the_queue_needs_the_directorys_syncs() {
    alone(|| {
        let without = recorded().into_iter().filter(|op| *op != Op::SyncDirectory);
        // Operations that are never synced stay pending, with too many combinations to try; those of the first
        // operations are enough.
        cut_everywhere(&without.take(20).collect::<Vec<_>>()).unwrap_err();
    });
}
