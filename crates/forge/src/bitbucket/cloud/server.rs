//! Reads data of Bitbucket Cloud beyond one pull request: lists of repositories, open pull requests and
//! comments, and the permissions of authors. This module never writes.

use async_trait::async_trait;
use truing_core::id::{PrId, TimeSpan, UnixMillis};
use truing_core::port::{
    AuthorAccount, BranchProtection, CommentKind, ForgeError, ForgeKind, ForgeRepository, OpenPull,
    PullComment, PullListItem,
};
use truing_core::publish::CommentProducer;
use truing_git::Remote;
use url::Url;

use super::super::address::{
    append_segments, is_repository_name, quote_text, split_repository_name, with_query,
};
use super::super::bounds::{MAX_PULL_PAGES, MAX_REPOSITORY_PAGES, format_instant, parse_instant};
use super::super::calls::BitbucketApi as _;
use super::super::client::BitbucketClient;
use super::super::lists::{
    is_from_own_branch, pull_comments_since, replace_cached_comments, to_open_pull, to_pull_comment,
    to_pull_list_item,
};
use super::super::login::git_remote;
use super::{BitbucketCloud, parse_page, wire};
use crate::capability::{BITBUCKET_CLOUD, ForgeCapability};
use crate::forge_server::ForgeServer;
use crate::http::{ForgeRequest, ForgeResponse};
use crate::listing::{CachedListing, RepositoryListing};
use crate::remote::{RemoteError, RemotePurpose};

/// Git user name that is sent with an access token as the password.
const ACCESS_TOKEN_GIT_USER: &str = "x-token-auth";
/// Git user name that is sent with an API token as the password.
/// <https://support.atlassian.com/bitbucket-cloud/docs/using-api-tokens>
const API_TOKEN_GIT_USER: &str = "x-bitbucket-api-token-auth";
/// Maximum time from a pull request's last change until its list of comments is complete. A list that is
/// requested earlier may lack comments.
const COMMENTS_SETTLE_TIME: TimeSpan = TimeSpan::minutes(2);
/// Filter for open pull requests, including drafts. Without an explicit condition on drafts, the list may
/// omit drafts (BCLOUD-23659).
const OPEN_PULLS_FILTER: &str = "state=\"OPEN\" AND (draft=true OR draft=false)";

fn convert_repository(body: wire::CloudRepository) -> Option<ForgeRepository> {
    is_repository_name(&body.full_name).then_some(ForgeRepository {
        id: body.uuid,
        name: body.full_name,
        archived: false,
    })
}

impl BitbucketCloud {
    /// Returns the address of the repository with this id. In the address, `{}` stands for the workspace.
    /// <https://developer.atlassian.com/cloud/bitbucket/rest/intro/#repository-object-and-uuid>
    pub(super) fn repository_id_url(&self, id: &str) -> Url {
        self.root_url(["repositories", "{}", id])
    }

    async fn read_repository(&self, purpose: &str, url: Url) -> Result<ForgeRepository, ForgeError> {
        let body: wire::CloudRepository = self.get(purpose, url).await?;
        convert_repository(body).ok_or_else(|| {
            crate::http::unavailable_error(purpose, "the forge returned an invalid repository name")
        })
    }

    fn pulls_url(&self, purpose: &str, repo: &str, query: &str) -> Result<Url, ForgeError> {
        let query = [("q", query), ("sort", "-updated_on"), ("pagelen", "50")];
        Ok(with_query(self.repository_url(purpose, repo, &["pullrequests"])?, &query))
    }

    /// Lists pull requests page by page, until the calls are used up or the list contains `max_pulls` items.
    /// The flag is true if the list is complete.
    async fn list_pulls(
        &self,
        purpose: &str,
        first_url: Url,
        calls_left: &mut u64,
        max_pulls: usize,
    ) -> Result<(Vec<wire::CloudPull>, bool), ForgeError> {
        let (mut all, mut next) = (Vec::new(), Some(first_url));
        for _ in 0..MAX_PULL_PAGES {
            let Some(url) = next else { return Ok((all, true)) };
            if *calls_left == 0 || all.len() >= max_pulls {
                return Ok((all, false));
            }
            *calls_left -= 1;
            let answer = self.send(&ForgeRequest::get(purpose, url)).await?;
            let (items, following) = parse_page::<wire::CloudPull>(&answer)?;
            all.extend(items);
            next = following;
        }
        Ok((all, next.is_none()))
    }
}

#[async_trait]
impl ForgeServer for BitbucketCloud {
    type Client = BitbucketClient<Self>;

    fn kind(&self) -> ForgeKind {
        ForgeKind::Bitbucket
    }

    fn capability(&self) -> &'static ForgeCapability {
        &BITBUCKET_CLOUD
    }

    fn with_review_id(&self, id: &str) -> Self {
        self.with_http(self.inner.http.for_review(id))
    }

    fn client(&self, id: &PrId, repo: &str, producer: CommentProducer) -> BitbucketClient<Self> {
        BitbucketClient::new(self, id, repo, producer)
    }

    async fn resolve_remote(&self, _: &str, repo: &str, _: RemotePurpose) -> Result<Remote, RemoteError> {
        let (workspace, slug) = split_repository_name("building the git address of the repository", repo)?;
        let options = &self.inner.options;
        let url = append_segments(&options.git_url, [workspace, &format!("{slug}.git")]);
        let user = if options.email.is_some() { API_TOKEN_GIT_USER } else { ACCESS_TOKEN_GIT_USER };
        Ok(git_remote(&url, Some(user), &options.token)?
            .with_signing_key(options.commits.signing_key.clone()))
    }

    async fn repository(&self, repo: &str) -> Result<ForgeRepository, ForgeError> {
        let request = format!("{repo}: reading the repository");
        let seen = self.read_repository(&request, self.repository_url(&request, repo, &[])?).await?;
        // If the repository was renamed, the forge may redirect the old name to the new name.
        if seen.name.eq_ignore_ascii_case(repo) { Ok(seen) } else { Err(ForgeError::Moved { request }) }
    }

    async fn repository_by_id(&self, id: &str) -> Result<ForgeRepository, ForgeError> {
        let what = format!("reading the repository with id {id}");
        self.read_repository(&what, self.repository_id_url(id)).await
    }

    async fn refresh_repositories(
        &self,
        listing: &mut RepositoryListing,
        calls_left: &mut u64,
    ) -> Result<(), ForgeError> {
        let what = "listing the workspaces";
        let read = |answer: &ForgeResponse| {
            let (all, next) = parse_page::<wire::WorkspaceMembership>(answer)?;
            let slugs = all.into_iter().filter_map(|one| one.workspace.map(|workspace| workspace.slug));
            Ok((slugs.collect(), next))
        };
        let first = with_query(self.root_url(["user", "workspaces"]), &[("pagelen", "100")]);
        let send = |call| self.send_owned(call);
        let configured_workspaces = &self.inner.options.workspaces;
        // An access token's account has no role in the repositories that it can list, so the list must not be
        // filtered by role.
        let is_told = self.inner.options.email.is_none() && !configured_workspaces.is_empty();
        let names: Vec<String> = if is_told {
            listing.list_names.replace(first, configured_workspaces.clone(), true);
            configured_workspaces.clone()
        } else {
            let listed = listing
                .list_names
                .refresh_with_body_links(send, what, first, MAX_REPOSITORY_PAGES, calls_left, read)
                .await;
            listed.map_err(|error| self.add_access_token_advice(error, "repositories", "`WORKSPACE/*`"))?;
            listing.list_names.items().cloned().collect()
        };
        listing.lists.retain(|name, _| names.contains(name));
        let mut refused = Ok(());
        for name in names {
            let what = format!("listing the repositories of {name}");
            let role = (!is_told).then_some(("role", "contributor"));
            let query: Vec<_> = role.into_iter().chain([("pagelen", "100")]).collect();
            let first = with_query(self.root_url(["repositories", &name]), &query);
            let read = |answer: &ForgeResponse| {
                let (all, next) = parse_page::<wire::CloudRepository>(answer)?;
                Ok((all.into_iter().filter_map(convert_repository).collect(), next))
            };
            let list = listing.lists.entry(name).or_default();
            let send = |call| self.send_owned(call);
            match list
                .refresh_with_body_links(send, &what, first, MAX_REPOSITORY_PAGES, calls_left, read)
                .await
            {
                // If one workspace rejects the request, the others are still read.
                Err(error @ (ForgeError::Forbidden { .. } | ForgeError::NotFound { .. })) => {
                    refused = Err(error);
                }
                listed => listed?,
            }
        }
        refused
    }

    async fn refresh_open_pulls(
        &self,
        repo: &str,
        listing: &mut CachedListing<OpenPull>,
        calls_left: &mut u64,
    ) -> Result<(), ForgeError> {
        let what = format!("{repo}: listing its open pull requests");
        listing.mark_stale();
        let url = self.pulls_url(&what, repo, OPEN_PULLS_FILTER)?;
        let (bodies, mut complete) = self.list_pulls(&what, url.clone(), calls_left, usize::MAX).await?;
        let mut pulls = Vec::with_capacity(bodies.len());
        for body in bodies {
            // Hashes that are read now are cached. If the calls are used up, the next refresh therefore
            // continues with the remaining pull requests.
            let cost = self.hash_lookup_calls(repo, &body);
            if cost > *calls_left {
                complete = false;
                continue;
            }
            *calls_left -= cost;
            match self.convert_listed_pull(&what, repo, body, true).await? {
                Some(pull) => pulls.push(to_open_pull(repo, pull)),
                None => complete = false,
            }
        }
        listing.replace(url, pulls, complete);
        Ok(())
    }

    async fn open_pulls_from_branch(&self, repo: &str, branch: &str) -> Result<Vec<OpenPull>, ForgeError> {
        let what = format!("{repo}: looking for the pull request of {branch}");
        let query = format!("{OPEN_PULLS_FILTER} AND source.branch.name={}", quote_text(branch));
        let bodies: Vec<wire::CloudPull> = self.get_all(&what, self.pulls_url(&what, repo, &query)?).await?;
        let mut pulls = Vec::new();
        // A fork can have a branch with the same name.
        for body in bodies.into_iter().filter(wire::CloudPull::is_from_same_repository) {
            let Some(pull) = self.convert_listed_pull(&what, repo, body, true).await? else { continue };
            // The forge may have ignored the filter, so the branch name is compared here, too.
            if is_from_own_branch(&pull, branch) {
                pulls.push(to_open_pull(repo, pull));
            }
        }
        Ok(pulls)
    }

    async fn list_open_pulls(
        &self,
        repo: &str,
        max_pulls: usize,
    ) -> Result<(Vec<PullListItem>, bool), ForgeError> {
        let what = format!("{repo}: listing its open pull requests");
        let url = self.pulls_url(&what, repo, OPEN_PULLS_FILTER)?;
        let (bodies, complete) = self.list_pulls(&what, url, &mut { u64::MAX }, max_pulls).await?;
        let (mut is_all, mut lines) = (complete && bodies.len() <= max_pulls, Vec::new());
        for body in bodies.into_iter().take(max_pulls) {
            match self.convert_listed_pull(&what, repo, body, false).await? {
                Some(pull) => lines.push(to_pull_list_item(pull)),
                None => is_all = false,
            }
        }
        Ok((lines, is_all))
    }

    /// Lists comments. Cloud has no list of a repository's comments, so the comments of each pull request
    /// that changed at or after `since` are read.
    async fn refresh_comments_since(
        &self,
        (repo, number): (&str, Option<u64>),
        since: UnixMillis,
        listings: &mut [CachedListing<PullComment>; 2],
        calls_left: &mut u64,
    ) -> Result<(), ForgeError> {
        let what = format!("{repo}: listing new comments");
        listings[0].mark_stale();
        if let Some(number) = number {
            *calls_left = calls_left.saturating_sub(1);
            let page = self.pull_page_url(&what, repo, number)?;
            let notes = self.read_comments(&what, repo, number).await?;
            let comments = pull_comments_since(number, page.as_str(), notes, since);
            replace_cached_comments(listings, vec![(page, comments)], true);
            return Ok(());
        }
        let now = self.inner.http.now();
        let changed = format!("updated_on>={}", format_instant(since));
        let url = self.pulls_url(&what, repo, &changed)?;
        let (bodies, mut complete) = self.list_pulls(&what, url, calls_left, usize::MAX).await?;
        let mut parts = Vec::with_capacity(bodies.len());
        for body in bodies {
            let (number, page) = (body.id, body.links.into_page_url());
            let url = self.pull_url(&what, repo, number, &["comments"])?;
            let part = with_query(url.clone(), &[("updated_on", &body.updated_on)]);
            let is_settled = now - parse_instant(&what, &body.updated_on)? >= COMMENTS_SETTLE_TIME;
            // If the comments of a pull request were read, they are read again only after a change. If the
            // calls are used up, the next refresh therefore continues with the remaining pull requests.
            if let Some(known) = listings[0].items_from(&part) {
                parts.push((part, known.to_vec()));
                continue;
            }
            if *calls_left == 0 {
                complete = false;
                continue;
            }
            *calls_left -= 1;
            let notes = self.read_comments(&what, repo, number).await?;
            let comments = pull_comments_since(number, &page, notes, since);
            // The comment list of a pull request that has just changed may be incomplete, so it is read again
            // next time.
            parts.push((if is_settled { part } else { url }, comments));
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
        let request = format!("{repo}: reading comment {comment} ({})", kind.as_str());
        let note = self.load_thread_comment(&request, repo, id.number, comment).await?;
        if note.is_deleted {
            return Err(ForgeError::NotFound { request });
        }
        let page = self.pull_page_url(&request, repo, id.number)?;
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
        let url = self.repository_url(&what, repo, &["branch-restrictions"])?;
        let rules: Vec<wire::CloudRestriction> =
            self.get_all(&what, with_query(url, &[("pattern", branch)])).await?;
        let rules: Vec<String> = rules.into_iter().map(|rule| rule.kind).collect();
        Ok(BranchProtection { is_protected: !rules.is_empty(), rules })
    }
}
