//! Errors for invalid calls of tools.

use truing_diff::RepoPath;

/// Reason why a call is refused, as a message for the model.
#[derive(Debug, thiserror::Error)]
pub(super) enum ToolCallError {
    #[error("the input of `{tool}` is wrong: {source}")]
    InvalidInput { tool: &'static str, source: serde_json::Error },
    #[error(
        "`{0}` is not a valid path in this tree: paths are relative to the root of the repository and \
        separated by `/`, without a leading `/` and without `..`"
    )]
    NotAPath(String),
    #[error(
        "there is no file `{path}` in this tree{suggestion}; links, submodules and files that exceed a \
        limit are left out"
    )]
    NoSuchFile { path: RepoPath, suggestion: String },
    #[error("there is no file or folder `{0}` in this tree; `list` without a path shows the root")]
    NoSuchFileOrFolder(RepoPath),
    #[error("`{0}` is a folder: `list` shows what is in it")]
    IsAFolder(RepoPath),
    #[error("`{path}` cannot be read: {reason}")]
    NotReadable { path: RepoPath, reason: &'static str },
    #[error("`{path}` has {lines} lines: `start_line` must be between 1 and this number")]
    NoSuchLine { path: RepoPath, lines: u32 },
    #[error("`end_line` is before `start_line`")]
    EndBeforeStart,
    #[error("`{argument}` must be between {min} and {max}")]
    OutOfRange { argument: &'static str, min: usize, max: usize },
    #[error("the pattern is too long ({bytes} bytes; at most {max_bytes})")]
    LongPattern { bytes: usize, max_bytes: usize },
    #[error("the pattern cannot be used: {reason}. {hint}")]
    InvalidPattern { reason: String, hint: &'static str },
    #[error("`{0}` is not a name: give the bare name of a definition, such as `parse`, not `Parser.parse(`")]
    NotAName(String),
    #[error("the change does not touch `{0}`; `diff` without a path shows the complete change")]
    NotInChange(RepoPath),
    #[error("`skip` is {skip}, but the answer has only {total} entries")]
    SkipTooLarge { skip: usize, total: usize },
    #[error("the call could not be carried out: {0}")]
    CallFailed(String),
}
