//! nginx, a web server that nobody here wrote, on a free loopback port, with a configuration of its own.

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::broker::PATIENCE;
use crate::tls::Pki;

/// A running server of the files in a directory. It is killed when this is dropped, and by the kernel when the test
/// program dies.
pub struct Nginx {
    child: Child,
    port: u16,
    scheme: &'static str,
    directory: tempfile::TempDir,
}

/// A request in its log.
#[derive(Debug)]
pub struct Logged {
    /// The Range header; "-" if there was none.
    pub range: String,
    pub status: u16,
}

impl Nginx {
    /// With TLS, if there is an authority. `None` if nginx is not installed, which is said.
    pub fn start(pki: Option<&Pki>, extra: &str) -> Option<Nginx> {
        let program = ["/usr/sbin/nginx", "/usr/bin/nginx", "/usr/local/sbin/nginx"]
            .into_iter()
            .find(|it| Path::new(it).exists());
        let Some(program) = program else {
            // Past the capture of a test's output.
            let _ = writeln!(std::io::stderr(), "\nskipped: nginx is not installed");
            return None;
        };
        let directory = tempfile::tempdir().unwrap();
        let files = pki.map(|pki| pki.write("nginx", &pki.server()));
        // Another program may take the port before the server binds it.
        for _ in 0..20 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            configure(directory.path(), port, files.as_ref(), extra);
            if let Some(child) = run(program, directory.path(), port) {
                let scheme = if pki.is_some() { "https" } else { "http" };
                return Some(Nginx { child, port, scheme, directory });
            }
        }
        panic!("nginx does not start");
    }

    pub fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    pub fn url(&self, file: &str) -> String {
        format!("{}://{}/{file}", self.scheme, self.address())
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join("files").join(name)
    }

    /// The requests that are over.
    pub fn log(&self) -> Vec<Logged> {
        let text = std::fs::read_to_string(self.directory.path().join("access.log")).unwrap_or_default();
        let logged = text.lines().filter_map(|line| line.split_once(' '));
        logged.map(|(status, range)| Logged { range: range.into(), status: status.parse().unwrap() }).collect()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn configure(directory: &Path, port: u16, files: Option<&[String; 2]>, extra: &str) {
    std::fs::create_dir_all(directory.join("files")).unwrap();
    let (ssl, tls) = match files {
        Some([cert, key]) => (" ssl", format!("ssl_certificate {cert}; ssl_certificate_key {key};")),
        None => ("", String::new()),
    };
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("    {name}_temp_path {};\n", directory.join(name).display()))
        .concat();
    let at = directory.display();
    let text = format!(
        "daemon off;\nmaster_process off;\npid {at}/pid;\nerror_log {at}/error.log;\nevents {{}}\nhttp {{\n{temporary}    \
         log_format ranges '$status $http_range';\n    access_log {at}/access.log ranges;\n    default_type \
         application/octet-stream;\n    sendfile on;\n    server {{\n        listen 127.0.0.1:{port}{ssl};\n        {tls}\n        \
         root {at}/files;\n        {extra}\n    }}\n}}\n"
    );
    std::fs::write(directory.join("nginx.conf"), text).unwrap();
}

/// Starts it and waits until it listens; `None` if it ended instead.
fn run(program: &str, directory: &Path, port: u16) -> Option<Child> {
    let mut command = Command::new(program);
    command.arg("-p").arg(directory).arg("-c").arg(directory.join("nginx.conf"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // SAFETY: prctl is async-signal-safe.
    unsafe {
        command.pre_exec(|| {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            Ok(())
        })
    };
    let mut child = command.spawn().unwrap();
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        if child.try_wait().unwrap().is_some() {
            return None;
        }
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return Some(child);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let _ = (child.kill(), child.wait());
    panic!("nginx does not listen");
}
