//! Serves web pages with a repository's pull requests, in plain text. The pages need no token.

use std::fmt::Write as _;

use crate::forge::http::call::{ApiCall, ApiResponse, CallResult};
use crate::forge::state::FakeForgeState;
use crate::forge::view::{PullView, pull_view};

const PLAIN_TEXT_CONTENT_TYPE: &str = "text/plain; charset=utf-8";

/// Lists every pull request, newest first. The path of a pull request's page is the list's path followed by
/// the number. At GitHub, the path contains `pull` instead of `pulls`.
pub(crate) fn list_pulls(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let list = format!("{}{}", state.forge.base_url, call.path);
    let below = list.strip_suffix("/pulls").map(|above| format!("{above}/pull")).unwrap_or(list);
    let (_, repo) = state.find_repository(call)?;
    let mut text = format!("Pull requests of {}/{}\n\n", repo.owner, repo.name);
    for pull in repo.pulls.values().rev() {
        let state = pull_state_text(pull.open, pull.draft);
        let number = pull.number;
        let _ = writeln!(text, "#{number} {} ({state})\n  {below}/{number}", pull.title);
    }
    Ok(ApiResponse::bytes(200, PLAIN_TEXT_CONTENT_TYPE, text))
}

/// Shows one pull request with its comments.
pub(crate) fn get_pull(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (_, repo, number) = state.find_pull(call)?;
    let lines = repo.current_lines(number)?;
    let (statuses, checks) = (repo.statuses.clone(), repo.checks.clone());
    let pull = repo.pulls.get(&number).ok_or_else(ApiResponse::not_found)?;
    let view = pull_view(pull, &lines, &statuses, &checks, &repo.reports);
    Ok(ApiResponse::bytes(
        200,
        PLAIN_TEXT_CONTENT_TYPE,
        render_pull(&format!("{}/{}#{number}", repo.owner, repo.name), &view),
    ))
}

fn pull_state_text(open: bool, draft: bool) -> &'static str {
    match (open, draft) {
        (false, _) => "closed",
        (true, true) => "draft",
        (true, false) => "open",
    }
}

fn render_pull(name: &str, pull: &PullView) -> String {
    let mut text =
        format!("{name}: {} ({})\nhead {}\n", pull.title, pull_state_text(pull.open, pull.draft), pull.head);
    for status in pull.statuses.get(&pull.head).into_iter().flatten() {
        let description = status.description.as_deref().unwrap_or_default();
        let _ = writeln!(text, "status {}: {} {description}", status.context, status.state);
    }
    if !pull.body.is_empty() {
        let _ = write!(text, "\n{}\n", strip_markdown_comments(&pull.body));
    }
    for review in pull.reviews.iter().filter(|review| !review.body.is_empty()) {
        let _ = write!(
            text,
            "\n---- {} reviewed {}\n{}\n",
            review.author,
            review.commit,
            strip_markdown_comments(&review.body)
        );
    }
    for comment in pull.conversation_comments().chain(pull.inline_comments()) {
        let place = comment.place.as_ref().map_or_else(String::new, |place| {
            let line = comment.line.map(|line| format!(", line {line}")).unwrap_or_default();
            let resolved = if comment.resolved { ", resolved" } else { "" };
            format!(" on {}{line}{resolved}", place.path)
        });
        let _ =
            write!(text, "\n---- {}{place}\n{}\n", comment.author, strip_markdown_comments(&comment.body));
    }
    text
}

/// Removes Markdown comments, which a browser does not show.
fn strip_markdown_comments(body: &str) -> String {
    let is_marker = |line: &&str| line.starts_with("<!--") || line.starts_with("[//]: # (");
    body.lines().filter(|line| !is_marker(line)).collect::<Vec<_>>().join("\n")
}
