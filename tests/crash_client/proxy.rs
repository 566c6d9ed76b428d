//! Between a device and its cloud: forwards MQTT packet by packet, and can kill the device at any of them.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// When the device dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    Never,
    /// Before or after the n-th packet, of both directions together, is passed on. From 1.
    Before(usize),
    After(usize),
}

struct Shared {
    cloud: SocketAddr,
    point: Mutex<Point>,
    packets: AtomicUsize,
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

    pub fn packets(&self) -> usize {
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
            thread::spawn(move || {
                let _ = forward(&shared, run, &from, &to);
                let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
            });
        }
    }
}

fn forward(shared: &Shared, run: usize, mut from: &TcpStream, mut to: &TcpStream) -> io::Result<()> {
    loop {
        let packet = read_packet(&mut from)?;
        let _order = shared.order.lock().unwrap();
        if run != shared.run.load(Ordering::SeqCst) {
            to.write_all(&packet)?;
            continue;
        }
        let number = shared.packets.fetch_add(1, Ordering::SeqCst) + 1;
        let point = *shared.point.lock().unwrap();
        if point == Point::Before(number) {
            shared.kill();
        }
        to.write_all(&packet)?;
        if point == Point::After(number) {
            shared.kill();
        }
    }
}

impl Shared {
    fn kill(&self) {
        // The device may be faster than the test that started it.
        while self.device.load(Ordering::SeqCst) == 0 {
            thread::yield_now();
        }
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
