//! Converts failures of a review to errors of the command line.

use truing_loops::agent::AgentError;
use truing_loops::local::LocalReviewError;
use truing_loops::reading::ReadingError;

use crate::cli::error::CliError;
use crate::wiring;

/// Converts an error of the model's review.
impl From<AgentError> for CliError {
    fn from(error: AgentError) -> Self {
        let text = error.to_string();
        match error {
            AgentError::Prompt(error) => wiring::prompt_error(&error),
            AgentError::Ledger(_) => Self::failure("store", text)
                .hint("check that the database's folder is writable, or set store.url to another file"),
            AgentError::Halted(reason) => Self::refusal("killswitch_engaged", text).hint(reason.hint()),
            AgentError::RecordingMismatch(what) => {
                let (what, difference) = what.split_once('\n').unwrap_or((&what, ""));
                Self::failure("drift", format!("the recording has no answer to this review: {what}"))
                    .with_excerpt(difference)
                    .hint(
                        "review the recorded commit with the same prompts and settings, or record this \
                        review again",
                    )
            }
        }
    }
}

/// Converts an error of a failed review.
impl From<LocalReviewError> for CliError {
    fn from(error: LocalReviewError) -> Self {
        let text = error.to_string();
        match error {
            LocalReviewError::Git(error) => wiring::git_error(error),
            LocalReviewError::Reading(ReadingError::Reader(error)) => wiring::reader_error(error),
            LocalReviewError::Reading(ReadingError::Diff { .. }) => {
                Self::failure("git_diff", text).hint("check that the program `git` in PATH is Git itself")
            }
            LocalReviewError::Agent(error) => error.into(),
            LocalReviewError::TemporaryFolder(_) => Self::failure("temporary_folder", text)
                .hint("check that the folder for temporary files exists and has free space, or set TMPDIR"),
        }
    }
}
