//! Limits the number and the duration of connections. Connections with and without the token have separate
//! limits, so connections without the token never block those with the token.
//!
//! | A connection | is |
//! |---|---|
//! | that shows no token within five seconds | closed |
//! | without the token, one more than allowed | accepted; the oldest of the address with most of them is
//! closed |
//! | that shows the token, when the limit is reached, or half of it by one address | answered 503 |

use std::convert::Infallible;
use std::future::pending;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::http::{McpResponse, REQUEST_READ_TIMEOUT, refusal_response};

/// Maximum number of bytes of a request's head.
const MAX_REQUEST_HEAD_BYTES: usize = 32 << 10;
/// Pause after a failed accept, which may be caused by a lack of file descriptors.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(200);

/// The limits of connections, and the time that a connection may be open before it shows the token.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectionBounds {
    /// Maximum number of connections that have shown the token.
    pub(crate) max_authenticated: usize,
    /// Maximum number of connections that have not shown the token.
    pub(crate) max_unauthenticated: usize,
    /// Time within which a connection must show the token.
    pub(crate) auth_timeout: Duration,
}

impl Default for ConnectionBounds {
    fn default() -> Self {
        Self { max_authenticated: 64, max_unauthenticated: 32, auth_timeout: Duration::from_secs(5) }
    }
}

/// Serves all connections, without end. Dropping the future closes all connections. `knows` must return true
/// if the headers contain the token.
///
/// # Errors
/// An I/O error if the listener fails to accept a connection while no connection is open.
pub(crate) async fn serve_connections<F: Future<Output = McpResponse> + Send + 'static>(
    listener: TcpListener,
    bounds: ConnectionBounds,
    has_token: impl Fn(&HeaderMap) -> bool + Clone + Send + Sync + 'static,
    answer: impl Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
) -> std::io::Result<()> {
    let room = Arc::new(Mutex::new(ConnectionTable { bounds, connections: Vec::new(), next_id: 0 }));
    let mut tasks = JoinSet::new();
    loop {
        while tasks.try_join_next().is_some() {}
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) if tasks.is_empty() => return Err(error),
            Err(_) => {
                tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
                continue;
            }
        };
        let guest = ConnectionGuard::new(&room, peer.ip().to_canonical());
        tasks.spawn(serve_connection(stream, guest, bounds.auth_timeout, has_token.clone(), answer.clone()));
    }
}

async fn serve_connection<F: Future<Output = McpResponse> + Send>(
    stream: TcpStream,
    connection_guard: ConnectionGuard,
    auth_timeout: Duration,
    has_token: impl Fn(&HeaderMap) -> bool + Send + Sync + 'static,
    answer: impl Fn(Request<Incoming>) -> F + Send + Sync + 'static,
) {
    let guest = Arc::new(connection_guard);
    let of_requests = guest.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let is_full = has_token(request.headers()) && !of_requests.try_authenticate();
        let answered = (!is_full).then(|| answer(request));
        async move {
            Ok::<_, Infallible>(match answered {
                Some(answered) => answered.await,
                None => refusal_response(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "too many connections are open: try again later",
                ),
            })
        }
    });
    let late = async {
        tokio::select! {
            () = guest.close_signal.notified() => {}
            () = tokio::time::sleep(auth_timeout) => {}
        }
        if guest.is_authenticated() {
            pending::<()>().await;
        }
    };
    // Errors of a connection are ignored, because no further response can be sent on the connection.
    tokio::select! {
        _ = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(REQUEST_READ_TIMEOUT)
            .max_buf_size(MAX_REQUEST_HEAD_BYTES)
            .serve_connection(TokioIo::new(stream), service) => {}
        () = late => {}
    }
}

/// The table of all open connections.
struct ConnectionTable {
    bounds: ConnectionBounds,
    /// The open connections, the oldest first.
    connections: Vec<OpenConnection>,
    next_id: u64,
}

struct OpenConnection {
    id: u64,
    peer: IpAddr,
    is_authenticated: bool,
    /// Notified when the connection must be closed. The notification is ignored after the connection has
    /// shown the token.
    close_signal: Arc<Notify>,
}

/// A guard of one connection. When the guard is dropped, the connection is removed from the table.
struct ConnectionGuard {
    table: Arc<Mutex<ConnectionTable>>,
    id: u64,
    close_signal: Arc<Notify>,
}

impl ConnectionGuard {
    /// Adds a connection without the token to the table. If the limit of such connections is reached, finds
    /// the address that has the most such connections and closes the oldest of these.
    fn new(table: &Arc<Mutex<ConnectionTable>>, peer: IpAddr) -> Self {
        let mut all = lock_table(table);
        let strange = || all.connections.iter().filter(|open| !open.is_authenticated);
        if strange().count() >= all.bounds.max_unauthenticated {
            let of = |peer: IpAddr| strange().filter(|open| open.peer == peer).count();
            // If several addresses have the same number of connections, the address with the oldest
            // connection is selected.
            let most = strange().rev().max_by_key(|open| of(open.peer)).map(|open| open.peer);
            let oldest =
                all.connections.iter().position(|open| !open.is_authenticated && Some(open.peer) == most);
            if let Some(oldest) = oldest {
                all.connections.remove(oldest).close_signal.notify_one();
            }
        }
        let (id, end) = (all.next_id, Arc::new(Notify::new()));
        all.next_id += 1;
        all.connections.push(OpenConnection { id, peer, is_authenticated: false, close_signal: end.clone() });
        Self { table: table.clone(), id, close_signal: end }
    }

    /// Marks the connection as having shown the token. Returns false if the limit of connections with the
    /// token is reached, in total or for the peer's address.
    fn try_authenticate(&self) -> bool {
        let mut all = lock_table(&self.table);
        let Some(at) = all.connections.iter().position(|open| open.id == self.id) else { return false };
        let Some(peer) = all.connections.get(at).filter(|open| !open.is_authenticated).map(|open| open.peer)
        else {
            return true;
        };
        let known = all.connections.iter().filter(|open| open.is_authenticated);
        let (count, from_there) = (known.clone().count(), known.filter(|open| open.peer == peer).count());
        // The limit for one address does not apply to this machine, because all its programs have the same
        // source address.
        let is_share = peer.is_loopback() || from_there < (all.bounds.max_authenticated / 2).max(1);
        let has_place = count < all.bounds.max_authenticated && is_share;
        if let Some(open) = all.connections.get_mut(at) {
            open.is_authenticated = has_place;
        }
        has_place
    }

    fn is_authenticated(&self) -> bool {
        lock_table(&self.table).connections.iter().any(|open| open.id == self.id && open.is_authenticated)
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        lock_table(&self.table).connections.retain(|open| open.id != self.id);
    }
}

fn lock_table(table: &Arc<Mutex<ConnectionTable>>) -> MutexGuard<'_, ConnectionTable> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection_table(authenticated: usize, unauthenticated: usize) -> Arc<Mutex<ConnectionTable>> {
        let bounds = ConnectionBounds {
            max_authenticated: authenticated,
            max_unauthenticated: unauthenticated,
            auth_timeout: Duration::from_secs(5),
        };
        Arc::new(Mutex::new(ConnectionTable { bounds, connections: Vec::new(), next_id: 0 }))
    }

    fn peer(last_octet: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last_octet])
    }

    fn is_open(connection_guard: &ConnectionGuard) -> bool {
        lock_table(&connection_guard.table).connections.iter().any(|open| open.id == connection_guard.id)
    }

    #[test]
    fn closes_oldest_unauthenticated_connection_of_busiest_address() {
        let room = connection_table(4, 3);
        let known = ConnectionGuard::new(&room, peer(1));
        assert!(known.try_authenticate());
        let [alone, first, second] = [2, 3, 3].map(|last| ConnectionGuard::new(&room, peer(last)));
        let newest = ConnectionGuard::new(&room, peer(4));
        assert_eq!([&known, &alone, &first, &second, &newest].map(is_open), [true, true, false, true, true]);
        assert!(
            !first.try_authenticate() && !first.is_authenticated(),
            "who was ended is not let in afterwards"
        );
    }

    #[test]
    fn limits_remote_address_to_half_but_not_loopback() {
        let shown = |room: &Arc<Mutex<ConnectionTable>>, from: IpAddr, count: usize| {
            let guests: Vec<ConnectionGuard> = (0..count).map(|_| ConnectionGuard::new(room, from)).collect();
            let all = guests.iter().filter(|guest| guest.try_authenticate()).count();
            (guests, all)
        };
        let room = connection_table(4, 8);
        let (_first, count) = shown(&room, peer(1), 4);
        assert_eq!(count, 2);
        let (_others, count) = shown(&room, peer(2), 4);
        assert_eq!(count, 2);
        let (mut own, count) = shown(&room, IpAddr::from([127, 0, 0, 1]), 1);
        assert_eq!(count, 0, "there are no more places");
        drop((_first, _others));
        own.extend(shown(&room, IpAddr::from([127, 0, 0, 1]), 3).0);
        assert!(own.iter().all(ConnectionGuard::try_authenticate));
    }
}
