//! The Model Context Protocol over HTTP ("streamable HTTP"), without sessions: each request gets its own
//! response, in JSON. The module `connections` limits open connections.
//!
//! | A request | is answered |
//! |---|---|
//! | without the token, or with another | 401 |
//! | for a host, or from a page of an origin, that is not listed | 403 |
//! | whose body is too long, or takes too long | 413, 408 |
//! | other than POST | 405 |
//! | of a method that is not known | an error of JSON-RPC |

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{AUTHORIZATION, HeaderMap, WWW_AUTHENTICATE};
use hyper::{Request, Response, StatusCode};
use rmcp::ServerHandler;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tokio::net::TcpListener;
use truing_core::secret::SecretString;

use super::connections::{self, ConnectionBounds};
use super::{MAX_MESSAGE_BYTES, Toolset, ToolsetHandler};

/// Time within which a client with the token must send its request.
pub(crate) const REQUEST_READ_TIMEOUT: Duration = Duration::from_secs(30);
/// The host names under which programs on this machine reach this machine.
const LOOPBACK_HOSTS: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// An HTTP response of the server.
pub type McpResponse = Response<BoxBody<Bytes, Infallible>>;

/// An endpoint with its access rules. Cheap to clone.
#[derive(Clone)]
pub struct McpEndpoint {
    /// SHA-256 of the token. Hashes are stored because hashes of any input have the same length and can be
    /// compared in constant time.
    token_hash: Option<[u8; 32]>,
    hosts: Vec<String>,
    origins: Vec<String>,
    max_body_bytes: usize,
}

impl McpEndpoint {
    /// Returns an endpoint for programs of this machine that send the token. If `token` is `None`, the
    /// endpoint admits all programs of this machine.
    pub fn new(token: Option<&SecretString>) -> Self {
        Self {
            token_hash: token.map(|token| Sha256::digest(token.expose()).into()),
            hosts: LOOPBACK_HOSTS.map(str::to_owned).into(),
            // Pages from any port of this machine are allowed, because a program on this machine serves them.
            origins: ["localhost", "127.0.0.1", "[::1]"]
                .iter()
                .flat_map(|host| [format!("http://{host}:*"), format!("https://{host}:*")])
                .collect(),
            max_body_bytes: MAX_MESSAGE_BYTES,
        }
    }

    /// Adds host names (`HOST` or `HOST:PORT`) under which clients reach the endpoint, in addition to the
    /// names of this machine.
    #[must_use]
    pub fn with_hosts(mut self, hosts: impl IntoIterator<Item = String>) -> Self {
        self.hosts.extend(hosts);
        self
    }

    /// Handles a request with these tools if access is allowed, and refuses the request otherwise.
    pub async fn answer_request<B>(&self, tools: Arc<dyn Toolset>, request: Request<B>) -> McpResponse
    where
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.dispatch(move || ToolsetHandler(tools.clone()), request).await
    }

    /// Passes a request to the handler if access is allowed, and refuses the request otherwise.
    pub(crate) async fn dispatch<H, B>(
        &self,
        make_handler: impl Fn() -> H + Send + Sync + 'static,
        mut request: Request<B>,
    ) -> McpResponse
    where
        H: ServerHandler,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        if !self.has_valid_token(request.headers()) {
            let mut refused = refusal_response(
                StatusCode::UNAUTHORIZED,
                "the session's token is missing or wrong: send it as `Authorization: Bearer TOKEN`",
            );
            refused.headers_mut().insert(WWW_AUTHENTICATE, hyper::header::HeaderValue::from_static("Bearer"));
            return refused;
        }
        // The token is removed, because no handler needs it, and a handler without the token cannot log it.
        request.headers_mut().remove(AUTHORIZATION);
        let (head, body) = request.into_parts();
        let body = match tokio::time::timeout(
            REQUEST_READ_TIMEOUT,
            Limited::new(body, self.max_body_bytes).collect(),
        )
        .await
        {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                return refusal_response(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "the request exceeds the maximum length of a message",
                );
            }
            Ok(Err(_)) => {
                return refusal_response(StatusCode::BAD_REQUEST, "the request cannot be read completely");
            }
            Err(_) => {
                return refusal_response(StatusCode::REQUEST_TIMEOUT, "the request took too long to arrive");
            }
        };
        let config = StreamableHttpServerConfig::default()
            .with_legacy_session_mode(false)
            .with_json_response(true)
            .with_allowed_hosts(&self.hosts)
            .with_allowed_origins(&self.origins)
            .enforce_origin_validation()
            .with_max_request_body_bytes(self.max_body_bytes);
        let service = StreamableHttpService::new(
            move || Ok(make_handler()),
            Arc::new(NeverSessionManager::default()),
            config,
        );
        service.handle(Request::from_parts(head, Full::new(body))).await
    }

    /// Serves all connections, without end; `tools` returns the tools for a request by its headers.
    /// Dropping the future closes all connections.
    ///
    /// # Errors
    /// An I/O error if the listener accepts no more connections.
    pub async fn serve(
        self,
        listener: TcpListener,
        tools: impl Fn(&HeaderMap) -> Arc<dyn Toolset> + Clone + Send + Sync + 'static,
    ) -> std::io::Result<()> {
        let knows = self.clone();
        let answer = move |request: Request<Incoming>| {
            let (door, tools) = (self.clone(), tools(request.headers()));
            async move { door.answer_request(tools, request).await }
        };
        connections::serve_connections(
            listener,
            ConnectionBounds::default(),
            move |headers| knows.has_valid_token(headers),
            answer,
        )
        .await
    }

    /// Returns true if the headers contain the token. Compares in constant time.
    pub(crate) fn has_valid_token(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.token_hash else { return true };
        let authorization = headers.get(AUTHORIZATION).map_or(&[][..], |value| value.as_bytes());
        let authorization =
            authorization.split_at_checked(7).filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"bearer "));
        let (_, authorization) = authorization.unwrap_or_default();
        Sha256::digest(authorization).as_slice().ct_eq(token).into()
    }
}

/// Builds a response with this status and a text.
pub(crate) fn refusal_response(status: StatusCode, text: &'static str) -> McpResponse {
    let mut answer = Response::new(Full::new(Bytes::from_static(text.as_bytes())).boxed());
    *answer.status_mut() = status;
    answer
}
