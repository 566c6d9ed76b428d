//! Slow servers and slow sinks, and what goes on meanwhile.

use std::time::{Duration, Instant};

use enos::internals::error::Status;
use support::desk::Desk;
use support::host::{image, Options, Setup, Slot, LATER};
use support::http::{good, whole, Step};

use super::{device, fetch, quick, serve, BLOCK};

/// "Within a second", with room for a busy machine.
const SOON: Duration = Duration::from_secs(3);

#[test]
fn it_is_cancelled_in_each_wait_and_never_after_verified() {
    let image = image(3 * BLOCK);
    for wait in ["head", "body", "retry", "begin", "block"] {
        let (_server, firmware) = serve(&image, move |asked, _, image| match wait {
            "head" => vec![Step::Hold],
            "body" => {
                let (head, body) = good(asked, image);
                vec![Step::Send(head.into_bytes()), Step::Send(body[..BLOCK + 9].to_vec()), Step::Hold]
            }
            "retry" => vec![Step::Send(b"HTTP/1.1 503 No\r\nRetry-After: 3600\r\nContent-Length: 0\r\n\r\n".to_vec())],
            _ => whole(asked, image),
        });
        let (mut host, slot) = (device(), Slot::default());
        slot.state().begin_result = if wait == "begin" { LATER } else { 0 };
        slot.state().block_result = if wait == "block" { LATER } else { 0 };
        let token = host.download(&firmware, &slot, &Options::default()).unwrap();
        slot.wait(|state| state.begun == 1 && (!matches!(wait, "body" | "block") || !state.blocks.is_empty()));
        let start = Instant::now();
        assert_eq!(host.cancel_download(token), Status::ENOS_OK);
        assert_eq!(host.download_outcome(token).status, Status::ENOS_ERR_CANCELLED, "{wait}");
        assert!(start.elapsed() < SOON, "{wait}: {:?}", start.elapsed());
        assert_eq!(slot.state().failed, Some(Status::ENOS_ERR_CANCELLED));
        assert_eq!(host.cancel_download(token), Status::ENOS_ERR_NOT_FOUND);
    }

    let (_server, firmware) = serve(&image, |asked, _, image| whole(asked, image));
    let (mut host, slot) = (device(), Slot::default());
    slot.state().verified_result = LATER;
    let token = host.download(&firmware, &slot, &Options::default()).unwrap();
    slot.wait(|state| state.verified == 1);
    assert_eq!(host.cancel_download(token), Status::ENOS_ERR_STATE);
    assert_eq!(host.continue_download(token, 0), Status::ENOS_OK);
    assert_eq!(host.download_outcome(token).status, Status::ENOS_OK);
}

#[test]
fn a_sink_may_answer_later_and_nothing_waits_for_it() {
    let image = image(2 * BLOCK + 5);
    let (_server, firmware) = serve(&image, |asked, _, image| whole(asked, image));
    let desk = Desk::active(|_| ());
    let mut host = quick(Setup::device(desk.address())).start();
    host.online();
    let slot = Slot::default();
    {
        let mut state = slot.state();
        (state.begin_result, state.block_result, state.verified_result) = (LATER, LATER, LATER);
    }
    let token = host.download(&firmware, &slot, &Options::default()).unwrap();
    for step in 0..5 {
        slot.wait(|state| state.begun as usize + state.blocks.len() + state.verified as usize == step + 1);
        // Whatever the sink does, messages pass.
        let published = host.publish("t", b"1", 1).unwrap();
        assert_eq!(host.until("DELIVERED").token, published);
        assert_eq!(host.continue_download(token, 1), Status::ENOS_ERR_INVALID_ARG);
        assert_eq!(host.continue_download(token + 1, 0), Status::ENOS_ERR_NOT_FOUND);
        assert_eq!(host.continue_download(token, 0), Status::ENOS_OK);
    }
    assert_eq!(host.download_outcome(token).status, Status::ENOS_OK);
    assert_eq!(host.continue_download(token, 0), Status::ENOS_ERR_NOT_FOUND);
    assert!(slot.state().bytes == image);
}

#[test]
fn an_installation_may_fail_later() {
    let image = image(BLOCK);
    let (_server, firmware) = serve(&image, |asked, _, image| whole(asked, image));
    let (mut host, slot) = (device(), Slot::default());
    slot.state().verified_result = LATER;
    let token = host.download(&firmware, &slot, &Options::default()).unwrap();
    slot.wait(|state| state.verified == 1);
    assert_eq!(host.continue_download(token, -7), Status::ENOS_OK);
    let told = host.download_outcome(token);
    assert_eq!((told.status, told.detail_code), (Status::ENOS_ERR_STORAGE, -7));
}

#[test]
fn a_stall_ends_the_connection_and_not_the_download() {
    let image = image(3 * BLOCK);
    let (server, firmware) = serve(&image, |asked, number, image| match number {
        0 => {
            let (head, body) = good(asked, image);
            vec![Step::Send(head.into_bytes()), Step::Send(body[..BLOCK + 9].to_vec()), Step::Hold]
        }
        _ => whole(asked, image),
    });
    let (mut host, slot) = (device(), Slot::default());
    let options = Options { stall_s: 5, ..Options::default() };
    assert_eq!(fetch(&mut host, &firmware, &slot, &options).status, Status::ENOS_OK);
    assert_eq!(server.offsets(), [0, BLOCK + 9], "what has come is not lost");
}

#[test]
fn the_rate_is_limited() {
    let image = image(400_000);
    let (_server, firmware) = serve(&image, |asked, _, image| whole(asked, image));
    let (mut host, slot) = (device(), Slot::default());
    let start = Instant::now();
    let options = Options { bytes_per_s: 200_000, ..Options::default() };
    assert_eq!(fetch(&mut host, &firmware, &slot, &options).status, Status::ENOS_OK);
    let took = start.elapsed().as_secs_f64();
    assert!((1.0..6.0).contains(&took), "2 s are due, it took {took}");
}

#[test]
fn a_client_is_destroyed_in_a_download() {
    let image = image(3 * BLOCK);
    for later in [false, true] {
        let (_server, firmware) = serve(&image, move |asked, _, image| match later {
            true => whole(asked, image),
            false => vec![Step::Hold],
        });
        let (host, slot) = (device(), Slot::default());
        slot.state().verified_result = LATER;
        host.download(&firmware, &slot, &Options::default()).unwrap();
        slot.wait(|state| state.begun == 1 && (!later || state.verified == 1));
        assert!(host.destroy() < SOON);
        assert_eq!(slot.state().failed, Some(Status::ENOS_ERR_CANCELLED));
    }
}
