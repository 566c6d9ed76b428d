//! README.md and NOTICE say what is so: the program in the one runs, the other names every crate that is linked.

#[path = "support/desk.rs"]
mod desk;
#[path = "support/host/mod.rs"]
mod host;
mod native;
#[path = "support/program.rs"]
mod program;

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use desk::Desk;
use enos_sim::Event;
use host::{DEVICE_KEY, PRODUCT_KEY, PRODUCT_SECRET};
use native::{c_compilers, root, succeed, words, Workshop, C_STANDARDS};
use program::Program;

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap()
}

/// The block of C in the README, with its placeholders replaced.
fn program(replacements: &[(&str, &str)]) -> String {
    let readme = read("README.md");
    let mut blocks = readme.split("\n```c\n").skip(1).map(|rest| rest.split_once("\n```\n").unwrap().0);
    let (block, None) = (blocks.next().unwrap(), blocks.next()) else { panic!("more than one block of C") };
    replacements.iter().fold(format!("{block}\n"), |program, (from, to)| {
        assert_eq!(program.matches(from).count(), 1, "{from}");
        program.replace(from, to)
    })
}

#[test]
fn its_program_activates_a_device_and_reports() {
    let workshop = Workshop::new();
    let desk = Desk::inactive(|_| {});
    let source = program(&[
        ("tcp://mqtt.example.com:11883", &format!("tcp://{}", desk.address())),
        ("/var/lib/my-device", "store"),
        ("my-product-key", PRODUCT_KEY),
        ("my-device-key", DEVICE_KEY),
        ("my-product-secret", PRODUCT_SECRET),
    ]);
    let source = workshop.write("readme.c", &source);
    for compiler in c_compilers() {
        C_STANDARDS.iter().for_each(|standard| workshop.check(compiler, standard, &source));
    }
    let built = workshop.build("cc", "c11", &source);
    for start in 1..=2 {
        let mut running = Program::start(workshop.command("stdbuf").arg("-oL").arg(&built));
        running.expect("REPLY: success");
        let output = running.kill();
        assert!(output.contains("CONNECTED: success"), "{output}");
        assert_eq!(output.contains("ACTIVATED: success"), start == 1, "{output}");
    }
    assert_eq!(desk.modes(), [3, 2, 2]);
    assert_eq!(desk.count(|event| matches!(event, Event::Reply { code: 200, .. })), 2);
}

/// Files that the README links to are there.
#[test]
fn its_links_lead_somewhere() {
    let readme = read("README.md");
    let links: Vec<_> = readme.split("](").skip(1).map(|rest| rest.split_once(')').unwrap().0).collect();
    assert!(links.len() > 5, "{links:?}");
    for link in links {
        assert!(root().join(link).exists(), "{link}");
    }
}

/// Functions, constants, options and variables that the pages name.
#[test]
fn what_the_pages_name_exists() {
    let sources = [
        "include/enos.h",
        "CMakeLists.txt",
        "c_examples/CMakeLists.txt",
        "c_examples/01_sign.c",
        "c_examples/02_activate_and_report.c",
    ];
    let known = sources.map(read).join("\n");
    let known: BTreeSet<_> = words(&known).collect();
    let pages = ["README.md", "CHANGELOG.md", "NOTICE", "c_examples/README.md"];
    let docs = ["docs/offline-build.md", "docs/porting.md", "docs/provisioning.md"];
    for page in pages.into_iter().chain(docs) {
        let text = read(page);
        let named: Vec<_> =
            words(&text).filter(|word| word.starts_with("enos_") || word.starts_with("ENOS_")).collect();
        for word in named {
            // enos_client_ stands for all that begin so.
            let exists = known.contains(word) || word.ends_with('_') && known.iter().any(|k| k.starts_with(word));
            assert!(exists, "{page}: {word}");
        }
    }
}

/// The crates that are linked into libenos.so, with their licences, are those in NOTICE.
#[test]
fn notice_names_every_crate_that_is_linked() {
    let mut tree = Command::new(env!("CARGO"));
    tree.args(["tree", "--locked", "--offline", "-p", "enos", "-e", "normal,no-proc-macro", "--prefix", "none"]);
    let tree = succeed(tree.args(["--format", "{p}|{l}"]).current_dir(root()));
    let linked: BTreeSet<_> = tree
        .lines()
        .filter_map(|line| line.trim_end_matches(" (*)").split_once('|'))
        .map(|(package, licence)| (package.split(' ').next().unwrap().to_owned(), licence.to_owned()))
        .filter(|(name, _)| !["enos", "paho-engine", "paho-mqtt-sys"].contains(&name.as_str()))
        .collect();
    let notice = read("NOTICE");
    let part = notice.split_once("\n2. Rust crates\n").unwrap().1;
    let table = part.split("\n\n").find(|paragraph| paragraph.starts_with("    ")).unwrap();
    let named: BTreeSet<_> = table
        .lines()
        .filter_map(|line| line.trim_start().split_once(' '))
        .map(|(name, licence)| (name.to_owned(), licence.trim_start().to_owned()))
        .collect();
    assert!(linked.len() > 10);
    assert_eq!(named, linked);
    assert!(notice.contains(&format!("paho-mqtt-sys {}", version_in_lock("paho-mqtt-sys"))));
}

fn version_in_lock(package: &str) -> String {
    let lock = read("Cargo.lock");
    let entry = lock.split_once(&format!("name = \"{package}\"\nversion = \"")).unwrap().1;
    entry.split_once('"').unwrap().0.to_owned()
}
