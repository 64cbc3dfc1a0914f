//! [`FakeAws`] simulates, on loopback, the services that issue AWS credentials: STS, the credentials service
//! of a container, and the metadata service of an instance. Each fake service rejects the same requests as
//! the real service.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use crate::model::signature::{self, STS};
use crate::model::{AWS_KEY_ID, aws_secret_key};
use crate::server;

/// Audience of the tokens that STS accepts.
pub const AUDIENCE: &str = "sts.amazonaws.com";
/// Path of a container's credentials.
pub const CONTAINER_CREDENTIALS_PATH: &str = "/v1/credentials";
/// Token of the container credentials service.
pub const CONTAINER_TOKEN: &str = "container-canary-7";
/// Name of the role whose credentials the instance metadata service issues.
const INSTANCE_ROLE: &str = "instance-role";
/// Maximum size of a request's body, in bytes.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// The behaviour of the services.
#[derive(Clone, Debug)]
pub struct AwsBehaviour {
    /// Time at which newly issued credentials expire.
    pub keys_expire_at: SystemTime,
    /// Roles that may not be assumed.
    pub denied_roles: Vec<String>,
    /// Status that every request gets instead of its normal response.
    pub forced_status: Option<u16>,
    /// Time by which the services' clock is ahead of the machine's clock.
    pub clock_offset: SignedDuration,
    /// True if the services send no responses.
    pub is_silent: bool,
    /// Error code that the services return instead of credentials, in a response with a successful HTTP
    /// status.
    pub error_code: Option<String>,
    /// Prefix of each session token. After the prefix, the token contains the number of the credentials.
    pub session_token_prefix: String,
}

/// The server. The server stops and closes its connections when this value is dropped.
pub struct FakeAws {
    services: Arc<Mutex<AwsServices>>,
    url: String,
    task: AbortHandle,
}

struct AwsServices {
    behaviour: AwsBehaviour,
    /// Method and path of each request, and the action of each request to STS.
    request_log: Vec<String>,
    issued_count: u64,
    metadata_token: Option<String>,
}

impl Drop for FakeAws {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl std::fmt::Debug for FakeAws {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FakeAws").field("url", &self.url).finish_non_exhaustive()
    }
}

impl FakeAws {
    /// Starts the services on one free port of 127.0.0.1, inside the running tokio runtime. Issued
    /// credentials expire after an hour.
    ///
    /// # Errors
    /// Returns an error if no port is free.
    pub async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let behaviour = AwsBehaviour {
            keys_expire_at: SystemTime::now() + Duration::from_secs(3600),
            denied_roles: Vec::new(),
            forced_status: None,
            clock_offset: SignedDuration::ZERO,
            is_silent: false,
            error_code: None,
            session_token_prefix: "session-canary".to_owned(),
        };
        let shared =
            AwsServices { behaviour, request_log: Vec::new(), issued_count: 0, metadata_token: None };
        let shared = Arc::new(Mutex::new(shared));
        let router = Router::new().fallback(handle_request).with_state(shared.clone());
        let task = tokio::spawn(server::serve_connections(listener, router)).abort_handle();
        Ok(Self { services: shared, url, task })
    }

    /// Returns the address of all services.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Changes the behaviour of all services.
    pub fn change_behaviour(&self, change: impl FnOnce(&mut AwsBehaviour)) {
        change(&mut lock_services(&self.services).behaviour);
    }

    /// Returns all requests: the method, the path and, for STS, the action.
    pub fn request_log(&self) -> Vec<String> {
        lock_services(&self.services).request_log.clone()
    }
}

/// Returns a web identity token of this subject for this audience, which expires after `lasts` seconds.
pub fn web_identity_token(subject: &str, audience: &str, lifetime_seconds: i64) -> String {
    let part = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let head = part(json!({"alg": "RS256", "typ": "JWT"}));
    let ends = Timestamp::now().as_second().saturating_add(lifetime_seconds);
    format!("{head}.{}.canary-signature", part(json!({"aud": [audience], "exp": ends, "sub": subject})))
}

fn lock_services(services: &Mutex<AwsServices>) -> MutexGuard<'_, AwsServices> {
    services.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn handle_request(State(shared): State<Arc<Mutex<AwsServices>>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, MAX_BODY_BYTES).await.unwrap_or_default();
    let fields: Vec<(String, String)> = parse_form_fields(&body);
    let field = |field_name: &str| {
        let found = fields.iter().find(|(name, _)| name == field_name);
        found.map(|(_, value)| value.as_str()).unwrap_or_default()
    };
    let asked = format!("{} {} {}", head.method, head.uri.path(), field("Action")).trim().to_owned();
    let behaviour = {
        let mut shared = lock_services(&shared);
        shared.request_log.push(asked);
        shared.behaviour.clone()
    };
    if behaviour.is_silent {
        std::future::pending::<()>().await;
    }
    let mut response = match behaviour.forced_status.and_then(|status| StatusCode::from_u16(status).ok()) {
        Some(status) => (status, "down").into_response(),
        None => match (head.method.clone(), head.uri.path()) {
            (Method::POST, "/") => answer_sts(&shared, &head, &body, field, &behaviour),
            (Method::GET, CONTAINER_CREDENTIALS_PATH) => answer_container(&shared, &head),
            (_, path) if path.starts_with("/latest/") => answer_metadata(&shared, &head),
            _ => (StatusCode::NOT_FOUND, "no such path").into_response(),
        },
    };
    let now = Timestamp::now().saturating_add(behaviour.clock_offset).unwrap_or(Timestamp::UNIX_EPOCH);
    if let Ok(date) = now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string().parse() {
        response.headers_mut().insert(header::DATE, date);
    }
    response
}

/// Parses the fields of a form.
fn parse_form_fields(body: &[u8]) -> Vec<(String, String)> {
    let url = reqwest::Url::parse(&format!("http://x/?{}", String::from_utf8_lossy(body)));
    url.map(|url| url.query_pairs().into_owned().collect()).unwrap_or_default()
}

fn answer_sts<'a>(
    services: &Mutex<AwsServices>,
    head: &Parts,
    body: &[u8],
    field: impl Fn(&str) -> &'a str,
    behaviour: &AwsBehaviour,
) -> Response {
    let (action, role) = (field("Action"), field("RoleArn"));
    let allowed = match action {
        "AssumeRoleWithWebIdentity" => check_web_token(field("WebIdentityToken")),
        "AssumeRole" => check_signature(head, body, behaviour.clock_offset),
        _ => Err((400, "InvalidAction", "Could not find operation".to_owned())),
    };
    if let Err((status, code, message)) = allowed {
        return sts_error_response(status, code, &message);
    }
    if behaviour.denied_roles.iter().any(|denied| denied == role) {
        let message = format!("User is not authorized to perform: sts:{action} on resource: {role}");
        return sts_error_response(403, "AccessDenied", &message);
    }
    let given = issue_keys(services);
    let text = |name: &str| given.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let keys = format!(
        "<AccessKeyId>{}</AccessKeyId><SecretAccessKey>{}</SecretAccessKey><SessionToken>{}</SessionToken>\
         <Expiration>{}</Expiration>",
        text("AccessKeyId"),
        text("SecretAccessKey"),
        text("Token"),
        text("Expiration"),
    );
    let user =
        "<Arn>arn:aws:sts::123456789012:assumed-role/role/session</Arn><AssumedRoleId>A:s</AssumedRoleId>";
    let answer = format!(
        "<{action}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{action}Result>\
         <Credentials>{keys}</Credentials><AssumedRoleUser>{user}</AssumedRoleUser></{action}Result>\
         <ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></{action}Response>"
    );
    ([(header::CONTENT_TYPE, "text/xml")], answer).into_response()
}

type StsRefusal = (u16, &'static str, String);

/// Checks a token as STS does.
fn check_web_token(token: &str) -> Result<(), StsRefusal> {
    let payload = token.split('.').nth(1).and_then(|part| BASE64_URL_SAFE_NO_PAD.decode(part).ok());
    let payload: Option<Value> = payload.and_then(|payload| serde_json::from_slice(&payload).ok());
    let Some(payload) = payload else {
        let message = "The ID Token provided is not a valid JWT.".to_owned();
        return Err((400, "InvalidIdentityToken", message));
    };
    if payload["aud"] != json!([AUDIENCE]) {
        return Err((400, "InvalidIdentityToken", "Incorrect token audience".to_owned()));
    }
    if payload["exp"].as_i64().is_none_or(|ends| ends <= Timestamp::now().as_second()) {
        let message = "Token expired: current date/time must be before the expiration".to_owned();
        return Err((400, "ExpiredTokenException", message));
    }
    Ok(())
}

/// Checks the signature of a request. If the services' clock is wrong by more than five minutes, rejects
/// every request.
fn check_signature(head: &Parts, body: &[u8], clock_skew: SignedDuration) -> Result<(), StsRefusal> {
    let mismatch = |message: &str| (403, "SignatureDoesNotMatch", message.to_owned());
    if clock_skew.abs() > SignedDuration::from_mins(5) {
        return Err(mismatch("Signature expired: 20270101T000000Z is now earlier than 20270101T010000Z"));
    }
    match signature::is_signed_by_known_key(head, body, &STS) {
        Ok(true) => Ok(()),
        Ok(false) => Err(mismatch("The request signature we calculated does not match")),
        Err(what) => Err((403, "InvalidClientTokenId", what.to_owned())),
    }
}

fn sts_error_response(status: u16, code: &str, message: &str) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    let body = format!(
        "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
         <Code>{code}</Code><Message>{message}</Message></Error><RequestId>1</RequestId></ErrorResponse>"
    );
    (status, [(header::CONTENT_TYPE, "text/xml")], body).into_response()
}

fn answer_container(services: &Mutex<AwsServices>, head: &Parts) -> Response {
    if head.headers.get(header::AUTHORIZATION).is_none_or(|token| token != CONTAINER_TOKEN) {
        let body = json!({"code": "AccessDeniedException", "message": "the token is missing or wrong"});
        return (StatusCode::FORBIDDEN, body.to_string()).into_response();
    }
    issue_keys(services).to_string().into_response()
}

/// Answers as version 2 of the instance metadata service does. A `PUT` request with a lifetime creates a
/// token. Every other request must contain this token.
fn answer_metadata(services: &Mutex<AwsServices>, head: &Parts) -> Response {
    const TTL_HEADER: &str = "x-aws-ec2-metadata-token-ttl-seconds";
    let text = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
    if (head.method.as_str(), head.uri.path()) == ("PUT", "/latest/api/token") {
        let ttl =
            text(TTL_HEADER).filter(|ttl| ttl.parse().is_ok_and(|ttl: u32| (1..=21_600).contains(&ttl)));
        let Some(ttl) = ttl else { return StatusCode::BAD_REQUEST.into_response() };
        let mut services = lock_services(services);
        let token = format!("metadata-canary-{}", services.request_log.len());
        services.metadata_token = Some(token.clone());
        return ([(TTL_HEADER, ttl.to_owned())], token).into_response();
    }
    let token = text("x-aws-ec2-metadata-token");
    if token.is_none() || lock_services(services).metadata_token.as_deref() != token {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let path = head.uri.path().strip_prefix("/latest/meta-data/iam/security-credentials/");
    match path {
        Some("") => INSTANCE_ROLE.into_response(),
        Some(INSTANCE_ROLE) => issue_keys(services).to_string().into_response(),
        Some(_) | None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Returns the next credentials, or the configured error. The fake model provider accepts the credentials.
fn issue_keys(services: &Mutex<AwsServices>) -> Value {
    let mut services = lock_services(services);
    if let Some(code) = &services.behaviour.error_code {
        return json!({"Code": code, "Message": "the service is at fault",
            "LastUpdated": "2026-01-01T00:00:00Z"});
    }
    services.issued_count += 1;
    let ends = Timestamp::try_from(services.behaviour.keys_expire_at).unwrap_or(Timestamp::UNIX_EPOCH);
    json!({
        "Code": "Success",
        "Type": "AWS-HMAC",
        "LastUpdated": "2026-01-01T00:00:00Z",
        "AccessKeyId": AWS_KEY_ID,
        "SecretAccessKey": aws_secret_key(),
        "Token": format!("{}-{}", services.behaviour.session_token_prefix, services.issued_count),
        "Expiration": ends.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    })
}
