//! Runs the commands of docs/provisioning.md unchanged.

use std::{
    fs,
    io::Write,
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

/// The whole page in order. The steps of a renewal run again where the text says so, and then the old pair is removed.
fn script(chapters: &[(String, String)]) -> String {
    let chapter = |heading: &str| commands(chapters, heading);
    let provision = [
        chapter("On the device: a key and a request"),
        chapter("Elsewhere: the certificate"),
        chapter("On the device: check it and put it in place"),
    ]
    .concat();
    let script = [
        commands(chapters, ""),
        "trap 'kill \"${sim:-}\" 2> /dev/null || true' EXIT\n",
        chapter("On a desk: a CA and a broker"),
        chapter("On the device: the user and the directories"),
        &provision,
        "cp -r \"$TLS\" first\n",
        &provision,
        chapter("Renewal, without a restart"),
        chapter("On the desk again"),
    ]
    .concat();
    assert!(chapters.iter().all(|(_, commands)| script.contains(commands.as_str())), "no command is left out");
    script
}

fn succeed(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let words = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{words}");
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// In an empty directory, with other paths than on the page, and for the user that runs the test.
#[test]
fn a_device_is_provisioned_and_renewed() {
    let root = tempfile::tempdir().unwrap();
    let (tls, store, work) = (root.path().join("tls"), root.path().join("store"), root.path().join("work"));
    fs::create_dir(&work).unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_enos-sim")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let mine = |what| String::from_utf8(Command::new("id").arg(what).output().unwrap().stdout).unwrap();
    // The port is free until it is used; it is very unlikely that another process takes it in between.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut shell = Command::new("sh");
    shell.args(["-c", &script(&chapters())]).current_dir(&work).env("PATH", path).env("TLS", &tls).env("STORE", &store);
    shell.env("OWNER", mine("-un").trim()).env("GROUP", mine("-gn").trim());
    succeed(shell.env("BROKER", format!("localhost:{port}")));

    let current = fs::read_link(tls.join("current")).unwrap();
    let pair = tls.join(&current);
    assert_eq!((mode(&tls), mode(&pair), mode(&store)), (0o750, 0o750, 0o700));
    assert_eq!((mode(&pair.join("device.key")), mode(&pair.join("device.pem"))), (0o640, 0o644));
    assert_eq!(mode(&tls.join("ca.pem")), 0o644);
    let mut left: Vec<_> = fs::read_dir(&tls).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["ca.pem".into(), "current".into(), current.into_os_string()], "the old pair is gone");
    let first = work.join("first/current/device.pem");
    assert_ne!(fs::read(first).unwrap(), fs::read(pair.join("device.pem")).unwrap());

    let log = fs::read_to_string(work.join("desk-ca/log")).unwrap();
    let shown = "localhost, client certificate: C=DE, ST=Hamburg, L=Hamburg, O=Works, OU=Pumps, CN=pump-0001";
    assert_eq!(log.matches(shown).count(), 2, "{log}");
    assert!(!log.contains("FAILED"), "{log}");
}

/// A system of its own in the directory `$1`, with only this machine's programs: no user except root, no group, no name
/// except localhost. `$2` is enos-sim, `$3` the page's commands, `$4` the commands that make the key.
const CONTAINER: &str = r#"
set -eu
mount -t tmpfs tmpfs "$1"
cd "$1"
mkdir usr dev proc tmp work opt etc etc/ssl
mount --rbind /usr usr
mount --rbind /dev dev
mount --rbind /proc proc
for name in bin sbin lib lib64; do
    if [ -L "/$name" ]; then cp -P "/$name" .
    elif [ -d "/$name" ]; then mkdir "$name"; mount --rbind "/$name" "$name"; fi
done
echo 'root:x:0:0:root:/:/bin/sh' > etc/passwd
echo 'root:x:0:' > etc/group
echo '127.0.0.1 localhost' > etc/hosts
cp -L /etc/ssl/openssl.cnf etc/ssl/
cp "$2" opt/enos-sim
ip link set lo up
inside() { env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin:/opt chroot . sh -c "cd /work && $1"; }

# A directory that cannot be made ends it; and there is no key at the top even where nobody has said that it shall end.
if inside "export TLS=/proc/none; $3" > tmp/log 2>&1; then echo 'it went on'; exit 1; fi
inside "TLS=/proc/none SUBJECT=/CN=x; $4" > tmp/log 2>&1 || true
if [ -n "$(find . -xdev -name device.key)" ]; then echo 'a key'; exit 1; fi

inside "$3"
inside "stat -c '%a %U:%G' /var/lib/my-device | grep -qx '700 enos:enos'"
inside "stat -L -c '%a %U:%G' /etc/enos/tls/current/device.key | grep -qx '640 root:enos'"
"#;

#[test]
fn the_page_makes_what_it_needs_in_a_system_that_has_nothing() {
    let root = tempfile::tempdir().unwrap();
    let unshare = |command: &[&str]| {
        let mut unshare = Command::new("unshare");
        unshare.args(["--mount", "--net"]).args(command).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        unshare
    };
    // Only root can make groups and change the group of files. SAFETY: asks who runs this.
    let refusal = match unsafe { libc::geteuid() } {
        0 => unshare(&["true"]).output().ok().filter(|output| !output.status.success()).map(|_| "no namespaces"),
        _ => Some("the test is not run by root"),
    };
    if let Some(refusal) = refusal {
        let words = format!("\nskipped: docs/provisioning.md in a system of its own: {refusal}\n");
        return std::io::stderr().write_all(words.as_bytes()).unwrap();
    }
    let chapters = chapters();
    let key = commands(&chapters, "On the device: a key and a request");
    let mut inside = unshare(&["sh", "-c", CONTAINER, "sh"]);
    succeed(inside.arg(root.path()).args([env!("CARGO_BIN_EXE_enos-sim"), &script(&chapters), key]));
}

#[test]
fn what_is_installed_has_enos_sim_unless_it_is_without_tls() {
    let directory = tempfile::tempdir().unwrap();
    let makefile = fs::canonicalize("../Makefile").unwrap();
    let install = || {
        let mut make = Command::new("make");
        make.arg("-n").arg("-f").arg(&makefile).arg("install").current_dir(directory.path());
        String::from_utf8_lossy(&make.output().unwrap().stdout).into_owned()
    };
    assert!(install().contains(" -DENOS_BUILD_SIMULATOR=ON "));
    fs::create_dir(directory.path().join("build")).unwrap();
    fs::write(directory.path().join("build/CMakeCache.txt"), "ENOS_WITH_TLS:BOOL=OFF\n").unwrap();
    assert!(install().contains(" -DENOS_BUILD_SIMULATOR=OFF "));
}
