//! What changes a pull request itself: its description, title and draft, who is asked to review, that it is opened or
//! declined. Only one of ours is rewritten and declined: both its account and its marker are looked at before.

use truing_core::id::Topic;
use truing_core::port::{BranchPull, EffectOutcome, ForgeError, PullDraft, PullState};

use super::super::address::rejected;
use super::super::calls::{BitbucketApi, BitbucketPullRequest, PullRequestEdit};
use super::BitbucketClient;
use super::notes::{is_same, not_ours};
use crate::body::with_marker;
use crate::marker::{normal, split, strip};

/// Tries of a change that somebody else's comes before.
const MAX_TRIES: u32 = 3;

impl<C: BitbucketApi> BitbucketClient<C> {
    /// The refusal of a draft where there are none.
    fn check_drafts(&self, what: &str) -> Result<(), ForgeError> {
        let row = self.calls.row();
        if row.drafts { Ok(()) } else { Err(rejected(what, &format!("{} has no drafts", row.name))) }
    }

    /// Reads a pull request and makes a change of it, again where it is another by then. `plan` says what to do with it as
    /// it is; none: nothing.
    async fn change<'a>(
        &self,
        what: &str,
        number: u64,
        own: bool,
        plan: impl Fn(&BitbucketPullRequest) -> Result<Option<PullRequestEdit<'a>>, ForgeError>,
    ) -> Result<(), ForgeError> {
        let mut tries = 0;
        loop {
            let pull = match own {
                true => self.own_pull(what, number).await?,
                false => self.read_pull(what, number).await?,
            };
            let Some(change) = plan(&pull)? else { return Ok(()) };
            tries += 1;
            match self.calls.change_pull(what, &self.repo, &pull, change).await {
                Err(ForgeError::Stale { .. }) if tries < MAX_TRIES => {}
                changed => return changed,
            }
        }
    }

    pub(super) async fn make_ready(&self) -> Result<(), ForgeError> {
        let what = self.what("making it ready for review");
        self.check_drafts(&what)?;
        let plan = |pull: &BitbucketPullRequest| match pull.state {
            PullState::Open => Ok(None),
            PullState::Draft => {
                Ok(Some(PullRequestEdit { draft: Some(false), ..PullRequestEdit::default() }))
            }
            PullState::Merged | PullState::Closed => Err(rejected(&what, "it is closed")),
        };
        self.change(&what, self.id.number, false, plan).await
    }

    pub(super) async fn redescribe(&self, read: &str, body: &str) -> Result<EffectOutcome, ForgeError> {
        let what = self.what("changing its description");
        let accounts = self.accounts().await?;
        let mut tries = 0;
        loop {
            let pull = self.read_pull(&what, self.id.number).await?;
            let (now, marker) = split(&pull.text);
            let new = normal(&strip(body));
            if now == new {
                return Ok(EffectOutcome::Done);
            }
            if now != normal(read) {
                return Ok(EffectOutcome::Superseded);
            }
            // A loop of ours that opened it knows it by its marker. In anybody else's text a marker means nothing.
            let is_ours = accounts.is_ours(pull.author.as_ref());
            let new = match marker.filter(|_| is_ours) {
                Some(marker) => with_marker(body, &marker),
                None => new,
            };
            tries += 1;
            let change = PullRequestEdit { text: Some(&new), ..PullRequestEdit::default() };
            match self.calls.change_pull(&what, &self.repo, &pull, change).await {
                // Somebody was faster: what they wrote is looked at.
                Err(ForgeError::Stale { .. }) if tries < MAX_TRIES => {}
                changed => return changed.map(|()| EffectOutcome::Done),
            }
        }
    }

    /// Has the pull request this description?
    pub(super) async fn is_described(&self, body: &str) -> Result<bool, ForgeError> {
        let what = self.what("reading its description");
        Ok(is_same(&split(&self.read_pull(&what, self.id.number).await?.text).0, body))
    }

    /// The open pull request from a branch to a base, whoever opened it.
    pub(super) async fn opened_pull(
        &self,
        branch: &str,
        base: &str,
    ) -> Result<Option<BranchPull>, ForgeError> {
        let there = self.list_pulls(branch).await?;
        Ok(there.into_iter().find(|pull| pull.is_open() && pull.base == base))
    }

    pub(super) async fn open_pull(&self, draft: &PullDraft) -> Result<BranchPull, ForgeError> {
        let PullDraft { topic, branch, base, body, draft: is_draft, .. } = draft;
        let what = self.what_of_repository(&format!("opening a pull request from {branch}"));
        self.check_branch(&what, branch)?;
        self.check_branch(&what, base)?;
        if *is_draft {
            // The row is narrow until the version is known.
            self.calls.own().await?;
            self.check_drafts(&what)?;
        }
        let accounts = self.accounts().await?;
        // Cloud's answer to a second one from a branch is not the same everywhere: one that is there is not opened again.
        if let Some(there) = self.opened_pull(branch, base).await? {
            return Ok(there);
        }
        let text = self.marked(0, topic, body);
        let refused = match self.calls.create_pull(&what, &self.repo, draft, &text).await {
            Ok(pull) => return Ok(self.branch_pull(&accounts, pull)),
            // Where there is none, reading again would not help.
            Err(ForgeError::Stale { what, message }) => ForgeError::Rejected { what, message },
            Err(refused @ ForgeError::Rejected { .. }) => refused,
            Err(error) => return Err(error),
        };
        // One of a branch to a base is all that there can be: is that the reason?
        self.opened_pull(branch, base).await?.ok_or(refused)
    }

    /// A pull request, if it is ours.
    async fn own_pull(&self, what: &str, number: u64) -> Result<BitbucketPullRequest, ForgeError> {
        let accounts = self.accounts().await?;
        let pull = self.read_pull(what, number).await?;
        let is_ours = accounts.is_ours(pull.author.as_ref());
        match self.read_topic(0, is_ours, &pull.text) {
            (Some(_), _) => Ok(pull),
            (None, _) => Err(not_ours(what)),
        }
    }

    pub(super) async fn rewrite_pull(
        &self,
        number: u64,
        (topic, title, body): (&Topic, &str, &str),
    ) -> Result<(), ForgeError> {
        let what = self.what_of_repository(&format!("rewriting pull request {number}"));
        let text = self.marked(0, topic, body);
        let plan = |_: &BitbucketPullRequest| {
            Ok(Some(PullRequestEdit { title: Some(title), text: Some(&text), draft: None }))
        };
        self.change(&what, number, true, plan).await
    }

    /// Has our pull request this title and this text?
    pub(super) async fn says_pull(
        &self,
        number: u64,
        (topic, title, body): (&Topic, &str, &str),
    ) -> Result<bool, ForgeError> {
        let what = self.what_of_repository(&format!("reading pull request {number}"));
        let pull = self.own_pull(&what, number).await?;
        let (about, text) = self.read_topic(0, true, &pull.text);
        Ok(pull.title == title && about.as_ref() == Some(topic) && is_same(&text, body))
    }

    pub(super) async fn set_draft(&self, number: u64, draft: bool) -> Result<(), ForgeError> {
        let doing = if draft { "a draft" } else { "ready for review" };
        let what = self.what_of_repository(&format!("making pull request {number} {doing}"));
        // The row is narrow until the version is known.
        self.calls.own().await?;
        self.check_drafts(&what)?;
        let change = PullRequestEdit { draft: Some(draft), ..PullRequestEdit::default() };
        let plan =
            |pull: &BitbucketPullRequest| Ok(((pull.state == PullState::Draft) != draft).then_some(change));
        self.change(&what, number, true, plan).await
    }

    /// The state of our pull request.
    pub(super) async fn state_of(&self, number: u64) -> Result<PullState, ForgeError> {
        let what = self.what_of_repository(&format!("reading pull request {number}"));
        Ok(self.own_pull(&what, number).await?.state)
    }

    pub(super) async fn close_pull(&self, number: u64) -> Result<(), ForgeError> {
        let what = self.what_of_repository(&format!("closing pull request {number}"));
        let mut tries = 0;
        loop {
            let pull = self.own_pull(&what, number).await?;
            match pull.state {
                PullState::Merged | PullState::Closed => return Ok(()),
                PullState::Open | PullState::Draft => {}
            }
            tries += 1;
            match self.calls.decline(&what, &self.repo, &pull).await {
                Err(ForgeError::Stale { .. }) if tries < MAX_TRIES => {}
                declined => return declined,
            }
        }
    }

    pub(super) async fn request(&self, login: &str) -> Result<(), ForgeError> {
        let what = self.what(&format!("asking {login} for a review"));
        let mut tries = 0;
        loop {
            let pull = self.read_pull(&what, self.id.number).await?;
            if is_asked(&pull, login, self.calls.row().unique_names) {
                return Ok(());
            }
            tries += 1;
            match self.calls.ask(&what, &self.repo, &pull, login).await {
                Err(ForgeError::Stale { .. }) if tries < MAX_TRIES => {}
                asked => return asked,
            }
        }
    }

    /// Is somebody asked for a review, or has reviewed?
    pub(super) async fn is_requested(&self, login: &str) -> Result<bool, ForgeError> {
        let what = self.what(&format!("looking whether {login} is asked for a review"));
        let pull = self.read_pull(&what, self.id.number).await?;
        Ok(is_asked(&pull, login, self.calls.row().unique_names))
    }
}

/// Is this account, by its id or, where names are unique, its name, among those who are asked and have not decided?
fn is_asked(pull: &BitbucketPullRequest, login: &str, unique_names: bool) -> bool {
    let waits = pull.reviewers.iter().filter(|one| one.is_asked && one.state.is_none());
    waits.map(|one| &one.user).any(|user| {
        let is = |name: &str| !name.is_empty() && name.eq_ignore_ascii_case(login);
        is(user.id.as_str()) || (unique_names && (is(&user.login) || is(&user.slug)))
    })
}
