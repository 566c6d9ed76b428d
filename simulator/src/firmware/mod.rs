//! Firmware that devices are offered: the images, the offers, and the tasks that come of them.

mod depot;
mod offer;
mod task;

use bytes::Bytes;
use openssl::hash::{Hasher, MessageDigest};
use std::{fmt, fs::File, io, os::unix::fs::FileExt, path::Path, sync::Arc};

pub use depot::Depot;
pub use offer::{Digest, FileUrl, Offer};
pub use task::{add as add_task, open as open_task, Open, Task, TaskState};

/// Bytes in one read of a file.
const CHUNK: usize = 64 * 1024;

/// An image, which the HTTP port serves.
#[derive(Clone)]
pub struct Firmware {
    version: String,
    source: Source,
    size: u64,
    md5: String,
    sha256: String,
}

#[derive(Clone)]
enum Source {
    Bytes(Bytes),
    /// It is read when it is needed, because an image may be large.
    File(Arc<File>),
}

impl Firmware {
    pub fn from_bytes(version: impl Into<String>, bytes: impl Into<Bytes>) -> io::Result<Firmware> {
        let bytes = bytes.into();
        let size = bytes.len() as u64;
        Firmware::new(version.into(), Source::Bytes(bytes), size)
    }

    /// The file must not change as long as it is served.
    pub fn from_file(version: impl Into<String>, path: &Path) -> io::Result<Firmware> {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        let file = File::open(path).map_err(named)?;
        let metadata = file.metadata().map_err(named)?;
        if !metadata.is_file() {
            return Err(named(io::Error::new(io::ErrorKind::InvalidInput, "this is not a file")));
        }
        Firmware::new(version.into(), Source::File(Arc::new(file)), metadata.len()).map_err(named)
    }

    fn new(version: String, source: Source, size: u64) -> io::Result<Firmware> {
        let mut firmware = Firmware { version, source, size, md5: String::new(), sha256: String::new() };
        let (mut md5, mut sha256) = (Hasher::new(MessageDigest::md5())?, Hasher::new(MessageDigest::sha256())?);
        let mut at = 0;
        while at < size {
            let chunk = firmware.read(at, CHUNK)?;
            md5.update(&chunk)?;
            sha256.update(&chunk)?;
            at += chunk.len() as u64;
        }
        firmware.md5 = hex::encode(md5.finish()?);
        firmware.sha256 = hex::encode(sha256.finish()?);
        Ok(firmware)
    }

    pub fn version(&self) -> &str {
        &self.version
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    /// In hex.
    pub fn digest(&self, digest: Digest) -> &str {
        match digest {
            Digest::Md5 => &self.md5,
            Digest::Sha256 => &self.sha256,
        }
    }

    /// The path at which the HTTP port serves the image of this version.
    pub fn path(version: &str) -> String {
        let mut path = "/firmware/".to_owned();
        for byte in version.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => path.push(byte.into()),
                byte => path += &format!("%{byte:02X}"),
            }
        }
        path
    }

    /// At most so many bytes, at least one, from a position within the image.
    pub(crate) fn read(&self, at: u64, most: usize) -> io::Result<Bytes> {
        let left = self.size.saturating_sub(at);
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(most);
        match &self.source {
            Source::Bytes(bytes) => {
                let start = at as usize;
                Ok(bytes.slice(start..start + wanted))
            }
            Source::File(file) => {
                let mut chunk = vec![0; wanted.min(CHUNK)];
                let n = file.read_at(&mut chunk, at)?;
                if n == 0 && wanted > 0 {
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file has become shorter"));
                }
                chunk.truncate(n);
                Ok(chunk.into())
            }
        }
    }
}

impl fmt::Debug for Firmware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "firmware {}, {} bytes, SHA-256 {}", self.version, self.size, self.sha256)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_of_bytes_and_of_a_file() {
        let image = Firmware::from_bytes("1", "abc").unwrap();
        assert_eq!(image.digest(Digest::Md5), "900150983cd24fb0d6963f7d28e17f72");
        assert!(image.digest(Digest::Sha256).starts_with("ba7816bf8f01cfea"));
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("image");
        std::fs::write(&path, vec![7; CHUNK + 1]).unwrap();
        let file = Firmware::from_file("2", &path).unwrap();
        let bytes = Firmware::from_bytes("2", vec![7; CHUNK + 1]).unwrap();
        assert_eq!((file.size(), file.digest(Digest::Sha256)), (bytes.size(), bytes.digest(Digest::Sha256)));
        assert_eq!(file.read(CHUNK as u64, 10).unwrap(), bytes.read(CHUNK as u64, 10).unwrap());
        assert!(Firmware::from_file("3", directory.path()).unwrap_err().to_string().contains("not a file"));
    }

    #[test]
    fn a_version_is_a_part_of_a_path() {
        assert_eq!(Firmware::path("V1.0-rc_2"), "/firmware/V1.0-rc_2");
        assert_eq!(Firmware::path("a b/ü?"), "/firmware/a%20b%2F%C3%BC%3F");
    }
}
