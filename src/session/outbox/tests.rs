use super::*;
use crate::protocol::durable::{Moment, PostTime};

/// What goes out of it at this moment.
fn sent(outbox: &mut Outbox, requests: &mut Requests, now: u64, wall_ms: u64) -> Vec<String> {
    let (mut actions, mut rng) = (VecDeque::new(), fastrand::Rng::with_seed(1));
    outbox.pump(false, &mut Around { now, wall_ms, requests, actions: &mut actions, rng: &mut rng });
    let payload = |action| match action {
        Action::Send(crate::session::LinkRequest::Publish { payload, .. }) => Some(String::from_utf8(payload).unwrap()),
        _ => None,
    };
    actions.into_iter().filter_map(payload).collect()
}

#[test]
fn a_post_waits_for_the_clock_and_gets_the_time_at_which_it_was_accepted() {
    let limits = Totals { messages: 10, bytes: 10_000 };
    let settings = OutboxSettings { window: 10, bytes_per_s: 0, timeout_ms: 30_000, boot: 7, limits };
    let mut outbox = Outbox::new(settings, Identity::new("pk", "dk", None).unwrap());
    let mut requests = Requests::new(10, 30_000, 1);
    let message = |boot| {
        let content = Content::Measurepoints { params: br#"{"measurepoints":{"t":1}}"#.to_vec() };
        Durable { content, until_reply: false, resume: false, time: PostTime::Stamp(Moment { boot, ms: 1_000 }) }
    };
    outbox.ends = Some((1, 1));
    outbox.appended(1, 2, limits, vec![message(7)]);
    outbox.appended(2, 3, limits, vec![message(6)]);
    outbox.link_up(5_000);
    assert!(sent(&mut outbox, &mut requests, 5_000, 1_000_000).is_empty(), "the clock stands in 1970");
    let again = outbox.deadline().unwrap();
    assert!((6_000..=15_000).contains(&again), "{again}");
    let sent = sent(&mut outbox, &mut requests, 21_000, 1_700_000_000_000);
    assert!(sent[0].contains(r#""params":{"time":1699999980000,"measurepoints":{"t":1}}"#), "{sent:?}");
    assert!(sent[1].contains(r#""params":{"measurepoints":{"t":1}}"#), "of an earlier boot: {sent:?}");
}
