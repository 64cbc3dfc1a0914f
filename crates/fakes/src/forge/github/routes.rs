//! The routes of GitHub's API, and the login, errors and headers that all calls share.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::routing::MethodFilter;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::forge::fault::{ErrorListFormat, ForgeFaultKind};
use crate::forge::github::call::{ApiResponse, DOCUMENTATION_URL};
use crate::forge::github::{
    app, checks, conversation, estate, graphql, issues, merging, pulls, rest_handlers, reviewers,
};
use crate::forge::http::call::ResponseBody;
use crate::forge::http::git_call;
use crate::forge::http::serve::{
    ApiRoute, CallRefusal, ForgeProtocol, HeaderContext, RouteAction, http_date, with_headers,
};
use crate::forge::state::ForgeInstance;
use crate::forge::state::apps::FakeTokenScope;
use crate::forge::web_pages;

/// Default of the primary rate limit in the headers. The fake does not enforce this limit.
const RATE_LIMIT: u64 = 5_000;
/// All calls of the API.
const ROUTES: &[ApiRoute] = {
    use RouteAction::{GitDumbProtocol, GitFetch, GitPush, GitRefs, Page, RestCall};
    const GET: MethodFilter = MethodFilter::GET;
    const POST: MethodFilter = MethodFilter::POST;
    const PATCH: MethodFilter = MethodFilter::PATCH;
    const DELETE: MethodFilter = MethodFilter::DELETE;
    const PUT: MethodFilter = MethodFilter::PUT;
    &[
        (GET, "/user", RestCall(rest_handlers::get_current_user)),
        (GET, "/users/{login}", RestCall(app::get_user)),
        (GET, "/app", RestCall(app::get_app)),
        (GET, "/app/installations", RestCall(app::list_installations)),
        (POST, "/app/installations/{id}/access_tokens", RestCall(app::create_access_token)),
        (GET, "/repos/{owner}/{repo}/installation", RestCall(app::get_repository_installation)),
        (GET, "/repositories/{id}/installation", RestCall(app::get_repository_installation)),
        (GET, "/user/repos", RestCall(estate::list_user_repositories)),
        (GET, "/installation/repositories", RestCall(estate::list_installation_repositories)),
        (GET, "/repositories/{id}", RestCall(estate::get_repository_by_id)),
        (
            GET,
            "/repos/{owner}/{repo}/collaborators/{login}/permission",
            RestCall(estate::get_collaborator_permission),
        ),
        (GET, "/repos/{owner}/{repo}/branches/{branch}", RestCall(estate::get_branch)),
        (GET, "/repos/{owner}/{repo}/rules/branches/{branch}", RestCall(estate::list_branch_rules)),
        (GET, "/repos/{owner}/{repo}/issues/comments", RestCall(estate::list_repository_comments)),
        (GET, "/repos/{owner}/{repo}/issues/comments/{id}", RestCall(estate::get_conversation_comment)),
        (GET, "/repos/{owner}/{repo}/issues/comments/{id}/reactions", RestCall(reviewers::list_reactions)),
        (GET, "/repos/{owner}/{repo}", RestCall(rest_handlers::get_repository)),
        (GET, "/repos/{owner}/{repo}/issues", RestCall(issues::list)),
        (POST, "/repos/{owner}/{repo}/issues", RestCall(issues::create)),
        (GET, "/repos/{owner}/{repo}/issues/{number}", RestCall(issues::get)),
        (PATCH, "/repos/{owner}/{repo}/issues/{number}", RestCall(issues::update)),
        (POST, "/repos/{owner}/{repo}/issues/{number}/labels", RestCall(issues::add_labels)),
        (GET, "/repos/{owner}/{repo}/issues/{number}/events", RestCall(issues::list_events)),
        (GET, "/repos/{owner}/{repo}/pulls", RestCall(rest_handlers::list_pulls)),
        (POST, "/repos/{owner}/{repo}/pulls", RestCall(pulls::create)),
        (PATCH, "/repos/{owner}/{repo}/pulls/{number}", RestCall(pulls::update)),
        (PUT, "/repos/{owner}/{repo}/pulls/{number}/update-branch", RestCall(merging::update_branch)),
        (GET, "/repos/{owner}/{repo}/pulls/{number}/commits", RestCall(pulls::list_commits)),
        (GET, "/repos/{owner}/{repo}/pulls/{number}/reviews", RestCall(pulls::list_reviews)),
        (GET, "/repos/{owner}/{repo}/pulls/comments", RestCall(estate::list_repository_inline_comments)),
        (GET, "/repos/{owner}/{repo}/pulls/{number}", RestCall(rest_handlers::get_pull)),
        (
            GET,
            "/repos/{owner}/{repo}/pulls/{number}/comments",
            RestCall(rest_handlers::list_pull_inline_comments),
        ),
        (
            POST,
            "/repos/{owner}/{repo}/pulls/{number}/comments",
            RestCall(rest_handlers::create_inline_comment),
        ),
        (
            POST,
            "/repos/{owner}/{repo}/pulls/{number}/comments/{id}/replies",
            RestCall(rest_handlers::create_comment_reply),
        ),
        (POST, "/repos/{owner}/{repo}/pulls/{number}/reviews", RestCall(rest_handlers::create_review)),
        (
            POST,
            "/repos/{owner}/{repo}/pulls/{number}/requested_reviewers",
            RestCall(reviewers::request_reviewers),
        ),
        (
            GET,
            "/repos/{owner}/{repo}/pulls/{number}/reviews/{id}/comments",
            RestCall(rest_handlers::list_review_comments),
        ),
        (GET, "/repos/{owner}/{repo}/pulls/comments/{id}", RestCall(rest_handlers::get_inline_comment)),
        (PATCH, "/repos/{owner}/{repo}/pulls/comments/{id}", RestCall(rest_handlers::update_inline_comment)),
        (DELETE, "/repos/{owner}/{repo}/pulls/comments/{id}", RestCall(rest_handlers::delete_inline_comment)),
        (GET, "/repos/{owner}/{repo}/issues/{number}/comments", RestCall(conversation::list)),
        (POST, "/repos/{owner}/{repo}/issues/{number}/comments", RestCall(conversation::create)),
        (PATCH, "/repos/{owner}/{repo}/issues/comments/{id}", RestCall(conversation::update)),
        (DELETE, "/repos/{owner}/{repo}/issues/comments/{id}", RestCall(conversation::delete)),
        (POST, "/repos/{owner}/{repo}/statuses/{sha}", RestCall(rest_handlers::create_status)),
        (GET, "/repos/{owner}/{repo}/commits/{sha}/statuses", RestCall(rest_handlers::list_commit_statuses)),
        (POST, "/repos/{owner}/{repo}/check-runs", RestCall(checks::create)),
        (PATCH, "/repos/{owner}/{repo}/check-runs/{id}", RestCall(checks::update)),
        (GET, "/repos/{owner}/{repo}/commits/{sha}/check-runs", RestCall(checks::list)),
        (POST, "/graphql", RestCall(graphql::answer_query)),
        (GET, "/{owner}/{repo}/pulls", Page(web_pages::list_pulls)),
        (GET, "/{owner}/{repo}/pull/{number}", Page(web_pages::get_pull)),
        (GET, "/{owner}/{repo}/info/refs", GitRefs),
        (POST, "/{owner}/{repo}/git-upload-pack", GitFetch),
        (POST, "/{owner}/{repo}/git-receive-pack", GitPush),
        (GET, "/{owner}/{repo}/HEAD", GitDumbProtocol),
        (GET, "/{owner}/{repo}/objects/{*file}", GitDumbProtocol),
    ]
};

/// GitHub's behaviour that all calls share.
pub(crate) static PROTOCOL: ForgeProtocol = ForgeProtocol {
    routes: ROUTES,
    authenticate: authenticate_request,
    check_at_proxy: check_user_agent,
    refusal_response,
    check_scope: |call| call.token_scope.check_token_kind(&call.path),
    fault_response,
    set_next_page: |reply, to| reply.headers.push(("link", format!("<{to}>; rel=\"next\""))),
    add_headers,
};

/// Returns the account of a token, and its scope.
fn authenticate_request(
    forge: &mut ForgeInstance,
    headers: &HeaderMap,
    _: &'static str,
) -> Option<(String, FakeTokenScope)> {
    git_call::request_token(headers).and_then(|token| forge.identify_token(&token))
}

/// Rejects a request without a User-Agent, which is required.
fn check_user_agent(headers: &HeaderMap) -> Result<(), ApiResponse> {
    if headers.contains_key(header::USER_AGENT) {
        return Ok(());
    }
    let words =
        "Request forbidden by administrative rules. Please make sure your request has a User-Agent header.";
    Err(ApiResponse::bytes(403, "text/plain", words))
}

fn refusal_response(refusal: CallRefusal) -> ApiResponse {
    let (status, words) = match refusal {
        CallRefusal::TooLarge => (413, "Payload Too Large"),
        CallRefusal::BadLogin => (401, "Bad credentials"),
        CallRefusal::NoLogin => (401, "Requires authentication"),
        CallRefusal::NoSuchCall => return ApiResponse::not_found(),
        CallRefusal::BadJson => (400, "Problems parsing JSON"),
    };
    ApiResponse::error(status, words, Value::Null)
}

/// Adds an ETag to a JSON response. If the caller sent the same ETag, the response is 304 and the call does
/// not count against the rate limit.
fn apply_etag(
    forge: &mut ForgeInstance,
    mut response: ApiResponse,
    cached_etag: Option<&HeaderValue>,
) -> ApiResponse {
    if let (200, ResponseBody::Json(value)) = (response.status, &response.body) {
        let digest = Sha256::digest(value.to_string().as_bytes());
        let etag = format!("W/\"{}\"", hex::encode(digest));
        if cached_etag.is_some_and(|cached_etag| cached_etag.as_bytes() == etag.as_bytes()) {
            (response.status, response.body) = (304, ResponseBody::Empty);
            forge.hour_and_call_count.1 = forge.hour_and_call_count.1.saturating_sub(1);
        }
        response.headers.push(("etag", etag));
    }
    response
}

/// Adds GitHub's headers to a response.
fn add_headers(forge: &mut ForgeInstance, response: ApiResponse, context: &HeaderContext<'_>) -> ApiResponse {
    let known = context.headers.get(header::IF_NONE_MATCH).filter(|_| context.is_get);
    let reply = apply_etag(forge, response, known);
    let (used, now) = (forge.request_count, forge.now());
    let (limit, in_hour) = match forge.primary_rate_limit {
        Some(limit) => (limit, forge.hour_and_call_count.1.min(limit)),
        None => (RATE_LIMIT, forge.request_count % RATE_LIMIT),
    };
    let general = [
        // The date is the time of the forge's clock, not of the machine's clock.
        ("date", http_date(now)),
        ("x-github-request-id", format!("FAKE:{used:X}")),
        ("x-ratelimit-limit", limit.to_string()),
        ("x-ratelimit-remaining", (limit - in_hour).to_string()),
        ("x-ratelimit-used", in_hour.to_string()),
        // The rate limit is reset at the next full hour, so calls within the same hour get the same header.
        ("x-ratelimit-reset", (now.div_euclid(3600) + 1).saturating_mul(3600).to_string()),
        ("x-ratelimit-resource", context.rate_limit_resource.to_owned()),
    ];
    with_headers(reply, general)
}

/// Returns the response of a simulated fault, which replaces the handling of the call.
fn fault_response(kind: &ForgeFaultKind, now: i64) -> Option<ApiResponse> {
    let retry = |reply: ApiResponse, after: &Option<u64>| match after {
        Some(seconds) => reply.header("retry-after", seconds),
        None => reply,
    };
    match kind {
        ForgeFaultKind::Status(status, after) => {
            let words = StatusCode::from_u16(*status).ok().and_then(|status| status.canonical_reason());
            Some(retry(ApiResponse::error(*status, words.unwrap_or("Error"), Value::Null), after))
        }
        ForgeFaultKind::SecondaryLimit(after) => {
            let message =
                "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.";
            Some(retry(ApiResponse::error(403, message, Value::Null), after))
        }
        ForgeFaultKind::PrimaryLimit(seconds) => {
            let reset = now.saturating_add_unsigned(*seconds);
            let reply = ApiResponse::error(403, "API rate limit exceeded for installation.", Value::Null);
            Some(reply.header("x-ratelimit-remaining", 0).header("x-ratelimit-reset", reset))
        }
        ForgeFaultKind::SingleSignOn => {
            let message = "Resource protected by organization SAML enforcement. You must grant your token \
                 access to this organization.";
            let reply = ApiResponse::error(403, message, Value::Null);
            Some(reply.header(
                "x-github-sso",
                "required; url=https://github.com/orgs/acme/sso?authorization_request=A",
            ))
        }
        ForgeFaultKind::ValidationError(ErrorListFormat::Strings) => {
            let reasons = json!(["Something about it is not as it should be"]);
            Some(ApiResponse::error(422, "Unprocessable Entity", reasons))
        }
        ForgeFaultKind::ValidationError(ErrorListFormat::Objects) => {
            Some(ApiResponse::invalid("Something", "field", "custom", "it is not as it should be"))
        }
        ForgeFaultKind::Html(status) => {
            let page =
                "<html><head><title>Unicorn!</title></head><body>This page is taking too long.</body></html>";
            Some(ApiResponse::bytes(*status, "text/html; charset=utf-8", page))
        }
        ForgeFaultKind::Redirect(status, to) => {
            let body =
                json!({"message": "Moved Permanently", "url": to, "documentation_url": DOCUMENTATION_URL});
            Some(ApiResponse::json(*status, body).header("location", to))
        }
        ForgeFaultKind::SelfLinkedPage
        | ForgeFaultKind::Truncated
        | ForgeFaultKind::Delay(_)
        | ForgeFaultKind::DropConnection
        | ForgeFaultKind::LostResponse
        | ForgeFaultKind::HeldRequest
        | ForgeFaultKind::HeldResponse
        | ForgeFaultKind::StatusAfterCall(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use truing_contract::ForgeContract;

    use super::*;

    /// Returns the method, and the path without the names of its parameters.
    fn strip_parameter_names(method: &str, path: &str) -> String {
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
        // The OpenAPI document does not describe GraphQL. For a path with a repository's id, the description
        // of the path with the owner and the name applies.
        let rest = ROUTES.iter().filter(|(_, path, action)| {
            matches!(action, RouteAction::RestCall(_))
                && *path != "/graphql"
                && !path.starts_with("/repositories/")
        });
        let calls: BTreeSet<String> = rest
            .map(|(method, path, _)| {
                let name = names.iter().find(|(known, _)| known == method).map_or("", |(_, name)| name);
                strip_parameter_names(name, path)
            })
            .collect();
        let github = ForgeContract::github().unwrap();
        let kept = github.operations().filter_map(|operation| operation.split_once(' '));
        let kept: BTreeSet<String> = kept.map(|(method, path)| strip_parameter_names(method, path)).collect();
        assert_eq!(calls, kept, "crates/contract/data/github.toml, `cargo xtask contract`");
    }
}
