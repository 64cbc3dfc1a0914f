//! Processes a call: applies faults, checks the login and limits, runs the handler, notifies the observer,
//! and writes the log.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{RawPathParams, Request};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::{MethodFilter, on};
use bytes::Bytes;
use serde_json::Value;

use crate::forge::fault::ForgeFaultKind;
use crate::forge::http::call::{ApiCall, ApiResponse, ResponseBody};
use crate::forge::http::{git_http, push};
use crate::forge::shared::FakeForgeSharedState;
use crate::forge::state::apps::FakeTokenScope;
use crate::forge::state::{FakeForgeState, ForgeInstance, LoggedCall, MAX_LOGGED_CALLS};
use crate::forge::witness::ApiExchange;
use crate::server::ConnectionCloseMarker;

/// Maximum size of a request's body, in bytes.
const MAX_BODY_BYTES: usize = 25 * 1024 * 1024;
/// Name of the route of every call that is not in the table of routes.
const UNKNOWN_ROUTE: &str = "unknown";
/// Rate limit resource of git's requests and of requests for web pages, which are not calls of the API.
pub(crate) const GIT_RESOURCE: &str = "git";

/// A function that answers a call of the API.
pub(crate) type CallHandler = fn(&mut FakeForgeState, &ApiCall) -> Result<ApiResponse, ApiResponse>;

/// The kind of a route, which determines how a call is answered.
#[derive(Clone, Copy)]
pub(crate) enum RouteAction {
    RestCall(CallHandler),
    /// A call of the API that needs no login.
    PublicRestCall(CallHandler),
    /// A web page, which is not a call of the API and needs no login.
    Page(CallHandler),
    GitRefs,
    GitFetch,
    GitPush,
    /// A request in git's old ("dumb") protocol. Git tries this protocol after an unexpected response to a
    /// request in the new protocol.
    GitDumbProtocol,
    Unknown,
}

/// A supported call: its method, its path, and the action that answers it.
pub(crate) type ApiRoute = (MethodFilter, &'static str, RouteAction);

/// The reason why a call is rejected before it is handled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum CallRefusal {
    TooLarge,
    /// The login is unknown.
    BadLogin,
    /// The login is missing.
    NoLogin,
    /// The API does not have the called route.
    NoSuchCall,
    /// The body is not JSON.
    BadJson,
}

/// The data on which a response's headers depend.
pub(crate) struct HeaderContext<'a> {
    pub(crate) login: Option<&'a str>,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) is_get: bool,
    pub(crate) rate_limit_resource: &'static str,
}

/// The behaviour of a kind of forge that all its calls share.
pub(crate) struct ForgeProtocol {
    pub(crate) routes: &'static [ApiRoute],
    /// Returns the account and the scope of a request's login; `None` if the login is unknown.
    pub(crate) authenticate:
        fn(&mut ForgeInstance, &HeaderMap, &'static str) -> Option<(String, FakeTokenScope)>,
    /// Rejects a request that a server in front of the forge would reject.
    pub(crate) check_at_proxy: fn(&HeaderMap) -> Result<(), ApiResponse>,
    pub(crate) refusal_response: fn(CallRefusal) -> ApiResponse,
    /// Rejects a call that this kind of login may not make for any repository.
    pub(crate) check_scope: fn(&ApiCall) -> Result<(), ApiResponse>,
    /// Returns the response of a simulated fault, which replaces the handling of the call. The second
    /// argument is the current time.
    pub(crate) fault_response: fn(&ForgeFaultKind, i64) -> Option<ApiResponse>,
    /// Sets the URL of the next page in the response.
    pub(crate) set_next_page: fn(&mut ApiResponse, &str),
    /// Adds the headers of every response. The reply's headers are placed last and override other headers of
    /// the same name.
    pub(crate) add_headers: fn(&mut ForgeInstance, ApiResponse, &HeaderContext<'_>) -> ApiResponse,
}

/// Returns the routes as a service.
pub(crate) fn forge_router(shared: &Arc<FakeForgeSharedState>, protocol: &'static ForgeProtocol) -> Router {
    let handler = |route: &'static str, action: RouteAction| {
        let shared = Arc::clone(shared);
        move |params: RawPathParams, request: Request| {
            let params = params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            answer_call(shared, protocol, route, action, params, request)
        }
    };
    let unknown = {
        let shared = Arc::clone(shared);
        move |request: Request| {
            answer_call(shared, protocol, UNKNOWN_ROUTE, RouteAction::Unknown, HashMap::new(), request)
        }
    };
    protocol
        .routes
        .iter()
        .fold(Router::new(), |router, (method, route, action)| {
            router.route(route, on(*method, handler(route, *action)))
        })
        .method_not_allowed_fallback(unknown.clone())
        .fallback(unknown)
}

/// Processes one call, from the request to the HTTP response.
async fn answer_call(
    shared: Arc<FakeForgeSharedState>,
    protocol: &'static ForgeProtocol,
    route: &'static str,
    action: RouteAction,
    params: HashMap<String, String>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, MAX_BODY_BYTES).await;
    let (method, path) = (parts.method.as_str().to_owned(), parts.uri.path().to_owned());
    let resource = match action {
        RouteAction::RestCall(_) if route == "/graphql" => "graphql",
        RouteAction::RestCall(_) | RouteAction::PublicRestCall(_) | RouteAction::Unknown => "core",
        RouteAction::GitRefs
        | RouteAction::GitFetch
        | RouteAction::GitPush
        | RouteAction::GitDumbProtocol
        | RouteAction::Page(_) => GIT_RESOURCE,
    };
    let asked = body.as_ref().ok().cloned();
    let (fault, bearer, spent) = {
        let mut state = shared.lock();
        let world = &mut state.forge;
        *world.call_counts.entry(format!("{method} {route}")).or_default() += 1;
        world.request_count += 1;
        let bearer = (protocol.authenticate)(world, &parts.headers, resource);
        let spent = resource == "core" && bearer.is_some() && !world.count_call();
        (world.faults.take_fault(&method, &path, route), bearer, spent)
    };
    let (login, pass) = bearer.unzip();
    let fault = fault.or_else(|| {
        let now = shared.lock().forge.now();
        spent.then(|| ForgeFaultKind::PrimaryLimit((3600 - now.rem_euclid(3600)).unsigned_abs()))
    });
    let fault = fault.or_else(|| {
        let wait = shared.lock().forge.secondary_limit_wait(&method, route)?;
        Some(ForgeFaultKind::SecondaryLimit(Some(wait)))
    });
    let replaced = fault.as_ref().and_then(|kind| (protocol.fault_response)(kind, shared.lock().forge.now()));
    // If a fault replaces the response, the observer does not get this response, and the response is not
    // compared with the forge's API description.
    let answers = replaced.is_none() && fault != Some(ForgeFaultKind::DropConnection);
    if fault == Some(ForgeFaultKind::HeldRequest) {
        shared.wait_until_released().await;
    }
    let mut reply = match replaced {
        Some(reply) => reply,
        None => match fault {
            Some(ForgeFaultKind::DropConnection) => ApiResponse::no_content(),
            Some(_) | None => {
                let fields = parse_query(parts.uri.query().unwrap_or_default());
                let call = ApiCall {
                    login: login.clone().unwrap_or_default(),
                    token_scope: pass.unwrap_or_default(),
                    method: method.clone(),
                    path: path.clone(),
                    path_params: params,
                    query_params: fields.iter().cloned().collect(),
                    query_fields: fields,
                    body: Value::Null,
                };
                run_action(&shared, protocol, action, &parts.headers, body.ok(), call).await
            }
        },
    };
    match fault {
        Some(ForgeFaultKind::Delay(time)) => tokio::time::sleep(time).await,
        Some(ForgeFaultKind::HeldResponse) => shared.wait_until_released().await,
        Some(ForgeFaultKind::StatusAfterCall(status)) => {
            let status = ForgeFaultKind::Status(status, None);
            let said = (protocol.fault_response)(&status, shared.lock().forge.now());
            reply = said.unwrap_or(reply);
        }
        Some(_) | None => {}
    }
    let review = parts.headers.get("x-review-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
    let is_write = is_write(&method, route, asked.as_deref());
    if review.is_none() && is_write && is_from_truing(&parts.headers) {
        shared.lock().forge.record_violation(format!("{method} {route} without X-Review-Id"));
    }
    let hang_up = matches!(fault, Some(ForgeFaultKind::DropConnection | ForgeFaultKind::LostResponse));
    let about = HeaderContext {
        login: login.as_deref(),
        headers: &parts.headers,
        is_get: parts.method == "GET",
        rate_limit_resource: resource,
    };
    let mut reply = (protocol.add_headers)(&mut shared.lock().forge, reply, &about);
    let target = parts.uri.path_and_query().map_or(path, ToString::to_string);
    if let (Some(witness), true) = (&shared.observer, resource != GIT_RESOURCE) {
        let request =
            asked.filter(|body| !body.is_empty()).and_then(|body| serde_json::from_slice(&body).ok());
        let answers = answers && !matches!(fault, Some(ForgeFaultKind::StatusAfterCall(_)));
        let exchange = ApiExchange {
            method: &method,
            target: &target,
            request: request.as_ref(),
            response: answers.then(|| (reply.status, reply.body.json())),
        };
        let problems = witness.observe_exchange(&exchange);
        let world = &mut shared.lock().forge;
        problems.into_iter().for_each(|problem| world.record_violation(problem));
    }
    if fault == Some(ForgeFaultKind::SelfLinkedPage) {
        let root = shared.lock().forge.base_url.clone();
        (protocol.set_next_page)(&mut reply, &format!("{root}{target}"));
    }
    let mut response = build_response(reply, fault == Some(ForgeFaultKind::Truncated));
    {
        let mut state = shared.lock();
        let status = (!hang_up).then_some(response.status().as_u16());
        let call = LoggedCall { method, path: target, login, review_id: review, status, is_write };
        state.forge.log.push_back(call);
        if state.forge.log.len() > MAX_LOGGED_CALLS {
            state.forge.log.pop_front();
        }
    }
    if hang_up {
        response.extensions_mut().insert(ConnectionCloseMarker);
    }
    response
}

/// Returns true if a call may write to a repository. Returns false for a GraphQL query, and for a call that
/// issues an access token.
fn is_write(method: &str, route: &str, body: Option<&[u8]>) -> bool {
    let is_query = || {
        let body: Option<Value> = body.and_then(|body| serde_json::from_slice(body).ok());
        body.is_some_and(|body| body["query"].as_str().is_some_and(|query| !query.contains("mutation")))
    };
    let is_read = match route {
        "/graphql" => is_query(),
        _ => method == "GET" || route.ends_with("/access_tokens"),
    };
    !is_read
}

/// Returns true if the call's User-Agent is Truing's. Other clients perform the actions of people in tests.
fn is_from_truing(headers: &HeaderMap) -> bool {
    headers
        .get(header::USER_AGENT)
        .and_then(|agent| agent.to_str().ok())
        .is_some_and(|agent| agent.starts_with("truing/"))
}

/// Checks the request, runs the action of its route, and returns the reply.
async fn run_action(
    shared: &Arc<FakeForgeSharedState>,
    protocol: &'static ForgeProtocol,
    action: RouteAction,
    headers: &HeaderMap,
    body: Option<Bytes>,
    mut call: ApiCall,
) -> ApiResponse {
    if let Err(refused) = (protocol.check_at_proxy)(headers) {
        return refused;
    }
    let Some(body) = body else {
        return (protocol.refusal_response)(CallRefusal::TooLarge);
    };
    let handler = match action {
        RouteAction::GitRefs => return git_http::advertise_refs(shared, headers, &call).await,
        RouteAction::GitFetch => return git_http::answer_upload_pack(shared, headers, &call, body).await,
        RouteAction::GitPush => return push::answer_receive_pack(shared, headers, call, body).await,
        RouteAction::GitDumbProtocol => {
            return ApiResponse::bytes(404, "text/plain", "only the smart protocol is served\n");
        }
        RouteAction::Page(handler) | RouteAction::PublicRestCall(handler) => {
            return run_handler(shared, handler, call).await;
        }
        RouteAction::RestCall(handler) => Some(handler),
        RouteAction::Unknown => None,
    };
    if call.login.is_empty() {
        let sent = headers.contains_key(header::AUTHORIZATION);
        return (protocol.refusal_response)(if sent { CallRefusal::BadLogin } else { CallRefusal::NoLogin });
    }
    if let Err(refused) = (protocol.check_scope)(&call) {
        return refused;
    }
    let Some(handler) = handler else {
        shared.lock().forge.record_violation(format!("no such call: {} {}", call.method, call.path));
        return (protocol.refusal_response)(CallRefusal::NoSuchCall);
    };
    if !body.is_empty() {
        match serde_json::from_slice(&body) {
            Ok(value) => call.body = value,
            Err(_) => return (protocol.refusal_response)(CallRefusal::BadJson),
        }
    }
    let refusal = shared.lock().forge.refused_files.iter().find_map(|file| file.refusal_response(&call));
    if let Some(refusal) = refusal {
        return refusal;
    }
    run_handler(shared, handler, call).await
}

/// Returns the response of a handler. The handler may run git for a diff, so the handler runs on a blocking
/// thread.
async fn run_handler(shared: &Arc<FakeForgeSharedState>, handler: CallHandler, call: ApiCall) -> ApiResponse {
    let shared = Arc::clone(shared);
    tokio::task::spawn_blocking(move || handler(&mut shared.lock(), &call))
        .await
        .map(|reply| reply.unwrap_or_else(|refused| refused))
        .unwrap_or_else(ApiResponse::internal_error)
}

/// Converts a reply to an HTTP response.
fn build_response(api_response: ApiResponse, is_truncated: bool) -> Response {
    let (kind, mut bytes) = match api_response.body {
        ResponseBody::Empty => (None, Bytes::new()),
        ResponseBody::Json(value) => {
            (Some("application/json; charset=utf-8"), value.to_string().into_bytes().into())
        }
        ResponseBody::Bytes(kind, bytes) => (Some(kind), bytes),
    };
    if is_truncated {
        bytes.truncate(bytes.len() / 2);
    }
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() =
        StatusCode::from_u16(api_response.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let kind = kind.map(|kind| ("content-type", kind.to_owned()));
    // A reply's headers are inserted last and override other headers of the same name.
    for (name, value) in kind.into_iter().chain(api_response.headers) {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// Adds these headers to a reply. The reply's own headers of the same name take precedence.
pub(crate) fn with_headers(
    mut response: ApiResponse,
    default_headers: impl IntoIterator<Item = (&'static str, String)>,
) -> ApiResponse {
    let own = std::mem::take(&mut response.headers);
    response.headers = default_headers.into_iter().chain(own).collect();
    response
}

/// Formats an instant, in seconds since 1970, in the format of HTTP headers.
pub(crate) fn http_date(seconds: i64) -> String {
    let instant = jiff::Timestamp::from_second(seconds).unwrap_or_default();
    instant.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// Parses the fields of a query in their order.
fn parse_query(text: &str) -> Vec<(String, String)> {
    let url = reqwest::Url::parse(&format!("http://forge/?{text}"));
    url.map(|url| url.query_pairs().into_owned().collect()).unwrap_or_default()
}
