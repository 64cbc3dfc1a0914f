//! Opens and closes pull requests.

use crate::forge::error::FakeError;
use crate::forge::operations::branches::branch_tip;
use crate::forge::state::event::PullChange;
use crate::forge::state::merging::MergeConditions;
use crate::forge::state::pulls::StoredPull;
use crate::forge::state::{DEFAULT_BRANCH, ForgeInstance, StoredRepository};

/// A pull request to be opened.
#[derive(Clone, Debug)]
pub struct NewPull {
    pub title: String,
    pub body: String,
    /// Account that opens the pull request.
    pub author: String,
    /// Head branch as `branch`; as `owner:branch` if the branch is in a fork.
    pub head: String,
    /// Base branch, into which the pull request is to be merged.
    pub base: String,
    /// True for a draft.
    pub draft: bool,
}

impl NewPull {
    /// Returns a pull request from this branch to `main`, opened by `author`.
    pub fn from_branch(head: &str) -> Self {
        Self {
            title: format!("Change {head}"),
            body: "What it does.".into(),
            author: "author".into(),
            head: head.into(),
            base: DEFAULT_BRANCH.into(),
            draft: false,
        }
    }
}

pub(crate) fn pull_mut(repo: &mut StoredRepository, number: u64) -> Result<&mut StoredPull, FakeError> {
    repo.pulls.get_mut(&number).ok_or_else(|| FakeError::Missing(format!("pull request {number}")))
}

/// Opens a pull request and returns its number.
pub(crate) fn open_pull(
    forge: &mut ForgeInstance,
    repo: &mut StoredRepository,
    new_pull: NewPull,
) -> Result<u64, FakeError> {
    let (head, base) = (branch_tip(repo, &new_pull.head)?, branch_tip(repo, &new_pull.base)?);
    if has_open_pull(repo, &new_pull.head, &new_pull.base) {
        return Err(FakeError::Refused(format!("a pull request already exists for {}", new_pull.head)));
    }
    forge.ensure_account(&new_pull.author);
    let number = repo.next_number();
    repo.git.set_ref(&forge.flavour.pull_ref(number), &head)?;
    let now = forge.now();
    let pull = StoredPull {
        id: forge.next_id(),
        number,
        title: new_pull.title,
        body: new_pull.body,
        author: new_pull.author.clone(),
        head_ref: new_pull.head,
        head,
        base_ref: new_pull.base,
        base,
        draft: new_pull.draft,
        labels: Vec::new(),
        label_changes: Vec::new(),
        merge_conditions: MergeConditions::default(),
        open: true,
        merged_by: None,
        created_at: now,
        updated_at: now,
        version: 0,
        closed_at: None,
        stale_head: None,
        conversation_comments: Vec::new(),
        inline_comments: Vec::new(),
        reviews: Vec::new(),
    };
    repo.pulls.insert(number, pull);
    forge.record_change(repo, number, &new_pull.author, PullChange::Opened)?;
    Ok(number)
}

/// Returns true if there is an open pull request between these branches.
pub(crate) fn has_open_pull(repo: &StoredRepository, head: &str, base: &str) -> bool {
    repo.pulls.values().any(|pull| pull.open && pull.head_ref == head && pull.base_ref == base)
}

pub(crate) fn close_pull(
    forge: &mut ForgeInstance,
    repo: &mut StoredRepository,
    number: u64,
    merged_by: Option<String>,
) -> Result<(), FakeError> {
    let now = forge.now();
    let pull = pull_mut(repo, number)?;
    if !pull.open {
        return Err(FakeError::Refused(format!("pull request {number} is closed already")));
    }
    let sender = merged_by.clone().unwrap_or_else(|| pull.author.clone());
    (pull.open, pull.closed_at, pull.merged_by) = (false, Some(now), merged_by);
    Ok(forge.record_change(repo, number, &sender, PullChange::Closed)?)
}
