//! Runs every input that is kept: those that reach the most code, and those that have found a fault.

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

static PANICS: AtomicUsize = AtomicUsize::new(0);

/// One input a line, in hexadecimal digits.
fn inputs(part: &str, target: &str) -> Vec<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(part).join(target);
    let lines = fs::read_to_string(file).unwrap_or_default();
    lines.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

fn bytes(input: &str) -> Vec<u8> {
    let digits = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    assert_eq!(input.len() % 2, 0, "{input}");
    input.as_bytes().chunks(2).map(digits).collect()
}

#[test]
fn stored_inputs_find_no_fault() {
    enos_fuzz::watch(|_| {
        PANICS.fetch_add(1, Ordering::SeqCst);
    });
    let mut bad = Vec::new();
    for (name, target) in enos_fuzz::TARGETS {
        let kept = inputs("corpus", name);
        assert!(!kept.is_empty(), "{name} has no inputs");
        for input in kept.into_iter().chain(inputs("faults", name)) {
            let before = PANICS.load(Ordering::SeqCst);
            let ended = catch_unwind(|| enos_fuzz::run(target, &bytes(&input)));
            if ended.is_err() || PANICS.load(Ordering::SeqCst) > before {
                bad.push(format!("{name} {input}"));
            }
        }
    }
    assert!(bad.is_empty(), "{bad:#?}");
}

/// A file that no target has would never be looked at.
#[test]
fn every_file_is_a_targets() {
    for part in ["corpus", "faults"] {
        for file in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(part)).unwrap() {
            let name = file.unwrap().file_name();
            assert!(enos_fuzz::TARGETS.iter().any(|(known, _)| *known == name), "{part}: {name:?}");
        }
    }
}
