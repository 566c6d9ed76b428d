//! Requests of the gateway about its sub-devices.

use std::ffi::CStr;
use std::ptr::null;

use enos::internals::ffi::sign::*;
use enos::internals::model::sign::{enos_secure_mode, enos_sign_method};
use serde_json::Value;

use super::*;

const TIME: u64 = 1_700_000_000_000;

/// The code, the words and the data of EnOS's reply.
fn ask(host: &mut Host, operation: Operation, params: &Value) -> (i32, String, Option<String>) {
    let token = host.request(&Ask::json(operation, &params.to_string())).unwrap();
    let told = host.until("REPLY");
    assert_eq!((told.token, told.subdevice), (token, 0), "{told:?}");
    (told.detail_code, told.detail, told.data)
}

fn password(device_key: &CStr) -> String {
    let params = enos_sign_params {
        struct_size: size_of::<enos_sign_params>(),
        client_id: null(),
        product_key: c"sub".as_ptr(),
        device_key: device_key.as_ptr(),
        secret: SUB_SECRET.as_ptr().cast(),
        secret_len: SUB_SECRET.len(),
        secure_mode: enos_secure_mode::ENOS_SECURE_MODE_DEVICE as i32,
        sign_method: enos_sign_method::ENOS_SIGN_SHA256 as i32,
        timestamp_ms: TIME,
    };
    let (mut out, mut len) = ([0; 65], 0);
    // SAFETY: a struct, a buffer and its size, a place for the length.
    assert_eq!(unsafe { enos_sign_password(&params, out.as_mut_ptr(), out.len(), &mut len) }, 0);
    out[..len].iter().map(|byte| char::from(*byte as u8)).collect()
}

/// As docs/gateways.md says: the sign of a request is the password of a login.
#[test]
fn the_topology_is_changed_by_requests() {
    let desk = desk(0, |config| config.devices.push(Device::active(sub_id(0), SUB_SECRET)));
    let mut host = Setup::device(desk.address()).start();
    host.connect();
    host.until("CONNECTED");
    let named = json!([{"productKey": SUB_PRODUCT, "deviceKey": key(0)}]);
    let with = |sign: String| {
        json!([{
            "productKey": SUB_PRODUCT, "deviceKey": key(0), "clientId": key(0), "timestamp": TIME.to_string(),
            "signMethod": "sha256", "sign": sign,
        }])
    };
    let (code, words, _) = ask(&mut host, Operation::ENOS_OP_TOPOLOGY_ADD, &with("0".repeat(64)));
    assert!(code != 200 && !words.is_empty(), "{code} {words}");
    assert_eq!(ask(&mut host, Operation::ENOS_OP_TOPOLOGY_ADD, &with(password(c"s000"))).0, 200);
    let (code, _, data) = ask(&mut host, Operation::ENOS_OP_TOPOLOGY_GET, &json!({}));
    assert_eq!((code, serde_json::from_str::<Value>(&data.unwrap()).unwrap()), (200, named.clone()));

    let ids = host.add_subdevices(&subs(1)).unwrap();
    host.until_all(&ids, SubState::Online);
    assert_eq!(ask(&mut host, Operation::ENOS_OP_TOPOLOGY_DELETE, &named).0, 1256, "it is online");
    assert_eq!(host.remove_subdevice(ids[0]), ENOS_OK);
    host.loop_until(|_| desk.cloud.logged_in_through(&sub_id(0)).is_none());
    assert_eq!(ask(&mut host, Operation::ENOS_OP_TOPOLOGY_DELETE, &named).0, 200);
    assert!(desk.cloud.topology(&device_id()).is_empty());
}
