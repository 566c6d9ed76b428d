use super::*;

fn fault(text: &str) -> Option<Fault> {
    check(text.as_bytes()).err()
}

#[test]
fn what_every_reader_reads_alike_is_taken() {
    for (text, depth) in [
        ("{}", 1),
        ("[]", 1),
        ("0", 0),
        (r#""a""#, 0),
        (r#"{"a":{"a":1,"b":[{"a":1},{"a":2}]},"b":"a","c":"\ud83d\ude00"}"#, 4),
        (r#"{"a":"{\"a\":1,","b":"a\\","":1}"#, 1),
        ("[1.7976931348623157e308,-1E-999,123456789012345678901234567890,-0,1e+2]", 1),
        (r#" { "a" : [ "a" , "a" , { } , [ ] ] , "b" : null } "#, 3),
    ] {
        assert_eq!(check(text.as_bytes()), Ok((text.trim(), depth)), "{text}");
        serde_json::from_str::<serde_json::Value>(text).unwrap();
    }
}

#[test]
fn what_one_of_them_would_refuse_is_refused() {
    let huge = format!("[{}]", "9".repeat(310));
    for (text, at) in [
        (r#"{"a":"\ud800"}"#, 5),
        (r#"["\ude00"]"#, 1),
        (r#"{"\ud800x":1}"#, 1),
        ("[1,1e999]", 3),
        ("-1e400", 0),
        (&huge, 1),
        (r#"{"a":1,"a":1}"#, 7),
        (r#"{"a":1,"\u0061":1}"#, 7),
        (r#"{"b":{"a":1},"a!":2,"a":1,"\u0061!":1}"#, 26),
        (r#"{"x":[{"a":{},"b":"a","a":2}]}"#, 22),
    ] {
        assert_eq!(fault(text).map(|fault| fault.at), Some(at), "{text}");
    }
}

#[test]
fn words_tell_a_text_that_was_cut_from_one_that_is_wrong() {
    let whole = r#" {"a":[1,true,"\ud83d\ude00\n"]} "#;
    for len in 1..whole.trim_end().len() {
        let fault = fault(&whole[..len]).unwrap();
        // A literal that was cut is no literal.
        let is_cut = fault == Fault { words: CUT, at: len };
        assert!(is_cut || (10..13).contains(&len) && fault.words == NOT_JSON, "{len} {fault:?}");
    }
    for (text, at) in [("[1,]", 3), ("{\"a\":1,}", 7), ("[1 2]", 3), ("1 2", 2), ("[01]", 2), ("\"\\x\"", 1), ("[}", 1)]
    {
        assert_eq!(fault(text), Some(Fault { words: NOT_JSON, at }), "{text}");
    }
    assert_eq!(check(b"[\"\xC3\"]"), Err(Fault { words: NOT_UTF8, at: 2 }));
}

#[test]
fn levels_are_limited_without_recursion() {
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert_eq!(check(nested(MAX_DEPTH).as_bytes()), Ok((&*nested(MAX_DEPTH), MAX_DEPTH)));
    assert_eq!(fault(&nested(MAX_DEPTH + 1)), Some(Fault { words: TOO_DEEP, at: MAX_DEPTH }));
    assert_eq!(fault(&"[".repeat(1 << 20)), Some(Fault { words: TOO_DEEP, at: MAX_DEPTH }));
    assert!(TOO_DEEP.contains(&format!(" {MAX_DEPTH} ")));
}

/// Few keys and many, in one object and in nested ones.
#[test]
fn a_key_that_comes_twice_is_found_among_any_number() {
    let mut random = fastrand::Rng::with_seed(12);
    for count in [2, keys::FEW - 1, keys::FEW, keys::FEW + 1, 100, 5_000] {
        let mut keys: Vec<_> = (0..count).map(|n| format!("\"key{n}\":{{\"key{n}\":1,\"x\":[]}}")).collect();
        random.shuffle(&mut keys);
        let text = format!("[{{{}}},{{\"key1\":1}}]", keys.join(","));
        assert_eq!(fault(&text), None, "{count}");
        let again = keys[random.usize(..count)].replacen("\"k", "\"\\u006b", 1);
        let twice = format!("{{{},{again}}}", keys.join(","));
        assert_eq!(fault(&twice).unwrap().at, twice.len() - again.len() - 1, "{count}");
    }
}

/// Long keys that differ at their ends are the worst case of sorting.
#[test]
fn keys_do_not_make_it_slow() {
    let text = |count: usize| {
        let keys: Vec<_> = (0..count).map(|n| format!("\"{}\\u0061{n}\":1", "a".repeat(50))).collect();
        format!("{{{}}}", keys.join(","))
    };
    let time = |text: &str| {
        let began = std::time::Instant::now();
        assert_eq!(fault(text), None);
        began.elapsed()
    };
    let (one, four) = (text(1_000), text(16_000));
    let best = |text: &str| (0..5).map(|_| time(text)).min().unwrap();
    assert!(best(&four) < best(&one) * 16 * 6);
}

/// Compares with another reader: both must refuse the same texts.
#[test]
fn random_texts_are_judged_as_serde_json_does() {
    let mut random = fastrand::Rng::with_seed(11);
    let parts = [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"a\"",
        "\"\\ud800\"",
        "\"\\ud83d\\ude00\"",
        "1e999",
        "1",
        "-2.5",
        "null",
        " ",
        "tru",
        "\"\\q\"",
        "\"",
        "0",
        ".",
        "-",
    ];
    let (mut good, mut bad) = (0, 0);
    for _ in 0..300_000 {
        let text: String = (0..random.usize(1..9)).map(|_| parts[random.usize(..parts.len())]).collect();
        let reads = serde_json::from_str::<serde_json::Value>(&text).is_ok();
        let fault = fault(&text);
        if fault.as_ref().is_some_and(|fault| fault.words.contains("twice")) {
            assert!(reads, "{text}");
            continue;
        }
        assert_eq!(reads, fault.is_none(), "{text}");
        *if reads { &mut good } else { &mut bad } += 1;
    }
    assert!(good > 1_000 && bad > 1_000, "{good} {bad}");
}
