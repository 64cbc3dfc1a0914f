//! The proxy between a program in the sandbox and the hosts that the program's configuration allows. The
//! proxy connects only to these hosts, and records every attempt to connect.
//!
//! The proxy resolves a host's name, checks that the address is allowed, and connects to the checked address.
//! A tunnel (`CONNECT`) contains TLS data, which the proxy does not decrypt. The proxy only checks that the
//! TLS handshake names the host for which the tunnel was requested. If a host is listed without TLS, the
//! proxy forwards single read-only requests to it.

mod allowed_host;
mod meter;
mod tunnel;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http_body_util::{Either, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    CONNECTION, HOST, HeaderName, HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use hyper::server::conn::http1 as server;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream, lookup_host};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

pub use allowed_host::AllowedHost;
use allowed_host::is_public;
pub(crate) use allowed_host::normalize_host;
use meter::{ByteMeter, MeteredStream};

/// Maximum number of connections at once.
const MAX_CONNECTIONS: usize = 128;
/// Maximum number of bytes transferred by all connections together, in both directions.
const MAX_TRANSFERRED_BYTES: u64 = 16 << 30;
/// Timeout for resolving a name, and timeout for establishing a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// Timeout for reading the head of a request.
const REQUEST_HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Maximum number of bytes of a request's head.
const MAX_REQUEST_HEAD_BYTES: usize = 32 << 10;
/// Maximum number of entries in the report of attempts.
const MAX_RECORDED_ATTEMPTS: usize = 256;
/// Maximum number of characters of a host's name.
const MAX_HOST_CHARS: usize = 255;
/// Hop-by-hop headers, which are not passed on.
const HOP_BY_HOP_HEADERS: [HeaderName; 7] =
    [CONNECTION, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE];

/// A response of the proxy itself or of a host.
type ProxyResponse = Response<Either<Full<Bytes>, Incoming>>;

/// The reason that the proxy refused or closed a connection.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "why")]
pub enum ConnectionRefusal {
    /// The host is not listed.
    NotListed,
    /// The host is listed with TLS, but the request did not use TLS.
    NotTls,
    /// The host's name resolves to an address of a private network.
    NotPublic,
    /// The TLS handshake in the tunnel named another host.
    OtherHost,
    /// The request's method is not read-only.
    Method,
    /// The limit of bytes was reached.
    TooMuch,
    /// The host is allowed, but did not respond.
    Unreachable(String),
}

impl ConnectionRefusal {
    /// Describes the refusal as the end of a sentence whose subject is the host. `config_key` is the
    /// configuration key that lists the allowed hosts.
    pub fn to_message(&self, config_key: &str) -> String {
        match self {
            Self::NotListed => format!("is not listed in `{config_key}`"),
            Self::NotTls => "may be reached only by TLS".to_owned(),
            Self::NotPublic => "has no public address".to_owned(),
            Self::OtherHost => "does not match the host in the client's TLS handshake".to_owned(),
            Self::Method => "may receive only read requests (GET or HEAD)".to_owned(),
            Self::TooMuch => format!("would have sent more than {} GiB in all", MAX_TRANSFERRED_BYTES >> 30),
            Self::Unreachable(why) => format!("cannot be reached: {why}"),
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::NotListed | Self::NotTls | Self::NotPublic | Self::OtherHost | Self::TooMuch => {
                StatusCode::FORBIDDEN
            }
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Unreachable(_) => StatusCode::BAD_GATEWAY,
        }
    }
}

/// All attempts with the same outcome to connect to one port of a host.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HostAccess {
    /// Host as requested by the program.
    pub host: String,
    pub port: u16,
    /// The reason for the refusal; `None` if the connection was made.
    #[serde(rename = "refused")]
    pub refusal: Option<ConnectionRefusal>,
    /// Number of attempts with this outcome.
    pub times: u64,
    /// Bytes sent to the host.
    pub sent: u64,
    /// Bytes received from the host.
    pub received: u64,
}

/// The proxy for one MCP server, or for the setup commands before a run of checks. Cheap to clone: all clones
/// share their state.
#[derive(Clone)]
pub(crate) struct EgressProxy(Arc<ProxyState>);

/// The host, the port and the refusal of an attempt. The refusal is `None` if the connection was made.
type ProxyAttempt = (String, u16, Option<ConnectionRefusal>);

struct ProxyState {
    allowed_hosts: Vec<AllowedHost>,
    config_key: String,
    connections: Arc<Semaphore>,
    meter: Arc<ByteMeter>,
    attempts: Mutex<BTreeMap<ProxyAttempt, Arc<ByteMeter>>>,
}

impl EgressProxy {
    /// Returns a proxy that connects only to these hosts. `config_key` is the configuration key that lists
    /// the hosts.
    pub(crate) fn new(allowed_hosts: Vec<AllowedHost>, config_key: impl Into<String>) -> Self {
        Self(Arc::new(ProxyState {
            allowed_hosts,
            config_key: config_key.into(),
            connections: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
            meter: Arc::new(ByteMeter::new(MAX_TRANSFERRED_BYTES)),
            attempts: Mutex::default(),
        }))
    }

    /// Serves all connections, without end. Dropping the future closes all connections.
    pub(crate) async fn serve(self, listener: TcpListener) {
        let mut running = JoinSet::new();
        loop {
            let Ok(place) = self.0.connections.clone().acquire_owned().await else { return };
            tokio::select! {
                accepted = listener.accept() => {
                    let Ok((stream, _)) = accepted else {
                        // The accept may have failed because no file descriptors were left. The loop waits
                        // until a connection ends and frees a descriptor.
                        if running.join_next().await.is_none() { return }
                        continue;
                    };
                    let proxy = self.clone();
                    running.spawn(async move {
                        proxy.serve_connection(stream).await;
                        drop(place);
                    });
                }
                Some(_) = running.join_next() => {}
            }
        }
    }

    /// Returns all attempts, counted by host, port and outcome.
    pub(crate) fn host_accesses(&self) -> Vec<HostAccess> {
        let seen = self.0.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        let accesses = seen.iter().map(|((host, port, refused), meter)| {
            let (times, sent, received) = meter.read_counts();
            HostAccess { host: host.clone(), port: *port, refusal: refused.clone(), times, sent, received }
        });
        accesses.collect()
    }

    async fn serve_connection(&self, stream: TcpStream) {
        let (tunnels, mut dug) = tokio::sync::mpsc::channel(1);
        let service = service_fn(|request| {
            let (proxy, tunnels) = (self, tunnels.clone());
            async move { Ok::<_, std::convert::Infallible>(proxy.answer_request(request, tunnels).await) }
        });
        let served = server::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(REQUEST_HEAD_TIMEOUT)
            .max_buf_size(MAX_REQUEST_HEAD_BYTES)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        // The error is ignored, because it is usually caused by a client that does not use HTTP. Such a
        // client gets no response.
        let _ = served.await;
        if let Ok(tunnel) = dug.try_recv() {
            self.run_tunnel(tunnel).await;
        }
    }

    async fn answer_request(
        &self,
        request: Request<Incoming>,
        tunnels: tokio::sync::mpsc::Sender<ProxyTunnel>,
    ) -> ProxyResponse {
        let tls = request.method() == Method::CONNECT;
        let Some((host, port)) = request_target(request.uri(), tls) else {
            return text_response(StatusCode::BAD_REQUEST, "a request to a proxy must contain a full URL");
        };
        let answered = if tls {
            self.open_tunnel(&host, port, request, &tunnels).await
        } else {
            self.pass_on(&host, port, request).await
        };
        answered.unwrap_or_else(|refused| {
            let text = format!("truing: {host}:{port} {}\n", refused.to_message(&self.0.config_key));
            let status = refused.status();
            self.record_access(&host, port, Some(refused));
            let mut answer = text_response(status, &text);
            // The connection is closed after an error response, because the client may already have sent
            // tunnel data, which is not HTTP.
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            answer
        })
    }

    /// Connects to a host, and registers a tunnel that starts once the response to the client is sent.
    async fn open_tunnel(
        &self,
        host: &str,
        port: u16,
        request: Request<Incoming>,
        tunnels: &tokio::sync::mpsc::Sender<ProxyTunnel>,
    ) -> Result<ProxyResponse, ConnectionRefusal> {
        let stream = self.connect(host, port, true).await?;
        let inside = hyper::upgrade::on(request);
        let tunnel = ProxyTunnel { client_upgrade: inside, stream, host: host.to_owned(), port };
        tunnels
            .try_send(tunnel)
            .map_err(|_| ConnectionRefusal::Unreachable("one tunnel already exists".to_owned()))?;
        Ok(text_response(StatusCode::OK, ""))
    }

    async fn run_tunnel(&self, ProxyTunnel { client_upgrade: inside, stream, host, port }: ProxyTunnel) {
        let Ok(inside) = inside.await else { return };
        let went = tunnel::relay_bytes(TokioIo::new(inside), stream, &host).await;
        if let Err(refused) = went {
            self.record_access(&host, port, Some(refused));
        }
    }

    /// Passes a read-only request on to a host without TLS.
    async fn pass_on(
        &self,
        host: &str,
        port: u16,
        mut request: Request<Incoming>,
    ) -> Result<ProxyResponse, ConnectionRefusal> {
        let unreachable = |error: hyper::Error| ConnectionRefusal::Unreachable(error.to_string());
        self.find_allowed_host(host, port, false)?;
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return Err(ConnectionRefusal::Method);
        }
        let stream = self.connect(host, port, false).await?;
        let authority = request.uri().authority().map(|authority| authority.as_str().to_owned());
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).parse::<Uri>();
        *request.uri_mut() = path.map_err(|error| ConnectionRefusal::Unreachable(error.to_string()))?;
        let headers = request.headers_mut();
        for name in &HOP_BY_HOP_HEADERS {
            headers.remove(name);
        }
        if let Some(host) = authority.and_then(|authority| HeaderValue::from_str(&authority).ok()) {
            headers.insert(HOST, host);
        }
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(unreachable)?;
        // This task needs no time limit, because it ends when the response ends, and the response is limited.
        tokio::spawn(connection);
        let mut answer = sender.send_request(request).await.map_err(unreachable)?;
        for name in &HOP_BY_HOP_HEADERS {
            answer.headers_mut().remove(name);
        }
        Ok(answer.map(Either::Right))
    }

    /// Connects to an allowed host, at an address that passed the check.
    async fn connect(
        &self,
        host: &str,
        port: u16,
        tls: bool,
    ) -> Result<MeteredStream<TcpStream>, ConnectionRefusal> {
        let place = self.find_allowed_host(host, port, tls)?;
        if self.0.meter.is_exhausted() {
            return Err(ConnectionRefusal::TooMuch);
        }
        let stream = open_stream(place).await?;
        let meter = self.record_access(host, port, None);
        Ok(MeteredStream::new(stream, vec![meter, self.0.meter.clone()]))
    }

    /// Returns the allowed host that has this name and port, and is listed with or without TLS as requested.
    fn find_allowed_host(&self, host: &str, port: u16, tls: bool) -> Result<&AllowedHost, ConnectionRefusal> {
        let mut there =
            self.0.allowed_hosts.iter().filter(|place| place.host == host && place.port == port).peekable();
        let without_tls = if tls { ConnectionRefusal::NotListed } else { ConnectionRefusal::NotTls };
        let refused = if there.peek().is_none() { ConnectionRefusal::NotListed } else { without_tls };
        there.find(|place| place.tls == tls).ok_or(refused)
    }

    /// Counts an attempt to connect, and returns the meter that counts the bytes of this host and port.
    fn record_access(&self, host: &str, port: u16, refusal: Option<ConnectionRefusal>) -> Arc<ByteMeter> {
        let mut seen = self.0.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (host.chars().take(MAX_HOST_CHARS).collect(), port, refusal);
        let key = match seen.len() {
            0..MAX_RECORDED_ATTEMPTS => key,
            _ if seen.contains_key(&key) => key,
            // If there are too many entries, all further attempts with the same outcome share one entry.
            _ => ("…".to_owned(), 0, key.2),
        };
        let meter = seen.entry(key).or_insert_with(|| Arc::new(ByteMeter::new(u64::MAX)));
        meter.count_connection();
        meter.clone()
    }
}

/// A connection to a host, and the client's pending upgrade; the upgraded connection becomes the tunnel.
struct ProxyTunnel {
    client_upgrade: hyper::upgrade::OnUpgrade,
    stream: MeteredStream<TcpStream>,
    host: String,
    port: u16,
}

/// Returns the host and port of a request.
fn request_target(uri: &Uri, tls: bool) -> Option<(String, u16)> {
    let authority = uri.authority()?;
    let default = match (tls, uri.scheme_str()) {
        (true, _) => None,
        (false, Some("http")) => Some(80),
        (false, Some(_) | None) => return None,
    };
    Some((normalize_host(authority.host()), authority.port_u16().or(default)?))
}

async fn open_stream(allowed_host: &AllowedHost) -> Result<TcpStream, ConnectionRefusal> {
    let unreachable = |error: io::Error| ConnectionRefusal::Unreachable(error.to_string());
    let late = |_| ConnectionRefusal::Unreachable(format!("no answer in {} s", CONNECT_TIMEOUT.as_secs()));
    let found =
        tokio::time::timeout(CONNECT_TIMEOUT, lookup_host((allowed_host.host.as_str(), allowed_host.port)));
    let found: Vec<SocketAddr> = found.await.map_err(late)?.map_err(unreachable)?.collect();
    let allowed: Vec<SocketAddr> =
        found.into_iter().filter(|address| allowed_host.allows_private || is_public(address.ip())).collect();
    if allowed.is_empty() {
        return Err(ConnectionRefusal::NotPublic);
    }
    tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(allowed.as_slice()))
        .await
        .map_err(late)?
        .map_err(unreachable)
}

fn text_response(status: StatusCode, text: &str) -> ProxyResponse {
    let mut answer = Response::new(Either::Left(Full::new(Bytes::from(text.to_owned()))));
    *answer.status_mut() = status;
    answer
}
