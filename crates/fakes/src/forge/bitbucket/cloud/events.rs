//! Deliveries of events in Cloud's form.

use serde_json::{Value, json};

use super::json;
use crate::forge::bitbucket::talk;
use crate::forge::flavour::Flavour;
use crate::forge::state::delivery::Delivery;
use crate::forge::state::event::{Change, Event};
use crate::forge::state::{Repository, World};
use crate::repo::GitError;

/// Largest delivery that is sent, in bytes (facts: above 256 KB nothing is).
const MAX_DELIVERY: usize = 256 * 1024;

/// The delivery of an event; none if what it is about is not there, if it is too large, or if Cloud has no such event.
pub(crate) fn delivery(
    world: &World,
    repo: &mut Repository,
    event: &Event,
    serial: u64,
) -> Result<Option<Delivery>, GitError> {
    let (number, key, by, comment) = match event {
        Event::Pull { number, change, by } => {
            let merged = repo.pulls.get(number).is_some_and(|pull| pull.merged_by.is_some());
            let Some(key) = of_change(change, merged) else { return Ok(None) };
            (*number, key, Some(by.clone()), None)
        }
        Event::Comment { number, id, is_edit } | Event::Inline { number, id, is_edit } => {
            (*number, if *is_edit { "comment_updated" } else { "comment_created" }, None, Some(*id))
        }
        Event::Thread { number, id, resolved, by } => {
            let key = if *resolved { "comment_resolved" } else { "comment_reopened" };
            (*number, key, Some(by.clone()), Some(*id))
        }
        Event::Check { .. } => return Ok(None),
    };
    let lines = repo.lines_now(number)?;
    let Some(pull) = repo.pulls.get(&number) else { return Ok(None) };
    let comment = match comment {
        Some(id) => match talk::find(pull, id) {
            Some(comment) => Some(comment),
            None => return Ok(None),
        },
        None => None,
    };
    let by = by.or_else(|| comment.map(|comment| comment.note.author.clone())).unwrap_or_default();
    let mut payload = json!({
        "repository": json::repository(world, repo), "actor": json::account(world, &by),
        "pullrequest": json::whole_pull(world, repo, pull, &pull.head, true),
    });
    if let Some(comment) = comment {
        let now = lines.get(&comment.note.id).copied().flatten();
        payload["comment"] = json::comment(world, repo, pull, comment, now);
    }
    if let Event::Pull { change: Change::WantsChanges | Change::WithdrewChanges, .. } = event {
        payload["changes_request"] =
            json!({"date": json::time(world.now()), "user": json::account(world, &by)});
    }
    if let Event::Pull { change: Change::Edited { title, body }, .. } = event {
        payload["changes"] = changes(title.as_deref(), body.as_deref(), (&pull.title, &pull.body));
    }
    let key = format!("pullrequest:{key}");
    let delivery = Delivery::of_bitbucket(Flavour::Cloud, serial, &key, number, &payload);
    Ok((delivery.body.len() <= MAX_DELIVERY).then_some(delivery))
}

/// Cloud's word for a change; none: it has no event for it.
fn of_change(change: &Change, merged: bool) -> Option<&'static str> {
    Some(match change {
        Change::Opened => "created",
        Change::Closed if merged => "fulfilled",
        Change::Closed => "rejected",
        Change::Pushed { .. } => "push",
        Change::Draft(_) | Change::Retargeted { .. } | Change::Edited { .. } | Change::Reviewers { .. } => {
            "updated"
        }
        Change::WantsChanges => "changes_request_created",
        Change::WithdrewChanges => "changes_request_removed",
        // Cloud neither reopens nor labels.
        Change::Reopened | Change::Labelled { .. } => return None,
    })
}

fn changes(title: Option<&str>, body: Option<&str>, (new_title, new_body): (&str, &str)) -> Value {
    let mut changes = json!({});
    for (field, old, new) in [("title", title, new_title), ("description", body, new_body)] {
        if let Some(old) = old {
            changes[field] = json!({"old": old, "new": new});
        }
    }
    changes
}
