//! Creates webhook deliveries in GitHub's format.

use serde_json::{Value, json};

use crate::forge::github::json::node_id;
use crate::forge::state::checks::RerunButton;
use crate::forge::state::delivery::FakeDelivery;
use crate::forge::state::event::{FakeForgeEvent, PullChange};
use crate::forge::state::notes::StoredComment;
use crate::forge::state::{ForgeInstance, StoredRepository};
use crate::repo::FakeGitError;

/// Returns the delivery of an event; `None` if the event's object no longer exists, or if the fake does not
/// deliver such an event.
pub(crate) fn build_delivery(
    forge: &ForgeInstance,
    repo: &mut StoredRepository,
    event: &FakeForgeEvent,
    serial: u64,
) -> Result<Option<FakeDelivery>, FakeGitError> {
    match event {
        FakeForgeEvent::Pull { number, change, actor: by } => {
            pull_delivery(forge, repo, *number, change, by, serial)
        }
        FakeForgeEvent::Comment { number, id, is_edit } => {
            Ok(comment_delivery(forge, repo, *number, *id, comment_action(*is_edit), serial))
        }
        FakeForgeEvent::InlineComment { number, id, is_edit } => {
            inline_comment_delivery(forge, repo, *number, *id, comment_action(*is_edit), serial)
        }
        // The fake creates no delivery, because Truing does not subscribe to events of threads.
        FakeForgeEvent::ThreadResolution { .. } => Ok(None),
        FakeForgeEvent::RerunRequest { run, button: again, actor: by } => {
            let (name, of) = match again {
                RerunButton::Run => ("check_run", forge.check_run_json(repo, run)),
                RerunButton::Suite => ("check_suite", forge.check_suite_json(repo, run)),
            };
            let payload = json!({
                "action": "rerequested", name: of, "repository": forge.repository_json(repo),
                "sender": forge.user_json(by), "installation": installation_json(repo),
            });
            Ok(Some(FakeDelivery::new(serial, name, "rerequested", 0, &payload)))
        }
    }
}

fn comment_action(is_edit: bool) -> &'static str {
    if is_edit { "edited" } else { "created" }
}

fn installation_json(repo: &StoredRepository) -> Value {
    json!({"id": repo.id, "node_id": node_id("Installation", repo.id)})
}

/// Returns the `pull_request` event of a change.
fn pull_delivery(
    forge: &ForgeInstance,
    repo: &mut StoredRepository,
    number: u64,
    change: &PullChange,
    actor: &str,
    serial: u64,
) -> Result<Option<FakeDelivery>, FakeGitError> {
    let Some(pull) = repo.pulls.get(&number) else { return Ok(None) };
    let head = pull.head.clone();
    let stats = repo.pull_sizes(number, &head)?;
    let Some(pull) = repo.pulls.get(&number) else { return Ok(None) };
    let (action, more) = event_for_change(forge, repo, change);
    let mut payload = json!({
        "action": action,
        "number": number,
        "pull_request": forge.pull_json(repo, pull, &head, Some(stats)),
        "repository": forge.repository_json(repo),
        "sender": forge.user_json(actor),
        "installation": installation_json(repo),
    });
    if let (Some(payload), Value::Object(more)) = (payload.as_object_mut(), more) {
        payload.extend(more);
    }
    Ok(Some(FakeDelivery::new(serial, "pull_request", action, number, &payload)))
}

/// Returns GitHub's name of a change, and the other top-level fields of its event.
fn event_for_change(
    forge: &ForgeInstance,
    repo: &StoredRepository,
    change: &PullChange,
) -> (&'static str, Value) {
    match change {
        PullChange::Opened => ("opened", Value::Null),
        PullChange::Closed => ("closed", Value::Null),
        PullChange::Reopened => ("reopened", Value::Null),
        PullChange::DraftChanged(true) => ("converted_to_draft", Value::Null),
        PullChange::DraftChanged(false) => ("ready_for_review", Value::Null),
        PullChange::Retargeted { previous_branch: branch, previous_commit: commit } => {
            let from = json!({"ref": {"from": branch}, "sha": {"from": commit}});
            ("edited", json!({"changes": {"base": from}}))
        }
        PullChange::Edited { previous_title: title, previous_body: body } => {
            let mut changes = serde_json::Map::new();
            for (field, old) in [("title", title), ("body", body)] {
                if let Some(old) = old {
                    changes.insert(field.to_owned(), json!({"from": old}));
                }
            }
            ("edited", json!({"changes": changes}))
        }
        PullChange::Pushed { before, after } => ("synchronize", json!({"before": before, "after": after})),
        // These changes exist only at the other kinds of forges.
        PullChange::ReviewersChanged { .. }
        | PullChange::ChangesRequested
        | PullChange::ChangesRequestWithdrawn => ("review_requested", Value::Null),
        PullChange::LabelChanged { label, is_added } => {
            let labels = forge.labels_json(repo, std::slice::from_ref(label));
            (if *is_added { "labeled" } else { "unlabeled" }, json!({"label": labels[0]}))
        }
    }
}

/// Returns the `issue_comment` event of a comment.
fn comment_delivery(
    forge: &ForgeInstance,
    repo: &StoredRepository,
    number: u64,
    id: u64,
    action: &str,
    serial: u64,
) -> Option<FakeDelivery> {
    let comment = repo.conversation_comments(number).iter().find(|comment| comment.id == id)?;
    let mut payload = json!({
        "action": action,
        "issue": forge.conversation_json(repo, number),
        "comment": forge.conversation_comment_json(repo, number, comment),
        "repository": forge.repository_json(repo),
        "sender": forge.user_json(&comment.author),
        "installation": installation_json(repo),
    });
    add_edit(forge, comment, action, &mut payload);
    Some(FakeDelivery::new(serial, "issue_comment", action, number, &payload))
}

/// Adds the fields that only the event of an edited comment has.
fn add_edit(forge: &ForgeInstance, comment: &StoredComment, action: &str, payload: &mut Value) {
    if let Some(edit) = comment.last_edit.as_ref().filter(|_| action == comment_action(true)) {
        payload["sender"] = forge.user_json(&edit.editor);
        payload["changes"] = json!({"body": {"from": edit.previous_body}});
    }
}

/// Returns the `pull_request_review_comment` event of a comment on the diff.
fn inline_comment_delivery(
    forge: &ForgeInstance,
    repo: &mut StoredRepository,
    number: u64,
    id: u64,
    action: &str,
    serial: u64,
) -> Result<Option<FakeDelivery>, FakeGitError> {
    let lines = repo.current_lines(number)?.get(&id).copied().flatten();
    let Some(pull) = repo.pulls.get(&number) else { return Ok(None) };
    let Some(comment) = pull.inline_comments.iter().find(|comment| comment.comment.id == id) else {
        return Ok(None);
    };
    let mut payload = json!({
        "action": action,
        "pull_request": forge.pull_json(repo, pull, &pull.head, None),
        "comment": forge.inline_comment_json(repo, pull, comment, lines),
        "repository": forge.repository_json(repo),
        "sender": forge.user_json(&comment.comment.author),
        "installation": installation_json(repo),
    });
    add_edit(forge, &comment.comment, action, &mut payload);
    Ok(Some(FakeDelivery::new(serial, "pull_request_review_comment", action, number, &payload)))
}
