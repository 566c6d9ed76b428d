//! What OpenSSL makes a link's TLS from.

use super::reason::failed;
use super::verdict::Verdict;
use super::{material, reason, Tls};
use crate::error::Result;
use crate::{log, panic};
use openssl::ssl::{
    Ssl, SslContextBuilder, SslMethod, SslMode, SslOptions, SslSessionCacheMode, SslVerifyMode, SslVersion,
};
use openssl::x509::verify::X509CheckFlags;
use paho_engine::link;
use std::net::IpAddr;

/// Of TLS 1.2: forward secrecy, and encryption that authenticates. (All of TLS 1.3 has both.)
const CIPHERS: &str = "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL:!PSK";
/// SSL_OP_CLEANSE_PLAINTEXT of OpenSSL 3: what was read is wiped from the record's buffer.
const CLEANSE_PLAINTEXT: u64 = 0x2;
const OPENSSL_3: i64 = 0x3000_0000;

/// What is known of a link's TLS.
pub struct Secured {
    verdict: Verdict,
    wanted: String,
    has_identity: bool,
    system_roots: bool,
    check_name: bool,
}

impl Secured {
    /// Reads what the settings name, and judges it; makes what the link needs. `ENOS_ERR_TLS` with words for what is
    /// wrong.
    pub fn prepare(tls: &Tls) -> Result<(Secured, link::Tls)> {
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
        let secured = Secured {
            verdict,
            wanted: wanted.to_owned(),
            has_identity: settings.identity.is_some(),
            system_roots: settings.ca.is_none(),
            check_name: settings.check_name,
        };
        Ok((secured, link::Tls(ssl)))
    }

    /// Tells the log of what is not checked.
    pub fn warn(&self) {
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
    }

    /// Why TLS failed; `None` when it was the connection, after the handshake.
    pub fn explain(&self, fault: &link::TlsFault) -> Option<String> {
        let expected =
            reason::Expected { name: &self.wanted, has_identity: self.has_identity, system_roots: self.system_roots };
        reason::words(fault, self.verdict.objection().as_ref(), &expected)
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
    // 34 KB of a connection that is silent; and the link goes on with a write from wherever its rest stands.
    context.set_mode(SslMode::RELEASE_BUFFERS | SslMode::ENABLE_PARTIAL_WRITE | SslMode::ACCEPT_MOVING_WRITE_BUFFER);
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
