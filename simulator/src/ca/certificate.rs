//! The contents of a certificate.

use openssl::{
    asn1::Asn1Time,
    bn::{BigNum, MsbOption},
    ec::{EcGroup, EcKey},
    error::ErrorStack,
    hash::MessageDigest,
    nid::Nid,
    pkey::{HasPublic, Id, PKey, PKeyRef, Private},
    rsa::Rsa,
    x509::{
        extension::{
            AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAlternativeName,
            SubjectKeyIdentifier,
        },
        X509Builder, X509Name, X509NameRef, X509,
    },
};
use std::{
    io,
    net::IpAddr,
    time::{SystemTime, UNIX_EPOCH},
};

use super::Certified;

/// The keys that EnOS issues certificates for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA, 2048 bits.
    Rsa2048,
    /// Elliptic curve P-256 (prime256v1).
    #[default]
    EcP256,
}

impl KeyKind {
    pub(super) fn generate(self) -> Result<PKey<Private>, ErrorStack> {
        match self {
            KeyKind::Rsa2048 => PKey::from_rsa(Rsa::generate(2048)?),
            KeyKind::EcP256 => {
                let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
                PKey::from_ec_key(EcKey::generate(&group)?)
            }
        }
    }
}

/// The validity period, relative to now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    from_s: i64,
    to_s: i64,
}

impl Validity {
    /// In days from now; negative in the past.
    pub const fn days(from: i32, to: i32) -> Validity {
        Validity::seconds(from as i64 * 86_400, to as i64 * 86_400)
    }

    /// In seconds from now.
    pub const fn seconds(from: i64, to: i64) -> Validity {
        Validity { from_s: from, to_s: to }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Authority,
    Server,
    Client,
}

/// What a certificate is for.
#[derive(Clone, Debug)]
pub struct Profile {
    role: Role,
    common_name: String,
    dns: Vec<String>,
    ips: Vec<IpAddr>,
    pub(super) kind: KeyKind,
    validity: Validity,
}

impl Profile {
    fn new(role: Role, common_name: &str) -> Profile {
        let validity = Validity::days(-1, if role == Role::Authority { 3650 } else { 365 });
        let (dns, ips) = (Vec::new(), Vec::new());
        Profile { role, common_name: common_name.into(), dns, ips, kind: KeyKind::default(), validity }
    }

    pub(super) fn authority(name: &str) -> Profile {
        Profile::new(Role::Authority, name)
    }

    /// A server certificate for the names and addresses that are added to it. Valid from yesterday on, for a year.
    pub fn server() -> Profile {
        Profile::new(Role::Server, "enos-sim")
    }

    /// A client certificate, valid from yesterday on, for a year.
    pub fn client(common_name: &str) -> Profile {
        Profile::new(Role::Client, common_name)
    }

    /// With another common name; default: the client's name, or `enos-sim`.
    pub fn common_name(mut self, name: &str) -> Profile {
        self.common_name = name.into();
        self
    }

    /// Adds a DNS name.
    pub fn dns(mut self, name: &str) -> Profile {
        self.dns.push(name.into());
        self
    }

    /// Adds an address.
    pub fn ip(mut self, address: impl Into<IpAddr>) -> Profile {
        self.ips.push(address.into());
        self
    }

    /// With a key of this kind; default: P-256.
    pub fn key(mut self, kind: KeyKind) -> Profile {
        self.kind = kind;
        self
    }

    /// With another validity period.
    pub fn valid(mut self, validity: Validity) -> Profile {
        self.validity = validity;
        self
    }

    /// Self-signed with its own new key.
    pub fn self_signed(&self) -> io::Result<Certified> {
        let key = self.kind.generate()?;
        let subject = self.subject()?;
        let certificate = self.build(&subject, &key, None, &key)?;
        Ok(Certified { chain: vec![certificate], key })
    }

    pub(super) fn subject(&self) -> Result<X509Name, ErrorStack> {
        let mut name = X509Name::builder()?;
        name.append_entry_by_nid(Nid::COMMONNAME, &self.common_name)?;
        Ok(name.build())
    }

    pub(super) fn certificate(
        &self,
        subject: &X509NameRef,
        key: &PKeyRef<impl HasPublic>,
        issuer: &Certified,
    ) -> io::Result<X509> {
        Ok(self.build(subject, key, Some(issuer.certificate()?), &issuer.key)?)
    }

    /// Signed by `issuer` with its key `signer`; self-signed if there is no issuer.
    fn build(
        &self,
        subject: &X509NameRef,
        key: &PKeyRef<impl HasPublic>,
        issuer: Option<&X509>,
        signer: &PKey<Private>,
    ) -> Result<X509, ErrorStack> {
        let mut builder = X509::builder()?;
        builder.set_version(2)?;
        let mut serial = BigNum::new()?;
        serial.rand(127, MsbOption::MAYBE_ZERO, false)?;
        let serial = serial.to_asn1_integer()?;
        builder.set_serial_number(&serial)?;
        builder.set_subject_name(subject)?;
        builder.set_issuer_name(issuer.map_or(subject, |issuer| issuer.subject_name()))?;
        builder.set_pubkey(key)?;
        let (from, to) = (time(self.validity.from_s)?, time(self.validity.to_s)?);
        builder.set_not_before(&from)?;
        builder.set_not_after(&to)?;
        self.extend(&mut builder, issuer, key.id() == Id::RSA)?;
        builder.sign(signer, MessageDigest::sha256())?;
        Ok(builder.build())
    }

    fn extend(&self, builder: &mut X509Builder, issuer: Option<&X509>, is_rsa: bool) -> Result<(), ErrorStack> {
        let mut constraints = BasicConstraints::new();
        let mut usage = KeyUsage::new();
        constraints.critical();
        usage.critical();
        if self.role == Role::Authority {
            constraints.ca();
            usage.key_cert_sign().crl_sign();
        } else {
            usage.digital_signature();
            if is_rsa {
                usage.key_encipherment();
            }
        }
        builder.append_extension(constraints.build()?)?;
        builder.append_extension(usage.build()?)?;
        match self.role {
            Role::Server => builder.append_extension(ExtendedKeyUsage::new().server_auth().build()?)?,
            Role::Client => builder.append_extension(ExtendedKeyUsage::new().client_auth().build()?)?,
            Role::Authority => {}
        }
        let identifier = SubjectKeyIdentifier::new().build(&builder.x509v3_context(None, None))?;
        builder.append_extension(identifier)?;
        if let Some(issuer) = issuer {
            let context = builder.x509v3_context(Some(issuer), None);
            let identifier = AuthorityKeyIdentifier::new().keyid(true).build(&context)?;
            builder.append_extension(identifier)?;
        }
        if !(self.dns.is_empty() && self.ips.is_empty()) {
            let mut names = SubjectAlternativeName::new();
            for name in &self.dns {
                names.dns(name);
            }
            for address in &self.ips {
                names.ip(&address.to_string());
            }
            let names = names.build(&builder.x509v3_context(None, None))?;
            builder.append_extension(names)?;
        }
        Ok(())
    }
}

/// So many seconds from now.
fn time(offset_s: i64) -> Result<Asn1Time, ErrorStack> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    Asn1Time::from_unix(i64::try_from(now).unwrap_or(i64::MAX).saturating_add(offset_s))
}
