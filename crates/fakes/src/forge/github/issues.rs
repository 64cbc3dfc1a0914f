//! Handles REST calls about issues and labels.

use serde_json::{Value, json};

use crate::forge::github::call::{ApiCall, ApiResponse, CallResult, PageRequest};
use crate::forge::github::json::{format_time, node_id};
use crate::forge::github::rest_handlers::check_comment_text;
use crate::forge::operations::issues::{create_missing_labels, open_issue, set_label};
use crate::forge::state::{FakeForgeState, ForgeInstance, StoredRepository};

/// Maximum length of the title of an issue or a pull request, in characters.
pub(crate) const MAX_TITLE_CHARS: usize = 256;

impl FakeForgeState {
    /// Returns the issue that the path names.
    fn find_issue(
        &mut self,
        call: &ApiCall,
    ) -> Result<(&mut ForgeInstance, &mut StoredRepository, u64), ApiResponse> {
        let number = call.require_number("number")?;
        let (world, repo) = self.find_repository(call)?;
        if repo.issues.contains_key(&number) {
            Ok((world, repo, number))
        } else {
            Err(ApiResponse::not_found())
        }
    }
}

/// Returns 422 for a title that is missing or too long.
pub(crate) fn check_title(resource: &str, title: Option<&str>) -> Result<(), ApiResponse> {
    let words = match title {
        Some(title) if title.trim().is_empty() => "title can't be blank",
        Some(title) if title.chars().count() > MAX_TITLE_CHARS => {
            "title is too long (maximum is 256 characters)"
        }
        Some(_) => return Ok(()),
        None => return Err(ApiResponse::invalid(resource, "title", "missing_field", "title is missing")),
    };
    Err(ApiResponse::invalid(resource, "title", "custom", words))
}

/// Returns 422 for a body that is too long; an empty body is valid.
pub(crate) fn check_body_length(resource: &str, body: &str) -> Result<(), ApiResponse> {
    if body.trim().is_empty() {
        return Ok(());
    }
    check_comment_text(body).map_err(|_| {
        ApiResponse::invalid(resource, "body", "custom", "body is too long (maximum is 65536 characters)")
    })
}

fn label_names(value: &Value) -> Vec<String> {
    let all = value.as_array().into_iter().flatten();
    all.filter_map(|name| name.as_str().or_else(|| name["name"].as_str())).map(str::to_owned).collect()
}

/// Handles `GET …/issues`: lists issues and pull requests, newest first. The list is filtered by `state`,
/// `creator` and `labels`; a listed issue must have all of these labels.
pub(crate) fn list(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo) = state.find_repository(call)?;
    let asked = |name: &str| call.query_params.get(name).map(String::as_str);
    let wanted = asked("state").unwrap_or("open");
    let labels: Vec<&str> = asked("labels").into_iter().flat_map(|all| all.split(',')).collect();
    let fits = |open: bool, item_labels: &[String], author: &str| {
        (wanted == "all" || open == (wanted == "open"))
            && labels.iter().all(|label| item_labels.iter().any(|name| name.eq_ignore_ascii_case(label)))
            && asked("creator").is_none_or(|creator| creator == author)
    };
    let mut numbers: Vec<u64> = Vec::new();
    for issue in repo.issues.values_mut().filter(|issue| fits(issue.open, &issue.labels, &issue.author)) {
        if issue.hidden_list_reads > 0 {
            issue.hidden_list_reads -= 1;
        } else {
            numbers.push(issue.number);
        }
    }
    let pulls = repo.pulls.values().filter(|pull| fits(pull.open, &pull.labels, &pull.author));
    numbers.extend(pulls.map(|pull| pull.number));
    numbers.sort_unstable();
    if asked("direction") != Some("asc") {
        numbers.reverse();
    }
    let page = PageRequest::from_call(call);
    let shown =
        page.page_items(&numbers).iter().map(|number| world.conversation_json(repo, *number)).collect();
    Ok(page.reply_with_page(world, call, numbers.len(), shown))
}

/// Handles `GET …/issues/{number}`: returns an issue, or a pull request in the format of an issue.
pub(crate) fn get(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let number = call.require_number("number")?;
    let (world, repo) = state.find_repository(call)?;
    let found = world.conversation_json(repo, number);
    if found.is_null() { Err(ApiResponse::not_found()) } else { Ok(ApiResponse::json(200, found)) }
}

/// Handles `POST …/issues`. Labels that do not exist are created if the caller may create labels; otherwise,
/// these labels are omitted.
pub(crate) fn create(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo) = state.find_repository(call)?;
    let title = call.body["title"].as_str();
    check_title("Issue", title)?;
    let body = call.body["body"].as_str().unwrap_or_default();
    check_body_length("Issue", body)?;
    let labels = if may_label(repo, call) { label_names(&call.body["labels"]) } else { Vec::new() };
    let number = open_issue(world, repo, &call.login, title.unwrap_or_default(), body, labels);
    let issue = repo.issues.get(&number).ok_or_else(ApiResponse::not_found)?;
    Ok(ApiResponse::json(201, world.stored_issue_json(repo, issue)))
}

/// Handles `PATCH …/issues/{number}`. In this fake, only the author may change an issue.
pub(crate) fn update(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo, number) = state.find_issue(call)?;
    let issue = repo.issues.get_mut(&number).ok_or_else(ApiResponse::not_found)?;
    if issue.author != call.login {
        world.record_violation(format!("{} touched issue {number} of {}", call.login, issue.author));
        return Err(ApiResponse::error(403, "Resource not accessible by integration", Value::Null));
    }
    let text = |field: &str| call.body[field].as_str();
    if text("title").is_some() {
        check_title("Issue", text("title"))?;
    }
    check_body_length("Issue", text("body").unwrap_or_default())?;
    if let Some(title) = text("title") {
        title.clone_into(&mut issue.title);
    }
    if let Some(body) = text("body") {
        body.clone_into(&mut issue.body);
    }
    let now = world.now();
    issue.updated_at = now;
    match text("state") {
        Some("closed") if issue.open => {
            (issue.open, issue.close_event) = (false, Some((now, call.login.clone())));
            issue.state_reason = Some(text("state_reason").unwrap_or("completed").to_owned());
        }
        Some("open") if !issue.open => {
            (issue.open, issue.close_event, issue.state_reason) = (true, None, Some("reopened".into()));
        }
        Some(_) | None => {}
    }
    let issue = repo.issues.get(&number).ok_or_else(ApiResponse::not_found)?;
    Ok(ApiResponse::json(200, world.stored_issue_json(repo, issue)))
}

/// Handles `POST …/issues/{number}/labels`: adds labels to an issue or a pull request, and returns all labels
/// of this issue or pull request.
pub(crate) fn add_labels(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let number = call.require_number("number")?;
    let (world, repo) = state.find_repository(call)?;
    if !repo.pulls.contains_key(&number) && !repo.issues.contains_key(&number) {
        return Err(ApiResponse::not_found());
    }
    if !may_label(repo, call) {
        return Err(ApiResponse::error(403, "Must have triage rights to Repository.", Value::Null));
    }
    let added = label_names(&call.body["labels"]);
    create_missing_labels(world, repo, &added);
    let labels = match (repo.pulls.get_mut(&number), repo.issues.get_mut(&number)) {
        (Some(pull), _) => {
            for name in &added {
                set_label(world, pull, &call.login, name, true);
            }
            pull.labels.clone()
        }
        (None, Some(issue)) => {
            for name in added {
                if !issue.labels.contains(&name) {
                    issue.labels.push(name);
                }
            }
            issue.labels.clone()
        }
        (None, None) => return Err(ApiResponse::not_found()),
    };
    Ok(ApiResponse::json(200, world.labels_json(repo, &labels)))
}

/// Handles `GET …/issues/{number}/events`: lists the label events of a pull request, oldest first.
pub(crate) fn list_events(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo, number) = state.find_pull(call)?;
    let pull = repo.pulls.get(&number).ok_or_else(ApiResponse::not_found)?;
    let page = PageRequest::from_call(call);
    let shown = page.page_items(&pull.label_changes).iter().map(|of| {
        json!({
            "id": of.id, "node_id": node_id("LabeledEvent", of.id),
            "url": format!("{}/repos/{}/issues/events/{}", world.base_url, repo.full_name(), of.id),
            "actor": world.user_json(&of.account), "event": if of.is_added { "labeled" } else { "unlabeled" },
            "commit_id": null, "commit_url": null, "created_at": format_time(of.changed_at),
            "label": {"name": of.label, "color": "ededed"}, "performed_via_github_app": null,
        })
    });
    let shown = shown.collect();
    Ok(page.reply_with_page(world, call, pull.label_changes.len(), shown))
}

/// Returns true if the caller may add labels. Installations may add labels; another check covers their access
/// to issues. Accounts with at least the role `triage` may also add labels.
fn may_label(repo: &StoredRepository, call: &ApiCall) -> bool {
    !call.token_scope.is_account()
        || ["admin", "maintain", "write", "triage"].contains(&repo.role(&call.login))
}
