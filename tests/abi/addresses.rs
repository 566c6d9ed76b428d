//! Loopback is reached whatever other addresses the board has: only the other family, link-local ones, or none. The
//! test uses its own network namespace, if the system allows that.

use std::process::{Command, Stdio};
use support::broker::Broker;
use support::host::{Setup, DEVICE_SECRET};

/// Set for the process inside the namespace: the other addresses.
const INSIDE: &str = "ENOS_ADDRESSES_INSIDE";

fn ip(arguments: &str) -> bool {
    let mut command = Command::new("ip");
    command.env("PATH", format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default()));
    command.args(arguments.split(' ')).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

fn go_online(server: &str, address: &str) {
    let broker = Broker::bind_to(&format!("{address}:0"));
    let mut host =
        Setup::to(&format!("tcp://{server}:{}", broker.address().port())).device_secret(DEVICE_SECRET).start();
    host.connect();
    let _peer = broker.accept_mqtt();
    host.until("CONNECTED");
}

#[test]
fn loopback_is_reached_whatever_else_there_is() {
    if let Some(others) = std::env::var_os(INSIDE) {
        assert!(
            ip("link set lo up")
                && ip("link add other type veth peer name far")
                && ip("link set far up")
                && ip("link set other up")
        );
        for other in others.to_str().unwrap().split(' ').filter(|other| !other.is_empty()) {
            assert!(ip(&format!("addr add {other} dev other")), "{other}");
        }
        go_online("127.0.0.1", "127.0.0.1");
        go_online("localhost", "127.0.0.1");
        // The kernel may have no IPv6.
        if std::net::TcpListener::bind("[::1]:0").is_ok() {
            go_online("[::1]", "[::1]");
        }
        return;
    }
    let unshare = |others: &str| {
        let mut inside = Command::new("unshare");
        inside.arg("-rn").arg(std::env::current_exe().unwrap()).args([
            "--exact",
            "addresses::loopback_is_reached_whatever_else_there_is",
            "--nocapture",
        ]);
        inside.env(INSIDE, others).stdin(Stdio::null()).output()
    };
    let probe = Command::new("unshare")
        .args(["-rn", "sh", "-c", "PATH=$PATH:/usr/sbin:/sbin; ip link add other type veth peer name far"])
        .stdin(Stdio::null())
        .output();
    if !probe.is_ok_and(|output| output.status.success()) {
        println!("skipped: this machine has no network namespaces for its users");
        return;
    }
    for others in ["", "10.77.0.1/24", "2001:db8::7/64", "fe80::7/64", "10.77.0.1/24 fe80::7/64"] {
        let output = unshare(others).unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "beside {others:?}: {said}\n{}", String::from_utf8_lossy(&output.stderr));
    }
}
