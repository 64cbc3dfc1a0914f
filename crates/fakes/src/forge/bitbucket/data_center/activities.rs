//! Lists the activities of a pull request, newest first. No other list contains the comments on all paths.

use serde_json::{Value, json};

use super::admission::find_pull;
use super::errors::no_pull;
use super::{anchor, comments, json, page};
use crate::forge::bitbucket::{participants, pull_comments};
use crate::forge::http::call::{ApiCall, CallResult};
use crate::forge::state::FakeForgeState;
use crate::forge::state::pulls::FakeReviewVerdict;

/// Bit that is set in the ids of activities that are not comments.
const NON_COMMENT_ID_BIT: u64 = 1 << 40;

/// Handles the call `GET …/activities`.
pub(super) fn list(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo, number) = find_pull(state, call)?;
    let anchors = anchor::current_anchors(repo, number)?;
    let ids = pull_comments::list_comment_ids(repo.pulls.get_mut(&number).ok_or_else(no_pull)?);
    let of = repo.pulls.get(&number).ok_or_else(no_pull)?;
    let mut all: Vec<(i64, u64, Value)> = Vec::new();
    let base = |id: u64, at: i64, actor: &str, action: &str| {
        json!({"id": id, "createdDate": json::epoch_millis(at), "user": json::user(world, actor),
        "action": action})
    };
    for comment in ids.iter().filter_map(|id| pull_comments::find_comment(of, *id)) {
        if pull_comments::parent_comment_id(comment).is_some() {
            continue;
        }
        let note = comment.comment;
        let mut activity = base(note.id, note.created_at, &note.author, "COMMENTED");
        activity["commentAction"] = "ADDED".into();
        activity["comment"] = comments::comment_tree(world, repo, of, comment, &ids);
        if let Some(anchor) = anchors.get(&note.id) {
            activity["commentAnchor"] = anchor.clone();
        }
        all.push((note.created_at, note.id, activity));
    }
    let mut add = |at: i64, actor: &str, action: &str| {
        let id = NON_COMMENT_ID_BIT + all.len() as u64;
        all.push((at, id, base(id, at, actor, action)));
    };
    add(of.created_at, &of.author, "OPENED");
    for one in participants::list_participants(of) {
        if let (Some(verdict), Some(at)) = (one.verdict, one.last_activity_at) {
            add(at, &one.login, if verdict == FakeReviewVerdict::Approved { "APPROVED" } else { "REVIEWED" });
        }
    }
    if let Some(at) = of.closed_at {
        let merged = of.merged_by.as_deref();
        add(at, merged.unwrap_or(&of.author), if merged.is_some() { "MERGED" } else { "DECLINED" });
    }
    // Of several activities with the same time, the opening of the pull request counts as the oldest.
    all.sort_by_key(|(at, id, activity)| (*at, activity["action"] != "OPENED", *id));
    let shown: Vec<Value> = all.into_iter().rev().map(|(_, _, activity)| activity).collect();
    page::reply_with_page(call, &shown)
}
