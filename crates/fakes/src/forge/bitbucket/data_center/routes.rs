//! The routes of Data Center's API, and the login, errors and headers that all calls share.

use axum::routing::MethodFilter;

use super::{activities, admission, comments, commits, diff, errors, page, pulls, server_and_repositories};
use crate::forge::http::call::ApiResponse;
use crate::forge::http::serve::{
    ApiRoute, ForgeProtocol, HeaderContext, RouteAction, http_date, with_headers,
};
use crate::forge::state::ForgeInstance;
use crate::forge::web_pages;

/// All calls of the API.
const ROUTES: &[ApiRoute] = {
    use RouteAction::{GitDumbProtocol, GitFetch, GitPush, GitRefs, Page, PublicRestCall, RestCall};
    const GET: MethodFilter = MethodFilter::GET;
    const POST: MethodFilter = MethodFilter::POST;
    const DELETE: MethodFilter = MethodFilter::DELETE;
    const PUT: MethodFilter = MethodFilter::PUT;
    &[
        (
            GET,
            "/rest/api/latest/application-properties",
            PublicRestCall(server_and_repositories::get_application_properties),
        ),
        (GET, "/rest/api/latest/users", RestCall(server_and_repositories::users)),
        (GET, "/rest/api/latest/users/{slug}", RestCall(server_and_repositories::user)),
        (GET, "/rest/api/latest/repos", RestCall(server_and_repositories::repositories)),
        (
            GET,
            "/rest/api/latest/projects/{owner}/repos/{repo}",
            RestCall(server_and_repositories::get_repository),
        ),
        (
            GET,
            "/rest/api/latest/projects/{owner}/repos/{repo}/default-branch",
            RestCall(server_and_repositories::default_branch),
        ),
        (
            GET,
            "/rest/branch-permissions/latest/projects/{owner}/repos/{repo}/restrictions",
            RestCall(server_and_repositories::list_branch_restrictions),
        ),
        (GET, "/rest/api/latest/projects/{owner}/repos/{repo}/pull-requests", RestCall(pulls::list)),
        (POST, "/rest/api/latest/projects/{owner}/repos/{repo}/pull-requests", RestCall(pulls::create)),
        (GET, "/rest/api/latest/projects/{owner}/repos/{repo}/pull-requests/{number}", RestCall(pulls::get)),
        (
            PUT,
            "/rest/api/latest/projects/{owner}/repos/{repo}/pull-requests/{number}",
            RestCall(pulls::update),
        ),
        (
            POST,
            "/rest/api/latest/projects/{owner}/repos/{repo}/pull-requests/{number}/decline",
            RestCall(pulls::decline),
        ),
        (
            GET,
            "/rest/api/latest/projects/{owner}/repos/{repo}/pull-requests/{number}/merge",
            RestCall(pulls::get_merge_status),
        ),
        (
            GET,
            "/rest/api/latest/projects/{owner}/repos/{repo}/pull-requests/{number}/commits",
            RestCall(pulls::list_commits),
        ),
        (
            POST,
            "/rest/api/latest/projects/{owner}/repos/{repo}/pull-requests/{number}/participants",
            RestCall(pulls::add_reviewer),
        ),
        (
            PUT,
            "/rest/api/latest/projects/{owner}/repos/{repo}/pull-requests/{number}/participants/{slug}",
            RestCall(pulls::set_verdict),
        ),
        (
            GET,
            "/rest/api/latest/projects/{owner}/repos/{repo}/pull-requests/{number}/diff",
            RestCall(diff::get_full_diff),
        ),
        (
            GET,
            "/rest/api/latest/projects/{owner}/repos/{repo}/pull-requests/{number}/diff/{*path}",
            RestCall(diff::get_file_diff),
        ),
        (
            GET,
            "/rest/api/latest/projects/{owner}/repos/{repo}/pull-requests/{number}/activities",
            RestCall(activities::list),
        ),
        (
            POST,
            "/rest/api/latest/projects/{owner}/repos/{repo}/pull-requests/{number}/comments",
            RestCall(comments::create),
        ),
        (
            GET,
            "/rest/api/latest/projects/{owner}/repos/{repo}/pull-requests/{number}/comments/{id}",
            RestCall(comments::get),
        ),
        (
            PUT,
            "/rest/api/latest/projects/{owner}/repos/{repo}/pull-requests/{number}/comments/{id}",
            RestCall(comments::update),
        ),
        (
            DELETE,
            "/rest/api/latest/projects/{owner}/repos/{repo}/pull-requests/{number}/comments/{id}",
            RestCall(comments::delete),
        ),
        (
            GET,
            "/rest/api/latest/projects/{owner}/repos/{repo}/commits/{sha}/builds",
            RestCall(commits::get_build_status),
        ),
        (
            POST,
            "/rest/api/latest/projects/{owner}/repos/{repo}/commits/{sha}/builds",
            RestCall(commits::set_build_status),
        ),
        (GET, "/rest/build-status/latest/commits/{sha}", RestCall(commits::list_build_statuses)),
        (
            GET,
            "/rest/insights/latest/projects/{owner}/repos/{repo}/commits/{sha}/reports/{key}",
            RestCall(commits::get_report),
        ),
        (
            PUT,
            "/rest/insights/latest/projects/{owner}/repos/{repo}/commits/{sha}/reports/{key}",
            RestCall(commits::replace_report),
        ),
        (
            GET,
            "/rest/insights/latest/projects/{owner}/repos/{repo}/commits/{sha}/reports/{key}/annotations",
            RestCall(commits::list_annotations),
        ),
        (
            POST,
            "/rest/insights/latest/projects/{owner}/repos/{repo}/commits/{sha}/reports/{key}/annotations",
            RestCall(commits::add_annotations),
        ),
        (
            DELETE,
            "/rest/insights/latest/projects/{owner}/repos/{repo}/commits/{sha}/reports/{key}/annotations",
            RestCall(commits::delete_annotations),
        ),
        (GET, "/projects/{owner}/repos/{repo}/pull-requests", Page(web_pages::list_pulls)),
        (GET, "/projects/{owner}/repos/{repo}/pull-requests/{number}", Page(web_pages::get_pull)),
        (GET, "/scm/{owner}/{repo}/info/refs", GitRefs),
        (POST, "/scm/{owner}/{repo}/git-upload-pack", GitFetch),
        (POST, "/scm/{owner}/{repo}/git-receive-pack", GitPush),
        (GET, "/scm/{owner}/{repo}/HEAD", GitDumbProtocol),
        (GET, "/scm/{owner}/{repo}/objects/{*file}", GitDumbProtocol),
    ]
};

/// Data Center's behaviour that all calls share.
pub(crate) static PROTOCOL: ForgeProtocol = ForgeProtocol {
    routes: ROUTES,
    authenticate: admission::authenticate_request,
    check_at_proxy: |_| Ok(()),
    refusal_response: errors::refusal_response,
    check_scope: admission::check_permission,
    fault_response: errors::fault_response,
    set_next_page: page::set_next_page,
    add_headers,
};

/// Adds Data Center's headers, such as the login name. Adds the rate limit headers only if a test has set a
/// limit.
fn add_headers(forge: &mut ForgeInstance, response: ApiResponse, context: &HeaderContext<'_>) -> ApiResponse {
    let mut general = vec![
        ("date", http_date(forge.now())),
        ("x-arequestid", format!("@FAKEx{}", forge.request_count)),
        ("cache-control", "no-cache, no-transform".into()),
    ];
    if let Some(login) = context.login {
        general.push(("x-ausername", login.to_owned()));
        general.push(("x-auserid", super::super::account_number(forge, login).to_string()));
    }
    if let Some(limit) = forge.primary_rate_limit {
        general.push(("x-ratelimit-limit", limit.to_string()));
        general
            .push(("x-ratelimit-remaining", limit.saturating_sub(forge.hour_and_call_count.1).to_string()));
        general.push(("x-ratelimit-interval-seconds", "3600".into()));
        general.push(("x-ratelimit-fillrate", limit.to_string()));
    }
    with_headers(response, general)
}
