//! What this version writes, and what earlier and later versions have written.

use super::*;

fn late() -> Request {
    let time = PostTime::Stamp(Moment { boot: 7, ms: 8 });
    Request { operation: Operation::ENOS_OP_MEASUREPOINT_RESUME, resume: false, time, ..old_post() }
}

#[track_caller]
fn is_golden(memory: &Memory, golden: &str) {
    let cells = memory.cells();
    let line = |(key, value): (&String, &Vec<u8>)| {
        format!("{} {}", key.trim_end_matches(".0123456789abcdef"), hex::encode(value))
    };
    let lines: Vec<String> = cells.values.iter().map(line).collect();
    assert_eq!(lines, golden.lines().collect::<Vec<_>>(), "{}", lines.join("\n"));
}

/// A firmware that is rolled back can send them.
#[test]
fn a_publish_and_a_post_are_stored_as_earlier_versions_stored_them() {
    let memory = Memory::default();
    let mut queue = memory.queue(WIDE);
    queue.append(&[message(1, 2), old_post()]).unwrap();
    bury(&mut queue, 1 << 62, -2, old_post());
    is_golden(&memory, include_str!("../../../../tests/golden/queue-v1.txt"));
}

/// What is on flash stays there for years.
#[test]
fn the_bytes_of_other_operations_are_those_of_the_golden_file() {
    let memory = Memory::default();
    let mut queue = memory.queue(WIDE);
    queue.append(&[Request { time: PostTime::Own, ..late() }, late()]).unwrap();
    queue.append(&[message(1, 2), old_post(), late(), message(2, 1)]).unwrap();
    bury(&mut queue, 1 << 62, -2, late());
    assert!(queue.drop_waiting(outbox::token(2, 3)).unwrap());
    is_golden(&memory, include_str!("../../../../tests/golden/queue-v2.txt"));
}

#[test]
fn what_earlier_versions_have_stored_is_read_and_drains() {
    for golden in
        [include_str!("../../../../tests/golden/queue-v0.1.txt"), include_str!("../../../../tests/golden/queue-v1.txt")]
    {
        let memory = Memory::default();
        for line in golden.lines() {
            let (key, value) = line.split_once(' ').unwrap();
            memory.store(&format!("{key}.0123456789abcdef"), &hex::decode(value).unwrap()).unwrap();
        }
        let mut queue = memory.queue(WIDE);
        assert_eq!(contents(&mut queue), [message(1, 2), old_post()]);
        let letters: Vec<_> =
            letters(&queue).into_iter().map(|letter| (letter.token, letter.code, letter.messages)).collect();
        assert_eq!(letters, [(1 << 62, -2, vec![Some(old_post())])]);
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
    queue.append(&[message(1, 1), Request { time: PostTime::Own, ..late() }, message(3, 1)]).unwrap();
    let records = Records::new(Arc::new(memory.clone()), "pk", "dk", "0123456789abcdef");
    let Value::Whole(page) = records.look(Role::Page(1)).unwrap() else { panic!() };
    let at = page.windows(2).position(|bytes| bytes == b"{}").unwrap() - 5;
    let mut page = page.to_vec();
    assert_eq!(page[at], Operation::ENOS_OP_MEASUREPOINT_RESUME as u8);
    page[at] = 99;
    records.store(Role::Page(1), &page).unwrap();
    let PageFound::Messages { messages, .. } = queue.read(1, false).unwrap() else { panic!() };
    let [first, Some(unknown @ Message::Unknown { words, bytes, until_reply: true }), third] = &messages[..] else {
        panic!("{messages:?}")
    };
    let known = |number| Some(Message::Request(message(number, 1)));
    assert_eq!((first, third), (&known(1), &known(3)));
    assert!(words.contains("operation 99"), "{words}");
    // It stays as it is, for the version that knows it.
    queue.store_dead_letter(outbox::token(1, 1), 0, unknown).unwrap();
    let letter = queue.dead_letter(0).unwrap().unwrap();
    assert_eq!((letter.token, letter.messages), (outbox::token(1, 1), vec![None]));
    assert!(memory.cells().values["aside.0.0.0123456789abcdef"].windows(bytes.len()).any(|part| part == bytes));
    assert!(queue.drop_waiting(outbox::token(1, 1)).unwrap());
    assert_eq!(contents(&mut queue), [message(1, 1), message(3, 1)]);
}

/// As a firmware finds it that was rolled back, made a dead letter of the page, and was updated again.
#[test]
fn a_page_that_an_earlier_version_could_not_read_is_shown() {
    let memory = Memory::default();
    let mut queue = memory.queue(WIDE);
    queue.append(&[late(), message(1, 2)]).unwrap();
    let records = Records::new(Arc::new(memory.clone()), "pk", "dk", "0123456789abcdef");
    let Value::Whole(page) = records.look(Role::Page(1)).unwrap() else { panic!() };
    queue.keep_unreadable(1, &page).unwrap();
    queue.keep_unreadable(2, &page[1..]).unwrap();
    let found: Vec<_> = letters(&queue).into_iter().map(|letter| (letter.token, letter.messages)).collect();
    let shown = vec![Some(late()), Some(message(1, 2))];
    assert_eq!(found, [(outbox::token(1, 0), shown), (outbox::token(2, 0), vec![None])]);
}
