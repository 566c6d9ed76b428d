//! Between a device and its broker: takes down each CONNECT with its time, and can let packets vanish without a reset.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Instant;

/// The two ways that packets go.
pub const TO_BROKER: usize = 0;
pub const TO_DEVICE: usize = 1;

struct Shared {
    broker: SocketAddr,
    swallow: [AtomicBool; 2],
    connects: Mutex<Vec<Connect>>,
    open: Mutex<Vec<TcpStream>>,
    closed: AtomicBool,
}

/// A CONNECT that came by.
#[derive(Clone, Copy, Debug)]
pub struct Connect {
    pub at: Instant,
    /// What its client id gives as the time.
    pub timestamp_ms: u64,
}

pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

impl Proxy {
    pub fn start(broker: SocketAddr) -> Proxy {
        Proxy::bind("127.0.0.1:0".parse().unwrap(), broker)
    }

    pub fn bind(address: SocketAddr, broker: SocketAddr) -> Proxy {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            broker,
            swallow: Default::default(),
            connects: Mutex::default(),
            open: Mutex::default(),
            closed: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&shared);
        let accepting = Some(thread::spawn(move || accept(&accepting, &listener)));
        Proxy { address, shared, accepting }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From here on, what goes this way vanishes, the end of a connection included; or no longer.
    pub fn swallow(&self, way: usize, on: bool) {
        self.shared.swallow[way].store(on, SeqCst);
    }

    /// Ends every connection.
    pub fn cut(&self) {
        for stream in self.shared.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Nobody listens here any more, and every connection has ended.
    pub fn close(&mut self) {
        let Some(accepting) = self.accepting.take() else { return };
        self.shared.closed.store(true, SeqCst);
        // The thread waits for a connection: here is one.
        let _ = TcpStream::connect(self.address);
        accepting.join().unwrap();
        self.cut();
    }

    pub fn connects(&self) -> Vec<Connect> {
        self.shared.connects.lock().unwrap().clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.close();
    }
}

fn accept(shared: &Arc<Shared>, listener: &TcpListener) {
    while let Ok((device, _)) = listener.accept() {
        if shared.closed.load(SeqCst) {
            return;
        }
        let Ok(broker) = TcpStream::connect(shared.broker) else { continue };
        for (way, from, to) in [(TO_BROKER, &device, &broker), (TO_DEVICE, &broker, &device)] {
            let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
            shared.open.lock().unwrap().push(from.try_clone().unwrap());
            let shared = Arc::clone(shared);
            thread::spawn(move || forward(&shared, way, from, to));
        }
    }
}

fn forward(shared: &Shared, way: usize, mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = [0; 4096];
    let mut first = way == TO_BROKER;
    loop {
        let read = from.read(&mut buffer).unwrap_or(0);
        if std::mem::take(&mut first) && read > 0 {
            shared
                .connects
                .lock()
                .unwrap()
                .push(Connect { at: Instant::now(), timestamp_ms: timestamp(&buffer[..read]) });
        }
        let vanishes = shared.swallow[way].load(SeqCst);
        if read == 0 {
            if !vanishes {
                let _ = to.shutdown(Shutdown::Both);
            }
            return;
        }
        if !vanishes && to.write_all(&buffer[..read]).is_err() {
            return;
        }
    }
}

/// The digits after "timestamp=", in the client id of a CONNECT.
fn timestamp(packet: &[u8]) -> u64 {
    assert_eq!(packet[0] >> 4, 1, "the first packet is a CONNECT");
    let text = String::from_utf8_lossy(packet);
    let after = text.split_once("timestamp=").expect("a client id with a timestamp").1;
    after.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
}
