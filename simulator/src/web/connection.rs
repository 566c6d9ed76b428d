//! A connection to the HTTP ports.

use hyper::{
    body::Incoming, header::HeaderValue, server::conn::http1, service::service_fn, Request, Response, StatusCode,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use openssl::ssl::{Ssl, SslContext};
use std::{
    convert::Infallible,
    future::{poll_fn, Future},
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::Poll,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::mpsc::{unbounded_channel, UnboundedSender},
};
use tokio_openssl::SslStream;

use super::{
    answer,
    by_hand::ByHand,
    content::{Content, Sending},
    plan::Plan,
    requests::{Account, HttpRequest},
};
use crate::{event::Event, shared::Shared, tls};

/// A connection, plain or with TLS.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {
    fn tcp(&self) -> &TcpStream;
}

impl Stream for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Stream for SslStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref()
    }
}

/// What the requests of a connection have in common.
struct Context {
    shared: Arc<Shared>,
    /// As in the events.
    connection: u64,
    /// As in faults: counted over the HTTP ports only.
    ordinal: u64,
    is_tls: bool,
    local: Option<IpAddr>,
}

/// Serves a connection until its end.
pub async fn serve(shared: Arc<Shared>, stream: TcpStream, peer: SocketAddr, tls: Option<SslContext>) {
    let connection = shared.next_connection();
    let context = Arc::new(Context {
        ordinal: shared.requests.next_connection(),
        connection,
        is_tls: tls.is_some(),
        local: stream.local_addr().ok().map(|address| address.ip()),
        shared: shared.clone(),
    });
    let _ = stream.set_nodelay(true);
    let stream: Box<dyn Stream> = match tls {
        None => Box::new(stream),
        Some(tls) => match shake_hands(&context, stream, peer, &tls).await {
            Some(stream) => Box::new(stream),
            None => return,
        },
    };
    let (to_hand, mut from_hyper) = unbounded_channel();
    let service = service_fn(move |request| respond(context.clone(), request, to_hand.clone()));
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(shared.config.limits.connect_wait)
        .serve_connection(TokioIo::new(stream), service);
    // hyper has read the request and waits for the answer when the connection is taken from it.
    let taken = poll_fn(|cx| match Pin::new(&mut connection).poll(cx) {
        Poll::Ready(_) => Poll::Ready(None),
        Poll::Pending => from_hyper.poll_recv(cx),
    });
    let by_hand: Option<ByHand> = taken.await;
    if let Some(by_hand) = by_hand {
        by_hand.write(connection.into_parts().io.into_inner()).await;
    }
}

async fn shake_hands(
    context: &Context,
    stream: TcpStream,
    peer: SocketAddr,
    tls: &SslContext,
) -> Option<SslStream<TcpStream>> {
    let ssl = Ssl::new(tls).ok()?;
    let mut stream = SslStream::new(ssl, stream).ok()?;
    let shaken = tokio::time::timeout(context.shared.config.limits.connect_wait, Pin::new(&mut stream).accept()).await;
    let reason = match shaken {
        Ok(Ok(())) => {
            context.shared.report(Some(context.connection), None, tls::session::agreed(stream.ssl()));
            return Some(stream);
        }
        Ok(Err(error)) => tls::refusal::describe(&error),
        Err(_) => "it has taken too long".to_owned(),
    };
    let server_name = tls::session::server_name(stream.ssl());
    let event = Event::TlsFailed { peer: peer.to_string(), server_name, reason };
    context.shared.report(Some(context.connection), None, event);
    None
}

/// The answer to a request, unless it has to be written by hand.
async fn respond(
    context: Arc<Context>,
    request: Request<Incoming>,
    to_hand: UnboundedSender<ByHand>,
) -> Result<Response<Sending>, Infallible> {
    let shared = &context.shared;
    let (parts, _) = request.into_parts();
    let faults = shared.faults();
    let plan = Plan::new(&faults, shared.requests.next_request(), context.ordinal, |fault| {
        shared.report(Some(context.connection), None, Event::Fault { fault: fault.to_string() });
    });
    if !plan.delay.is_zero() {
        tokio::time::sleep(plan.delay).await;
    }
    let mut answer = answer::answer(shared, &parts, context.is_tls, context.local, &plan);
    if plan.endless_body {
        answer.content = Content::Endless;
    }
    let request = HttpRequest {
        connection: context.connection,
        tls: context.is_tls,
        method: parts.method.to_string(),
        path: answer::url(&parts),
        headers: parts
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect(),
        code: if plan.suppresses() { 0 } else { answer.code },
        bytes: 0,
        is_over: false,
    };
    let account = Account::open(shared, request, answer.content.left().filter(|_| !plan.suppresses()));
    let is_head = parts.method == hyper::Method::HEAD;
    if plan.is_by_hand() {
        let mut garbage = vec![0; plan.garbage.unwrap_or_default()];
        shared.with_random(|random| random.fill(&mut garbage));
        let _ = to_hand.send(ByHand { answer, plan, account, is_head, garbage });
        return std::future::pending().await;
    }
    let length = answer.content.left().filter(|_| !plan.is_chunked);
    let content = if is_head { Content::empty() } else { answer.content };
    let mut response = Response::new(Sending { content, account, is_chunked: length.is_none() });
    *response.status_mut() = StatusCode::from_u16(answer.code).unwrap_or_default();
    let lengths = length.map(|length| ("content-length", length.to_string()));
    for (name, value) in answer.headers.into_iter().chain(lengths) {
        // A fault may have made a value that no header can have: that one is left out.
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().append(name, value);
        }
    }
    Ok(response)
}
