//! Deliveries of events in GitHub's form.

use serde_json::{Value, json};

use crate::forge::github::json::node_id;
use crate::forge::state::checks::Again;
use crate::forge::state::delivery::Delivery;
use crate::forge::state::event::{Change, Event};
use crate::forge::state::{Repository, World};
use crate::repo::GitError;

/// The delivery of an event; none if what it is about is not there.
pub(crate) fn delivery(
    world: &World,
    repo: &mut Repository,
    event: &Event,
    serial: u64,
) -> Result<Option<Delivery>, GitError> {
    match event {
        Event::Pull { number, change, by } => pull(world, repo, *number, (change, by), serial),
        Event::Comment { number, id, is_edit } => {
            Ok(comment(world, repo, *number, *id, (action(*is_edit), serial)))
        }
        Event::Inline { number, id, is_edit } => {
            inline(world, repo, *number, *id, (action(*is_edit), serial))
        }
        // Nobody of ours listens to it.
        Event::Thread { .. } => Ok(None),
        Event::Check { run, again, by } => {
            let (name, of) = match again {
                Again::Run => ("check_run", world.check_json(repo, run)),
                Again::Suite => ("check_suite", world.suite_json(repo, run)),
            };
            let payload = json!({
                "action": "rerequested", name: of, "repository": world.repository_json(repo),
                "sender": world.user_json(by), "installation": installation(repo),
            });
            Ok(Some(Delivery::new(serial, name, "rerequested", 0, &payload)))
        }
    }
}

fn action(is_edit: bool) -> &'static str {
    if is_edit { "edited" } else { "created" }
}

fn installation(repo: &Repository) -> Value {
    json!({"id": repo.id, "node_id": node_id("Installation", repo.id)})
}

/// The `pull_request` event of a change.
fn pull(
    world: &World,
    repo: &mut Repository,
    number: u64,
    (change, by): (&Change, &str),
    serial: u64,
) -> Result<Option<Delivery>, GitError> {
    let Some(pull) = repo.pulls.get(&number) else { return Ok(None) };
    let head = pull.head.clone();
    let stats = repo.stats(number, &head)?;
    let Some(pull) = repo.pulls.get(&number) else { return Ok(None) };
    let (action, more) = of_change(world, repo, change);
    let mut payload = json!({
        "action": action,
        "number": number,
        "pull_request": world.pull_json(repo, pull, &head, Some(stats)),
        "repository": world.repository_json(repo),
        "sender": world.user_json(by),
        "installation": installation(repo),
    });
    if let (Some(payload), Value::Object(more)) = (payload.as_object_mut(), more) {
        payload.extend(more);
    }
    Ok(Some(Delivery::new(serial, "pull_request", action, number, &payload)))
}

/// GitHub's word for a change, and the other top-level fields of its event.
fn of_change(world: &World, repo: &Repository, change: &Change) -> (&'static str, Value) {
    match change {
        Change::Opened => ("opened", Value::Null),
        Change::Closed => ("closed", Value::Null),
        Change::Reopened => ("reopened", Value::Null),
        Change::Draft(true) => ("converted_to_draft", Value::Null),
        Change::Draft(false) => ("ready_for_review", Value::Null),
        Change::Retargeted { branch, commit } => {
            let from = json!({"ref": {"from": branch}, "sha": {"from": commit}});
            ("edited", json!({"changes": {"base": from}}))
        }
        Change::Edited { title, body } => {
            let mut changes = serde_json::Map::new();
            for (field, old) in [("title", title), ("body", body)] {
                if let Some(old) = old {
                    changes.insert(field.to_owned(), json!({"from": old}));
                }
            }
            ("edited", json!({"changes": changes}))
        }
        Change::Pushed { before, after } => ("synchronize", json!({"before": before, "after": after})),
        // No GitHub makes such a change.
        Change::Reviewers { .. } | Change::WantsChanges | Change::WithdrewChanges => {
            ("review_requested", Value::Null)
        }
        Change::Labelled { label, on } => {
            let labels = world.labels_json(repo, std::slice::from_ref(label));
            (if *on { "labeled" } else { "unlabeled" }, json!({"label": labels[0]}))
        }
    }
}

/// The `issue_comment` event of somebody's comment.
fn comment(
    world: &World,
    repo: &Repository,
    number: u64,
    id: u64,
    (action, serial): (&str, u64),
) -> Option<Delivery> {
    let comment = repo.notes(number).iter().find(|comment| comment.id == id)?;
    let payload = json!({
        "action": action,
        "issue": world.conversation_json(repo, number),
        "comment": world.summary_json(repo, number, comment),
        "repository": world.repository_json(repo),
        "sender": world.user_json(&comment.author),
        "installation": installation(repo),
    });
    Some(Delivery::new(serial, "issue_comment", action, number, &payload))
}

/// The `pull_request_review_comment` event of somebody's comment on the diff.
fn inline(
    world: &World,
    repo: &mut Repository,
    number: u64,
    id: u64,
    (action, serial): (&str, u64),
) -> Result<Option<Delivery>, GitError> {
    let lines = repo.lines_now(number)?.get(&id).copied().flatten();
    let Some(pull) = repo.pulls.get(&number) else { return Ok(None) };
    let Some(comment) = pull.inline.iter().find(|comment| comment.note.id == id) else { return Ok(None) };
    let payload = json!({
        "action": action,
        "pull_request": world.pull_json(repo, pull, &pull.head, None),
        "comment": world.inline_json(repo, pull, comment, lines),
        "repository": world.repository_json(repo),
        "sender": world.user_json(&comment.note.author),
        "installation": installation(repo),
    });
    Ok(Some(Delivery::new(serial, "pull_request_review_comment", action, number, &payload)))
}
