//! The changed files that a review has read, and, with the reasons, the changed files that the review has not
//! read.

use serde::{Deserialize, Serialize};
use truing_diff::RepoPath;

/// The coverage of a review: the changed files that were read and those that were not.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ReviewCoverage {
    /// Files whose changed lines were read, in path order.
    pub reviewed: Vec<RepoPath>,
    /// Changed files that were not read, each with the reason. The list also contains the files of
    /// [`ReviewCoverage::files_with_dropped_findings`].
    pub not_reviewed: Vec<CoverageGap>,
    /// Reviewed files that no linter checked, in path order; `None` if the review used no linters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub without_linter: Option<Vec<RepoPath>>,
}

impl ReviewCoverage {
    /// Returns the changed files that were not read, without those that `files_with_dropped_findings`
    /// returns.
    pub fn unread_files(&self) -> impl Iterator<Item = &CoverageGap> {
        self.not_reviewed.iter().filter(|gap| gap.reason != SkipReason::MoreFindings)
    }

    /// Returns the files that were read but have more findings than the limit. Only some findings of such a
    /// file are kept.
    pub fn files_with_dropped_findings(&self) -> impl Iterator<Item = &RepoPath> {
        let cut = self.not_reviewed.iter().filter(|gap| gap.reason == SkipReason::MoreFindings);
        cut.map(|gap| &gap.path)
    }
}

/// A changed file that was not read, or that has more findings than the limit.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CoverageGap {
    /// Path of the changed file.
    pub path: RepoPath,
    /// Reason why the file was not read or its findings are incomplete.
    pub reason: SkipReason,
}

/// The reason why a changed file was not read. Reasons that are by design do not make the review partial.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// Git treats the file as binary.
    Binary,
    /// The file was text at the base, and git treats it as binary at the head. Rules other than the rules for
    /// secrets cannot check the file.
    BecameBinary,
    /// Git treats the file as binary, although its name or its first line says that it is source code. One
    /// NUL byte is enough for this, and interpreters may run the file all the same. Rules other than the
    /// rules for secrets cannot check the file.
    BinarySource,
    /// The file was removed.
    Deleted,
    /// The file is a submodule, which refers to a commit of another repository.
    Submodule,
    /// The file is a symbolic link, whose target is not followed.
    Symlink,
    /// Git LFS stores the file's content; the repository contains only a pointer.
    Lfs,
    /// Only the mode or the name of the file changed.
    Unchanged,
    /// The path matches `rules.ignore`.
    Ignored,
    /// The file was reviewed and has more findings than the limit for one file; only the worst findings are
    /// kept.
    MoreFindings,
    /// The file exceeds the size limit.
    TooLarge,
    /// Reading the file takes more memory or time than the limit for one file, or the process that read the
    /// file exited.
    TooComplex,
    /// The time limit for reading all files was reached before this file.
    OutOfTime,
    /// The file could not be read.
    Unreadable,
    /// The file was not shown to the model, and the model did not read it.
    NotShown,
    /// The file has a merge conflict, so it has no single content.
    Unmerged,
    /// The file's content in the working tree matches neither the old nor the new side of the given diff.
    DoesNotApply,
}

impl SkipReason {
    /// Returns true if files are excluded by design for this reason. Returns false if this reason makes the
    /// review partial.
    pub fn is_by_design(self) -> bool {
        match self {
            Self::Binary
            | Self::Deleted
            | Self::Submodule
            | Self::Symlink
            | Self::Lfs
            | Self::Unchanged
            | Self::Ignored
            | Self::MoreFindings => true,
            Self::BecameBinary
            | Self::BinarySource
            | Self::TooLarge
            | Self::TooComplex
            | Self::OutOfTime
            | Self::Unreadable
            | Self::NotShown
            | Self::Unmerged
            | Self::DoesNotApply => false,
        }
    }

    /// Returns true if the review cannot determine the status of earlier findings in the file. The file was
    /// not read, or only by some rules, or some of its findings were dropped.
    pub fn leaves_earlier_findings_undecided(self) -> bool {
        matches!(self, Self::Binary | Self::Ignored | Self::MoreFindings | Self::Lfs) || !self.is_by_design()
    }

    /// Returns the word used in JSON and text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Binary => "binary",
            Self::BecameBinary => "became_binary",
            Self::BinarySource => "binary_source",
            Self::Deleted => "deleted",
            Self::Submodule => "submodule",
            Self::Symlink => "symlink",
            Self::Lfs => "lfs",
            Self::Unchanged => "unchanged",
            Self::Ignored => "ignored",
            Self::MoreFindings => "more_findings",
            Self::TooLarge => "too_large",
            Self::TooComplex => "too_complex",
            Self::OutOfTime => "out_of_time",
            Self::Unreadable => "unreadable",
            Self::NotShown => "not_shown",
            Self::Unmerged => "unmerged",
            Self::DoesNotApply => "does_not_apply",
        }
    }
}
