use super::*;

fn built(build: impl FnOnce(&mut Builder)) -> Result<String> {
    let mut builder = Builder::default();
    build(&mut builder);
    builder.result().map(str::to_owned)
}

#[test]
fn measure_points_as_enos_wants_them() {
    let text = built(|json| {
        json.begin_measurepoints(None, Some(1_700_000_000_000));
        json.float(Some("temperature"), 21.1);
        json.begin_point("power", Some(9));
        json.double(None, 1e22);
        json.end();
        json.begin_point("state", None);
        json.text(None, "a\"b\\c\n\u{1}é");
        json.end();
        json.end();
    });
    assert_eq!(
        text.unwrap(),
        r#"{"measurepoints":{"temperature":21.1,"power":{"value":1e22,"quality":9},"state":{"value":"a\"b\\c\n\u0001é"}},"time":1700000000000}"#
    );
    assert_eq!(
        built(|json| {
            json.begin_measurepoints(None, None);
            json.end();
        })
        .unwrap(),
        r#"{"measurepoints":{}}"#
    );
}

#[test]
fn numbers_are_the_shortest_that_read_back() {
    let double = |value| built(|json| json.double(None, value)).unwrap();
    for (value, text) in [
        (100.0, "100"),
        (-0.0, "-0"),
        (0.1, "0.1"),
        (5e-324, "5e-324"),
        (99.99, "99.99"),
        (1e22, "1e22"),
        (f64::MAX, "1.7976931348623157e308"),
    ] {
        assert_eq!(double(value), text);
    }
    let mut random = fastrand::Rng::with_seed(3);
    for _ in 0..100_000 {
        let value = f64::from_bits(random.u64(..));
        if value.is_finite() {
            let text = double(value);
            assert!(text.len() <= 24 && text.parse::<f64>().unwrap().to_bits() == value.to_bits(), "{text}");
            let read = serde_json::from_str::<f64>(&text).unwrap();
            assert!((read - value).abs() <= value.abs() * 1e-15, "{text} is {read}");
        }
        let value = f32::from_bits(random.u32(..));
        if value.is_finite() {
            let text = built(|json| json.float(None, value)).unwrap();
            assert!(text.len() <= 16 && text.parse::<f32>().unwrap().to_bits() == value.to_bits(), "{text}");
        }
    }
}

#[test]
fn a_number_that_is_none_is_an_error_or_null_or_left_out() {
    let points = |choice| {
        let mut json = Builder::default();
        json.set_nonfinite(choice);
        json.begin_measurepoints(None, Some(1));
        json.double(Some("a"), f64::NAN);
        json.begin_point("b", Some(0));
        json.float(None, f32::INFINITY);
        json.end();
        json.int(Some("c"), 3);
        json.begin_array(Some("d"));
        json.double(None, f64::NEG_INFINITY);
        json.int(None, 1);
        json.end();
        json.end();
        (json.result().map(str::to_owned), json.left_out())
    };
    let (error, left_out) = points(Nonfinite::ENOS_NONFINITE_ERROR);
    assert!(error.unwrap_err().message.starts_with("\"a\": ") && left_out == 0);
    let null = r#"{"measurepoints":{"a":null,"b":{"value":null,"quality":0},"c":3,"d":[null,1]},"time":1}"#;
    assert_eq!(points(Nonfinite::ENOS_NONFINITE_NULL), (Ok(null.into()), 0));
    let rest = r#"{"measurepoints":{"c":3,"d":[null,1]},"time":1}"#;
    assert_eq!(points(Nonfinite::ENOS_NONFINITE_LEAVE_OUT), (Ok(rest.into()), 2));
}

/// Many points that are left out cost no more than as many that are not.
#[test]
fn points_that_are_left_out_leave_nothing_behind() {
    let mut json = Builder::default();
    json.set_nonfinite(Nonfinite::ENOS_NONFINITE_LEAVE_OUT);
    json.begin_measurepoints(None, None);
    for point in 0..50_000 {
        json.begin_point(&point.to_string(), None);
        json.double(None, if point % 2 == 0 { f64::NAN } else { 1.0 });
        json.end();
    }
    json.begin_point("0", None);
    json.int(None, 1);
    json.end();
    json.end();
    assert_eq!(json.left_out(), 25_000);
    assert!(json.result().unwrap().ends_with(r#""0":{"value":1}}}"#));
}

#[test]
fn bytes_that_are_not_utf8_are_replaced() {
    let text = built(|json| json.text_lossy(None, b"a\xFF\"\xE4\xB8"));
    assert_eq!(text.unwrap(), "\"a\u{FFFD}\\\"\u{FFFD}\"");
}

#[test]
fn the_first_error_stays_and_names_its_key() {
    type Build = fn(&mut Builder);
    let wrong: [(Build, &str); 12] = [
        (|json| json.int(Some("k"), 1), "\"k\": only a member of an object has a key"),
        (
            |json| {
                json.begin_object(None);
                json.int(None, 1);
            },
            "the value at byte 1: a member of an object needs a key",
        ),
        (
            |json| {
                json.begin_object(None);
                json.int(Some("k"), 1);
                json.null(Some("k"));
            },
            "\"k\": the object has this key already",
        ),
        (
            |json| {
                json.begin_object(None);
                json.int(Some("k\n"), 1);
                json.null(Some("k\n"));
            },
            "\"k\\n\": the object has this key already",
        ),
        (
            |json| {
                json.begin_array(None);
                json.int(Some("k"), 1);
            },
            "\"k\": only a member of an object has a key",
        ),
        (
            |json| {
                json.null(None);
                json.null(None);
            },
            "the value at byte 4: the JSON is complete; clear it first",
        ),
        (|json| json.end(), "the value at byte 0: there is nothing to end"),
        (|json| json.begin_point("p", None), "\"p\": a point needs begin_measurepoints around it"),
        (
            |json| {
                json.begin_measurepoints(None, None);
                json.begin_point("p", None);
                json.end();
            },
            "the value at byte 31: a point has no value",
        ),
        (
            |json| {
                json.begin_measurepoints(None, None);
                json.begin_point("p", None);
                json.null(None);
                json.null(None);
            },
            "the value at byte 35: a point has one value",
        ),
        (|json| json.raw(None, b"{\"a\":1,}"), "the value at byte 0: the JSON is not JSON (byte 8)"),
        (|json| (0..65).for_each(|_| json.begin_array(None)), "the value at byte 65: it nests deeper than 64 levels"),
    ];
    for (build, words) in wrong {
        let mut json = Builder::default();
        build(&mut json);
        json.fail(Some("later"), Status::ENOS_ERR_PARSE, "another");
        json.text(Some("later"), "x");
        json.end();
        assert_eq!(json.result().unwrap_err().message, words);
        json.clear();
        json.bool(None, true);
        assert_eq!(json.result().unwrap(), "true");
    }
    for build in [(|_| ()) as Build, |json| json.begin_object(None)] {
        assert_eq!(built(build).unwrap_err().status, Status::ENOS_ERR_STATE);
    }
}

/// Whatever is called in whatever order, what comes out is JSON that a foreign reader reads.
#[test]
fn random_calls_never_make_invalid_json() {
    let mut random = fastrand::Rng::with_seed(5);
    let (mut json, mut made) = (Builder::default(), 0);
    for _ in 0..150_000 {
        json.clear();
        json.set_nonfinite([Nonfinite::ENOS_NONFINITE_NULL, Nonfinite::ENOS_NONFINITE_LEAVE_OUT][random.usize(..2)]);
        for _ in 0..random.usize(1..14) {
            let keys = [None, Some("a"), Some("b\""), Some("\u{0}")];
            let in_object = matches!(json.open.last(), Some(Level::Object { .. } | Level::Measurepoints { .. }));
            let key = if in_object != (random.u8(..40) == 0) { keys[random.usize(1..4)] } else { None };
            match random.u8(..12) {
                0 => json.begin_object(key),
                1 => json.begin_array(key),
                2 => json.begin_measurepoints(key, random.bool().then_some(5)),
                3 => json.begin_point(key.unwrap_or("p"), random.bool().then_some(1)),
                4 => json.text(key, "t\u{7f}\u{0}"),
                5 => json.double(key, f64::NAN),
                6 => json.raw(key, br#" {"x":[1]} "#),
                7 => json.int(key, u64::MAX),
                _ => json.end(),
            }
        }
        while json.error.is_none() && !json.open.is_empty() {
            json.end();
        }
        if let Ok(text) = json.result() {
            made += 1;
            serde_json::from_str::<serde_json::Value>(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert!(crate::protocol::json::strict::check(text.as_bytes()).is_ok(), "{text}");
        }
    }
    assert!(made > 5_000, "{made}");
}
