//! Lists repositories, open pull requests and comments at GitHub, and reads the permissions of comment
//! authors. This module never writes.

use std::sync::Arc;

use async_trait::async_trait;
use serde::Deserialize;
use truing_core::id::{PrId, Sha, UnixMillis};
use truing_core::port::{
    AuthorAccount, BranchProtection, CommentKind, ForgeError, ForgeKind, ForgeRepository, OpenPull,
    PullComment, PullListItem, PullRevision, TextWriter,
};
use truing_core::publish::CommentProducer;
use truing_git::{CommitApi, Remote};
use url::Url;

use super::address::{append_segments, is_repository_name};
use super::auth::TokenScope;
use super::client::GitHubClient;
use super::comment_texts::CommentText;
use super::commits::GitHubCommits;
use super::id::GitHubCommentId;
use super::session::paged_url;
use super::{GITHUB, GitHub, account_id, wire};
use crate::capability::ForgeCapability;
use crate::command_accounts::decide_without_permissions;
use crate::forge_server::ForgeServer;
use crate::http::{ForgeRequest, ForgeResponse, RateQuota, unavailable_error};
use crate::listing::{CachedListing, RepositoryListing};
use crate::remote::{RemoteError, RemotePurpose};

#[cfg(test)]
mod tests;

/// Maximum number of pages of open pull requests: the 3,000 most recently active ones of a repository.
const MAX_PULL_PAGES: usize = 30;
/// Maximum number of pages of new comments that are read at a time. The next read continues after these
/// pages.
const MAX_COMMENT_PAGES: usize = 10;
/// Maximum length of a comment that is kept, in characters. A command is the first line of a comment.
const MAX_COMMENT_CHARS: usize = 4096;

#[derive(Deserialize)]
pub(super) struct GitHubRepositoryBody {
    id: u64,
    full_name: String,
    #[serde(default)]
    archived: bool,
}

#[derive(Deserialize)]
struct GitHubPullBody {
    number: u64,
    html_url: String,
    #[serde(default)]
    draft: bool,
    head: HeadBody,
    base: BaseBody,
}

#[derive(Deserialize)]
struct ListedPullBody {
    number: u64,
    title: Option<String>,
    html_url: String,
    user: Option<wire::GitHubUser>,
    #[serde(default)]
    draft: bool,
    head: HeadBody,
    base: BranchBody,
}

#[derive(Deserialize)]
struct BranchBody {
    #[serde(rename = "ref")]
    branch: String,
}

/// The head of a pull request. `repo` is not read, because it is null when the fork is gone.
#[derive(Deserialize)]
struct HeadBody {
    sha: String,
    #[serde(rename = "ref", default)]
    branch: String,
}

#[derive(Deserialize)]
struct BaseBody {
    sha: String,
    repo: GitHubRepositoryBody,
}

#[derive(Deserialize)]
struct GitHubCommentBody {
    id: u64,
    node_id: Option<String>,
    html_url: String,
    in_reply_to_id: Option<u64>,
    user: Option<UserBody>,
    body: Option<String>,
    created_at: String,
    updated_at: String,
}

#[derive(Deserialize)]
struct UserBody {
    id: u64,
    login: String,
    #[serde(rename = "type", default)]
    kind: String,
}

#[derive(Deserialize)]
struct PermissionBody {
    permission: String,
    user: Option<wire::GitHubUser>,
}

#[derive(Deserialize)]
struct BranchProtectionBody {
    protected: bool,
}

#[derive(Deserialize)]
struct RuleBody {
    #[serde(rename = "type")]
    kind: String,
}

#[async_trait]
impl ForgeServer for GitHub {
    type Client = GitHubClient;

    fn kind(&self) -> ForgeKind {
        ForgeKind::Github
    }

    fn capability(&self) -> &'static ForgeCapability {
        &GITHUB
    }

    fn with_review_id(&self, id: &str) -> Self {
        self.with_http(self.inner.http.for_review(id))
    }

    fn client(&self, id: &PrId, repo: &str, producer: CommentProducer) -> GitHubClient {
        GitHubClient::new(self, id, repo, producer)
    }

    async fn resolve_remote(
        &self,
        id: &str,
        repo: &str,
        purpose: RemotePurpose,
    ) -> Result<Remote, RemoteError> {
        match purpose {
            RemotePurpose::Fetch => self.git_remote(TokenScope::Repository(id, repo), repo).await,
            RemotePurpose::Push => {
                let remote = self.git_remote(TokenScope::RepositoryPush(id, repo), repo).await?;
                let options = &self.inner.options.commits;
                let commit_api: Option<Arc<dyn CommitApi>> = match options.uses_api {
                    true => Some(Arc::new(GitHubCommits::new(self, id, repo))),
                    false => None,
                };
                Ok(remote.with_commit_api(commit_api).with_signing_key(options.signing_key.clone()))
            }
        }
    }

    async fn refresh_repositories(
        &self,
        listing: &mut RepositoryListing,
        calls_left: &mut u64,
    ) -> Result<(), ForgeError> {
        self.list_repositories(listing, calls_left).await
    }

    fn quota(&self) -> Option<RateQuota> {
        self.inner.http.quota()
    }

    fn app_id_for_checks(&self) -> Option<u64> {
        self.app_id()
    }

    async fn repository(&self, repo: &str) -> Result<ForgeRepository, ForgeError> {
        let what = format!("{repo}: reading the repository");
        let url = self.repository_url(&what, repo, &[])?;
        self.read_repository(TokenScope::RepositoryName(repo), what, url).await
    }

    async fn repository_by_id(&self, id: &str) -> Result<ForgeRepository, ForgeError> {
        let what = format!("reading the repository with id {id}");
        let url = append_segments(&self.inner.options.api_url, ["repositories", id]);
        self.read_repository(TokenScope::RepositoryId(id), what, url).await
    }

    async fn refresh_open_pulls(
        &self,
        repo: &str,
        listing: &mut CachedListing<OpenPull>,
        calls_left: &mut u64,
    ) -> Result<(), ForgeError> {
        let what = format!("{repo}: listing its open pull requests");
        let query = [("state", "open"), ("sort", "updated"), ("direction", "desc")];
        let url = paged_url(self.repository_url(&what, repo, &["pulls"])?, &query);
        let read = |answer: &ForgeResponse| {
            answer.json::<Vec<GitHubPullBody>>()?.into_iter().map(|pull| to_open_pull(&what, pull)).collect()
        };
        listing
            .refresh(
                |call| self.send_owned(TokenScope::RepositoryName(repo), call),
                &what,
                url,
                MAX_PULL_PAGES,
                calls_left,
                read,
            )
            .await
    }

    async fn list_open_pulls(
        &self,
        repo: &str,
        max_pulls: usize,
    ) -> Result<(Vec<PullListItem>, bool), ForgeError> {
        let what = format!("{repo}: listing its open pull requests");
        let query = [("state", "open"), ("sort", "updated"), ("direction", "desc")];
        let url = paged_url(self.repository_url(&what, repo, &["pulls"])?, &query);
        let read = |answer: &ForgeResponse| {
            answer
                .json::<Vec<ListedPullBody>>()?
                .into_iter()
                .map(|pull| to_pull_list_item(&what, pull))
                .collect()
        };
        let (mut list, pages, mut calls) =
            (CachedListing::default(), max_pulls.div_ceil(GITHUB.max_page_size), u64::MAX);
        list.refresh(
            |call| self.send_owned(TokenScope::RepositoryName(repo), call),
            &what,
            url,
            pages,
            &mut calls,
            read,
        )
        .await?;
        let is_all = list.is_complete() && list.items().nth(max_pulls).is_none();
        Ok((list.items().take(max_pulls).cloned().collect(), is_all))
    }

    async fn open_pulls_from_branch(&self, repo: &str, branch: &str) -> Result<Vec<OpenPull>, ForgeError> {
        let what = format!("{repo}: looking for the pull request of {branch}");
        let owner = repo.split('/').next().unwrap_or_default();
        let head = format!("{owner}:{branch}");
        let query = [("state", "open"), ("head", head.as_str())];
        let url = paged_url(self.repository_url(&what, repo, &["pulls"])?, &query);
        let answer =
            self.send(TokenScope::RepositoryName(repo), &ForgeRequest::get(what.as_str(), url)).await?;
        let bodies = answer.json::<Vec<GitHubPullBody>>()?.into_iter();
        // The forge may have ignored the filter, so the branch is compared again.
        bodies.filter(|pull| pull.head.branch == branch).map(|pull| to_open_pull(&what, pull)).collect()
    }

    /// Refreshes both lists of comments with the comments that were written or changed at or after `since`.
    /// GitHub has two lists of comments for each repository, and each list contains the comments on all pull
    /// requests.
    async fn refresh_comments_since(
        &self,
        (repo, _): (&str, Option<u64>),
        since: UnixMillis,
        listings: &mut [CachedListing<PullComment>; 2],
        calls_left: &mut u64,
    ) -> Result<(), ForgeError> {
        for (kind, list) in CommentKind::ALL.into_iter().zip(listings) {
            match self.list_comments(repo, kind, since, list, calls_left).await {
                Ok(()) => {}
                // The list is missing because issues are disabled in the repository.
                Err(ForgeError::NotFound { .. }) if kind == CommentKind::Conversation => {
                    *list = CachedListing::empty();
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn comment(
        &self,
        _: &PrId,
        repo: &str,
        kind: CommentKind,
        id: u64,
    ) -> Result<Option<PullComment>, ForgeError> {
        let what = format!("{repo}: reading comment {id} ({})", kind.as_str());
        let url = self.repository_url(&what, repo, &[comment_segment(kind), "comments", &id.to_string()])?;
        let scope = TokenScope::RepositoryName(repo);
        let read = self.send(scope, &ForgeRequest::get(what.as_str(), url)).await?;
        let mut body: GitHubCommentBody = read.json()?;
        let node_id = body.node_id.take();
        let Some(mut comment) = to_pull_comment(&what, kind, body)? else { return Ok(None) };
        let texts = self.comment_texts(scope, &what, node_id.as_slice()).await?;
        // The text and its writer must be from the same response, because the text may have just been edited.
        if let Some(CommentText { body, writer }) = texts.into_values().next() {
            comment.body = body.chars().take(MAX_COMMENT_CHARS).collect();
            comment.text_writer = writer;
        }
        Ok(Some(comment))
    }

    async fn may_write(&self, repo: &str, author: &AuthorAccount) -> Result<bool, ForgeError> {
        let what = format!("{repo}: reading the permissions of {}", author.login);
        let url = self.repository_url(&what, repo, &["collaborators", &author.login, "permission"])?;
        let answer = match self.send(TokenScope::RepositoryName(repo), &ForgeRequest::get(what, url)).await {
            Ok(answer) => answer.json::<PermissionBody>()?,
            Err(error) => {
                return decide_without_permissions(&self.inner.options.command_accounts, author, error);
            }
        };
        // The response reports `maintain` as `write`, `triage` as `read`, and a custom role of an
        // organization as its base role.
        let may = matches!(answer.permission.as_str(), "write" | "admin");
        Ok(may && answer.user.is_some_and(|user| account_id(user.id) == author.id))
    }

    async fn branch_protection(&self, repo: &str, branch: &str) -> Result<BranchProtection, ForgeError> {
        let what = format!("{repo}: reading the protection of {branch}");
        let scope = TokenScope::RepositoryName(repo);
        let url = self.repository_url(&what, repo, &["branches", branch])?;
        let BranchProtectionBody { protected } =
            self.send(scope, &ForgeRequest::get(what.as_str(), url)).await?.json()?;
        let url = self.repository_url(&what, repo, &["rules", "branches", branch])?;
        let rules: Vec<RuleBody> = self.send(scope, &ForgeRequest::get(what.as_str(), url)).await?.json()?;
        let rules = rules.into_iter().map(|rule| rule.kind).collect();
        Ok(BranchProtection { is_protected: protected, rules })
    }

    async fn is_own_account(&self, repo: &str, author: &AuthorAccount) -> Result<bool, ForgeError> {
        let own = self.identity(TokenScope::RepositoryName(repo)).await?;
        Ok(account_id(own.id) == author.id)
    }
}

impl GitHub {
    async fn read_repository(
        &self,
        scope: TokenScope<'_>,
        purpose: String,
        url: Url,
    ) -> Result<ForgeRepository, ForgeError> {
        let body: GitHubRepositoryBody =
            self.send(scope, &ForgeRequest::get(purpose.as_str(), url)).await?.json()?;
        let seen = convert_repositories(vec![body]).pop();
        seen.ok_or_else(|| {
            unavailable_error(
                &purpose,
                "the repository's name in the response does not have the form `owner/name`",
            )
        })
    }

    /// Lists a repository's comments of one kind that were written or changed at or after `since`, oldest
    /// change first.
    async fn list_comments(
        &self,
        repo: &str,
        kind: CommentKind,
        since: UnixMillis,
        listing: &mut CachedListing<PullComment>,
        calls_left: &mut u64,
    ) -> Result<(), ForgeError> {
        let what = format!("{repo}: listing new comments ({})", kind.as_str());
        let since = jiff::Timestamp::from_second(since.0.div_euclid(1000)).unwrap_or_default().to_string();
        let query = [("sort", "updated"), ("direction", "asc"), ("since", since.as_str())];
        let url = paged_url(self.repository_url(&what, repo, &[comment_segment(kind), "comments"])?, &query);
        let read = |answer: &ForgeResponse| {
            let bodies = answer.json::<Vec<GitHubCommentBody>>()?.into_iter();
            bodies.filter_map(|body| to_pull_comment(&what, kind, body).transpose()).collect()
        };
        listing
            .refresh(
                |call| self.send_owned(TokenScope::RepositoryName(repo), call),
                &what,
                url,
                MAX_COMMENT_PAGES,
                calls_left,
                read,
            )
            .await
    }

    /// Returns an address below a repository's address.
    pub(super) fn repository_url(
        &self,
        purpose: &str,
        repo: &str,
        path_segments: &[&str],
    ) -> Result<Url, ForgeError> {
        if !is_repository_name(repo) {
            let message = "the repository's name does not have the form `owner/name`".to_owned();
            return Err(ForgeError::Rejected { request: purpose.to_owned(), message });
        }
        let root = &self.inner.options.api_url;
        Ok(append_segments(
            root,
            ["repos"].into_iter().chain(repo.split('/')).chain(path_segments.iter().copied()),
        ))
    }
}

/// Converts repositories, and omits repositories whose name cannot be part of an address.
pub(super) fn convert_repositories(bodies: Vec<GitHubRepositoryBody>) -> Vec<ForgeRepository> {
    let named = bodies.into_iter().filter(|body| is_repository_name(&body.full_name));
    named
        .map(|body| ForgeRepository {
            id: body.id.to_string(),
            name: body.full_name,
            archived: body.archived,
        })
        .collect()
}

fn to_open_pull(purpose: &str, body: GitHubPullBody) -> Result<OpenPull, ForgeError> {
    let sha = |text: &str| Sha::parse(text).map_err(|error| unavailable_error(purpose, &error.to_string()));
    Ok(OpenPull {
        repository_id: body.base.repo.id.to_string(),
        repository_name: body.base.repo.full_name,
        number: body.number,
        url: body.html_url,
        revision: PullRevision { head: sha(&body.head.sha)?, base: sha(&body.base.sha)? },
        draft: body.draft,
    })
}

fn to_pull_list_item(purpose: &str, body: ListedPullBody) -> Result<PullListItem, ForgeError> {
    Ok(PullListItem {
        number: body.number,
        title: body.title.unwrap_or_default(),
        url: body.html_url,
        author: body.user.and_then(|user| user.login),
        draft: body.draft,
        head: Sha::parse(&body.head.sha).map_err(|error| unavailable_error(purpose, &error.to_string()))?,
        branch: body.head.branch,
        base_branch: body.base.branch,
    })
}

/// Returns the address segment for comments of this kind.
fn comment_segment(kind: CommentKind) -> &'static str {
    match kind {
        CommentKind::Conversation => "issues",
        CommentKind::Diff => "pulls",
    }
}

/// Returns the comment; `None` if the address of its page shows that the comment is not on a pull request.
fn to_pull_comment(
    purpose: &str,
    kind: CommentKind,
    body: GitHubCommentBody,
) -> Result<Option<PullComment>, ForgeError> {
    let page = body.html_url.split('#').next().unwrap_or_default();
    let Some((_, number)) = page.rsplit_once("/pull/") else { return Ok(None) };
    let Ok(number) = number.parse() else { return Ok(None) };
    let author = body.user.map(|user| AuthorAccount {
        id: account_id(user.id),
        login: user.login,
        is_person: user.kind == "User",
    });
    Ok(Some(PullComment {
        kind,
        id: body.id,
        first_comment: body.in_reply_to_id.map(|first| GitHubCommentId::Review(first).to_comment_id()),
        number,
        url: page.to_owned(),
        author,
        body: body.body.unwrap_or_default().chars().take(MAX_COMMENT_CHARS).collect(),
        text_writer: TextWriter::Unknown,
        created: wire::parse_instant(purpose, &body.created_at)?,
        updated: wire::parse_instant(purpose, &body.updated_at)?,
    }))
}
