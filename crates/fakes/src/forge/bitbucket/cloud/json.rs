//! Creates JSON objects in Cloud's format.

use serde_json::{Map, Value, json};

use super::SHORT_SHA_DIGITS;
use crate::forge::bitbucket::commits::status_name;
use crate::forge::bitbucket::participants::{self, PullParticipant};
use crate::forge::bitbucket::pull_comments::{self, CommentRef};
use crate::forge::bitbucket::{account_number, is_bot_account, parse_head_ref};
use crate::forge::diff::FakeDiffSide;
use crate::forge::flavour::uuid_from_id;
use crate::forge::state::notes::StoredComment;
use crate::forge::state::pulls::{CurrentLines, FakeReviewVerdict, StoredPull};
use crate::forge::state::reports::{CommitReport, ReportAnnotation};
use crate::forge::state::{CommitStatus, ForgeInstance, StoredRepository};
use crate::repo::CommitObject;

/// Formats an instant as Cloud does: ISO 8601 with microseconds and an offset.
pub(super) fn format_time(seconds: i64) -> String {
    let instant = jiff::Timestamp::from_second(seconds).unwrap_or_default();
    instant.strftime("%Y-%m-%dT%H:%M:%S.000000+00:00").to_string()
}

/// Returns the abbreviated id of a commit.
pub(super) fn short_sha(sha: &str) -> &str {
    sha.get(..SHORT_SHA_DIGITS).unwrap_or(sha)
}

fn href(url: impl Into<String>) -> Value {
    json!({"href": url.into()})
}

/// Returns a text twice: as Markdown source, and as the HTML that Cloud displays.
fn text_json(text: &str) -> Value {
    json!({"raw": text, "markup": "markdown", "html": format!("<p>{text}</p>")})
}

/// Returns the URL that all API calls for a repository start with.
pub(super) fn repository_api_url(instance: &ForgeInstance, repo: &StoredRepository) -> String {
    format!("{}/2.0/repositories/{}", instance.base_url, repo.full_name())
}

pub(super) fn account(forge: &ForgeInstance, login: &str) -> Value {
    let (number, base) = (account_number(forge, login), &forge.base_url);
    let id = uuid_from_id(number);
    json!({
        "type": if is_bot_account(login) { "app_user" } else { "user" },
        "uuid": id, "account_id": format!("557058:{number}"), "display_name": login, "nickname": login,
        "links": {"avatar": href(format!("{base}/avatars/{number}"))},
    })
}

/// Returns the workspace with this name. Every owner of a repository is a workspace.
pub(super) fn workspace(forge: &ForgeInstance, slug: &str) -> Value {
    json!({
        "type": "workspace", "uuid": uuid_from_id(account_number(forge, slug)), "name": slug, "slug": slug,
        "links": {
            "self": href(format!("{}/2.0/workspaces/{slug}", forge.base_url)),
            "avatar": href(format!("{}/workspaces/{slug}/avatar", forge.base_url)),
            "html": href(format!("{}/{slug}/", forge.base_url)),
        },
    })
}

/// Returns a repository in the format that other objects contain.
pub(super) fn embedded_repository(forge: &ForgeInstance, repo: &StoredRepository) -> Value {
    repository_with_owner(forge, repo, &repo.owner, repo.id)
}

fn repository_with_owner(forge: &ForgeInstance, repo: &StoredRepository, owner: &str, id: u64) -> Value {
    let (base, full_name) = (&forge.base_url, format!("{owner}/{}", repo.name));
    json!({
        "type": "repository", "uuid": uuid_from_id(id), "full_name": full_name, "name": repo.name,
        "links": {
            "self": href(format!("{base}/2.0/repositories/{full_name}")),
            "html": href(format!("{base}/{full_name}")),
            "avatar": href(format!("{base}/avatars/{full_name}")),
        },
    })
}

/// Returns a repository in the format of the call that returns a single repository.
pub(super) fn repository(forge: &ForgeInstance, repo: &StoredRepository) -> Value {
    let (own, page) = (repository_api_url(forge, repo), format!("{}/{}", forge.base_url, repo.full_name()));
    json!({
        "type": "repository", "uuid": uuid_from_id(repo.id), "full_name": repo.full_name(), "name": repo.name,
        "slug": repo.name, "is_private": forge.private_git, "scm": "git",
        "owner": account(forge, &repo.owner),
        "workspace": workspace(forge, &repo.owner), "description": "",
        "created_on": format_time(repo.created_at),
        "updated_on": format_time(repo.pushed_at), "size": 108, "language": "", "has_issues": false,
        "has_wiki": false,
        "fork_policy": "allow_forks", "mainbranch": {"type": "branch", "name": repo.default_branch},
        "project": {
            "type": "project", "key": "PROJ", "uuid": uuid_from_id(account_number(forge, &repo.owner)),
            "name": "Project",
            "links": {"html": href(&page), "avatar": href(&page)},
        },
        "links": {
            "self": href(&own), "html": href(&page), "avatar": href(format!("{page}/avatar")),
            "pullrequests": href(format!("{own}/pullrequests")), "commits": href(format!("{own}/commits")),
            "forks": href(format!("{own}/forks")), "hooks": href(format!("{own}/hooks")),
            "clone": [{"name": "https", "href": format!("{page}.git")}],
        },
    })
}

fn embedded_commit(sha: &str) -> Value {
    json!({"hash": short_sha(sha)})
}

/// Returns a commit in the format of the call that returns a single commit.
pub(super) fn commit(forge: &ForgeInstance, repo: &StoredRepository, commit: &CommitObject) -> Value {
    let known = forge.accounts.contains_key(&commit.author.name);
    let mut author = json!({
        "type": "author", "raw": format!("{} <{}>", commit.author.name, commit.author.email),
    });
    if known {
        author["user"] = account(forge, &commit.author.name);
    }
    let parent = |sha: &String| json!({"type": "commit", "hash": sha});
    json!({
        "type": "commit", "hash": commit.sha, "date": format_time(commit.author.timestamp), "author": author,
        "message": commit.message, "summary": text_json(&commit.message),
        "parents": commit.parents.iter().map(parent).collect::<Vec<_>>(),
        "repository": embedded_repository(forge, repo),
    })
}

fn pull_state(pull: &StoredPull) -> &'static str {
    match (pull.open, &pull.merged_by) {
        (true, _) => "OPEN",
        (false, Some(_)) => "MERGED",
        (false, None) => "DECLINED",
    }
}

/// Returns a pull request with this head in the format of lists, without reviewers.
pub(super) fn pull(forge: &ForgeInstance, repo: &StoredRepository, pull: &StoredPull, head: &str) -> Value {
    let own = format!("{}/pullrequests/{}", repository_api_url(forge, repo), pull.number);
    let page = format!("{}/{}/pull-requests/{}", forge.base_url, repo.full_name(), pull.number);
    let (from, branch) = parse_head_ref(repo, &pull.head_ref);
    let source = from.map(|(owner, id)| repository_with_owner(forge, repo, owner, id));
    let merged = (pull_state(pull) == "MERGED").then(|| json!({"hash": short_sha(head)}));
    let comment_count =
        pull_comments::all_comments(pull).into_iter().filter(|comment| !comment.comment.deleted).count();
    let links: Map<String, Value> =
        ["commits", "approve", "diff", "diffstat", "comments", "activity", "merge", "decline"]
            .into_iter()
            .map(|name| (name.to_owned(), href(format!("{own}/{name}"))))
            .chain([("self".to_owned(), href(&own)), ("html".to_owned(), href(page))])
            .collect();
    json!({
        "type": "pullrequest", "id": pull.number, "title": pull.title, "description": pull.body,
        "summary": text_json(&pull.body),
        "rendered": {"title": text_json(&pull.title), "description": text_json(&pull.body)},
        "state": pull_state(pull), "draft": pull.draft, "author": account(forge, &pull.author),
        "source": {"branch": {"name": branch}, "commit": embedded_commit(head), "repository": source},
        "destination": {
            "branch": {"name": pull.base_ref}, "commit": embedded_commit(&pull.base),
            "repository": embedded_repository(forge, repo),
        },
        "merge_commit": merged, "comment_count": comment_count, "task_count": 0, "close_source_branch": false,
        "closed_by":
            pull.closed_at.map(|_| account(forge, pull.merged_by.as_deref().unwrap_or(&pull.author))),
        "reason": "", "created_on": format_time(pull.created_at), "updated_on": format_time(pull.updated_at),
        "links": links,
    })
}

/// Returns a pull request in the format of the call that returns a single pull request.
pub(super) fn full_pull(
    forge: &ForgeInstance,
    repo: &StoredRepository,
    stored_pull: &StoredPull,
    head: &str,
    is_mergeable: bool,
) -> Value {
    let mut json = pull(forge, repo, stored_pull, head);
    let all = participants::list_participants(stored_pull);
    json["reviewers"] =
        stored_pull.merge_conditions.reviewers.iter().map(|login| account(forge, login)).collect();
    json["participants"] = all.iter().map(|one| participant(forge, one)).collect();
    json["mergeable"] = is_mergeable.into();
    json["queued"] = false.into();
    json
}

pub(super) fn participant(forge: &ForgeInstance, participant: &PullParticipant) -> Value {
    let state = match participant.verdict {
        Some(FakeReviewVerdict::Approved) => Some("approved"),
        Some(FakeReviewVerdict::ChangesRequested) => Some("changes_requested"),
        Some(FakeReviewVerdict::Commented) | None => None,
    };
    // If the participant requested changes, Cloud returns only the time of the participant's last comment.
    let at = if participant.verdict == Some(FakeReviewVerdict::Approved) {
        participant.last_activity_at
    } else {
        participant.last_comment_at
    };
    json!({
        "type": "participant", "user": account(forge, &participant.login),
        "role": if participant.is_reviewer { "REVIEWER" } else { "PARTICIPANT" },
        "approved": participant.verdict == Some(FakeReviewVerdict::Approved), "state": state,
        "participated_on": at.map(format_time),
    })
}

/// Returns the resolution of a thread. Only the thread's first comment has this object.
pub(super) fn resolution(forge: &ForgeInstance, resolver: &str, comment: &StoredComment) -> Value {
    json!({"type": "comment_resolution", "user": account(forge, resolver),
        "created_on": format_time(comment.updated_at)})
}

/// Returns a comment; `current_lines` contains the current numbers of the comment's lines. The text of a
/// deleted comment is omitted.
pub(super) fn comment(
    forge: &ForgeInstance,
    repo: &StoredRepository,
    pull: &StoredPull,
    comment_ref: CommentRef<'_>,
    current_lines: CurrentLines,
) -> Value {
    let own = format!("{}/pullrequests/{}", repository_api_url(forge, repo), pull.number);
    let page = format!("{}/{}/pull-requests/{}", forge.base_url, repo.full_name(), pull.number);
    let CommentRef { comment: note, inline_comment: inline } = comment_ref;
    let mut json = json!({
        "type": "pullrequest_comment", "id": note.id, "created_on": format_time(note.created_at),
        "updated_on": format_time(note.updated_at),
        "content": text_json(if note.deleted { "" } else { &note.body }),
        "user": account(forge, &note.author), "deleted": note.deleted, "pending": false,
        "pullrequest": {
            "type": "pullrequest", "id": pull.number, "title": pull.title, "draft": pull.draft,
            "links": {"self": href(&own), "html": href(&page)},
        },
        "links": {
            "self": href(format!("{own}/comments/{}", note.id)),
            "html": href(format!("{page}/_/diff#comment-{}", note.id)),
        },
    });
    if let Some(parent) = pull_comments::parent_comment_id(comment_ref) {
        let link = href(format!("{own}/comments/{parent}"));
        json["parent"] = json!({"type": "pullrequest_comment", "id": parent, "links": {"self": link}});
    }
    let Some(inline) = inline else { return json };
    let (last, first) = match current_lines {
        Some((last, first)) => (Some(last), first),
        None => (inline.place.line.map(|(_, line)| line), inline.place.start.map(|(_, line)| line)),
    };
    let side = inline.place.line.map(|(side, _)| side);
    let on = |wanted_side: FakeDiffSide, line: Option<u32>| line.filter(|_| side == Some(wanted_side));
    json["inline"] = json!({
        "path": inline.place.path, "from": on(FakeDiffSide::Left, last), "to": on(FakeDiffSide::Right, last),
        "start_from": on(FakeDiffSide::Left, first), "start_to": on(FakeDiffSide::Right, first),
        // A comment on a whole file has no line, so it cannot be outdated.
        "outdated": current_lines.is_none() && inline.place.line.is_some(),
    });
    if let Some(by) = inline.resolved_by.as_deref().filter(|_| inline.in_reply_to.is_none()) {
        json["resolution"] = resolution(forge, by, note);
    }
    json
}

pub(super) fn status(forge: &ForgeInstance, repo: &StoredRepository, status: &CommitStatus) -> Value {
    let own = format!("{}/commit/{}", repository_api_url(forge, repo), status.sha);
    json!({
        "type": "build", "key": status.context, "state": status_name(&status.state, "STOPPED"),
        "name": status.name,
        "description": status.description, "url": status.target_url, "refname": status.refname,
        "created_on": format_time(status.created_at), "updated_on": format_time(status.created_at),
        "links": {
            "self": href(format!("{own}/statuses/build/{}", status.context)), "commit": href(own),
        },
    })
}

/// Returns the fields that the caller sent, and the fields that the forge adds.
fn merge_fields(fields: &Value, added_fields: Value) -> Value {
    let mut json = fields.as_object().cloned().unwrap_or_default();
    if let Value::Object(added_fields) = added_fields {
        json.extend(added_fields);
    }
    json.into()
}

pub(super) fn report(report: &CommitReport) -> Value {
    let more = json!({
        "type": "report", "uuid": uuid_from_id(report.id), "external_id": report.key,
        "created_on": format_time(report.created_at),
        "updated_on": format_time(report.updated_at),
    });
    merge_fields(&report.fields, more)
}

pub(super) fn annotation(annotation: &ReportAnnotation) -> Value {
    let more = json!({
        "type": "report_annotation", "uuid": uuid_from_id(annotation.id),
        "created_on": format_time(annotation.created_at),
        "updated_on": format_time(annotation.created_at),
    });
    merge_fields(&annotation.fields, more)
}
