//! The authorities against which brokers are checked: those of a file, or the system's.

use super::material::{self, Authorities};
use super::Pem;
use crate::error::Result;
use crate::transport::clock;
use openssl::error::ErrorStack;
use openssl::ssl::{SslContext, SslContextBuilder, SslMethod, SslMode, SslOptions, SslSessionCacheMode, SslVersion};
use openssl::x509::store::X509StoreBuilderRef;
use openssl::x509::verify::X509VerifyFlags;
use openssl::x509::{X509Crl, X509CrlRef};
use std::env;
use std::ffi::{c_char, c_int, c_void, CStr, OsStr};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::ptr;
use std::sync::{Mutex, PoisonError};

/// The ciphers for TLS 1.2: forward secrecy and authenticated encryption. (All ciphers of TLS 1.3 have both.)
const CIPHERS: &str = "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL:!PSK";
/// SSL_OP_CLEANSE_PLAINTEXT of OpenSSL 3: data that was read is wiped from the record's buffer.
const CLEANSE_PLAINTEXT: u64 = 0x2;
const OPENSSL_3: i64 = 0x3000_0000;
/// The system's authorities are loaded again after this time at the latest, because a directory does not show every
/// change.
const RELOAD_MS: u64 = 3_600_000;

extern "C" {
    fn X509_STORE_add_crl(store: *mut c_void, list: *mut c_void) -> c_int;
    fn X509_get_default_cert_file() -> *const c_char;
    fn X509_get_default_cert_dir() -> *const c_char;
}

/// A context that trusts these authorities, or the system's if `None`. It contains nothing that belongs to one link.
pub fn context(ca: Option<&Pem>) -> Result<SslContext> {
    let Some(ca) = ca else { return Ok(System::context()?) };
    let Authorities { certificates, revocation_lists } = material::authorities(ca)?;
    let mut builder = restricted()?;
    let store = builder.cert_store_mut();
    for certificate in certificates {
        store.add_cert(certificate)?;
    }
    if !revocation_lists.is_empty() {
        store.set_flags(X509VerifyFlags::CRL_CHECK | X509VerifyFlags::CRL_CHECK_ALL)?;
    }
    for list in &revocation_lists {
        add_revocation_list(store, list)?;
    }
    Ok(builder.build())
}

fn add_revocation_list(store: &mut X509StoreBuilderRef, list: &X509Crl) -> std::result::Result<(), ErrorStack> {
    let list: &X509CrlRef = list;
    // SAFETY: a reference to one of these types has the address of OpenSSL's object. The store takes a count of its own
    // on the list, which OpenSSL changes atomically, and nothing else of the list is written.
    let added = unsafe { X509_STORE_add_crl(ptr::from_mut(store).cast(), ptr::from_ref(list).cast_mut().cast()) };
    if added == 1 {
        Ok(())
    } else {
        Err(ErrorStack::get())
    }
}

fn restricted() -> std::result::Result<SslContextBuilder, ErrorStack> {
    let mut context = SslContextBuilder::new(SslMethod::tls_client())?;
    restrict(&mut context)?;
    Ok(context)
}

/// Sets the versions and ciphers, and switches off what is not needed.
pub fn restrict(context: &mut SslContextBuilder) -> std::result::Result<(), ErrorStack> {
    context.set_min_proto_version(Some(SslVersion::TLS1_2))?;
    context.set_cipher_list(CIPHERS)?;
    context.set_options(SslOptions::NO_COMPRESSION | SslOptions::NO_RENEGOTIATION);
    if openssl::version::number() >= OPENSSL_3 {
        context.set_options(SslOptions::from_bits_retain(CLEANSE_PLAINTEXT as _));
    }
    // RELEASE_BUFFERS frees 34 KB of an idle connection. The other modes let the link continue a write wherever the
    // rest of its data is.
    context.set_mode(SslMode::RELEASE_BUFFERS | SslMode::ENABLE_PARTIAL_WRITE | SslMode::ACCEPT_MOVING_WRITE_BUFFER);
    context.set_session_cache_mode(SslSessionCacheMode::OFF);
    Ok(())
}

/// The system's authorities: 150 certificates, which take 50 ms and a megabyte. They are loaded once for the process,
/// shared by its links, and loaded again when they have changed.
struct System {
    places: Vec<Place>,
    loaded_ms: u64,
    context: SslContext,
}

static SYSTEM: Mutex<Option<System>> = Mutex::new(None);

impl System {
    fn context() -> std::result::Result<SslContext, ErrorStack> {
        // Another thread that comes during a load waits for it, instead of loading as well.
        let mut system = SYSTEM.lock().unwrap_or_else(PoisonError::into_inner);
        // Checked before the load, so that a change during the load is noticed the next time.
        let (places, now) = (Place::all(), clock::boottime_ms());
        let current = system.as_ref().filter(|one| one.places == places && now < one.loaded_ms + RELOAD_MS);
        if let Some(current) = current {
            return Ok(current.context.clone());
        }
        let mut builder = restricted()?;
        load_system(&mut builder)?;
        let context = builder.build();
        *system = Some(System { places, loaded_ms: now, context: context.clone() });
        Ok(context)
    }
}

/// An OpenSSL that we build looks for authorities in a directory that does not exist. This looks where systems have them.
fn load_system(context: &mut SslContextBuilder) -> std::result::Result<(), ErrorStack> {
    context.set_default_verify_paths()?;
    #[cfg(feature = "static-openssl")]
    {
        let found = openssl_probe::probe();
        if found.cert_file.is_some() || found.cert_dir.is_some() {
            context.load_verify_locations(found.cert_file.as_deref(), found.cert_dir.as_deref())?;
        } else {
            let words = format_args!("the system has no certificates of authorities in any of the usual places");
            crate::log::warn("tls", words);
        }
    }
    Ok(())
}

/// A file or a directory where the system's authorities may be, and what tells that it was changed.
#[derive(PartialEq)]
struct Place {
    path: PathBuf,
    about: Option<[i64; 7]>,
}

impl Place {
    fn all() -> Vec<Place> {
        let mut paths: Vec<PathBuf> = env::var_os("SSL_CERT_FILE").map(PathBuf::from).into_iter().collect();
        paths.extend(env::var_os("SSL_CERT_DIR").iter().flat_map(env::split_paths));
        // SAFETY: OpenSSL's constants, which live as long as the process.
        let defaults =
            unsafe { [X509_get_default_cert_file(), X509_get_default_cert_dir()].map(|p| CStr::from_ptr(p)) };
        paths.extend(defaults.map(|path| PathBuf::from(OsStr::from_bytes(path.to_bytes()))));
        #[cfg(feature = "static-openssl")]
        {
            let found = openssl_probe::probe();
            paths.extend(found.cert_file.into_iter().chain(found.cert_dir));
        }
        paths.into_iter().map(Place::new).collect()
    }

    fn new(path: PathBuf) -> Place {
        let about = fs::metadata(&path).ok().map(|about| {
            let (device, inode) = (about.dev() as i64, about.ino() as i64);
            let changed = [about.mtime(), about.mtime_nsec(), about.ctime(), about.ctime_nsec()];
            [device, inode, about.len() as i64, changed[0], changed[1], changed[2], changed[3]]
        });
        Place { path, about }
    }
}
