use super::*;

fn part<'a>(text: &'a str, pointer: &str) -> Option<&'a str> {
    at(text.as_bytes(), pointer.as_bytes()).map(|range| &text[range])
}

#[test]
fn pointers_as_rfc_6901_has_them() {
    let text = r#" {"foo":["bar","baz"],"":0,"a/b":1,"c%d":2,"e^f":3,"g|h":4,"i\\j":5,"k\"l":6," ":7,"m~n":8,"o":{"o":[[],{}]},"\u0061b":9} "#;
    let whole = text.trim();
    for (pointer, expected) in [
        ("", whole),
        ("/foo", r#"["bar","baz"]"#),
        ("/foo/0", r#""bar""#),
        ("/", "0"),
        ("/a~1b", "1"),
        ("/c%d", "2"),
        ("/e^f", "3"),
        ("/g|h", "4"),
        ("/i\\j", "5"),
        ("/k\"l", "6"),
        ("/ ", "7"),
        ("/m~0n", "8"),
        ("/o/o/1", "{}"),
        ("/ab", "9"),
    ] {
        assert_eq!(part(text, pointer), Some(expected), "{pointer}");
    }
    for pointer in [
        "foo",
        "/foo/2",
        "/foo/-",
        "/foo/01",
        "/foo/+1",
        "/foo/",
        "/foo/4294967296",
        "/foo/18446744073709551616",
        "/m~n",
        "/m~2n",
        "/m~",
        "/x",
        "/foo/0/0",
        "//",
        "/FOO",
    ] {
        assert_eq!(part(text, pointer), None, "{pointer}");
    }
    assert_eq!(at(text.as_bytes(), "/x".repeat(500_000).as_bytes()), None);
    // What stands behind the part is not looked at.
    assert_eq!(part(r#"[0,{"a":[1,{"b":[2]}"#, "/1/a/1/b"), Some("[2]"));
    assert_eq!(part(r#"[0,{"a":[1,{"b":[2"#, "/1/a/1/b"), None);
}

/// It looks at 8 bytes at once.
#[test]
fn the_end_of_what_is_plain_is_found_at_each_distance() {
    for byte in 0..=255 {
        for len in 0..20 {
            for before in [b'a', 0x20, 0x21, 0x23, 0x5B, 0x5D, 0x7F, 0x80, 0xA2, 0xFF] {
                let text = [&vec![before; len][..], &[byte], b"\"\""].concat();
                let is_plain = !matches!(byte, b'"' | b'\\' | 0..=0x1F);
                assert_eq!(plain_end(&text, 0), len + usize::from(is_plain), "{byte} {before} {len}");
            }
        }
    }
}

#[test]
fn containers_are_walked() {
    let walk = |text: &str| {
        let (mut cursor, mut found) = (0, Vec::new());
        while let Some(item) = next(text.as_bytes(), &mut cursor)? {
            found.push((item.key.map(|key| text[key].to_owned()), text[item.value].to_owned()));
        }
        Ok(found)
    };
    let item = |key: &str, value: &str| (Some(key.to_owned()), value.to_owned());
    assert_eq!(
        walk(r#" { "a" : 1 , "b":[1,{"c":"]"}] } "#),
        Ok(vec![item("\"a\"", "1"), item("\"b\"", r#"[1,{"c":"]"}]"#)])
    );
    assert_eq!(walk("[ ]"), Ok(vec![]));
    assert_eq!(count(b"[1,[2,3],\"x\"]"), Ok(3));
    for text in ["1", "\"a\"", "null"] {
        assert_eq!(walk(text), Err(Fault::OtherKind), "{text}");
    }
    for text in [
        "",
        "[",
        "[1",
        "[1,]",
        "[,1]",
        "[1 2]",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{1:2}",
        "[\"a]",
        "[[}]",
        "[\u{1}]",
    ] {
        assert_eq!(walk(text), Err(Fault::Malformed), "{text}");
    }
}

#[test]
fn integers_are_exact_or_refused() {
    for (text, expected) in [
        ("0", Ok(0)),
        ("-0", Ok(0)),
        ("0.000e9", Ok(0)),
        ("100", Ok(100)),
        ("100.0", Ok(100)),
        ("1E+2", Ok(100)),
        ("1.50e1", Ok(15)),
        ("1200e-2", Ok(12)),
        ("9007199254740993", Ok(9_007_199_254_740_993)),
        ("18446744073709551615", Ok(u64::MAX as i128)),
        ("-9223372036854775808", Ok(i64::MIN as i128)),
        ("1.5", Err(Fault::OtherKind)),
        ("1e-1", Err(Fault::OtherKind)),
        ("1e400", Err(Fault::OutOfRange)),
        ("1e99999999999999999999999", Err(Fault::OutOfRange)),
        ("1e-99999999999999999999999", Err(Fault::OtherKind)),
        ("\"1\"", Err(Fault::OtherKind)),
        ("true", Err(Fault::OtherKind)),
        ("01", Err(Fault::Malformed)),
        ("1.", Err(Fault::Malformed)),
        ("-", Err(Fault::Malformed)),
        ("1e", Err(Fault::Malformed)),
        ("+1", Err(Fault::Malformed)),
        ("", Err(Fault::Malformed)),
        ("1x", Err(Fault::Malformed)),
    ] {
        assert_eq!(integer(text.as_bytes()), expected, "{text}");
    }
    let long = format!("0.{}1e{}", "0".repeat(100_000), 100_003);
    assert_eq!(integer(long.as_bytes()), Ok(100));
    assert_eq!(integer("9".repeat(100_000).as_bytes()), Err(Fault::OutOfRange));
}

#[test]
fn doubles_are_the_nearest() {
    assert_eq!(double(b"1e400"), Err(Fault::OutOfRange));
    assert_eq!(double(b"1e-400"), Ok(0.0));
    assert_eq!(double(b" 1.5 "), Ok(1.5));
    assert_eq!(double(b"null"), Err(Fault::OtherKind));
    assert_eq!(double(b"1.e5"), Err(Fault::Malformed));
    assert!(double(b"-0").unwrap().is_sign_negative());
}

#[test]
fn texts_unescape_and_compare_to_the_byte() {
    let read = |json: &str| text(json.as_bytes()).map(|bytes| String::from_utf8(bytes.collect()).unwrap());
    for json in [r#""""#, r#" "a\"\\\/\b\f\n\r\t" "#, r#""\u00e9\u4E2d\u0000\ud83D\uDE00é""#] {
        assert_eq!(read(json), Ok(serde_json::from_str::<String>(json).unwrap()), "{json}");
    }
    for json in [r#""\ud83d""#, r#""\ude00""#, r#""\ud83d\u0041""#, r#""\ud83d\"""#, r#""\x""#, "\"a", "\"\u{1}\""] {
        assert_eq!(read(json), Err(Fault::Malformed), "{json}");
    }
    assert!(text(b"\"\xFF\"").is_err());
    assert!(equals(br#""admin\u0000x""#, b"admin\0x") && !equals(br#""admin\u0000x""#, b"admin"));
    assert!(!equals(b"\"Power\"", b"power") && !equals(b"1", b"1") && equals(b" \"\\u0061\" ", b"a"));
}

/// Every reader takes any bytes, and says of JSON what another reader says.
#[test]
fn random_bytes_are_read_as_serde_json_reads_them_or_refused() {
    let mut random = fastrand::Rng::with_seed(9);
    let parts = [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"a\"",
        "\"b\\u0041\"",
        "1.0",
        "12e1",
        "-2",
        "null",
        "true",
        " ",
        "\\",
        "\"",
        "\u{1}",
        "é",
    ];
    let mut compared = 0;
    for _ in 0..300_000 {
        let text: String = (0..random.usize(..12)).map(|_| parts[random.usize(..parts.len())]).collect();
        let bytes = text.as_bytes();
        let (_, _, _, _) = (double(bytes), boolean(bytes), equals(bytes, b"a"), kind(bytes));
        let found = at(bytes, b"/a/0");
        let whole: Option<serde_json::Value> = serde_json::from_str(&text).ok();
        if let Some(value) = whole {
            compared += 1;
            let expected = value.pointer("/a/0");
            // Of a key that comes twice, the one takes the first and the other the last.
            if text.matches("\"a\"").count() < 2 {
                let found = found.map(|range| serde_json::from_slice::<serde_json::Value>(&bytes[range]).unwrap());
                assert_eq!(found.as_ref(), expected, "{text}");
            }
            let len = value.as_array().map(Vec::len).or(value.as_object().map(|object| object.len()));
            if text.matches("\"a\"").count() < 2 && text.matches("\"b").count() < 2 {
                assert_eq!(count(bytes).ok(), len, "{text}");
            }
            assert_eq!(value.as_f64(), double(bytes).ok(), "{text}");
        }
    }
    assert!(compared > 1_000, "{compared}");
}

/// Nothing that is before it, and nothing that follows: so a walk needs time linear in the length, and a look-up by index
/// for each element would not.
#[test]
fn a_step_of_a_walk_reads_only_its_own_member() {
    let array = br#"     [10,"a" , {"b":[1,"]"]},null , -2.5e1,true,[[]] ]"#;
    let object = br#"     {"k":10,"l" : "a" , "\"":{"b":[1,"]"]} ,"m":null,"n":[[]]}"#;
    for (text, members) in [(&array[..], 7), (&object[..], 5)] {
        let (mut cursor, mut walked) = (0, 0);
        loop {
            let (begin, mut whole) = (cursor & !OBJECT, cursor);
            let found = next(text, &mut whole).unwrap();
            let end = found.as_ref().map_or(text.len(), |item| item.value.end);
            let mut alone = vec![0xFF; text.len()];
            alone[begin..end].copy_from_slice(&text[begin..end]);
            assert_eq!(next(&alone, &mut cursor), Ok(found.clone()));
            assert_eq!(cursor, whole);
            if found.is_none() {
                break;
            }
            walked += 1;
        }
        assert_eq!(walked, members);
    }
    let mut cursor = usize::MAX;
    assert_eq!(next(b"[1]", &mut cursor), Err(Fault::Malformed));
    assert!(!equals(b"\"x\"\x0C", b"x"));
}

#[test]
fn depth_is_limited_without_recursion() {
    let nested = |levels: usize| format!("[{}{}]", "[".repeat(levels), "]".repeat(levels));
    assert_eq!(count(nested(MAX_DEPTH).as_bytes()), Ok(1));
    assert_eq!(count(nested(MAX_DEPTH + 1).as_bytes()), Err(Fault::Malformed));
    assert_eq!(count(nested(1_000_000).as_bytes()), Err(Fault::Malformed));
}
