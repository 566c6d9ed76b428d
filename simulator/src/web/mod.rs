//! The HTTP ports, plain and with TLS, which serve firmware.
//!
//! hyper reads the requests and writes the answers that are as they should be. It runs on one thread with tokio's
//! scheduler, so a slow reader holds up nobody. Where a fault needs bytes that no server sends, `by_hand` takes the
//! connection from hyper before the answer, and writes them.
//!
//! Why hyper: it is well maintained and small (with hyper-util, tokio and tokio-openssl it adds eleven crates on Linux),
//! builds with Rust 1.85, and all of these are licensed under MIT, or under MIT or Apache-2.0. tiny_http needs a thread
//! for each connection, has no limit of time for a peer that stalls, and has had no release for years. axum, warp and
//! actix-web are larger, and bring routing that nothing here needs. With httparse alone, the framing of requests and the
//! rules of persistent connections would be ours to write.

mod answer;
mod by_hand;
mod connection;
mod content;
mod plan;
mod range;
mod requests;

use openssl::ssl::SslContext;
use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::{
        atomic::{AtomicUsize, Ordering},
        Arc,
    },
    thread::{self, JoinHandle},
    time::Duration,
};
use tokio::{runtime::Builder, sync::oneshot};

use crate::{event::Event, shared::Shared};

pub use requests::{HttpRequest, Requests};

/// The open HTTP ports.
pub struct Web {
    pub address: SocketAddr,
    pub tls_address: Option<SocketAddr>,
    /// Dropped to stop.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Web {
    /// Serves these ports until it is stopped.
    pub fn start(shared: &Arc<Shared>, plain: TcpListener, tls: Option<(TcpListener, SslContext)>) -> io::Result<Web> {
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
        let address = plain.local_addr()?;
        let tls_address = tls.as_ref().map(|(listener, _)| listener.local_addr()).transpose()?;
        let (stop, stopped) = oneshot::channel();
        let open = Arc::new(AtomicUsize::new(0));
        for (listener, context) in
            [Some((plain, None)), tls.map(|(listener, context)| (listener, Some(context)))].into_iter().flatten()
        {
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            let is_tls = context.is_some();
            let event =
                Event::Listening { port: address.port(), address: address.to_string(), tls: is_tls, http: true };
            shared.report(None, None, event);
            let listener = {
                let _inside = runtime.enter();
                tokio::net::TcpListener::from_std(listener)?
            };
            runtime.spawn(accept(shared.clone(), listener, context, open.clone()));
        }
        let thread = thread::Builder::new().name("sim-http".into()).spawn(move || {
            // The end of the runtime ends all its tasks.
            let _ = runtime.block_on(stopped);
        })?;
        Ok(Web { address, tls_address, stop: Some(stop), thread: Some(thread) })
    }

    /// Closes the ports and the connections.
    pub fn stop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn accept(
    shared: Arc<Shared>,
    listener: tokio::net::TcpListener,
    tls: Option<SslContext>,
    open: Arc<AtomicUsize>,
) {
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            // Probably out of descriptors: give the connections time to end.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let seat = Seat::take(&open);
        if open.load(Ordering::Relaxed) > shared.config.limits.connections {
            continue;
        }
        let (shared, tls) = (shared.clone(), tls.clone());
        tokio::spawn(async move {
            let _seat = seat;
            connection::serve(shared, stream, peer, tls).await;
        });
    }
}

/// The place of a connection among those that are open.
struct Seat(Arc<AtomicUsize>);

impl Seat {
    fn take(open: &Arc<AtomicUsize>) -> Seat {
        open.fetch_add(1, Ordering::Relaxed);
        Seat(open.clone())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
