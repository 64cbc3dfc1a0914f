//! The argument of `truing review` without a flag: a folder, a pull request or a commit.

use std::path::Path;

use clap::ValueEnum;
use truing_core::finding::Severity;

use super::target::names_pull;

/// The reviewers of a review.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Runtime {
    /// Rules only: no model is called
    Rules,
    /// Rules and a model that reads the code with tools: needs a key
    #[value(alias = "sdk")]
    Native,
    /// Rules and a model called through the `claude` program: needs that program and a key
    Cli,
}

impl Runtime {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Rules => "rules",
            Self::Native => "native",
            Self::Cli => "cli",
        }
    }
}

/// The findings that block.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(super) enum FailOn {
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

impl FailOn {
    pub(super) fn blocks(self, severity: Severity) -> bool {
        match self {
            Self::P0 => severity <= Severity::P0,
            Self::P1 => severity <= Severity::P1,
            Self::P2 => severity <= Severity::P2,
            Self::Never => false,
        }
    }
}

/// The meaning of an argument without a flag.
pub(super) enum NamedTarget {
    /// A folder.
    Folder,
    /// A pull request.
    Pull,
    /// A commit, or a range of commits.
    Commits {
        /// The commit to compare with, of a range.
        base: Option<String>,
        /// The commit to review.
        head: String,
    },
}

impl NamedTarget {
    /// The meaning of `text`. What is there as a folder or a file, or is written as a path, is a path.
    pub(super) fn of(text: &str, folder: &Path) -> Self {
        let is_there = !text.contains("://") && folder.join(text).exists();
        let is_path = ["/", "./", "../", "~"].iter().any(|begin| text.starts_with(begin));
        if is_there || is_path || matches!(text, "" | "." | "..") {
            return Self::Folder;
        }
        if names_pull(text) {
            return Self::Pull;
        }
        let range = text.split_once("...").or_else(|| text.split_once(".."));
        let (base, head) = range.map_or((None, text), |(base, head)| (Some(base), head));
        let of = |name: &str| if name.is_empty() { "HEAD" } else { name }.to_owned();
        Self::Commits { base: base.map(of), head: of(head) }
    }
}
