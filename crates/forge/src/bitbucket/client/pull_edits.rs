//! Opens and declines pull requests, and changes their descriptions, titles, draft states and reviewers. A
//! pull request is rewritten or declined only if Truing opened it and its marker is present.

use truing_core::id::Topic;
use truing_core::port::{BranchPull, EffectOutcome, ForgeError, PullDraft, PullState};

use super::super::address::rejected_error;
use super::super::calls::{BitbucketApi, BitbucketPullRequest, PullRequestEdit};
use super::BitbucketClient;
use super::comments::{foreign_object_error, is_same_text};
use crate::body::with_marker;
use crate::marker::{disable_markers, normalize_text, split_marker};

/// Maximum number of attempts to make a change that conflicts with other users' changes.
const MAX_EDIT_ATTEMPTS: u32 = 3;

impl<C: BitbucketApi> BitbucketClient<C> {
    /// Returns an error if the forge has no drafts.
    fn require_draft_support(&self, purpose: &str) -> Result<(), ForgeError> {
        let row = self.api.forge_capability();
        if row.drafts { Ok(()) } else { Err(rejected_error(purpose, &format!("{} has no drafts", row.name))) }
    }

    /// Reads and changes a pull request. If another user changes it between the two calls, both calls are
    /// repeated. `plan` returns the change for the pull request that was read; `None` means no change.
    async fn edit_pull_with_retry<'a>(
        &self,
        purpose: &str,
        number: u64,
        requires_own_pull: bool,
        plan: impl Fn(&BitbucketPullRequest) -> Result<Option<PullRequestEdit<'a>>, ForgeError>,
    ) -> Result<(), ForgeError> {
        let mut tries = 0;
        loop {
            let pull = match requires_own_pull {
                true => self.read_own_pull(purpose, number).await?,
                false => self.read_pull(purpose, number).await?,
            };
            let Some(change) = plan(&pull)? else { return Ok(()) };
            tries += 1;
            match self.api.change_pull(purpose, &self.repo, &pull, change).await {
                Err(ForgeError::Stale { .. }) if tries < MAX_EDIT_ATTEMPTS => {}
                changed => return changed,
            }
        }
    }

    pub(super) async fn mark_ready(&self) -> Result<(), ForgeError> {
        let what = self.describe_pull_operation("marking the pull request as ready for review");
        self.require_draft_support(&what)?;
        let plan = |pull: &BitbucketPullRequest| match pull.state {
            PullState::Open => Ok(None),
            PullState::Draft => {
                Ok(Some(PullRequestEdit { draft: Some(false), ..PullRequestEdit::default() }))
            }
            PullState::Merged | PullState::Closed => Err(rejected_error(&what, "it is closed")),
        };
        self.edit_pull_with_retry(&what, self.id.number, false, plan).await
    }

    pub(super) async fn update_description(
        &self,
        expected: &str,
        body: &str,
    ) -> Result<EffectOutcome, ForgeError> {
        let what = self.describe_pull_operation("changing the description of the pull request");
        let accounts = self.accounts().await?;
        let mut tries = 0;
        loop {
            let pull = self.read_pull(&what, self.id.number).await?;
            let (now, marker) = split_marker(&pull.description);
            let new = normalize_text(&disable_markers(body));
            if now == new {
                return Ok(EffectOutcome::Applied);
            }
            if now != normalize_text(expected) {
                return Ok(EffectOutcome::Superseded);
            }
            // If Truing opened the pull request, its marker is kept, because loops recognise their pull
            // requests by the marker. A marker in another account's text is removed.
            let is_ours = accounts.is_own_account(pull.author.as_ref());
            let new = match marker.filter(|_| is_ours) {
                Some(marker) => with_marker(body, &marker),
                None => new,
            };
            tries += 1;
            let change = PullRequestEdit { description: Some(&new), ..PullRequestEdit::default() };
            match self.api.change_pull(&what, &self.repo, &pull, change).await {
                // Another user has changed the pull request, so it is read again.
                Err(ForgeError::Stale { .. }) if tries < MAX_EDIT_ATTEMPTS => {}
                changed => return changed.map(|()| EffectOutcome::Applied),
            }
        }
    }

    /// Returns true if the pull request has this description.
    pub(super) async fn has_description(&self, body: &str) -> Result<bool, ForgeError> {
        let what = self.describe_pull_operation("reading the description");
        Ok(is_same_text(&split_marker(&self.read_pull(&what, self.id.number).await?.description).0, body))
    }

    /// Returns the open pull request from a branch to a base, regardless of the account that opened it.
    pub(super) async fn find_open_pull(
        &self,
        branch: &str,
        base: &str,
    ) -> Result<Option<BranchPull>, ForgeError> {
        let there = self.list_pulls(branch).await?;
        Ok(there.into_iter().find(|pull| pull.is_open() && pull.base_branch == base))
    }

    pub(super) async fn open_pull(&self, draft: &PullDraft) -> Result<BranchPull, ForgeError> {
        let PullDraft { topic, branch, base, body, draft: is_draft, .. } = draft;
        let request = self.describe_repository_operation(&format!("opening a pull request from {branch}"));
        self.check_branch(&request, branch)?;
        self.check_branch(&request, base)?;
        if *is_draft {
            // This call also reads the server's version. Without it, the limits of the oldest version would
            // apply.
            self.api.own_account().await?;
            self.require_draft_support(&request)?;
        }
        let accounts = self.accounts().await?;
        // Cloud's response to a request for a second pull request from the same branch varies. An existing
        // pull request is therefore returned without such a request.
        if let Some(there) = self.find_open_pull(branch, base).await? {
            return Ok(there);
        }
        let text = self.add_topic_marker(0, topic, body);
        let refused = match self.api.create_pull(&request, &self.repo, draft, &text).await {
            Ok(pull) => return Ok(self.convert_branch_pull(&accounts, pull)),
            // `Stale` would instruct the caller to read the pull request again, but no pull request was
            // created. The error is therefore converted to `Rejected`.
            Err(ForgeError::Stale { request, message }) => ForgeError::Rejected { request, message },
            Err(refused @ ForgeError::Rejected { .. }) => refused,
            Err(error) => return Err(error),
        };
        // A branch can have only one open pull request to a base. The call may have failed because this pull
        // request already exists.
        self.find_open_pull(branch, base).await?.ok_or(refused)
    }

    /// Reads a pull request; returns an error if Truing did not open it.
    async fn read_own_pull(&self, purpose: &str, number: u64) -> Result<BitbucketPullRequest, ForgeError> {
        let accounts = self.accounts().await?;
        let pull = self.read_pull(purpose, number).await?;
        let is_ours = accounts.is_own_account(pull.author.as_ref());
        match self.read_topic(0, is_ours, &pull.description) {
            (Some(_), _) => Ok(pull),
            (None, _) => Err(foreign_object_error(purpose)),
        }
    }

    pub(super) async fn rewrite_pull(
        &self,
        number: u64,
        topic: &Topic,
        title: &str,
        body: &str,
    ) -> Result<(), ForgeError> {
        let what = self.describe_repository_operation(&format!("rewriting pull request {number}"));
        let text = self.add_topic_marker(0, topic, body);
        let plan = |_: &BitbucketPullRequest| {
            Ok(Some(PullRequestEdit { title: Some(title), description: Some(&text), draft: None }))
        };
        self.edit_pull_with_retry(&what, number, true, plan).await
    }

    /// Returns true if Truing's pull request `number` has this topic, title and text.
    pub(super) async fn pull_has_text(
        &self,
        number: u64,
        topic: &Topic,
        title: &str,
        body: &str,
    ) -> Result<bool, ForgeError> {
        let what = self.describe_repository_operation(&format!("reading pull request {number}"));
        let pull = self.read_own_pull(&what, number).await?;
        let (about, text) = self.read_topic(0, true, &pull.description);
        Ok(pull.title == title && about.as_ref() == Some(topic) && is_same_text(&text, body))
    }

    pub(super) async fn set_draft(&self, number: u64, draft: bool) -> Result<(), ForgeError> {
        let doing = if draft { "a draft" } else { "ready for review" };
        let what = self.describe_repository_operation(&format!("making pull request {number} {doing}"));
        // This call also reads the server's version. Without it, the limits of the oldest version would
        // apply.
        self.api.own_account().await?;
        self.require_draft_support(&what)?;
        let change = PullRequestEdit { draft: Some(draft), ..PullRequestEdit::default() };
        let plan =
            |pull: &BitbucketPullRequest| Ok(((pull.state == PullState::Draft) != draft).then_some(change));
        self.edit_pull_with_retry(&what, number, true, plan).await
    }

    /// Returns the state of Truing's pull request `number`.
    pub(super) async fn own_pull_state(&self, number: u64) -> Result<PullState, ForgeError> {
        let what = self.describe_repository_operation(&format!("reading pull request {number}"));
        Ok(self.read_own_pull(&what, number).await?.state)
    }

    pub(super) async fn close_pull(&self, number: u64) -> Result<(), ForgeError> {
        let what = self.describe_repository_operation(&format!("closing pull request {number}"));
        let mut tries = 0;
        loop {
            let pull = self.read_own_pull(&what, number).await?;
            match pull.state {
                PullState::Merged | PullState::Closed => return Ok(()),
                PullState::Open | PullState::Draft => {}
            }
            tries += 1;
            match self.api.decline(&what, &self.repo, &pull).await {
                Err(ForgeError::Stale { .. }) if tries < MAX_EDIT_ATTEMPTS => {}
                declined => return declined,
            }
        }
    }

    pub(super) async fn request_review(&self, login: &str) -> Result<(), ForgeError> {
        let what = self.describe_pull_operation(&format!("requesting a review from {login}"));
        let mut tries = 0;
        loop {
            let pull = self.read_pull(&what, self.id.number).await?;
            if is_requested_reviewer(&pull, login, self.api.forge_capability().has_unique_account_names) {
                return Ok(());
            }
            tries += 1;
            match self.api.request_reviewer(&what, &self.repo, &pull, login).await {
                Err(ForgeError::Stale { .. }) if tries < MAX_EDIT_ATTEMPTS => {}
                asked => return asked,
            }
        }
    }

    /// Returns true if a review is requested from this account, and the account has not given a verdict yet.
    pub(super) async fn is_review_requested(&self, login: &str) -> Result<bool, ForgeError> {
        let what =
            self.describe_pull_operation(&format!("checking whether a review is requested from {login}"));
        let pull = self.read_pull(&what, self.id.number).await?;
        Ok(is_requested_reviewer(&pull, login, self.api.forge_capability().has_unique_account_names))
    }
}

/// Returns true if this account is a requested reviewer that has not given a verdict. The account is compared
/// by its id, and also by its name if names are unique.
fn is_requested_reviewer(pull: &BitbucketPullRequest, login: &str, unique_names: bool) -> bool {
    let waits = pull.reviewers.iter().filter(|one| one.is_requested && one.state.is_none());
    waits.map(|one| &one.user).any(|user| {
        let is = |name: &str| !name.is_empty() && name.eq_ignore_ascii_case(login);
        is(user.id.as_str()) || (unique_names && (is(&user.login) || is(&user.slug)))
    })
}
