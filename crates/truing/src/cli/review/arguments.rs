//! Interprets the positional argument of `truing review`: a folder, a pull request or a commit.

use std::path::Path;

use clap::ValueEnum;
use truing_config::environment::Environment;
use truing_core::finding::Severity;

use super::target::is_pull_reference;
use crate::cli::error::CliError;
use crate::cli::output::shell_quote;
use crate::wiring;

/// The reviewers of a review.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum ReviewerFlag {
    /// Rules only: no model is called
    Rules,
    /// Rules and a model that reads the code with tools: needs a key
    #[value(alias = "sdk")]
    Native,
    /// Rules and a model called through the `claude` program: needs that program and a key
    Cli,
}

impl ReviewerFlag {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Rules => "rules",
            Self::Native => "native",
            Self::Cli => "cli",
        }
    }
}

/// The severities at which a finding makes the exit code 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(super) enum FailOnFlag {
    /// P0 only
    #[value(name = "P0")]
    P0,
    /// P1 and P0
    #[value(name = "P1")]
    P1,
    /// Every finding
    #[value(name = "P2")]
    P2,
    /// Findings never block
    Never,
}

impl FailOnFlag {
    pub(super) fn blocks(self, severity: Severity) -> bool {
        match self {
            Self::P0 => severity <= Severity::P0,
            Self::P1 => severity <= Severity::P1,
            Self::P2 => severity <= Severity::P2,
            Self::Never => false,
        }
    }
}

/// The target that the positional argument names.
pub(super) enum ReviewTarget {
    Folder,
    PullRequest,
    /// A commit, or a range of commits.
    Commits {
        /// Commit to compare with. `None` if the argument is a single commit.
        base: Option<String>,
        /// Commit that is to be reviewed.
        head: String,
    },
}

impl ReviewTarget {
    /// Interprets `text`. `text` is a path if it begins with `/`, `./`, `../` or `~`, or if a folder or file
    /// of this name exists.
    fn from_text(text: &str, folder: &Path) -> Self {
        let is_there = !text.contains("://") && folder.join(text).exists();
        let is_path = ["/", "./", "../", "~"].iter().any(|begin| text.starts_with(begin));
        if is_there || is_path || matches!(text, "" | "." | "..") {
            return Self::Folder;
        }
        let range = text.split_once("...").or_else(|| text.split_once(".."));
        if is_pull_reference(text) && (range.is_none() || !may_be_ref(text)) {
            return Self::PullRequest;
        }
        let (base, head) = range.map_or((None, text), |(base, head)| (Some(base), head));
        let of = |name: &str| if name.is_empty() { "HEAD" } else { name }.to_owned();
        Self::Commits { base: base.map(of), head: of(head) }
    }

    /// Resolves the text of the positional argument. A text such as `owner/name/7` may name a pull request or
    /// a commit. If git resolves the text to a commit, the text means that commit.
    pub(super) async fn resolve(text: &str, environment: &Environment, will_publish: bool) -> Self {
        match Self::from_text(text, environment.directory()) {
            Self::PullRequest if !will_publish && may_be_ref(text) && is_commit(text, environment).await => {
                Self::Commits { base: None, head: text.to_owned() }
            }
            target @ (Self::Folder | Self::PullRequest | Self::Commits { .. }) => target,
        }
    }
}

/// Returns an error if the text names a file. The error's hint is the command that reviews only this file.
///
/// # Errors
/// Returns exit 2 for a file.
pub(super) fn reject_file(text: &str, environment: &Environment) -> Result<(), CliError> {
    let path = environment.directory().join(text);
    if !path.is_file() {
        return Ok(());
    }
    let (message, file) = (format!("{} is not a folder", path.display()), shell_quote(text));
    Err(CliError::usage("not_a_repository", message)
        .hint(format!(
            "to review only the changes of this file: `git diff HEAD -- {file} | truing review --diff -`"
        ))
        .hint("to review all changes, specify a folder inside a git repository, or no folder"))
}

/// Returns true if a text that looks like a pull request may also name a branch, a tag or a range. A number
/// or a URL always names a pull request.
fn may_be_ref(text: &str) -> bool {
    let is_number = text.trim_start_matches('#').bytes().all(|byte| byte.is_ascii_digit());
    !is_number && !text.contains("://")
}

/// Returns true if the text names a commit in the repository of the current folder. Returns false if there is
/// no repository.
pub(super) async fn is_commit(name: &str, environment: &Environment) -> bool {
    let Ok(git) = wiring::open_git(environment).await else { return false };
    let Ok(repository) = git.open_without_commits(environment.directory()).await else { return false };
    repository.resolve_commit(name).await.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_branches_that_end_with_numbers_is_no_pull_request() {
        let nowhere = Path::new("/nonexistent");
        let range = ReviewTarget::from_text("main..fix/login/12", nowhere);
        let ReviewTarget::Commits { base, head } = range else { panic!("no range") };
        assert_eq!((base.as_deref(), head.as_str()), (Some("main"), "fix/login/12"));
        for pull in ["7", "#7", "o/r/7", "o/r#7", "https://github.com/o/r/pull/7?a..b"] {
            assert!(matches!(ReviewTarget::from_text(pull, nowhere), ReviewTarget::PullRequest), "{pull}");
        }
        assert!(may_be_ref("origin/fix/12") && may_be_ref("refs/heads/7"));
        assert!(!may_be_ref("7") && !may_be_ref("#7") && !may_be_ref("https://github.com/o/r/pull/7"));
    }
}
