//! A proxy between a device and its cloud. It forwards packet by packet and records each CONNECT with its time. It can
//! drop packets without a reset, kill the device or end the connection at any packet, and cut the cloud's data at any byte.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The two directions of packets.
pub const TO_BROKER: usize = 0;
pub const TO_DEVICE: usize = 1;

/// The units that the proxy counts: MQTT packets or, with TLS, records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    Mqtt,
    Tls,
}

/// When the device dies, or its connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    Never,
    /// At the n-th packet of both directions together, from 1: instead of forwarding it, or after that.
    Before(usize),
    After(usize),
    /// The connection ends in the place of the n-th packet. The next one counts on.
    End(usize),
}

/// What happens to the cloud's data in a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    Nothing,
    /// The connection is closed after this many bytes.
    Close(usize),
    /// The connection is reset.
    Reset(usize),
    /// This byte is changed.
    Flip(usize),
}

/// A CONNECT that was forwarded.
#[derive(Clone, Copy, Debug)]
pub struct Connect {
    pub at: Instant,
    /// The timestamp in its client id.
    pub timestamp_ms: u64,
}

struct Shared {
    wire: Wire,
    cloud: SocketAddr,
    swallow: [AtomicBool; 2],
    connects: Mutex<Vec<Connect>>,
    streams: Mutex<Vec<TcpStream>>,
    closed: AtomicBool,
    point: Mutex<Point>,
    /// The forwarded bytes of the cloud.
    cut: Mutex<Option<(Cut, Vec<u8>)>>,
    packets: AtomicUsize,
    /// Open directions; each connection has two.
    open: AtomicUsize,
    /// Connections of an earlier run do not count.
    run: AtomicUsize,
    device: AtomicI32,
    /// One packet at a time in both directions together, so that their numbers are well-defined.
    order: Mutex<()>,
}

pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

impl Proxy {
    pub fn start(cloud: SocketAddr) -> Proxy {
        Proxy::bind("127.0.0.1:0".parse().unwrap(), cloud, Wire::Mqtt)
    }

    pub fn bind(address: SocketAddr, cloud: SocketAddr, wire: Wire) -> Proxy {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            wire,
            cloud,
            swallow: Default::default(),
            connects: Mutex::default(),
            streams: Mutex::default(),
            closed: AtomicBool::new(false),
            point: Mutex::new(Point::Never),
            cut: Mutex::new(None),
            packets: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            run: AtomicUsize::new(0),
            device: AtomicI32::new(0),
            order: Mutex::new(()),
        });
        let accepting = Arc::clone(&shared);
        let accepting = Some(thread::spawn(move || accept(&accepting, &listener)));
        Proxy { address, shared, accepting }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn connects(&self) -> Vec<Connect> {
        self.shared.connects.lock().unwrap().clone()
    }

    /// Starts or stops dropping everything in this direction, including the end of a connection.
    pub fn swallow(&self, way: usize, on: bool) {
        self.shared.swallow[way].store(on, SeqCst);
    }

    /// Ends every connection.
    pub fn cut(&self) {
        for stream in self.shared.streams.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Stops listening, and ends every connection.
    pub fn close(&mut self) {
        let Some(accepting) = self.accepting.take() else { return };
        self.shared.closed.store(true, SeqCst);
        // Wakes the thread, which waits for a connection.
        let _ = TcpStream::connect(self.address);
        accepting.join().unwrap();
        self.cut();
    }

    /// Counts packets from 0 again. Call it before the device is started.
    pub fn arm(&self, point: Point) {
        let _order = self.shared.order.lock().unwrap();
        self.shared.run.fetch_add(1, SeqCst);
        self.shared.device.store(0, SeqCst);
        self.shared.packets.store(0, SeqCst);
        *self.shared.point.lock().unwrap() = point;
    }

    /// No connection ends by itself any more. Returns whether one has.
    pub fn disarm(&self) -> bool {
        let _order = self.shared.order.lock().unwrap();
        let point = std::mem::replace(&mut *self.shared.point.lock().unwrap(), Point::Never);
        matches!(point, Point::End(at) if at <= self.shared.packets.load(SeqCst))
    }

    /// Sets the process to kill. Packets wait for this call.
    pub fn device(&self, pid: u32) {
        self.shared.device.store(pid as i32, SeqCst);
    }

    /// Sets the cut of the next connection.
    pub fn cut_at(&self, cut: Cut) {
        *self.shared.cut.lock().unwrap() = Some((cut, Vec::new()));
    }

    /// The bytes that were forwarded since then. Waits until the device has gone and the cloud has ended the
    /// connection.
    pub fn passed(&self) -> Vec<u8> {
        wait_until(|| self.shared.open.load(SeqCst) == 0);
        self.shared.cut.lock().unwrap().take().unwrap().1
    }

    /// The number of packets. Waits until the device has gone and the cloud has ended its connections.
    pub fn packets(&self) -> usize {
        wait_until(|| self.shared.open.load(SeqCst) == 0);
        self.shared.packets.load(SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.close();
    }
}

/// Waits for a condition.
fn wait_until(holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(60), "it did not happen");
        thread::yield_now();
    }
}

fn accept(shared: &Arc<Shared>, listener: &TcpListener) {
    while let Ok((device, _)) = listener.accept() {
        if shared.closed.load(SeqCst) {
            return;
        }
        let Ok(cloud) = TcpStream::connect(shared.cloud) else { continue };
        let run = shared.run.load(SeqCst);
        for (way, from, to) in [(TO_BROKER, &device, &cloud), (TO_DEVICE, &cloud, &device)] {
            let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
            shared.streams.lock().unwrap().push(from.try_clone().unwrap());
            shared.open.fetch_add(1, SeqCst);
            let shared = Arc::clone(shared);
            thread::spawn(move || {
                let _ = shared.forward(way, run, &from, &to);
                if !shared.swallow[way].load(SeqCst) {
                    // The cloud ends its side only after it has processed all data.
                    let _ = to.shutdown(Shutdown::Write);
                }
                let _ = io::copy(&mut &from, &mut io::sink());
                shared.open.fetch_sub(1, SeqCst);
            });
        }
    }
}

impl Shared {
    fn forward(&self, way: usize, run: usize, mut from: &TcpStream, mut to: &TcpStream) -> io::Result<()> {
        let mut first = way == TO_BROKER && self.wire == Wire::Mqtt;
        loop {
            let mut packet = read(self.wire, &mut from)?;
            let _order = self.order.lock().unwrap();
            if run != self.run.load(SeqCst) {
                return Ok(());
            }
            if std::mem::take(&mut first) {
                let connect = Connect { at: Instant::now(), timestamp_ms: timestamp(&packet) };
                self.connects.lock().unwrap().push(connect);
            }
            let number = self.packets.fetch_add(1, SeqCst) + 1;
            let point = *self.point.lock().unwrap();
            if point == Point::Before(number) {
                self.kill();
                return Ok(());
            }
            if point == Point::End(number) {
                let _ = to.shutdown(Shutdown::Both);
                return from.shutdown(Shutdown::Both);
            }
            let end = if way == TO_DEVICE { self.spoil(&mut packet) } else { Cut::Nothing };
            if !self.swallow[way].load(SeqCst) {
                to.write_all(&packet)?;
            }
            if end != Cut::Nothing {
                if let Cut::Reset(_) = end {
                    reset(to);
                }
                let _ = to.shutdown(Shutdown::Both);
                return from.shutdown(Shutdown::Both);
            }
            if point == Point::After(number) {
                self.kill();
            }
        }
    }

    /// Cuts the cloud's data; returns how the connection has to end after that, if it has to.
    fn spoil(&self, packet: &mut Vec<u8>) -> Cut {
        let mut cut = self.cut.lock().unwrap();
        let Some((cut, passed)) = cut.as_mut() else { return Cut::Nothing };
        match *cut {
            Cut::Flip(at) => {
                if let Some(byte) = at.checked_sub(passed.len()).and_then(|at| packet.get_mut(at)) {
                    *byte ^= 0x55;
                }
            }
            Cut::Close(at) | Cut::Reset(at) => packet.truncate(at.saturating_sub(passed.len())),
            Cut::Nothing => {}
        }
        passed.extend_from_slice(packet);
        match *cut {
            Cut::Close(at) | Cut::Reset(at) if passed.len() >= at => *cut,
            _ => Cut::Nothing,
        }
    }

    fn kill(&self) {
        // The device may be faster than the test that started it.
        wait_until(|| self.device.load(SeqCst) != 0);
        // SAFETY: no memory is involved; the pid is that of a child that was not waited for yet.
        unsafe { libc::kill(self.device.load(SeqCst), libc::SIGKILL) };
    }
}

/// Ends a connection with a RST, although others have its descriptor as well.
fn reset(stream: &TcpStream) {
    let nobody = libc::sockaddr { sa_family: libc::AF_UNSPEC as libc::sa_family_t, sa_data: [0; 14] };
    // SAFETY: an address of the length that the call is told.
    let rc = unsafe { libc::connect(stream.as_raw_fd(), &raw const nobody, size_of_val(&nobody) as libc::socklen_t) };
    assert_eq!(rc, 0);
}

/// The digits after "timestamp=", in the client id of a CONNECT.
fn timestamp(packet: &[u8]) -> u64 {
    assert_eq!(packet[0] >> 4, 1, "the first packet is a CONNECT");
    let text = String::from_utf8_lossy(packet);
    let after = text.split_once("timestamp=").expect("a client id with a timestamp").1;
    after.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
}

/// The next complete packet or record.
fn read(wire: Wire, from: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut packet = vec![0; if wire == Wire::Mqtt { 2 } else { 5 }];
    from.read_exact(&mut packet)?;
    let length = match wire {
        Wire::Mqtt => {
            while packet[packet.len() - 1] & 0x80 != 0 && packet.len() < 5 {
                packet.push(0);
                from.read_exact(packet.last_mut().map(std::slice::from_mut).unwrap())?;
            }
            packet[1..].iter().rev().fold(0, |length, byte| length << 7 | usize::from(byte & 0x7F))
        }
        // The type, the version, the length.
        Wire::Tls if (20..=23).contains(&packet[0]) => usize::from(u16::from_be_bytes([packet[3], packet[4]])),
        Wire::Tls => return Err(io::Error::new(io::ErrorKind::InvalidData, "no record of TLS")),
    };
    let header = packet.len();
    packet.resize(header + length, 0);
    from.read_exact(&mut packet[header..])?;
    Ok(packet)
}
