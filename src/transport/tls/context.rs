//! What OpenSSL makes a link's TLS from, and its hand-over to Paho.

use super::reason::failed;
use super::verdict::Verdict;
use super::{material, reason, Tls};
use crate::error::Result;
use crate::{log, panic};
use foreign_types_shared::ForeignTypeRef;
use openssl::ssl::{
    Ssl, SslContextBuilder, SslMethod, SslMode, SslOptions, SslSessionCacheMode, SslVerifyMode, SslVersion,
};
use openssl::x509::verify::X509CheckFlags;
use paho_engine::{enos_paho_get_tls_fault, enos_paho_set_tls, sys as paho, TlsFault};
use std::net::IpAddr;
use std::ptr;

/// Of TLS 1.2: forward secrecy, and encryption that authenticates. (All of TLS 1.3 has both.)
const CIPHERS: &str = "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL:!PSK";
/// SSL_OP_CLEANSE_PLAINTEXT of OpenSSL 3: what was read is wiped from the record's buffer.
const CLEANSE_PLAINTEXT: u64 = 0x2;
const OPENSSL_3: i64 = 0x3000_0000;

/// OpenSSL, made ready for a link.
pub struct Secured {
    ssl: Ssl,
    verdict: Verdict,
    wanted: String,
    has_identity: bool,
    system_roots: bool,
    check_name: bool,
}

/// Makes OpenSSL ready, once and before Paho does: without the clean-up at exit that it would register, and that would
/// pull OpenSSL from under Paho's threads when a program returns from main with a link up.
pub fn start() {
    openssl::init();
    let mut options = paho::MQTTAsync_init_options { struct_id: [0; 4], struct_version: 0, do_openssl_init: 0 };
    // SAFETY: the options live across the call. It is the first that Paho gets, as it wants this one to be.
    unsafe { paho::MQTTAsync_global_init(&mut options) };
}

impl Secured {
    /// Reads what the settings name, and judges it. `ENOS_ERR_TLS` with words for what is wrong.
    pub fn prepare(tls: &Tls) -> Result<Secured> {
        let settings = &*tls.settings;
        let wanted = tls.wanted();
        let address = wanted.parse::<IpAddr>().ok();
        let mut context = SslContextBuilder::new(SslMethod::tls_client())?;
        restrict(&mut context)?;

        match &settings.ca {
            Some(ca) => {
                for authority in material::authorities(ca)? {
                    context.cert_store_mut().add_cert(authority)?;
                }
            }
            None => trust_system(&mut context)?,
        }
        if let Some(given) = &settings.identity {
            let identity = material::identity(given, settings.password.as_ref().map(|password| password.as_slice()))?;
            let unfit = |e| failed(format!("the device's certificate or key is not accepted: {}", material::said(&e)));
            context.set_certificate(&identity.leaf).map_err(unfit)?;
            context.set_private_key(&identity.key).map_err(unfit)?;
            for certificate in identity.chain {
                context.add_extra_chain_cert(certificate).map_err(unfit)?;
            }
        }
        if settings.check_name {
            let check = context.verify_param_mut();
            check.set_hostflags(X509CheckFlags::NO_PARTIAL_WILDCARDS);
            match address {
                Some(address) => check.set_ip(address)?,
                None => check.set_host(wanted)?,
            }
        }
        let verdict = Verdict::default();
        let notes = verdict.clone();
        // What OpenSSL objects to stays refused: this only takes notes.
        context.set_verify_callback(SslVerifyMode::PEER, move |fine, chain| {
            if !fine {
                // It has told the log already; nothing may unwind into OpenSSL.
                let _ = panic::catch(|| notes.note(chain));
            }
            fine
        });
        let mut ssl = Ssl::new(&context.build())?;
        if address.is_none() {
            ssl.set_hostname(wanted)?; // SNI, which is for names
        }
        Ok(Secured {
            ssl,
            verdict,
            wanted: wanted.to_owned(),
            has_identity: settings.identity.is_some(),
            system_roots: settings.ca.is_none(),
            check_name: settings.check_name,
        })
    }

    /// Has the connection of this handle made with it.
    ///
    /// # Safety
    /// The handle is valid, and not connecting.
    pub unsafe fn apply(&self, handle: paho::MQTTAsync) -> Result<()> {
        if !self.check_name {
            log::warn(
                "tls",
                format_args!(
                    "the broker's name is NOT checked (enos_config_set_tls_insecure_skip_name_check): whoever has any \
                     certificate of a trusted authority can pass for {}",
                    self.wanted
                ),
            );
        }
        // SAFETY: the caller's promise; Paho takes a reference of its own, and nothing here uses the object any more.
        match unsafe { enos_paho_set_tls(handle, self.ssl.as_ptr()) } {
            0 => Ok(()),
            _ => Err(failed("there is no memory for TLS")),
        }
    }

    /// Why the attempt failed, when it was TLS that did.
    ///
    /// # Safety
    /// The handle is valid.
    pub unsafe fn explain(&self, handle: paho::MQTTAsync) -> Option<String> {
        let mut fault = TlsFault { error: 0, handshake: 0, system: 0, library: 0, reason: 0, text: ptr::null() };
        // SAFETY: the caller's promise.
        unsafe { enos_paho_get_tls_fault(handle, &mut fault) };
        let expected =
            reason::Expected { name: &self.wanted, has_identity: self.has_identity, system_roots: self.system_roots };
        // SAFETY: the text is one of OpenSSL's static ones.
        let fault = unsafe { reason::Fault::new(&fault) }?;
        reason::words(&fault, self.verdict.objection().as_ref(), &expected)
    }
}

/// Versions, ciphers, and nothing that is not needed.
fn restrict(context: &mut SslContextBuilder) -> Result<()> {
    context.set_min_proto_version(Some(SslVersion::TLS1_2))?;
    context.set_cipher_list(CIPHERS)?;
    context.set_options(SslOptions::NO_COMPRESSION | SslOptions::NO_RENEGOTIATION);
    if openssl::version::number() >= OPENSSL_3 {
        context.set_options(SslOptions::from_bits_retain(CLEANSE_PLAINTEXT as _));
    }
    // 34 KB of a connection that is silent.
    context.set_mode(SslMode::RELEASE_BUFFERS);
    context.set_session_cache_mode(SslSessionCacheMode::OFF);
    Ok(())
}

/// An OpenSSL of our own looks for authorities where it was built to, which is nowhere: look where systems have them.
fn trust_system(context: &mut SslContextBuilder) -> Result<()> {
    context.set_default_verify_paths()?;
    #[cfg(feature = "static-openssl")]
    {
        let found = openssl_probe::probe();
        if found.cert_file.is_some() || found.cert_dir.is_some() {
            context.load_verify_locations(found.cert_file.as_deref(), found.cert_dir.as_deref())?;
        } else {
            log::warn("tls", format_args!("the system has no certificates of authorities in any of the usual places"));
        }
    }
    Ok(())
}
