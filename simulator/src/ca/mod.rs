//! A certificate authority for tests and desks: made on the spot, trusted by nobody else, and as careless with its keys
//! as a thing that lives for an afternoon may be.
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

/// A certificate with what leads to the root, and its key.
pub struct Certified {
    /// From the certificate itself upwards; without the root, unless it is the root's own.
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

    /// One whose certificate this one has signed. What it issues comes with its certificate.
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

    /// The certificate (PEM, with its chain) that a request (PEM) asks for. Subject and key are the request's; the rest
    /// is the profile's: what a request says beyond them is not taken over.
    pub fn certify(&self, request_pem: &[u8], profile: &Profile) -> io::Result<Vec<u8>> {
        let request = X509Req::from_pem(request_pem)?;
        let key = request.public_key()?;
        if !request.verify(&key)? {
            return Err(io::Error::other("the request is not signed with the key that it names"));
        }
        let certificate = profile.certificate(request.subject_name(), &key, &self.own)?;
        to_pem(&self.below(certificate)?)
    }

    /// The root's certificate (PEM): what the other side has to trust.
    pub fn certificate_pem(&self) -> io::Result<Vec<u8>> {
        Ok(self.root.to_pem()?)
    }

    /// Writes `ca.pem`, the root's certificate, and `ca.key`, which [`open`](Self::open) takes up again.
    pub fn write(&self, directory: &Path) -> io::Result<Files> {
        let files = Files::of(directory, "ca");
        files.write(&self.certificate_pem()?, &self.own.key_pem()?)?;
        Ok(files)
    }

    /// The root that was written there.
    pub fn open(directory: &Path) -> io::Result<Authority> {
        let (chain, key) = Files::of(directory, "ca").read()?;
        let own = Certified { chain, key };
        let root = own.certificate()?.to_owned();
        Ok(Authority { own, root })
    }

    /// A certificate that this authority has signed, and what stands between it and the root.
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

    /// As [`write`](Self::write), the key encrypted.
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
