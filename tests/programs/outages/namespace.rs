//! A real network that is cut: two connected network namespaces, in a user namespace of the test's own.

use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::mpsc::{channel, Receiver, Sender};
use std::thread;
use std::time::Duration;

use super::outage::{hurried, within_budget, Device, Row, Times};
use support::mosquitto::Mosquitto;
use support::proxy::{Connect, Proxy, Wire};

/// Set for the process that runs inside.
const INSIDE: &str = "ENOS_OUTAGES_INSIDE";
/// The test that contains this one.
const TEST: &str = "outages::every_outage_is_told_and_survived_within_the_budget";
const RESULT: &str = "cut and joined:";
const OUTAGE: &str = "network interface down, up again 5 s after it was told";
const WORDS: &str = "Sent data stays in the kernel, so only the keep-alive shows the loss. Attempts meanwhile fail \
         at once, without a CONNECT.";

pub fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

fn ip(arguments: &str) -> bool {
    let mut command = Command::new("ip");
    command.env("PATH", format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default()));
    command.args(arguments.split(' ')).status().is_ok_and(|status| status.success())
}

/// The reason if this machine does not let the test make networks.
fn refusal() -> Option<String> {
    let mut probe = Command::new("unshare");
    probe.args(["-rn", "sh", "-c", "PATH=$PATH:/usr/sbin:/sbin; ip link add left type veth peer name right"]);
    match probe.stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Some(error.to_string()),
    }
}

/// The row, or the reason why there is none.
pub fn cut_and_joined() -> Result<Row, String> {
    if let Some(refusal) = refusal() {
        return Err(format!("this machine has no network namespaces for its users: {refusal}"));
    }
    let mut inside = Command::new("unshare");
    inside.arg("-rn").arg(std::env::current_exe().unwrap()).args([TEST, "--exact", "--nocapture", "--test-threads=1"]);
    // SAFETY: one system call, safe between fork and exec: it is not to outlive this program.
    unsafe {
        inside.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        });
    }
    let output = inside.env(INSIDE, "1").stdin(Stdio::null()).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    let line = out.lines().find_map(|line| line.split_once(RESULT)).unwrap_or_else(|| panic!("{out}")).1;
    let fields: Vec<&str> = line.split_whitespace().collect();
    let ms = |field: &str| Duration::from_millis(field.parse().unwrap());
    let times = Times { told: ms(fields[0]), status: fields[1].to_owned(), back: Some(ms(fields[2])) };
    Ok(Row { outage: OUTAGE, times: Some(times), connects: fields[3].parse().unwrap(), words: WORDS })
}

/// Runs in the process inside, which has the device's side of the cable.
pub fn run_inside() {
    let far = Far::start();
    assert!(ip("addr add 10.77.0.1/24 dev near") && ip("link set near up"));
    let mut device = Device::online(hurried(&format!("tcp://{}", far.address), "cut"));
    let cut = || assert!(ip("link set near down"));
    let times = device.through(cut, Duration::from_secs(5), || assert!(ip("link set near up"))).unwrap();
    drop(device);
    let connects = within_budget(&far.end());
    let back = times.back.unwrap();
    println!("{RESULT} {} {} {} {connects}", times.told.as_millis(), times.status, back.as_millis());
}

/// The broker's side: a thread in its own network namespace, and the processes that it starts.
struct Far {
    address: SocketAddr,
    end: Sender<()>,
    connects: Receiver<Vec<Connect>>,
}

impl Far {
    fn start() -> Far {
        let (tell_thread, thread) = channel();
        let (plug, plugged) = channel();
        let (tell_address, address) = channel();
        let (end, ended) = channel();
        let (result, connects) = channel();
        thread::spawn(move || {
            // SAFETY: no memory is involved; it concerns this thread alone.
            assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWNET) }, 0);
            // SAFETY: no memory is involved.
            tell_thread.send(unsafe { libc::gettid() }).unwrap();
            plugged.recv().unwrap();
            assert!(ip("link set lo up") && ip("addr add 10.77.0.2/24 dev far") && ip("link set far up"));
            // The namespace has only one user, so Mosquitto must not drop root for another user.
            let broker = Mosquitto::start_with("allow_anonymous true\nuser root\n");
            let proxy = Proxy::bind("10.77.0.2:0".parse().unwrap(), broker.address(), Wire::Mqtt);
            tell_address.send(proxy.address()).unwrap();
            ended.recv().unwrap();
            result.send(proxy.connects()).unwrap();
        });
        let thread = thread.recv().unwrap();
        assert!(ip("link add near type veth peer name far") && ip(&format!("link set far netns {thread}")));
        plug.send(()).unwrap();
        Far { address: address.recv().unwrap(), end, connects }
    }

    fn end(self) -> Vec<Connect> {
        self.end.send(()).unwrap();
        self.connects.recv().unwrap()
    }
}
