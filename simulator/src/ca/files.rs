//! Certificates and keys as files.

use openssl::{
    pkey::{PKey, Private},
    x509::X509,
};
use std::{
    fs::{self, Permissions},
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// The files of a certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// PEM: the certificate, then the intermediates.
    pub certificate: PathBuf,
    /// PEM, mode 0600.
    pub key: PathBuf,
}

impl Files {
    /// `<name>.pem` and `<name>.key`.
    pub fn of(directory: &Path, name: &str) -> Files {
        Files { certificate: directory.join(format!("{name}.pem")), key: directory.join(format!("{name}.key")) }
    }

    pub(super) fn write(&self, certificate: &[u8], key: &[u8]) -> io::Result<()> {
        replace(&self.key, key, 0o600)?;
        replace(&self.certificate, certificate, 0o644)
    }

    /// The certificates and the key; each error names its file.
    pub(crate) fn read(&self) -> io::Result<(Vec<X509>, PKey<Private>)> {
        Ok((read_certificates(&self.certificate)?, read_key(&self.key)?))
    }
}

/// Writes a new file and renames it, so that a reader finds the old content or the new one.
pub fn replace(path: &Path, contents: &[u8], mode: u32) -> io::Result<()> {
    let written = || {
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        file.write_all(contents)?;
        file.as_file().set_permissions(Permissions::from_mode(mode))?;
        file.persist(path)?;
        Ok(())
    };
    written().map_err(|error| named(path, error))
}

/// The certificates of a PEM file; at least one.
pub(crate) fn read_certificates(path: &Path) -> io::Result<Vec<X509>> {
    let certificates = X509::stack_from_pem(&read(path)?).unwrap_or_default();
    if certificates.is_empty() {
        return Err(named(path, io::Error::other("it contains no PEM certificate")));
    }
    Ok(certificates)
}

fn read_key(path: &Path) -> io::Result<PKey<Private>> {
    let mut is_encrypted = false;
    // Without this function OpenSSL would ask for a password on the terminal.
    let key = PKey::private_key_from_pem_callback(&read(path)?, |_| {
        is_encrypted = true;
        Ok(0)
    });
    key.map_err(|_| {
        let reason = if is_encrypted { "the key is encrypted" } else { "it contains no PEM private key" };
        named(path, io::Error::other(reason))
    })
}

/// Adds the file's name to an error.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    fs::read(path).map_err(|error| named(path, error))
}

fn named(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
