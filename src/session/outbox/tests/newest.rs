//! Operations of which only the newest message counts.

use super::*;

fn progress(step: i32) -> Request {
    let params = format!(r#"{{"step":"{step}","desc":""}}"#).into_bytes();
    Request { operation: Operation::ENOS_OP_OTA_PROGRESS, params, until_reply: true, ..post(PostTime::Own) }
}

/// The tokens of the messages that were superseded, and what the host has given with them.
fn superseded(actions: &VecDeque<Action>) -> Vec<(u64, usize)> {
    let told = actions.iter().filter_map(|action| match action {
        Action::Emit(event) if event.status == Status::ENOS_ERR_SUPERSEDED => Some((event.token, event.user)),
        _ => None,
    });
    told.collect()
}

#[test]
fn the_newest_supersedes_what_waits_in_memory_and_in_the_storage() {
    for is_in_memory in [true, false] {
        let (mut outbox, mut exchange) = outbox(LIMITS);
        // If a page before it was not read, the message is in the storage only.
        outbox.ends = Some((if is_in_memory { 1 } else { 0 }, 1));
        outbox.appended(accepted(1, 2, vec![progress(50)], &[7]));
        outbox.appended(accepted(2, 3, vec![post(PostTime::Own)], &[]));
        assert_eq!(outbox.take_stale(), []);
        outbox.appended(accepted(3, 4, vec![progress(99)], &[8]));
        let stale = outbox.take_stale();
        let [(token, label)] = stale[..] else { panic!("{stale:?}") };
        assert_eq!((token, label.until_reply), (outbox::token(1, 0), true));
        let told = actions(&mut outbox, &mut exchange, |outbox, around| {
            outbox.supersede((token, label), 2, LIMITS, around);
            outbox.prepare(around);
        });
        assert_eq!(superseded(&told), [(token, 7)], "{is_in_memory}");
        assert!(outbox.place(token) == Place::Through || !is_in_memory);
    }
}

/// The message of an earlier process, and one that the storage does not let go of.
#[test]
fn what_is_superseded_is_left_out_when_it_is_read() {
    let (mut outbox, mut exchange) = outbox(LIMITS);
    outbox.ends = Some((1, 3));
    outbox.appended(accepted(3, 4, vec![progress(-4)], &[]));
    assert_eq!(outbox.take_stale(), []);
    go_online(&mut outbox, &mut exchange, 5_000);
    for (page, step) in [(1, 50), (2, 99), (3, -4)] {
        let messages = vec![Some(Message::Request(progress(step)))];
        let found = PageFound::Messages { next: page + 1, after: LIMITS, messages };
        let told = actions(&mut outbox, &mut exchange, |outbox, around| {
            outbox.page_read(page, Ok(found), around);
            outbox.prepare(around);
        });
        let expected = if page < 3 { vec![(outbox::token(page, 0), 0)] } else { vec![] };
        assert_eq!(superseded(&told), expected);
    }
    assert_eq!(outbox.window.len(), 1);
    assert!(outbox.completed.is_some_and(|(through, _)| through == 3));
}

#[test]
fn what_is_in_flight_is_not_superseded_until_it_waits_again() {
    let (mut outbox, mut exchange) = outbox(LIMITS);
    outbox.ends = Some((1, 1));
    outbox.appended(accepted(1, 2, vec![progress(50)], &[]));
    outbox.window.advance(State::Sent { entry: 1, acknowledged: None });
    outbox.appended(accepted(2, 3, vec![progress(99)], &[]));
    assert_eq!(outbox.take_stale(), []);
    assert_eq!(superseded(&actions(&mut outbox, &mut exchange, Outbox::prepare)), []);
    // The link is lost.
    outbox.window.rewind(0);
    let told = actions(&mut outbox, &mut exchange, Outbox::prepare);
    assert_eq!(superseded(&told), [(outbox::token(1, 0), 0)]);
    assert_eq!(outbox.window.len(), 1);
}
