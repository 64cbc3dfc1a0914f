//! Accepts connections, limits their number and duration, and closes them. Only HTTP/1 is supported; HTTP/2
//! and TLS need a proxy in front of the server.
//!
//! | A client that | gets |
//! |---|---|
//! | does not finish its header in time, or keeps an idle connection | a closed connection |
//! | exceeds [`MAX_HEADERS`] or [`MAX_HEADER_BYTES`] | 431, then a closed connection |
//! | sends no HTTP/1 | 400, then a closed connection |
//! | closes its sending half after a request | the response |
//! | sends several requests at once | each response in turn |
//! | never reads responses, or never reconnects | closed at [`ConnectionLimits::max_connection_age`] |
//! | connects when [`ConnectionLimits::max_connections`] are open | a place in the system's queue |
//! | holds half of them, and is no trusted proxy | closed new connections, which frees places |

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
use super::rate::source_network;

/// Largest number of headers of a request.
pub const MAX_HEADERS: usize = 64;
/// Largest size in bytes of the request line and all headers together.
pub const MAX_HEADER_BYTES: usize = 16 * 1024;
/// Maximum size of a connection's buffer in bytes.
const MAX_BUFFER_BYTES: usize = 64 * 1024;
/// Delay before connections are accepted again, after a lack of file descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// Largest number of open connections on a listener that serves only the metrics.
const MAX_METRICS_CONNECTIONS: usize = 64;
/// Largest number of bytes that are read and discarded after the response, from a client that still sends.
const MAX_LINGER_BYTES: usize = 1024 * 1024;

/// The IP address of the connection's client or proxy.
#[derive(Clone, Copy, Debug)]
pub(super) struct PeerAddress(pub(super) IpAddr);

/// Serves on a separate thread, until a stop is requested or the returned receiver is dropped.
/// `metrics_listener` is `None` if the metrics have no separate listener.
///
/// All connections share one thread, because a request is served faster than a second thread could be woken.
/// The workers have other threads, because their work must not delay an acknowledgement. `routes` is called
/// on the server's thread. Tasks that `routes` starts therefore run on that thread.
///
/// # Errors
/// [`io::Error`] if the runtime or the thread cannot be started.
pub(crate) fn start(
    listener: TcpListener,
    metrics_listener: Option<TcpListener>,
    routes: impl FnOnce() -> IngressRoutes + Send + 'static,
    bounds: ConnectionLimits,
    trusted_proxies: Vec<IpNet>,
    stop: watch::Receiver<bool>,
) -> io::Result<oneshot::Receiver<()>> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let (listener, metrics_listener) = {
        let _here = runtime.enter();
        let here = |listener: TcpListener| TcpListener::from_std(listener.into_std()?);
        (here(listener)?, metrics_listener.map(here).transpose()?)
    };
    let (mut end, ended) = oneshot::channel();
    let work = move || {
        runtime.block_on(async {
            let IngressRoutes { main, metrics } = routes();
            let few = ConnectionLimits {
                max_connections: bounds.max_connections.min(MAX_METRICS_CONNECTIONS),
                ..bounds.clone()
            };
            let serving = async {
                if let Some(metrics_listener) = metrics_listener {
                    serve(metrics_listener, metrics, few, trusted_proxies.clone(), stop.clone()).await;
                }
            };
            let both = async {
                tokio::join!(serve(listener, main, bounds, trusted_proxies.clone(), stop.clone()), serving)
            };
            tokio::select! {
                ((), ()) = both => {}
                () = end.closed() => {}
            }
        });
        // The receiver completes only after all tasks of the runtime have ended.
        drop(runtime);
        drop(end);
    };
    thread::Builder::new().name("ingress".into()).spawn(work)?;
    Ok(ended)
}

/// Serves until a stop is requested. After that, closes the listener, lets each open connection finish its
/// current request, and returns when the last connection is closed.
async fn serve(
    listener: TcpListener,
    router: Router,
    bounds: ConnectionLimits,
    trusted_proxies: Vec<IpNet>,
    mut stop: watch::Receiver<bool>,
) {
    let room = ConnectionQuota::new(bounds.max_connections, trusted_proxies);
    let bounds = Arc::new(bounds);
    let mut open = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            accepted = accept(&listener, &room) => accepted,
        };
        // `accept` returns `None` only if the semaphore is closed, which never happens.
        let Some((stream, place)) = accepted else { break };
        open.spawn(serve_connection(stream, place, router.clone(), bounds.clone(), stop.clone()));
        while open.try_join_next().is_some() {}
    }
    drop(listener);
    while open.join_next().await.is_some() {}
}

/// Limit on the number of connections, in total and for each source network.
struct ConnectionQuota {
    permits: Arc<Semaphore>,
    /// Largest number of connections of one source network.
    max_per_network: usize,
    /// The operator's proxies. Proxies have no limit of their own, because each proxy forwards the requests
    /// of many clients.
    trusted_proxies: Vec<IpNet>,
    connection_counts: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// Permit for one connection. When the permit is dropped, another connection can be accepted.
struct ConnectionPermit {
    peer: IpAddr,
    connection_counts: Arc<Mutex<HashMap<IpAddr, usize>>>,
    _permit: OwnedSemaphorePermit,
}

impl ConnectionQuota {
    fn new(connections: usize, trusted_proxies: Vec<IpNet>) -> Self {
        let all = Arc::new(Semaphore::new(connections));
        Self {
            permits: all,
            max_per_network: (connections / 2).max(1),
            trusted_proxies,
            connection_counts: Arc::default(),
        }
    }

    /// Reserves a permit for a connection from this source. Returns the permit as an error if the source
    /// already has too many connections.
    fn try_reserve(
        &self,
        peer: IpAddr,
        permit: OwnedSemaphorePermit,
    ) -> Result<ConnectionPermit, OwnedSemaphorePermit> {
        let mut taken = self.connection_counts.lock().unwrap_or_else(PoisonError::into_inner);
        let from = taken.entry(source_network(peer)).or_default();
        if *from >= self.max_per_network && !self.trusted_proxies.iter().any(|net| net.contains(&peer)) {
            return Err(permit);
        }
        *from += 1;
        Ok(ConnectionPermit { peer, connection_counts: self.connection_counts.clone(), _permit: permit })
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let mut taken = self.connection_counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut from) = taken.entry(source_network(self.peer)) {
            *from.get_mut() -= 1;
            if *from.get() == 0 {
                from.remove();
            }
        }
    }
}

async fn accept(listener: &TcpListener, quota: &ConnectionQuota) -> Option<(TcpStream, ConnectionPermit)> {
    let mut permit = quota.permits.clone().acquire_owned().await.ok()?;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => match quota.try_reserve(peer.ip().to_canonical(), permit) {
                Ok(place) => return Some((stream, place)),
                Err(unused) => {
                    tracing::debug!(%peer, "connection closed: half of all open connections come from the \
                        same source");
                    permit = unused;
                }
            },
            // The client closed this connection before it was accepted. The next connection can still be
            // accepted.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::error!(%error, "cannot accept connections: raise the limit of open files");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve_connection(
    stream: TcpStream,
    permit: ConnectionPermit,
    router: Router,
    bounds: Arc<ConnectionLimits>,
    mut stop: watch::Receiver<bool>,
) {
    let peer = permit.peer;
    // The response is one small write, which the system must not delay to collect more data.
    let _ = stream.set_nodelay(true);
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(PeerAddress(peer));
        let answer = router.clone().call(request);
        Box::pin(async move { answer.await as Result<Response, Infallible> })
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.header_timeout)
        .max_headers(MAX_HEADERS)
        .max_header_size(MAX_HEADER_BYTES)
        .max_buf_size(MAX_BUFFER_BYTES)
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service);
    let served = tokio::select! {
        served = std::future::poll_fn(|context| connection.poll_without_shutdown(context)) => Some(served),
        _ = stop.wait_for(|stop| *stop) => None,
        () = tokio::time::sleep(bounds.max_connection_age) => None,
    };
    let served = match served {
        Some(served) => served,
        None => {
            Pin::new(&mut connection).graceful_shutdown();
            let rest = std::future::poll_fn(|context| connection.poll_without_shutdown(context));
            // The header and the body of the current request have separate time limits. This timeout closes
            // the connection of a client that does not read its response.
            match tokio::time::timeout(bounds.header_timeout + bounds.body_timeout, rest).await {
                Ok(served) => served,
                Err(_) => return,
            }
        }
    };
    match served {
        Ok(()) => drain_connection(connection.into_parts().io.into_inner(), bounds.linger_timeout).await,
        Err(error) => tracing::debug!(%peer, %error, "connection ended"),
    }
}

/// Closes the sending direction, then reads and discards the rest of the request. If the connection were
/// closed immediately, a client that is still sending would lose the response.
async fn drain_connection(mut stream: TcpStream, time_limit: Duration) {
    let rest = async {
        stream.shutdown().await?;
        let mut left = MAX_LINGER_BYTES;
        let mut scratch = vec![0; MAX_BUFFER_BYTES];
        while left > 0 {
            let read = stream.read(&mut scratch).await?;
            if read == 0 {
                break;
            }
            left = left.saturating_sub(read);
        }
        Ok::<(), io::Error>(())
    };
    let _ = tokio::time::timeout(time_limit, rest).await;
}
