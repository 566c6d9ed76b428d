//! A device in C over TLS, on threads with 64 KiB of stack, and on a thread that is cancelled in a call.
#![cfg(feature = "tls")]

use enos_sim::ca::{Files, KeyKind};
use enos_sim::TlsConfig;
use std::path::PathBuf;
use support::desk::Desk;
use support::native::{root, succeed, Workshop};
use support::tls::Pki;

struct Scene {
    pki: Pki,
    desk: Desk,
    workshop: Workshop,
    program: PathBuf,
}

/// The program, and a cloud that requires certificates.
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
    let program = workshop.build("cc", "c99", &root().join("tests/c/small_stack.c"));
    Scene { pki, desk, workshop, program }
}

impl Scene {
    fn arguments(&self) -> Vec<String> {
        let uri = format!("ssl://{}", self.desk.cloud.tls_address().unwrap());
        let [cert, key] = self.pki.device("dk", KeyKind::EcP256);
        vec![uri, self.pki.ca(), cert, key]
    }
}

#[test]
fn calls_need_no_more_stack_than_they_say_and_survive_a_cancellation() {
    let scene = scene();
    let said = succeed(scene.workshop.command(&scene.program).args(scene.arguments()));
    assert!(said.contains("all of it"), "{said}");
}
