//! Explains a failed handshake: what is wrong, and what to do about it.

use super::verdict::{Found, Objection};
use super::words::clock;
use paho_engine::link::TlsFault as Fault;
use std::io;
use std::net::IpAddr;

/// SSL_ERROR_SYSCALL: the connection itself ended.
const ERROR_SYSCALL: i32 = 5;
/// SSL_ERROR_ZERO_RETURN: the peer ended TLS, in order.
const ERROR_ZERO_RETURN: i32 = 6;
/// ERR_LIB_SSL.
const LIBRARY_SSL: i32 = 20;
/// SSL_R_*: the errors that a peer without TLS causes, or one that closes the connection. Alerts are 1000 plus their
/// number.
const NOT_TLS: [i32; 6] = [
    267, // wrong version number
    156, // http request
    155, // https proxy request
    198, // packet length too long
    150, // encrypted length too long
    244, // unexpected message
];
const UNEXPECTED_EOF: i32 = 294;
const OLD_VERSION: [i32; 3] = [
    258, // unsupported protocol
    266, // wrong ssl version
    396, // version too low
];
const ALERT: i32 = 1000;
const ALERTS: std::ops::Range<i32> = ALERT..ALERT + 256;

/// X509_V_ERR_*.
const NOT_YET_VALID: i32 = 9;
const EXPIRED: i32 = 10;
const UNKNOWN_ISSUER: [i32; 5] = [
    2,  // unable to get issuer certificate
    18, // self-signed certificate
    19, // self-signed certificate in chain
    20, // unable to get local issuer certificate
    21, // unable to verify the first certificate
];
const WRONG_NAME: [i32; 2] = [62, 64];
const WRONG_PURPOSE: i32 = 26;
const REVOKED: i32 = 23;
const LIST_NOT_YET_VALID: i32 = 11;
const LIST_EXPIRED: i32 = 12;

/// The device's side, as far as the words need it.
pub struct Expected<'a> {
    pub name: &'a str,
    pub has_identity: bool,
    pub system_roots: bool,
    /// The peer is the broker of a link. Otherwise the settings and the port of a link are no help.
    pub is_link: bool,
}

/// `None` if TLS has not failed, but the connection, after the handshake.
pub fn words(fault: &Fault, found: &Found, expected: &Expected<'_>) -> Option<String> {
    if let Some(objection) = &found.objection {
        return Some(objected(objection, expected));
    }
    let alert = (fault.library == LIBRARY_SSL && ALERTS.contains(&fault.reason)).then(|| fault.reason - ALERT);
    if let Some(alert) = alert {
        return Some(alerted(alert, fault, found.shown, expected));
    }
    if !fault.handshake {
        return None;
    }
    Some(match (fault.error, fault.library, fault.reason) {
        (ERROR_SYSCALL | ERROR_ZERO_RETURN, 0, _) | (_, LIBRARY_SSL, UNEXPECTED_EOF) => closed(fault, expected),
        (_, LIBRARY_SSL, reason) if NOT_TLS.contains(&reason) => {
            let port = if expected.is_link { ": ssl:// is on port 18883" } else { "" };
            format!("what answers on this port does not speak TLS ({}){port}", fault.text)
        }
        (_, LIBRARY_SSL, reason) if OLD_VERSION.contains(&reason) => old(fault),
        _ if fault.text.is_empty() => "the TLS handshake failed, and OpenSSL gives no reason".into(),
        _ => format!("the TLS handshake failed: {}", fault.text),
    })
}

fn closed(fault: &Fault, expected: &Expected<'_>) -> String {
    let how = match (fault.error, fault.system) {
        (ERROR_SYSCALL, code) if code != 0 => io::Error::from_raw_os_error(code).to_string(),
        _ => "closed by the broker".into(),
    };
    let port = if expected.is_link { " (ssl:// is on 18883)" } else { "" };
    format!(
        "the connection ended during the TLS handshake ({how}): a port without TLS{port}, a broker that wants another \
         certificate, or something in between"
    )
}

fn old(fault: &Fault) -> String {
    format!("no TLS version is shared: this device speaks TLS 1.2 and 1.3, the broker does not ({})", fault.text)
}

/// Why the device refuses the broker's certificate.
fn objected(objection: &Objection, expected: &Expected<'_>) -> String {
    let Objection { code, text, subject, issuer, names, not_before, not_after, .. } = objection;
    let whose = match objection.depth {
        0 => format!("the broker's certificate ({subject})"),
        _ => format!("the certificate {subject}, which vouches for the broker's,"),
    };
    let now = clock().map_or_else(|_| "nothing".to_owned(), |now| (*now).to_string());
    let clock = "a wrong clock, as on a board without a battery for it, is the usual cause";
    match *code {
        EXPIRED => format!("{whose} expired on {not_after}; the device's clock says {now}: {clock}"),
        NOT_YET_VALID => format!("{whose} is not valid before {not_before}; the device's clock says {now}: {clock}"),
        code if WRONG_NAME.contains(&code) => {
            let wanted = if expected.name.parse::<IpAddr>().is_ok() { "address" } else { "DNS name" };
            let none = || format!("no DNS name and no address (its common name, {subject}, does not count)");
            let right = "; if the broker is the right one, enos_config_set_tls_server_name()";
            format!(
                "the broker's certificate is for another name: wanted the {wanted} {}, offered {}{}",
                expected.name,
                if names.is_empty() { none() } else { names.join(", ") },
                if expected.is_link { right } else { "" }
            )
        }
        code if UNKNOWN_ISSUER.contains(&code) => {
            let trusted = if expected.system_roots { "the system's" } else { "the CA file's" };
            format!("{whose} is issued by an unknown authority, {issuer}: it is none of {trusted} ({text})")
        }
        WRONG_PURPOSE => format!("{whose} is not one for a server ({text})"),
        REVOKED => format!("{whose} is revoked, by the list of {issuer} in the CA file"),
        LIST_EXPIRED => format!(
            "{whose} cannot be checked: the revocation list of {issuer} in the CA file has expired; the device's clock \
             says {now}: put a new list there, or none"
        ),
        LIST_NOT_YET_VALID => format!(
            "{whose} cannot be checked: the revocation list of {issuer} in the CA file is not valid yet; the device's \
             clock says {now}: {clock}"
        ),
        _ => format!("{whose} is refused: {text}"),
    }
}

/// Why the broker refuses the device. `shown`: the broker has shown its certificate.
fn alerted(alert: i32, fault: &Fault, shown: bool, expected: &Expected<'_>) -> String {
    let text = fault.text;
    // A broker asks for a certificate only after it has shown its own.
    if !shown && matches!(alert, 40 | 71) {
        return format!(
            "no cipher is shared: this device takes ECDHE with AES-GCM or ChaCha20-Poly1305, and the broker found none \
             among them that fits its settings and its key ({text})"
        );
    }
    if !expected.has_identity && matches!(alert, 40..=43 | 46 | 116) {
        return format!(
            "the broker refused the handshake, and the device showed no certificate: most likely it wants one, \
             enos_config_set_tls() ({text})"
        );
    }
    let refused = |why: &str| format!("the broker refused the device's certificate: {why} ({text})");
    match alert {
        42 | 43 | 46 => refused("it is not one that the broker takes"),
        44 => refused("it is revoked"),
        45 => refused("it has expired, by the broker's clock"),
        48 => refused("the broker does not know the authority that issued it; is an intermediate certificate missing?"),
        49 => refused("access is denied"),
        116 => refused("it wants one, and none of the device's fits what it asks for"),
        51 => refused("the signature made with its key does not check"),
        70 => old(fault),
        40 | 71 => refused("it does not fit what the broker asks for"),
        112 => format!("the broker knows no {}: it refused that name ({text})", expected.name),
        _ => format!("the broker ended the TLS handshake ({text})"),
    }
}
