//! The commands of docs/provisioning.md, run as they stand there.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
};

const PAGE: &str = include_str!("../../../docs/provisioning.md");

/// The headings, and the commands under each.
fn chapters() -> Vec<(String, String)> {
    let mut chapters = vec![(String::new(), String::new())];
    let mut fence = None;
    for line in PAGE.lines() {
        match (fence, line.trim_start().strip_prefix("```")) {
            (None, Some(language)) => {
                assert!(["sh", "c", "console"].contains(&language), "{language}");
                fence = Some(language);
            }
            (Some(_), Some(_)) => fence = None,
            (Some("sh"), None) => {
                let (_, commands) = chapters.last_mut().unwrap();
                commands.push_str(line);
                commands.push('\n');
            }
            (None, None) if line.starts_with("## ") => chapters.push((line[3..].to_owned(), String::new())),
            _ => {}
        }
    }
    assert!(fence.is_none());
    chapters
}

fn commands<'a>(chapters: &'a [(String, String)], heading: &str) -> &'a str {
    let found = chapters.iter().find(|(known, _)| known == heading);
    found.map(|(_, commands)| commands.as_str()).filter(|commands| !commands.is_empty()).expect(heading)
}

#[test]
fn a_device_is_provisioned_and_renewed() {
    let work = tempfile::tempdir().unwrap();
    let (tls, ca) = (work.path().join("tls"), work.path().join("ca"));
    let chapters = chapters();
    let chapter = |heading: &str| commands(&chapters, heading);
    let provision = [
        chapter("On the device: a key and a request"),
        chapter("Elsewhere: the certificate"),
        chapter("On the device: check it and put it in place"),
    ]
    .concat();
    // What the text asks for: the same once more, then the old pair goes.
    let script = [
        "set -eu\ntrap 'kill \"${sim:-}\" 2> /dev/null || true' EXIT\n",
        commands(&chapters, ""),
        chapter("On a desk: a CA and a broker"),
        &provision,
        "cp -r \"$TLS\" \"$TLS.first\"\n",
        &provision,
        chapter("Renewal, without a restart"),
        chapter("On the desk again"),
    ]
    .concat();
    assert!(chapters.iter().all(|(_, commands)| script.contains(commands.as_str())), "no command is left out");

    let program = Path::new(env!("CARGO_BIN_EXE_enos-sim")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let group = Command::new("id").arg("-gn").output().unwrap().stdout;
    // Freed before it is used: that another takes it in between is one chance in thousands.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let output = Command::new("sh")
        .args(["-c", &script])
        .env("PATH", path)
        .env("TLS", &tls)
        .env("CA", &ca)
        .env("GROUP", String::from_utf8(group).unwrap().trim())
        .env("BROKER", format!("localhost:{port}"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let words = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{words}");

    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    let current = fs::read_link(tls.join("current")).unwrap();
    let pair = tls.join(&current);
    assert_eq!((mode(&tls), mode(&pair)), (0o750, 0o750));
    assert_eq!((mode(&pair.join("device.key")), mode(&pair.join("device.pem"))), (0o640, 0o644));
    assert_eq!(mode(&tls.join("ca.pem")), 0o644);
    let mut left: Vec<_> = fs::read_dir(&tls).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["ca.pem".into(), "current".into(), current.into_os_string()], "the old pair is gone");
    let first = work.path().join("tls.first/current/device.pem");
    assert_ne!(fs::read(first).unwrap(), fs::read(pair.join("device.pem")).unwrap());

    let log = fs::read_to_string(ca.join("log")).unwrap();
    let shown = "localhost, client certificate: C=DE, ST=Hamburg, L=Hamburg, O=Works, OU=Pumps, CN=pump-0001";
    assert_eq!(log.matches(shown).count(), 2, "{log}");
    assert!(!log.contains("FAILED"), "{log}");
}
