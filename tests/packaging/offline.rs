//! The commands of docs/offline-build.md, run as they stand there: the second half with nothing to fetch from and no
//! crates but the vendored ones.

use std::fs;
use std::path::Path;
use std::process::Command;

use support::native::{root, succeed};

/// The commands under a heading of the page.
fn commands(heading: &str) -> String {
    let page = fs::read_to_string(root().join("docs/offline-build.md")).unwrap();
    let chapter = page.split("\n## ").find_map(|chapter| chapter.strip_prefix(heading)).expect(heading);
    let (_, block) = chapter.split_once("\n```sh\n").expect(heading);
    block.split_once("\n```").unwrap().0.to_owned()
}

fn run(commands: &str, directory: &Path) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-euc", commands]).current_dir(directory);
    shell
}

#[test]
fn the_library_is_built_from_vendored_crates_alone() {
    // What Cargo builds is kept, so that only the first run takes its time.
    let work = Path::new(env!("CARGO_TARGET_TMPDIR")).join("offline");
    let sources = work.join("sources");
    let _ = fs::remove_dir_all(&sources);
    fs::create_dir_all(&sources).unwrap();
    let copy = "tar -c --exclude=./target --exclude=./build --exclude=./.git . | tar -x -C \"$TO\"";
    succeed(run(copy, &root()).env("TO", &sources));

    succeed(&mut run(&commands("With a network, once"), &sources));
    assert!(sources.join("vendor/paho-mqtt-sys/paho.mqtt.c").is_dir());

    let build = commands("Without a network");
    assert_eq!(build.matches(" -B build ").count(), 1);
    let options =
        format!(" -B build -DENOS_CARGO_PROFILE=dev -DENOS_CARGO_TARGET_DIR='{}' ", work.join("target").display());
    let empty = tempfile::tempdir().unwrap();
    let mut build = run(&build.replace(" -B build ", &options), &sources);
    // It is sooner done without what a debugger wants.
    succeed(build.env("CARGO_HOME", empty.path()).env("CARGO_PROFILE_DEV_DEBUG", "none"));
    let library = sources.join("build").join("libenos.so");
    let symbols = succeed(Command::new("nm").arg("--dynamic").arg(library));
    assert!(symbols.contains(" T enos_client_create"), "{symbols}");
    // Paho's sources came from there, too: nothing was unpacked anywhere else.
    assert!(!empty.path().join("registry/src").exists());
}
