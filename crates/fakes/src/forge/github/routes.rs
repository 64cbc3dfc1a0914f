//! The calls there are, and what every call goes through: faults, User-Agent, token, the log.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{RawPathParams, Request};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::{MethodFilter, on};
use bytes::Bytes;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::forge::fault::{FaultKind, Reasons};
use crate::forge::github::call::{Call, DOCS, Reply, ReplyBody};
use crate::forge::github::{
    app, calls, checks, conversation, estate, git_call, git_http, graphql, issues, merging, page, pulls,
    push, reviewers,
};
use crate::forge::shared::Shared;
use crate::forge::state::{Logged, MAX_LOGGED, State};
use crate::forge::witness::Exchange;
use crate::server::HangUp;

/// Largest request body that is read, in bytes.
const MAX_BODY: usize = 25 * 1024 * 1024;
/// The primary rate limit that headers tell of unless another is set; this one is never reached.
const RATE_LIMIT: u64 = 5_000;
/// The route of everything that is not in the table.
const UNKNOWN: &str = "unknown";

/// How a call is answered.
#[derive(Clone, Copy)]
enum Action {
    Rest(fn(&mut State, &Call) -> Result<Reply, Reply>),
    /// A page for people: no call of the API, and no login is asked for.
    Page(fn(&mut State, &Call) -> Result<Reply, Reply>),
    GitRefs,
    GitPack,
    GitPush,
    /// The old protocol without a service, which git tries where the new one is answered oddly.
    GitFile,
    Unknown,
}

/// Every call there is.
const ROUTES: &[(MethodFilter, &str, Action)] = {
    use Action::{GitFile, GitPack, GitPush, GitRefs, Page, Rest};
    const GET: MethodFilter = MethodFilter::GET;
    const POST: MethodFilter = MethodFilter::POST;
    const PATCH: MethodFilter = MethodFilter::PATCH;
    const DELETE: MethodFilter = MethodFilter::DELETE;
    const PUT: MethodFilter = MethodFilter::PUT;
    &[
        (GET, "/user", Rest(calls::user)),
        (GET, "/users/{login}", Rest(app::account)),
        (GET, "/app", Rest(app::app)),
        (GET, "/app/installations", Rest(app::installations)),
        (POST, "/app/installations/{id}/access_tokens", Rest(app::access_token)),
        (GET, "/repos/{owner}/{repo}/installation", Rest(app::installation)),
        (GET, "/repositories/{id}/installation", Rest(app::installation)),
        (GET, "/user/repos", Rest(estate::user_repositories)),
        (GET, "/installation/repositories", Rest(estate::installed_repositories)),
        (GET, "/repositories/{id}", Rest(estate::repository_by_id)),
        (GET, "/repos/{owner}/{repo}/collaborators/{login}/permission", Rest(estate::permission)),
        (GET, "/repos/{owner}/{repo}/branches/{branch}", Rest(estate::branch)),
        (GET, "/repos/{owner}/{repo}/rules/branches/{branch}", Rest(estate::rules)),
        (GET, "/repos/{owner}/{repo}/issues/comments", Rest(estate::repository_comments)),
        (GET, "/repos/{owner}/{repo}/issues/comments/{id}", Rest(estate::summary_comment)),
        (GET, "/repos/{owner}/{repo}/issues/comments/{id}/reactions", Rest(reviewers::reactions)),
        (GET, "/repos/{owner}/{repo}", Rest(calls::repository)),
        (GET, "/repos/{owner}/{repo}/issues", Rest(issues::list)),
        (POST, "/repos/{owner}/{repo}/issues", Rest(issues::create)),
        (GET, "/repos/{owner}/{repo}/issues/{number}", Rest(issues::one)),
        (PATCH, "/repos/{owner}/{repo}/issues/{number}", Rest(issues::update)),
        (POST, "/repos/{owner}/{repo}/issues/{number}/labels", Rest(issues::add_labels)),
        (GET, "/repos/{owner}/{repo}/issues/{number}/events", Rest(issues::events)),
        (GET, "/repos/{owner}/{repo}/pulls", Rest(calls::pulls)),
        (POST, "/repos/{owner}/{repo}/pulls", Rest(pulls::create)),
        (PATCH, "/repos/{owner}/{repo}/pulls/{number}", Rest(pulls::update)),
        (PUT, "/repos/{owner}/{repo}/pulls/{number}/update-branch", Rest(merging::update_branch)),
        (GET, "/repos/{owner}/{repo}/pulls/{number}/commits", Rest(pulls::commits)),
        (GET, "/repos/{owner}/{repo}/pulls/{number}/reviews", Rest(pulls::reviews)),
        (GET, "/repos/{owner}/{repo}/pulls/comments", Rest(estate::repository_inline)),
        (GET, "/repos/{owner}/{repo}/pulls/{number}", Rest(calls::pull)),
        (GET, "/repos/{owner}/{repo}/pulls/{number}/comments", Rest(calls::inline_comments)),
        (POST, "/repos/{owner}/{repo}/pulls/{number}/comments", Rest(calls::create_inline)),
        (POST, "/repos/{owner}/{repo}/pulls/{number}/comments/{id}/replies", Rest(calls::reply)),
        (POST, "/repos/{owner}/{repo}/pulls/{number}/reviews", Rest(calls::create_review)),
        (POST, "/repos/{owner}/{repo}/pulls/{number}/requested_reviewers", Rest(reviewers::request)),
        (GET, "/repos/{owner}/{repo}/pulls/{number}/reviews/{id}/comments", Rest(calls::review_comments)),
        (GET, "/repos/{owner}/{repo}/pulls/comments/{id}", Rest(calls::inline_comment)),
        (PATCH, "/repos/{owner}/{repo}/pulls/comments/{id}", Rest(calls::update_inline)),
        (DELETE, "/repos/{owner}/{repo}/pulls/comments/{id}", Rest(calls::delete_inline)),
        (GET, "/repos/{owner}/{repo}/issues/{number}/comments", Rest(conversation::list)),
        (POST, "/repos/{owner}/{repo}/issues/{number}/comments", Rest(conversation::create)),
        (PATCH, "/repos/{owner}/{repo}/issues/comments/{id}", Rest(conversation::update)),
        (DELETE, "/repos/{owner}/{repo}/issues/comments/{id}", Rest(conversation::delete)),
        (POST, "/repos/{owner}/{repo}/statuses/{sha}", Rest(calls::create_status)),
        (GET, "/repos/{owner}/{repo}/commits/{sha}/statuses", Rest(calls::statuses)),
        (POST, "/repos/{owner}/{repo}/check-runs", Rest(checks::create)),
        (PATCH, "/repos/{owner}/{repo}/check-runs/{id}", Rest(checks::update)),
        (GET, "/repos/{owner}/{repo}/commits/{sha}/check-runs", Rest(checks::list)),
        (POST, "/graphql", Rest(graphql::graphql)),
        (GET, "/{owner}/{repo}/pulls", Page(page::pulls)),
        (GET, "/{owner}/{repo}/pull/{number}", Page(page::pull)),
        (GET, "/{owner}/{repo}/info/refs", GitRefs),
        (POST, "/{owner}/{repo}/git-upload-pack", GitPack),
        (POST, "/{owner}/{repo}/git-receive-pack", GitPush),
        (GET, "/{owner}/{repo}/HEAD", GitFile),
        (GET, "/{owner}/{repo}/objects/{*file}", GitFile),
    ]
};

/// The routes, as a service.
pub(crate) fn router(shared: &Arc<Shared>) -> Router {
    let handler = |route: &'static str, action: Action| {
        let shared = Arc::clone(shared);
        move |params: RawPathParams, request: Request| {
            let params = params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            answer(shared, route, action, params, request)
        }
    };
    let unknown = {
        let shared = Arc::clone(shared);
        move |request: Request| answer(shared, UNKNOWN, Action::Unknown, HashMap::new(), request)
    };
    ROUTES
        .iter()
        .fold(Router::new(), |router, (method, route, action)| {
            router.route(route, on(*method, handler(route, *action)))
        })
        .method_not_allowed_fallback(unknown.clone())
        .fallback(unknown)
}

/// One call from beginning to end.
async fn answer(
    shared: Arc<Shared>,
    route: &'static str,
    action: Action,
    params: HashMap<String, String>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, MAX_BODY).await;
    let (method, path) = (parts.method.as_str().to_owned(), parts.uri.path().to_owned());
    let route = if matches!(action, Action::Unknown) { UNKNOWN } else { route };
    let resource = match action {
        Action::Rest(_) if route == "/graphql" => "graphql",
        Action::Rest(_) | Action::Unknown => "core",
        Action::GitRefs | Action::GitPack | Action::GitPush | Action::GitFile | Action::Page(_) => "git",
    };
    let asked = body.as_ref().ok().cloned();
    let (fault, bearer, spent) = {
        let mut state = shared.lock();
        let world = &mut state.world;
        *world.calls.entry(format!("{method} {route}")).or_default() += 1;
        world.used += 1;
        let bearer = git_call::token(&parts.headers).and_then(|token| world.bearer(&token));
        let spent = resource == "core" && bearer.is_some() && !world.spend();
        (world.faults.take(&method, &path, route), bearer, spent)
    };
    let (login, pass) = bearer.unzip();
    let fault = fault.or_else(|| {
        let now = shared.lock().world.now();
        spent.then(|| FaultKind::PrimaryLimit((3600 - now.rem_euclid(3600)).unsigned_abs()))
    });
    let fault = fault.or_else(|| {
        let wait = shared.lock().world.crowded(&method, route)?;
        Some(FaultKind::SecondaryLimit(Some(wait)))
    });
    let replaced = fault.as_ref().and_then(|kind| instead(kind, shared.lock().world.now()));
    // What comes in place of an answer is not what GitHub would say to this call.
    let answers = replaced.is_none() && fault != Some(FaultKind::Drop);
    if fault == Some(FaultKind::Held) {
        shared.hold().await;
    }
    let reply = match replaced {
        Some(reply) => reply,
        None => match fault {
            Some(FaultKind::Drop) => Reply::done(),
            Some(_) | None => {
                let call = Call {
                    login: login.clone().unwrap_or_default(),
                    pass: pass.unwrap_or_default(),
                    method: method.clone(),
                    path: path.clone(),
                    params,
                    query: query(parts.uri.query().unwrap_or_default()),
                    body: Value::Null,
                };
                carry_out(&shared, action, &parts.headers, &method, body.ok(), call).await
            }
        },
    };
    if let Some(FaultKind::Delay(time)) = fault {
        tokio::time::sleep(time).await;
    }
    if fault == Some(FaultKind::HeldAnswer) {
        shared.hold().await;
    }
    let review = parts.headers.get("x-review-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
    let hang_up = matches!(fault, Some(FaultKind::Drop | FaultKind::LostAnswer));
    let known = parts.headers.get(header::IF_NONE_MATCH).filter(|_| parts.method == "GET").cloned();
    let reply = unless_known(reply, &shared, known);
    let target = parts.uri.path_and_query().map_or(path, ToString::to_string);
    if let (Some(witness), true) = (&shared.witness, resource != "git") {
        let request =
            asked.filter(|body| !body.is_empty()).and_then(|body| serde_json::from_slice(&body).ok());
        let exchange = Exchange {
            method: &method,
            target: &target,
            request: request.as_ref(),
            answer: answers.then(|| (reply.status, reply.body.json())),
        };
        let problems = witness.saw(&exchange);
        let world = &mut shared.lock().world;
        problems.into_iter().for_each(|problem| world.violation(problem));
    }
    let mut reply = reply;
    if fault == Some(FaultKind::Circle) {
        let root = shared.lock().world.base_url.clone();
        reply.headers.push(("link", format!("<{root}{target}>; rel=\"next\"")));
    }
    let mut response = respond(reply, &shared, fault == Some(FaultKind::Truncated), resource);
    {
        let mut state = shared.lock();
        let status = (!hang_up).then_some(response.status().as_u16());
        state.world.log.push_back(Logged { method, path: target, login, review, status });
        if state.world.log.len() > MAX_LOGGED {
            state.world.log.pop_front();
        }
    }
    if hang_up {
        response.extensions_mut().insert(HangUp);
    }
    response
}

/// The answer of a fault that comes instead of doing anything.
fn instead(kind: &FaultKind, now: i64) -> Option<Reply> {
    let retry = |reply: Reply, after: &Option<u64>| match after {
        Some(seconds) => reply.header("retry-after", seconds),
        None => reply,
    };
    match kind {
        FaultKind::Status(status, after) => {
            let words = StatusCode::from_u16(*status).ok().and_then(|status| status.canonical_reason());
            Some(retry(Reply::error(*status, words.unwrap_or("Error"), Value::Null), after))
        }
        FaultKind::SecondaryLimit(after) => {
            let message =
                "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.";
            Some(retry(Reply::error(403, message, Value::Null), after))
        }
        FaultKind::PrimaryLimit(seconds) => {
            let reset = now.saturating_add_unsigned(*seconds);
            let reply = Reply::error(403, "API rate limit exceeded for installation.", Value::Null);
            Some(reply.header("x-ratelimit-remaining", 0).header("x-ratelimit-reset", reset))
        }
        FaultKind::SingleSignOn => {
            let message = "Resource protected by organization SAML enforcement. You must grant your token access to \
                           this organization.";
            let reply = Reply::error(403, message, Value::Null);
            Some(reply.header(
                "x-github-sso",
                "required; url=https://github.com/orgs/acme/sso?authorization_request=A",
            ))
        }
        FaultKind::Invalid(Reasons::Strings) => {
            let reasons = json!(["Something about it is not as it should be"]);
            Some(Reply::error(422, "Unprocessable Entity", reasons))
        }
        FaultKind::Invalid(Reasons::Objects) => {
            Some(Reply::invalid("Something", "field", "custom", "it is not as it should be"))
        }
        FaultKind::Html(status) => {
            let page =
                "<html><head><title>Unicorn!</title></head><body>This page is taking too long.</body></html>";
            Some(Reply::bytes(*status, "text/html; charset=utf-8", page))
        }
        FaultKind::Redirect(status, to) => {
            let body = json!({"message": "Moved Permanently", "url": to, "documentation_url": DOCS});
            Some(Reply::json(*status, body).header("location", to))
        }
        FaultKind::Circle
        | FaultKind::Truncated
        | FaultKind::Delay(_)
        | FaultKind::Drop
        | FaultKind::LostAnswer
        | FaultKind::Held
        | FaultKind::HeldAnswer => None,
    }
}

/// Does what the call asks for.
async fn carry_out(
    shared: &Arc<Shared>,
    action: Action,
    headers: &HeaderMap,
    method: &str,
    body: Option<Bytes>,
    mut call: Call,
) -> Reply {
    if !headers.contains_key(header::USER_AGENT) {
        let words = "Request forbidden by administrative rules. Please make sure your request has a User-Agent header.";
        return Reply::bytes(403, "text/plain", words);
    }
    let Some(body) = body else {
        return Reply::error(413, "Payload Too Large", Value::Null);
    };
    match action {
        Action::GitRefs => return git_http::refs(shared, headers, &call).await,
        Action::GitPack => return git_http::pack(shared, headers, &call, body).await,
        Action::GitPush => return push::pack(shared, headers, call, body).await,
        Action::GitFile => return Reply::bytes(404, "text/plain", "only the smart protocol is served\n"),
        Action::Page(handler) => return handled(shared, handler, call).await,
        Action::Rest(_) | Action::Unknown => {}
    }
    if call.login.is_empty() {
        let known = headers.contains_key(header::AUTHORIZATION);
        return Reply::error(
            401,
            if known { "Bad credentials" } else { "Requires authentication" },
            Value::Null,
        );
    }
    if let Err(refused) = call.pass.may_call(&call.path) {
        return refused;
    }
    let Action::Rest(handler) = action else {
        shared.lock().world.violation(format!("no such call: {method} {}", call.path));
        return Reply::not_found();
    };
    if !body.is_empty() {
        match serde_json::from_slice(&body) {
            Ok(value) => call.body = value,
            Err(_) => return Reply::error(400, "Problems parsing JSON", Value::Null),
        }
    }
    handled(shared, handler, call).await
}

/// What a handler answers. It may ask git for a diff, which blocks.
async fn handled(
    shared: &Arc<Shared>,
    handler: fn(&mut State, &Call) -> Result<Reply, Reply>,
    call: Call,
) -> Reply {
    let shared = Arc::clone(shared);
    tokio::task::spawn_blocking(move || handler(&mut shared.lock(), &call))
        .await
        .map(|reply| reply.unwrap_or_else(|refused| refused))
        .unwrap_or_else(|error| Reply::error(500, &format!("the fake forge failed: {error}"), Value::Null))
}

/// JSON has an ETag; what the caller knows is not sent again and costs nothing.
fn unless_known(mut reply: Reply, shared: &Shared, known: Option<HeaderValue>) -> Reply {
    if let (200, ReplyBody::Json(value)) = (reply.status, &reply.body) {
        let digest = Sha256::digest(value.to_string().as_bytes());
        let etag = format!("W/\"{}\"", hex::encode(digest));
        if known.is_some_and(|known| known.as_bytes() == etag.as_bytes()) {
            (reply.status, reply.body) = (304, ReplyBody::Empty);
            let spent = &mut shared.lock().world.spent.1;
            *spent = spent.saturating_sub(1);
        }
        reply.headers.push(("etag", etag));
    }
    reply
}

/// The reply on the wire, with GitHub's headers.
fn respond(reply: Reply, shared: &Shared, truncated: bool, resource: &str) -> Response {
    let (used, now, limit, in_hour) = {
        let world = &shared.lock().world;
        match world.limit {
            Some(limit) => (world.used, world.now(), limit, world.spent.1.min(limit)),
            None => (world.used, world.now(), RATE_LIMIT, world.used % RATE_LIMIT),
        }
    };
    let (kind, mut bytes) = match reply.body {
        ReplyBody::Empty => (None, Bytes::new()),
        ReplyBody::Json(value) => {
            (Some("application/json; charset=utf-8"), value.to_string().into_bytes().into())
        }
        ReplyBody::Bytes(kind, bytes) => (Some(kind), bytes),
    };
    if truncated {
        bytes.truncate(bytes.len() / 2);
    }
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let general = [
        // By the forge's own clock.
        ("date", http_date(now)),
        ("x-github-request-id", format!("FAKE:{used:X}")),
        ("x-ratelimit-limit", limit.to_string()),
        ("x-ratelimit-remaining", (limit - in_hour).to_string()),
        ("x-ratelimit-used", in_hour.to_string()),
        // Whole hours, so that the same clock gives the same answer.
        ("x-ratelimit-reset", (now.div_euclid(3600) + 1).saturating_mul(3600).to_string()),
        ("x-ratelimit-resource", resource.to_owned()),
    ];
    let kind = kind.map(|kind| ("content-type", kind.to_owned()));
    // A reply's own headers come last and win.
    for (name, value) in general.into_iter().chain(kind).chain(reply.headers) {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// An instant as headers have it.
fn http_date(seconds: i64) -> String {
    let instant = jiff::Timestamp::from_second(seconds).unwrap_or_default();
    instant.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// The fields of a query; the last of equal names wins.
fn query(text: &str) -> HashMap<String, String> {
    let url = reqwest::Url::parse(&format!("http://forge/?{text}"));
    url.map(|url| url.query_pairs().into_owned().collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use truing_contract::Contract;

    use super::*;

    /// Method and path, whatever its parameters are called.
    fn plain(method: &str, path: &str) -> String {
        let parts = path.split('/').map(|part| if part.starts_with('{') { "{}" } else { part });
        format!("{method} {}", parts.collect::<Vec<_>>().join("/"))
    }

    #[test]
    fn the_calls_are_those_whose_descriptions_are_kept() {
        let names = [
            (MethodFilter::GET, "GET"),
            (MethodFilter::POST, "POST"),
            (MethodFilter::PATCH, "PATCH"),
            (MethodFilter::DELETE, "DELETE"),
            (MethodFilter::PUT, "PUT"),
        ];
        // GraphQL has a description of its own; an address with an id is described by the one with the name.
        let rest = ROUTES.iter().filter(|(_, path, action)| {
            matches!(action, Action::Rest(_)) && *path != "/graphql" && !path.starts_with("/repositories/")
        });
        let calls: BTreeSet<String> = rest
            .map(|(method, path, _)| {
                let name = names.iter().find(|(known, _)| known == method).map_or("", |(_, name)| name);
                plain(name, path)
            })
            .collect();
        let github = Contract::github().unwrap();
        let kept = github.operations().filter_map(|operation| operation.split_once(' '));
        let kept: BTreeSet<String> = kept.map(|(method, path)| plain(method, path)).collect();
        assert_eq!(calls, kept, "crates/contract/data/github.toml, `cargo xtask contract`");
    }
}
