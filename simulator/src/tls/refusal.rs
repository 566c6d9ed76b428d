//! The reason of a failed handshake, as a text that names the side which refused.

use openssl::{ssl::Error, x509::X509NameRef};

/// OpenSSL's reason code of an alert from the peer is this plus the alert's number.
const ALERT: i32 = 1000;

/// The most likely meaning of an alert.
const MEANINGS: [(i32, &str); 8] = [
    (40, "it found no parameters that both sides support"),
    (42, "it does not accept this server's certificate: for another name, most likely, or not valid yet"),
    (43, "it cannot use this server's kind of certificate"),
    (45, "by its clock this server's certificate has expired"),
    (46, "it does not accept this server's certificate"),
    (48, "it does not know the CA of this server's certificate"),
    (70, "it does not speak any of this server's TLS versions"),
    (116, "it wants a certificate"),
];

/// OpenSSL's own reason codes whose text is not clear enough.
const FINDINGS: [(i32, &str); 5] = [
    (156, "it speaks HTTP without TLS"),
    (193, "the client offers no cipher that the server has"),
    (199, "the client shows no certificate"),
    (258, "the client speaks no TLS version that the server does"),
    (267, "it does not send TLS"),
];

pub fn describe(error: &Error) -> String {
    let Some(first) = error.ssl_error().and_then(|stack| stack.errors().first()) else {
        return error.io_error().map_or_else(|| error.to_string(), ToString::to_string);
    };
    let reason = first.reason().unwrap_or("unknown reason");
    let find =
        |known: &[(i32, &'static str)], code| known.iter().find(|(number, _)| *number == code).map(|(_, it)| *it);
    let number = first.reason_code() - ALERT;
    if !(0..=255).contains(&number) {
        return find(&FINDINGS, first.reason_code()).unwrap_or(reason).to_owned();
    }
    match find(&MEANINGS, number) {
        Some(meaning) => format!("the peer refuses: {meaning} (alert {number}, {reason})"),
        None => format!("the peer refuses (alert {number}, {reason})"),
    }
}

/// Names from outside are truncated after this many characters.
const SHOWN_CHARS: usize = 256;

/// `C=DE, CN=dk`
pub fn name(name: &X509NameRef) -> String {
    let entries = name.entries().map(|entry| {
        let field = entry.object().nid().short_name().unwrap_or("?");
        let value = entry.data().to_string().unwrap_or_else(|_| "?".into());
        format!("{field}={value}")
    });
    entries.collect::<Vec<_>>().join(", ").chars().take(SHOWN_CHARS).collect()
}
