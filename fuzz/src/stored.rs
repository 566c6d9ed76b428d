//! The content of a device's storage.

use crate::input::Input;
use std::collections::BTreeMap;
use std::sync::OnceLock;
use support::host::{Setup, Store, DEVICE_KEY, DEVICE_SECRET, PRODUCT_KEY};

/// The suffix of all keys of this device, taken from a real device.
fn digest() -> &'static str {
    static DIGEST: OnceLock<String> = OnceLock::new();
    DIGEST.get_or_init(|| {
        let store = Store::new();
        let host = Setup::to("tcp://127.0.0.1:1").device_secret(DEVICE_SECRET).storage(&store).create();
        host.publish_durable("t", b"").unwrap();
        let key = store.keys("out").remove(0);
        key.rsplit('.').next().unwrap().to_owned()
    })
}

/// A complete record of this device, as version 1 has it on flash, with a right checksum, which a fuzzer could not
/// find.
fn record(role: &str, data: &[u8]) -> Vec<u8> {
    let mut record = b"ENOS\x01\0\0\0\0\0".to_vec();
    for text in [role, PRODUCT_KEY, DEVICE_KEY] {
        record.extend_from_slice(&(text.len() as u16).to_le_bytes());
        record.extend_from_slice(text.as_bytes());
    }
    record.extend_from_slice(data);
    let len = record.len() as u32 + 4;
    record[6..10].copy_from_slice(&len.to_le_bytes());
    let crc = crc32fast::hash(&record);
    record.extend_from_slice(&crc.to_le_bytes());
    record
}

/// Up to eleven values: records, and other data.
pub fn records(input: &mut Input) -> BTreeMap<String, Vec<u8>> {
    let mut records = BTreeMap::new();
    for _ in 0..input.byte() % 12 {
        let role = match input.byte() % 11 {
            0 => "secret".to_owned(),
            1 => "previous".to_owned(),
            2 => "pending".to_owned(),
            3 => "sign".to_owned(),
            4 => "budget".to_owned(),
            5 => "index.0".to_owned(),
            6 => "index.1".to_owned(),
            7 => format!("out.{}", input.byte()),
            8 => format!("aside.{}.{}", input.byte() % 64, input.byte() % 4),
            9 => "secrets.0".to_owned(),
            _ => "secrets.1".to_owned(),
        };
        let is_record = input.byte() != 0;
        let data = input.long_chunk();
        let value = if is_record { record(&role, data) } else { data.to_vec() };
        records.insert(format!("{role}.{}", digest()), value);
    }
    records
}
