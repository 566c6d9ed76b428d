//! Reads certificates and keys. Each error names the file and has its own message.

use super::pem;
use super::words::{clock, failed, said};
use super::{ClientIdentity, Pem};
use crate::error::Result;
use openssl::error::ErrorStack;
use openssl::pkey::{PKey, Private};
use openssl::x509::{X509Crl, X509VerifyResult, X509};
use std::cmp::Ordering;
use std::fmt;
use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use zeroize::Zeroizing;

/// The largest file. A bundle of all public authorities has 250 KB.
const LIMIT: u64 = 4 << 20;
/// The present and the old label of a certificate's block.
const CERTIFICATE: [&str; 2] = ["CERTIFICATE", "X509 CERTIFICATE"];
/// OpenSSL's own format: a certificate, and the purposes for which it is trusted or rejected.
const TRUSTED_CERTIFICATE: &str = "TRUSTED CERTIFICATE";
const REVOCATION_LIST: &str = "X509 CRL";

/// The name of a file or text in an error.
struct Named<'a> {
    role: &'static str,
    pem: &'a Pem,
}

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pem {
            Pem::File(path) => write!(f, "{} {}", self.role, path.display()),
            Pem::Bytes(_) => write!(f, "{} given in memory", self.role),
        }
    }
}

/// The device's certificate, its intermediate certificates, and its key.
pub struct Identity {
    pub leaf: X509,
    pub chain: Vec<X509>,
    pub key: PKey<Private>,
}

/// The authorities to trust, and their revocation lists.
pub struct Authorities {
    pub certificates: Vec<X509>,
    pub revocation_lists: Vec<X509Crl>,
}

pub fn authorities(pem: &Pem) -> Result<Authorities> {
    parse(&Named { role: "the CA file", pem })
}

pub fn identity(given: &ClientIdentity, password: Option<&[u8]>) -> Result<Identity> {
    let cert_name = Named { role: "the certificate", pem: &given.cert };
    let key_name = Named { role: "the private key", pem: &given.key };
    let mut found = parse(&cert_name)?.certificates;
    let key = private_key(&key_name, password)?;
    let theirs = found[0].public_key();
    theirs.map_err(|e| failed(format!("{cert_name} has no key that is known: {}", said(&e))))?;
    let own = found.iter().position(|one| one.public_key().is_ok_and(|theirs| key.public_eq(&theirs)));
    let Some(own) = own else {
        return Err(failed(format!("{key_name} is not the key of {cert_name}: the two do not belong together")));
    };
    let leaf = found.remove(own);
    check_dates(&cert_name, &leaf)?;
    Ok(Identity { chain: in_order(&leaf, found), leaf, key })
}

/// Puts each certificate after the one that it has signed, because some brokers need this order. The others follow in
/// their order in the file.
fn in_order(leaf: &X509, mut found: Vec<X509>) -> Vec<X509> {
    let mut chain: Vec<X509> = Vec::new();
    while let Some(next) = {
        let last = chain.last().unwrap_or(leaf);
        found.iter().position(|one| one.issued(last) == X509VerifyResult::OK)
    } {
        chain.push(found.remove(next));
    }
    chain.append(&mut found);
    chain
}

/// Returns an error if there is no certificate.
fn parse(name: &Named<'_>) -> Result<Authorities> {
    let bytes = read(name)?;
    let mut found = Authorities { certificates: Vec::new(), revocation_lists: Vec::new() };
    for block in pem::blocks(&bytes).map_err(|why| failed(format!("{name} {why}")))? {
        let damaged = |why: &str| failed(format!("{name} is damaged: a {} cannot be read ({why})", block.label));
        let der = || block.decoded().ok_or_else(|| damaged("it is not Base64"));
        if CERTIFICATE.contains(&&*block.label) {
            found.certificates.push(X509::from_der(&der()?).map_err(|e| damaged(said(&e)))?);
        } else if block.label == REVOCATION_LIST {
            found.revocation_lists.push(X509Crl::from_der(&der()?).map_err(|e| damaged(said(&e)))?);
        } else if block.label == TRUSTED_CERTIFICATE {
            return Err(failed(format!(
                "{name} has a TRUSTED CERTIFICATE in it, OpenSSL's form with settings for its trust, which are not \
                 looked at here; openssl x509 -in FILE makes a CERTIFICATE of it"
            )));
        }
    }
    match found.certificates.is_empty() {
        true => Err(failed(format!("{name} has no certificate in it: PEM begins with -----BEGIN CERTIFICATE-----"))),
        false => Ok(found),
    }
}

fn private_key(name: &Named<'_>, password: Option<&[u8]>) -> Result<PKey<Private>> {
    let bytes = read(name)?;
    let mut asked = false;
    // With a callback, OpenSSL never asks for the password on the terminal.
    let answer = |room: &mut [u8]| {
        asked = true;
        match password {
            Some(password) if password.len() <= room.len() => {
                room[..password.len()].copy_from_slice(password);
                Ok(password.len())
            }
            _ => Err(ErrorStack::get()),
        }
    };
    let read = PKey::private_key_from_pem_callback(&bytes, answer);
    let errors = match read {
        Ok(key) => return Ok(key),
        Err(errors) => errors,
    };
    Err(failed(match (asked, password) {
        (true, None) => format!("{name} is encrypted, and no password is given: enos_config_set_tls_key_password()"),
        (true, Some(_)) => format!("{name} cannot be decrypted: the password is wrong ({})", said(&errors)),
        (false, _) if !has_key(&bytes) => {
            format!(
                "{name} has no private key in it: PEM begins with -----BEGIN PRIVATE KEY-----, or RSA, EC, ENCRYPTED"
            )
        }
        (false, _) => format!("{name} is damaged or cut short: {}", said(&errors)),
    }))
}

fn has_key(pem: &[u8]) -> bool {
    pem.windows(b"PRIVATE KEY-----".len()).any(|window| window == b"PRIVATE KEY-----")
}

/// An expired certificate is refused here, because the broker would refuse it anyway. One that is not valid yet is
/// tried, because it is more likely that the clock is wrong.
fn check_dates(name: &Named<'_>, leaf: &X509) -> Result<()> {
    let now = clock()?;
    let now = &*now;
    let (from, to) = (leaf.not_before(), leaf.not_after());
    if to.compare(now).is_ok_and(Ordering::is_lt) {
        return Err(failed(format!("{name} has expired: it was valid until {to}; the device's clock says {now}")));
    }
    if from.compare(now).is_ok_and(Ordering::is_gt) {
        crate::log::warn("tls", format_args!("{name} is not valid before {from}, but the device's clock says {now}"));
    }
    Ok(())
}

fn read(name: &Named<'_>) -> Result<Zeroizing<Vec<u8>>> {
    let mut bytes = match name.pem {
        Pem::Bytes(bytes) => bytes.clone(),
        Pem::File(path) => read_file(path).map_err(|why| failed(format!("{name} cannot be read: {why}")))?,
    };
    match pem::unmark(&mut bytes) {
        true => Ok(bytes),
        false => Err(failed(format!("{name} is in UTF-16: save it as ASCII or UTF-8"))),
    }
}

/// Reads the whole file into memory that is reserved once. A vector that grows would leave copies in freed memory.
fn read_file(path: &Path) -> std::result::Result<Zeroizing<Vec<u8>>, String> {
    let words = |error: std::io::Error| error.to_string();
    // If the path is a pipe, the call must not wait for a writer.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(words)?;
    let about = file.metadata().map_err(words)?;
    if !about.is_file() {
        return Err("it is not a file".into());
    }
    if about.len() > LIMIT {
        return Err(format!("it has {} bytes, more than {LIMIT}", about.len()));
    }
    let mut bytes = Zeroizing::new(Vec::new());
    bytes.try_reserve_exact(about.len() as usize + 1).map_err(|_| "there is no memory for it".to_owned())?;
    file.take(about.len() + 1).read_to_end(&mut bytes).map_err(words)?;
    match bytes.len() as u64 == about.len() {
        true => Ok(bytes),
        false => Err("it changes while it is read".into()),
    }
}
