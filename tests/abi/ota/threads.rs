//! Calls from several threads while offers come.

use super::*;

/// The loop stores offers while other threads report and install. At the end the storage has what was called last, and not
/// an older record that another thread has stored over it.
#[test]
fn the_storage_has_what_was_called_last() {
    let (desk, store) = (Desk::active(|_| ()), Store::new());
    // A slow storage, so that calls overlap.
    store.answer(|request| {
        if request.key.starts_with("ota.") && request.is_store() {
            std::thread::sleep(std::time::Duration::from_micros(200));
        }
        None
    });
    let host = Setup::device(desk.address()).storage(&store).firmware_version("1").outbox_rate(1_000_000_000).start();
    host.connect();
    let client = host.client();
    let (two, three) = (params("2").to_string(), params("3").to_string());
    for round in 0..20 {
        std::thread::scope(|scope| {
            for json in [&two, &three] {
                scope.spawn(move || {
                    let firmware = Firmware::parse(json, 0).unwrap();
                    for step in 0..5 {
                        client.ota_report(&firmware, if step == 3 { -1 } else { step }, None).unwrap();
                        assert_eq!(client.ota_installed(&firmware), ENOS_OK);
                    }
                });
            }
            for version in ["4", "5"] {
                offer(&desk, version);
            }
        });
        let last = Firmware::parse(if round % 2 == 0 { &two } else { &three }, 0).unwrap();
        assert_eq!(host.ota_installed(&last), ENOS_OK);
        let records = store.records().clone();
        // The next process finds it.
        let version = last.version();
        let copy = Store::with(records);
        let mut next = Setup::device(support::broker::nobody()).storage(&copy).firmware_version(&version).start();
        next.connect();
        let told = next.until("OTA");
        assert_eq!((told.status, told.firmware.unwrap().version()), (ENOS_OK, version), "round {round}");
    }
}
