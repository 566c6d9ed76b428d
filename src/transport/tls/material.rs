//! Reading certificates and keys. Each way to fail has words of its own, and names the file.

use super::reason::failed;
use super::{ClientIdentity, Pem};
use crate::error::{Error, Result};
use openssl::asn1::Asn1Time;
use openssl::error::ErrorStack;
use openssl::pkey::{PKey, Private};
use openssl::x509::X509;
use std::cmp::Ordering;
use std::fmt;
use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};
use zeroize::Zeroizing;

/// Bytes of a file at most: a bundle of all public authorities has 250 KB.
const LIMIT: u64 = 4 << 20;
/// How a certificate begins; `TRUSTED CERTIFICATE` and the like count as well.
const BEGIN: &str = "-----BEGIN ";
const CERTIFICATE: &str = "CERTIFICATE-----";

/// What an error calls one of the three.
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

/// A certificate that is the device's, the ones that vouch for it, and its key.
pub struct Identity {
    pub leaf: X509,
    pub chain: Vec<X509>,
    pub key: PKey<Private>,
}

/// The authorities to trust.
pub fn authorities(pem: &Pem) -> Result<Vec<X509>> {
    certificates(&Named { role: "the CA file", pem })
}

pub fn identity(given: &ClientIdentity, password: Option<&[u8]>) -> Result<Identity> {
    let cert_name = Named { role: "the certificate", pem: &given.cert };
    let key_name = Named { role: "the private key", pem: &given.key };
    let mut chain = certificates(&cert_name)?;
    let leaf = chain.remove(0);
    let key = private_key(&key_name, password)?;
    let theirs =
        leaf.public_key().map_err(|e| failed(format!("{cert_name} has no key that is known: {}", said(&e))))?;
    if !key.public_eq(&theirs) {
        return Err(failed(format!("{key_name} is not the key of {cert_name}: the two do not belong together")));
    }
    check_dates(&cert_name, &leaf)?;
    Ok(Identity { leaf, chain, key })
}

/// The first complaint of OpenSSL's.
pub fn said(errors: &ErrorStack) -> &'static str {
    errors.errors().first().and_then(|error| error.reason()).unwrap_or("no reason given")
}

/// The device's clock, written as certificates' dates are.
pub fn clock() -> Result<Asn1Time> {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let seconds = seconds.try_into().unwrap_or(libc::time_t::MAX);
    Asn1Time::from_unix(seconds).map_err(|e| failed(format!("the device's clock cannot be read: {}", said(&e))))
}

/// At least one.
fn certificates(name: &Named<'_>) -> Result<Vec<X509>> {
    let bytes = read(name)?;
    let announced = announced(&bytes);
    if announced == 0 {
        return Err(failed(format!("{name} has no certificate in it: PEM begins with -----BEGIN CERTIFICATE-----")));
    }
    // A block that is cut short ends the list as the end of the file does.
    match X509::stack_from_pem(&bytes) {
        Ok(found) if found.len() == announced => Ok(found),
        Ok(_) => Err(failed(format!("{name} is damaged or cut short: a certificate has no end"))),
        Err(errors) => Err(failed(format!("{name} is damaged or cut short: {}", said(&errors)))),
    }
}

fn announced(pem: &[u8]) -> usize {
    let text = String::from_utf8_lossy(pem);
    text.lines().filter(|line| line.starts_with(BEGIN) && line.trim_end().ends_with(CERTIFICATE)).count()
}

fn private_key(name: &Named<'_>, password: Option<&[u8]>) -> Result<PKey<Private>> {
    let bytes = read(name)?;
    let mut asked = false;
    // With a callback OpenSSL never asks on the terminal.
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

/// An expired certificate would only be refused. One that is not valid yet is tried: more likely the clock is wrong.
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
    match name.pem {
        Pem::Bytes(bytes) => Ok(bytes.clone()),
        Pem::File(path) => read_file(path).map_err(|why| failed(format!("{name} cannot be read: {why}"))),
    }
}

/// The whole file, in one reservation: a vector that grows leaves its former self behind in the heap.
fn read_file(path: &Path) -> std::result::Result<Zeroizing<Vec<u8>>, String> {
    let words = |error: std::io::Error| error.to_string();
    // Without waiting for somebody to write into what turns out to be a pipe.
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

impl From<ErrorStack> for Error {
    fn from(errors: ErrorStack) -> Error {
        failed(format!("TLS cannot be set up: {}", said(&errors)))
    }
}
