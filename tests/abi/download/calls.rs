//! The arguments of the calls, and which calls are refused when.

use enos::internals::error::Status::{self, *};
use enos::internals::ffi::ota::enos_ota_sink;
use enos::internals::ffi::status::enos_features;
use support::host::{image, Firmware, Options, Slot, LATER};
use support::http::whole;

use super::{device, fetch, serve};

#[test]
fn this_build_has_downloads() {
    assert_eq!(enos_features() & 4, 4);
}

#[test]
fn arguments_are_checked() {
    let (host, slot) = (device(), Slot::default());
    let image = image(9);
    let fine = Firmware::of("http://127.0.0.1:1/", &image);
    let refused = |firmware: &Firmware, options: &Options| host.download(firmware, &slot, options).unwrap_err();
    for url in ["/ota/image", "ftp://127.0.0.1/", "http://"] {
        assert_eq!(refused(&Firmware::of(url, &image), &Options::default()), ENOS_ERR_INVALID_ARG, "{url}");
        assert_eq!(refused(&fine, &Options { url: Some(url), ..Options::default() }), ENOS_ERR_INVALID_ARG, "{url}");
    }
    for (method, sign) in [("sha1", "00"), ("md5", "00"), ("crc", "00")] {
        let firmware = Firmware::with("http://127.0.0.1:1/", 9, method, sign);
        assert_eq!(refused(&firmware, &Options::default()), ENOS_ERR_UNSUPPORTED, "{method}");
    }
    for options in [
        Options { headers: &["Range: bytes=0-"], ..Options::default() },
        Options { headers: &["no colon"], ..Options::default() },
        Options { headers: &["A: b"; 33], ..Options::default() },
        Options { bytes_per_s: 999, ..Options::default() },
        Options { flags: 2, ..Options::default() },
        Options { stall_s: 4, ..Options::default() },
        Options { stall_s: 3601, ..Options::default() },
    ] {
        assert_eq!(refused(&fine, &options), ENOS_ERR_INVALID_ARG);
    }
    type Spoil = fn(&mut enos_ota_sink);
    let spoils: [(Spoil, Status); 5] = [
        (|sink| sink.begin = None, ENOS_ERR_NULL_ARG),
        (|sink| sink.block = None, ENOS_ERR_NULL_ARG),
        (|sink| sink.read = None, ENOS_ERR_NULL_ARG),
        (|sink| sink.verified = None, ENOS_ERR_NULL_ARG),
        (|sink| sink.struct_size = 0, ENOS_ERR_STRUCT_SIZE),
    ];
    for (spoil, status) in spoils {
        let mut sink = slot.sink();
        spoil(&mut sink);
        assert_eq!(host.download_to(&fine, &sink, &Options::default()), Err(status));
    }
    assert_eq!(slot.state().begun, 0, "nothing was begun");
    assert_eq!(host.cancel_download(1), ENOS_ERR_NOT_FOUND);
    assert_eq!(host.continue_download(1, 0), ENOS_ERR_NOT_FOUND);
}

#[test]
fn one_download_at_a_time_and_none_to_a_slot_that_is_taken() {
    let bytes = image(70_000);
    let (_server, firmware) = serve(&bytes, |asked, _, image| whole(asked, image));
    let (mut host, slot) = (device(), Slot::default());
    slot.state().begin_result = LATER;
    let token = host.download(&firmware, &slot, &Options::default()).unwrap();
    assert_eq!(host.download(&firmware, &slot, &Options::default()), Err(ENOS_ERR_STATE));
    slot.wait(|state| state.begun == 1);
    assert_eq!(host.continue_download(token, 0), ENOS_OK);
    assert_eq!(host.download_outcome(token).status, ENOS_OK);
    // It is verified: another one waits.
    let other = Firmware::of("http://127.0.0.1:1/", &image(9));
    assert_eq!(host.download(&other, &slot, &Options::default()), Err(ENOS_ERR_STATE));
    // The same one needs no server.
    let again = Slot::with(&bytes);
    assert_eq!(fetch(&mut host, &firmware, &again, &Options::default()).status, ENOS_OK);
    assert!(again.state().blocks.is_empty());
}

#[test]
fn a_full_slot_fails_and_the_next_download_fits() {
    let bytes = image(200_000);
    let (_server, firmware) = serve(&bytes, |asked, _, image| whole(asked, image));
    let (mut host, slot) = (device(), Slot::default());
    slot.state().block_result = -28;
    let told = fetch(&mut host, &firmware, &slot, &Options::default());
    assert_eq!((told.status, told.detail_code), (ENOS_ERR_STORAGE, -28));
    assert_eq!(slot.state().blocks.len(), 1);
    let slot = Slot::default();
    assert_eq!(host.download(&firmware, &slot, &Options::default()), Err(ENOS_ERR_STATE), "it has failed before");
    let told = fetch(&mut host, &firmware, &slot, &Options { flags: 1, ..Options::default() });
    assert_eq!(told.status, ENOS_OK);
}
