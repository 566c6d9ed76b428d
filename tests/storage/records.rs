//! Records: the round trip, refusals, and the bytes that devices have on flash.

use enos::internals::error::Status;
use enos::internals::model::storage::StorageError;
use enos::internals::protocol::{DeviceSecret, Secret, Standing};
use enos::internals::storage::contents::{decode_commands, encode_commands, StoredBudget, StoredSign};
use enos::internals::storage::record::{decode, encode, RecordError, Role};
use enos::internals::storage::records::Records;
use enos::internals::storage::secrets::{self, decode_pending, StoredSecrets};
use zeroize::Zeroizing;

use support::host::{Asked, Store};

const PRODUCT_KEY: &str = "XMXD7Wo3";
const DEVICE_KEY: &str = "pump-07";
const DIGEST: &str = "0123456789abcdef";

fn records(store: &Store) -> Records {
    Records::new(store.storage(), PRODUCT_KEY, DEVICE_KEY, DIGEST)
}

/// Stores as a client does, which makes one call of the host's at a time.
pub trait StoreVerified {
    fn store_verified(&self, role: Role, data: &[u8]) -> Result<(), StorageError>;
}

impl StoreVerified for Records {
    fn store_verified(&self, role: Role, data: &[u8]) -> Result<(), StorageError> {
        let mut storing = self.storing(role, data)?;
        while !storing.step(self)? {}
        Ok(())
    }
}

fn stored(text: &str, asset_id: Option<&str>) -> DeviceSecret {
    let (secret, asset_id) = (Secret::new(text.as_bytes()).unwrap(), asset_id.map(str::to_owned));
    DeviceSecret { secret, asset_id, standing: Standing::Unproven, brought_by: 0 }
}

fn secret(text: &str, asset_id: Option<&str>) -> Zeroizing<Vec<u8>> {
    secrets::encode(&stored(text, asset_id)).unwrap()
}

/// As version 0.1 wrote them.
fn pending(pending: &[DeviceSecret]) -> Zeroizing<Vec<u8>> {
    let mut data = vec![pending.len() as u8];
    for secret in pending {
        let secret = secrets::encode(secret).unwrap();
        data.extend((secret.len() as u32).to_le_bytes());
        data.extend_from_slice(&secret);
    }
    Zeroizing::new(data)
}

fn pending_secrets() -> [DeviceSecret; 2] {
    [stored("密钥", Some("资产")), stored("n3w", None)]
}

fn all_secrets() -> StoredSecrets {
    let secrets = vec![
        DeviceSecret { standing: Standing::First, ..stored("s3cr3tOfThePump", Some("Zf9yQx2P")) },
        DeviceSecret { standing: Standing::Proven, ..stored("l8r", None) },
        stored("密钥", Some("资产")),
    ];
    StoredSecrets { number: 0x0102_0304_0506_0708, secrets }
}

struct Golden {
    name: &'static str,
    bytes: &'static [u8],
    role: Role,
    identity: [&'static str; 2],
    data: Zeroizing<Vec<u8>>,
}

/// Each file in tests/golden, and its meaning. A new format gets new files; these stay.
fn golden() -> Vec<Golden> {
    let budget = StoredBudget {
        boot_id: "6f1e1a5c-2b7e-4c0e-9f39-0d1c2b3a4f5e".to_owned(),
        stamps_ms: vec![1, 60_000, u64::MAX],
    };
    let pump = Secret::new(b"s3cr3tOfThePump").unwrap();
    let sign = StoredSign { method: 2, fingerprint: pump.fingerprint() };
    let plain = [PRODUCT_KEY, DEVICE_KEY];
    macro_rules! golden {
        ($name:literal, $role:expr, $identity:expr, $data:expr) => {
            Golden {
                name: $name,
                bytes: include_bytes!(concat!("../golden/", $name)),
                role: $role,
                identity: $identity,
                data: $data,
            }
        };
    }
    vec![
        golden!("record-v1-secrets.bin", Role::Secrets(1), plain, all_secrets().encode().unwrap()),
        golden!("record-v1-secret.bin", Role::Secret, plain, secret("s3cr3tOfThePump", None)),
        golden!("record-v1-previous.bin", Role::Previous, plain, secret("0ld", Some("Zf9yQx2P"))),
        golden!("record-v1-pending-utf8.bin", Role::Pending, ["产品", "泵-7"], pending(&pending_secrets())),
        golden!("record-v1-sign.bin", Role::Sign, plain, sign.encode()),
        golden!("record-v1-budget.bin", Role::Budget, plain, budget.encode().unwrap()),
        golden!("record-v1-commands.bin", Role::Commands, plain, encode_commands(&commands())),
        golden!("record-v1-outbox.bin", Role::Page(u64::MAX), plain, Zeroizing::new(b"{\"value\":1}".to_vec())),
        golden!("record-v1-empty.bin", Role::Page(0), ["p", "d"], Zeroizing::new(Vec::new())),
    ]
}

/// Two commands without an answer.
fn commands() -> [[u8; 16]; 2] {
    [0, 16].map(|from| std::array::from_fn(|at| from + at as u8))
}

#[test]
fn commands_are_read_as_they_were_written() {
    assert_eq!(decode_commands(&encode_commands(&commands())), Ok(commands().to_vec()));
    assert_eq!(decode_commands(&[]), Ok(Vec::new()));
    assert!(matches!(decode_commands(&[0; 17]), Err(RecordError::Broken(_))));
}

#[test]
fn golden_files_are_what_is_written_and_read() {
    for Golden { name, bytes, role, identity: [product_key, device_key], data } in golden() {
        let written = encode(role, product_key, device_key, &data).unwrap();
        assert_eq!(hex::encode(&*written), hex::encode(bytes), "{name}");
        assert_eq!(decode(role, product_key, device_key, bytes), Ok(&data[..]), "{name}");
    }
}

#[test]
fn secrets_are_read_as_they_were_written() {
    let data = all_secrets().encode().unwrap();
    assert_eq!(StoredSecrets::decode(&data), Ok(all_secrets()));
    assert_eq!(decode_pending(&pending(&pending_secrets())), Ok(pending_secrets().to_vec()));
}

#[test]
fn no_truncation_and_no_flipped_bit_reads_as_anything() {
    for Golden { name, bytes, role, identity: [product_key, device_key], .. } in golden() {
        for len in 0..bytes.len() {
            let result = decode(role, product_key, device_key, &bytes[..len]);
            assert!(matches!(result, Err(RecordError::Broken(_))), "{name} cut to {len}: {result:?}");
        }
        let mut changed = bytes.to_vec();
        for bit in 0..bytes.len() * 8 {
            changed[bit / 8] ^= 1 << (bit % 8);
            let result = decode(role, product_key, device_key, &changed);
            assert!(matches!(result, Err(RecordError::Broken(_))), "{name} with bit {bit} flipped: {result:?}");
            changed[bit / 8] ^= 1 << (bit % 8);
        }
        changed.push(0);
        assert!(decode(role, product_key, device_key, &changed).is_err(), "{name} with a byte more");
    }
}

/// A checksum is not a signature: any bytes with a right checksum must be read without a panic.
#[test]
fn damage_under_a_right_checksum_does_no_harm() {
    let random = fastrand::Rng::with_seed(7);
    check_damage(random);
}

fn check_damage(mut random: fastrand::Rng) {
    for Golden { bytes, role, identity: [product_key, device_key], data, .. } in golden() {
        for _ in 0..5_000 {
            let mut changed = bytes[..bytes.len() - 4].to_vec();
            for _ in 0..random.usize(1..4) {
                let at = random.usize(10..changed.len());
                changed[at] = random.u8(..);
            }
            let crc = crc32fast::hash(&changed);
            changed.extend(crc.to_le_bytes());
            let _ = decode(role, product_key, device_key, &changed);

            let mut inner = data.to_vec();
            if !inner.is_empty() {
                let at = random.usize(..inner.len());
                inner[at] = random.u8(..);
                inner.truncate(random.usize(..=inner.len()));
            }
            let _ = (secrets::decode(&inner, Standing::First), StoredSecrets::decode(&inner), decode_pending(&inner));
            let _ = (StoredSign::decode(&inner), StoredBudget::decode(&inner));
        }
    }
}

#[test]
fn a_record_says_whose_it_is_and_what() {
    let record = encode(Role::Secret, PRODUCT_KEY, DEVICE_KEY, b"data").unwrap();
    assert_eq!(decode(Role::Secret, PRODUCT_KEY, "pump-08", &record), Err(RecordError::OtherIdentity));
    assert_eq!(decode(Role::Secret, "XMXD7Wo4", DEVICE_KEY, &record), Err(RecordError::OtherIdentity));
    // The same letters, split differently, are another device.
    assert_eq!(decode(Role::Secret, "XMXD7Wo3p", "ump-07", &record), Err(RecordError::OtherIdentity));
    assert_eq!(decode(Role::Pending, PRODUCT_KEY, DEVICE_KEY, &record), Err(RecordError::OtherRole));

    for (version, expected) in [(2, RecordError::NewerVersion), (0, RecordError::Broken("it has no version".into()))] {
        let mut other = record[..record.len() - 4].to_vec();
        other[4] = version;
        other.extend(crc32fast::hash(&other).to_le_bytes());
        assert_eq!(decode(Role::Secret, PRODUCT_KEY, DEVICE_KEY, &other), Err(expected));
    }
    for erased in [&[][..], &[0; 64], &[0xFF; 64]] {
        assert!(matches!(decode(Role::Secret, PRODUCT_KEY, DEVICE_KEY, erased), Err(RecordError::Broken(_))));
    }
}

#[test]
fn a_record_is_at_most_as_long_as_a_value() {
    let empty = encode(Role::Page(1), PRODUCT_KEY, DEVICE_KEY, &[]).unwrap().len();
    let largest = vec![1; 64 * 1024 - empty];
    let record = encode(Role::Page(1), PRODUCT_KEY, DEVICE_KEY, &largest).unwrap();
    assert_eq!(decode(Role::Page(1), PRODUCT_KEY, DEVICE_KEY, &record), Ok(&largest[..]));
    let too_large = [largest.as_slice(), &[1]].concat();
    let error = encode(Role::Page(1), PRODUCT_KEY, DEVICE_KEY, &too_large).unwrap_err();
    assert_eq!(error.status, Status::ENOS_ERR_TOO_LARGE);
    let long_key = "k".repeat(70_000);
    assert_eq!(encode(Role::Sign, &long_key, DEVICE_KEY, &[]).unwrap_err().status, Status::ENOS_ERR_TOO_LARGE);
}

#[test]
fn keys_are_what_the_header_promises() {
    let store = Store::new();
    let records = records(&store);
    let roles = [Role::Secrets(0), Role::Secrets(1), Role::Sign, Role::Budget, Role::Page(17)];
    for role in roles {
        records.store_verified(role, b"data").unwrap();
    }
    let keys: Vec<String> = store.records().keys().cloned().collect();
    let expected = ["budget", "out.17", "secrets.0", "secrets.1", "sign"].map(|role| format!("{role}.{DIGEST}"));
    assert_eq!(keys, expected);
    for role in roles {
        assert_eq!(records.load(role).unwrap().unwrap().as_slice(), b"data");
        records.erase(role).unwrap();
        assert_eq!(records.load(role), Ok(None));
    }
}

#[test]
fn contents_come_back_as_they_went_in() {
    let long = "a".repeat(65_535);
    for asset_id in [None, Some(""), Some("Zf9yQx2P"), Some(long.as_str())] {
        let data = secret("s", asset_id);
        assert_eq!(secrets::decode(&data, Standing::Unproven), Ok(stored("s", asset_id)));
    }
    for budget in [
        StoredBudget::default(),
        StoredBudget { boot_id: "b".repeat(36), stamps_ms: (0..16).map(|i| u64::MAX - i).collect() },
    ] {
        let data = budget.encode().unwrap();
        assert_eq!(StoredBudget::decode(&data), Ok(budget));
        for len in 0..data.len() {
            assert!(StoredBudget::decode(&data[..len]).is_err());
        }
        assert!(StoredBudget::decode(&[&data[..], &[0]].concat()).is_err());
    }
    let sign = StoredSign { method: 3, fingerprint: Secret::new(b"secret").unwrap().fingerprint() };
    assert_eq!(StoredSign::decode(&sign.encode()), Ok(sign));
    // The beginning of SHA-256("secret").
    assert_eq!(hex::encode(sign.fingerprint), "2bb80d537b1da3e3");
}

#[test]
fn contents_that_make_no_sense_are_refused() {
    let long = stored("s", Some(&"a".repeat(65_536)));
    assert_eq!(secrets::encode(&long).unwrap_err().status, Status::ENOS_ERR_TOO_LARGE);
    for data in [&[][..], &[0], &[0, 0], &[0, 0xFF], &[2, b's'], &[1, 9, 0, b's'], &[1, 0, 0], &[1, 1, 0, 0xFF, b's']] {
        assert!(secrets::decode(data, Standing::First).is_err(), "{data:?}");
    }
    let stamps = StoredBudget { boot_id: String::new(), stamps_ms: vec![0; 17] };
    assert_eq!(stamps.encode().unwrap_err().status, Status::ENOS_ERR_INVALID_ARG);
    let boot_id = StoredBudget { boot_id: "b".repeat(37), stamps_ms: vec![] };
    assert_eq!(boot_id.encode().unwrap_err().status, Status::ENOS_ERR_INVALID_ARG);
    assert!(StoredBudget::decode(&[0, 0, 255]).is_err());
}

#[test]
fn a_secret_is_not_printed() {
    let stored = stored("hush", Some("asset"));
    let printed = format!("{stored:?}");
    assert!(printed.contains("asset") && !printed.contains("hush") && !printed.contains("104"), "{printed}");
}

#[test]
fn only_not_found_means_that_there_is_none() {
    let store = Store::new();
    store.on_load(|_, _| -19);
    let StorageError { status, code, message } = records(&store).load(Role::Secret).unwrap_err();
    assert_eq!((status, code), (Status::ENOS_ERR_STORAGE, -19));
    assert!(message.contains("secret.") && message.contains("-19"), "{message}");

    let store = Store::new();
    let records = records(&store);
    let key = Role::Secret.key(DIGEST);
    let foreign = encode(Role::Secret, PRODUCT_KEY, "pump-08", b"theirs").unwrap().to_vec();
    for (value, expected) in [
        (Vec::new(), Status::ENOS_ERR_STORAGE),
        (vec![0xFF; 100], Status::ENOS_ERR_STORAGE),
        (foreign, Status::ENOS_ERR_IDENTITY_MISMATCH),
    ] {
        store.records().insert(key.clone(), value.clone());
        let error = records.load(Role::Secret).unwrap_err();
        assert_eq!((error.status, error.code), (expected, 0), "{}", error.message);
        assert_eq!(store.records()[&key], value, "looking changes nothing");
    }
}

#[test]
fn a_whole_record_of_somebody_else_is_not_overwritten() {
    let store = Store::new();
    let records = records(&store);
    let key = Role::Pending.key(DIGEST);
    let foreign = encode(Role::Pending, PRODUCT_KEY, "pump-08", b"theirs").unwrap().to_vec();
    let other_role = encode(Role::Secret, PRODUCT_KEY, DEVICE_KEY, b"mine").unwrap().to_vec();
    let mut newer = foreign[..foreign.len() - 4].to_vec();
    newer[4] = 9;
    newer.extend(crc32fast::hash(&newer).to_le_bytes());
    for value in [foreign, other_role, newer] {
        store.records().insert(key.clone(), value.clone());
        records.store_verified(Role::Pending, b"new").unwrap_err();
        assert_eq!(store.records()[&key], value);
    }
    // A half-written value must not keep a secret from being stored.
    store.records().insert(key.clone(), vec![1, 2, 3]);
    records.store_verified(Role::Pending, b"new").unwrap();
    assert_eq!(records.load(Role::Pending).unwrap().unwrap().as_slice(), b"new");
}

#[test]
fn stored_means_read_back() {
    // Stores that return OK and do nothing, truncate, flip a bit, append or forget, and one that fails.
    let store = Store::new();
    store.on_calls(1, 0, 0);
    assert!(records(&store).store_verified(Role::Secret, b"new").unwrap_err().message.contains("does not find"));

    type Change = fn(&mut Vec<u8>);
    for change in [(|v| v.truncate(v.len() - 1)) as Change, |v| v[20] ^= 1, |v| v.push(0), |v| v.clear()] {
        let store = Store::new();
        store.answer(move |request| {
            let Asked::Store(data) = &request.asked else { return None };
            let mut data = data.to_vec();
            change(&mut data);
            request.keep(data);
            Some(0)
        });
        let error = records(&store).store_verified(Role::Secret, b"new").unwrap_err();
        assert_eq!(error.status, Status::ENOS_ERR_STORAGE);
        assert!(error.message.contains("differ"), "{}", error.message);
    }

    let store = Store::new();
    store.fail(-28, false);
    assert_eq!(records(&store).store_verified(Role::Secret, b"new").unwrap_err().code, -28);
    assert_eq!(records(&store).store(Role::Budget, b"new").unwrap_err().code, -28);
    assert_eq!(records(&store).store(Role::Budget, &[0; 70_000]).unwrap_err().status, Status::ENOS_ERR_TOO_LARGE);
}

/// Whichever load fails, the secret was passed to the store, and the caller gets an error unless it was read back.
#[test]
fn a_load_that_fails_neither_stops_nor_confirms_a_store() {
    // The first load reads the old value, the second one reads back, and there is no third.
    for (failing, code) in [(1, None), (3, Some(-5)), (4, None)] {
        let store = Store::new();
        store.answer(move |request| (request.is_load() && request.number == failing).then_some(-5));
        let stored = records(&store).store_verified(Role::Secret, b"new");
        assert_eq!(stored.as_ref().map_err(|e| e.code).err(), code, "{stored:?}");
        assert!(store.records().contains_key(&Role::Secret.key(DIGEST)));
    }
}
