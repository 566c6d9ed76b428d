//! OpenSSL's object for the TLS of one link.

use super::verdict::Verdict;
use super::words::{failed, said};
use super::{material, reason, trust, Tls, TlsSettings};
use crate::error::Result;
use crate::{log, panic};
use openssl::ssl::{Ssl, SslVerifyMode};
use openssl::x509::verify::X509CheckFlags;
use paho_engine::link;
use std::net::IpAddr;

/// What is needed to explain a failure of a link's TLS.
pub struct Secured {
    verdict: Verdict,
    wanted: String,
    has_identity: bool,
    system_roots: bool,
    check_name: bool,
}

impl Secured {
    /// Reads and checks what the settings name, and makes what the link needs. `ENOS_ERR_TLS` with words for what is
    /// wrong.
    pub fn prepare(tls: &Tls) -> Result<(Secured, link::Tls)> {
        let settings = &*tls.settings;
        let mut ssl = Ssl::new(&*trust::context(settings.ca.as_ref())?)?;
        show_identity(&mut ssl, settings)?;
        expect_name(&mut ssl, tls.wanted(), settings.check_name)?;
        let secured = Secured {
            verdict: take_notes(&mut ssl),
            wanted: tls.wanted().to_owned(),
            has_identity: settings.identity.is_some(),
            system_roots: settings.ca.is_none(),
            check_name: settings.check_name,
        };
        Ok((secured, link::Tls(ssl)))
    }

    /// Logs a warning about what is not checked.
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
        let expected = reason::Expected {
            name: &self.wanted,
            has_identity: self.has_identity,
            system_roots: self.system_roots,
            is_link: true,
        };
        reason::words(fault, &self.verdict.found(), &expected)
    }
}

/// Gives the device's certificate and key, if it has them, to a connection.
fn show_identity(ssl: &mut Ssl, settings: &TlsSettings) -> Result<()> {
    let Some(given) = &settings.identity else { return Ok(()) };
    let identity = material::identity(given, settings.password.as_ref().map(|password| password.as_slice()))?;
    let unfit = |e| failed(format!("the device's certificate or key is not accepted: {}", said(&e)));
    ssl.set_certificate(&identity.leaf).map_err(unfit)?;
    ssl.set_private_key(&identity.key).map_err(unfit)?;
    identity.chain.into_iter().try_for_each(|certificate| ssl.add_chain_cert(certificate).map_err(unfit))
}

/// Sends the broker's name (SNI), and checks that the certificate is for this name or IP address.
fn expect_name(ssl: &mut Ssl, wanted: &str, check_name: bool) -> Result<()> {
    let address = wanted.parse::<IpAddr>().ok();
    if check_name {
        let check = ssl.param_mut();
        // Common names do not count: the name constraints of an authority do not apply to them.
        check.set_hostflags(X509CheckFlags::NO_PARTIAL_WILDCARDS | X509CheckFlags::NEVER_CHECK_SUBJECT);
        match address {
            Some(address) => check.set_ip(address)?,
            None => check.set_host(wanted)?,
        }
    }
    if address.is_none() {
        // There is no SNI for an IP address.
        ssl.set_hostname(wanted)?;
    }
    Ok(())
}

/// Notes what the check of the broker's certificate finds.
fn take_notes(ssl: &mut Ssl) -> Verdict {
    let verdict = Verdict::default();
    let notes = verdict.clone();
    ssl.set_verify_callback(SslVerifyMode::PEER, move |fine, chain| {
        // Nothing may unwind into OpenSSL. A panic is in the log already.
        panic::catch(|| notes.judge(fine, chain)).unwrap_or(fine)
    });
    verdict
}
