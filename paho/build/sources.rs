//! Finds the C sources that paho-mqtt-sys ships, and makes sure that they are the ones that the fixes were made for.

use sha2::{Digest, Sha256};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The crate that ships them, exactly as Cargo.toml names it.
const CRATE: &str = "paho-mqtt-sys";
const VERSION: &str = "0.11.0";
/// SHA-256 over names and contents of [`PARTS`]; see [`digest`].
const DIGEST: &str = "43af0c086222e4ace68a7e3d7dad0d0e9707db478c90bd6fb428ec6fdedbfde9";
/// What a build needs of the sources; the rest (tests, samples, documentation) stays where it is.
const PARTS: [&str; 6] = ["CMakeLists.txt", "version.major", "version.minor", "version.patch", "cmake", "src"];

/// Where cargo keeps the shipped sources.
///
/// Cargo does not tell a build script where another crate lies, but `cargo metadata` does. It is asked about a package
/// of its own that depends on nothing else: asked about this workspace, it would want the sources of every crate in
/// the lock file, for tests and for other systems, and a build has only those that it needs.
pub fn find(scratch: &Path) -> Result<PathBuf, String> {
    let manifest = scratch.join("Cargo.toml");
    let text = format!(
        "[package]\nname = \"locate\"\nversion = \"0.0.0\"\nedition = \"2021\"\n[lib]\npath = \"lib.rs\"\n[workspace]\n\
         [dependencies]\n{CRATE} = {{ version = \"={VERSION}\", default-features = false }}\n"
    );
    fs::create_dir_all(scratch)
        .and_then(|()| fs::write(&manifest, text))
        .and_then(|()| fs::write(scratch.join("lib.rs"), ""))
        .map_err(|error| format!("cannot write to {}: {error}", scratch.display()))?;
    // The current directory stays the package's: it decides which cargo configuration (vendored sources) applies.
    let output = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["metadata", "--format-version=1", "--offline", "--manifest-path"])
        .arg(&manifest)
        .output()
        .map_err(|error| format!("cannot run cargo metadata: {error}"))?;
    if !output.status.success() {
        return Err(format!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).map_err(|error| format!("cargo metadata: {error}"))?;
    let package = metadata["packages"]
        .as_array()
        .and_then(|packages| packages.iter().find(|package| package["name"] == CRATE && package["version"] == VERSION))
        .ok_or_else(|| format!("cargo metadata does not name {CRATE} {VERSION}"))?;
    let crate_manifest = Path::new(package["manifest_path"].as_str().unwrap_or_default());
    Ok(crate_manifest.with_file_name("paho.mqtt.c"))
}

/// Copies what a build needs, after checking that it is what the fixes were made for.
pub fn copy(shipped: &Path, to: &Path) -> Result<(), String> {
    let mut files = Vec::new();
    for part in PARTS {
        list(&shipped.join(part), &mut files).map_err(|error| {
            format!("{CRATE} {VERSION} should have Paho's sources in {}: {error}", shipped.display())
        })?;
    }
    files.sort();
    let mut hash = Sha256::new();
    for file in &files {
        let name = file.strip_prefix(shipped).unwrap_or(file);
        let contents = fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
        hash.update(name.to_string_lossy().as_bytes());
        hash.update([0]);
        hash.update((contents.len() as u64).to_le_bytes());
        hash.update(&contents);
        let target = to.join(name);
        target
            .parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| fs::write(&target, &contents))
            .map_err(|error| format!("{}: {error}", target.display()))?;
    }
    let found = format!("{:x}", hash.finalize());
    if found != DIGEST {
        return Err(format!(
            "the sources in {} are not those that the fixes in paho/fixes were made for (SHA-256 {found}, expected \
             {DIGEST}). If the crate was updated, follow \"A new paho-mqtt-sys\" in paho/README.md; if not, the copy is \
             damaged: remove that directory and build again",
            shipped.display()
        ));
    }
    Ok(())
}

/// Copies our own C files beside the shipped ones.
pub fn add(ours: &Path, to: &Path) -> Result<(), String> {
    let mut files = Vec::new();
    list(ours, &mut files)
        .and_then(|()| {
            files.iter().try_for_each(|file| fs::copy(file, to.join(file.file_name().unwrap_or_default())).map(drop))
        })
        .map_err(|error| format!("cannot copy {} to {}: {error}", ours.display(), to.display()))
}

/// All files below a path.
fn list(path: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            list(&entry?.path(), files)?;
        }
    } else {
        fs::metadata(path)?;
        files.push(path.to_owned());
    }
    Ok(())
}
