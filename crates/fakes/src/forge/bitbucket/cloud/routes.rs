//! The routes of Cloud's API, and the login, errors and headers that all calls share.

use axum::routing::MethodFilter;

use super::{accounts_and_repositories, auth, comments, commits, errors, pagination, pulls};
use crate::forge::http::call::ApiResponse;
use crate::forge::http::serve::{
    ApiRoute, ForgeProtocol, HeaderContext, RouteAction, http_date, with_headers,
};
use crate::forge::state::ForgeInstance;
use crate::forge::web_pages;

/// Default of the hourly call limit in the headers. The fake does not enforce this limit.
const RATE_LIMIT: u64 = 1_000;
/// A limit is nearly reached if fewer calls are left than the limit divided by this number.
const NEAR_LIMIT_DIVISOR: u64 = 5;

/// All calls of the API.
const ROUTES: &[ApiRoute] = {
    use RouteAction::{GitDumbProtocol, GitFetch, GitPush, GitRefs, Page, RestCall};
    const GET: MethodFilter = MethodFilter::GET;
    const POST: MethodFilter = MethodFilter::POST;
    const DELETE: MethodFilter = MethodFilter::DELETE;
    const PUT: MethodFilter = MethodFilter::PUT;
    &[
        (GET, "/2.0/user", RestCall(accounts_and_repositories::get_current_user)),
        (GET, "/2.0/users/{user}", RestCall(accounts_and_repositories::get_user)),
        (
            GET,
            "/2.0/workspaces/{owner}/members/{user}",
            RestCall(accounts_and_repositories::get_workspace_member),
        ),
        (GET, "/2.0/user/workspaces", RestCall(accounts_and_repositories::list_caller_workspaces)),
        (
            GET,
            "/2.0/user/workspaces/{owner}/permissions/repositories",
            RestCall(accounts_and_repositories::list_caller_permissions),
        ),
        (
            GET,
            "/2.0/workspaces/{owner}/permissions/repositories/{repo}",
            RestCall(accounts_and_repositories::list_repository_permissions),
        ),
        (GET, "/2.0/repositories/{owner}", RestCall(accounts_and_repositories::repositories)),
        (GET, "/2.0/repositories/{owner}/{repo}", RestCall(accounts_and_repositories::get_repository)),
        (
            GET,
            "/2.0/repositories/{owner}/{repo}/branch-restrictions",
            RestCall(accounts_and_repositories::list_branch_restrictions),
        ),
        (GET, "/2.0/repositories/{owner}/{repo}/pullrequests", RestCall(pulls::list)),
        (POST, "/2.0/repositories/{owner}/{repo}/pullrequests", RestCall(pulls::create)),
        (GET, "/2.0/repositories/{owner}/{repo}/pullrequests/{number}", RestCall(pulls::get)),
        (PUT, "/2.0/repositories/{owner}/{repo}/pullrequests/{number}", RestCall(pulls::update)),
        (POST, "/2.0/repositories/{owner}/{repo}/pullrequests/{number}/decline", RestCall(pulls::decline)),
        (
            POST,
            "/2.0/repositories/{owner}/{repo}/pullrequests/{number}/request-changes",
            RestCall(pulls::request_changes),
        ),
        (
            DELETE,
            "/2.0/repositories/{owner}/{repo}/pullrequests/{number}/request-changes",
            RestCall(pulls::withdraw_change_request),
        ),
        (
            GET,
            "/2.0/repositories/{owner}/{repo}/pullrequests/{number}/commits",
            RestCall(pulls::list_commits),
        ),
        (
            GET,
            "/2.0/repositories/{owner}/{repo}/pullrequests/{number}/conflicts",
            RestCall(pulls::redirect_conflicts),
        ),
        (GET, "/2.0/repositories/{owner}/{repo}/file-conflicts/{spec}", RestCall(pulls::list_conflicts)),
        (GET, "/2.0/repositories/{owner}/{repo}/pullrequests/{number}/comments", RestCall(comments::list)),
        (POST, "/2.0/repositories/{owner}/{repo}/pullrequests/{number}/comments", RestCall(comments::create)),
        (
            GET,
            "/2.0/repositories/{owner}/{repo}/pullrequests/{number}/comments/{id}",
            RestCall(comments::get),
        ),
        (
            PUT,
            "/2.0/repositories/{owner}/{repo}/pullrequests/{number}/comments/{id}",
            RestCall(comments::update),
        ),
        (
            DELETE,
            "/2.0/repositories/{owner}/{repo}/pullrequests/{number}/comments/{id}",
            RestCall(comments::delete),
        ),
        (
            POST,
            "/2.0/repositories/{owner}/{repo}/pullrequests/{number}/comments/{id}/resolve",
            RestCall(comments::resolve),
        ),
        (
            DELETE,
            "/2.0/repositories/{owner}/{repo}/pullrequests/{number}/comments/{id}/resolve",
            RestCall(comments::reopen),
        ),
        (GET, "/2.0/repositories/{owner}/{repo}/commit/{sha}", RestCall(commits::get_commit)),
        (
            GET,
            "/2.0/repositories/{owner}/{repo}/commit/{sha}/statuses",
            RestCall(commits::list_build_statuses),
        ),
        (
            POST,
            "/2.0/repositories/{owner}/{repo}/commit/{sha}/statuses/build",
            RestCall(commits::set_build_status),
        ),
        (
            GET,
            "/2.0/repositories/{owner}/{repo}/commit/{sha}/statuses/build/{key}",
            RestCall(commits::get_build_status),
        ),
        (GET, "/2.0/repositories/{owner}/{repo}/commit/{sha}/reports/{key}", RestCall(commits::get_report)),
        (
            PUT,
            "/2.0/repositories/{owner}/{repo}/commit/{sha}/reports/{key}",
            RestCall(commits::replace_report),
        ),
        (
            DELETE,
            "/2.0/repositories/{owner}/{repo}/commit/{sha}/reports/{key}",
            RestCall(commits::delete_report),
        ),
        (
            GET,
            "/2.0/repositories/{owner}/{repo}/commit/{sha}/reports/{key}/annotations",
            RestCall(commits::list_annotations),
        ),
        (
            POST,
            "/2.0/repositories/{owner}/{repo}/commit/{sha}/reports/{key}/annotations",
            RestCall(commits::upsert_annotations),
        ),
        (GET, "/{owner}/{repo}/pull-requests", Page(web_pages::list_pulls)),
        (GET, "/{owner}/{repo}/pull-requests/{number}", Page(web_pages::get_pull)),
        (GET, "/{owner}/{repo}/info/refs", GitRefs),
        (POST, "/{owner}/{repo}/git-upload-pack", GitFetch),
        (POST, "/{owner}/{repo}/git-receive-pack", GitPush),
        (GET, "/{owner}/{repo}/HEAD", GitDumbProtocol),
        (GET, "/{owner}/{repo}/objects/{*file}", GitDumbProtocol),
    ]
};

/// Cloud's behaviour that all calls share.
pub(crate) static PROTOCOL: ForgeProtocol = ForgeProtocol {
    routes: ROUTES,
    authenticate: auth::authenticate_request,
    check_at_proxy: |_| Ok(()),
    refusal_response: errors::refusal_response,
    check_scope: auth::check_scopes,
    fault_response: errors::fault_response,
    set_next_page: pagination::set_next_page,
    add_headers,
};

/// Adds Cloud's headers. Only requests with a bearer token get the rate limit headers. These headers do not
/// contain the number of remaining calls and the time of the reset.
fn add_headers(forge: &mut ForgeInstance, response: ApiResponse, context: &HeaderContext<'_>) -> ApiResponse {
    let now = forge.now();
    let mut general = vec![
        ("date", http_date(now)),
        ("x-request-id", format!("fake-{}", forge.request_count)),
        ("server", "AtlassianEdge".into()),
    ];
    let authorization = context.headers.get("authorization").and_then(|value| value.to_str().ok());
    if authorization.is_some_and(|value| value.to_ascii_lowercase().starts_with("bearer ")) {
        let limit = forge.primary_rate_limit.unwrap_or(RATE_LIMIT);
        let left = limit.saturating_sub(if forge.primary_rate_limit.is_some() {
            forge.hour_and_call_count.1
        } else {
            0
        });
        general.push(("x-ratelimit-limit", limit.to_string()));
        general.push(("x-ratelimit-resource", "api-repositories".into()));
        general.push(("x-ratelimit-nearlimit", (left < limit / NEAR_LIMIT_DIVISOR).to_string()));
    }
    with_headers(response, general)
}
