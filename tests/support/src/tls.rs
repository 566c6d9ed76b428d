//! Brokers and devices with TLS, with an authority that is made for the test.

use crate::broker::{connack, Broker, Peer, CONNECT};
use crate::host::{Host, Setup, Told, DEVICE_SECRET};
use enos::error::Status;
use enos::ffi::tls::*;
use enos_sim::ca::{Authority, Certified, KeyKind, Profile};
use enos_sim::TlsConfig;
use openssl::pkey::PKey;
use openssl::ssl::{Ssl, SslContext, SslContextBuilder, SslMethod, SslStream, SslVerifyMode};
use openssl::x509::X509;
use std::ffi::{c_char, CString};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::ptr::null;
use tempfile::TempDir;

/// An authority, and the files of its certificates.
pub struct Pki {
    pub root: Authority,
    pub directory: TempDir,
}

impl Pki {
    pub fn new() -> Pki {
        Pki::with(KeyKind::EcP256)
    }

    pub fn with(kind: KeyKind) -> Pki {
        use std::os::unix::fs::PermissionsExt;
        let root = Authority::root("The test's CA", kind).unwrap();
        let directory = tempfile::tempdir().unwrap();
        // Mosquitto drops root before it reads the files.
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        root.write(directory.path()).unwrap();
        Pki { root, directory }
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn ca(&self) -> String {
        path(&self.file("ca.pem"))
    }

    /// A broker's certificate, for every name of this machine.
    pub fn server(&self) -> Certified {
        self.root.issue(&local()).unwrap()
    }

    /// Writes a certificate and its key; the paths of both.
    pub fn write(&self, name: &str, certified: &Certified) -> [String; 2] {
        let files = certified.write(self.directory.path(), name).unwrap();
        [path(&files.certificate), path(&files.key)]
    }

    /// A TLS port of the simulator with a certificate of this authority.
    pub fn port(&self) -> TlsConfig {
        let files = self.server().write(self.directory.path(), "server").unwrap();
        TlsConfig { listen: "127.0.0.1:0".parse().unwrap(), ..TlsConfig::new(files) }
    }

    /// The same, which requires certificates of this authority.
    pub fn demanding(&self) -> TlsConfig {
        TlsConfig { client_ca: Some(self.file("ca.pem")), require_client_certificate: true, ..self.port() }
    }

    /// Writes a device's certificate and key.
    pub fn device(&self, name: &str, kind: KeyKind) -> [String; 2] {
        self.write(name, &self.root.issue(&Profile::client(name).key(kind)).unwrap())
    }
}

pub fn path(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// A server that is reached as localhost, 127.0.0.1 or ::1.
pub fn local() -> Profile {
    Profile::server().dns("localhost").ip([127, 0, 0, 1]).ip(std::net::Ipv6Addr::LOCALHOST)
}

/// A scripted broker behind TLS.
pub struct TlsBroker {
    pub plain: Broker,
    context: SslContext,
}

pub type TlsPeer = Peer<SslStream<TcpStream>>;

impl TlsBroker {
    pub fn new(certified: &Certified) -> TlsBroker {
        TlsBroker::with(certified, |_| ())
    }

    /// With more settings.
    pub fn with(certified: &Certified, set: impl FnOnce(&mut SslContextBuilder)) -> TlsBroker {
        TlsBroker::bind_to("127.0.0.1:0", certified, set)
    }

    pub fn bind_to(address: &str, certified: &Certified, set: impl FnOnce(&mut SslContextBuilder)) -> TlsBroker {
        TlsBroker { plain: Broker::bind_to(address), context: server_context(certified, set) }
    }

    pub fn address(&self) -> SocketAddr {
        self.plain.address()
    }

    pub fn uri(&self) -> String {
        format!("ssl://{}", self.address())
    }

    /// The next connection after its handshake, or this side's error of a failed handshake.
    pub fn try_accept(&self) -> Result<TlsPeer, String> {
        let stream = self.plain.accept().stream;
        let mut stream = SslStream::new(Ssl::new(&self.context).unwrap(), stream).unwrap();
        stream.accept().map_err(|error| error.to_string())?;
        Ok(Peer { stream })
    }

    #[track_caller]
    pub fn accept(&self) -> TlsPeer {
        self.try_accept().unwrap_or_else(|error| panic!("{error}"))
    }

    /// The next connection, past CONNECT and CONNACK 0.
    #[track_caller]
    pub fn accept_mqtt(&self) -> TlsPeer {
        let mut peer = self.accept();
        peer.expect(CONNECT);
        peer.send(&connack(0));
        peer
    }
}

impl TlsBroker {
    /// A device that is online here, and its connection.
    #[track_caller]
    pub fn online(&self, setup: Setup) -> (Host, TlsPeer) {
        let mut host = setup.start();
        host.connect();
        let peer = self.accept_mqtt();
        host.expect("CONNECTED");
        (host, peer)
    }
}

pub fn server_context(certified: &Certified, set: impl FnOnce(&mut SslContextBuilder)) -> SslContext {
    let mut context = SslContextBuilder::new(SslMethod::tls_server()).unwrap();
    let chain = X509::stack_from_pem(&certified.certificate_pem().unwrap()).unwrap();
    let (leaf, rest) = chain.split_first().unwrap();
    context.set_certificate(leaf).unwrap();
    for certificate in rest {
        context.add_extra_chain_cert(certificate.clone()).unwrap();
    }
    context.set_private_key(&PKey::private_key_from_pem(&certified.key_pem().unwrap()).unwrap()).unwrap();
    set(&mut context);
    context.build()
}

/// Makes a broker require certificates of this authority.
pub fn want_certificate(context: &mut SslContextBuilder, authority: &Authority) {
    let root = X509::from_pem(&authority.certificate_pem().unwrap()).unwrap();
    context.cert_store_mut().add_cert(root).unwrap();
    context.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
}

fn text(text: Option<&str>) -> Option<CString> {
    text.map(|text| CString::new(text).unwrap())
}

fn pointer(text: &Option<CString>) -> *const c_char {
    text.as_ref().map_or(null(), |text| text.as_ptr())
}

// Every SAFETY below: a config, and texts or bytes that live across the call.
#[allow(clippy::undocumented_unsafe_blocks)]
impl Setup {
    /// For a broker at `ssl://`, with the device secret and these authorities.
    pub fn secure(uri: &str, ca: &str) -> Setup {
        Setup::to(uri).device_secret(DEVICE_SECRET).tls(Some(ca), None)
    }

    pub fn tls(self, ca: Option<&str>, identity: Option<&[String; 2]>) -> Setup {
        let [ca, cert, key] =
            [ca, identity.map(|pair| pair[0].as_str()), identity.map(|pair| pair[1].as_str())].map(text);
        self.set(|config| unsafe { enos_config_set_tls(config, pointer(&ca), pointer(&cert), pointer(&key)) })
    }

    pub fn tls_pem(self, [ca, cert, key]: [Option<&[u8]>; 3]) -> Setup {
        let start = |pem: Option<&[u8]>| pem.map_or(null(), |pem| pem.as_ptr().cast());
        let len = |pem: Option<&[u8]>| pem.map_or(0, <[u8]>::len);
        self.set(|config| unsafe {
            enos_config_set_tls_pem(config, start(ca), len(ca), start(cert), len(cert), start(key), len(key))
        })
    }

    pub fn key_password(self, password: &str) -> Setup {
        self.set(|config| unsafe { enos_config_set_tls_key_password(config, password.as_ptr().cast(), password.len()) })
    }

    pub fn server_name(self, name: &str) -> Setup {
        let name = text(Some(name));
        self.set(|config| unsafe { enos_config_set_tls_server_name(config, pointer(&name)) })
    }

    pub fn skip_name_check(self) -> Setup {
        self.set(|config| unsafe { enos_config_set_tls_insecure_skip_name_check(config, 1) })
    }
}

impl Host {
    /// The next attempt must fail in TLS, with all of these words.
    #[track_caller]
    pub fn fails_in_tls(&mut self, words: &[&str]) -> Told {
        let told = self.expect("DISCONNECTED");
        assert_eq!(told.status, Status::ENOS_ERR_TLS, "{told:?}");
        for word in words {
            assert!(told.detail.contains(word), "{word:?} is not in {:?}", told.detail);
        }
        told
    }
}
