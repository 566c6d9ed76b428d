//! Name resolution that does not block the caller: the system's look-up waits, so it runs on a thread of a small pool.

use super::inbox::{Arrival, Inbox};
use super::thread;
use crate::error::{Error, Status};
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// getaddrinfo keeps answers and buffers of 64 KiB on the stack, and runs whatever modules the system's nsswitch.conf
/// names. Unused stack costs no memory, unless the process locks its memory.
const STACK: usize = 256 * 1024;
/// How many addresses of a name are returned at most.
const ADDRESSES: usize = 16;
/// How many threads there are at most. Each ends when there is nothing more to look up.
const THREADS: usize = 4;
/// How many of them look up names whose last look-up took long, so that a silent name server leaves the rest to others.
const SLOW_THREADS: usize = 3;
const SLOW: Duration = Duration::from_secs(1);
/// How many slow names are remembered.
const REMEMBERED: usize = 32;

type Lookup = dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync;
type Answer = Result<Vec<SocketAddr>, Error>;

/// Looks up names for all clients of the process. Clients that ask for the same name share one look-up. The system's
/// look-up cannot be cancelled, so that one that hangs keeps its thread until it returns.
#[derive(Clone)]
pub struct Resolver(Arc<Pool>);

struct Pool {
    lookup: Box<Lookup>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// In the order in which they were asked for.
    jobs: VecDeque<Job>,
    threads: usize,
    slow: VecDeque<String>,
}

struct Job {
    host: String,
    port: u16,
    /// A thread works on it.
    runs: bool,
    slow: bool,
    /// The inboxes that wait for it, each with its generation.
    waiting: Vec<(u64, Arc<Inbox>)>,
}

impl Default for Resolver {
    fn default() -> Self {
        Resolver::new()
    }
}

impl Resolver {
    /// Resolves with the system's resolver. The process has one pool for it.
    pub fn new() -> Resolver {
        static SYSTEM: OnceLock<Resolver> = OnceLock::new();
        let system = |host: &str, port| Ok((host, port).to_socket_addrs()?.collect());
        SYSTEM.get_or_init(|| Resolver::with(system)).clone()
    }

    /// Resolves with a function of the caller's, which may block, in a pool of its own.
    pub fn with(lookup: impl Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static) -> Resolver {
        Resolver(Arc::new(Pool { lookup: Box::new(lookup), state: Mutex::default() }))
    }

    /// Begins a look-up. The answer is an [`Arrival::Resolved`] of this `generation`: at once for an IP address (v6 without
    /// brackets), later and from another thread for a name. The caller keeps the timeout. A new request replaces an earlier
    /// one of the same inbox.
    pub fn start(&self, host: &str, port: u16, generation: u64, inbox: &Arc<Inbox>) {
        if let Ok(address) = host.parse::<IpAddr>() {
            inbox.push(generation, Arrival::Resolved(Ok(vec![SocketAddr::new(address, port)])));
            return;
        }
        let mut state = self.0.state();
        for job in &mut state.jobs {
            job.waiting.retain(|(_, waiting)| !Arc::ptr_eq(waiting, inbox));
        }
        state.jobs.retain(|job| job.runs || !job.waiting.is_empty());
        let waiting = (generation, Arc::clone(inbox));
        match state.jobs.iter_mut().find(|job| job.host == host && job.port == port) {
            Some(job) => job.waiting.push(waiting),
            None => {
                let slow = state.slow.iter().any(|name| name == host);
                let waiting = vec![waiting];
                state.jobs.push_back(Job { host: host.to_owned(), port, runs: false, slow, waiting });
            }
        }
        if state.threads == THREADS || state.next().is_none() {
            return;
        }
        state.threads += 1;
        drop(state);
        let pool = Arc::clone(&self.0);
        if let Err(e) = thread::spawn("enos-resolve", STACK, move || pool.run()) {
            let mut state = self.0.state();
            state.threads -= 1;
            // Without any thread, the jobs would never be done.
            if state.threads == 0 {
                for job in std::mem::take(&mut state.jobs) {
                    let words = format!("{} cannot be looked up: {e}", job.host);
                    job.tell(&Err(Error::new(e.status, words)));
                }
            }
        }
    }
}

impl State {
    /// The first look-up that may begin.
    fn next(&self) -> Option<usize> {
        let slow = self.jobs.iter().filter(|job| job.runs && job.slow).count();
        self.jobs.iter().position(|job| !job.runs && (!job.slow || slow < SLOW_THREADS))
    }

    fn remember(&mut self, host: &str, slow: bool) {
        self.slow.retain(|name| name != host);
        if slow {
            self.slow.push_back(host.to_owned());
            if self.slow.len() > REMEMBERED {
                self.slow.pop_front();
            }
        }
    }
}

impl Job {
    fn tell(&self, answer: &Answer) {
        for (generation, inbox) in &self.waiting {
            inbox.push(*generation, Arrival::Resolved(answer.clone()));
        }
    }
}

impl Pool {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        loop {
            let mut state = self.state();
            let Some(index) = state.next() else {
                state.threads -= 1;
                return;
            };
            let job = &mut state.jobs[index];
            job.runs = true;
            let (host, port) = (job.host.clone(), job.port);
            drop(state);

            let began = Instant::now();
            let answer = self.answer(&host, port);
            let mut state = self.state();
            state.remember(&host, began.elapsed() >= SLOW);
            let done = state.jobs.iter().position(|job| job.runs && job.host == host && job.port == port);
            let job = done.and_then(|index| state.jobs.remove(index));
            drop(state);
            if let Some(job) = job {
                job.tell(&answer);
            }
        }
    }

    /// After a panic of a look-up, its name must not stay in progress for ever.
    fn answer(&self, host: &str, port: u16) -> Answer {
        let failed = |words: String| Err(Error::new(Status::ENOS_ERR_NETWORK, words));
        match crate::panic::catch(|| (self.lookup)(host, port)) {
            Ok(Ok(addresses)) if addresses.is_empty() => failed(format!("{host} has no address")),
            Ok(Ok(mut addresses)) => {
                addresses.truncate(ADDRESSES);
                Ok(addresses)
            }
            Ok(Err(e)) => failed(format!("{host} cannot be resolved: {e}")),
            Err(e) => failed(format!("{host} cannot be resolved: {e}")),
        }
    }
}
