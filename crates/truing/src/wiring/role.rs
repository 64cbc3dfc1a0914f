//! Tasks of a model, and the errors of callers who cannot do theirs without one.

use truing_core::converge::ConvergeExitCode;

use crate::cli::error::CliError;

/// The work that a model is asked for: an error names who cannot do theirs without it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ModelRole {
    /// A review.
    Reviewer,
    /// The audits of a converge run.
    Auditor,
    /// The fixes of a converge run.
    Fixer,
    /// Code for a sync job.
    Porter,
    /// One word, to see that it answers.
    Checker,
}

impl ModelRole {
    /// The error where its model cannot be asked; of a converge run it is the refusal R3.
    pub(super) fn refused(self, code: &'static str, message: String) -> CliError {
        let worker = match self {
            Self::Reviewer | Self::Porter | Self::Checker => return CliError::usage(code, message),
            Self::Auditor => "auditor",
            Self::Fixer => "fixer",
        };
        CliError::usage(ConvergeExitCode::NoAgent.as_str(), format!("the {worker} has no model: {message}"))
    }

    /// The way to do the work without a model, to be added to a hint.
    pub(super) fn without(self) -> &'static str {
        match self {
            Self::Reviewer => ", or review without a model: `--runtime rules`",
            Self::Auditor | Self::Fixer | Self::Porter | Self::Checker => "",
        }
    }
}
