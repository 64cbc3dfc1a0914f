//! The proxy between a program in the sandbox and the hosts that somebody has listed for it: it connects to those and to
//! nothing else, and records every try.
//!
//! A host's name is resolved here, its address checked, and that very address connected to. What goes through a tunnel
//! (`CONNECT`) is TLS, which this process does not open; only that it begins with the host's own name is seen to. A
//! place that is listed as one without TLS gets requests that read, one by one.

mod meter;
mod place;
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

use meter::{ByteMeter, MeteredStream};
pub use place::AllowedHost;
use place::is_public;
pub(crate) use place::plain;

/// The most connections at once.
const MAX_CONNECTIONS: usize = 128;
/// The most bytes through all of them, both ways.
const MAX_BYTES: u64 = 16 << 30;
/// How long a name may take to be resolved, or a host to be connected to.
const CONNECTS: Duration = Duration::from_secs(20);
/// How long a request may take to be said.
const ASKS: Duration = Duration::from_secs(30);
/// The most that the head of a request may be, in bytes.
const MAX_HEAD: usize = 32 << 10;
/// The most hosts that are told of.
const MAX_TOLD: usize = 256;
/// The most characters of a host's name.
const MAX_HOST: usize = 255;
/// What is between two neighbours alone, and not passed on.
const BETWEEN_NEIGHBOURS: [HeaderName; 7] =
    [CONNECTION, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE];

/// An answer: words of ours, or those of a host.
type ProxyResponse = Response<Either<Full<Bytes>, Incoming>>;

/// Why a connection was not made, or ended.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "why")]
pub enum ConnectionRefusal {
    /// It is not listed.
    NotListed,
    /// It is listed, and was asked for without TLS.
    NotTls,
    /// Its name leads into somebody's own network.
    NotPublic,
    /// In a tunnel to it another host was asked for.
    OtherHost,
    /// It would change something.
    Method,
    /// All the bytes were moved that may be.
    TooMuch,
    /// It was allowed, and did not answer.
    Unreachable(String),
}

impl ConnectionRefusal {
    /// In words that follow the host. `key` is the one of the configuration that lists what may be reached.
    pub fn words(&self, key: &str) -> String {
        match self {
            Self::NotListed => format!("is not listed in `{key}`"),
            Self::NotTls => "is reached by TLS alone".to_owned(),
            Self::NotPublic => "has no public address".to_owned(),
            Self::OtherHost => "was to carry a connection to another host".to_owned(),
            Self::Method => "was asked for more than to read".to_owned(),
            Self::TooMuch => format!("was to send more than {} GiB in all", MAX_BYTES >> 30),
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

/// What was tried of one host.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HostAccess {
    /// The host, as it was asked for.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Why nothing came of it; none: it was reached.
    pub refused: Option<ConnectionRefusal>,
    /// How many times.
    pub times: u64,
    /// Bytes to it.
    pub sent: u64,
    /// Bytes from it.
    pub received: u64,
}

/// The proxy of one set-up, or of one server. Cheap to clone: all are one.
#[derive(Clone)]
pub(crate) struct EgressProxy(Arc<ProxyState>);

/// A host, its port, and why nothing came of it.
type ProxyAttempt = (String, u16, Option<ConnectionRefusal>);

struct ProxyState {
    places: Vec<AllowedHost>,
    key: String,
    connections: Arc<Semaphore>,
    meter: Arc<ByteMeter>,
    seen: Mutex<BTreeMap<ProxyAttempt, Arc<ByteMeter>>>,
}

impl EgressProxy {
    /// One that leads to these places, which this key of the configuration lists.
    pub(crate) fn new(places: Vec<AllowedHost>, key: impl Into<String>) -> Self {
        Self(Arc::new(ProxyState {
            places,
            key: key.into(),
            connections: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
            meter: Arc::new(ByteMeter::of(MAX_BYTES)),
            seen: Mutex::default(),
        }))
    }

    /// Answers whoever connects, for ever. Letting go of it ends all connections.
    pub(crate) async fn serve(self, listener: TcpListener) {
        let mut running = JoinSet::new();
        loop {
            let Ok(place) = self.0.connections.clone().acquire_owned().await else { return };
            tokio::select! {
                accepted = listener.accept() => {
                    let Ok((stream, _)) = accepted else {
                        // For want of files, perhaps: those that run will end.
                        if running.join_next().await.is_none() { return }
                        continue;
                    };
                    let proxy = self.clone();
                    running.spawn(async move {
                        proxy.connection(stream).await;
                        drop(place);
                    });
                }
                Some(_) = running.join_next() => {}
            }
        }
    }

    /// All that was tried, by host.
    pub(crate) fn reached(&self) -> Vec<HostAccess> {
        let seen = self.0.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let told = seen.iter().map(|((host, port, refused), meter)| {
            let (times, sent, received) = meter.read();
            HostAccess { host: host.clone(), port: *port, refused: refused.clone(), times, sent, received }
        });
        told.collect()
    }

    async fn connection(&self, stream: TcpStream) {
        let (tunnels, mut dug) = tokio::sync::mpsc::channel(1);
        let service = service_fn(|request| {
            let (proxy, tunnels) = (self, tunnels.clone());
            async move { Ok::<_, std::convert::Infallible>(proxy.answer(request, tunnels).await) }
        });
        let served = server::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(ASKS)
            .max_buf_size(MAX_HEAD)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        // Whoever speaks no HTTP is not answered.
        let _ = served.await;
        if let Ok(tunnel) = dug.try_recv() {
            self.through(tunnel).await;
        }
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        tunnels: tokio::sync::mpsc::Sender<ProxyTunnel>,
    ) -> ProxyResponse {
        let tls = request.method() == Method::CONNECT;
        let Some((host, port)) = asked(request.uri(), tls) else {
            return said(StatusCode::BAD_REQUEST, "a proxy is asked for a whole address");
        };
        let answered = if tls {
            self.dig(&host, port, request, &tunnels).await
        } else {
            self.pass_on(&host, port, request).await
        };
        answered.unwrap_or_else(|refused| {
            let text = format!("truing: {host}:{port} {}\n", refused.words(&self.0.key));
            let status = refused.status();
            self.note(&host, port, Some(refused));
            let mut answer = said(status, &text);
            // What follows may be meant for a tunnel.
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            answer
        })
    }

    /// Connects, and has what follows the answer go through.
    async fn dig(
        &self,
        host: &str,
        port: u16,
        request: Request<Incoming>,
        tunnels: &tokio::sync::mpsc::Sender<ProxyTunnel>,
    ) -> Result<ProxyResponse, ConnectionRefusal> {
        let stream = self.connect(host, port, true).await?;
        let inside = hyper::upgrade::on(request);
        let tunnel = ProxyTunnel { inside, stream, host: host.to_owned(), port };
        tunnels
            .try_send(tunnel)
            .map_err(|_| ConnectionRefusal::Unreachable("one tunnel is there already".to_owned()))?;
        Ok(said(StatusCode::OK, ""))
    }

    async fn through(&self, ProxyTunnel { inside, stream, host, port }: ProxyTunnel) {
        let Ok(inside) = inside.await else { return };
        let went = tunnel::through(TokioIo::new(inside), stream, &host).await;
        if let Err(refused) = went {
            self.note(&host, port, Some(refused));
        }
    }

    /// Passes a request that reads on to a place without TLS.
    async fn pass_on(
        &self,
        host: &str,
        port: u16,
        mut request: Request<Incoming>,
    ) -> Result<ProxyResponse, ConnectionRefusal> {
        let unreachable = |error: hyper::Error| ConnectionRefusal::Unreachable(error.to_string());
        self.listed(host, port, false)?;
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return Err(ConnectionRefusal::Method);
        }
        let stream = self.connect(host, port, false).await?;
        let authority = request.uri().authority().map(|authority| authority.as_str().to_owned());
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).parse::<Uri>();
        *request.uri_mut() = path.map_err(|error| ConnectionRefusal::Unreachable(error.to_string()))?;
        let headers = request.headers_mut();
        for name in &BETWEEN_NEIGHBOURS {
            headers.remove(name);
        }
        if let Some(host) = authority.and_then(|authority| HeaderValue::from_str(&authority).ok()) {
            headers.insert(HOST, host);
        }
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(unreachable)?;
        // It ends with the answer, which it is bounded with.
        tokio::spawn(connection);
        let mut answer = sender.send_request(request).await.map_err(unreachable)?;
        for name in &BETWEEN_NEIGHBOURS {
            answer.headers_mut().remove(name);
        }
        Ok(answer.map(Either::Right))
    }

    /// Connects to a host that may be reached, at the address that was checked.
    async fn connect(
        &self,
        host: &str,
        port: u16,
        tls: bool,
    ) -> Result<MeteredStream<TcpStream>, ConnectionRefusal> {
        let place = self.listed(host, port, tls)?;
        if self.0.meter.is_empty() {
            return Err(ConnectionRefusal::TooMuch);
        }
        let stream = open(place).await?;
        let meter = self.note(host, port, None);
        Ok(MeteredStream::new(stream, vec![meter, self.0.meter.clone()]))
    }

    /// The place that is listed there.
    fn listed(&self, host: &str, port: u16, tls: bool) -> Result<&AllowedHost, ConnectionRefusal> {
        let mut there =
            self.0.places.iter().filter(|place| place.host == host && place.port == port).peekable();
        let without_tls = if tls { ConnectionRefusal::NotListed } else { ConnectionRefusal::NotTls };
        let refused = if there.peek().is_none() { ConnectionRefusal::NotListed } else { without_tls };
        there.find(|place| place.tls == tls).ok_or(refused)
    }

    /// Counts a try, and gives what its bytes are counted with.
    fn note(&self, host: &str, port: u16, refused: Option<ConnectionRefusal>) -> Arc<ByteMeter> {
        let mut seen = self.0.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (host.chars().take(MAX_HOST).collect(), port, refused);
        let key = match seen.len() {
            0..MAX_TOLD => key,
            _ if seen.contains_key(&key) => key,
            // There is room for one more: all the others.
            _ => ("…".to_owned(), 0, key.2),
        };
        let meter = seen.entry(key).or_insert_with(|| Arc::new(ByteMeter::of(u64::MAX)));
        meter.count();
        meter.clone()
    }
}

/// A connection that is to become a tunnel.
struct ProxyTunnel {
    inside: hyper::upgrade::OnUpgrade,
    stream: MeteredStream<TcpStream>,
    host: String,
    port: u16,
}

/// Which host and port a request is for.
fn asked(uri: &Uri, tls: bool) -> Option<(String, u16)> {
    let authority = uri.authority()?;
    let default = match (tls, uri.scheme_str()) {
        (true, _) => None,
        (false, Some("http")) => Some(80),
        (false, Some(_) | None) => return None,
    };
    Some((plain(authority.host()), authority.port_u16().or(default)?))
}

async fn open(place: &AllowedHost) -> Result<TcpStream, ConnectionRefusal> {
    let unreachable = |error: io::Error| ConnectionRefusal::Unreachable(error.to_string());
    let late = |_| ConnectionRefusal::Unreachable(format!("no answer in {} s", CONNECTS.as_secs()));
    let found = tokio::time::timeout(CONNECTS, lookup_host((place.host.as_str(), place.port)));
    let found: Vec<SocketAddr> = found.await.map_err(late)?.map_err(unreachable)?.collect();
    let allowed: Vec<SocketAddr> =
        found.into_iter().filter(|address| place.private || is_public(address.ip())).collect();
    if allowed.is_empty() {
        return Err(ConnectionRefusal::NotPublic);
    }
    tokio::time::timeout(CONNECTS, TcpStream::connect(allowed.as_slice()))
        .await
        .map_err(late)?
        .map_err(unreachable)
}

fn said(status: StatusCode, text: &str) -> ProxyResponse {
    let mut answer = Response::new(Either::Left(Full::new(Bytes::from(text.to_owned()))));
    *answer.status_mut() = status;
    answer
}
