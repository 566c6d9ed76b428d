//! The effect of the stored time stamps of earlier CONNECTs on the next process.

use enos::error::Status::*;
use enos::protocol::Identity;
use enos::storage::contents::StoredBudget;
use enos::storage::record::{encode, Role};
use enos::transport::clock::{boot_id, boottime_ms};
use support::desk::Desk;
use support::host::{Store, DEVICE_KEY, ONLINE, PRODUCT_KEY, WAITING};

use super::device;

/// A device starts with these time stamps in its storage, of this boot or another, and with this window. It goes online
/// at once, or it sends no CONNECT, and none is due before the given time.
#[track_caller]
fn start(boot_id: &str, stamps_ms: Vec<u64>, window_ms: u64, waits_until: Option<u64>) {
    let (desk, store) = (Desk::with_devices([DEVICE_KEY]), Store::new());
    let data = StoredBudget { boot_id: boot_id.to_owned(), stamps_ms }.encode().unwrap();
    let key = Role::Budget.key(&Identity::new(PRODUCT_KEY, DEVICE_KEY, None).unwrap().digest_hex());
    let record = encode(Role::Budget, PRODUCT_KEY, DEVICE_KEY, &data).unwrap();
    store.records().insert(key, record.to_vec());
    let window_ms = u32::try_from(window_ms).unwrap();
    let mut host = device(&desk, DEVICE_KEY, &store).connect_budget(3, window_ms, 0).create();
    let Some(earliest_ms) = waits_until else {
        host.online_as_new();
        assert_eq!(desk.modes(), [3, 2]);
        return;
    };
    host.connect();
    host.loop_until(|host| host.state() == WAITING);
    assert!(earliest_ms.saturating_sub(boottime_ms()) > 1_000, "this test needs a window that is not over");
    // The wait is minutes, so a tenth of a second is enough to show it.
    assert_eq!((host.wait(ONLINE, 100), desk.connects()), (ENOS_ERR_TIMEOUT, 0));
}

#[test]
fn stamps_of_this_boot_count_from_when_they_were_made() {
    let (boot, now) = (boot_id().unwrap(), boottime_ms());
    start(boot, vec![now - 3, now - 2, now - 1], 3_600_000, Some(now + 3_599_000));
    // Old stamps, or one less: there is room in the budget.
    start(boot, vec![now.saturating_sub(2_000); 3], 1_500, None);
    start(boot, vec![now - 1], 1_500, None);
    // A stamp from the future, of an attempt whose process has died, counts as made now.
    start(boot, vec![u64::MAX; 3], 3_600_000, Some(now + 3_599_000));
}

#[test]
fn stamps_of_another_boot_count_from_the_start_of_this_one() {
    let uptime = boottime_ms();
    let other = "00000000-0000-4000-8000-000000000000";
    // They are larger than this boot's clock, and would be in the future.
    let stamps = vec![uptime + 1_000_000, uptime + 1_000_001, uptime + 1_000_002];
    if uptime > 1_000 {
        start(other, stamps.clone(), (uptime - 1).min(3_600_000), None);
    }
    if uptime < 3_000_000 {
        start(other, stamps, 3_600_000, Some(3_600_000));
    }
}

#[test]
fn stamps_of_an_unknown_boot_count_in_full() {
    let now = boottime_ms();
    start("", vec![now - 3, now - 2, now - 1], 3_600_000, Some(now + 3_599_000));
}
