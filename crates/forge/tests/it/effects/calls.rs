//! Lists the call that makes each kind of effect at each forge, and the number of times that the client sends
//! the call without a response.

use truing_core::effect::EffectKind;
use truing_fakes::forge::ForgeFlavour;

/// Number of times that the client sends a repeatable call.
const SENT: u32 = 3;

/// Returns the call's method, its path or path prefix, and the number of times that the client sends it. Must
/// not be called for an effect that the forge cannot make.
pub(super) fn call(flavour: ForgeFlavour, kind: EffectKind) -> (&'static str, String, u32) {
    match flavour {
        ForgeFlavour::GitHub => github(kind),
        ForgeFlavour::Cloud => {
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
        ForgeFlavour::DataCenter => {
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

fn github(kind: EffectKind) -> (&'static str, String, u32) {
    const REPO: &str = "/repos/{owner}/{repo}";
    const ISSUES: &str = "/repos/{owner}/{repo}/issues/{number}/comments";
    const PULL: &str = "/repos/{owner}/{repo}/pulls/{number}";
    const COMMENT: &str = "/repos/{owner}/{repo}/issues/comments/{id}";
    match kind {
        EffectKind::Review | EffectKind::Findings => ("POST", format!("{PULL}/reviews"), 1),
        EffectKind::ReviewAsComment
        | EffectKind::Comment
        | EffectKind::Trigger
        | EffectKind::NewComment
        | EffectKind::Summary => ("POST", ISSUES.to_owned(), 1),
        EffectKind::LineComment | EffectKind::FileFinding => ("POST", format!("{PULL}/comments$"), 1),
        EffectKind::Reply => ("POST", format!("{PULL}/comments/{{id}}/replies"), 1),
        EffectKind::Resolve | EffectKind::Reopen | EffectKind::MarkReady | EffectKind::SetDraft => {
            ("POST", "/graphql".to_owned(), SENT)
        }
        EffectKind::RequestReview => ("POST", format!("{PULL}/requested_reviewers"), SENT),
        EffectKind::UpdateBranch => ("PUT", format!("{PULL}/update-branch"), SENT),
        EffectKind::Describe | EffectKind::EditPull | EffectKind::ClosePull => {
            ("PATCH", format!("{PULL}$"), SENT)
        }
        EffectKind::Push => ("POST", "/{owner}/{repo}/git-receive-pack".to_owned(), 2),
        EffectKind::OpenPull => ("POST", format!("{REPO}/pulls$"), 1),
        EffectKind::Label => ("POST", format!("{REPO}/issues/{{number}}/labels"), SENT),
        EffectKind::OpenIssue => ("POST", format!("{REPO}/issues$"), 1),
        EffectKind::EditIssue | EffectKind::CloseIssue => {
            ("PATCH", format!("{REPO}/issues/{{number}}$"), SENT)
        }
        EffectKind::EditComment => ("PATCH", COMMENT.to_owned(), SENT),
        EffectKind::DeleteComment | EffectKind::DeleteDuplicate => ("DELETE", COMMENT.to_owned(), SENT),
        EffectKind::Status => ("POST", format!("{REPO}/statuses/{{sha}}"), 1),
    }
}

/// Returns the call of a kind of effect at either Bitbucket. Most calls differ only in the path of pull
/// requests. The array contains the other calls: resolving, reopening, requesting a review, a status and a
/// push.
fn bitbucket(
    kind: EffectKind,
    pulls: &str,
    [resolve, reopen, ask, status, push]: [(&'static str, String, u32); 5],
) -> (&'static str, String, u32) {
    let comment = format!("{pulls}/{{number}}/comments/{{id}}$");
    match kind {
        EffectKind::Review
        | EffectKind::ReviewAsComment
        | EffectKind::Comment
        | EffectKind::LineComment
        | EffectKind::Reply
        | EffectKind::Trigger
        | EffectKind::NewComment
        | EffectKind::Summary
        | EffectKind::Findings
        | EffectKind::FileFinding => ("POST", format!("{pulls}/{{number}}/comments$"), 1),
        EffectKind::EditComment => ("PUT", comment, SENT),
        EffectKind::DeleteComment | EffectKind::DeleteDuplicate => ("DELETE", comment, SENT),
        EffectKind::Resolve => resolve,
        EffectKind::Reopen => reopen,
        EffectKind::RequestReview => ask,
        EffectKind::MarkReady | EffectKind::Describe | EffectKind::EditPull | EffectKind::SetDraft => {
            ("PUT", format!("{pulls}/{{number}}$"), SENT)
        }
        EffectKind::ClosePull => ("POST", format!("{pulls}/{{number}}/decline$"), 1),
        EffectKind::OpenPull => ("POST", format!("{pulls}$"), 1),
        EffectKind::Status => status,
        EffectKind::Push => push,
        EffectKind::UpdateBranch
        | EffectKind::Label
        | EffectKind::OpenIssue
        | EffectKind::EditIssue
        | EffectKind::CloseIssue => {
            panic!("a Bitbucket has no call for {kind:?}")
        }
    }
}
