//! Issues and labels in GitHub's format.

use serde_json::{Value, json};

use crate::forge::github::json::{author_association, format_time, node_id, reactions_json};
use crate::forge::state::issues::StoredIssue;
use crate::forge::state::{ForgeInstance, StoredRepository};

impl ForgeInstance {
    /// Returns labels of a repository (`label`).
    pub(crate) fn labels_json(&self, repo: &StoredRepository, names: &[String]) -> Value {
        let api = format!("{}/repos/{}", self.base_url, repo.full_name());
        let label = |name: &String| {
            let id = repo.labels.get(name).copied().unwrap_or(0);
            json!({
                "id": id, "node_id": node_id("Label", id), "url": format!("{api}/labels/{name}"),
                "name": name,
                "description": null, "color": "ededed", "default": false,
            })
        };
        names.iter().map(label).collect()
    }

    /// Returns an issue (`issue`).
    pub(crate) fn stored_issue_json(&self, repo: &StoredRepository, issue: &StoredIssue) -> Value {
        let (base, number) = (&self.base_url, issue.number);
        let api = format!("{base}/repos/{}", repo.full_name());
        let own = format!("{api}/issues/{number}");
        let closed = issue.close_event.as_ref();
        json!({
            "url": own, "repository_url": api, "labels_url": format!("{own}/labels{{/name}}"),
            "comments_url": format!("{own}/comments"), "events_url": format!("{own}/events"),
            "html_url": format!("{base}/{}/issues/{number}", repo.full_name()), "id": issue.id,
            "node_id": node_id("Issue", issue.id), "number": number, "title": issue.title,
            "user": self.user_json(&issue.author), "labels": self.labels_json(repo, &issue.labels),
            "state": if issue.open { "open" } else { "closed" }, "locked": issue.locked, "assignee": null,
            "assignees": [], "milestone": null,
            "comments": issue.comments.iter().filter(|comment| !comment.deleted).count(),
            "created_at": format_time(issue.created_at), "updated_at": format_time(issue.updated_at),
            "closed_at": closed.map(|(at, _)| format_time(*at)),
            "closed_by": closed.map(|(_, by)| self.user_json(by)),
            "author_association": author_association(repo, &issue.author),
            "active_lock_reason": null, "body": issue.body, "timeline_url": format!("{own}/timeline"),
            "performed_via_github_app": null, "state_reason": issue.state_reason,
            "reactions": reactions_json(&own, &[]),
        })
    }

    /// Returns a pull request or an issue in the format of events about comments.
    pub(crate) fn conversation_json(&self, repo: &StoredRepository, number: u64) -> Value {
        match (repo.pulls.get(&number), repo.issues.get(&number)) {
            (Some(pull), _) => self.pull_as_issue_json(repo, pull),
            (None, Some(issue)) => self.stored_issue_json(repo, issue),
            (None, None) => Value::Null,
        }
    }
}
