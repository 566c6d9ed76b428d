//! What a link does not do to its process: no SIGPIPE, nothing from the environment.

use enos::internals::model::link::LinkEvent;
use support::alone::{alone, alone_with};
use support::rig::Rig;
use support::wire::Wires;

fn disposition(set: Option<libc::sighandler_t>) -> libc::sighandler_t {
    // SAFETY: all zeros is a valid sigaction, and the handlers are the system's own.
    unsafe {
        let mut now: libc::sigaction = std::mem::zeroed();
        if let Some(handler) = set {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = handler;
            assert_eq!(libc::sigaction(libc::SIGPIPE, &action, std::ptr::null_mut()), 0);
        }
        assert_eq!(libc::sigaction(libc::SIGPIPE, std::ptr::null(), &mut now), 0);
        now.sa_sigaction
    }
}

/// Ends the process, were SIGPIPE raised.
#[test]
fn writing_to_a_connection_that_is_gone_raises_no_signal() {
    alone(|| {
        disposition(Some(libc::SIG_DFL));
        for secure in [false, true] {
            for round in 0..20 {
                let (mut rig, wires) = (Rig::new(), Wires::bind(secure));
                let (link, wire) = wires.online(&mut rig, |_| ());
                let socket = wire.socket();
                drop(wire);
                match round % 2 {
                    0 => drop(socket),
                    // Only the way to the broker: the device hears of it by its own write.
                    _ => socket.shutdown(std::net::Shutdown::Read).unwrap(),
                }
                for token in 0..100 {
                    if link.publish("t", &[7; 10_000], 0, token).is_err() {
                        break;
                    }
                }
                link.disconnect(0);
                while !matches!(rig.next(), LinkEvent::Lost { .. } | LinkEvent::Closed) {}
                drop(link);
            }
        }
        assert_eq!(disposition(None), libc::SIG_DFL, "the disposition is the host's");
    });
}

#[test]
fn the_environment_reaches_nothing() {
    let place = tempfile::tempdir().unwrap();
    let trace = place.path().join("trace");
    let environment = [
        ("MQTT_C_CLIENT_TRACE", trace.to_str().unwrap()),
        ("MQTT_C_CLIENT_TRACE_LEVEL", "MAXIMUM"),
        ("PAHO_C_CLIENT_USE_HTTP_PROXY", "TRUE"),
        ("http_proxy", "http://127.0.0.1:1"),
        ("https_proxy", "http://%@h"),
    ];
    alone_with(&environment, || {
        for secure in [false, true] {
            let (mut rig, wires) = (Rig::new(), Wires::bind(secure));
            let (link, wire) = wires.online(&mut rig, |_| ());
            drop((link, wire));
        }
    });
    assert!(!trace.exists());
}
