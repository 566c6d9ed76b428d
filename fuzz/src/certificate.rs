//! A broker's certificate with any names, dates and issuer: the device accepts or refuses it, with a printable text.

use crate::client::settle;
use crate::input::Input;
use crate::oracle::{check_log, check_words, listen};
use crate::wire::Wires;
use enos::error::Status;
use enos_sim::ca::{Authority, KeyKind};
use openssl::asn1::{Asn1Integer, Asn1Object, Asn1OctetString, Asn1Time};
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{SslContext, SslContextBuilder, SslMethod};
use openssl::x509::{X509Extension, X509Name, X509};
use std::sync::OnceLock;
use support::broker::connack;
use support::host::{Setup, DEVICE_SECRET};

/// Common name, organisation, e-mail, and an unknown type.
const ATTRIBUTES: [&[u8]; 4] =
    [&[0x55, 4, 3], &[0x55, 4, 10], &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1], &[0x2a, 3, 4]];
/// UTF-8, printable, Teletex, IA5, universal, BMP, and an octet string, which is not a string type.
const TEXTS: [u8; 7] = [0x0c, 0x13, 0x14, 0x16, 0x1c, 0x1e, 0x04];
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT: u8 = 0x06;

fn key() -> &'static PKey<Private> {
    static KEY: OnceLock<PKey<Private>> = OnceLock::new();
    KEY.get_or_init(|| {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
    })
}

/// An authority that has not issued the certificate.
pub fn other() -> &'static [u8] {
    static OTHER: OnceLock<Vec<u8>> = OnceLock::new();
    OTHER.get_or_init(|| Authority::root("other", KeyKind::EcP256).unwrap().certificate_pem().unwrap())
}

/// DER, with a length in its short or long form.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let len = content.len();
    let head = match len {
        0..0x80 => vec![tag, len as u8],
        _ => vec![tag, 0x82, (len >> 8) as u8, len as u8],
    };
    [&head, content].concat()
}

fn name(input: &mut Input) -> Option<X509Name> {
    let mut all = Vec::new();
    for _ in 0..input.byte() % 4 {
        let (attribute, tag) = (input.one_of(&ATTRIBUTES), input.one_of(&TEXTS));
        let value = [der(OBJECT, attribute), der(tag, input.chunk())].concat();
        all.extend(der(SET, &der(SEQUENCE, &value)));
    }
    X509Name::from_der(&der(SEQUENCE, &all)).ok()
}

/// The alternative names. The tag is the type: 0x82 a DNS name, 0x87 an address, 0x81 an e-mail address.
fn alternatives(input: &mut Input) -> Option<X509Extension> {
    let mut all = Vec::new();
    for _ in 0..input.byte() % 12 {
        let tag = match input.byte() {
            n @ 0..=2 => [0x82, 0x87, 0x81][usize::from(n)],
            n => n,
        };
        all.extend(der(tag, input.chunk()));
    }
    let content = Asn1OctetString::new_from_bytes(&der(SEQUENCE, &all)).ok()?;
    let kind = Asn1Object::from_str("2.5.29.17").ok()?;
    X509Extension::new_from_der(&kind, false, &content).ok()
}

fn date(input: &mut Input, by: i64) -> Option<Asn1Time> {
    // From 2020 or 2040, plus up to 136 years.
    Asn1Time::from_unix(by + i64::from(input.u16()) * 65_536).ok()
}

fn made(input: &mut Input) -> Option<X509> {
    let flags = input.byte();
    let mut certificate = X509::builder().ok()?;
    certificate.set_version(2).ok()?;
    let subject = name(input)?;
    certificate.set_subject_name(&subject).ok()?;
    // Self-signed, or issued by another untrusted authority.
    let issuer = if flags & 1 == 0 { subject } else { name(input)? };
    certificate.set_issuer_name(&issuer).ok()?;
    let serial = BigNum::from_u32(u32::from(input.u16())).ok().and_then(|number| Asn1Integer::from_bn(&number).ok());
    certificate.set_serial_number(&*serial?).ok()?;
    let (from, to) = if flags & 2 == 0 { (1_577_836_800, 2_208_988_800) } else { (0, 0) };
    certificate.set_not_before(&*date(input, from)?).ok()?;
    certificate.set_not_after(&*date(input, to)?).ok()?;
    if flags & 4 == 0 {
        certificate.append_extension(alternatives(input)?).ok()?;
    }
    certificate.set_pubkey(key()).ok()?;
    certificate.sign(key(), MessageDigest::sha256()).ok()?;
    Some(certificate.build())
}

fn context(certificate: &X509) -> Option<SslContext> {
    let mut context = SslContextBuilder::new(SslMethod::tls_server()).ok()?;
    context.set_certificate(certificate).ok()?;
    context.set_private_key(key()).ok()?;
    Some(context.build())
}

pub fn certificate(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let Some(certificate) = made(&mut input) else { return };
    let (Some(context), Ok(pem)) = (context(&certificate), certificate.to_pem()) else { return };
    let mut wires = Wires::bind(Some(context));
    let flags = input.byte();
    let mut setup = Setup::to(&format!("ssl://{}", wires.address())).device_secret(DEVICE_SECRET).reconnect(0, 0);
    // Signed by its own authority, or by another one.
    setup = setup.tls_pem([Some(if flags & 1 == 0 { &pem } else { other() }), None, None]);
    setup = match flags & 6 {
        0 => setup,
        2 => setup.server_name("broker.example.com"),
        _ => setup.skip_name_check(),
    };
    let Ok(mut host) = setup.try_create() else { return };
    listen();
    host.connect();
    settle(&host, &mut wires);
    if wires.packet().is_some() {
        wires.send(&connack(5));
        settle(&host, &mut wires);
    }
    check_log();
    while let Some(told) = host.take() {
        check_words(&told.detail);
        assert_ne!(told.status, Status::ENOS_ERR_PANIC, "{told:?}");
    }
}
