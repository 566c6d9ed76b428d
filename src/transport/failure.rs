//! Explains why an attempt to connect failed, and why a connection ended.

use crate::error::Status;
use crate::model::link::LinkEvent;
use paho_engine::link::Fault;
use std::net::SocketAddr;

/// What is known of an attempt that ended without a connection.
pub struct Facts<'a> {
    pub address: SocketAddr,
    /// The code of the CONNACK, if one came.
    pub connack: Option<u8>,
    /// The CONNECT, or a part of it, was sent.
    pub connect_sent: bool,
    pub fault: Option<&'a Fault>,
    /// What failed in TLS, if that is where it failed.
    pub tls: Option<String>,
}

/// `Refused`, or `Failed` with the first reason that applies.
pub fn not_connected(facts: Facts<'_>) -> LinkEvent {
    let Facts { address, connack, connect_sent, fault, tls } = facts;
    if let Some(code) = connack {
        return LinkEvent::Refused { code };
    }
    let (status, reason) = match (tls, fault) {
        (Some(words), _) => (Status::ENOS_ERR_TLS, format!("TLS to {address}: {words}")),
        (None, Some(Fault::Protocol(_))) => (Status::ENOS_ERR_PROTOCOL, no_connection(address, fault)),
        (None, _) if connect_sent => {
            let why = fault.map_or_else(|| "the broker's answer is not a CONNACK".to_owned(), Fault::to_string);
            let words = format!("{address} took the CONNECT, but the connection ended without a CONNACK: {why}");
            (Status::ENOS_ERR_NETWORK, words)
        }
        (None, _) => (Status::ENOS_ERR_NETWORK, no_connection(address, fault)),
    };
    LinkEvent::Failed { status, reason, connect_sent }
}

fn no_connection(address: SocketAddr, fault: Option<&Fault>) -> String {
    match fault {
        Some(fault) => format!("no connection to {address}: {fault}"),
        None => format!("no connection to {address}"),
    }
}

/// Why a connection ended unexpectedly. If the link has no fault, Paho could not read a packet.
pub fn lost(address: SocketAddr, fault: Option<&Fault>) -> LinkEvent {
    let (status, words) = match fault {
        Some(Fault::Protocol(words)) => (Status::ENOS_ERR_PROTOCOL, format!("was ended: the broker sent {words}")),
        Some(fault) => (Status::ENOS_ERR_NETWORK, format!("was lost: {fault}")),
        None => (Status::ENOS_ERR_PROTOCOL, "was ended: the broker sent a malformed packet".to_owned()),
    };
    LinkEvent::Lost { status, reason: format!("the connection to {address} {words}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_to_fail_has_its_event() {
        let address = SocketAddr::from(([192, 0, 2, 1], 1883));
        let shown = |connack, connect_sent, fault: Option<&Fault>, tls: Option<&str>| {
            let facts = Facts { address, connack, connect_sent, fault, tls: tls.map(str::to_owned) };
            format!("{:?}", not_connected(facts))
        };
        let (closed, protocol) = (&Fault::Closed, &Fault::Protocol("a packet of type 0".into()));
        let tls = &Fault::Tls(paho_engine::link::TlsFault::default());
        let by_broker = "the broker closed it";
        let took = "192.0.2.1:1883 took the CONNECT, but the connection ended without a CONNACK";
        let none = "no connection to 192.0.2.1:1883";
        let table = [
            (shown(Some(5), true, None, None), "Refused(5)".to_owned()),
            (shown(Some(5), true, Some(closed), None), "Refused(5)".to_owned()),
            (
                shown(None, true, None, None),
                failed("NETWORK", &format!("{took}: the broker's answer is not a CONNACK"), true),
            ),
            (shown(None, true, Some(closed), None), failed("NETWORK", &format!("{took}: {by_broker}"), true)),
            (shown(None, false, Some(closed), None), failed("NETWORK", &format!("{none}: {by_broker}"), false)),
            (shown(None, false, None, None), failed("NETWORK", none, false)),
            (
                shown(None, true, Some(protocol), None),
                failed("PROTOCOL", &format!("{none}: the broker broke the protocol: a packet of type 0"), true),
            ),
            (shown(None, false, Some(tls), Some("no trust")), failed("TLS", "TLS to 192.0.2.1:1883: no trust", false)),
            (shown(None, true, Some(tls), Some("no trust")), failed("TLS", "TLS to 192.0.2.1:1883: no trust", true)),
            // A fault of TLS after the handshake is one of the connection.
            (shown(None, true, Some(tls), None), failed("NETWORK", &format!("{took}: the broker ended TLS"), true)),
        ];
        for (shown, expected) in table {
            assert_eq!(shown, expected);
        }
    }

    fn failed(status: &str, reason: &str, sent: bool) -> String {
        format!("Failed(ENOS_ERR_{status}, {reason:?}, sent: {sent})")
    }

    #[test]
    fn each_way_to_lose_a_connection_has_its_event() {
        let address = SocketAddr::from(([192, 0, 2, 1], 1883));
        let table = [
            (Some(Fault::Closed), "NETWORK", "was lost: the broker closed it"),
            (Some(Fault::Memory), "NETWORK", "was lost: there is no memory for a packet"),
            (
                Some(Fault::Protocol("a packet of type 0".into())),
                "PROTOCOL",
                "was ended: the broker sent a packet of type 0",
            ),
            (None, "PROTOCOL", "was ended: the broker sent a malformed packet"),
        ];
        for (fault, status, words) in table {
            let expected = format!("Lost(ENOS_ERR_{status}, \"the connection to 192.0.2.1:1883 {words}\")");
            assert_eq!(format!("{:?}", lost(address, fault.as_ref())), expected);
        }
    }
}
