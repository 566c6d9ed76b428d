//! How the C code is compiled: hardened, and without a warning about a line of ours.

use crate::variant::{compiler, kept, mend, DEFINED, SOURCES};
use std::{
    fs,
    path::Path,
    process::{self, Command},
};

/// What a tool says of the library that libenos is linked with.
fn of_library(tool: &str, arguments: &[&str]) -> String {
    let archive = Path::new(env!("OUT_DIR")).join("lib/libenos-paho.a");
    let output = Command::new(tool).args(arguments).arg(archive).output().unwrap();
    assert!(output.status.success(), "{tool}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_library_is_hardened_as_far_as_the_machine_goes() {
    let symbols = of_library("nm", &["--undefined-only"]);
    assert!(symbols.contains(" __stack_chk_fail"), "no stack protector:\n{symbols}");
    if cfg!(target_env = "gnu") {
        assert!(symbols.lines().any(|line| line.ends_with("_chk")), "no _FORTIFY_SOURCE:\n{symbols}");
    }
    let marks = match () {
        () if cfg!(target_arch = "x86_64") => "IBT, SHSTK",
        () if cfg!(target_arch = "aarch64") => "BTI, PAC",
        () => return,
    };
    let notes = of_library("readelf", &["--notes", "--wide"]);
    assert_eq!(notes.matches(marks).count(), SOURCES.len(), "not every object is marked {marks}:\n{notes}");
}

/// Paho has variables and parameters that nothing uses, and compares numbers with and without a sign. What a fix adds
/// is free of that.
#[test]
fn no_line_of_ours_is_warned_of() {
    let directory = kept(&format!("warnings-{}", process::id()));
    mend(&directory, &[]);
    let mut warned = Vec::new();
    for name in SOURCES {
        let mended = directory.join("src").join(name).with_extension("c");
        let output = Command::new(compiler())
            .args(["-std=gnu99", "-O1", "-Wall", "-Wextra", "-c", "-o", "/dev/null"])
            .args(DEFINED)
            .arg(&mended)
            .env("LC_ALL", "C")
            .output()
            .unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let shipped = Path::new(env!("PAHO_SHIPPED")).join("src").join(name).with_extension("c");
        let shipped = fs::read_to_string(shipped).unwrap_or_default();
        let text = fs::read_to_string(&mended).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        for warning in String::from_utf8_lossy(&output.stderr).lines().filter(|line| line.contains(": warning: ")) {
            let number: usize = warning.split(':').nth(1).and_then(|number| number.parse().ok()).unwrap();
            if !shipped.lines().any(|line| line == lines[number - 1]) {
                warned.push(warning.to_owned());
            }
        }
    }
    fs::remove_dir_all(&directory).unwrap();
    assert!(warned.is_empty(), "{}", warned.join("\n"));
}
