//! TLS for libcurl: the authorities and the certificate of a link, and a link's words for what is wrong.

use super::verdict::Verdict;
use super::words::{failed, said};
use super::{material, reason, trust, TlsSettings};
use crate::error::Result;
use crate::panic;
use ::curl::Version;
use openssl::ex_data::Index;
use openssl::ssl::{SslContext, SslContextBuilder};
use openssl::x509::verify::X509CheckFlags;
use openssl::x509::{X509StoreContext, X509StoreContextRef};
use paho_engine::link::TlsFault;
use std::ffi::{c_char, c_int, c_ulong, c_void, CStr};
use std::mem::ManuallyDrop;
use std::net::IpAddr;
use std::ptr;
use std::sync::OnceLock;

type VerifyFn = unsafe extern "C" fn(c_int, *mut c_void) -> c_int;

extern "C" {
    fn SSL_CTX_set_verify(context: *mut c_void, mode: c_int, callback: Option<VerifyFn>);
    fn SSL_CTX_set1_cert_store(context: *mut c_void, store: *mut c_void);
    fn ERR_reason_error_string(code: c_ulong) -> *const c_char;
}

/// SSL_VERIFY_PEER.
const VERIFY_PEER: c_int = 1;
/// SSL_ERROR_SSL.
const ERROR_SSL: c_int = 1;
/// ERR_SYSTEM_FLAG of OpenSSL 3.
const SYSTEM_FLAG: c_ulong = 0x8000_0000;

/// `ENOS_ERR_UNSUPPORTED` unless libcurl uses the OpenSSL that the library uses, and so the same objects.
pub fn check() -> Result<()> {
    let ours = openssl::version::version().split(' ').nth(1).unwrap_or_default();
    let version = Version::get();
    let theirs = version.ssl_version().unwrap_or("no TLS");
    if !cfg!(feature = "static-openssl") && theirs.strip_prefix("OpenSSL/") == Some(ours) {
        return Ok(());
    }
    let words = format!("https:// needs a libcurl with the OpenSSL of libenos, {ours}; this libcurl has {theirs}");
    Err(crate::error::Error::new(crate::error::Status::ENOS_ERR_UNSUPPORTED, words))
}

/// What is needed to explain a failure.
pub struct Explainer {
    verdict: Verdict,
    name: String,
    has_identity: bool,
    system_roots: bool,
}

/// Gives a context of libcurl's what that of a link has. `name` is the host's; it is always checked. The device's
/// certificate is for a server that may ask for it.
///
/// # Safety
/// `context` is an `SSL_CTX` of the OpenSSL that [`check`] has found to be ours, and nobody else uses it meanwhile.
pub unsafe fn prepare(context: *mut c_void, settings: &TlsSettings, name: &str, identity: bool) -> Result<Explainer> {
    // Below, the context stays libcurl's.
    // SAFETY: the caller's promise.
    let mut builder = ManuallyDrop::new(unsafe { SslContextBuilder::from_ptr(context.cast()) });
    trust::restrict(&mut builder)?;
    let trusted = trust::context(settings.ca.as_ref())?;
    // SAFETY: a reference to a store has the address of OpenSSL's object. The context takes a count of its own on it.
    unsafe { SSL_CTX_set1_cert_store(context, ptr::from_ref(trusted.cert_store()).cast_mut().cast()) };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    let check = builder.verify_param_mut();
    check.set_hostflags(X509CheckFlags::NO_PARTIAL_WILDCARDS | X509CheckFlags::NEVER_CHECK_SUBJECT);
    match bare.parse::<IpAddr>() {
        Ok(address) => check.set_ip(address)?,
        Err(_) => check.set_host(bare.strip_suffix('.').unwrap_or(bare))?,
    }
    let given = settings.identity.as_ref().filter(|_| identity);
    if let Some(given) = given {
        let identity = material::identity(given, settings.password.as_ref().map(|password| password.as_slice()))?;
        let unfit = |e| failed(format!("the device's certificate or key is not accepted: {}", said(&e)));
        builder.set_certificate(&identity.leaf).map_err(unfit)?;
        builder.set_private_key(&identity.key).map_err(unfit)?;
        for certificate in identity.chain {
            builder.add_extra_chain_cert(certificate).map_err(unfit)?;
        }
    }
    let verdict = Verdict::default();
    builder.set_ex_data(notes()?, verdict.clone());
    // The crate's own way needs an SSL that the crate has made.
    // SAFETY: the caller's promise; the callback is one of this type.
    unsafe { SSL_CTX_set_verify(context, VERIFY_PEER, Some(judge)) };
    Ok(Explainer { verdict, name: bare.into(), has_identity: given.is_some(), system_roots: settings.ca.is_none() })
}

/// Where a context has its verdict.
fn notes() -> Result<Index<SslContext, Verdict>> {
    static INDEX: OnceLock<Option<Index<SslContext, Verdict>>> = OnceLock::new();
    let index = INDEX.get_or_init(|| SslContext::new_ex_index().ok());
    index.ok_or_else(|| failed("OpenSSL gives no place for the result of the check"))
}

/// Notes what the check of a certificate finds.
///
/// # Safety
/// `chain` is an `X509_STORE_CTX` for the duration of the call.
unsafe extern "C" fn judge(fine: c_int, chain: *mut c_void) -> c_int {
    let judged = panic::catch(|| {
        // SAFETY: the caller's promise; a reference to a store context has the address of OpenSSL's object.
        let chain = unsafe { &*chain.cast::<X509StoreContextRef>() };
        let ssl = X509StoreContext::ssl_idx().ok().and_then(|index| chain.ex_data(index));
        let verdict = notes().ok().and_then(|index| ssl?.ssl_context().ex_data(index));
        verdict.is_some_and(|verdict| verdict.judge(fine == 1, chain))
    });
    c_int::from(judged.unwrap_or(false))
}

impl Explainer {
    /// A link's words for a failure of which libcurl has said `text`. `None` if it was the connection.
    pub fn words(&self, text: &str) -> Option<String> {
        let fault = fault(text).unwrap_or_default();
        let found = self.verdict.found();
        if found.objection.is_none() && fault.library == 0 {
            return None;
        }
        let expected = reason::Expected {
            name: &self.name,
            has_identity: self.has_identity,
            system_roots: self.system_roots,
            is_link: false,
        };
        reason::words(&fault, &found, &expected).map(|words| words.replace("broker", "server"))
    }
}

/// OpenSSL's error in the words of libcurl: `error:0A00010B:SSL routines::wrong version number`.
fn fault(text: &str) -> Option<TlsFault> {
    let code = text.split("error:").nth(1)?.split(':').next()?;
    let code = c_ulong::from_str_radix(code, 16).ok().filter(|code| code & SYSTEM_FLAG == 0)?;
    let (library, reason) = match openssl::version::number() >= 0x3000_0000 {
        true => (code >> 23 & 0xff, code & 0x7f_ffff),
        false => (code >> 24 & 0xff, code & 0xfff),
    };
    // SAFETY: any code can be asked for. The text is NULL, or lives as long as OpenSSL.
    let words = unsafe {
        let words = ERR_reason_error_string(code);
        if words.is_null() {
            None
        } else {
            Some(CStr::from_ptr::<'static>(words))
        }
    };
    let text = words.and_then(|words| words.to_str().ok()).unwrap_or_default();
    Some(TlsFault {
        error: ERROR_SSL,
        handshake: true,
        system: 0,
        library: library as i32,
        reason: reason as i32,
        text,
    })
}
