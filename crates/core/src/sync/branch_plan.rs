//! Decides how a new release changes a job's existing pull requests and their branches. Pure.
//!
//! A job has at most two open pull requests: a *final* pull request, which people can merge, and a draft with
//! unfinished work (*WIP*). A branch on which other users are active is never reset.

use crate::id::{CommentId, Sha, UnixMillis};
use crate::port::{Actor, BranchPull, PullActivity, PullCommit, PullState, ReviewState};

use super::SyncVerdict;

/// The state of the job's pull requests at the forge.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct JobPullState<'a> {
    /// Newest final pull request, open or not.
    pub newest_pull: Option<&'a BranchPull>,
    /// True if the newest final pull request already contains the change for the release.
    pub covers: bool,
    /// True if other users have worked on the newest final pull request.
    pub has_foreign_work: bool,
    /// True if a draft with unfinished work is open.
    pub is_draft_open: bool,
}

/// The action for a release, given the existing pull requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BranchPlan {
    /// No action: a merged pull request covers the release.
    Covered,
    /// No action. An open pull request without other users' work covers the release, and making the change
    /// again would result in the same branch.
    Unchanged,
    /// Continue the draft with unfinished work.
    Continue,
    /// Create a branch from the current base, and a new pull request.
    Begin,
    /// Reset the branch of the open pull request to the current base, make the change again, and keep the
    /// pull request.
    Restart,
    /// Change only the version bounds, in an additional commit after other users' commits on the branch.
    AppendBoundsCommit,
    /// Change nothing, and report that the release has to wait because other users work on the branch.
    Blocked,
}

/// Returns the action for the verdict `relax` or `bump`. `is_unchanged` is true if making the change again on
/// the current base would result in the same branch.
pub fn plan_branch(existing: JobPullState<'_>, verdict: SyncVerdict, is_unchanged: bool) -> BranchPlan {
    if existing.is_draft_open && verdict == SyncVerdict::Bump {
        return BranchPlan::Continue;
    }
    match existing.newest_pull.map(|pull| pull.state) {
        Some(PullState::Merged) if existing.covers => BranchPlan::Covered,
        None | Some(PullState::Merged | PullState::Closed) => BranchPlan::Begin,
        Some(PullState::Open | PullState::Draft) => match (existing.has_foreign_work, verdict) {
            (false, _) if existing.covers && is_unchanged => BranchPlan::Unchanged,
            (false, _) => BranchPlan::Restart,
            (true, SyncVerdict::Relax) => BranchPlan::AppendBoundsCommit,
            (true, SyncVerdict::Bump | SyncVerdict::Ask | SyncVerdict::Skip) => BranchPlan::Blocked,
        },
    }
}

/// Activity of another user that forbids a reset of the branch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BranchActivity {
    /// Another user committed to the branch.
    Commit(Sha),
    /// Another user commented on the newest commit.
    Remark(CommentId),
    /// A reviewer requests changes to the newest commit.
    ChangesRequested(String),
}

/// Detects other users' activity on a pull request by Truing: commits, comments on the newest commit, or a
/// request for changes to the newest commit. Truing's commits do not count as activity, even after a user has
/// rebased them. Comments and reviews by bots are ignored.
pub fn find_activity(
    activity: &PullActivity,
    head: &Sha,
    is_own_commit: impl Fn(&str) -> bool,
) -> Option<BranchActivity> {
    let is_own = |commit: &&PullCommit| {
        commit.author.as_ref().is_some_and(|author| author.is_own_account)
            || is_own_commit(&commit.author_email)
    };
    // All commits are checked, because a later commit by Truing must not hide another user's commit.
    if let Some(commit) = activity.commits.iter().find(|commit| !is_own(commit)) {
        return Some(BranchActivity::Commit(commit.sha.clone()));
    }
    let is_person = |author: &Option<Actor>| {
        author.as_ref().is_some_and(|author| !author.is_own_account && author.is_person)
    };
    let on_head = |commit: &Option<Sha>| commit.as_ref() == Some(head);
    let remark = activity.comments.iter().find(|remark| is_person(&remark.author) && on_head(&remark.commit));
    if let Some(remark) = remark {
        return Some(BranchActivity::Remark(remark.id.clone()));
    }
    // Only the last verdict of each reviewer counts.
    let mut last: Vec<(&Actor, ReviewState, Option<UnixMillis>)> = Vec::new();
    for review in
        activity.reviews.iter().filter(|review| is_person(&review.author) && on_head(&review.commit))
    {
        let Some(author) = &review.author else { continue };
        match review.state {
            ReviewState::Approved | ReviewState::ChangesRequested | ReviewState::Dismissed => {
                last.retain(|(other, ..)| other.id != author.id);
                last.push((author, review.state, review.submitted_at));
            }
            ReviewState::Commented | ReviewState::Pending => {}
        }
    }
    let wanted = last.into_iter().find(|(_, state, _)| *state == ReviewState::ChangesRequested);
    wanted.map(|(author, ..)| BranchActivity::ChangesRequested(author.login.clone()))
}

impl BranchActivity {
    /// Renders the activity as text that can follow the word "because".
    pub fn activity_text(&self) -> String {
        match self {
            Self::Commit(sha) => format!("a person committed {} to the branch", sha.short_sha()),
            Self::Remark(_) => "a person commented on the newest commit".to_owned(),
            Self::ChangesRequested(login) => format!("{login} requested changes to the newest commit"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{AccountId, ReviewId};
    use crate::port::{PullRequestComment, PullReview};

    fn sha(digit: char) -> Sha {
        Sha::parse(&digit.to_string().repeat(40)).unwrap()
    }

    fn pull(state: PullState) -> BranchPull {
        BranchPull {
            number: 1,
            url: String::new(),
            title: String::new(),
            body: String::new(),
            state,
            head: sha('a'),
            branch: "b".into(),
            base_branch: "main".into(),
            author: None,
            topic: None,
            created: UnixMillis(0),
            labels: Vec::new(),
        }
    }

    #[test]
    fn the_table_of_what_stands() {
        use BranchPlan::{AppendBoundsCommit, Begin, Blocked, Continue, Covered, Restart, Unchanged};
        use PullState::{Closed, Merged, Open};
        let rows = [
            // Columns: state of the newest pull request, `covers`, `has_foreign_work`, `is_draft_open`,
            // `same`, and the expected plans for `relax` and `bump`.
            (None, false, false, false, false, Begin, Begin),
            (None, false, false, true, false, Begin, Continue),
            (Some(Merged), true, false, false, false, Covered, Covered),
            (Some(Merged), false, false, false, false, Begin, Begin),
            (Some(Closed), true, false, false, false, Begin, Begin),
            (Some(Open), false, false, false, false, Restart, Restart),
            (Some(Open), true, false, false, false, Restart, Restart),
            (Some(Open), true, false, false, true, Unchanged, Unchanged),
            (Some(Open), true, true, false, true, AppendBoundsCommit, Blocked),
            (Some(Open), false, true, false, false, AppendBoundsCommit, Blocked),
        ];
        for (last, covers, has_foreign_work, is_draft_open, same, relax, bump) in rows {
            let last = last.map(pull);
            let existing =
                JobPullState { newest_pull: last.as_ref(), covers, has_foreign_work, is_draft_open };
            let got = (
                plan_branch(existing, SyncVerdict::Relax, same),
                plan_branch(existing, SyncVerdict::Bump, same),
            );
            assert_eq!(got, (relax, bump), "{existing:?}, same: {same}");
        }
    }

    fn actor(login: &str) -> Option<Actor> {
        Some(Actor {
            id: AccountId::new(login),
            login: login.into(),
            is_own_account: login == "truing",
            is_person: login != "truing" && login != "robot",
        })
    }

    fn commit(operator: &str, digit: char) -> PullCommit {
        PullCommit {
            sha: sha(digit),
            author: actor(operator),
            author_name: operator.into(),
            author_email: format!("{operator}@x"),
            committed_at: UnixMillis(0),
        }
    }

    fn remark(operator: &str, on: Option<char>) -> PullRequestComment {
        PullRequestComment {
            id: CommentId::new("7"),
            author: actor(operator),
            commit: on.map(sha),
            created: UnixMillis(0),
            body: "no".into(),
            topic: None,
        }
    }

    fn review(operator: &str, state: ReviewState, on: char) -> PullReview {
        PullReview {
            id: ReviewId::new("1"),
            author: actor(operator),
            state,
            commit: Some(sha(on)),
            submitted_at: None,
            body: String::new(),
            topic: None,
        }
    }

    #[test]
    fn only_people_on_what_is_newest_make_a_branch_theirs() {
        let own = || vec![commit("truing", 'a')];
        let is = |activity: PullActivity| find_activity(&activity, &sha('a'), |_| false);
        assert_eq!(is(PullActivity { commits: own(), ..PullActivity::default() }), None);
        let commits = vec![commit("ann", 'b'), commit("truing", 'a')];
        assert!(
            is(PullActivity { commits, ..PullActivity::default() }).is_some(),
            "ours came after, in place"
        );
        let commits = vec![commit("truing", 'a'), commit("ann", 'b')];
        assert_eq!(
            is(PullActivity { commits, ..PullActivity::default() }),
            Some(BranchActivity::Commit(sha('b')))
        );
        let rebased = vec![commit("unknown", 'a')];
        let activity = PullActivity { commits: rebased, ..PullActivity::default() };
        assert_eq!(find_activity(&activity, &sha('a'), |email| email == "unknown@x"), None);
        assert!(find_activity(&activity, &sha('a'), |_| false).is_some(), "nothing of ours is left");

        for (said, theirs) in [
            (remark("ann", Some('a')), true),
            (remark("ann", Some('b')), false),
            (remark("ann", None), false),
            (remark("robot", Some('a')), false),
            (remark("truing", Some('a')), false),
        ] {
            let activity =
                PullActivity { commits: own(), comments: vec![said.clone()], ..PullActivity::default() };
            assert_eq!(is(activity).is_some(), theirs, "{said:?}");
        }
        use ReviewState::{Approved, ChangesRequested, Commented, Dismissed};
        for (reviews, theirs) in [
            (vec![review("ann", ChangesRequested, 'a')], true),
            (vec![review("ann", ChangesRequested, 'b')], false),
            (vec![review("ann", ChangesRequested, 'a'), review("ann", Commented, 'a')], true),
            (vec![review("ann", ChangesRequested, 'a'), review("ann", Approved, 'a')], false),
            (vec![review("ann", ChangesRequested, 'a'), review("bob", Approved, 'a')], true),
            (vec![review("ann", Dismissed, 'a')], false),
            (vec![review("robot", ChangesRequested, 'a')], false),
        ] {
            let activity =
                PullActivity { commits: own(), reviews: reviews.clone(), ..PullActivity::default() };
            assert_eq!(is(activity).is_some(), theirs, "{reviews:?}");
        }
    }
}
