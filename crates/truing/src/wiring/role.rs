//! The roles of a model, and the error for a role if the configuration prevents requests to the role's model.

use truing_core::converge::ConvergeExitCode;

use crate::cli::error::CliError;

/// End of a hint that suggests a review without a model, for commands with the flag `--runtime`.
const NO_MODEL_HINT: &str = ", or review without a model: `--runtime rules`";
/// The same end of a hint, for commands without this flag.
const NO_MODEL_KEY_HINT: &str = ", or review without a model: `review.runtime = \"rules\"`";

/// Replaces the flag `--runtime` in the hints by its configuration key, for commands without this flag.
pub(crate) fn suggest_runtime_key(error: CliError) -> CliError {
    error.map_hints(|hint| hint.replace(NO_MODEL_HINT, NO_MODEL_KEY_HINT))
}

/// The task for which a model is used. Errors name the role.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ModelRole {
    /// Reviews the changes of a pull request or a repository.
    Reviewer,
    /// Audits the head in a converge run.
    Auditor,
    /// Fixes findings in a converge run.
    Fixer,
    /// Writes code for a sync job.
    Porter,
    /// Answers with one word, which proves that the model is available.
    AvailabilityChecker,
}

impl ModelRole {
    /// Returns the error for a model to which no requests are possible. In a converge run, this error is the
    /// refusal R3.
    pub(super) fn refusal_error(self, code: &'static str, message: String) -> CliError {
        let worker = match self {
            Self::Reviewer | Self::Porter | Self::AvailabilityChecker => {
                return CliError::usage(code, message);
            }
            Self::Auditor => "auditor",
            Self::Fixer => "fixer",
        };
        CliError::usage(ConvergeExitCode::NoAgent.as_str(), format!("the {worker} has no model: {message}"))
    }

    /// Returns the end of a hint that suggests a command without a model. Returns an empty text if the role
    /// requires a model.
    pub(super) fn no_model_hint(self) -> &'static str {
        match self {
            Self::Reviewer => NO_MODEL_HINT,
            Self::Auditor | Self::Fixer | Self::Porter | Self::AvailabilityChecker => "",
        }
    }
}
