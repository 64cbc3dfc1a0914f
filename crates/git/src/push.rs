//! Pushes one commit that Truing created to one branch. The push names the commit that the branch is expected
//! to be at. If the branch is at another commit, the remote rejects the push, so no commits of others are
//! overwritten.

use std::sync::Arc;

use truing_core::branch_name::is_branch_name;
use truing_core::id::Sha;
use truing_core::port::{HaltReason, WritePermit};

use crate::command::{GitOutput, clean_message};
use crate::commit_api::ApiPublisher;
use crate::{GitError, Remote, UnpushedCommit, network};

/// Result of a push.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PushOutcome {
    /// The branch is at the pushed commit, because of this push or an earlier push.
    Pushed {
        /// Commit on the branch. Its id differs from the id of the local commit if the commit was signed, or
        /// created by the forge's API.
        commit: Sha,
        /// Notice for people, if git pushed the commit although the forge's API should have created it.
        remark: Option<String>,
    },
    /// The branch is not at the expected commit, and nothing was changed.
    BranchMoved {
        /// Current commit of the branch; `None` if the branch does not exist.
        current_commit: Option<Sha>,
    },
    /// The remote rejected the push. Nothing was changed, and the remote would also reject a retry.
    RemoteRefused {
        reason: PushRefusal,
        /// Message of the remote as one truncated line without control characters. The message is untrusted
        /// data.
        message: String,
    },
    /// The gate is closed, so nothing was pushed.
    Halted(HaltReason),
}

/// The reason why a remote refuses a push.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PushRefusal {
    /// The branch is the default branch, or a rule of the remote protects it.
    ProtectedBranch,
    /// The credential lacks the permission to push to this branch, or to change these files (such as
    /// workflows).
    MissingPermission,
    /// A hook of the remote declined the push, or Truing does not know the reason.
    HookOrUnknown,
}

impl UnpushedCommit {
    /// Pushes the commit to this branch, which must be at `expected_tip`. If `expected_tip` is none, the
    /// branch must not exist. The push may rewrite the branch, so it can remove commits from the branch. A
    /// push to the remote's default branch is always rejected. The gate of `permit` is checked immediately
    /// before the push. If the remote has a [`crate::CommitApi`], this API creates the commit; if it has a
    /// signing key, the commit is signed.
    ///
    /// # Errors
    /// [`GitError::BadBranch`]; [`GitError::Unauthorized`], [`GitError::RemoteMissing`],
    /// [`GitError::TimedOut`] and other failures of git. After a broken connection or a timeout, the push may
    /// have succeeded. The caller can query the branch's tip ([`crate::Mirror::branch_tip`]), or push again,
    /// because a repeated push has no further effect.
    #[truing_core::boxed_future]
    pub async fn push(
        &self,
        remote: &Remote,
        branch: &str,
        expected_tip: Option<&Sha>,
        permit: &Arc<WritePermit>,
    ) -> Result<PushOutcome, GitError> {
        if !is_branch_name(branch) {
            return Err(GitError::BadBranch(branch.chars().take(200).collect()));
        }
        let reference = format!("refs/heads/{branch}");
        let before = self.query_remote(remote, &reference).await?;
        if before.default_branch.as_ref() == Some(&reference) {
            let message = format!("{branch} is the remote's default branch");
            return Ok(PushOutcome::RemoteRefused { reason: PushRefusal::ProtectedBranch, message });
        }
        let Some(api) = remote.commit_api() else {
            return self.push_with_git(remote, &before, expected_tip, permit).await;
        };
        match self.to_commit_draft(branch).await? {
            Ok(draft) => {
                ApiPublisher { api, remote, permit }.publish(self, draft, &before, expected_tip).await
            }
            Err(refusal) => {
                let outcome = self.push_with_git(remote, &before, expected_tip, permit).await?;
                let PushOutcome::Pushed { commit, .. } = outcome else { return Ok(outcome) };
                let remark =
                    format!("git pushed {}, because no API can create it: {refusal}", commit.short_sha());
                Ok(PushOutcome::Pushed { commit, remark: Some(remark) })
            }
        }
    }

    /// Signs the commit if the remote has a signing key, and pushes it, unless the branch is already at the
    /// commit or no longer at the expected commit.
    async fn push_with_git(
        &self,
        remote: &Remote,
        before: &RemoteRefs,
        expected_tip: Option<&Sha>,
        permit: &Arc<WritePermit>,
    ) -> Result<PushOutcome, GitError> {
        let signed_commit = match remote.signing_key() {
            Some(signing_key) => Some(self.sign(signing_key).await?),
            None => None,
        };
        let commit = signed_commit.as_ref().unwrap_or(self);
        if let Some(settled) = commit.outcome_without_push(before, expected_tip) {
            return Ok(settled);
        }
        commit.push_ref(remote, &before.reference, expected_tip, permit).await
    }

    /// Points a ref of the remote at this commit, if the ref is at the expected commit.
    pub(crate) async fn push_ref(
        &self,
        remote: &Remote,
        reference: &str,
        expected_tip: Option<&Sha>,
        permit: &Arc<WritePermit>,
    ) -> Result<PushOutcome, GitError> {
        let lease = expected_tip.map_or("", Sha::as_str);
        let lease = format!("--force-with-lease={reference}:{lease}");
        let call = self.isolated_dir().command("push").args([
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
        // The query of the remote took time, so the gate is checked again before the push.
        if let Err(why) = permit.recheck_gate().await {
            return Ok(PushOutcome::Halted(why));
        }
        let finished = network::run_with_network(self.isolated_dir().git(), remote, call).await?;
        if finished.code() == Some(0) {
            return Ok(PushOutcome::pushed(self.sha()));
        }
        self.classify_failed_push(remote, reference, expected_tip, finished).await
    }

    /// Deletes a ref of the remote, if it is at this commit and the gate is open.
    pub(crate) async fn delete_ref(
        &self,
        remote: &Remote,
        reference: &str,
        tip: &Sha,
        permit: &WritePermit,
    ) -> Result<(), GitError> {
        if permit.recheck_gate().await.is_err() {
            return Ok(());
        }
        let lease = format!("--force-with-lease={reference}:{tip}");
        let call = self.isolated_dir().command("push").args(["--porcelain", "--no-verify", "--no-signed"]);
        let call = call.args([&lease, "--end-of-options", remote.url()]).arg(format!(":{reference}"));
        network::read_remote_output(self.isolated_dir().git(), remote, call).await.map(drop)
    }

    /// Converts a failed push to its outcome, or to an error.
    async fn classify_failed_push(
        &self,
        remote: &Remote,
        reference: &str,
        expected_tip: Option<&Sha>,
        output: GitOutput,
    ) -> Result<PushOutcome, GitError> {
        let rejected = rejection_reason(&output.stdout, reference);
        let why = match &rejected {
            Some(reason) => classify_refusal(&format!("{reason}; {}", output.stderr_message)),
            // If the output names no rejected ref, the remote refused access before it processed the push.
            None if output.stderr_message.contains("error: 403") => PushRefusal::MissingPermission,
            None => return Err(network::classify_failure(remote, "push", output)),
        };
        // Another client may have moved the branch between our query and our push. Git has no reliable
        // message for this case, so the remote is queried again.
        if rejected.is_some() {
            let now = self.query_remote(remote, reference).await?;
            if let Some(settled) = self.outcome_without_push(&now, expected_tip) {
                return Ok(settled);
            }
        }
        let reason = rejected.unwrap_or_default();
        let message = [reason, output.stderr_message].into_iter().filter(|words| !words.is_empty());
        Ok(PushOutcome::RemoteRefused { reason: why, message: message.collect::<Vec<_>>().join("; ") })
    }

    /// Returns the final result if the branch is already at the pushed commit, or is no longer at the
    /// expected commit. Otherwise returns `None`.
    fn outcome_without_push(
        &self,
        remote_refs: &RemoteRefs,
        expected_tip: Option<&Sha>,
    ) -> Option<PushOutcome> {
        if remote_refs.tip.as_ref() == Some(self.sha()) {
            return Some(PushOutcome::pushed(self.sha()));
        }
        (remote_refs.tip.as_ref() != expected_tip)
            .then(|| PushOutcome::BranchMoved { current_commit: remote_refs.tip.clone() })
    }

    /// Queries the remote for its default branch and for the commit of this ref.
    pub(crate) async fn query_remote(
        &self,
        remote: &Remote,
        reference: &str,
    ) -> Result<RemoteRefs, GitError> {
        let call = self.isolated_dir().command("ls-remote").args(["--quiet", "--symref", "--end-of-options"]);
        let call = call.args([remote.url(), "HEAD", reference]);
        let answer = network::read_remote_output(self.isolated_dir().git(), remote, call).await?;
        let text = String::from_utf8_lossy(&answer);
        let default = text.lines().find_map(|line| line.strip_prefix("ref: ")?.strip_suffix("\tHEAD"));
        Ok(RemoteRefs {
            reference: reference.to_owned(),
            default_branch: default.map(str::to_owned),
            tip: network::parse_listed_ref(&answer, reference)?,
        })
    }
}

/// The default branch of a remote, and the commit of one branch.
pub(crate) struct RemoteRefs {
    /// Ref of the branch.
    pub(crate) reference: String,
    /// Ref of the remote's default branch.
    default_branch: Option<String>,
    /// Commit of the branch; `None` if the branch does not exist.
    pub(crate) tip: Option<Sha>,
}

impl PushOutcome {
    /// Returns the outcome for a branch that is at this commit.
    pub fn pushed(commit: &Sha) -> Self {
        Self::Pushed { commit: commit.clone(), remark: None }
    }
}

/// Extracts the reason from the line of git's porcelain output that reports the rejected ref. The line
/// consists of `!`, a tab, `FROM:TO`, a tab, and the reason.
fn rejection_reason(output: &[u8], reference: &str) -> Option<String> {
    let to = format!(":{reference}");
    output.split(|byte| *byte == b'\n').find_map(|line| {
        let line = std::str::from_utf8(line).ok()?;
        let (refs, reason) = line.strip_prefix("!\t")?.split_once('\t')?;
        refs.ends_with(&to).then(|| clean_message(reason.as_bytes(), None))
    })
}

/// Classifies a remote's message by the first pattern that matches. `GH006` and `GH013` are GitHub's codes
/// for protected branches and for rules.
pub(crate) fn classify_refusal(message: &str) -> PushRefusal {
    const WORDS: &[(&str, PushRefusal)] = &[
        ("refusing to allow", PushRefusal::MissingPermission),
        ("ermission", PushRefusal::MissingPermission),
        ("GH006", PushRefusal::ProtectedBranch),
        ("GH013", PushRefusal::ProtectedBranch),
        ("rotected branch", PushRefusal::ProtectedBranch),
        ("rule violations", PushRefusal::ProtectedBranch),
    ];
    let known = WORDS.iter().find(|(words, _)| message.contains(words));
    known.map_or(PushRefusal::HookOrUnknown, |(_, reason)| *reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_remote_says_is_told_apart() {
        for (said, why) in [
            ("[remote rejected] (protected branch hook declined)", PushRefusal::ProtectedBranch),
            ("remote: error: GH013: Repository rule violations found", PushRefusal::ProtectedBranch),
            (
                "refusing to allow a GitHub App to create or update workflow without `workflows` permission",
                PushRefusal::MissingPermission,
            ),
            ("[remote rejected] (pre-receive hook declined)", PushRefusal::HookOrUnknown),
            ("something new", PushRefusal::HookOrUnknown),
        ] {
            assert_eq!(classify_refusal(said), why, "{said}");
        }
    }
}
