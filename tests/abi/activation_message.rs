//! The activation message in every form that JSON allows, and in invalid forms.

use enos::error::{Error, Status};
use enos::protocol::{topic, Activation, Identity};

const TOPIC: &[u8] = b"/ext/session/pk/dk/thing/activate/info";
const SECRET: &str = "s3cr3t-/\"é";

fn identity() -> Identity {
    Identity::new("pk", "dk", None).unwrap()
}

fn parse(payload: impl AsRef<[u8]>) -> Result<Activation, Error> {
    Activation::parse(&identity(), TOPIC, payload.as_ref())
}

/// A message whose `params` are `params`.
fn with_params(params: &str) -> String {
    format!(r#"{{"id":"1","version":"1.0","method":"thing.activate.info","params":{params}}}"#)
}

/// A message whose device secret is the JSON value `secret`.
fn with_secret(secret: &str) -> String {
    with_params(&format!(r#"{{"assetId":"12344","productKey":"pk","deviceKey":"dk","deviceSecret":{secret}}}"#))
}

/// A message whose `id` is the JSON value `id`.
fn with_id(id: &str) -> String {
    with_secret(r#""s""#).replacen(r#""id":"1""#, &format!(r#""id":{id}"#), 1)
}

fn refused(payload: impl AsRef<[u8]>, status: Status) -> String {
    let error = parse(payload).unwrap_err();
    assert_eq!(error.status, status, "{}", error.message);
    assert!(!error.message.contains("s3cr3t"), "{}", error.message);
    error.message
}

#[test]
fn the_documented_message_on_both_topics() {
    let identity = Identity::new("1234556554", "deviceKey1234", None).unwrap();
    let payload = br#"{
    "id": "1",
    "version": "1.0",
    "method": "thing.activate.info",
    "params":{
        "assetId": "12344",
        "productKey": "1234556554",
        "deviceKey": "deviceKey1234",
        "deviceSecret": "xxxxxx"
    }
}"#;
    for topic in topic::activation_topics(&identity) {
        let activation = Activation::parse(&identity, topic.as_bytes(), payload).unwrap();
        assert_eq!(activation.product_key(), "1234556554");
        assert_eq!(activation.device_key(), "deviceKey1234");
        assert_eq!(activation.device_secret().as_str(), "xxxxxx");
        assert_eq!(activation.asset_id(), Some("12344"));
        assert_eq!(activation.reply(), (topic + "_reply", br#"{"id":"1","code":200}"#.to_vec()));
        assert!(!format!("{activation:?}").contains("xxxxxx"));
    }
}

#[test]
fn the_id_goes_back_as_it_came() {
    let bytes_of = |id: &str| parse(with_id(id)).unwrap().reply().1;
    for id in ["7", "-1", "1.50e3", "123456789012345678901234567890", r#""""#, r#""a\u0022\\b""#, "\"é\""] {
        assert_eq!(bytes_of(id), format!(r#"{{"id":{id},"code":200}}"#).into_bytes());
    }
    for id in ["null", "true", "[1]", r#"{"a":1}"#] {
        assert_eq!(bytes_of(id), br#"{"id":null,"code":200}"#, "{id}");
    }
    let without = with_secret(r#""s""#).replacen(r#""id":"1","#, "", 1);
    assert_eq!(parse(without).unwrap().reply().1, br#"{"id":null,"code":200}"#);
}

#[test]
fn an_unusable_asset_id_costs_no_secret() {
    let asset_id = |json: &str| {
        let payload = with_secret(r#""s""#).replacen(r#""12344""#, json, 1);
        parse(payload).unwrap().asset_id().map(str::to_owned)
    };
    assert_eq!(asset_id(r#""a\u00e9""#).as_deref(), Some("aé"));
    assert_eq!(asset_id("12344").as_deref(), Some("12344"));
    assert_eq!(asset_id(&format!("\"{}\"", "é".repeat(256))).as_deref(), Some("é".repeat(256).as_str()));
    for json in ["null", r#""""#, "[]", "{}", "false", r#""a\u0000b""#, r#""\ud800""#, &format!("\"{:300}\"", 1)] {
        assert_eq!(asset_id(json), None, "{json}");
    }
}

#[test]
fn secrets_of_every_form() {
    let secret = |json: &str| parse(with_secret(json)).unwrap().device_secret().as_bytes().to_vec();
    assert_eq!(secret(r#""\u0073\t\ud83d\udd11 ""#), "s\t🔑 ".as_bytes());
    let longest = "x".repeat(1024);
    assert_eq!(secret(&format!("\"{longest}\"")), longest.as_bytes());
    assert_eq!(secret(&format!("\"{}\"", r"\u0078".repeat(1024))), longest.as_bytes());

    let words = |json: &str| refused(with_secret(json), Status::ENOS_ERR_PARSE);
    assert_eq!(words(r#""""#), "params.deviceSecret of the activation: the secret is empty");
    assert_eq!(words(r#""s3cr3t\u0000x""#), "params.deviceSecret of the activation: the secret holds a NUL byte");
    assert!(words(&format!("\"{longest}x\"")).contains("1025 bytes"));
    for json in ["null", "1", "true", r#"["s3cr3t"]"#, r#"{"s3cr3t":1}"#, r#""s3cr3t\ud83d""#] {
        assert_eq!(words(json), "params.deviceSecret of the activation is missing or no text", "{json}");
    }
    refused(with_params(r#"{"productKey":"pk","deviceKey":"dk"}"#), Status::ENOS_ERR_PARSE);
}

#[test]
fn an_activation_of_another_device_is_refused() {
    let mismatch = Status::ENOS_ERR_IDENTITY_MISMATCH;
    let good = with_secret(r#""s3cr3t""#);
    for topic in ["/ext/session/pk/dk2/thing/activate/info", "/ext/session/pK/dk/thing/activated/info"] {
        let error = Activation::parse(&identity(), topic.as_bytes(), good.as_bytes()).unwrap_err();
        assert_eq!((error.status, error.message.as_str()), (mismatch, "the activation's topic names another device"));
    }
    for (from, to) in [("pk", "pk "), ("pk", "PK"), ("pk", r"\u0070k2"), ("dk", ""), ("dk", "d"), ("dk", r"dk\u0000")] {
        let payload = good.replacen(&format!(r#"Key":"{from}""#), &format!(r#"Key":"{to}""#), 1);
        assert!(refused(payload, mismatch).ends_with("names another device"));
    }
    for (from, to) in [(r#""pk""#, "1"), (r#""dk""#, "null"), (r#""productKey":"pk","#, "")] {
        assert!(refused(good.replacen(from, to, 1), Status::ENOS_ERR_PARSE).ends_with("is missing or no text"));
    }
}

#[test]
fn another_message_is_no_activation() {
    let good = with_secret(r#""s3cr3t""#);
    for topic in [&b""[..], b"/sys/pk/dk/thing/activate/info", b"/ext/session/pk/dk/thing/activate/info_reply", b"\xFF"]
    {
        let error = Activation::parse(&identity(), topic, good.as_bytes()).unwrap_err();
        assert_eq!(error.status, Status::ENOS_ERR_NOT_ACTIVATION);
    }
    for method in [r#""thing.activated.info""#, r#""""#, "1", "null", r#"["thing.activate.info"]"#] {
        refused(good.replacen(r#""thing.activate.info""#, method, 1), Status::ENOS_ERR_NOT_ACTIVATION);
    }
    refused(good.replacen(r#""method":"thing.activate.info","#, "", 1), Status::ENOS_ERR_NOT_ACTIVATION);
}

#[test]
fn what_is_not_a_message_is_refused() {
    let parse_error = Status::ENOS_ERR_PARSE;
    let good = with_secret(r#""s3cr3t""#);
    for payload in ["", " ", "null", "1", r#""s3cr3t""#, "[]", "{", "{}}", "{'a':1}", "\u{feff}{}", "{\"id\":\"\n\"}"] {
        refused(payload, parse_error);
    }
    refused(format!("{good}x"), parse_error);
    refused(format!("{good}\0"), parse_error);
    refused([good.as_bytes(), b"\xFF"].concat(), parse_error);
    for params in ["null", "1", "[]", r#"["asset","pk","dk","s3cr3t"]"#, r#""{}""#] {
        refused(with_params(params), parse_error);
    }
    refused(r#"["1","thing.activate.info",{"productKey":"pk"}]"#, parse_error);
    let invalid_utf8 =
        good.into_bytes().iter().map(|byte| if *byte == b'3' { 0xC3 } else { *byte }).collect::<Vec<_>>();
    assert!(refused(invalid_utf8, parse_error).starts_with("the activation is not UTF-8"));
}

#[test]
fn a_field_that_appears_twice_is_refused() {
    let twice = [
        with_params(r#"{"productKey":"pk","deviceKey":"dk","deviceSecret":"s3cr3t","deviceSecret":"s3cr3t"}"#),
        with_params(r#"{"productKey":"pk","deviceKey":"dk","deviceSecret":"s3cr3t","device\u0053ecret":"x"}"#),
        with_params(r#"{"productKey":"other","productKey":"pk","deviceKey":"dk","deviceSecret":"s3cr3t"}"#),
        with_id(r#"1,"id":1"#),
    ];
    for payload in twice {
        assert!(refused(payload, Status::ENOS_ERR_PARSE).contains("has a field twice"));
    }
    // Unused fields may appear twice.
    let extra = with_params(r#"{"x":1,"x":2,"productKey":"pk","deviceKey":"dk","deviceSecret":"s"}"#);
    assert_eq!(parse(extra).unwrap().device_secret().as_str(), "s");
}

#[test]
fn size_and_depth_are_limited() {
    let filled = |length: usize| {
        let good = with_secret(r#""s""#);
        good.clone() + &" ".repeat(length - good.len())
    };
    assert!(parse(filled(64 * 1024)).is_ok());
    refused(filled(64 * 1024 + 1), Status::ENOS_ERR_TOO_LARGE);
    refused("[".repeat(1 << 20), Status::ENOS_ERR_TOO_LARGE);
    let nested = |levels: usize| with_id(&format!("{}{}", "[".repeat(levels), "]".repeat(levels)));
    assert!(parse(nested(63)).is_ok());
    assert!(refused(nested(64), Status::ENOS_ERR_PARSE).contains("nests deeper"));
    refused("[".repeat(64 * 1024), Status::ENOS_ERR_PARSE);
    refused(r#"{"a":"#.repeat(10_000), Status::ENOS_ERR_PARSE);
}

/// Writes one message in all the ways that JSON allows.
struct Writer(fastrand::Rng);

impl Writer {
    fn space(&mut self) -> String {
        (0..self.0.usize(..3)).map(|_| char::from(*self.0.choice(b" \t\r\n").unwrap())).collect()
    }

    fn string(&mut self, text: &str) -> String {
        let mut out = String::from("\"");
        for c in text.chars() {
            match (c, self.0.u8(..4)) {
                ('"' | '\\', 0) | (_, 1) => {
                    c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| {
                        out += &if self.0.bool() { format!("\\u{unit:04x}") } else { format!("\\u{unit:04X}") }
                    });
                }
                ('"' | '\\', _) | ('/', 2) => out.extend(['\\', c]),
                _ => out.push(c),
            }
        }
        out + "\""
    }

    fn value(&mut self, depth: usize) -> String {
        match self.0.u8(..if depth == 0 { 4 } else { 6 }) {
            0 => self.string("deviceSecret"),
            1 => self.0.i64(..).to_string(),
            2 => (*self.0.choice(&["null", "true", "1.5e-7"]).unwrap()).to_string(),
            3 => self.string("}]\\\"{["),
            4 => format!("[{},{}]", self.value(depth - 1), self.value(depth - 1)),
            _ => {
                let value = self.value(depth - 1);
                self.object(vec![("deviceSecret", value)])
            }
        }
    }

    fn object(&mut self, mut fields: Vec<(&str, String)>) -> String {
        self.0.shuffle(&mut fields);
        let mut parts = Vec::new();
        for (key, value) in fields {
            let (a, b, c, d) = (self.space(), self.space(), self.space(), self.space());
            parts.push(format!("{a}{}{b}:{c}{value}{d}", self.string(key)));
        }
        format!("{{{}{}}}", self.space(), parts.join(","))
    }

    fn message(&mut self) -> String {
        let mut params = vec![
            ("assetId", self.string("asset/1")),
            ("productKey", self.string("pk")),
            ("deviceKey", self.string("dk")),
            ("deviceSecret", self.string(SECRET)),
        ];
        let mut message = vec![("method", self.string("thing.activate.info")), ("id", "42".into())];
        for extra in ["version", "DeviceSecret", "", "deviceSecret "] {
            if self.0.bool() {
                params.push((extra, self.value(3)));
                message.push((extra, self.value(3)));
            }
        }
        message.push(("params", self.object(params)));
        let (before, after) = (self.space(), self.space());
        before + &self.object(message) + &after
    }
}

#[test]
fn all_ways_to_write_a_message_mean_the_same() {
    let mut writer = Writer(fastrand::Rng::with_seed(2));
    for _ in 0..3_000 {
        let payload = writer.message();
        let activation = parse(&payload).unwrap_or_else(|error| panic!("{error}: {payload}"));
        assert_eq!(activation.device_secret().as_str(), SECRET);
        assert_eq!(activation.asset_id(), Some("asset/1"));
        assert_eq!(activation.reply().1, br#"{"id":42,"code":200}"#);
    }
}

#[test]
fn a_truncated_message_is_never_an_activation() {
    let mut writer = Writer(fastrand::Rng::with_seed(3));
    for _ in 0..50 {
        let payload = writer.message();
        let payload = payload.trim_end().as_bytes();
        for length in 0..payload.len() {
            refused(&payload[..length], Status::ENOS_ERR_PARSE);
        }
    }
}

#[test]
fn damaged_messages_are_errors_or_for_this_device() {
    let mut writer = Writer(fastrand::Rng::with_seed(4));
    let mut accepted = 0;
    for _ in 0..20_000 {
        let mut payload = writer.message().into_bytes();
        for _ in 0..writer.0.usize(1..4) {
            let at = writer.0.usize(..payload.len());
            match writer.0.u8(..4) {
                0 => payload[at] = writer.0.u8(..),
                1 => payload[at] = *writer.0.choice(b"{}[]\",:\\u0\0").unwrap(),
                2 => drop(payload.remove(at)),
                _ => payload.insert(at, writer.0.u8(..)),
            }
        }
        if let Ok(activation) = parse(&payload) {
            accepted += 1;
            assert_eq!((activation.product_key(), activation.device_key()), ("pk", "dk"));
            assert!(!activation.device_secret().as_bytes().is_empty());
            assert!(serde_json::from_slice::<&serde_json::value::RawValue>(&payload).is_ok());
        }
    }
    assert!((1..20_000).contains(&accepted), "{accepted}");
}

#[test]
fn random_bytes_are_errors() {
    let mut random = fastrand::Rng::with_seed(5);
    for _ in 0..20_000 {
        let mut payload = vec![0; random.usize(..200)];
        random.fill(&mut payload);
        assert!(parse(&payload).is_err());
        let topic = payload;
        assert!(Activation::parse(&identity(), &topic, b"{}").is_err());
    }
}
