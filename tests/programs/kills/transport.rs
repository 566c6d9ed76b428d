//! What a device and its cloud speak below MQTT.

use std::io::{self, Read};
use std::net::TcpStream;
use std::path::PathBuf;

use enos_sim::ca::{Authority, Files, KeyKind, Profile};
use enos_sim::{TlsConfig, TlsVersion};
use tempfile::TempDir;

#[derive(Clone, Copy, Debug)]
pub enum Transport {
    Tcp,
    /// With this version of TLS and a certificate on either side.
    #[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "the device cannot speak it"))]
    Tls(TlsVersion),
}

impl Transport {
    pub fn scheme(self) -> &'static str {
        match self {
            Transport::Tcp => "tcp",
            Transport::Tls(_) => "ssl",
        }
    }

    /// The packets that end a connection: DISCONNECT, and over TLS a `close_notify` of either side.
    pub fn goodbyes(self) -> usize {
        match self {
            Transport::Tcp => 1,
            Transport::Tls(_) => 3,
        }
    }

    /// Reads what can be told apart from outside, whole, as it stands on the wire: an MQTT packet, or a TLS record.
    pub fn read_packet(self, from: &mut &TcpStream) -> io::Result<Vec<u8>> {
        match self {
            Transport::Tcp => read_mqtt(from),
            Transport::Tls(_) => read_record(from),
        }
    }
}

fn read_mqtt(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut packet = vec![0; 2];
    from.read_exact(&mut packet)?;
    let mut length = usize::from(packet[1] & 0x7F);
    let mut shift = 7;
    while packet[packet.len() - 1] & 0x80 != 0 && shift < 28 {
        packet.push(0);
        let last = packet.len() - 1;
        from.read_exact(&mut packet[last..])?;
        length |= usize::from(packet[last] & 0x7F) << shift;
        shift += 7;
    }
    read_rest(from, packet, length)
}

fn read_record(from: &mut impl Read) -> io::Result<Vec<u8>> {
    // The type, the version, the length.
    let mut record = vec![0; 5];
    from.read_exact(&mut record)?;
    if !(20..=23).contains(&record[0]) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "no record of TLS"));
    }
    let length = usize::from(u16::from_be_bytes([record[3], record[4]]));
    read_rest(from, record, length)
}

fn read_rest(from: &mut impl Read, mut packet: Vec<u8>, length: usize) -> io::Result<Vec<u8>> {
    let header = packet.len();
    packet.resize(header + length, 0);
    from.read_exact(&mut packet[header..])?;
    Ok(packet)
}

/// An authority's files: its own certificate, the server's, and one for all devices.
pub struct Pki {
    directory: TempDir,
    server: Files,
    device: Files,
}

impl Pki {
    pub fn new() -> Pki {
        let directory = tempfile::tempdir().unwrap();
        let authority = Authority::root("The test's CA", KeyKind::EcP256).unwrap();
        authority.write(directory.path()).unwrap();
        let issue = |name: &str, profile: Profile| {
            authority.issue(&profile.key(KeyKind::EcP256)).unwrap().write(directory.path(), name).unwrap()
        };
        let server = issue("server", Profile::server().ip([127, 0, 0, 1]));
        let device = issue("device", Profile::client("device"));
        Pki { directory, server, device }
    }

    fn authority(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// A port that demands the device's certificate.
    pub fn port(&self, version: TlsVersion) -> TlsConfig {
        TlsConfig {
            listen: "127.0.0.1:0".parse().unwrap(),
            client_ca: Some(self.authority()),
            require_client_certificate: true,
            min: version,
            max: version,
            ..TlsConfig::new(self.server.clone())
        }
    }

    /// What crash_device.c takes from its environment.
    pub fn environment(&self) -> [(&'static str, PathBuf); 3] {
        let Files { certificate, key } = self.device.clone();
        [("TLS_CA", self.authority()), ("TLS_CERT", certificate), ("TLS_KEY", key)]
    }
}
