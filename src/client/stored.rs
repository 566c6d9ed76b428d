//! Between what the session keeps and what lies in the host's storage.

use zeroize::Zeroizing;

use crate::log;
use crate::protocol::{Secret, SignMethod};
use crate::session::{Accepted, KeptSecret, Loaded, StorageFailure};
use crate::storage::contents::{StoredBudget, StoredSecret, StoredSign};
use crate::storage::pending::StoredPending;
use crate::storage::record::{RecordError, Role};
use crate::storage::records::{Records, RecordsError};
use crate::transport::clock;

type Outcome<T> = std::result::Result<T, StorageFailure>;

/// All records of the device. Secrets that cannot be read are failures; the rest is best effort.
pub fn load(records: Option<&Records>) -> Loaded {
    let Some(records) = records else {
        return Loaded { current: Ok(None), previous: Ok(None), pending: Ok(Vec::new()), accepted: None, budget: None };
    };
    let secret = |role| read(records, role, StoredSecret::decode)?.map(from_stored).transpose();
    Loaded {
        current: secret(Role::Secret),
        previous: secret(Role::Previous),
        pending: read(records, Role::Pending, StoredPending::decode).and_then(|stored| {
            stored.map(|stored| stored.secrets).unwrap_or_default().into_iter().map(from_stored).collect()
        }),
        accepted: best_effort(read(records, Role::Sign, StoredSign::decode)).and_then(|stored| {
            let method = SignMethod::try_from(i32::from(stored.method)).ok()?;
            Some(Accepted { method, fingerprint: stored.fingerprint })
        }),
        budget: best_effort(read(records, Role::Budget, StoredBudget::decode)).map(|stored| {
            // One that is not known may be the same: then the stamps count in full.
            let another = clock::boot_id().is_some_and(|id| !stored.boot_id.is_empty() && id != stored.boot_id);
            (stored.stamps_ms, !another)
        }),
    }
}

pub fn store_pending(records: Option<&Records>, pending: Vec<KeptSecret>) -> Outcome<()> {
    let stored = StoredPending { secrets: pending.into_iter().map(to_stored).collect() };
    store_verified(records, Role::Pending, stored.encode())
}

/// In this order, each only after the one before it: power lost in between costs nothing.
pub fn promote(records: Option<&Records>, current: KeptSecret, previous: Option<KeptSecret>) -> Outcome<()> {
    if let Some(previous) = previous {
        store_verified(records, Role::Previous, to_stored(previous).encode())?;
    }
    store_verified(records, Role::Secret, to_stored(current).encode())?;
    with(records, |records| records.erase(Role::Pending))
}

pub fn store_accepted(records: Option<&Records>, accepted: Accepted) {
    let stored = StoredSign { method: accepted.method as u8, fingerprint: accepted.fingerprint };
    best_effort(with(records, |records| records.store(Role::Sign, &stored.encode())));
}

pub fn store_budget(records: Option<&Records>, stamps_ms: Vec<u64>) {
    let stored = StoredBudget { boot_id: clock::boot_id().unwrap_or_default().to_owned(), stamps_ms };
    best_effort(
        stored.encode().map_err(encoding).and_then(|data| with(records, |records| records.store(Role::Budget, &data))),
    );
}

fn read<T>(
    records: &Records,
    role: Role,
    decode: impl FnOnce(&[u8]) -> std::result::Result<T, RecordError>,
) -> Outcome<Option<T>> {
    let data = records.load(role).map_err(failure)?;
    data.map(|data| decode(&data))
        .transpose()
        .map_err(|error| StorageFailure { code: 0, message: format!("the record {role:?} in the storage: {error}") })
}

fn store_verified(
    records: Option<&Records>,
    role: Role,
    data: crate::error::Result<Zeroizing<Vec<u8>>>,
) -> Outcome<()> {
    let data = data.map_err(encoding)?;
    with(records, |records| records.store_verified(role, &data))
}

/// Without a storage there is nothing to keep, and nothing is kept.
fn with(
    records: Option<&Records>,
    call: impl FnOnce(&Records) -> std::result::Result<(), RecordsError>,
) -> Outcome<()> {
    records.map_or(Ok(()), call).map_err(failure)
}

fn best_effort<T: Default>(outcome: Outcome<T>) -> T {
    outcome.unwrap_or_else(|failure| {
        log::warn("storage", format_args!("{} (code {})", failure.message, failure.code));
        T::default()
    })
}

fn failure(error: RecordsError) -> StorageFailure {
    StorageFailure { code: error.code, message: error.message }
}

fn encoding(error: crate::error::Error) -> StorageFailure {
    StorageFailure { code: 0, message: error.message }
}

fn to_stored(kept: KeptSecret) -> StoredSecret {
    StoredSecret { secret: Zeroizing::new(kept.secret.as_bytes().to_vec()), asset_id: kept.asset_id }
}

fn from_stored(stored: StoredSecret) -> Outcome<KeptSecret> {
    match Secret::new(&stored.secret) {
        Ok(secret) => Ok(KeptSecret { secret, asset_id: stored.asset_id }),
        Err(error) => Err(StorageFailure { code: 0, message: format!("a secret in the storage: {}", error.message) }),
    }
}
