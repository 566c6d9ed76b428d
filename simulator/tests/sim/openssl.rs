//! The port with TLS, the CA and the certificates, tested with OpenSSL's own program.

use crate::common::{program::Program, *};
use enos_sim::ca::{Authority, KeyKind, Profile, Validity};
use std::{
    fs,
    io::{Read, Write},
    os::{
        fd::OwnedFd,
        unix::{fs::PermissionsExt, net::UnixStream},
    },
    path::Path,
    process::{Command, Output, Stdio},
};

/// A client that uses the standard input and output of `openssl s_client`, which ends with it.
fn s_client(port: u16, args: &[&str], directory: &Path) -> Client<UnixStream> {
    let (ours, its) = UnixStream::pair().unwrap();
    ours.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut child = Command::new("openssl")
        .args(["s_client", "-quiet", "-no_ign_eof", "-nocommands", "-verify_return_error", "-CAfile", "ca.pem"])
        .args(["-verify_hostname", "localhost", "-servername", "localhost"])
        .args(["-connect", &format!("127.0.0.1:{port}")])
        .args(args)
        .current_dir(directory)
        .stdin(OwnedFd::from(its.try_clone().unwrap()))
        .stdout(OwnedFd::from(its))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::spawn(move || child.wait());
    Client::over(ours)
}

fn enos_sim(args: &[&str], directory: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_enos-sim")).args(args).current_dir(directory).output().unwrap()
}

/// Makes a CA and more with the subcommand; returns its output.
fn make_ca(args: &[&str], directory: &Path) -> String {
    let output = enos_sim(&[&["ca", "."], args].concat(), directory);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The output of OpenSSL, and whether it succeeded.
fn openssl(args: &str, directory: &Path) -> (bool, String) {
    let output = Command::new("openssl").args(args.split(' ')).current_dir(directory).output().unwrap();
    let words = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&words).into_owned())
}

const TLS: [&str; 6] = ["--tls-listen", "127.0.0.1:0", "--tls-cert", "server.pem", "--tls-key", "server.key"];
const DEMANDING: [&str; 3] = ["--tls-client-ca", "ca.pem", "--require-client-cert"];

/// A program with both ports, and the address of the TLS port.
fn program(args: &[&str], directory: &Path) -> (Program, u16) {
    let mut program = Program::start_in(directory, &[&TLS, args].concat());
    let listening = program.event();
    assert_eq!(listening["tls"], true);
    (program, listening["port"].as_u64().unwrap() as u16)
}

#[test]
fn a_foreign_client_is_activated() {
    for (key, version, words) in [("ec", "-tls1_3", "TLSv1.3"), ("rsa", "-tls1_2", "TLSv1.2")] {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        make_ca(&["--client", "dk", "--key", key], directory);
        let device = format!("pk,d2,{PRODUCT_SECRET}");
        let (mut program, port) = program(&[&DEMANDING[..], &["--device", &device]].concat(), directory);
        let args = [version, "-cert", "dk.pem", "-key", "dk.key"];
        let id = enos_sim::DeviceId::new("pk", "d2");
        let login = Login { id, ..Login::product() };

        let mut client = s_client(port, &args, directory);
        assert_eq!(client.login(&login), 0);
        let secret = client.next_json().1["params"]["deviceSecret"].as_str().unwrap().to_owned();
        let tls = program.wait_for("tls");
        assert_eq!((&tls["server_name"], &tls["client_certificate"]), (&"localhost".into(), &"CN=dk".into()));
        assert_eq!((&tls["version"], &tls["connection"]), (&words.into(), &1.into()));
        assert!(tls["cipher"].as_str().unwrap().contains("AES"), "{tls}");
        drop(client);

        let mut client = s_client(port, &args, directory);
        assert_eq!(client.login(&Login { secret, secure_mode: 2, ..login }), 0);
        let post_topic = POST.replace("/dk/", "/d2/");
        client.subscribe(&format!("{post_topic}_reply"), mqttbytes::QoS::AtMostOnce);
        client.publish(&post_topic, mqttbytes::QoS::AtMostOnce, post("1"));
        assert_eq!(client.next_json().1["code"], 200);
        drop(client);

        let mut client = s_client(port, &[version], directory);
        assert!(client.try_next().is_err());
        assert_eq!(program.wait_for("tls_failed")["reason"], "the client shows no certificate");
    }
}

#[test]
fn nothing_is_renegotiated() {
    let directory = tempfile::tempdir().unwrap();
    make_ca(&[], directory.path());
    let (_program, port) = program(&[], directory.path());
    let mut child = Command::new("openssl")
        .args(["s_client", "-tls1_2", "-CAfile", "ca.pem", "-connect", &format!("127.0.0.1:{port}")])
        .current_dir(directory.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The input stays open, because s_client would end with it, before it has an answer.
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"R\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(words.contains("no renegotiation"), "{words}");
}

#[test]
fn tls_alone_leaves_the_plain_port_closed() {
    let directory = tempfile::tempdir().unwrap();
    make_ca(&[], directory.path());
    let mut child = Command::new(env!("CARGO_BIN_EXE_enos-sim"))
        .args(TLS)
        .args(["--timeout", "1"])
        .current_dir(directory.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut words = String::new();
    child.stdout.take().unwrap().read_to_string(&mut words).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(words.lines().count() == 1 && words.ends_with("(TLS)\n"), "{words}");
}

#[test]
fn the_subcommand_makes_what_is_missing_and_no_more() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let told = make_ca(&["--client", "dk"], directory);
    let mode = |name: &str| fs::metadata(directory.join(name)).unwrap().permissions().mode() & 0o777;
    for name in ["ca", "server", "dk"] {
        assert!(told.contains(&format!("{name}.pem")) && told.contains(&format!("{name}.key")), "{told}");
        assert_eq!((mode(&format!("{name}.pem")), mode(&format!("{name}.key"))), (0o644, 0o600));
    }
    let (content, words) = openssl("verify -x509_strict -purpose sslserver -CAfile ca.pem server.pem", directory);
    assert!(content, "{words}");
    let (content, words) = openssl("verify -x509_strict -purpose sslclient -CAfile ca.pem dk.pem", directory);
    assert!(content, "{words}");
    for name in ["-checkhost localhost", "-checkip 127.0.0.1", "-checkip ::1"] {
        let (_, words) = openssl(&format!("x509 -in server.pem -noout {name}"), directory);
        assert!(words.contains("does match"), "{name}: {words}");
    }

    let before = |name: &str| fs::read(directory.join(name)).unwrap();
    let (ca, server) = (before("ca.pem"), before("server.pem"));
    make_ca(&["--client", "second"], directory);
    assert!(before("ca.pem") == ca && before("server.pem") == server);
    make_ca(&["--name", "mqtt.example", "--ip", "10.0.0.1", "--days", "2", "--key", "rsa"], directory);
    assert!(before("ca.pem") == ca);
    let (_, words) = openssl("x509 -in server.pem -noout -text -checkhost mqtt.example -checkip 10.0.0.1", directory);
    assert!(words.contains("2048 bit") && !words.contains("does NOT match"), "{words}");
    assert!(!openssl("x509 -in server.pem -noout -checkend 200000", directory).0, "three days from now it is over");
    assert!(openssl("verify -CAfile ca.pem server.pem second.pem", directory).0);
}

#[test]
fn a_request_is_certified_for_its_own_key_and_subject() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    for (kind, name) in [("EC -pkeyopt ec_paramgen_curve:P-256", "ec"), ("RSA -pkeyopt rsa_keygen_bits:2048", "rsa")] {
        assert!(openssl(&format!("genpkey -algorithm {kind} -out {name}.key"), directory).0);
        let subject = "/C=DE/O=Works/CN=dk";
        assert!(openssl(&format!("req -new -key {name}.key -subj {subject} -out {name}.csr"), directory).0);
        make_ca(&["--sign", &format!("{name}.csr")], directory);
        let (content, words) =
            openssl(&format!("verify -x509_strict -purpose sslclient -CAfile ca.pem {name}.pem"), directory);
        assert!(content, "{words}");
        let (_, words) = openssl(&format!("x509 -in {name}.pem -noout -subject -nameopt RFC2253"), directory);
        assert_eq!(words.trim(), "subject=CN=dk,O=Works,C=DE");
        let of_key = openssl(&format!("pkey -in {name}.key -pubout"), directory).1;
        assert_eq!(openssl(&format!("x509 -in {name}.pem -noout -pubkey"), directory).1, of_key);
    }
    // One changed byte of the subject makes the signature invalid.
    let pem = fs::read(directory.join("ec.csr")).unwrap();
    let mut der = openssl::x509::X509Req::from_pem(&pem).unwrap().to_der().unwrap();
    let at = der.windows(5).position(|bytes| bytes == b"Works").unwrap();
    der[at] = b'w';
    let forged = openssl::x509::X509Req::from_der(&der).unwrap().to_pem().unwrap();
    fs::write(directory.join("forged.csr"), forged).unwrap();
    let output = enos_sim(&["ca", ".", "--sign", "forged.csr"], directory);
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && words.contains("forged.csr: the request is not signed"), "{words}");
    assert!(!directory.join("forged.pem").exists());
}

#[test]
fn the_subcommand_says_what_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let fails = |args: &[&str]| {
        let output = enos_sim(args, directory.path());
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(fails(&["ca"]).contains("enos-sim ca DIR"));
    assert!(fails(&["ca", ".", "--ip", "localhost"]).contains("--ip"));
    assert!(fails(&["ca", ".", "--client", "../dk"]).contains("name of files"));
    assert!(fails(&["ca", ".", "--client", "server"]).contains("name of files"));
    assert!(fails(&["ca", ".", "--key", "dsa"]).contains("ec, rsa"));
    assert!(fails(&["ca", ".", "--days", "0"]).contains("--days"));
    assert!(fails(&["ca", ".", "--sign", "none.csr"]).contains("none.csr"));
    assert!(fails(&["ca", ".", "--colour"]).contains("--colour"));
    assert!(fails(&["ca", "/dev/null/x"]).contains("/dev/null/x"));
    fs::write(directory.path().join("ca.pem"), "nonsense").unwrap();
    assert!(fails(&["ca", "."]).contains("ca.pem: it contains no PEM certificate"), "and it is not replaced");
    assert!(fails(&["--tls-cert", "a.pem"]).contains("enos-sim ca DIR"));
    assert!(fails(&["--require-client-cert"]).contains("--tls-cert"));
    assert!(fails(&["--tls-min", "3"]).contains("1.0, 1.1, 1.2, 1.3"));
    assert!(fails(&["--tls-cert", "a.pem", "--tls-key", "a.key", "--tls-listen", "127.0.0.1:0"]).contains("a.pem"));
}

#[test]
fn the_library_makes_chains_dates_and_encrypted_keys() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let root = Authority::root("Root", KeyKind::Rsa2048).unwrap();
    root.write(directory).unwrap();
    let reopened = Authority::open(directory).unwrap();
    let intermediate = reopened.intermediate("Intermediate").unwrap();
    let leaf = intermediate.issue(&Profile::client("dk")).unwrap();
    leaf.write_encrypted(directory, "dk", "opensesame").unwrap();
    let count =
        |name: &str| fs::read_to_string(directory.join(name)).unwrap().matches("-----BEGIN CERTIFICATE-----").count();
    assert_eq!((count("ca.pem"), count("dk.pem")), (1, 2), "the root stays at home");
    let (content, words) = openssl("verify -x509_strict -CAfile ca.pem -untrusted dk.pem dk.pem", directory);
    assert!(content, "{words}");
    assert!(!openssl("verify -CAfile ca.pem dk.pem", directory).0, "without the intermediate");

    let key = fs::read_to_string(directory.join("dk.key")).unwrap();
    assert!(key.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"));
    assert!(openssl("pkey -in dk.key -passin pass:opensesame -noout", directory).0);
    assert!(!openssl("pkey -in dk.key -passin pass:sesame -noout", directory).0);

    let verify = |profile: Profile| {
        root.issue(&profile).unwrap().write(directory, "dated").unwrap();
        openssl("verify -CAfile ca.pem dated.pem", directory).1
    };
    assert!(verify(Profile::client("dk").valid(Validity::days(-2, -1))).contains("certificate has expired"));
    assert!(verify(Profile::client("dk").valid(Validity::days(1, 2))).contains("certificate is not yet valid"));
    assert!(verify(Profile::client("dk").valid(Validity::seconds(-60, 60))).contains("OK"));
}
