//! The documentation of the headers as HTML: Doxygen has no warnings, and everything is in it.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use support::native::{functions, header, root, succeed, words};

#[test]
fn it_is_complete_and_without_a_warning() {
    if Command::new("doxygen").arg("--version").output().is_err() {
        eprintln!("doxygen is not installed: nothing was tested");
        return;
    }
    // A blank in the path must work.
    let build = tempfile::Builder::new().prefix("a build ").tempdir().unwrap();
    let mut configure = Command::new("cmake");
    configure.arg(format!("-DCARGO_EXECUTABLE={}", env!("CARGO")));
    succeed(configure.arg("-S").arg(root()).arg("-B").arg(build.path()));
    succeed(Command::new("cmake").arg("--build").arg(build.path()).args(["--target", "enos_docs"]));

    let page = |name: &str| fs::read_to_string(build.path().join("docs/html").join(name)).unwrap();
    let (main, file) = (page("index.html"), page("enos_8h.html"));
    for heading in ["A whole program", "How to link", "Conventions", "Threads"] {
        assert!(main.contains(&format!("{heading}</h1>")), "{heading}");
    }
    let header = header();
    let told: BTreeSet<_> = words(&file).collect();
    for (function, _) in functions(&header) {
        assert!(told.contains(function.as_str()), "{function}");
    }
    let rule = format!("/* {}\n * ", "-".repeat(96));
    let chapters: Vec<_> =
        header.split(rule.as_str()).skip(1).map(|rest| rest.split(['.', ':']).next().unwrap()).collect();
    assert!(chapters.len() > 8, "{chapters:?}");
    for chapter in chapters {
        assert!(file.contains(&format!(">{chapter}</h2>")), "{chapter}");
    }
    assert!(page("namespaceenos.html").contains("classenos_1_1client.html"));
}
