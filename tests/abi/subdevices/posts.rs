//! Posts that are joined: many in one message of the gateway, each with its own outcome.

use super::*;

fn joined(subdevice: u64, flags: u32) -> Ask<'static> {
    Ask { flags: JOIN | flags, ..post(subdevice) }
}

/// The messages with measure points that the cloud has had, of one device and of several.
fn messages(desk: &Desk) -> (usize, usize) {
    let with = |path: &'static str| move |event: &Event| matches!(event, Event::Publish { topic, .. } if topic.ends_with(path));
    (desk.count(with("/thing/measurepoint/post")), desk.count(with("/thing/measurepoint/post/batch")))
}

#[test]
fn two_hundred_posts_go_in_one_message() {
    let desk = desk(200, |_| ());
    let mut host = Setup::device(desk.address()).inflight(1_000).join_time(1_000).start();
    let ids = host.add_subdevices(&subs(200)).unwrap();
    host.connect();
    host.until_all(&ids, SubState::Online);
    let tokens: Vec<u64> = ids.iter().map(|id| host.request(&joined(*id, 0)).unwrap()).collect();
    let outcomes = host.outcomes(&tokens);
    for (token, id) in tokens.iter().zip(&ids) {
        let told = &outcomes[token];
        assert_eq!((told.status, told.subdevice, told.user), (ENOS_OK, *id, 5), "{told:?}");
        assert_eq!(told.operation, Operation::ENOS_OP_MEASUREPOINT_POST as i32);
    }
    assert_eq!(messages(&desk), (0, 1));
}

/// EnOS refuses the batch because of one. The posts that follow tell which one that is.
#[test]
fn one_that_is_not_logged_in_any_more_is_found() {
    let desk = desk(3, |_| ());
    let mut host = Setup::device(desk.address()).join_time(200).start();
    let ids = host.add_subdevices(&subs(3)).unwrap();
    host.connect();
    host.until_all(&ids, SubState::Online);
    assert!(desk.cloud.log_out(&sub_id(1)));
    let post = |host: &mut Host| -> Vec<_> {
        let tokens: Vec<u64> = ids.iter().map(|id| host.request(&joined(*id, 0)).unwrap()).collect();
        let outcomes = host.outcomes(&tokens);
        tokens.iter().map(|token| (outcomes[token].status, outcomes[token].detail_code)).collect()
    };
    let refused = post(&mut host);
    assert!(refused.iter().all(|(status, code)| (*status, *code) == (ENOS_ERR_REFUSED, refused[0].1)), "{refused:?}");
    assert_eq!(host.subdevice_state(ids[0]), SubState::Online as i32);
    let ok = (ENOS_OK, 200);
    assert_eq!(post(&mut host), [ok, (ENOS_ERR_REFUSED, 1009), ok]);
    host.until_all(&ids, SubState::Online);
    assert_eq!(messages(&desk), (3, 1));
}

#[test]
fn where_the_flag_makes_no_sense_it_is_refused() {
    let desk = desk(1, |_| ());
    let host = online(&desk, 1).0;
    for (operation, flags, params, words) in [
        (Operation::ENOS_OP_MEASUREPOINT_POST, JOIN | DURABLE, "{}", "that is not durable"),
        (Operation::ENOS_OP_EVENT_POST, JOIN, "{}", "is for ENOS_OP_MEASUREPOINT_POST"),
        (Operation::ENOS_OP_MEASUREPOINT_POST, SKIP_INVALID, "{}", "does not take"),
        (Operation::ENOS_OP_MEASUREPOINT_POST, JOIN, r#"{"deviceKey":"x"}"#, "joined with others has no"),
    ] {
        assert_eq!(host.request(&Ask { flags, ..Ask::json(operation, params) }), Err(ENOS_ERR_INVALID_ARG));
        assert!(last_error().contains(words), "{}", last_error());
    }
}
