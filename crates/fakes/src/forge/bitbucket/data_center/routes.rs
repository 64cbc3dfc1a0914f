//! The calls that exist, and Data Center's handling of all calls: login, errors, headers.

use axum::routing::MethodFilter;

use super::{activities, admission, comments, commits, diff, errors, estate, page, pulls};
use crate::forge::http::call::ApiReply;
use crate::forge::http::serve::{
    ApiRoute, ForgeProtocol, HeaderContext, RouteAction, http_date, with_headers,
};
use crate::forge::pages;
use crate::forge::state::ForgeInstance;

/// All calls of the API.
const ROUTES: &[ApiRoute] = {
    use RouteAction::{GitFile, GitPack, GitPush, GitRefs, Open, Page, Rest};
    const GET: MethodFilter = MethodFilter::GET;
    const POST: MethodFilter = MethodFilter::POST;
    const DELETE: MethodFilter = MethodFilter::DELETE;
    const PUT: MethodFilter = MethodFilter::PUT;
    &[
        (GET, "/rest/api/latest/application-properties", Open(estate::properties)),
        (GET, "/rest/api/latest/users", Rest(estate::users)),
        (GET, "/rest/api/latest/users/{slug}", Rest(estate::user)),
        (GET, "/rest/api/latest/repos", Rest(estate::repositories)),
        (GET, "/rest/api/latest/projects/{owner}/repos/{repo}", Rest(estate::get_repository)),
        (GET, "/rest/api/latest/projects/{owner}/repos/{repo}/default-branch", Rest(estate::default_branch)),
        (
            GET,
            "/rest/branch-permissions/latest/projects/{owner}/repos/{repo}/restrictions",
            Rest(estate::restrictions),
        ),
        (GET, "/rest/api/latest/projects/{owner}/repos/{repo}/pull-requests", Rest(pulls::list)),
        (POST, "/rest/api/latest/projects/{owner}/repos/{repo}/pull-requests", Rest(pulls::create)),
        (GET, "/rest/api/latest/projects/{owner}/repos/{repo}/pull-requests/{number}", Rest(pulls::get)),
        (PUT, "/rest/api/latest/projects/{owner}/repos/{repo}/pull-requests/{number}", Rest(pulls::update)),
        (
            POST,
            "/rest/api/latest/projects/{owner}/repos/{repo}/pull-requests/{number}/decline",
            Rest(pulls::decline),
        ),
        (
            GET,
            "/rest/api/latest/projects/{owner}/repos/{repo}/pull-requests/{number}/merge",
            Rest(pulls::merge_status),
        ),
        (
            GET,
            "/rest/api/latest/projects/{owner}/repos/{repo}/pull-requests/{number}/commits",
            Rest(pulls::commits),
        ),
        (
            POST,
            "/rest/api/latest/projects/{owner}/repos/{repo}/pull-requests/{number}/participants",
            Rest(pulls::add_reviewer),
        ),
        (
            PUT,
            "/rest/api/latest/projects/{owner}/repos/{repo}/pull-requests/{number}/participants/{slug}",
            Rest(pulls::set_verdict),
        ),
        (
            GET,
            "/rest/api/latest/projects/{owner}/repos/{repo}/pull-requests/{number}/diff",
            Rest(diff::full_diff),
        ),
        (
            GET,
            "/rest/api/latest/projects/{owner}/repos/{repo}/pull-requests/{number}/diff/{*path}",
            Rest(diff::file_diff),
        ),
        (
            GET,
            "/rest/api/latest/projects/{owner}/repos/{repo}/pull-requests/{number}/activities",
            Rest(activities::list),
        ),
        (
            POST,
            "/rest/api/latest/projects/{owner}/repos/{repo}/pull-requests/{number}/comments",
            Rest(comments::create),
        ),
        (
            GET,
            "/rest/api/latest/projects/{owner}/repos/{repo}/pull-requests/{number}/comments/{id}",
            Rest(comments::get),
        ),
        (
            PUT,
            "/rest/api/latest/projects/{owner}/repos/{repo}/pull-requests/{number}/comments/{id}",
            Rest(comments::update),
        ),
        (
            DELETE,
            "/rest/api/latest/projects/{owner}/repos/{repo}/pull-requests/{number}/comments/{id}",
            Rest(comments::delete),
        ),
        (GET, "/rest/api/latest/projects/{owner}/repos/{repo}/commits/{sha}/builds", Rest(commits::build)),
        (
            POST,
            "/rest/api/latest/projects/{owner}/repos/{repo}/commits/{sha}/builds",
            Rest(commits::set_build),
        ),
        (GET, "/rest/build-status/latest/commits/{sha}", Rest(commits::builds)),
        (
            GET,
            "/rest/insights/latest/projects/{owner}/repos/{repo}/commits/{sha}/reports/{key}",
            Rest(commits::one_report),
        ),
        (
            PUT,
            "/rest/insights/latest/projects/{owner}/repos/{repo}/commits/{sha}/reports/{key}",
            Rest(commits::replace_report),
        ),
        (
            GET,
            "/rest/insights/latest/projects/{owner}/repos/{repo}/commits/{sha}/reports/{key}/annotations",
            Rest(commits::annotations),
        ),
        (
            POST,
            "/rest/insights/latest/projects/{owner}/repos/{repo}/commits/{sha}/reports/{key}/annotations",
            Rest(commits::annotate),
        ),
        (
            DELETE,
            "/rest/insights/latest/projects/{owner}/repos/{repo}/commits/{sha}/reports/{key}/annotations",
            Rest(commits::delete_annotations),
        ),
        (GET, "/projects/{owner}/repos/{repo}/pull-requests", Page(pages::pulls)),
        (GET, "/projects/{owner}/repos/{repo}/pull-requests/{number}", Page(pages::pull)),
        (GET, "/scm/{owner}/{repo}/info/refs", GitRefs),
        (POST, "/scm/{owner}/{repo}/git-upload-pack", GitPack),
        (POST, "/scm/{owner}/{repo}/git-receive-pack", GitPush),
        (GET, "/scm/{owner}/{repo}/HEAD", GitFile),
        (GET, "/scm/{owner}/{repo}/objects/{*file}", GitFile),
    ]
};

/// Data Center's behaviour for all calls.
pub(crate) static PROTOCOL: ForgeProtocol = ForgeProtocol {
    routes: ROUTES,
    bearer: admission::authenticate_request,
    check_entry: |_| Ok(()),
    refused: errors::refusal_reply,
    may_call: admission::check_permission,
    fault_response: errors::fault_reply,
    link_to_itself: page::set_next_page,
    finished: add_headers,
};

/// Adds Data Center's headers: the login name, and a limit only if one is set.
fn add_headers(world: &mut ForgeInstance, reply: ApiReply, context: &HeaderContext<'_>) -> ApiReply {
    let mut general = vec![
        ("date", http_date(world.now())),
        ("x-arequestid", format!("@FAKEx{}", world.used)),
        ("cache-control", "no-cache, no-transform".into()),
    ];
    if let Some(login) = context.login {
        general.push(("x-ausername", login.to_owned()));
        general.push(("x-auserid", super::super::number_of(world, login).to_string()));
    }
    if let Some(limit) = world.limit {
        general.push(("x-ratelimit-limit", limit.to_string()));
        general.push(("x-ratelimit-remaining", limit.saturating_sub(world.spent.1).to_string()));
        general.push(("x-ratelimit-interval-seconds", "3600".into()));
        general.push(("x-ratelimit-fillrate", limit.to_string()));
    }
    with_headers(reply, general)
}
