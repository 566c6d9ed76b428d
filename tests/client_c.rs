//! Clients as C programs have them, with a broker of this test's.

#[path = "support/broker.rs"]
mod broker;
#[path = "support/host.rs"]
mod host;
mod native;
#[path = "support/scene.rs"]
mod scene;

use broker::Broker;
use native::{c_compilers, root, succeed, Workshop};

#[test]
fn a_name_server_that_never_answers_harms_nobody_else() {
    let workshop = Workshop::new();
    for compiler in c_compilers() {
        let program = workshop.build(compiler, "c99", &root().join("tests/c/test_resolver.c"));
        let broker = Broker::bind();
        let port = broker.address().port().to_string();
        // One after the other: the healthy client, and the one whose name is found in the end.
        let served = std::thread::spawn(move || [broker.accept().oblige(), broker.accept().oblige()]);
        let tap = succeed(workshop.command("timeout").arg("100").arg(&program).arg(&port));
        assert!(!tap.contains("not ok"), "{tap}");
        for peer in served.join().unwrap() {
            peer.join().unwrap();
        }
    }
}
