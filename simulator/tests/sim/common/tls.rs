//! A CA on a test's desk, and clients that speak TLS.

use enos_sim::{
    ca::{Authority, Certified, Files, KeyKind, Profile},
    Config, TlsConfig,
};
use openssl::{
    pkey::PKey,
    ssl::{HandshakeError, SslConnector, SslConnectorBuilder, SslMethod, SslStream, SslVersion},
    x509::X509,
};
use std::{
    net::{SocketAddr, TcpStream},
    path::Path,
};
use tempfile::TempDir;

use super::{connect, Client, Sim};

pub type TlsClient = Client<SslStream<TcpStream>>;

/// A CA, and what it has certified for this machine.
pub struct Desk {
    pub authority: Authority,
    pub server: Files,
    directory: TempDir,
}

impl Desk {
    pub fn new() -> Desk {
        Desk::with(KeyKind::EcP256)
    }

    pub fn with(kind: KeyKind) -> Desk {
        let directory = tempfile::tempdir().unwrap();
        let authority = Authority::root("Test CA", kind).unwrap();
        authority.write(directory.path()).unwrap();
        let server = authority.issue(&local().key(kind)).unwrap().write(directory.path(), "server").unwrap();
        Desk { authority, server, directory }
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// A port with TLS only.
    pub fn config(&self, config: Config) -> Config {
        Config { plain: false, tls: Some(self.tls()), ..config }
    }

    pub fn tls(&self) -> TlsConfig {
        TlsConfig { listen: "127.0.0.1:0".parse().unwrap(), ..TlsConfig::new(self.server.clone()) }
    }

    /// It demands client certificates of this CA.
    pub fn demanding(&self, config: Config) -> Config {
        let client_ca = Some(self.path().join("ca.pem"));
        let tls = TlsConfig { client_ca, require_client_certificate: true, ..self.tls() };
        Config { tls: Some(tls), ..self.config(config) }
    }

    /// It shows another certificate.
    pub fn showing(&self, certified: &Certified, config: Config) -> Config {
        let files = certified.write(self.path(), "other").unwrap();
        Config { tls: Some(TlsConfig { files, ..self.tls() }), ..self.config(config) }
    }

    /// A client that trusts this CA.
    pub fn client(&self) -> SslConnectorBuilder {
        let mut builder = SslConnector::builder(SslMethod::tls_client()).unwrap();
        builder.set_ca_file(self.path().join("ca.pem")).unwrap();
        builder
    }

    /// And has a certificate.
    pub fn client_with(&self, certified: &Certified) -> SslConnectorBuilder {
        let mut builder = self.client();
        show(&mut builder, certified);
        builder
    }
}

/// A server's certificate for this machine.
pub fn local() -> Profile {
    Profile::server().dns("localhost").ip([127, 0, 0, 1])
}

pub fn show(builder: &mut SslConnectorBuilder, certified: &Certified) {
    let chain = X509::stack_from_pem(&certified.certificate_pem().unwrap()).unwrap();
    builder.set_certificate(&chain[0]).unwrap();
    chain[1..].iter().for_each(|issuer| builder.add_extra_chain_cert(issuer.clone()).unwrap());
    let key = PKey::private_key_from_pem(&certified.key_pem().unwrap()).unwrap();
    builder.set_private_key(&key).unwrap();
}

/// Speaks this version only, however old.
pub fn speak(builder: &mut SslConnectorBuilder, version: SslVersion) {
    builder.set_min_proto_version(Some(version)).unwrap();
    builder.set_max_proto_version(Some(version)).unwrap();
    if version == SslVersion::TLS1_1 {
        builder.set_cipher_list("DEFAULT:@SECLEVEL=0").unwrap();
    }
}

/// Connects, and checks that the server is `localhost`; the words of an error are OpenSSL's.
pub fn try_open_at(address: SocketAddr, builder: SslConnectorBuilder) -> Result<TlsClient, String> {
    builder.build().connect("localhost", connect(address)).map(Client::over).map_err(|error| match error {
        HandshakeError::Failure(failed) => format!("{} {}", failed.error(), failed.ssl().verify_result()),
        other => other.to_string(),
    })
}

pub fn try_open(sim: &Sim, builder: SslConnectorBuilder) -> Result<TlsClient, String> {
    try_open_at(sim.cloud.tls_address().unwrap(), builder)
}

pub fn open(sim: &Sim, builder: SslConnectorBuilder) -> TlsClient {
    try_open(sim, builder).unwrap()
}
