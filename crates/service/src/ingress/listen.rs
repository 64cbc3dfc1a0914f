//! Connections: how many, for how long, and how they end. HTTP/1 alone: what speaks HTTP/2 or TLS is in front.
//!
//! | A client that | is answered |
//! |---|---|
//! | does not finish its header in time, or keeps an idle connection | closed |
//! | sends more or longer headers than [`MAX_HEADERS`] and [`MAX_HEADER_BYTES`] | 431, closed |
//! | sends no HTTP/1 | 400, closed |
//! | closes its sending half after a request | the answer |
//! | sends several requests at once | each in turn |
//! | never reads its answers, or reconnects never | closed when the connection is [`ConnectionLimits::life`] old |
//! | comes when [`ConnectionLimits::connections`] are open | waits in the system's queue until one closes |
//! | holds half of them, and is no trusted proxy | closed at once, so that others find a place |

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use ipnet::IpNet;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};
use tokio::task::JoinSet;
use tower::Service as _;

use super::IngressRoutes;
use super::bounds::ConnectionLimits;
use super::rate::network;

/// Headers of a request.
pub const MAX_HEADERS: usize = 64;
/// The request line and all headers together.
pub const MAX_HEADER_BYTES: usize = 16 * 1024;
/// What a connection reads ahead.
const BUFFER: usize = 64 * 1024;
/// After accepting failed for want of something (descriptors, memory): until it is tried again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// Connections at once where nothing is but the metrics.
const METRICS_CONNECTIONS: usize = 64;
/// What is read from a client that is still sending when it has its answer.
const LINGER_BYTES: usize = 1024 * 1024;

/// The other end of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct PeerAddress(pub(super) IpAddr);

/// Serves on a thread of its own until it is told to stop, or nobody waits for its end any longer. `apart`: the listener of
/// the metrics, where they have one.
///
/// One thread, because waking a second one for a request costs more than answering it; of its own, because what the
/// workers do must not delay an acknowledgement. `routes` is called there: tasks that it starts run there as well.
///
/// # Errors
/// If the system gives no thread.
pub(crate) fn start(
    (listener, apart): (TcpListener, Option<TcpListener>),
    routes: impl FnOnce() -> IngressRoutes + Send + 'static,
    (bounds, trusted): (ConnectionLimits, Vec<IpNet>),
    stop: watch::Receiver<bool>,
) -> io::Result<oneshot::Receiver<()>> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let (listener, apart) = {
        let _here = runtime.enter();
        let here = |listener: TcpListener| TcpListener::from_std(listener.into_std()?);
        (here(listener)?, apart.map(here).transpose()?)
    };
    let (mut end, ended) = oneshot::channel();
    let work = move || {
        runtime.block_on(async {
            let IngressRoutes { main, metrics } = routes();
            let few = ConnectionLimits {
                connections: bounds.connections.min(METRICS_CONNECTIONS),
                ..bounds.clone()
            };
            let told = async {
                if let Some(apart) = apart {
                    serve(apart, metrics, (few, trusted.clone()), stop.clone()).await;
                }
            };
            let both =
                async { tokio::join!(serve(listener, main, (bounds, trusted.clone()), stop.clone()), told) };
            tokio::select! {
                ((), ()) = both => {}
                () = end.closed() => {}
            }
        });
        // Told when all of its tasks have ended.
        drop(runtime);
        drop(end);
    };
    thread::Builder::new().name("ingress".into()).spawn(work)?;
    Ok(ended)
}

/// Serves until it is told to stop; then takes no more connections, lets each finish the request that it is in,
/// and ends with the last of them.
async fn serve(
    listener: TcpListener,
    router: Router,
    (bounds, trusted): (ConnectionLimits, Vec<IpNet>),
    mut stop: watch::Receiver<bool>,
) {
    let room = ConnectionQuota::new(bounds.connections, trusted);
    let bounds = Arc::new(bounds);
    let mut open = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            accepted = accept(&listener, &room) => accepted,
        };
        // The semaphore is never closed.
        let Some((stream, place)) = accepted else { break };
        open.spawn(connection(stream, place, router.clone(), bounds.clone(), stop.clone()));
        while open.try_join_next().is_some() {}
    }
    drop(listener);
    while open.join_next().await.is_some() {}
}

/// The places that connections take.
struct ConnectionQuota {
    all: Arc<Semaphore>,
    /// Most of one source.
    each: usize,
    /// Proxies of the operator, behind which many are.
    trusted: Vec<IpNet>,
    taken: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// The place of one connection; free again when this is dropped.
struct ConnectionPermit {
    peer: IpAddr,
    taken: Arc<Mutex<HashMap<IpAddr, usize>>>,
    _permit: OwnedSemaphorePermit,
}

impl ConnectionQuota {
    fn new(connections: usize, trusted: Vec<IpNet>) -> Self {
        let all = Arc::new(Semaphore::new(connections));
        Self { all, each: (connections / 2).max(1), trusted, taken: Arc::default() }
    }

    /// A place for a connection from there; none if too many are from there already.
    fn place(
        &self,
        peer: IpAddr,
        permit: OwnedSemaphorePermit,
    ) -> Result<ConnectionPermit, OwnedSemaphorePermit> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let from = taken.entry(network(peer)).or_default();
        if *from >= self.each && !self.trusted.iter().any(|net| net.contains(&peer)) {
            return Err(permit);
        }
        *from += 1;
        Ok(ConnectionPermit { peer, taken: self.taken.clone(), _permit: permit })
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut from) = taken.entry(network(self.peer)) {
            *from.get_mut() -= 1;
            if *from.get() == 0 {
                from.remove();
            }
        }
    }
}

async fn accept(listener: &TcpListener, room: &ConnectionQuota) -> Option<(TcpStream, ConnectionPermit)> {
    let mut permit = room.all.clone().acquire_owned().await.ok()?;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => match room.place(peer.ip().to_canonical(), permit) {
                Ok(place) => return Some((stream, place)),
                Err(unused) => {
                    tracing::debug!(%peer, "connection closed: half of all are from there");
                    permit = unused;
                }
            },
            // A connection that is gone already says nothing about the next.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::error!(%error, "cannot accept connections: raise the limit of open files");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(
    stream: TcpStream,
    place: ConnectionPermit,
    router: Router,
    bounds: Arc<ConnectionLimits>,
    mut stop: watch::Receiver<bool>,
) {
    let peer = place.peer;
    // Answers are one small write: nothing is to be waited for.
    let _ = stream.set_nodelay(true);
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(PeerAddress(peer));
        let answer = router.clone().call(request);
        Box::pin(async move { answer.await as Result<Response, Infallible> })
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.header)
        .max_headers(MAX_HEADERS)
        .max_header_size(MAX_HEADER_BYTES)
        .max_buf_size(BUFFER)
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service);
    let served = tokio::select! {
        served = std::future::poll_fn(|context| connection.poll_without_shutdown(context)) => Some(served),
        _ = stop.wait_for(|stop| *stop) => None,
        () = tokio::time::sleep(bounds.life) => None,
    };
    let served = match served {
        Some(served) => served,
        None => {
            Pin::new(&mut connection).graceful_shutdown();
            let rest = std::future::poll_fn(|context| connection.poll_without_shutdown(context));
            // Whatever it is in the middle of has its own limits, but for a client that does not read.
            match tokio::time::timeout(bounds.header + bounds.body, rest).await {
                Ok(served) => served,
                Err(_) => return,
            }
        }
    };
    match served {
        Ok(()) => linger(connection.into_parts().io.into_inner(), bounds.linger).await,
        Err(error) => tracing::debug!(%peer, %error, "connection ended"),
    }
}

/// Says that nothing follows and reads what still comes: closing at once would throw the answer away at a client
/// that is still sending.
async fn linger(mut stream: TcpStream, time: Duration) {
    let rest = async {
        stream.shutdown().await?;
        let mut left = LINGER_BYTES;
        let mut scratch = vec![0; BUFFER];
        while left > 0 {
            let read = stream.read(&mut scratch).await?;
            if read == 0 {
                break;
            }
            left = left.saturating_sub(read);
        }
        Ok::<(), io::Error>(())
    };
    let _ = tokio::time::timeout(time, rest).await;
}
