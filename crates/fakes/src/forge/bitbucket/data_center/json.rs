//! Creates JSON objects in Data Center's format.

use serde_json::{Value, json};

use super::{DRAFTS_MIN_VERSION, is_version_at_least};
use crate::forge::bitbucket::commits::status_name;
use crate::forge::bitbucket::participants::{self, PullParticipant};
use crate::forge::bitbucket::{account_number, is_bot_account, parse_head_ref};
use crate::forge::state::access::RepositoryAccess;
use crate::forge::state::pulls::{FakeReviewVerdict, StoredPull};
use crate::forge::state::reports::{CommitReport, ReportAnnotation};
use crate::forge::state::{CommitStatus, ForgeInstance, StoredRepository};
use crate::repo::CommitObject;

/// Number of digits of a commit's displayed, abbreviated id.
const SHORT_SHA_DIGITS: usize = 11;

/// Formats an instant as Data Center does: milliseconds since 1970.
pub(super) fn epoch_millis(seconds: i64) -> i64 {
    seconds.saturating_mul(1000)
}

/// Returns the slug of a login. URLs contain the slug instead of the login.
pub(super) fn slug(login: &str) -> String {
    let plain =
        |c: char| if c.is_ascii_alphanumeric() || "-._".contains(c) { c.to_ascii_lowercase() } else { '_' };
    login.chars().map(plain).collect()
}

pub(super) fn user(forge: &ForgeInstance, login: &str) -> Value {
    let slug = slug(login);
    json!({
        "name": login, "emailAddress": format!("{slug}@example.invalid"), "active": true,
        "displayName": login,
        "id": account_number(forge, login), "slug": slug,
        "type": if is_bot_account(login) { "SERVICE" } else { "NORMAL" },
        "links": {"self": [{"href": format!("{}/users/{slug}", forge.base_url)}]},
    })
}

/// Returns the URL of a repository's web page.
fn repository_page_url(forge: &ForgeInstance, owner: &str, name: &str) -> String {
    format!("{}/projects/{owner}/repos/{name}", forge.base_url)
}

pub(super) fn repository(forge: &ForgeInstance, repo: &StoredRepository) -> Value {
    repository_with_owner(forge, repo, &repo.owner, repo.id)
}

fn repository_with_owner(forge: &ForgeInstance, repo: &StoredRepository, owner: &str, id: u64) -> Value {
    let kind = if owner.starts_with('~') { "PERSONAL" } else { "NORMAL" };
    let project = json!({
        "key": owner, "id": account_number(forge, owner), "name": owner, "public": false, "type": kind,
        "links": {"self": [{"href": format!("{}/projects/{owner}", forge.base_url)}]},
    });
    let clone = format!("{}/scm/{owner}/{}.git", forge.base_url, repo.name);
    let mut json = json!({
        "slug": repo.name, "id": id, "name": repo.name, "hierarchyId": format!("{:020x}", repo.id),
        "scmId": "git",
        "state": "AVAILABLE", "statusMessage": "Available", "forkable": true, "project": project,
        "public": !forge.private_git, "archived": repo.access == RepositoryAccess::Archived,
        "links": {
            "clone": [{"href": clone, "name": "http"}],
            "self": [{"href": format!("{}/browse", repository_page_url(forge, owner, &repo.name))}],
        },
    });
    if id != repo.id {
        json["origin"] = repository(forge, repo);
    }
    json
}

pub(super) fn participant(forge: &ForgeInstance, participant: &PullParticipant) -> Value {
    let status = match participant.verdict {
        Some(FakeReviewVerdict::Approved) => "APPROVED",
        Some(FakeReviewVerdict::ChangesRequested) => "NEEDS_WORK",
        Some(FakeReviewVerdict::Commented) | None => "UNAPPROVED",
    };
    let mut json = json!({
        "user": user(forge, &participant.login),
        "role": if participant.is_reviewer { "REVIEWER" } else { "PARTICIPANT" },
        "approved": participant.verdict == Some(FakeReviewVerdict::Approved), "status": status,
    });
    if let Some(commit) = &participant.reviewed_commit {
        json["lastReviewedCommit"] = commit.as_str().into();
    }
    json
}

/// Returns a pull request with this head.
pub(super) fn pull(forge: &ForgeInstance, repo: &StoredRepository, pull: &StoredPull, head: &str) -> Value {
    let state = match (pull.open, &pull.merged_by) {
        (true, _) => "OPEN",
        (false, Some(_)) => "MERGED",
        (false, None) => "DECLINED",
    };
    let (from, branch) = parse_head_ref(repo, &pull.head_ref);
    let source = from.map(|(owner, id)| repository_with_owner(forge, repo, owner, id));
    let end = |branch: &str, sha: &str, end_repository: Option<Value>| {
        json!({
            "id": format!("refs/heads/{branch}"), "displayId": branch, "latestCommit": sha, "type": "BRANCH",
            "repository": end_repository,
        })
    };
    let all = participants::list_participants(pull);
    let (reviewers, others): (Vec<_>, Vec<_>) = all.iter().partition(|one| one.is_reviewer);
    let shown = |end_repository: Vec<&PullParticipant>| {
        end_repository.into_iter().map(|one| participant(forge, one)).collect::<Vec<_>>()
    };
    let own =
        format!("{}/pull-requests/{}", repository_page_url(forge, &repo.owner, &repo.name), pull.number);
    let mut json = json!({
        "id": pull.number, "version": pull.version, "title": pull.title, "description": pull.body,
        "state": state,
        "open": pull.open, "closed": !pull.open, "createdDate": epoch_millis(pull.created_at),
        "updatedDate": epoch_millis(pull.updated_at),
        "fromRef": end(branch, head, source),
        "toRef": end(&pull.base_ref, &pull.base, Some(repository(forge, repo))), "locked": false,
        "author": {"user": user(forge, &pull.author), "role": "AUTHOR", "approved": false,
            "status": "UNAPPROVED"},
        "reviewers": shown(reviewers), "participants": shown(others), "links": {"self": [{"href": own}]},
    });
    if let Some(closed) = pull.closed_at {
        json["closedDate"] = epoch_millis(closed).into();
    }
    if is_version_at_least(&forge.version, DRAFTS_MIN_VERSION) {
        json["draft"] = pull.draft.into();
    }
    json
}

pub(super) fn commit(commit: &CommitObject) -> Value {
    let short = |sha: &str| sha.get(..SHORT_SHA_DIGITS).unwrap_or(sha).to_owned();
    let parents: Vec<Value> =
        commit.parents.iter().map(|sha| json!({"id": sha, "displayId": short(sha)})).collect();
    json!({
        "id": commit.sha, "displayId": short(&commit.sha),
        "author": {"name": commit.author.name, "emailAddress": commit.author.email},
        "authorTimestamp": epoch_millis(commit.author.timestamp),
        "committer": {"name": commit.committer.name, "emailAddress": commit.committer.email},
        "committerTimestamp": epoch_millis(commit.committer.timestamp), "message": commit.message,
        "parents": parents,
    })
}

pub(super) fn build(status: &CommitStatus) -> Value {
    let mut json = json!({
        "key": status.context, "state": status_name(&status.state, "CANCELLED"), "url": status.target_url,
        "createdDate": epoch_millis(status.created_at), "updatedDate": epoch_millis(status.created_at),
    });
    for (field, value) in [
        ("name", &status.name),
        ("description", &status.description),
        ("ref", &status.refname),
        ("parent", &status.parent_key),
    ] {
        if let Some(value) = value {
            json[field] = value.as_str().into();
        }
    }
    json
}

pub(super) fn report(report: &CommitReport) -> Value {
    let mut json = report.fields.clone();
    if let Some(fields) = json.as_object_mut() {
        fields.remove("coverageProviderKey");
        fields.insert("key".into(), report.key.clone().into());
        fields.insert("createdDate".into(), epoch_millis(report.created_at).into());
    }
    json
}

pub(super) fn annotation(report: &CommitReport, annotation: &ReportAnnotation) -> Value {
    let mut json = annotation.fields.clone();
    json["reportKey"] = report.key.as_str().into();
    json
}

/// Returns a path in a repository as an object with its components, parent, name and extension.
pub(super) fn path_parts(path: &str) -> Value {
    let components: Vec<&str> = path.split('/').collect();
    let name = components.last().copied().unwrap_or_default();
    let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    json!({
        "components": components, "parent": parent, "name": name, "extension": extension, "toString": path,
    })
}
