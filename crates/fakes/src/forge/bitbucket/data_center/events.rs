//! Creates webhook deliveries in Data Center's format.

use serde_json::{Value, json};

use super::{anchor, comments, json};
use crate::forge::bitbucket::pull_comments;
use crate::forge::flavour::ForgeFlavour;
use crate::forge::state::delivery::FakeDelivery;
use crate::forge::state::event::{FakeForgeEvent, PullChange};
use crate::forge::state::{ForgeInstance, StoredRepository};
use crate::repo::FakeGitError;

/// Returns the delivery of an event; `None` if the event's object no longer exists, or if Data Center has no
/// such event.
pub(crate) fn build_delivery(
    forge: &ForgeInstance,
    repo: &mut StoredRepository,
    event: &FakeForgeEvent,
    serial: u64,
) -> Result<Option<FakeDelivery>, FakeGitError> {
    let (number, key, by, more) = match event {
        FakeForgeEvent::Pull { number, change, actor: by } => {
            let Some(pull) = repo.pulls.get(number) else { return Ok(None) };
            let title = pull.title.clone();
            let body = pull.body.clone();
            let Some((key, more)) = event_for_change(forge, repo, change, *number, &title, &body) else {
                return Ok(None);
            };
            (*number, key, by.clone(), more)
        }
        FakeForgeEvent::Comment { number, id, is_edit }
        | FakeForgeEvent::InlineComment { number, id, is_edit } => {
            let anchors = anchor::current_anchors(repo, *number)?;
            let Some(pull) = repo.pulls.get(number) else { return Ok(None) };
            let Some(comment) = pull_comments::find_comment(pull, *id) else { return Ok(None) };
            let comment_json = comments::comment_with_anchor_and_parent(forge, repo, pull, comment, &anchors);
            let mut more = json!({"comment": comment_json});
            if let Some(parent) = pull_comments::parent_comment_id(comment) {
                more["commentParentId"] = parent.into();
            }
            let key = if *is_edit { "pr:comment:edited" } else { "pr:comment:added" };
            (*number, key, comment.comment.author.clone(), more)
        }
        // Data Center has no events for threads, and no check runs.
        FakeForgeEvent::ThreadResolution { .. } | FakeForgeEvent::RerunRequest { .. } => return Ok(None),
    };
    let Some(pull) = repo.pulls.get(&number) else { return Ok(None) };
    let now = jiff::Timestamp::from_second(forge.now()).unwrap_or_default();
    let mut payload = json!({
        "eventKey": key, "date": now.strftime("%Y-%m-%dT%H:%M:%S+0000").to_string(),
        "actor": json::user(forge, &by), "pullRequest": json::pull(forge, repo, pull, &pull.head),
    });
    if let (Some(payload), Value::Object(more)) = (payload.as_object_mut(), more) {
        payload.extend(more);
    }
    Ok(Some(FakeDelivery::from_bitbucket_event(ForgeFlavour::DataCenter, serial, key, number, &payload)))
}

/// Returns the fields of a change event that contain the previous title, description and draft state.
fn previous_values(title: &str, body: &str, is_draft: bool) -> Value {
    json!({"previousTitle": title, "previousDescription": body, "previousDraft": is_draft})
}

/// Returns Data Center's event name for a change, and the other fields of the event; `None` if Data Center
/// has no event for the change.
fn event_for_change(
    forge: &ForgeInstance,
    repo: &StoredRepository,
    change: &PullChange,
    number: u64,
    new_title: &str,
    new_body: &str,
) -> Option<(&'static str, Value)> {
    let draft = repo.pulls.get(&number).is_some_and(|pull| pull.draft);
    let users = |logins: &[String]| logins.iter().map(|login| json::user(forge, login)).collect::<Vec<_>>();
    Some(match change {
        PullChange::Opened => ("pr:opened", Value::Null),
        PullChange::Closed => {
            let merged = repo.pulls.get(&number).is_some_and(|pull| pull.merged_by.is_some());
            (if merged { "pr:merged" } else { "pr:declined" }, Value::Null)
        }
        PullChange::Reopened => ("pr:reopened", Value::Null),
        PullChange::Pushed { before, .. } => ("pr:from_ref_updated", json!({"previousFromHash": before})),
        PullChange::DraftChanged(now) => ("pr:modified", previous_values(new_title, new_body, !now)),
        PullChange::Retargeted { previous_branch: branch, previous_commit: commit } => {
            let mut more = previous_values(new_title, new_body, draft);
            more["previousTarget"] = json!({
                "id": format!("refs/heads/{branch}"), "displayId": branch, "type": "BRANCH",
                "latestCommit": commit,
            });
            ("pr:modified", more)
        }
        PullChange::Edited { previous_title: title, previous_body: body } => {
            let title = title.as_deref().unwrap_or(new_title);
            ("pr:modified", previous_values(title, body.as_deref().unwrap_or(new_body), draft))
        }
        PullChange::ReviewersChanged { added, removed } => (
            "pr:reviewer:updated",
            json!({"addedReviewers": users(added), "removedReviewers": users(removed)}),
        ),
        PullChange::ChangesRequested => ("pr:reviewer:changes_requested", Value::Null),
        PullChange::ChangesRequestWithdrawn => ("pr:reviewer:unapproved", Value::Null),
        PullChange::LabelChanged { .. } => return None,
    })
}
