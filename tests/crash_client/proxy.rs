//! Between a device and its cloud: forwards MQTT packet by packet, and can kill the device at any of them.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// When the device dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    Never,
    /// At the n-th packet, of both directions together, from 1: in place of passing it on, or after that.
    Before(usize),
    After(usize),
}

/// For what is about to happen.
pub fn wait_until(holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(60), "it did not happen");
        thread::yield_now();
    }
}

/// The first byte of a CONNECT.
const CONNECT: u8 = 0x10;

struct Shared {
    cloud: SocketAddr,
    point: Mutex<Point>,
    packets: AtomicUsize,
    /// CONNECTs passed on, in all runs.
    connects: AtomicUsize,
    /// Ways of a connection, of which each has two, that have not come to their end.
    open: AtomicUsize,
    /// What is left of an earlier run's connections does not count.
    run: AtomicUsize,
    device: AtomicI32,
    /// One packet at a time, whichever way it goes: so their number means something.
    order: Mutex<()>,
}

pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Proxy {
    pub fn start(cloud: SocketAddr) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            cloud,
            point: Mutex::new(Point::Never),
            packets: AtomicUsize::new(0),
            connects: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            run: AtomicUsize::new(0),
            device: AtomicI32::new(0),
            order: Mutex::new(()),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || accept(&accepting, &listener));
        Proxy { address, shared }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Packets count anew from here on. To be called before the device is started.
    pub fn arm(&self, point: Point) {
        let _order = self.shared.order.lock().unwrap();
        self.shared.run.fetch_add(1, Ordering::SeqCst);
        self.shared.device.store(0, Ordering::SeqCst);
        self.shared.packets.store(0, Ordering::SeqCst);
        *self.shared.point.lock().unwrap() = point;
    }

    /// Names the process that is to die. Packets wait for it.
    pub fn device(&self, pid: u32) {
        self.shared.device.store(pid as i32, Ordering::SeqCst);
    }

    pub fn connects(&self) -> usize {
        self.shared.connects.load(Ordering::SeqCst)
    }

    /// How many there were, once the device is gone: its last ones may be on their way still.
    pub fn packets(&self) -> usize {
        wait_until(|| self.shared.open.load(Ordering::SeqCst) == 0);
        self.shared.packets.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Its thread waits for a connection, and ends after one that comes while the device is -1.
        self.shared.device.store(-1, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

fn accept(shared: &Arc<Shared>, listener: &TcpListener) {
    while let Ok((device, _)) = listener.accept() {
        if shared.device.load(Ordering::SeqCst) < 0 {
            return;
        }
        let Ok(cloud) = TcpStream::connect(shared.cloud) else { continue };
        let run = shared.run.load(Ordering::SeqCst);
        for (from, to) in [(&device, &cloud), (&cloud, &device)] {
            let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
            let shared = Arc::clone(shared);
            shared.open.fetch_add(1, Ordering::SeqCst);
            thread::spawn(move || {
                let _ = forward(&shared, run, &from, &to);
                let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
                shared.open.fetch_sub(1, Ordering::SeqCst);
            });
        }
    }
}

fn forward(shared: &Shared, run: usize, mut from: &TcpStream, mut to: &TcpStream) -> io::Result<()> {
    loop {
        let packet = read_packet(&mut from)?;
        let _order = shared.order.lock().unwrap();
        if run != shared.run.load(Ordering::SeqCst) {
            return Ok(());
        }
        let number = shared.packets.fetch_add(1, Ordering::SeqCst) + 1;
        let point = *shared.point.lock().unwrap();
        if point == Point::Before(number) {
            shared.kill();
            return Ok(());
        }
        shared.connects.fetch_add(usize::from(packet[0] == CONNECT), Ordering::SeqCst);
        to.write_all(&packet)?;
        if point == Point::After(number) {
            shared.kill();
        }
    }
}

impl Shared {
    fn kill(&self) {
        // The device may be faster than the test that started it.
        wait_until(|| self.device.load(Ordering::SeqCst) != 0);
        // SAFETY: no memory is involved; the pid is that of a child that was not waited for yet.
        unsafe { libc::kill(self.device.load(Ordering::SeqCst), libc::SIGKILL) };
    }
}

/// A whole packet as it stands on the wire.
fn read_packet(from: &mut impl Read) -> io::Result<Vec<u8>> {
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
    let header = packet.len();
    packet.resize(header + length, 0);
    from.read_exact(&mut packet[header..])?;
    Ok(packet)
}
