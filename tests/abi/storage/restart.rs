//! What the stored stamps of earlier CONNECTs make the next process do.

use enos::error::Status;
use enos::protocol::Identity;
use enos::storage::contents::StoredBudget;
use enos::storage::record::{encode, Role};
use enos::transport::clock::{boot_id, boottime_ms};

use super::client::{Client, Setup, Sky, ONLINE, PRODUCT_KEY};
use super::store::Store;

const WAITING: i32 = 5;

/// A device that starts with these stamps in its storage, of this boot or another, and the window in which they count.
fn start(boot_id: &str, stamps_ms: Vec<u64>, window_ms: u64) -> (Sky, Client) {
    let (sky, store) = (Sky::of("dk"), Store::new());
    let data = StoredBudget { boot_id: boot_id.to_owned(), stamps_ms }.encode().unwrap();
    let key = Role::Budget.key(&Identity::new(PRODUCT_KEY, "dk", None).unwrap().digest_hex());
    let record = encode(Role::Budget, PRODUCT_KEY, "dk", &data).unwrap();
    store.values.lock().unwrap().insert(key, record.to_vec());
    let setup = Setup { budget: Some((3, u32::try_from(window_ms).unwrap(), 0)), ..Setup::default() };
    let client = Client::with(&sky, "dk", &store.vtable(), &setup);
    client.connect();
    (sky, client)
}

/// No CONNECT goes out, and none is due before the time given.
#[track_caller]
fn waits_until(sky: &Sky, client: &Client, earliest_ms: u64) {
    client.until("waits for its budget", |client| client.state() == WAITING);
    let left = earliest_ms.saturating_sub(boottime_ms());
    // SAFETY: a handle. What is left is minutes: a tenth of a second shows that it is not now.
    let status = unsafe { enos::ffi::client::enos_client_wait(client.handle, ONLINE, 100) };
    assert!(left > 1_000, "this test needs a window that is not over");
    assert_eq!((status, sky.modes("dk").len()), (Status::ENOS_ERR_TIMEOUT as i32, 0));
}

#[test]
fn stamps_of_this_boot_count_from_when_they_were_made() {
    let (boot, now) = (boot_id().unwrap(), boottime_ms());
    let (sky, client) = start(boot, vec![now - 3, now - 2, now - 1], 3_600_000);
    waits_until(&sky, &client, now + 3_599_000);
    // Long ago, or one less: there is room.
    let long_ago = now.saturating_sub(2_000);
    for stamps in [vec![long_ago, long_ago, long_ago], vec![now - 1]] {
        let (sky, client) = start(boot, stamps, 1_500);
        client.until("online", |client| client.state() == ONLINE);
        assert_eq!(sky.modes("dk"), [3, 2]);
    }
    // From the future, as of an attempt that its process did not survive: as if made just now.
    let (sky, client) = start(boot, vec![u64::MAX; 3], 3_600_000);
    waits_until(&sky, &client, now + 3_599_000);
}

#[test]
fn stamps_of_another_boot_count_from_the_start_of_this_one() {
    let uptime = boottime_ms();
    let other = "00000000-0000-4000-8000-000000000000";
    // They are larger than this boot's clock: on its time line they would lie in the future.
    let stamps = vec![uptime + 1_000_000, uptime + 1_000_001, uptime + 1_000_002];
    if uptime > 1_000 {
        let (sky, client) = start(other, stamps.clone(), (uptime - 1).min(3_600_000));
        client.until("online", |client| client.state() == ONLINE);
        assert_eq!(sky.modes("dk"), [3, 2]);
    }
    if uptime < 3_000_000 {
        let (sky, client) = start(other, stamps, 3_600_000);
        waits_until(&sky, &client, 3_600_000);
    }
}

#[test]
fn stamps_of_nobody_knows_which_boot_count_in_full() {
    let now = boottime_ms();
    let (sky, client) = start("", vec![now - 3, now - 2, now - 1], 3_600_000);
    waits_until(&sky, &client, now + 3_599_000);
}
