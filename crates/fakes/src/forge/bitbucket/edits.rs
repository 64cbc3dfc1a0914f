//! Changes a pull request's description, title, base branch, reviewers or draft state, and checks the
//! permission for these changes.

use crate::forge::operations::branches::branch_tip;
use crate::forge::operations::reviewers::run_bots;
use crate::forge::state::event::PullChange;
use crate::forge::state::{ForgeInstance, StoredRepository};
use crate::repo::FakeGitError;

/// A requested change of a pull request. A property whose field is `None` is not changed.
#[derive(Default)]
pub(super) struct PullEdit {
    pub(super) title: Option<String>,
    pub(super) body: Option<String>,
    pub(super) draft: Option<bool>,
    /// Complete new list of reviewers.
    pub(super) reviewers: Option<Vec<String>>,
    /// New base branch of the pull request.
    pub(super) base: Option<String>,
}

/// The reason why a change is rejected.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum EditRefusal {
    /// The caller may not change the pull request of another account.
    NotPermitted,
    /// The requested reviewer is the author of the pull request.
    ReviewerIsAuthor(String),
    /// The requested reviewer may not see the repository.
    ReviewerHasNoAccess(String),
    /// The base branch does not exist.
    NoBranch,
    /// The script of a simulated bot is invalid.
    InvalidBotScript(String),
}

/// Checks that the caller is the author of the pull request or has write access. Truing must never change the
/// title of another account's pull request, and must never make such a pull request a draft.
pub(super) fn check_edit_permission(
    forge: &mut ForgeInstance,
    repo: &StoredRepository,
    number: u64,
    actor: &str,
    edit: &PullEdit,
) -> Result<(), EditRefusal> {
    let Some(pull) = repo.pulls.get(&number) else { return Ok(()) };
    if let Some(reviewers) = &edit.reviewers {
        check_reviewers(repo, &pull.author, reviewers)?;
    }
    if edit.base.as_ref().is_some_and(|base| branch_tip(repo, base).is_err()) {
        return Err(EditRefusal::NoBranch);
    }
    if pull.author == actor {
        return Ok(());
    }
    let retitles = edit.title.as_ref().is_some_and(|title| *title != pull.title);
    let hides = edit.draft == Some(true) && !pull.draft;
    if retitles || hides || !super::may_write(repo, actor) {
        forge.record_violation(format!("{actor} touched pull request {number} of {}", pull.author));
        return Err(EditRefusal::NotPermitted);
    }
    Ok(())
}

/// Checks that these accounts can review a pull request of this author.
pub(super) fn check_reviewers(
    repo: &StoredRepository,
    author: &str,
    reviewers: &[String],
) -> Result<(), EditRefusal> {
    for login in reviewers {
        if login == author {
            return Err(EditRefusal::ReviewerIsAuthor(login.clone()));
        }
        let is_bot = repo.bots.iter().any(|bot| bot.login == *login);
        if !is_bot && repo.role(login) == "none" {
            return Err(EditRefusal::ReviewerHasNoAccess(login.clone()));
        }
    }
    Ok(())
}

/// Makes the change, and records an event for each property with a new value. If a bot's review is requested,
/// the bot runs the next step of its script.
pub(super) fn apply_edit(
    forge: &mut ForgeInstance,
    repo: &mut StoredRepository,
    number: u64,
    actor: &str,
    edit: PullEdit,
) -> Result<(), EditRefusal> {
    let failed = |error: FakeGitError| EditRefusal::InvalidBotScript(error.to_string());
    let base = edit.base.and_then(|base| Some((branch_tip(repo, &base).ok()?, base)));
    let Some(pull) = repo.pulls.get_mut(&number) else { return Ok(()) };
    let replaced = |old: &mut String, new: Option<String>| {
        new.filter(|new| new != old).map(|new| std::mem::replace(old, new))
    };
    let (title, body) = (replaced(&mut pull.title, edit.title), replaced(&mut pull.body, edit.body));
    let draft = edit.draft.filter(|draft| *draft != pull.draft);
    pull.draft = draft.unwrap_or(pull.draft);
    let reviewers = edit.reviewers.filter(|new| *new != pull.merge_conditions.reviewers);
    let before = reviewers.map(|new| std::mem::replace(&mut pull.merge_conditions.reviewers, new));
    let base = base.filter(|(_, base)| *base != pull.base_ref).map(|(sha, base)| {
        (std::mem::replace(&mut pull.base_ref, base), std::mem::replace(&mut pull.base, sha))
    });
    let now = pull.merge_conditions.reviewers.clone();
    if title.is_some() || body.is_some() {
        forge
            .record_change(
                repo,
                number,
                actor,
                PullChange::Edited { previous_title: title, previous_body: body },
            )
            .map_err(failed)?;
    }
    if let Some(draft) = draft {
        forge.record_change(repo, number, actor, PullChange::DraftChanged(draft)).map_err(failed)?;
    }
    if let Some((branch, commit)) = base {
        forge
            .record_change(
                repo,
                number,
                actor,
                PullChange::Retargeted { previous_branch: branch, previous_commit: commit },
            )
            .map_err(failed)?;
    }
    if let Some(before) = before {
        let added: Vec<String> = now.iter().filter(|login| !before.contains(login)).cloned().collect();
        let removed = before.into_iter().filter(|login| !now.contains(login)).collect();
        let change = PullChange::ReviewersChanged { added: added.clone(), removed };
        forge.record_change(repo, number, actor, change).map_err(failed)?;
        for login in added {
            run_bots(forge, repo, number, |bot| bot.login == login, None)
                .map_err(EditRefusal::InvalidBotScript)?;
        }
    }
    Ok(())
}
