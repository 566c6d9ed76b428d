//! A certificate authority for tests and desks. It is short-lived, is trusted by nobody else, and does not protect its
//! keys.
//!
//! ```
//! # fn main() -> std::io::Result<()> {
//! use enos_sim::ca::{Authority, KeyKind, Profile, Validity};
//!
//! let directory = tempfile::tempdir()?;
//! let authority = Authority::root("A desk's CA", KeyKind::EcP256)?;
//! authority.write(directory.path())?;
//! let server = authority.issue(&Profile::server().dns("localhost").ip([127, 0, 0, 1]))?;
//! let files = server.write(directory.path(), "server")?;
//! assert!(files.certificate.ends_with("server.pem") && files.key.ends_with("server.key"));
//! let expired = authority.issue(&Profile::client("dk").valid(Validity::days(-10, -1)))?;
//! # drop(expired); Ok(())
//! # }
//! ```

mod certificate;
pub(crate) mod files;

pub use certificate::{KeyKind, Profile, Validity};
pub use files::{read, replace, Files};

use openssl::{
    pkey::{PKey, Private},
    symm::Cipher,
    x509::{X509Req, X509},
};
use std::{io, path::Path};

/// A certificate with its intermediates, and its key.
pub struct Certified {
    /// The certificate itself first; without the root, unless this is the root certificate.
    chain: Vec<X509>,
    key: PKey<Private>,
}

/// Signs certificates: a root, or an intermediate below one.
pub struct Authority {
    own: Certified,
    root: X509,
}

impl Authority {
    /// A root that is valid for ten years.
    pub fn root(name: &str, kind: KeyKind) -> io::Result<Authority> {
        let own = Profile::authority(name).key(kind).self_signed()?;
        let root = own.certificate()?.to_owned();
        Ok(Authority { own, root })
    }

    /// An intermediate that this authority has signed. Certificates that it issues include its own certificate.
    pub fn intermediate(&self, name: &str) -> io::Result<Authority> {
        let own = self.issue(&Profile::authority(name))?;
        Ok(Authority { own, root: self.root.clone() })
    }

    /// A certificate with a new key.
    pub fn issue(&self, profile: &Profile) -> io::Result<Certified> {
        let key = profile.kind.generate()?;
        let subject = profile.subject()?;
        let certificate = profile.certificate(&subject, &key, &self.own)?;
        Ok(Certified { chain: self.below(certificate)?, key })
    }

    /// The certificate (PEM, with its chain) for a request (PEM). Subject and key come from the request, everything
    /// else from the profile; other contents of the request are ignored.
    pub fn certify(&self, request_pem: &[u8], profile: &Profile) -> io::Result<Vec<u8>> {
        let request = X509Req::from_pem(request_pem)?;
        let key = request.public_key()?;
        if !request.verify(&key)? {
            return Err(io::Error::other("the request is not signed with its own key"));
        }
        let certificate = profile.certificate(request.subject_name(), &key, &self.own)?;
        to_pem(&self.below(certificate)?)
    }

    /// The root's certificate (PEM), which the other side has to trust.
    pub fn certificate_pem(&self) -> io::Result<Vec<u8>> {
        Ok(self.root.to_pem()?)
    }

    /// Writes `ca.pem`, the root's certificate, and `ca.key`. [`open`](Self::open) reads them.
    pub fn write(&self, directory: &Path) -> io::Result<Files> {
        let files = Files::of(directory, "ca");
        files.write(&self.certificate_pem()?, &self.own.key_pem()?)?;
        Ok(files)
    }

    /// Reads the root from its files.
    pub fn open(directory: &Path) -> io::Result<Authority> {
        let (chain, key) = Files::of(directory, "ca").read()?;
        let own = Certified { chain, key };
        let root = own.certificate()?.to_owned();
        Ok(Authority { own, root })
    }

    /// A certificate that this authority has signed, and the intermediates between it and the root.
    fn below(&self, certificate: X509) -> io::Result<Vec<X509>> {
        let root = self.root.to_der()?;
        let mut chain = vec![certificate];
        for link in &self.own.chain {
            if link.to_der()? != root {
                chain.push(link.clone());
            }
        }
        Ok(chain)
    }
}

impl Certified {
    /// The certificate and its chain (PEM), as a server or a client sends them.
    pub fn certificate_pem(&self) -> io::Result<Vec<u8>> {
        to_pem(&self.chain)
    }

    /// The key (PKCS #8, PEM).
    pub fn key_pem(&self) -> io::Result<Vec<u8>> {
        Ok(self.key.private_key_to_pem_pkcs8()?)
    }

    /// The key, encrypted (PKCS #8, AES-256, PEM).
    pub fn encrypted_key_pem(&self, password: &str) -> io::Result<Vec<u8>> {
        Ok(self.key.private_key_to_pem_pkcs8_passphrase(Cipher::aes_256_cbc(), password.as_bytes())?)
    }

    /// Writes `<name>.pem`, the certificate with its chain, and `<name>.key` (mode 0600). Each file is replaced at once.
    pub fn write(&self, directory: &Path, name: &str) -> io::Result<Files> {
        let files = Files::of(directory, name);
        files.write(&self.certificate_pem()?, &self.key_pem()?)?;
        Ok(files)
    }

    /// Like [`write`](Self::write), with an encrypted key.
    pub fn write_encrypted(&self, directory: &Path, name: &str, password: &str) -> io::Result<Files> {
        let files = Files::of(directory, name);
        files.write(&self.certificate_pem()?, &self.encrypted_key_pem(password)?)?;
        Ok(files)
    }

    fn certificate(&self) -> io::Result<&X509> {
        self.chain.first().ok_or_else(|| io::Error::other("there is no certificate"))
    }
}

fn to_pem(chain: &[X509]) -> io::Result<Vec<u8>> {
    let mut pem = Vec::new();
    for certificate in chain {
        pem.extend(certificate.to_pem()?);
    }
    Ok(pem)
}
