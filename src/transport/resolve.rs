//! Name resolution that cannot hold anybody up: Paho would do it inside its process-wide mutex.

use super::inbox::{Inbox, LinkEvent};
use super::thread;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

/// getaddrinfo keeps answers and buffers of 64 KiB on the stack, and runs whatever modules the system's nsswitch.conf
/// names. What is not touched costs nothing.
const STACK: usize = 1024 * 1024;
/// A name with more addresses than this is not tried out to the end anyway.
const ADDRESSES: usize = 16;

type Lookup = dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync;

/// Looks up one name at a time. The system's lookup cannot be cancelled: one that hangs keeps its thread, and a new
/// one is refused in words until it returns, so that a dead name server costs one thread and no more.
pub struct Resolver {
    lookup: Arc<Lookup>,
    busy: Arc<AtomicBool>,
}

impl Default for Resolver {
    fn default() -> Self {
        Resolver::new()
    }
}

impl Resolver {
    /// Resolves as the system does.
    pub fn new() -> Resolver {
        Resolver::with(|host, port| Ok((host, port).to_socket_addrs()?.collect()))
    }

    /// Resolves with a function of the caller's, which may block: it runs on a thread of its own.
    pub fn with(lookup: impl Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static) -> Resolver {
        Resolver { lookup: Arc::new(lookup), busy: Arc::new(AtomicBool::new(false)) }
    }

    /// Begins; the answer is a [`LinkEvent::Resolved`] of this `generation`: at once for an IP address (v6 without
    /// brackets), later and from another thread for a name. Whoever asks keeps the time.
    pub fn start(&self, host: &str, port: u16, generation: u64, inbox: &Arc<Inbox>) {
        let failed = |why: String| inbox.push(generation, LinkEvent::Resolved { result: Err(why) });
        if let Ok(address) = host.parse::<IpAddr>() {
            inbox.push(generation, LinkEvent::Resolved { result: Ok(vec![SocketAddr::new(address, port)]) });
            return;
        }
        if self.busy.swap(true, Ordering::AcqRel) {
            return failed(format!(
                "{host} is not looked up: an earlier look-up still waits for the system's name service"
            ));
        }
        let job = Job {
            lookup: Arc::clone(&self.lookup),
            busy: Busy(Arc::clone(&self.busy)),
            host: host.to_owned(),
            port,
            generation,
            inbox: Arc::clone(inbox),
        };
        if let Err(e) = thread::spawn("enos-resolve", STACK, move || job.run()) {
            failed(format!("{host} cannot be looked up: {e}"));
        }
    }
}

/// Marks a look-up as over when it goes, however that comes about.
struct Busy(Arc<AtomicBool>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

struct Job {
    lookup: Arc<Lookup>,
    busy: Busy,
    host: String,
    port: u16,
    generation: u64,
    inbox: Arc<Inbox>,
}

impl Job {
    fn run(self) {
        let host = &self.host;
        let result = match (self.lookup)(host, self.port) {
            Ok(addresses) if addresses.is_empty() => Err(format!("{host} has no address")),
            Ok(mut addresses) => {
                addresses.truncate(ADDRESSES);
                Ok(addresses)
            }
            Err(e) => Err(format!("{host} cannot be resolved: {e}")),
        };
        // Before the event: whoever gets it may ask again at once.
        drop(self.busy);
        self.inbox.push(self.generation, LinkEvent::Resolved { result });
    }
}
