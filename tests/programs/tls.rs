//! A device in C over TLS: under valgrind, and ending under its own threads.
#![cfg(feature = "tls")]

use enos_sim::ca::{Authority, Files, KeyKind};
use enos_sim::TlsConfig;
use std::path::PathBuf;
use std::process::Command;
use support::desk::Desk;
use support::native::{root, succeed, Workshop};
use support::tls;
use support::tls::Pki;

struct Scene {
    pki: Pki,
    desk: Desk,
    workshop: Workshop,
    program: PathBuf,
}

/// The program, and a cloud that demands certificates.
fn scene() -> Scene {
    let pki = Pki::new();
    let [cert, key] = pki.write("desk", &pki.server());
    let desk = Desk::active(|config| {
        let files = Files { certificate: cert.into(), key: key.into() };
        config.tls = Some(TlsConfig {
            listen: "127.0.0.1:0".parse().unwrap(),
            client_ca: Some(pki.file("ca.pem")),
            require_client_certificate: true,
            ..TlsConfig::new(files)
        });
    });
    let workshop = Workshop::new();
    let program = workshop.build("cc", "c99", &root().join("tests/c/tls_device.c"));
    Scene { pki, desk, workshop, program }
}

impl Scene {
    fn arguments(&self, ca: &str, end: &str) -> Vec<String> {
        let uri = format!("ssl://{}", self.desk.cloud.tls_address().unwrap());
        let [cert, key] = self.pki.device("dk", KeyKind::EcP256);
        vec![uri, ca.to_owned(), cert, key, end.to_owned()]
    }
}

#[test]
fn a_program_may_end_with_the_connection_up() {
    let scene = scene();
    // What goes wrong at exit goes wrong at times.
    for _ in 0..10 {
        for end in ["exit", "return", "destroy"] {
            let arguments = scene.arguments(&scene.pki.ca(), end);
            let said = succeed(scene.workshop.command(&scene.program).args(arguments));
            assert!(said.contains("CONNECTED 0") && said.contains("REPLY 0"), "{end}: {said}");
        }
    }
}

#[test]
fn tls_under_valgrind() {
    if Command::new("valgrind").arg("--version").output().is_err() {
        eprintln!("valgrind is not installed: nothing was tested");
        return;
    }
    let scene = scene();
    let stranger = Authority::root("A stranger's CA", KeyKind::EcP256).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let strange = tls::path(&stranger.write(elsewhere.path()).unwrap().certificate);
    for (ca, end) in [(scene.pki.ca(), "destroy"), (strange, "fail"), (scene.pki.ca(), "return")] {
        let mut command = scene.workshop.command("valgrind");
        // A client that is not destroyed is no leak of the library's.
        let leaks = if end == "return" { "--leak-check=no" } else { "--leak-check=full" };
        command.args(["--quiet", "--error-exitcode=99", leaks, "--errors-for-leak-kinds=definite"]);
        succeed(command.arg(&scene.program).args(scene.arguments(&ca, end)));
    }
}
