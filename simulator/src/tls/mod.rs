//! The TLS configuration of a port, as on EnOS's port 18883. [`session`] is the TLS of one connection.

pub mod refusal;
pub mod session;

use openssl::{
    pkey::{PKey, Private},
    ssl::{SslContext, SslContextBuilder, SslMethod, SslOptions, SslSessionCacheMode, SslVerifyMode, SslVersion},
    x509::{store::X509StoreBuilder, X509},
};
use std::{io, net::SocketAddr, path::PathBuf};

use crate::ca::{files, Files};

/// A second port, with TLS.
#[derive(Clone, Debug)]
pub struct TlsConfig {
    /// EnOS's port is 18883; 0 means any free one, see [`Cloud::tls_address`](crate::Cloud::tls_address).
    pub listen: SocketAddr,
    /// The server's certificate and its key. Its dates and names are not checked here.
    pub files: Files,
    /// The CA (PEM) of the clients' certificates; None: clients are not asked for a certificate.
    pub client_ca: Option<PathBuf>,
    /// Whether a client without a certificate is refused; needs `client_ca`.
    pub require_client_certificate: bool,
    /// The oldest version. Below 1.2, OpenSSL's security level is lowered to 0.
    pub min: TlsVersion,
    /// The newest version.
    pub max: TlsVersion,
}

impl TlsConfig {
    /// On this machine's port 18883, TLS 1.2 and 1.3, clients not asked for a certificate.
    pub fn new(files: Files) -> TlsConfig {
        TlsConfig {
            listen: SocketAddr::from(([127, 0, 0, 1], 18883)),
            files,
            client_ca: None,
            require_client_certificate: false,
            min: TlsVersion::V1_2,
            max: TlsVersion::V1_3,
        }
    }
}

/// A version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    V1_0,
    V1_1,
    V1_2,
    V1_3,
}

impl TlsVersion {
    /// The versions and their numbers.
    pub const ALL: [(&'static str, TlsVersion); 4] =
        [("1.0", TlsVersion::V1_0), ("1.1", TlsVersion::V1_1), ("1.2", TlsVersion::V1_2), ("1.3", TlsVersion::V1_3)];

    fn known_to_openssl(self) -> SslVersion {
        match self {
            TlsVersion::V1_0 => SslVersion::TLS1,
            TlsVersion::V1_1 => SslVersion::TLS1_1,
            TlsVersion::V1_2 => SslVersion::TLS1_2,
            TlsVersion::V1_3 => SslVersion::TLS1_3,
        }
    }
}

/// State that the connections of a TLS port share.
pub fn context(config: &TlsConfig) -> io::Result<SslContext> {
    if config.min > config.max {
        return Err(invalid("the oldest TLS version is newer than the newest one"));
    }
    if config.require_client_certificate && config.client_ca.is_none() {
        return Err(invalid("client certificates can be required only when there is a CA to check them with"));
    }
    let (chain, key) = config.files.read()?;
    let mut builder = SslContext::builder(SslMethod::tls_server())?;
    set_versions(&mut builder, config)?;
    set_certificate(&mut builder, &chain, &key)?;
    if let Some(path) = &config.client_ca {
        set_client_ca(&mut builder, &files::read_certificates(path)?, config.require_client_certificate)?;
    }
    builder
        .set_options(SslOptions::NO_RENEGOTIATION | SslOptions::NO_COMPRESSION | SslOptions::CIPHER_SERVER_PREFERENCE);
    // Sessions are resumed by ticket, so nothing is kept here for a client that may not return.
    builder.set_session_cache_mode(SslSessionCacheMode::OFF);
    builder.set_session_id_context(b"enos-sim")?;
    Ok(builder.build())
}

fn set_versions(builder: &mut SslContextBuilder, config: &TlsConfig) -> io::Result<()> {
    let unknown = |_| invalid("this OpenSSL was built without the TLS versions that were asked for");
    builder.set_min_proto_version(Some(config.min.known_to_openssl())).map_err(unknown)?;
    builder.set_max_proto_version(Some(config.max.known_to_openssl())).map_err(unknown)?;
    if config.min < TlsVersion::V1_2 {
        // Their signatures use SHA-1, which OpenSSL 3 accepts only at its lowest level.
        builder.set_cipher_list("DEFAULT:@SECLEVEL=0")?;
    }
    Ok(())
}

fn set_certificate(builder: &mut SslContextBuilder, chain: &[X509], key: &PKey<Private>) -> io::Result<()> {
    if let Some((own, issuers)) = chain.split_first() {
        builder.set_certificate(own)?;
        issuers.iter().try_for_each(|issuer| builder.add_extra_chain_cert(issuer.to_owned()))?;
    }
    builder.set_private_key(key).map_err(|_| invalid("the key does not match the certificate"))?;
    builder.check_private_key().map_err(|_| invalid("the key does not match the certificate"))
}

fn set_client_ca(builder: &mut SslContextBuilder, authorities: &[X509], required: bool) -> io::Result<()> {
    let mut store = X509StoreBuilder::new()?;
    for authority in authorities {
        store.add_cert(authority.to_owned())?;
        builder.add_client_ca(authority)?;
    }
    // Not the context's own store, because OpenSSL would use that to complete the chain that the server sends.
    builder.set_verify_cert_store(store.build())?;
    let demanded = if required { SslVerifyMode::FAIL_IF_NO_PEER_CERT } else { SslVerifyMode::NONE };
    builder.set_verify(SslVerifyMode::PEER | demanded);
    Ok(())
}

fn invalid(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, reason)
}
