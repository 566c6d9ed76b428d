//! The simulator's inputs: its file, and packets of devices.

use enos_sim::{read_file, Cloud, Config, Fault};
use std::fs::File;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd};
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;
use support::desk::device_id;
use support::host::DEVICE_SECRET;

/// The file of devices, and a single fault.
pub fn file(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        if let Ok(fault) = text.parse::<Fault>() {
            assert_eq!(fault.to_string().parse::<Fault>().as_ref(), Ok(&fault));
        }
    }
    // SAFETY: a name, and a descriptor that is new.
    let mut file = unsafe { File::from_raw_fd(libc::memfd_create(c"fuzz".as_ptr(), libc::MFD_CLOEXEC)) };
    file.write_all(bytes).unwrap();
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let _ = read_file(Path::new(&path));
}

fn cloud() -> &'static Cloud {
    static CLOUD: OnceLock<Cloud> = OnceLock::new();
    CLOUD.get_or_init(|| {
        let device = enos_sim::Device::active(device_id(), DEVICE_SECRET);
        let listen = "127.0.0.1:0".parse().unwrap();
        Cloud::start(Config { listen, devices: vec![device], ..Config::default() }, |_| ()).unwrap()
    })
}

/// One connection with any packets: the simulator closes it when the device has closed it, and keeps running.
pub fn packets(bytes: &[u8]) {
    let mut stream = TcpStream::connect(cloud().address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
            panic!("the simulator neither answers nor closes")
        }
        _ => assert!(answer.len() < 10_000_000),
    }
}
