//! The address of the broker.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::error::{Error, Result, Status};
use crate::transport::tls;

/// The ports of EnOS (EnOS documentation, "MQTT").
const TCP_PORT: u16 = 11883;
const TLS_PORT: u16 = 18883;
/// A DNS name has at most 253 characters, and a label has at most 63 (RFC 1035, section 2.3.4).
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

/// The address of a broker, before DNS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// A name, an IPv4 address, or an IPv6 address without its brackets.
    pub host: String,
    pub port: u16,
    /// Whether the scheme is `ssl://`.
    pub tls: bool,
}

impl Server {
    /// Parses `tcp://host[:port]` (default port 11883) or `ssl://host[:port]` (18883). In a build without TLS, `ssl://`
    /// is `ENOS_ERR_UNSUPPORTED`.
    pub fn parse(uri: &str) -> Result<Server> {
        let (scheme, rest) =
            uri.split_once("://").ok_or_else(|| refused("it begins with neither tcp:// nor ssl://"))?;
        let tls = scheme.eq_ignore_ascii_case("ssl");
        if tls && !tls::AVAILABLE {
            let words =
                "server: this build has no TLS, so ssl:// cannot be used; tcp:// can, on networks that are safe";
            return Err(Error::new(Status::ENOS_ERR_UNSUPPORTED, words));
        }
        if !tls && !scheme.eq_ignore_ascii_case("tcp") {
            return Err(refused("it begins with neither tcp:// nor ssl://"));
        }
        let (host, port) = match rest.strip_prefix('[') {
            Some(bracketed) => ipv6(bracketed)?,
            None => name_or_ipv4(rest)?,
        };
        let port = port.map_or(Ok(if tls { TLS_PORT } else { TCP_PORT }), port_number)?;
        Ok(Server { host, port, tls })
    }
}

fn refused(why: &str) -> Error {
    Error::invalid(format!("server is not of the form tcp://host:port or ssl://host:port: {why}"))
}

type HostAndPort<'a> = (String, Option<&'a str>);

fn ipv6(bracketed: &str) -> Result<HostAndPort<'_>> {
    let (address, rest) = bracketed.split_once(']').ok_or_else(|| refused("the bracket is never closed"))?;
    address.parse::<Ipv6Addr>().map_err(|_| refused("what stands in the brackets is no IPv6 address"))?;
    match rest.strip_prefix(':') {
        Some(port) => Ok((address.to_owned(), Some(port))),
        None if rest.is_empty() => Ok((address.to_owned(), None)),
        None => Err(refused("only :port may follow the bracket")),
    }
}

fn name_or_ipv4(rest: &str) -> Result<HostAndPort<'_>> {
    let (host, port) = match rest.split_once(':') {
        Some((_, port)) if port.contains(':') => {
            return Err(refused("an IPv6 address stands in brackets: tcp://[::1]"))
        }
        Some((host, port)) => (host, Some(port)),
        None => (rest, None),
    };
    check_host(host).map_err(|why| refused(&why))?;
    Ok((host.to_owned(), port))
}

/// Checks that this is a valid name or IPv4 address. The error says why it is not.
pub(super) fn check_host(host: &str) -> std::result::Result<(), String> {
    if host.is_empty() {
        return Err("the host is empty".into());
    }
    // A dot at the end marks a complete name.
    let name = host.strip_suffix('.').unwrap_or(host);
    if name.len() > MAX_NAME {
        return Err("the host has more than 253 characters".into());
    }
    let known = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    for label in name.split('.') {
        if label.is_empty() || label.len() > MAX_LABEL {
            return Err("a host's labels have 1 to 63 characters".into());
        }
        if let Some(c) = label.chars().find(|c| !known(*c)) {
            return Err(format!("the host holds {c:?}; it may hold letters, digits, '-', '_' and '.'"));
        }
    }
    // Resolvers accept 1.2.3 or 300.1.1.1 in some way, but nobody intends that.
    let last = name.rsplit('.').next().unwrap_or(name);
    if last.bytes().all(|b| b.is_ascii_digit()) && name.parse::<Ipv4Addr>().is_err() {
        return Err("the host looks like an IPv4 address, but is none".into());
    }
    Ok(())
}

fn port_number(digits: &str) -> Result<u16> {
    let port = if digits.bytes().all(|b| b.is_ascii_digit()) { digits.parse().ok() } else { None };
    port.filter(|port| *port != 0)
        .ok_or_else(|| refused("the port is not a number from 1 to 65535, with nothing after it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(uri: &str) -> (String, u16) {
        let server = Server::parse(uri).unwrap();
        assert_eq!(server.tls, uri.starts_with("ssl"));
        (server.host, server.port)
    }

    #[test]
    fn names_addresses_and_ports() {
        assert_eq!(parsed("tcp://mqtt-cn5.example.com"), ("mqtt-cn5.example.com".to_owned(), 11883));
        assert_eq!(parsed("tcp://broker_1:1883"), ("broker_1".to_owned(), 1883));
        assert_eq!(parsed("TCP://broker.:65535"), ("broker.".to_owned(), 65535));
        assert_eq!(parsed("tcp://127.0.0.1:1"), ("127.0.0.1".to_owned(), 1));
        assert_eq!(parsed("tcp://[::1]"), ("::1".to_owned(), 11883));
        assert_eq!(parsed("tcp://[2001:db8::7]:1883"), ("2001:db8::7".to_owned(), 1883));
    }

    #[test]
    #[cfg(feature = "tls")]
    fn tls_has_a_port_of_its_own() {
        assert_eq!(parsed("ssl://broker"), ("broker".to_owned(), 18883));
        assert_eq!(parsed("ssl://[::1]:1"), ("::1".to_owned(), 1));
        assert!(Server::parse("SSL://broker").unwrap().tls);
    }

    #[test]
    fn all_else_is_refused_with_words() {
        let long_label = format!("tcp://{}", "a".repeat(64));
        let long_name = format!("tcp://{}", "a.".repeat(127) + "a");
        for uri in [
            "",
            "broker",
            "broker:1883",
            "tcp:broker",
            "tcp://",
            "tcp://:1883",
            "tcp://a:",
            "tcp://a:0",
            "tcp://a:65536",
            "tcp://a:+1",
            "tcp://a:1 ",
            "tcp://a/",
            "tcp://a:1883/",
            "tcp://user@a",
            "tcp://a b",
            "tcp://a..b",
            "tcp://.",
            "tcp://::1",
            "tcp://[::1",
            "tcp://[]",
            "tcp://[::1]x",
            "tcp://[::1]:",
            "tcp://[a]",
            "tcp://[fe80::1%eth0]",
            "tcp://1.2.3",
            "tcp://256.1.1.1",
            "tcp://ü",
            "mqtt://a",
            &long_label,
            &long_name,
        ] {
            let error = Server::parse(uri).expect_err(uri);
            assert_eq!(error.status, Status::ENOS_ERR_INVALID_ARG, "{uri}");
            assert!(error.message.starts_with("server "), "{uri}: {}", error.message);
        }
    }
}
