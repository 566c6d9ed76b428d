//! The patches apply strictly, or not at all.

use crate::fixes;
use std::{fs, path::PathBuf};

const SHIPPED: &str = "one\ntwo\nthree\nfour\n";

/// Applies patches, each the hunks of one file, to the lines above.
fn apply(name: &str, patches: &[&str]) -> Result<String, String> {
    let root = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("patches-{name}"));
    let _ = fs::remove_dir_all(&root);
    fs::create_dir_all(root.join("fixes")).unwrap();
    fs::write(root.join("file"), SHIPPED).unwrap();
    for (number, hunks) in patches.iter().enumerate() {
        let text = format!("What it does.\n\n--- a/file\n+++ b/file\n{hunks}");
        fs::write(root.join(format!("fixes/{number}.patch")), text).unwrap();
    }
    let fixes = fixes::read(&root.join("fixes"))?;
    fixes::apply(&fixes, &root)?;
    Ok(fs::read_to_string(root.join("file")).unwrap())
}

#[test]
fn hunks_name_lines_of_the_shipped_file() {
    let insert = "@@ -1,0 +2,2 @@\n+a\n+b\n";
    let replace = "@@ -3 +3 @@\n-three\n+3\n";
    let remove = "@@ -4 +3,0 @@\n-four\n";
    assert_eq!(apply("one", &[insert]).unwrap(), "one\na\nb\ntwo\nthree\nfour\n");
    assert_eq!(apply("three", &[insert, replace, remove]).unwrap(), "one\na\nb\ntwo\n3\n");
    assert_eq!(apply("order", &[remove, replace, insert]).unwrap(), "one\na\nb\ntwo\n3\n");
    assert_eq!(apply("same", &["@@ -4,0 +5 @@\n+a\n", "@@ -4,0 +5 @@\n+b\n"]).unwrap(), format!("{SHIPPED}a\nb\n"));
    assert_eq!(apply("begin", &["@@ -0,0 +1 @@\n+a\n"]).unwrap(), format!("a\n{SHIPPED}"));
}

#[test]
fn what_does_not_fit_is_an_error() {
    for (name, patches, words) in [
        ("changed", &["@@ -3 +3 @@\n-drei\n+3\n"][..], "not the one that the fix replaces"),
        ("short", &["@@ -9,0 +10 @@\n+a\n"], "shorter"),
        ("clash", &["@@ -2,2 +2 @@\n-two\n-three\n+a\n", "@@ -3 +3 @@\n-three\n+b\n"], "another fix"),
        ("inside", &["@@ -2,2 +2 @@\n-two\n-three\n+a\n", "@@ -2,0 +3 @@\n+b\n"], "another fix"),
        ("cut", &["@@ -3 +3,2 @@\n-three\n+3\n"], "incomplete"),
        ("none", &[""], "no hunk"),
        ("context", &["@@ -2,2 +2,2 @@\n two\n-three\n+3\n"], "incomplete"),
        ("words", &["@@ -2 @@\n"], "not a hunk"),
    ] {
        let error = apply(name, patches).unwrap_err();
        assert!(error.contains(words), "{name}: {error}");
    }
}

#[test]
fn every_fix_has_its_own_lines_and_a_reason() {
    let all = fixes::read("fixes".as_ref()).unwrap();
    assert!(!all.is_empty());
    for fix in &all {
        assert!(fix.files().all(|file| file.starts_with("src/")));
        let text = fs::read_to_string(format!("fixes/{}.patch", fix.name)).unwrap();
        let reason = text.split("--- a/").next().unwrap();
        assert!(reason.contains("Fault: ") != reason.contains("No fault"), "{}: a fault or none", fix.name);
        assert!(!reason.contains("Fault: ") || reason.contains("Fix: "), "{}: how it is fixed", fix.name);
    }
}
