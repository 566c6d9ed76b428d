//! `enos-sim ca DIR`: a CA and its certificates, as files.

use enos_sim::ca::{self, Authority, Files, KeyKind, Profile, Validity};
use lexopt::{Arg, Parser, ValueExt};
use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
};

use crate::args::one_of;

/// The files to make.
#[derive(Debug)]
pub struct Options {
    directory: PathBuf,
    names: Vec<String>,
    addresses: Vec<IpAddr>,
    clients: Vec<String>,
    requests: Vec<PathBuf>,
    kind: KeyKind,
    days: u32,
}

/// Parses the rest of the command line.
pub fn parse(mut parser: Parser) -> Result<Options, String> {
    let mut options = Options {
        directory: PathBuf::new(),
        names: Vec::new(),
        addresses: Vec::new(),
        clients: Vec::new(),
        requests: Vec::new(),
        kind: KeyKind::default(),
        days: 365,
    };
    while let Some(arg) = parser.next().map_err(|error| error.to_string())? {
        let name = match arg {
            Arg::Long(name) => name.to_owned(),
            Arg::Value(directory) if options.directory.as_os_str().is_empty() => {
                options.directory = directory.into();
                continue;
            }
            arg => return Err(arg.unexpected().to_string()),
        };
        let mut value = || parser.value().and_then(|value| value.string()).map_err(|error| error.to_string());
        match name.as_str() {
            "name" => options.names.push(value()?),
            "ip" => options.addresses.push(value()?.parse().map_err(|error| format!("--ip: {error}"))?),
            "client" => options.clients.push(file_name(value()?)?),
            "sign" => options.requests.push(value()?.into()),
            "key" => {
                let known = [("ec", KeyKind::EcP256), ("rsa", KeyKind::Rsa2048)];
                options.kind = one_of(&value()?, &known).map_err(|error| format!("--key: {error}"))?;
            }
            "days" => {
                let days = value()?.parse().ok().filter(|days| (1..=36_500).contains(days));
                options.days = days.ok_or("--days: it is a number from 1 to 36500")?;
            }
            _ => return Err(format!("unknown option --{name} for ca; see --help")),
        }
    }
    if options.directory.as_os_str().is_empty() {
        return Err("ca needs a directory: enos-sim ca DIR".into());
    }
    Ok(options)
}

/// A client's name is also the name of its files.
fn file_name(name: String) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let is_taken = name == "ca" || name == "server";
    if name.is_empty() || name.starts_with('.') || !name.chars().all(is_plain) || is_taken {
        return Err(format!("--client: \"{name}\" cannot be the name of files: a-z, 0-9, \".\", \"_\" and \"-\" can"));
    }
    Ok(name)
}

/// Makes the files, and returns a text that lists them.
pub fn make(options: &Options) -> io::Result<String> {
    let directory = &options.directory;
    fs::create_dir_all(directory)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", directory.display())))?;
    let mut report = String::new();
    let mut tell = |made: &Path, what: &str| report.push_str(&format!("{}  {what}\n", made.display()));

    let validity = Validity::days(-1, options.days as i32);
    let authority = match Files::of(directory, "ca") {
        files if files.certificate.exists() && files.key.exists() => Authority::open(directory)?,
        files => {
            let authority = Authority::root("enos-sim test CA", options.kind)?;
            authority.write(directory)?;
            tell(&files.certificate, "the CA: what devices, and --tls-client-ca, trust");
            tell(&files.key, "its key, unprotected: trust this CA on a desk only");
            authority
        }
    };
    let is_named = !(options.names.is_empty() && options.addresses.is_empty());
    if is_named || !Files::of(directory, "server").certificate.exists() {
        let (profile, names) = server(options);
        let files = authority.issue(&profile.key(options.kind).valid(validity))?.write(directory, "server")?;
        tell(&files.certificate, &format!("the server, for {names}: --tls-cert"));
        tell(&files.key, "its key: --tls-key");
    }
    for name in &options.clients {
        let profile = Profile::client(name).key(options.kind).valid(validity);
        let files = authority.issue(&profile)?.write(directory, name)?;
        tell(&files.certificate, &format!("the client {name}"));
        tell(&files.key, "its key");
    }
    for request in &options.requests {
        let certificate = authority.certify(&ca::read(request)?, &Profile::client("").valid(validity));
        let named = |error| io::Error::other(format!("{}: {error}", request.display()));
        let path = request.with_extension("pem");
        ca::replace(&path, &certificate.map_err(named)?, 0o644)?;
        tell(&path, &format!("the certificate that {} asks for", request.display()));
    }
    Ok(report)
}

/// The default is this machine.
fn server(options: &Options) -> (Profile, String) {
    let (mut names, mut addresses) = (options.names.clone(), options.addresses.clone());
    if names.is_empty() && addresses.is_empty() {
        names.push("localhost".into());
        addresses.extend([IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()]);
    }
    let profile = names.iter().fold(Profile::server(), |profile, name| profile.dns(name));
    let profile = addresses.iter().fold(profile, |profile, address| profile.ip(*address));
    names.extend(addresses.iter().map(ToString::to_string));
    (profile, names.join(", "))
}
