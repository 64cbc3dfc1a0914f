//! Reads data of a Data Center beyond one pull request: lists of repositories, open pull requests and
//! comments, and the permissions of authors. This module never writes.

use async_trait::async_trait;
use truing_core::id::{PrId, UnixMillis};
use truing_core::port::{
    AuthorAccount, BranchProtection, CommentKind, ForgeError, ForgeKind, ForgeRepository, OpenPull,
    PullComment, PullListItem,
};
use truing_core::publish::CommentProducer;
use truing_git::Remote;
use url::Url;

use super::super::address::{append_segments, is_repository_name, split_repository_name, with_query};
use super::super::bounds::{MAX_PULL_PAGES, MAX_REPOSITORY_PAGES, too_many_pages_error};
use super::super::calls::{BitbucketApi as _, BitbucketPullRequest};
use super::super::client::BitbucketClient;
use super::super::lists::{
    is_from_own_branch, pull_comments_since, replace_cached_comments, to_open_pull, to_pull_comment,
    to_pull_list_item,
};
use super::super::login::git_remote;
use super::wire::BRANCH_REF_PREFIX;
use super::{BitbucketDataCenter, list_page_url, wire};
use crate::capability::ForgeCapability;
use crate::forge_server::ForgeServer;
use crate::http::ForgeResponse;
use crate::listing::{CachedListing, RepositoryListing};
use crate::remote::{RemoteError, RemotePurpose};

fn convert_repository(body: &wire::DataCenterRepository) -> Option<ForgeRepository> {
    let name = body.full_name();
    is_repository_name(&name).then(|| ForgeRepository { id: body.id(), name, archived: body.archived })
}

impl BitbucketDataCenter {
    /// Reads the repository with this id. `repo` is its last known name.
    pub(super) async fn read_repository_by_id(
        &self,
        purpose: &str,
        id: &str,
        repo: &str,
    ) -> Result<wire::DataCenterRepository, ForgeError> {
        match self.get::<wire::DataCenterRepository>(purpose, self.repository_url(purpose, repo, &[])?).await
        {
            Ok(body) if body.id() == id => Ok(body),
            // The name now belongs to another repository, or no repository has this name.
            Ok(_) | Err(ForgeError::NotFound { .. }) => self.find_repository_by_id(purpose, id).await,
            Err(error) => Err(error),
        }
    }

    /// Searches all repositories, because the API cannot look up a repository by its id.
    async fn find_repository_by_id(
        &self,
        purpose: &str,
        id: &str,
    ) -> Result<wire::DataCenterRepository, ForgeError> {
        let first = self.root_url(["api", "latest", "repos"]);
        let mut start = 0;
        for _ in 0..MAX_REPOSITORY_PAGES {
            let page: wire::DataCenterPage<wire::DataCenterRepository> =
                self.get(purpose, list_page_url(&first, start)).await?;
            let next = page.next_start();
            if let Some(body) = page.values.into_iter().find(|body| body.id() == id) {
                return Ok(body);
            }
            match next.filter(|next| *next > start) {
                Some(next) => start = next,
                None => return Err(ForgeError::NotFound { request: purpose.to_owned() }),
            }
        }
        Err(too_many_pages_error(purpose, MAX_REPOSITORY_PAGES))
    }

    /// Converts a repository and caches its name.
    fn cache_repository(
        &self,
        purpose: &str,
        body: &wire::DataCenterRepository,
    ) -> Result<ForgeRepository, ForgeError> {
        let seen = convert_repository(body);
        let seen = seen.ok_or_else(|| {
            crate::http::unavailable_error(purpose, "the forge returned an invalid repository name")
        })?;
        self.cache_repository_name(&seen.id, &seen.name);
        Ok(seen)
    }

    /// Lists open pull requests until the calls are used up or the caller's maximum number is reached. The
    /// flag is true if the list is complete.
    async fn list_pulls(
        &self,
        purpose: &str,
        repo: &str,
        list_url: &Url,
        calls_left: &mut u64,
        max_pulls: usize,
    ) -> Result<(Vec<BitbucketPullRequest>, bool), ForgeError> {
        let (mut all, mut start) = (Vec::new(), 0);
        for _ in 0..MAX_PULL_PAGES {
            if *calls_left == 0 || all.len() >= max_pulls {
                return Ok((all, false));
            }
            *calls_left -= 1;
            let page: wire::DataCenterPage<wire::DataCenterPull> =
                self.get(purpose, list_page_url(list_url, start)).await?;
            let next = page.next_start();
            for body in page.values {
                all.push(self.convert_pull(purpose, repo, body)?);
            }
            match next.filter(|next| *next > start) {
                Some(next) => start = next,
                None => return Ok((all, true)),
            }
        }
        Ok((all, false))
    }

    fn open_pulls_url(&self, purpose: &str, repo: &str) -> Result<Url, ForgeError> {
        let query = [("state", "OPEN"), ("order", "NEWEST")];
        Ok(with_query(self.repository_url(purpose, repo, &["pull-requests"])?, &query))
    }
}

#[async_trait]
impl ForgeServer for BitbucketDataCenter {
    type Client = BitbucketClient<Self>;

    fn kind(&self) -> ForgeKind {
        ForgeKind::BitbucketDc
    }

    fn capability(&self) -> &'static ForgeCapability {
        self.version_capability()
    }

    fn with_review_id(&self, id: &str) -> Self {
        self.with_http(self.inner.http.for_review(id))
    }

    fn client(&self, id: &PrId, repo: &str, producer: CommentProducer) -> BitbucketClient<Self> {
        BitbucketClient::new(self, id, repo, producer)
    }

    async fn resolve_remote(&self, _: &str, repo: &str, _: RemotePurpose) -> Result<Remote, RemoteError> {
        let (key, slug) = split_repository_name("building the git address of the repository", repo)?;
        let options = &self.inner.options;
        let url = append_segments(&options.git_url, [key, &format!("{slug}.git")]);
        // A token of a project or a repository has no user, so it is sent without a user name.
        Ok(git_remote(&url, None, &options.token)?.with_signing_key(options.commits.signing_key.clone()))
    }

    async fn repository(&self, repo: &str) -> Result<ForgeRepository, ForgeError> {
        let request = format!("{repo}: reading the repository");
        let body: wire::DataCenterRepository =
            self.get(&request, self.repository_url(&request, repo, &[])?).await?;
        let seen = self.cache_repository(&request, &body)?;
        // If the repository was renamed, the server may redirect the old name to the new name.
        if seen.name.eq_ignore_ascii_case(repo) { Ok(seen) } else { Err(ForgeError::Moved { request }) }
    }

    async fn repository_by_id(&self, id: &str) -> Result<ForgeRepository, ForgeError> {
        let what = format!("reading the repository with id {id}");
        let body = match self.cached_repository_name(id) {
            Some(name) => self.read_repository_by_id(&what, id, &name).await?,
            None => self.find_repository_by_id(&what, id).await?,
        };
        self.cache_repository(&what, &body)
    }

    async fn refresh_repositories(
        &self,
        listing: &mut RepositoryListing,
        calls_left: &mut u64,
    ) -> Result<(), ForgeError> {
        let what = "listing the repositories";
        let url = with_query(self.root_url(["api", "latest", "repos"]), &[("permission", "REPO_WRITE")]);
        let first = list_page_url(&url, 0);
        let read = |answer: &ForgeResponse| {
            let page: wire::DataCenterPage<wire::DataCenterRepository> = answer.json()?;
            let next = page.next_start().map(|start| list_page_url(&url, start));
            Ok((page.values.iter().filter_map(convert_repository).collect(), next))
        };
        // A Data Center has only one list of repositories. It is cached under an empty name.
        let list = listing.lists.entry(String::new()).or_default();
        let send = |call| async move { self.send(&call).await };
        list.refresh_with_body_links(send, what, first, MAX_REPOSITORY_PAGES, calls_left, read).await?;
        list.items().for_each(|seen| self.cache_repository_name(&seen.id, &seen.name));
        Ok(())
    }

    async fn refresh_open_pulls(
        &self,
        repo: &str,
        listing: &mut CachedListing<OpenPull>,
        calls_left: &mut u64,
    ) -> Result<(), ForgeError> {
        let what = format!("{repo}: listing its open pull requests");
        listing.mark_stale();
        let url = self.open_pulls_url(&what, repo)?;
        let (pulls, complete) = self.list_pulls(&what, repo, &url, calls_left, usize::MAX).await?;
        listing.replace(url, pulls.into_iter().map(|pull| to_open_pull(repo, pull)).collect(), complete);
        Ok(())
    }

    async fn open_pulls_from_branch(&self, repo: &str, branch: &str) -> Result<Vec<OpenPull>, ForgeError> {
        let what = format!("{repo}: looking for the pull request of {branch}");
        let at = format!("{BRANCH_REF_PREFIX}{branch}");
        let query = [("state", "OPEN"), ("direction", "OUTGOING"), ("at", at.as_str())];
        let url = with_query(self.repository_url(&what, repo, &["pull-requests"])?, &query);
        let (pulls, _) = self.list_pulls(&what, repo, &url, &mut { u64::MAX }, usize::MAX).await?;
        // The results are filtered again: the server ignores filters that it does not support, and a fork can
        // have a branch with the same name.
        let of_here = pulls.into_iter().filter(|pull| is_from_own_branch(pull, branch));
        Ok(of_here.map(|pull| to_open_pull(repo, pull)).collect())
    }

    async fn list_open_pulls(
        &self,
        repo: &str,
        max_pulls: usize,
    ) -> Result<(Vec<PullListItem>, bool), ForgeError> {
        let what = format!("{repo}: listing its open pull requests");
        let url = self.open_pulls_url(&what, repo)?;
        let (pulls, complete) = self.list_pulls(&what, repo, &url, &mut { u64::MAX }, max_pulls).await?;
        let is_all = complete && pulls.len() <= max_pulls;
        Ok((pulls.into_iter().take(max_pulls).map(to_pull_list_item).collect(), is_all))
    }

    /// Lists comments. The server has no list of a repository's comments, so the comments of each open pull
    /// request are read. Pull requests are not selected by date, because a new comment does not always change
    /// the date of its pull request. A reply appears in the activity of its thread's first comment, which may
    /// be old, so all activities are read.
    async fn refresh_comments_since(
        &self,
        (repo, number): (&str, Option<u64>),
        since: UnixMillis,
        listings: &mut [CachedListing<PullComment>; 2],
        calls_left: &mut u64,
    ) -> Result<(), ForgeError> {
        let what = format!("{repo}: listing new comments");
        listings[0].mark_stale();
        let (numbers, mut complete) = match number {
            Some(number) => (vec![number], true),
            None => {
                let url = self.open_pulls_url(&what, repo)?;
                let (pulls, complete) = self.list_pulls(&what, repo, &url, calls_left, usize::MAX).await?;
                (pulls.into_iter().map(|pull| pull.number).collect(), complete)
            }
        };
        let mut parts = Vec::with_capacity(numbers.len());
        for number in numbers {
            if *calls_left == 0 {
                complete = false;
                break;
            }
            *calls_left -= 1;
            let page = self.pull_page_url(&what, repo, number)?;
            let notes = self.read_comments(&what, repo, number).await?;
            let comments = pull_comments_since(number, page.as_str(), notes, since);
            parts.push((page, comments));
        }
        replace_cached_comments(listings, parts, complete);
        Ok(())
    }

    async fn comment(
        &self,
        id: &PrId,
        repo: &str,
        kind: CommentKind,
        comment: u64,
    ) -> Result<Option<PullComment>, ForgeError> {
        let what = format!("{repo}: reading comment {comment} ({})", kind.as_str());
        let note = self.load_thread_comment(&what, repo, id.number, comment).await?;
        let page = self.pull_page_url(&what, repo, id.number)?;
        Ok(Some(to_pull_comment(id.number, page.as_str(), note)))
    }

    async fn may_write(&self, repo: &str, author: &AuthorAccount) -> Result<bool, ForgeError> {
        self.has_write_access(repo, author).await
    }

    async fn is_own_account(&self, _: &str, author: &AuthorAccount) -> Result<bool, ForgeError> {
        Ok(self.own_account().await?.user.id == author.id)
    }

    async fn branch_protection(&self, repo: &str, branch: &str) -> Result<BranchProtection, ForgeError> {
        let what = format!("{repo}: reading the protection of {branch}");
        let at = format!("{BRANCH_REF_PREFIX}{branch}");
        let url = self.repository_api_url(&what, "branch-permissions", repo, &["restrictions"])?;
        let url = with_query(url, &[("matcherType", "BRANCH"), ("matcherId", &at)]);
        let rules: Vec<wire::DataCenterRestriction> = self.get_all(&what, url).await?;
        let rules: Vec<String> = rules.into_iter().map(|rule| rule.kind).collect();
        Ok(BranchProtection { is_protected: !rules.is_empty(), rules })
    }
}
