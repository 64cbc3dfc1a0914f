//! The calls of Bitbucket Cloud. Each write is one request with a fixed address and method. No write
//! approves, merges or changes code.

use std::sync::Arc;

use async_trait::async_trait;
use reqwest::Method;
use serde_json::{Value, json};
use truing_core::converge::readiness::MergeableState as Mergeable;
use truing_core::finding::{CodeLocation, DiffSide};
use truing_core::id::{Sha, UnixMillis};
use truing_core::port::{
    AuthorAccount, CheckState, CommitCheck, ForgeError, PullDraft, RepositoryDetails, WriteAccess,
    WritePermit,
};
use truing_core::publish::DesiredStatus;
use url::Url;

use super::super::address::{account_id, quote_text, rejected_error, split_repository_name, with_query};
use super::super::bounds::{parse_instant, parse_sha};
use super::super::calls::{
    BitbucketApi, BitbucketComment, BitbucketCommit, BitbucketPullRequest, BitbucketUser, DiffPlace,
    MergePreview, NewBitbucketComment, PullRequestEdit,
};
use super::super::login::{OwnAccount, no_account_error};
use super::super::options::BitbucketOptions;
use super::{BitbucketCloud, CloudInner, wire};
use crate::capability::{BITBUCKET_CLOUD, ForgeCapability};
use crate::command_accounts::decide_without_permissions;
use crate::http::ForgeRequest;

/// Returns the JSON object for the position of a comment. `to` and `start_to` are lines of the new side,
/// `from` and `start_from` are lines of the old side. The format has no field for a commit.
fn inline_fields(purpose: &str, diff_place: DiffPlace<'_>) -> Result<Value, ForgeError> {
    let (DiffPlace::Lines(_, place) | DiffPlace::File(_, place)) = diff_place;
    let Some(path) = place.path.as_str() else {
        return Err(rejected_error(purpose, "Bitbucket does not accept a path that is not UTF-8"));
    };
    let mut inline = json!({ "path": path });
    if let DiffPlace::Lines(_, CodeLocation { side, start_line, end_line, .. }) = diff_place {
        let (last, first) = match side {
            DiffSide::New => ("to", "start_to"),
            DiffSide::Old => ("from", "start_from"),
        };
        inline[last] = (*end_line).into();
        if start_line < end_line {
            inline[first] = (*start_line).into();
        }
    }
    Ok(inline)
}

impl BitbucketCloud {
    /// Returns an error if a write has shown that the token does not belong to the configured account;
    /// otherwise `None`.
    fn wrong_account_error(&self, purpose: &str) -> Option<ForgeError> {
        let CloudInner { options, cache: learnt, .. } = &*self.inner;
        let (name, configured_account, id) =
            (&options.name, options.account_uuid.as_ref()?, learnt.token_account.get()?);
        let message = format!(
            "the token belongs to account {id}, but forge.{name}.account is {configured_account}: set \
                forge.{name}.account to {id}"
        );
        Some(ForgeError::Forbidden { request: purpose.to_owned(), message })
    }

    /// Returns true if this login may push; `None` if the forge does not report the permission.
    async fn may_push(&self, purpose: &str, repo: &str, id: &str) -> Option<bool> {
        let (workspace, slug) = split_repository_name(purpose, repo).ok()?;
        let url = self.root_url(["user", "workspaces", workspace, "permissions", "repositories"]);
        let query = format!("repository.name={}", quote_text(slug));
        let listed: Vec<wire::CloudPermission> =
            self.get_all(purpose, with_query(url, &[("q", &query)])).await.ok()?;
        let is_here = |one: &&wire::CloudPermission| {
            one.repository.as_ref().and_then(|of| of.uuid.as_deref()) == Some(id)
        };
        let here = listed.iter().find(is_here)?;
        Some(matches!(here.permission.as_str(), "write" | "admin"))
    }

    /// Returns true if a merge would have conflicts; `None` if the login may not make the call. The API
    /// responds to this call with a redirect.
    async fn has_conflicts(
        &self,
        purpose: &str,
        repo: &str,
        number: u64,
    ) -> Result<Option<bool>, ForgeError> {
        let first = ForgeRequest::get(purpose, self.pull_url(purpose, repo, number, &["conflicts"])?)
            .allow_redirect();
        let below = self.repository_url(purpose, repo, &["file-conflicts", ""])?;
        let asked = async {
            let answer = self.send(&first).await?;
            let answer = match answer.location() {
                None => answer,
                Some(to) if to.path().starts_with(below.path()) => {
                    self.send(&ForgeRequest::get(purpose, to)).await?
                }
                Some(_) => return Err(ForgeError::Moved { request: purpose.to_owned() }),
            };
            Ok(!super::parse_page::<Value>(&answer)?.0.is_empty())
        };
        match asked.await {
            Ok(conflicts) => Ok(Some(conflicts)),
            Err(
                ForgeError::Forbidden { .. }
                | ForgeError::Unauthorized { .. }
                | ForgeError::NotFound { .. }
                | ForgeError::Moved { .. }
                | ForgeError::Rejected { .. },
            ) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns the address of Truing's own request for changes. A request for changes applies to the pull
    /// request, not to a commit.
    fn request_changes_url(&self, purpose: &str, repo: &str, number: u64) -> Result<Url, ForgeError> {
        self.pull_url(purpose, repo, number, &["request-changes"])
    }

    fn comment_url(&self, purpose: &str, repo: &str, number: u64, id: u64) -> Result<Url, ForgeError> {
        self.pull_url(purpose, repo, number, &["comments", &id.to_string()])
    }
}

#[async_trait]
impl BitbucketApi for BitbucketCloud {
    fn options(&self) -> &BitbucketOptions {
        &self.inner.options
    }

    fn forge_capability(&self) -> &'static ForgeCapability {
        &BITBUCKET_CLOUD
    }

    fn with_permit(&self, permit: &Arc<WritePermit>) -> Self {
        self.with_http(self.inner.http.with_permit(permit.clone()))
    }

    async fn own_account(&self) -> Result<OwnAccount, ForgeError> {
        let what = "reading the account of the token";
        if let Some(stranger) = self.wrong_account_error(what) {
            return Err(stranger);
        }
        let ask = || async {
            if let Some(id) = &self.inner.options.account_uuid {
                let id = account_id(id.to_ascii_lowercase());
                let user = BitbucketUser { id, login: String::new(), slug: String::new(), is_person: false };
                return Ok(OwnAccount { user });
            }
            let asked: Result<wire::CloudAccount, _> = self.get(what, self.root_url(["user"])).await;
            let own = asked.map_err(|error| self.add_access_token_advice(error, "account", "its UUID"))?;
            own.user().map(|user| OwnAccount { user }).ok_or_else(|| no_account_error(what))
        };
        self.inner.cache.own_account.get_or_try_init(ask).await.cloned()
    }

    async fn pull(&self, purpose: &str, repo: &str, number: u64) -> Result<BitbucketPullRequest, ForgeError> {
        let body: wire::CloudPull = self.get(purpose, self.pull_url(purpose, repo, number, &[])?).await?;
        self.convert_pull(purpose, repo, body, true).await
    }

    async fn list_pulls_from_branch(
        &self,
        purpose: &str,
        repo: &str,
        branch: &str,
    ) -> Result<Vec<BitbucketPullRequest>, ForgeError> {
        let query = format!("source.branch.name={}", quote_text(branch));
        let states = ["OPEN", "MERGED", "DECLINED", "SUPERSEDED"].map(|state| ("state", state));
        let url = with_query(self.repository_url(purpose, repo, &["pullrequests"])?, &states);
        let url = with_query(url, &[("q", &query), ("sort", "-created_on"), ("pagelen", "50")]);
        let mut pulls = Vec::new();
        let bodies: Vec<wire::CloudPull> = self.get_all(purpose, url).await?;
        // A fork can have a branch with the same name.
        for body in bodies.into_iter().filter(wire::CloudPull::is_from_same_repository) {
            pulls.extend(self.convert_listed_pull(purpose, repo, body, false).await?);
        }
        pulls.sort_by_key(|pull| std::cmp::Reverse((pull.created_at, pull.number)));
        Ok(pulls)
    }

    async fn list_comments(
        &self,
        purpose: &str,
        repo: &str,
        number: u64,
    ) -> Result<Vec<BitbucketComment>, ForgeError> {
        self.read_comments(purpose, repo, number).await
    }

    async fn load_comment(
        &self,
        purpose: &str,
        repo: &str,
        pull_and_comment: (u64, u64),
    ) -> Result<BitbucketComment, ForgeError> {
        let comment: wire::CloudComment = self
            .get(purpose, self.comment_url(purpose, repo, pull_and_comment.0, pull_and_comment.1)?)
            .await?;
        comment.into_comment(purpose)
    }

    async fn create_comment(
        &self,
        purpose: &str,
        repo: &str,
        number: u64,
        new: NewBitbucketComment<'_>,
    ) -> Result<BitbucketComment, ForgeError> {
        let mut body = json!({ "content": { "raw": new.description } });
        if let Some(parent) = new.parent {
            body["parent"] = json!({ "id": parent });
        }
        let is_on_diff = new.location.is_some();
        if let Some(on) = new.location {
            body["inline"] = inline_fields(purpose, on)?;
        }
        let url = self.pull_url(purpose, repo, number, &["comments"])?;
        let call = ForgeRequest::create(purpose, url, body);
        let call = if is_on_diff { call.for_diff_comment() } else { call };
        let made = self.send(&call).await?.json::<wire::CloudComment>()?.into_comment(purpose)?;
        let (Some(configured_account), Some(author)) = (&self.inner.options.account_uuid, &made.author)
        else {
            return Ok(made);
        };
        if author.id.as_str().eq_ignore_ascii_case(configured_account) {
            return Ok(made);
        }
        // The token does not belong to the configured account, so Truing would not recognise its own texts.
        // The comment is deleted, and later calls fail. The call to `set` fails if another call has already
        // set the account.
        drop(self.inner.cache.token_account.set(author.id.clone()));
        self.delete_comment(purpose, repo, (number, made.id)).await?;
        Err(self.wrong_account_error(purpose).unwrap_or_else(|| no_account_error(purpose)))
    }

    async fn edit_comment(
        &self,
        purpose: &str,
        repo: &str,
        pull_and_comment: (u64, u64),
        text: &str,
    ) -> Result<(), ForgeError> {
        let body = json!({ "content": { "raw": text } });
        let url = self.comment_url(purpose, repo, pull_and_comment.0, pull_and_comment.1)?;
        self.send(&ForgeRequest::set(purpose, Method::PUT, url, Some(body))).await?.check_body()
    }

    async fn delete_comment(
        &self,
        purpose: &str,
        repo: &str,
        pull_and_comment: (u64, u64),
    ) -> Result<(), ForgeError> {
        let url = self.comment_url(purpose, repo, pull_and_comment.0, pull_and_comment.1)?;
        match self.send(&ForgeRequest::set(purpose, Method::DELETE, url, None)).await {
            // `NotFound` is a success: an earlier attempt whose response was lost may have deleted the
            // comment.
            Ok(_) | Err(ForgeError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn set_thread_resolved(
        &self,
        purpose: &str,
        repo: &str,
        number: u64,
        first_comment: u64,
        resolved: bool,
    ) -> Result<(), ForgeError> {
        let url =
            self.pull_url(purpose, repo, number, &["comments", &first_comment.to_string(), "resolve"])?;
        let method = if resolved { Method::POST } else { Method::DELETE };
        match self.send(&ForgeRequest::set(purpose, method, url, None)).await {
            Ok(answer) => answer.check_body(),
            Err(ForgeError::Stale { .. }) if resolved => Ok(()),
            // Either the thread is already open, or the comment no longer exists. In the second case, loading
            // the comment returns an error.
            Err(ForgeError::NotFound { .. }) if !resolved => {
                self.load_comment(purpose, repo, (number, first_comment)).await.map(drop)
            }
            Err(error) => Err(error),
        }
    }

    async fn change_pull(
        &self,
        purpose: &str,
        repo: &str,
        pull: &BitbucketPullRequest,
        change: PullRequestEdit<'_>,
    ) -> Result<(), ForgeError> {
        self.update_pull(purpose, repo, pull, change, None).await
    }

    async fn create_pull(
        &self,
        purpose: &str,
        repo: &str,
        draft: &PullDraft,
        text: &str,
    ) -> Result<BitbucketPullRequest, ForgeError> {
        let body = json!({
            "title": draft.title,
            "description": text,
            "source": { "branch": { "name": draft.branch } },
            "destination": { "branch": { "name": draft.base } },
            "draft": draft.draft,
            "close_source_branch": false,
        });
        let url = self.repository_url(purpose, repo, &["pullrequests"])?;
        let made: wire::CloudPull = self.send(&ForgeRequest::create(purpose, url, body)).await?.json()?;
        self.convert_pull(purpose, repo, made, false).await
    }

    async fn decline(
        &self,
        purpose: &str,
        repo: &str,
        pull: &BitbucketPullRequest,
    ) -> Result<(), ForgeError> {
        let url = self.pull_url(purpose, repo, pull.number, &["decline"])?;
        // The request is not retried: after the pull request is declined, a second attempt would be rejected.
        self.send(&ForgeRequest::create(purpose, url, json!({})).without_body()).await?.check_body()
    }

    async fn request_reviewer(
        &self,
        purpose: &str,
        repo: &str,
        pull: &BitbucketPullRequest,
        login: &str,
    ) -> Result<(), ForgeError> {
        // A login name does not identify an account, because any account can choose any name.
        if !login.starts_with('{') {
            let message = "Bitbucket Cloud identifies accounts only by UUID: specify the UUID as {…}";
            return Err(rejected_error(purpose, message));
        }
        self.update_pull(purpose, repo, pull, PullRequestEdit::default(), Some(login)).await
    }

    async fn request_changes(
        &self,
        purpose: &str,
        repo: &str,
        number: u64,
        _: &Sha,
    ) -> Result<(), ForgeError> {
        let url = self.request_changes_url(purpose, repo, number)?;
        self.send(&ForgeRequest::set(purpose, Method::POST, url, None)).await?.check_body()
    }

    async fn withdraw_changes(
        &self,
        purpose: &str,
        repo: &str,
        number: u64,
        _: &Sha,
    ) -> Result<(), ForgeError> {
        let url = self.request_changes_url(purpose, repo, number)?;
        match self.send(&ForgeRequest::set(purpose, Method::DELETE, url, None)).await {
            // `NotFound` is a success: an earlier attempt whose response was lost may have removed the
            // request for changes.
            Ok(_) | Err(ForgeError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn commits(
        &self,
        purpose: &str,
        repo: &str,
        number: u64,
    ) -> Result<Vec<BitbucketCommit>, ForgeError> {
        let url = with_query(self.pull_url(purpose, repo, number, &["commits"])?, &[("pagelen", "100")]);
        let newest_first: Vec<wire::CloudCommit> = self.get_all(purpose, url).await?;
        let read = |commit: wire::CloudCommit| {
            let (raw, user) = commit.author.map(|author| (author.raw, author.user)).unwrap_or_default();
            let (name, email) = raw.split_once('<').unwrap_or((&raw, ""));
            Ok(BitbucketCommit {
                sha: parse_sha(purpose, &commit.hash)?,
                user: user.and_then(wire::CloudAccount::user),
                author_name: name.trim().to_owned(),
                author_email: email.trim_end_matches('>').to_owned(),
                committed_at: commit.date.map_or(Ok(UnixMillis(0)), |at| parse_instant(purpose, &at))?,
            })
        };
        newest_first.into_iter().rev().map(read).collect()
    }

    async fn preview_merge(
        &self,
        purpose: &str,
        repo: &str,
        pull: &BitbucketPullRequest,
    ) -> Result<MergePreview, ForgeError> {
        let conflicts = self.has_conflicts(purpose, repo, pull.number).await?;
        let state = match (conflicts, pull.is_mergeable) {
            (Some(true), _) => Mergeable::Dirty,
            (_, Some(true)) | (Some(false), None) => Mergeable::Clean,
            (_, Some(false)) => Mergeable::Blocked,
            (None, None) => Mergeable::Unknown,
        };
        Ok(MergePreview { has_conflicts: conflicts, state })
    }

    async fn checks(&self, purpose: &str, repo: &str, commit: &Sha) -> Result<Vec<CommitCheck>, ForgeError> {
        let url = self.repository_url(purpose, repo, &["commit", commit.as_str(), "statuses"])?;
        let statuses: Vec<wire::CloudStatus> =
            self.get_all(purpose, with_query(url, &[("pagelen", "100")])).await?;
        // Each key has only one status, because a new status replaces the old status.
        let check = |status: wire::CloudStatus| CommitCheck {
            name: status.name.filter(|name| !name.is_empty()).unwrap_or(status.key),
            app: None,
            state: match status.state.as_str() {
                "SUCCESSFUL" => CheckState::Passed,
                "INPROGRESS" => CheckState::Pending,
                _ => CheckState::Failed,
            },
        };
        Ok(statuses.into_iter().map(check).collect())
    }

    async fn set_status(
        &self,
        purpose: &str,
        repo: &str,
        number: u64,
        status: &DesiredStatus,
    ) -> Result<(), ForgeError> {
        self.set_report(purpose, repo, number, status).await?;
        self.set_build_status(purpose, repo, number, status).await
    }

    async fn has_status(
        &self,
        purpose: &str,
        repo: &str,
        number: u64,
        status: &DesiredStatus,
    ) -> Result<bool, ForgeError> {
        self.has_build_status(purpose, repo, number, status).await
    }

    async fn load_repository(
        &self,
        purpose: &str,
        id: &str,
        _: &str,
    ) -> Result<RepositoryDetails, ForgeError> {
        let body: wire::CloudRepository = self.get(purpose, self.repository_id_url(id)).await?;
        let push = self.may_push(purpose, &body.full_name, id).await;
        Ok(RepositoryDetails {
            default_branch: body.mainbranch.map(|branch| branch.name).unwrap_or_default(),
            // The API does not report whether a repository is read-only, and the API no longer supports
            // issues.
            write_access: WriteAccess { archived: false, can_push: push, has_issues_enabled: false },
            is_fork: body.parent.is_some(),
            name: body.full_name,
        })
    }

    async fn has_write_access(&self, repo: &str, author: &AuthorAccount) -> Result<bool, ForgeError> {
        let what = format!("{repo}: reading the permissions of {}", author.login);
        let (workspace, slug) = split_repository_name(&what, repo)?;
        let url = self.root_url(["workspaces", workspace, "permissions", "repositories", slug]);
        let query = format!("user.uuid={}", quote_text(author.id.as_str()));
        let command_accounts = &self.options().command_accounts;
        let listed: Vec<wire::CloudPermission> =
            match self.get_all(&what, with_query(url, &[("q", &query)])).await {
                Ok(listed) => listed,
                // Only an administrator of the repository can read the list of permissions.
                Err(ForgeError::Forbidden { .. }) if command_accounts.is_empty() => {
                    tracing::warn!(
                        repo,
                        "commands in comments are ignored in this repository: the token needs administrator \
                        access to find out who may write to the repository, or `forge.{}.may_command` must \
                        list the accounts whose commands count",
                        self.options().name
                    );
                    return Ok(false);
                }
                Err(error) => return decide_without_permissions(command_accounts, author, error),
            };
        // The forge may have ignored the filter, so the account is compared again.
        let may = listed.into_iter().any(|one| {
            let is_theirs =
                one.user.and_then(wire::CloudAccount::user).is_some_and(|user| user.id == author.id);
            is_theirs && matches!(one.permission.as_str(), "write" | "admin")
        });
        Ok(may)
    }
}
