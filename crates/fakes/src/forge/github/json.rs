//! Creates JSON objects in GitHub's format. Each object contains every field that GitHub's OpenAPI document
//! requires.

mod apps;
mod checks;
mod commits;
mod issues;
mod merging;

use serde_json::{Value, json};

use crate::forge::diff::{FakeDiffSide, PullSizes};
use crate::forge::state::access::RepositoryAccess;
use crate::forge::state::notes::{FakeReaction, StoredComment};
use crate::forge::state::pulls::{
    CurrentLines, FakeReviewVerdict, StoredInlineComment, StoredPull, StoredReview,
};
use crate::forge::state::{CommitStatus, ForgeInstance, StoredRepository};

/// URL fields of a user, each with the suffix that is added to the user's own URL.
const USER_URLS: &[(&str, &str)] = &[
    ("url", ""),
    ("followers_url", "/followers"),
    ("following_url", "/following{/other_user}"),
    ("gists_url", "/gists{/gist_id}"),
    ("starred_url", "/starred{/owner}{/repo}"),
    ("subscriptions_url", "/subscriptions"),
    ("organizations_url", "/orgs"),
    ("repos_url", "/repos"),
    ("events_url", "/events{/privacy}"),
    ("received_events_url", "/received_events"),
];

/// URL fields of a repository, each with the suffix that is added to the repository's own URL.
const REPOSITORY_URLS: &[(&str, &str)] = &[
    ("url", ""),
    ("archive_url", "/{archive_format}{/ref}"),
    ("assignees_url", "/assignees{/user}"),
    ("blobs_url", "/git/blobs{/sha}"),
    ("branches_url", "/branches{/branch}"),
    ("collaborators_url", "/collaborators{/collaborator}"),
    ("comments_url", "/comments{/number}"),
    ("commits_url", "/commits{/sha}"),
    ("compare_url", "/compare/{base}...{head}"),
    ("contents_url", "/contents/{+path}"),
    ("contributors_url", "/contributors"),
    ("deployments_url", "/deployments"),
    ("downloads_url", "/downloads"),
    ("events_url", "/events"),
    ("forks_url", "/forks"),
    ("git_commits_url", "/git/commits{/sha}"),
    ("git_refs_url", "/git/refs{/sha}"),
    ("git_tags_url", "/git/tags{/sha}"),
    ("hooks_url", "/hooks"),
    ("issue_comment_url", "/issues/comments{/number}"),
    ("issue_events_url", "/issues/events{/number}"),
    ("issues_url", "/issues{/number}"),
    ("keys_url", "/keys{/key_id}"),
    ("labels_url", "/labels{/name}"),
    ("languages_url", "/languages"),
    ("merges_url", "/merges"),
    ("milestones_url", "/milestones{/number}"),
    ("notifications_url", "/notifications{?since,all,participating}"),
    ("pulls_url", "/pulls{/number}"),
    ("releases_url", "/releases{/id}"),
    ("stargazers_url", "/stargazers"),
    ("statuses_url", "/statuses/{sha}"),
    ("subscribers_url", "/subscribers"),
    ("subscription_url", "/subscription"),
    ("tags_url", "/tags"),
    ("teams_url", "/teams"),
    ("trees_url", "/git/trees{/sha}"),
];

/// Formats an instant as GitHub does: RFC 3339, UTC, whole seconds.
pub(crate) fn format_time(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).unwrap_or_default().to_string()
}

/// Returns `base` with the fields of `overrides`, which replace fields of the same name.
fn merge_fields(mut base: Value, overrides: Value) -> Value {
    if let (Some(base), Value::Object(overrides)) = (base.as_object_mut(), overrides) {
        base.extend(overrides);
    }
    base
}

/// Returns an object of URL fields.
fn url_fields(list: &[(&str, &str)], object_url: &str) -> Value {
    Value::Object(
        list.iter()
            .map(|(field, rest)| ((*field).to_owned(), format!("{object_url}{rest}").into()))
            .collect(),
    )
}

fn href(url: impl Into<String>) -> Value {
    json!({"href": url.into()})
}

impl ForgeInstance {
    /// Returns a user (`simple-user`).
    pub(crate) fn user_json(&self, login: &str) -> Value {
        let id = self.accounts.get(login).copied().unwrap_or(0);
        let base = &self.base_url;
        let fields = json!({
            "login": login,
            "id": id,
            "node_id": node_id("User", id),
            "avatar_url": format!("{base}/avatars/u/{id}?v=4"),
            "gravatar_id": "",
            "html_url": format!("{base}/{login}"),
            "type": if login.ends_with("[bot]") { "Bot" } else { "User" },
            "user_view_type": "public",
            "site_admin": false,
        });
        merge_fields(url_fields(USER_URLS, &format!("{base}/users/{login}")), fields)
    }

    /// Returns the calling user (`private-user`), with only the fields that an App can see.
    pub(crate) fn viewer_json(&self, login: &str) -> Value {
        let more = json!({
            "name": login, "company": null, "blog": "", "location": null, "email": null, "hireable": null,
            "bio": null, "twitter_username": null, "public_repos": 0, "public_gists": 0,
            "followers": 0, "following": 0, "created_at": format_time(0),
            "updated_at": format_time(self.now()),
            "private_gists": 0, "total_private_repos": 0, "owned_private_repos": 0, "disk_usage": 0,
            "collaborators": 0, "two_factor_authentication": true,
        });
        merge_fields(self.user_json(login), more)
    }

    /// Returns a repository in the format of the call that returns a single repository (`full-repository`).
    /// `can_push` is true if the caller is an account that may push to the repository.
    pub(crate) fn full_repository_json(&self, repo: &StoredRepository, can_push: bool) -> Value {
        // For an installation, `push` is false, because an installation does not have the permissions of an
        // account.
        let permissions =
            json!({"admin": false, "maintain": false, "push": can_push, "triage": can_push, "pull": true});
        let more = json!({
            "network_count": repo.forks.len(), "subscribers_count": 1, "permissions": permissions,
        });
        merge_fields(self.repository_json(repo), more)
    }

    /// Returns a repository in the format of lists and other objects (`repository`).
    pub(crate) fn repository_json(&self, repo: &StoredRepository) -> Value {
        self.named_repository_json(repo, &repo.owner, repo.id, false)
    }

    fn named_repository_json(&self, repo: &StoredRepository, owner: &str, id: u64, is_fork: bool) -> Value {
        let base = &self.base_url;
        let full_name = format!("{owner}/{}", repo.name);
        let open = repo.pulls.values().filter(|pull| pull.open).count();
        let page = format!("{base}/{full_name}");
        let fields = json!({
            "id": id, "node_id": node_id("Repository", id), "name": repo.name, "full_name": full_name,
            "private": true, "owner": self.user_json(owner), "html_url": page, "description": null,
            "fork": is_fork,
            "created_at": format_time(repo.created_at), "updated_at": format_time(repo.pushed_at),
            "pushed_at": format_time(repo.pushed_at),
            "git_url": format!("{page}.git"), "ssh_url": format!("git@127.0.0.1:{full_name}.git"),
            "clone_url": format!("{page}.git"), "svn_url": page, "mirror_url": null, "homepage": null,
            "size": 108,
            "stargazers_count": 0, "watchers_count": 0, "language": null, "has_issues": true,
            "has_projects": true,
            "has_downloads": true, "has_wiki": true, "has_pages": false, "has_discussions": false,
            "forks_count": repo.forks.len(), "archived": repo.access == RepositoryAccess::Archived,
            "disabled": false, "open_issues_count": open,
            "license": null, "allow_forking": true, "is_template": false,
            "web_commit_signoff_required": false,
            "topics": [], "visibility": "private", "forks": repo.forks.len(), "open_issues": open,
            "watchers": 0,
            "default_branch": repo.default_branch,
            "permissions": {"admin": false, "maintain": false, "push": true, "triage": true, "pull": true},
        });
        merge_fields(url_fields(REPOSITORY_URLS, &format!("{base}/repos/{full_name}")), fields)
    }

    /// Returns a pull request with this head. Returns a `pull-request` if the pull request's sizes are known,
    /// otherwise a `pull-request-simple`.
    pub(crate) fn pull_json(
        &self,
        repo: &StoredRepository,
        pull: &StoredPull,
        head: &str,
        stats: Option<PullSizes>,
    ) -> Value {
        let (base, number) = (&self.base_url, pull.number);
        let api = format!("{base}/repos/{}", repo.full_name());
        let (own, issue) = (format!("{api}/pulls/{number}"), format!("{api}/issues/{number}"));
        let page = format!("{base}/{}/pull/{number}", repo.full_name());
        let (head_owner, head_repo, branch) = match pull.head_ref.split_once(':') {
            Some((owner, branch)) => {
                let id = repo.forks.get(owner).copied().flatten();
                (owner, id.map(|id| self.named_repository_json(repo, owner, id, true)), branch)
            }
            None => (repo.owner.as_str(), Some(self.repository_json(repo)), pull.head_ref.as_str()),
        };
        let statuses = format!("{api}/statuses/{head}");
        let merged = pull.merged_by.as_deref();
        let requested: Vec<Value> =
            pull.merge_conditions.requested_reviewers.iter().map(|login| self.user_json(login)).collect();
        let simple = json!({
            "url": own, "id": pull.id, "node_id": node_id("PullRequest", pull.id), "html_url": page,
            "diff_url": format!("{page}.diff"), "patch_url": format!("{page}.patch"), "issue_url": issue,
            "number": number, "state": if pull.open { "open" } else { "closed" }, "locked": false,
            "title": pull.title, "user": self.user_json(&pull.author), "body": pull.body,
            "created_at": format_time(pull.created_at), "updated_at": format_time(pull.updated_at),
            "closed_at": pull.closed_at.map(format_time),
            "merged_at": merged.and(pull.closed_at).map(format_time),
            "merge_commit_sha": merged.map(|_| head), "assignee": null, "assignees": [],
            "requested_reviewers": requested, "requested_teams": [],
            "labels": self.labels_json(repo, &pull.labels),
            "milestone": null, "draft": pull.draft,
            "commits_url": format!("{own}/commits"), "review_comments_url": format!("{own}/comments"),
            "review_comment_url": format!("{api}/pulls/comments{{/number}}"),
            "comments_url": format!("{issue}/comments"), "statuses_url": statuses,
            "head": {
                "label": format!("{head_owner}:{branch}"), "ref": branch, "sha": head,
                "user": self.user_json(head_owner), "repo": head_repo,
            },
            "base": {
                "label": format!("{}:{}", repo.owner, pull.base_ref), "ref": pull.base_ref, "sha": pull.base,
                "user": self.user_json(&repo.owner), "repo": self.repository_json(repo),
            },
            "_links": {
                "self": href(&own), "html": href(&page), "issue": href(&issue),
                "comments": href(format!("{issue}/comments")),
                "review_comments": href(format!("{own}/comments")),
                "review_comment": href(format!("{api}/pulls/comments{{/number}}")),
                "commits": href(format!("{own}/commits")), "statuses": href(&statuses),
            },
            "author_association": author_association(repo, &pull.author), "auto_merge": null,
            "active_lock_reason": null,
        });
        let Some(stats) = stats else { return simple };
        let there = |note: &StoredComment| !note.deleted;
        let more = json!({
            "merged": merged.is_some(), "merged_by": merged.map(|login| self.user_json(login)),
            "comments": pull.conversation_comments.iter().filter(|comment| there(comment)).count(),
            "review_comments": pull.inline_comments.iter().filter(|comment| there(&comment.comment)).count(),
            "maintainer_can_modify": pull.merge_conditions.maintainer_can_modify, "commits": stats.commits,
            "additions": stats.additions,
            "deletions": stats.deletions, "changed_files": stats.changed_files,
        });
        merge_fields(merge_fields(simple, more), repo.rest_merge_json(pull))
    }

    /// Returns a pull request in the format of an issue (`issue`), which events about comments contain.
    pub(crate) fn pull_as_issue_json(&self, repo: &StoredRepository, pull: &StoredPull) -> Value {
        let (base, number) = (&self.base_url, pull.number);
        let api = format!("{base}/repos/{}", repo.full_name());
        let (own, page) =
            (format!("{api}/issues/{number}"), format!("{base}/{}/pull/{number}", repo.full_name()));
        json!({
            "url": own, "repository_url": api, "labels_url": format!("{own}/labels{{/name}}"),
            "comments_url": format!("{own}/comments"), "events_url": format!("{own}/events"),
            "html_url": page,
            "id": pull.id, "node_id": node_id("PullRequest", pull.id), "number": number, "title": pull.title,
            "user": self.user_json(&pull.author), "labels": self.labels_json(repo, &pull.labels),
            "state": if pull.open { "open" } else { "closed" },
            "locked": false, "assignee": null, "assignees": [], "milestone": null,
            "comments": pull.conversation_comments.iter().filter(|comment| !comment.deleted).count(),
            "created_at": format_time(pull.created_at), "updated_at": format_time(pull.updated_at),
            "closed_at": pull.closed_at.map(format_time),
            "author_association": author_association(repo, &pull.author), "active_lock_reason": null,
            "draft": pull.draft,
            "pull_request": {
                "url": format!("{api}/pulls/{number}"), "html_url": page, "diff_url": format!("{page}.diff"),
                "patch_url": format!("{page}.patch"),
                "merged_at": pull.merged_by.as_ref().and(pull.closed_at).map(format_time),
            },
            "body": pull.body, "timeline_url": format!("{own}/timeline"), "performed_via_github_app": null,
            "state_reason": null, "reactions": reactions_json(&own, &[]),
        })
    }

    /// Returns the fields that all kinds of comments have.
    fn comment_json(
        &self,
        repo: &StoredRepository,
        comment: &StoredComment,
        kind: &str,
        url: String,
    ) -> Value {
        json!({
            "url": url, "id": comment.id, "node_id": node_id(kind, comment.id),
            "user": self.user_json(&comment.author),
            "body": comment.body, "created_at": format_time(comment.created_at),
            "updated_at": format_time(comment.updated_at),
            "author_association": author_association(repo, &comment.author),
            "reactions": reactions_json(&url, &comment.reactions),
        })
    }

    /// Returns a comment in the conversation of a pull request or an issue (`issue-comment`).
    pub(crate) fn conversation_comment_json(
        &self,
        repo: &StoredRepository,
        number: u64,
        comment: &StoredComment,
    ) -> Value {
        let (base, name) = (&self.base_url, repo.full_name());
        let url = format!("{base}/repos/{name}/issues/comments/{}", comment.id);
        let kind = if repo.pulls.contains_key(&number) { "pull" } else { "issues" };
        let more = json!({
            "html_url": format!("{base}/{name}/{kind}/{number}#issuecomment-{}", comment.id),
            "issue_url": format!("{base}/repos/{name}/issues/{number}"),
            "performed_via_github_app": null,
        });
        merge_fields(self.comment_json(repo, comment, "IssueComment", url), more)
    }

    /// Returns a comment on code without the fields about lines (`review-comment`). This is the format of the
    /// list of a single review's comments.
    pub(crate) fn review_comment_json(
        &self,
        repo: &StoredRepository,
        pull: &StoredPull,
        comment: &StoredInlineComment,
        lines: CurrentLines,
    ) -> Value {
        let (base, name, note) = (&self.base_url, repo.full_name(), &comment.comment);
        let own = format!("{base}/repos/{name}/pulls/comments/{}", note.id);
        let page = format!("{base}/{name}/pull/{}#discussion_r{}", pull.number, note.id);
        let pull_url = format!("{base}/repos/{name}/pulls/{}", pull.number);
        // The position is the number of rows below the hunk's header. The number is correct only for the
        // first hunk of a file; clients should not use this field.
        let position = comment.place.line.map(|_| comment.diff_hunk.lines().count().saturating_sub(1));
        let current = lines.is_some() || comment.place.line.is_none();
        let mut fields = json!({
            "pull_request_review_id": comment.review_id, "diff_hunk": comment.diff_hunk,
            "path": comment.place.path,
            "position": position.filter(|_| current), "original_position": position,
            "commit_id": if current { &pull.head } else { &comment.commit },
            "original_commit_id": comment.commit,
            "html_url": page, "pull_request_url": pull_url,
            "_links": {"self": href(&own), "html": href(&page), "pull_request": href(&pull_url)},
        });
        if let (Some(first), Some(fields)) = (comment.in_reply_to, fields.as_object_mut()) {
            fields.insert("in_reply_to_id".into(), first.into());
        }
        merge_fields(self.comment_json(repo, note, "PullRequestReviewComment", own), fields)
    }

    /// Returns a comment on code with its lines (`pull-request-review-comment`). `line` is null if the
    /// comment is outdated. GitHub returns null although its published document does not allow null.
    pub(crate) fn inline_comment_json(
        &self,
        repo: &StoredRepository,
        pull: &StoredPull,
        comment: &StoredInlineComment,
        lines: CurrentLines,
    ) -> Value {
        let place = &comment.place;
        let more = json!({
            "line": lines.map(|(line, _)| line), "original_line": place.line.map(|(_, line)| line),
            "side": place.line.map_or(FakeDiffSide::Right, |(side, _)| side).as_str(),
            "start_line": lines.and_then(|(_, first)| first),
            "original_start_line": place.start.map(|(_, line)| line),
            "start_side": place.start.map(|(side, _)| side.as_str()),
            "subject_type": if place.line.is_some() { "line" } else { "file" },
        });
        merge_fields(self.review_comment_json(repo, pull, comment, lines), more)
    }

    /// Returns a review (`pull-request-review`).
    pub(crate) fn review_json(
        &self,
        repo: &StoredRepository,
        pull: &StoredPull,
        review: &StoredReview,
    ) -> Value {
        let (base, name) = (&self.base_url, repo.full_name());
        let page = format!("{base}/{name}/pull/{}#pullrequestreview-{}", pull.number, review.id);
        let pull_url = format!("{base}/repos/{name}/pulls/{}", pull.number);
        json!({
            "id": review.id, "node_id": node_id("PullRequestReview", review.id),
            "user": self.user_json(&review.author), "body": review.body, "state": review.state.as_str(),
            "html_url": page,
            "pull_request_url": pull_url, "author_association": author_association(repo, &review.author),
            "_links": {"html": href(&page), "pull_request": href(&pull_url)},
            "submitted_at": format_time(review.created_at), "commit_id": review.commit,
        })
    }

    /// Returns a status of a commit (`status`).
    pub(crate) fn status_json(&self, repo: &StoredRepository, status: &CommitStatus) -> Value {
        let creator = self.user_json(&status.creator);
        json!({
            "url": format!("{}/repos/{}/statuses/{}", self.base_url, repo.full_name(), status.sha),
            "avatar_url": creator["avatar_url"], "id": status.id,
            "node_id": node_id("StatusContext", status.id),
            "state": status.state, "description": status.description, "target_url": status.target_url,
            "context": status.context, "created_at": format_time(status.created_at),
            "updated_at": format_time(status.created_at),
            "creator": creator,
        })
    }
}

/// Returns GitHub's name for an account's relation to a repository.
pub(crate) fn author_association(repo: &StoredRepository, login: &str) -> &'static str {
    if login == repo.owner {
        "OWNER"
    } else if repo.forks.contains_key(login) || login.ends_with("[bot]") {
        "NONE"
    } else {
        "COLLABORATOR"
    }
}

/// Returns the number of reactions of each kind to the object with this URL.
pub(crate) fn reactions_json(url: &str, reactions: &[FakeReaction]) -> Value {
    let of = |content: &str| reactions.iter().filter(|reaction| reaction.content == content).count();
    json!({
        "url": format!("{url}/reactions"), "total_count": reactions.len(), "+1": of("+1"), "-1": of("-1"),
        "laugh": of("laugh"), "hooray": of("hooray"), "confused": of("confused"), "heart": of("heart"),
        "rocket": of("rocket"), "eyes": of("eyes"),
    })
}

/// Returns an opaque id in the format of GitHub's GraphQL node ids.
pub(crate) fn node_id(kind: &str, id: u64) -> String {
    let prefix: String = kind.chars().filter(char::is_ascii_uppercase).collect();
    format!("{prefix}_kwDO{}", hex::encode(id.to_be_bytes()))
}

impl FakeReviewVerdict {
    /// Returns GitHub's name of the verdict.
    fn as_str(self) -> &'static str {
        match self {
            Self::Commented => "COMMENTED",
            Self::Approved => "APPROVED",
            Self::ChangesRequested => "CHANGES_REQUESTED",
        }
    }
}
