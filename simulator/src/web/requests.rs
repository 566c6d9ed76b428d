//! The requests that have come, for tests.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        atomic::{AtomicBool, AtomicU64, Ordering},
        Arc, Mutex, MutexGuard, PoisonError,
    },
    time::Instant,
};

use super::plan::Plan;
use crate::{event::Event, shared::Shared};

/// The limit of requests that are remembered.
const REMEMBERED: usize = 10_000;

/// A request to the HTTP ports, and what was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRequest {
    /// The number of its connection, as in [`Record`](crate::Record).
    pub connection: u64,
    pub tls: bool,
    pub method: String,
    /// With the query.
    pub path: String,
    /// In lower case, and the values, in the order in which they came.
    pub headers: Vec<(String, String)>,
    /// The code of the answer; 0 if a fault suppresses it.
    pub code: u16,
    /// Bytes of the body that were sent until now; they may still be on their way.
    pub bytes: u64,
    /// The answer has ended, or its connection.
    pub is_over: bool,
}

impl HttpRequest {
    /// The value of a header; its name is in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The range that was asked for, for example `bytes=512-`.
    pub fn range(&self) -> Option<&str> {
        self.header("range")
    }
}

/// An entry, which changes until the end of the answer.
#[derive(Debug)]
struct Entry {
    request: HttpRequest,
    bytes: AtomicU64,
    is_over: AtomicBool,
}

/// All requests of a cloud.
#[derive(Debug, Default)]
pub struct Requests {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    entries: VecDeque<Arc<Entry>>,
    /// Since the faults were set.
    requests: u64,
    connections: u64,
    /// When each URL was used first, and how often.
    uses: HashMap<String, (Instant, u64)>,
}

impl Requests {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn all(&self) -> Vec<HttpRequest> {
        let current = |entry: &Arc<Entry>| HttpRequest {
            bytes: entry.bytes.load(Ordering::Acquire),
            is_over: entry.is_over.load(Ordering::Acquire),
            ..entry.request.clone()
        };
        self.lock().entries.iter().map(current).collect()
    }

    pub fn forget(&self) {
        self.lock().entries.clear();
    }

    /// Requests and connections are counted from 1 again.
    pub fn count_anew(&self) {
        let mut inner = self.lock();
        (inner.requests, inner.connections) = (0, 0);
        inner.uses.clear();
    }

    /// Counts a use of a URL; whether that is one too many, or too late.
    pub fn has_expired(&self, url: &str, plan: &Plan) -> bool {
        if plan.expires.is_none() && plan.expires_after.is_none() {
            return false;
        }
        let mut inner = self.lock();
        if inner.uses.len() >= REMEMBERED {
            inner.uses.clear();
        }
        let (first, uses) = inner.uses.entry(url.to_owned()).or_insert_with(|| (Instant::now(), 0));
        *uses += 1;
        plan.expires.is_some_and(|most| *uses > most) || plan.expires_after.is_some_and(|time| first.elapsed() >= time)
    }

    pub fn next_connection(&self) -> u64 {
        let mut inner = self.lock();
        inner.connections += 1;
        inner.connections
    }

    pub fn next_request(&self) -> u64 {
        let mut inner = self.lock();
        inner.requests += 1;
        inner.requests
    }
}

/// Counts the bytes of an answer, and reports its end when it is dropped.
pub struct Account {
    shared: Arc<Shared>,
    entry: Arc<Entry>,
    of: Option<u64>,
}

impl Account {
    /// Remembers and reports a request. `of` is the length of the answer's body.
    pub fn open(shared: &Arc<Shared>, request: HttpRequest, of: Option<u64>) -> Account {
        let event = Event::HttpRequest {
            method: request.method.clone(),
            path: request.path.clone(),
            range: request.range().map(str::to_owned),
            tls: request.tls,
            code: request.code,
        };
        let connection = request.connection;
        let entry = Arc::new(Entry { request, bytes: AtomicU64::new(0), is_over: AtomicBool::new(false) });
        {
            let mut inner = shared.requests.lock();
            if inner.entries.len() >= REMEMBERED {
                inner.entries.pop_front();
            }
            inner.entries.push_back(entry.clone());
        }
        shared.report(Some(connection), None, event);
        Account { shared: shared.clone(), entry, of }
    }

    pub fn add(&self, bytes: usize) {
        self.entry.bytes.fetch_add(bytes as u64, Ordering::Release);
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.entry.is_over.store(true, Ordering::Release);
        let (path, bytes) = (self.entry.request.path.clone(), self.entry.bytes.load(Ordering::Acquire));
        let event = Event::HttpEnd { path, bytes, of: self.of };
        self.shared.report(Some(self.entry.request.connection), None, event);
    }
}
