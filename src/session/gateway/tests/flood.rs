//! More posts than the cloud answers.

use super::*;

const SECOND_MS: u64 = 1_000;

/// What came of the posts, by the ids of the sub-devices.
fn outcomes(park: &mut Park) -> Vec<(u64, u64, S)> {
    let replies = std::mem::take(&mut park.events).into_iter().filter(|event| event.kind == EventKind::Reply);
    replies.map(|event| (event.token, event.subdevice, event.status)).collect()
}

/// 200 sub-devices post ten times a second for 40 seconds, and the cloud answers one post of a hundred.
#[test]
fn memory_is_bounded_and_each_goes_on_when_the_cloud_answers_again() {
    let settings = world::settings();
    let (inflight, timeout_ms) = (settings.inflight as usize, settings.reply_timeout_ms);
    let (mut park, ids) = Park::online(200);
    park.cloud.answers_posts = Some(100);
    let (mut accepted, mut ended, mut refused) = (BTreeSet::new(), BTreeSet::new(), 0);
    let note = |park: &mut Park, ended: &mut BTreeSet<u64>| {
        for (token, _, status) in outcomes(park) {
            assert!(ended.insert(token), "a second outcome");
            assert!([S::ENOS_OK, S::ENOS_ERR_TIMEOUT].contains(&status), "{status:?}");
        }
    };
    for _ in 0..40 * 10 {
        for id in &ids {
            match park.post(*id) {
                Ok(token) => assert!(accepted.insert(token)),
                Err(error) => {
                    assert_eq!(error.status, S::ENOS_ERR_QUEUE_FULL);
                    refused += 1;
                }
            }
        }
        park.wait(SECOND_MS / 10);
        note(&mut park, &mut ended);
        assert!(park.session.exchange.in_progress() <= inflight && park.session.backlog() == 0);
    }
    assert!(refused > 70_000 && accepted.len() >= 2 * inflight, "{refused} refused, {} accepted", accepted.len());
    assert_eq!(park.states(&ids), vec![State::Online; ids.len()], "silence about posts is no reason to log in again");
    // A place becomes free when its post has timed out.
    park.cloud.answers_posts = Some(1);
    park.wait(timeout_ms);
    note(&mut park, &mut ended);
    assert_eq!(accepted, ended, "each has its outcome");
    for ids in ids.chunks(inflight) {
        let tokens: Vec<(u64, u64, S)> = ids.iter().map(|id| (park.post(*id).unwrap(), *id, S::ENOS_OK)).collect();
        assert_eq!(outcomes(&mut park), tokens);
    }
}
