//! A CA for tests, and clients with TLS.

use enos_sim::{
    ca::{Certified, Files},
    Config, TlsConfig,
};
use openssl::{
    pkey::PKey,
    ssl::{HandshakeError, Ssl, SslContextBuilder, SslMethod, SslStream, SslVerifyMode, SslVersion},
    x509::X509,
};
use std::net::{SocketAddr, TcpStream};
use support::tls::Pki;

use super::{connect, Client, Login, Sim, DEVICE_SECRET};

pub type TlsClient = Client<SslStream<TcpStream>>;

/// A port with TLS only.
pub fn secure(tls: TlsConfig, config: Config) -> Config {
    Config { plain: false, tls: Some(tls), ..config }
}

/// The same with another certificate.
pub fn showing(pki: &Pki, certified: &Certified, config: Config) -> Config {
    let [certificate, key] = pki.write("other", certified).map(Into::into);
    secure(TlsConfig { files: Files { certificate, key }, ..pki.port() }, config)
}

/// A client that trusts only this CA, because reading the system's CAs takes long.
pub fn trusting(pki: &Pki) -> SslContextBuilder {
    let mut builder = SslContextBuilder::new(SslMethod::tls_client()).unwrap();
    builder.set_verify(SslVerifyMode::PEER);
    builder.set_ca_file(pki.ca()).unwrap();
    builder
}

/// The same with a client certificate.
pub fn trusting_with(pki: &Pki, certified: &Certified) -> SslContextBuilder {
    let mut builder = trusting(pki);
    let chain = X509::stack_from_pem(&certified.certificate_pem().unwrap()).unwrap();
    builder.set_certificate(&chain[0]).unwrap();
    chain[1..].iter().for_each(|issuer| builder.add_extra_chain_cert(issuer.clone()).unwrap());
    builder.set_private_key(&PKey::private_key_from_pem(&certified.key_pem().unwrap()).unwrap()).unwrap();
    builder
}

/// The same with this TLS version only, however old.
pub fn speak(builder: &mut SslContextBuilder, version: SslVersion) {
    builder.set_min_proto_version(Some(version)).unwrap();
    builder.set_max_proto_version(Some(version)).unwrap();
    if version == SslVersion::TLS1_1 {
        builder.set_cipher_list("DEFAULT:@SECLEVEL=0").unwrap();
    }
}

/// A handshake that verifies the server name `localhost`.
pub fn handshake(
    stream: TcpStream,
    builder: SslContextBuilder,
) -> Result<SslStream<TcpStream>, HandshakeError<TcpStream>> {
    let mut ssl = Ssl::new(&builder.build()).unwrap();
    ssl.set_hostname("localhost").unwrap();
    ssl.param_mut().set_host("localhost").unwrap();
    ssl.connect(stream)
}

/// Connects; the text of an error is OpenSSL's.
pub fn try_open_at(address: SocketAddr, builder: SslContextBuilder) -> Result<TlsClient, String> {
    handshake(connect(address), builder).map(Client::over).map_err(|error| match error {
        HandshakeError::Failure(failed) => format!("{} {}", failed.error(), failed.ssl().verify_result()),
        other => other.to_string(),
    })
}

pub fn try_open(sim: &Sim, builder: SslContextBuilder) -> Result<TlsClient, String> {
    try_open_at(sim.cloud.tls_address().unwrap(), builder)
}

pub fn open(sim: &Sim, builder: SslContextBuilder) -> TlsClient {
    try_open(sim, builder).unwrap()
}

/// A device that is logged in.
pub fn log_in(sim: &Sim, pki: &Pki) -> TlsClient {
    let mut client = open(sim, trusting(pki));
    assert_eq!(client.login(&Login::device(DEVICE_SECRET)), 0);
    client
}
