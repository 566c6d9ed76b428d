//! The check of the broker's certificate, which OpenSSL does, and notes of what it found, for later words. The notes are
//! taken inside OpenSSL, in the middle of a handshake: copy and return.

use crate::text;
use openssl::nid::Nid;
use openssl::x509::{X509NameRef, X509Ref, X509StoreContextRef};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many names of a certificate are shown, and how many characters of each. The certificate comes from the network.
const NAMES: usize = 8;
const CHARACTERS: usize = 64;

/// X509_V_ERR_UNABLE_TO_GET_CRL: there are lists of other authorities, but none of this certificate's authority.
const NO_REVOCATION_LIST: i32 = 3;

/// The result of the check.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The broker has shown a certificate.
    pub shown: bool,
    pub objection: Option<Objection>,
}

/// The first objection to a chain.
#[derive(Clone, Debug)]
pub struct Objection {
    /// OpenSSL's number, `X509_V_ERR_*`.
    pub code: i32,
    /// OpenSSL's words for it.
    pub text: &'static str,
    /// The certificate that it is about: 0 is the broker's, 1 the one that issued it, and so on.
    pub depth: u32,
    pub subject: String,
    pub issuer: String,
    /// What the certificate is for, the first of them, each with its kind.
    pub names: Vec<String>,
    pub not_before: String,
    pub not_after: String,
}

#[derive(Clone, Default)]
pub struct Verdict(Arc<Mutex<Found>>);

impl Verdict {
    /// Whether the check continues. OpenSSL says whether the certificate is `fine`, and an objection stays one, except that
    /// an authority need not publish a revocation list.
    pub fn judge(&self, fine: bool, context: &X509StoreContextRef) -> bool {
        self.lock().shown = true;
        let fine = fine || context.error().as_raw() == NO_REVOCATION_LIST;
        if !fine {
            self.note(context);
        }
        fine
    }

    fn note(&self, context: &X509StoreContextRef) {
        let error = context.error();
        let mut objection = Objection {
            code: error.as_raw(),
            text: error.error_string(),
            depth: context.error_depth(),
            subject: String::new(),
            issuer: String::new(),
            names: Vec::new(),
            not_before: String::new(),
            not_after: String::new(),
        };
        if let Some(certificate) = context.current_cert() {
            objection.subject = name(certificate.subject_name());
            objection.issuer = name(certificate.issuer_name());
            objection.names = names(certificate);
            objection.not_before = certificate.not_before().to_string();
            objection.not_after = certificate.not_after().to_string();
        }
        self.lock().objection.get_or_insert(objection);
    }

    pub fn found(&self) -> Found {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Found> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The common name, or the whole name if there is none.
fn name(name: &X509NameRef) -> String {
    let entry = name.entries_by_nid(Nid::COMMONNAME).next().or_else(|| name.entries().last());
    let text = entry.and_then(|entry| entry.data().to_string().ok());
    text.map_or_else(|| "a certificate without a name".into(), |text| short(&text))
}

fn names(certificate: &X509Ref) -> Vec<String> {
    let Some(alternatives) = certificate.subject_alt_names() else { return Vec::new() };
    let shown = alternatives.iter().filter_map(|one| match (one.dnsname(), one.ipaddress()) {
        (Some(dns), _) => Some(format!("the DNS name {}", short(dns))),
        (None, Some(bytes)) => address(bytes).map(|address| format!("the address {address}")),
        (None, None) => None,
    });
    shown.take(NAMES).collect()
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

fn short(name: &str) -> String {
    name.chars().take(CHARACTERS).map(text::plain).collect()
}
