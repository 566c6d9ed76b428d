use super::*;

const SIZE: u64 = 1000;

fn head(lines: &[&str]) -> Head {
    let mut head = Head::default();
    assert!(lines.iter().all(|line| head.line(format!("{line}\r\n").as_bytes())));
    head
}

/// The meaning of an answer to the request of everything from `from` on.
fn to(from: u64, lines: &[&str]) -> Meaning {
    meaning(&head(lines), Asked { from, size: SIZE, etag: Some("\"e\"") })
}

fn bytes(from: u64, until: u64) -> Meaning {
    Meaning::Bytes { from, until }
}

fn is_misfit(meaning: &Meaning) -> bool {
    matches!(meaning, Meaning::TryAgain { blame: Blame::Content, .. })
}

fn starts_over(meaning: &Meaning, with_ranges: bool) -> bool {
    matches!(meaning, Meaning::StartOver { ranges, .. } if *ranges == with_ranges)
}

#[test]
fn a_whole_file_has_the_size_of_the_offer() {
    assert_eq!(to(0, &["HTTP/1.1 200 OK", "Content-Length: 1000"]), bytes(0, SIZE));
    assert_eq!(to(0, &["HTTP/1.0 200"]), bytes(0, SIZE));
    for length in ["999", "1001", "0", "-1", "1000x", "18446744073709551616"] {
        assert!(is_misfit(&to(0, &["HTTP/1.1 200 OK", &format!("Content-Length: {length}")])), "{length}");
    }
    assert!(is_misfit(&to(0, &["HTTP/1.1 200 OK", "Content-Length: 1000", "Content-Length: 1000"])));
}

#[test]
fn a_whole_file_in_place_of_a_part_begins_at_0() {
    assert_eq!(to(150, &["HTTP/1.1 200 OK", "Content-Length: 1000"]), bytes(0, SIZE));
    assert_eq!(to(150, &["HTTP/1.1 200 OK"]), bytes(0, SIZE));
}

#[test]
fn a_part_is_the_one_that_was_asked_for() {
    let part = |range: &str| to(150, &["HTTP/1.1 206 Partial", &format!("Content-Range: {range}")]);
    assert_eq!(part("bytes 150-999/1000"), bytes(150, SIZE));
    assert_eq!(part("Bytes 150-999/*"), bytes(150, SIZE));
    assert_eq!(part("bytes 150-499/1000"), bytes(150, 500), "a server may give less than was asked for");
    for range in [
        "bytes 0-999/1000",
        "bytes 151-999/1000",
        "bytes 150-1000/1000",
        "bytes 150-149/1000",
        "bytes */1000",
        "",
        "150-999/1000",
        "bytes 150-999",
        "lines 150-999/1000",
        "bytes +150-999/1000",
    ] {
        assert!(starts_over(&part(range), false), "{range}");
    }
    for total in ["999", "1001"] {
        assert!(starts_over(&part(&format!("bytes 150-999/{total}")), true), "{total}");
    }
    assert!(starts_over(&to(150, &["HTTP/1.1 206 Partial"]), false));
    let twice = ["HTTP/1.1 206 Partial", "Content-Range: bytes 150-999/1000", "Content-Range: bytes 150-999/1000"];
    assert!(starts_over(&to(150, &twice), false));
    let several = ["HTTP/1.1 206 Partial", "Content-Type: multipart/byteranges; boundary=x"];
    assert!(starts_over(&to(150, &several), false));
    let wrong_length = ["HTTP/1.1 206 Partial", "Content-Range: bytes 150-999/1000", "Content-Length: 1000"];
    assert!(starts_over(&to(150, &wrong_length), false));
    assert!(is_misfit(&to(0, &["HTTP/1.1 206 Partial", "Content-Range: bytes 0-999/1000"])), "nothing was asked for");
}

#[test]
fn a_file_that_has_changed_is_not_continued() {
    let with = |etag: &str| to(150, &["HTTP/1.1 206 Partial", "Content-Range: bytes 150-999/1000", etag]);
    assert_eq!(with("ETag: \"e\""), bytes(150, SIZE));
    assert_eq!(with("X: y"), bytes(150, SIZE));
    assert!(starts_over(&with("etag: \"f\""), true));
    assert!(starts_over(&with("ETag: W/\"e\""), true));
    assert!(starts_over(&to(150, &["HTTP/1.1 416 Not Satisfiable", "Content-Range: bytes */100"]), true));
}

#[test]
fn what_is_no_image_is_not_taken() {
    for status in ["HTTP/1.1 200 OK", "HTTP/1.1 206 Partial"] {
        for line in [
            "Content-Encoding: gzip",
            "Content-Encoding: br",
            "Content-Type: text/html; charset=utf-8",
            "Content-Type: TEXT/HTML",
        ] {
            let lines = [status, "Content-Length: 1000", "Content-Range: bytes 150-999/1000", line];
            assert!(is_misfit(&to(150, &lines)), "{status} {line}");
        }
    }
    assert_eq!(
        to(0, &["HTTP/1.1 200 OK", "Content-Encoding: identity", "Content-Type: application/x"]),
        bytes(0, SIZE)
    );
}

#[test]
fn each_status_is_final_or_not() {
    for code in [401, 403, 404, 410, 400, 405, 204, 304, 999, 0] {
        let found = to(150, &[&format!("HTTP/1.1 {code} x")]);
        assert!(matches!(found, Meaning::Final { code: found, .. } if found == code), "{found:?}");
    }
    assert!(matches!(to(0, &["HTTP/1.1 416 x"]), Meaning::Final { .. }));
    for code in [408, 425, 429, 500, 502, 503, 504] {
        let found = to(0, &[&format!("HTTP/1.1 {code} x"), "Retry-After: 7"]);
        assert!(matches!(found, Meaning::TryAgain { blame: Blame::Server, after: Some(after), .. } if after == "7"));
    }
    for code in [301, 302, 303, 307, 308] {
        assert_eq!(to(0, &[&format!("HTTP/1.1 {code} x")]), Meaning::Redirect);
    }
}

#[test]
fn only_the_last_head_counts() {
    let lines =
        ["HTTP/1.1 200 Connection established", "Content-Length: 5", "", "HTTP/1.1 200 OK", "Content-Length: 1000"];
    assert_eq!(to(0, &lines), bytes(0, SIZE));
}

#[test]
fn a_head_without_end_is_refused() {
    let mut head = Head::default();
    let lines = (0..).take_while(|_| head.line(b"X-Filler: and so on and so on\r\n")).count();
    assert!((1000..5000).contains(&lines), "{lines}");
    assert!(!head.line(b"HTTP/1.1 200 OK\r\n"), "another head does not help");
}
