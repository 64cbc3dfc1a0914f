//! Pushing one commit of ours to one branch: what the branch was before is part of what is asked for, so that nobody
//! else's commits are lost.

use truing_core::branch_name::is_branch_name;
use truing_core::id::Sha;
use truing_core::port::{HaltReason, Permit};

use crate::command::{GitOutput, clean};
use crate::{GitError, Remote, UnpushedCommit, network};

/// What came of a push.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PushOutcome {
    /// The branch is at the commit, by this push or by one before it.
    Done,
    /// The branch is not where it was expected: nothing was done.
    Moved {
        /// Where it is; none if there is no such branch.
        now: Option<Sha>,
    },
    /// The remote does not want it: nothing was done, and the same push comes to the same.
    Refused {
        /// Why.
        why: PushRefusal,
        /// The remote's words, cut and cleaned. Data of others.
        message: String,
    },
    /// The gate does not let it be made: nothing was done.
    Halted(HaltReason),
}

/// Why a remote does not want a push.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PushRefusal {
    /// It is the default branch, or the remote protects it by a rule.
    Protected,
    /// The credential may not push there, or not these files (workflows).
    Permission,
    /// A hook of the remote declined, or its reason is not known to us.
    Hook,
}

impl UnpushedCommit {
    /// Pushes the commit to this branch, which must be at `expected` (none: must not be there), whatever commits that
    /// takes from it. Never to the remote's default branch. The gate of the permit is asked right before.
    ///
    /// # Errors
    /// [`GitError::BadBranch`]; [`GitError::Unauthorized`], [`GitError::RemoteMissing`], [`GitError::TimedOut`] and
    /// whatever else git says. The push may have been done all the same if the connection broke or the time was up:
    /// ask for the branch's tip ([`crate::Mirror::branch_tip`]), or push again, which comes to the same.
    #[truing_core::boxed_future]
    pub async fn push(
        &self,
        remote: &Remote,
        branch: &str,
        expected: Option<&Sha>,
        permit: &Permit,
    ) -> Result<PushOutcome, GitError> {
        if !is_branch_name(branch) {
            return Err(GitError::BadBranch(branch.chars().take(200).collect()));
        }
        let reference = format!("refs/heads/{branch}");
        let before = self.look(remote, &reference).await?;
        if before.default.as_ref() == Some(&reference) {
            let message = format!("{branch} is the remote's default branch");
            return Ok(PushOutcome::Refused { why: PushRefusal::Protected, message });
        }
        if let Some(settled) = self.settled(&before, expected) {
            return Ok(settled);
        }

        let lease = expected.map_or("", Sha::as_str);
        let lease = format!("--force-with-lease={reference}:{lease}");
        let call = self.view().call("push").args([
            "--porcelain",
            "--no-verify",
            "--no-follow-tags",
            "--no-signed",
            "--recurse-submodules=no",
            &lease,
            "--end-of-options",
            remote.url(),
        ]);
        let call = call.arg(format!("{}:{reference}", self.sha()));
        // The remote was asked in between.
        if let Err(why) = permit.ask_again().await {
            return Ok(PushOutcome::Halted(why));
        }
        let finished = network::run(self.view().git(), remote, call).await?;
        if finished.code() == Some(0) {
            return Ok(PushOutcome::Done);
        }
        self.not_pushed(remote, (&reference, expected), finished).await
    }

    /// What a push that failed came to.
    async fn not_pushed(
        &self,
        remote: &Remote,
        (reference, expected): (&str, Option<&Sha>),
        finished: GitOutput,
    ) -> Result<PushOutcome, GitError> {
        let rejected = rejection(&finished.stdout, reference);
        let why = match &rejected {
            Some(reason) => refusal(&format!("{reason}; {}", finished.message)),
            // Refused before it was asked for anything.
            None if finished.message.contains("error: 403") => PushRefusal::Permission,
            None => return Err(network::explain(remote, "push", finished)),
        };
        // Who moves a branch between our look and our push is told by no words that can be relied on.
        if rejected.is_some() {
            let now = self.look(remote, reference).await?;
            if let Some(settled) = self.settled(&now, expected) {
                return Ok(settled);
            }
        }
        let reason = rejected.unwrap_or_default();
        let message = [reason, finished.message].into_iter().filter(|words| !words.is_empty());
        Ok(PushOutcome::Refused { why, message: message.collect::<Vec<_>>().join("; ") })
    }

    /// Is there nothing left to be done, or nothing that may be?
    fn settled(&self, seen: &RemoteRefs, expected: Option<&Sha>) -> Option<PushOutcome> {
        if seen.tip.as_ref() == Some(self.sha()) {
            return Some(PushOutcome::Done);
        }
        (seen.tip.as_ref() != expected).then(|| PushOutcome::Moved { now: seen.tip.clone() })
    }

    /// What the remote's default branch is, and where this ref is.
    async fn look(&self, remote: &Remote, reference: &str) -> Result<RemoteRefs, GitError> {
        let call = self.view().call("ls-remote").args(["--quiet", "--symref", "--end-of-options"]);
        let call = call.args([remote.url(), "HEAD", reference]);
        let answer = network::read(self.view().git(), remote, call).await?;
        let text = String::from_utf8_lossy(&answer);
        let default = text.lines().find_map(|line| line.strip_prefix("ref: ")?.strip_suffix("\tHEAD"));
        Ok(RemoteRefs { default: default.map(str::to_owned), tip: network::listed(&answer, reference)? })
    }
}

/// What a remote says of itself and one branch.
struct RemoteRefs {
    /// The ref of its default branch.
    default: Option<String>,
    /// Where the branch is.
    tip: Option<Sha>,
}

/// The reason in the line of a porcelain answer that says that the ref was not updated: `!`, tab, `FROM:TO`, tab,
/// reason.
fn rejection(answer: &[u8], reference: &str) -> Option<String> {
    let to = format!(":{reference}");
    answer.split(|byte| *byte == b'\n').find_map(|line| {
        let line = std::str::from_utf8(line).ok()?;
        let (refs, reason) = line.strip_prefix("!\t")?.split_once('\t')?;
        refs.ends_with(&to).then(|| clean(reason.as_bytes(), None))
    })
}

/// What a remote's words mean; the first that is found counts. `GH006` and `GH013` are GitHub's for protected branches
/// and for rules.
fn refusal(said: &str) -> PushRefusal {
    const WORDS: &[(&str, PushRefusal)] = &[
        ("refusing to allow", PushRefusal::Permission),
        ("ermission", PushRefusal::Permission),
        ("GH006", PushRefusal::Protected),
        ("GH013", PushRefusal::Protected),
        ("rotected branch", PushRefusal::Protected),
        ("rule violations", PushRefusal::Protected),
    ];
    let known = WORDS.iter().find(|(words, _)| said.contains(words));
    known.map_or(PushRefusal::Hook, |(_, why)| *why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_remote_says_is_told_apart() {
        for (said, why) in [
            ("[remote rejected] (protected branch hook declined)", PushRefusal::Protected),
            ("remote: error: GH013: Repository rule violations found", PushRefusal::Protected),
            (
                "refusing to allow a GitHub App to create or update workflow without `workflows` permission",
                PushRefusal::Permission,
            ),
            ("[remote rejected] (pre-receive hook declined)", PushRefusal::Hook),
            ("something new", PushRefusal::Hook),
        ] {
            assert_eq!(refusal(said), why, "{said}");
        }
    }
}
