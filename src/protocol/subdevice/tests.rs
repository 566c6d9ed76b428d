use super::*;

fn identity() -> Identity {
    Identity::new("subpk", "subdk", None).unwrap()
}

fn secret() -> Secret {
    Secret::new(b"subsecret").unwrap()
}

const SIGNING: Signing = Signing { method: SignMethod::Sha256, timestamp_ms: 1_524_448_722_000 };

fn text(params: Vec<u8>) -> String {
    String::from_utf8(params).unwrap()
}

/// The signatures were computed with `sha256sum`.
#[test]
fn a_login_has_the_keys_and_the_signature_of_the_sub_device() {
    let (identity, secret) = (identity(), secret());
    let login_of = Login { identity: &identity, secret: &secret, mode: SecureMode::ENOS_SECURE_MODE_DEVICE };
    let sign = "6057BE8B3959557BF11128569F29194F473DD553727EF81046FBEF5593F8A7D3";
    assert_eq!(
        text(login(&login_of, SIGNING)),
        format!(
            r#"{{"productKey":"subpk","deviceKey":"subdk","clientId":"subdk","timestamp":"1524448722000","signMethod":"sha256","sign":"{sign}","secureMode":"2"}}"#
        )
    );
    assert_eq!(
        text(topology(&login_of, SIGNING)),
        format!(
            r#"[{{"productKey":"subpk","deviceKey":"subdk","clientId":"subdk","timestamp":"1524448722000","signMethod":"sha256","sign":"{sign}"}}]"#
        )
    );
    assert_eq!(text(logout(&identity)), r#"{"productKey":"subpk","deviceKey":"subdk"}"#);
}

#[test]
fn the_logins_of_a_batch_are_signed_with_its_client_id() {
    let (identity, secret) = (identity(), secret());
    let login_of = || Login { identity: &identity, secret: &secret, mode: SecureMode::ENOS_SECURE_MODE_PRODUCT };
    let params = text(login_batch("gw", [login_of(), login_of()].into_iter(), SIGNING));
    let item = r#"{"productKey":"subpk","deviceKey":"subdk","sign":"133B4ECDB687F37896770BAB2986962158206A1CF0598675BAE0B748E348D547","secureMode":"3"}"#;
    assert_eq!(
        params,
        format!(
            r#"{{"clientId":"gw","timestamp":"1524448722000","signMethod":"sha256","subDevices":[{item},{item}]}}"#
        )
    );
}

#[test]
fn replies_are_read_item_by_item() {
    let outcomes = read_batch(
        br#"{"id":"1","code":723,"data":{"loginedSubDevices":[{"productKey":"p","deviceKey":"d","assetId":"a","deviceSecret":"s"},
        {"deviceKey":"x"},7],"failedSubDevices":[{"productKey":"p","deviceKey":"e"}]},"message":"m"}"#,
    );
    let named = |device_key: &str, secret: Option<&str>, asset_id: Option<&str>| Named {
        product_key: "p".into(),
        device_key: device_key.into(),
        secret: secret.map(|text| Secret::new(text.as_bytes()).unwrap()),
        asset_id: asset_id.map(str::to_owned),
    };
    assert_eq!(outcomes.logged_in, [named("d", Some("s"), Some("a"))]);
    assert_eq!(outcomes.failed, [named("e", None, None)]);
    assert_eq!(outcomes.failed[0].keys(), "p/e");
    let nothing: [&[u8]; 6] =
        [b"", b"{}", b"[]", br#"{"data":7}"#, br#"{"data":{"loginedSubDevices":{}}}"#, br#"{"data":"x"}"#];
    for payload in nothing {
        assert_eq!(read_batch(payload), Outcomes::default());
    }
    assert_eq!(read_login(br#"{"data":{"productKey":"p","deviceKey":"d"}}"#), Some(named("d", None, None)));
    assert_eq!(read_login(br#"{"data":{}}"#), None);
}

#[test]
fn a_command_names_one_device_or_several() {
    let read = |params: &str| {
        let raw: Box<RawValue> = serde_json::from_str(params).unwrap();
        read_named(&raw).iter().map(Named::keys).collect::<Vec<_>>()
    };
    assert_eq!(read(r#"[{"productKey":"p","deviceKey":"d"},{"productKey":"p","deviceKey":"e"}]"#), ["p/d", "p/e"]);
    assert_eq!(read(r#"{"productKey":"p","deviceKey":"d"}"#), ["p/d"]);
    assert!(read("[]").is_empty() && read("7").is_empty());
}
