//! Creates webhook deliveries in Cloud's format.

use serde_json::{Value, json};

use super::json;
use crate::forge::bitbucket::pull_comments;
use crate::forge::flavour::ForgeFlavour;
use crate::forge::state::delivery::FakeDelivery;
use crate::forge::state::event::{FakeForgeEvent, PullChange};
use crate::forge::state::{ForgeInstance, StoredRepository};
use crate::repo::FakeGitError;

/// Maximum size of a delivery, in bytes. Cloud does not send deliveries of more than 256 KB.
const MAX_DELIVERY_BYTES: usize = 256 * 1024;

/// Returns the delivery of an event. Returns `None` if the event's object no longer exists, if the delivery
/// would be too large, or if Cloud has no such event.
pub(crate) fn build_delivery(
    forge: &ForgeInstance,
    repo: &mut StoredRepository,
    event: &FakeForgeEvent,
    serial: u64,
) -> Result<Option<FakeDelivery>, FakeGitError> {
    let (number, key, by, comment) = match event {
        FakeForgeEvent::Pull { number, change, actor: by } => {
            let merged = repo.pulls.get(number).is_some_and(|pull| pull.merged_by.is_some());
            let Some(key) = event_for_change(change, merged) else { return Ok(None) };
            (*number, key, Some(by.clone()), None)
        }
        FakeForgeEvent::Comment { number, id, is_edit }
        | FakeForgeEvent::InlineComment { number, id, is_edit } => {
            (*number, if *is_edit { "comment_updated" } else { "comment_created" }, None, Some(*id))
        }
        FakeForgeEvent::ThreadResolution { number, id, is_resolved: resolved, actor: by } => {
            let key = if *resolved { "comment_resolved" } else { "comment_reopened" };
            (*number, key, Some(by.clone()), Some(*id))
        }
        FakeForgeEvent::RerunRequest { .. } => return Ok(None),
    };
    let lines = repo.current_lines(number)?;
    let Some(pull) = repo.pulls.get(&number) else { return Ok(None) };
    let comment = match comment {
        Some(id) => match pull_comments::find_comment(pull, id) {
            Some(comment) => Some(comment),
            None => return Ok(None),
        },
        None => None,
    };
    let by = by.or_else(|| comment.map(|comment| comment.comment.author.clone())).unwrap_or_default();
    let mut payload = json!({
        "repository": json::repository(forge, repo), "actor": json::account(forge, &by),
        "pullrequest": json::full_pull(forge, repo, pull, &pull.head, true),
    });
    if let Some(comment) = comment {
        let now = lines.get(&comment.comment.id).copied().flatten();
        payload["comment"] = json::comment(forge, repo, pull, comment, now);
    }
    if let FakeForgeEvent::Pull {
        change: PullChange::ChangesRequested | PullChange::ChangesRequestWithdrawn,
        ..
    } = event
    {
        payload["changes_request"] =
            json!({"date": json::format_time(forge.now()), "user": json::account(forge, &by)});
    }
    if let FakeForgeEvent::Pull {
        change: PullChange::Edited { previous_title: title, previous_body: body },
        ..
    } = event
    {
        payload["changes"] = changes_json(title.as_deref(), body.as_deref(), &pull.title, &pull.body);
    }
    let key = format!("pullrequest:{key}");
    let delivery = FakeDelivery::from_bitbucket_event(ForgeFlavour::Cloud, serial, &key, number, &payload);
    Ok((delivery.body.len() <= MAX_DELIVERY_BYTES).then_some(delivery))
}

/// Returns Cloud's event name for a change; `None` if Cloud has no event for the change.
fn event_for_change(change: &PullChange, is_merged: bool) -> Option<&'static str> {
    Some(match change {
        PullChange::Opened => "created",
        PullChange::Closed if is_merged => "fulfilled",
        PullChange::Closed => "rejected",
        PullChange::Pushed { .. } => "push",
        PullChange::DraftChanged(_)
        | PullChange::Retargeted { .. }
        | PullChange::Edited { .. }
        | PullChange::ReviewersChanged { .. } => "updated",
        PullChange::ChangesRequested => "changes_request_created",
        PullChange::ChangesRequestWithdrawn => "changes_request_removed",
        // At Cloud, pull requests cannot be reopened and have no labels.
        PullChange::Reopened | PullChange::LabelChanged { .. } => return None,
    })
}

fn changes_json(title: Option<&str>, body: Option<&str>, new_title: &str, new_body: &str) -> Value {
    let mut changes = json!({});
    for (field, old, new) in [("title", title, new_title), ("description", body, new_body)] {
        if let Some(old) = old {
            changes[field] = json!({"old": old, "new": new});
        }
    }
    changes
}
