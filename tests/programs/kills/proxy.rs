//! Between a device and its cloud: forwards packet by packet, and can kill the device at any of them.
//!
//! Over TLS, which hides MQTT's packets, its records are the packets.

use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::transport::Transport;

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

struct Shared {
    cloud: SocketAddr,
    transport: Transport,
    point: Mutex<Point>,
    packets: AtomicUsize,
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
    pub fn start(cloud: SocketAddr, transport: Transport) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            cloud,
            transport,
            point: Mutex::new(Point::Never),
            packets: AtomicUsize::new(0),
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

    /// How many there were, once the device is gone and the cloud has done with its connections.
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
                // The cloud ends its side only when it has seen to all that came from the other.
                let _ = to.shutdown(Shutdown::Write);
                let _ = io::copy(&mut &from, &mut io::sink());
                shared.open.fetch_sub(1, Ordering::SeqCst);
            });
        }
    }
}

fn forward(shared: &Shared, run: usize, mut from: &TcpStream, mut to: &TcpStream) -> io::Result<()> {
    loop {
        let packet = shared.transport.read_packet(&mut from)?;
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
