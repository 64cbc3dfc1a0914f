//! Runs the project's own checks twice: on the base commit without the change, and with the change. A check
//! that already fails without the change does not count.

use std::io;

use truing_agent::verify::{CacheScope, VerifiedTree, Verifier, VerifyError};
use truing_core::id::Sha;
use truing_core::verification::VerificationReport;
use truing_git::{GitError, Mirror, PrivateFolder};

use crate::files::{FileContentChange, RejectedFile, write_changes};

/// The results of the checks.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct CheckResults {
    /// Number of checks that ran. None if no checks are configured.
    pub(super) count: Option<usize>,
    /// The commands of the checks that pass without the change but fail with the change.
    pub(super) failing_commands: Vec<String>,
}

/// The reason why the checks have no result.
#[derive(Debug, thiserror::Error)]
pub enum ProjectCheckError {
    /// Git failed or could not be run.
    #[error(transparent)]
    Git(#[from] GitError),
    /// A temporary folder could not be created.
    #[error("cannot create a folder for the checks: {0}")]
    TemporaryFolder(#[from] io::Error),
    /// A file of the change cannot be written.
    #[error("cannot check the change: {0}")]
    File(#[from] RejectedFile),
    /// The checks could not be run.
    #[error(transparent)]
    Verify(#[from] VerifyError),
}

/// The checks of a job's project.
#[derive(Clone, Copy, Debug)]
pub(super) struct ProjectChecks<'a> {
    /// Runs the checks. None if no checks are configured.
    pub(super) verifier: Option<&'a Verifier>,
    pub(super) mirror: &'a Mirror,
    /// The repository in the form `owner/name`.
    pub(super) repo: &'a str,
}

impl ProjectChecks<'_> {
    /// Runs the checks on a commit without the changes, and on the same commit with the changes. If `changes`
    /// contains a file twice, the later content is used. `author` names the author of the changes. Dependency
    /// set-ups that one author's changes made are never used for another author.
    ///
    /// # Errors
    /// [`ProjectCheckError`]
    pub(super) async fn run_checks(
        &self,
        commit: &Sha,
        changes: &[&[FileContentChange]],
        author: &str,
    ) -> Result<CheckResults, ProjectCheckError> {
        let Some(verifier) = self.verifier else { return Ok(CheckResults::default()) };
        let own = format!("sync {}", self.repo);
        let base = PrivateFolder::new()?;
        self.mirror.check_out_private_clone(commit, &[], base.path()).await?;
        let base = verifier.verify_tree(base.path(), &CacheScope::new(own.clone()), None).await?;
        let tree = PrivateFolder::new()?;
        self.mirror.check_out_private_clone(commit, &[], tree.path()).await?;
        for changes in changes {
            write_changes(tree.path(), changes).await?;
        }
        let scope = CacheScope::new(format!("{own} {author}")).with_trusted(own);
        let baseline = base.verification.as_ref();
        let VerifiedTree { setup: set_up, verification } =
            verifier.verify_tree(tree.path(), &scope, baseline).await?;
        let Some(now) = verification else {
            let failed = set_up.commands.iter().filter(|ran| !ran.end.is_success());
            let failing = failed.map(|ran| format!("{} (set-up)", ran.argv.join(" "))).collect();
            return Ok(CheckResults { count: Some(0), failing_commands: failing });
        };
        let verdicts = VerificationReport::compare(baseline, &now);
        let failing = now.checks.iter().zip(verdicts).filter(|(_, verdict)| verdict.blocks());
        let failing = failing.map(|(check, _)| check.ran.argv.join(" ")).collect();
        Ok(CheckResults { count: Some(now.checks.len()), failing_commands: failing })
    }
}
