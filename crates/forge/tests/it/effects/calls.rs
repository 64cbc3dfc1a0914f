//! The call that makes each kind of effect at each forge, and how often it is sent where no answer comes.

use truing_core::effect::Kind;
use truing_fakes::forge::Flavour;

/// As often as a call that may be repeated is sent.
const SENT: u32 = 3;

/// Method, beginning or whole of the path, and how often it is sent. A forge that cannot make it has no call for it.
pub(super) fn call(flavour: Flavour, kind: Kind) -> (&'static str, String, u32) {
    match flavour {
        Flavour::GitHub => github(kind),
        Flavour::Cloud => {
            let repo = "/2.0/repositories/{owner}/{repo}";
            let pulls = format!("{repo}/pullrequests");
            let resolve = format!("{pulls}/{{number}}/comments/{{id}}/resolve");
            bitbucket(
                kind,
                &pulls,
                [
                    ("POST", resolve.clone(), SENT),
                    ("DELETE", resolve, SENT),
                    ("PUT", format!("{pulls}/{{number}}$"), SENT),
                    ("POST", format!("{repo}/commit/{{sha}}/statuses/build$"), SENT),
                    ("POST", "/{owner}/{repo}/git-receive-pack".to_owned(), 2),
                ],
            )
        }
        Flavour::DataCenter => {
            let repo = "/rest/api/latest/projects/{owner}/repos/{repo}";
            let pulls = format!("{repo}/pull-requests");
            let settle = ("PUT", format!("{pulls}/{{number}}/comments/{{id}}$"), SENT);
            bitbucket(
                kind,
                &pulls,
                [
                    settle.clone(),
                    settle,
                    ("POST", format!("{pulls}/{{number}}/participants$"), SENT),
                    ("POST", format!("{repo}/commits/{{sha}}/builds$"), SENT),
                    ("POST", "/scm/{owner}/{repo}/git-receive-pack".to_owned(), 2),
                ],
            )
        }
    }
}

fn github(kind: Kind) -> (&'static str, String, u32) {
    const REPO: &str = "/repos/{owner}/{repo}";
    const ISSUES: &str = "/repos/{owner}/{repo}/issues/{number}/comments";
    const PULL: &str = "/repos/{owner}/{repo}/pulls/{number}";
    const COMMENT: &str = "/repos/{owner}/{repo}/issues/comments/{id}";
    match kind {
        Kind::Review | Kind::Findings => ("POST", format!("{PULL}/reviews"), 1),
        Kind::ReviewAsComment | Kind::Comment | Kind::Trigger | Kind::NewComment | Kind::Summary => {
            ("POST", ISSUES.to_owned(), 1)
        }
        Kind::LineComment | Kind::FileFinding => ("POST", format!("{PULL}/comments$"), 1),
        Kind::Reply => ("POST", format!("{PULL}/comments/{{id}}/replies"), 1),
        Kind::Resolve | Kind::Reopen | Kind::MarkReady | Kind::SetDraft => {
            ("POST", "/graphql".to_owned(), SENT)
        }
        Kind::RequestReview => ("POST", format!("{PULL}/requested_reviewers"), SENT),
        Kind::UpdateBranch => ("PUT", format!("{PULL}/update-branch"), SENT),
        Kind::Describe | Kind::EditPull | Kind::ClosePull => ("PATCH", format!("{PULL}$"), SENT),
        Kind::Push => ("POST", "/{owner}/{repo}/git-receive-pack".to_owned(), 2),
        Kind::OpenPull => ("POST", format!("{REPO}/pulls$"), 1),
        Kind::Label => ("POST", format!("{REPO}/issues/{{number}}/labels"), SENT),
        Kind::OpenIssue => ("POST", format!("{REPO}/issues$"), 1),
        Kind::EditIssue | Kind::CloseIssue => ("PATCH", format!("{REPO}/issues/{{number}}$"), SENT),
        Kind::EditComment => ("PATCH", COMMENT.to_owned(), SENT),
        Kind::DeleteComment | Kind::DeleteDuplicate => ("DELETE", COMMENT.to_owned(), SENT),
        Kind::Status => ("POST", format!("{REPO}/statuses/{{sha}}"), 1),
    }
}

/// What both Bitbuckets make alike below the address of pull requests; and resolving, reopening, asking for a review, a
/// status and a push, which they do not.
fn bitbucket(
    kind: Kind,
    pulls: &str,
    [resolve, reopen, ask, status, push]: [(&'static str, String, u32); 5],
) -> (&'static str, String, u32) {
    let comment = format!("{pulls}/{{number}}/comments/{{id}}$");
    match kind {
        Kind::Review
        | Kind::ReviewAsComment
        | Kind::Comment
        | Kind::LineComment
        | Kind::Reply
        | Kind::Trigger
        | Kind::NewComment
        | Kind::Summary
        | Kind::Findings
        | Kind::FileFinding => ("POST", format!("{pulls}/{{number}}/comments$"), 1),
        Kind::EditComment => ("PUT", comment, SENT),
        Kind::DeleteComment | Kind::DeleteDuplicate => ("DELETE", comment, SENT),
        Kind::Resolve => resolve,
        Kind::Reopen => reopen,
        Kind::RequestReview => ask,
        Kind::MarkReady | Kind::Describe | Kind::EditPull | Kind::SetDraft => {
            ("PUT", format!("{pulls}/{{number}}$"), SENT)
        }
        Kind::ClosePull => ("POST", format!("{pulls}/{{number}}/decline$"), 1),
        Kind::OpenPull => ("POST", format!("{pulls}$"), 1),
        Kind::Status => status,
        Kind::Push => push,
        Kind::UpdateBranch | Kind::Label | Kind::OpenIssue | Kind::EditIssue | Kind::CloseIssue => {
            panic!("a Bitbucket has no call for {kind:?}")
        }
    }
}
