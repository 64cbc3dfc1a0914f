//! The changed files that a review has read, and those that it has not, each with the reason.

use serde::{Deserialize, Serialize};
use truing_diff::RepoPath;

/// The changed files that were read and those that were not.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ReviewCoverage {
    /// Files whose changed lines were read, in path order.
    pub reviewed: Vec<RepoPath>,
    /// Changed files that were not, each with the reason; and those of [`ReviewCoverage::cut`].
    pub not_reviewed: Vec<UnreviewedFile>,
}

impl ReviewCoverage {
    /// The files that were not read.
    pub fn unread(&self) -> impl Iterator<Item = &UnreviewedFile> {
        self.not_reviewed.iter().filter(|gap| gap.reason != SkipReason::MoreFindings)
    }

    /// The files that were read and have more findings than are kept.
    pub fn cut(&self) -> impl Iterator<Item = &RepoPath> {
        let cut = self.not_reviewed.iter().filter(|gap| gap.reason == SkipReason::MoreFindings);
        cut.map(|gap| &gap.path)
    }
}

/// A changed file that was not read, or not all findings of which are kept.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct UnreviewedFile {
    /// The path of the changed file.
    pub path: RepoPath,
    /// The reason for which it was not read.
    pub reason: SkipReason,
}

/// The reason for which a changed file was not read. By-design reasons do not make a review partial.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// Git takes it for binary.
    Binary,
    /// Removed: there is nothing left to read.
    Deleted,
    /// A submodule: another repository's commit.
    Submodule,
    /// A symbolic link: its target is not followed.
    Symlink,
    /// Git LFS keeps its content: the repository has a pointer.
    Lfs,
    /// Only its mode or name changed.
    Unchanged,
    /// Matches `rules.ignore`.
    Ignored,
    /// It was reviewed, and has more findings than are kept of one file: the worst are.
    MoreFindings,
    /// Over the size that is read.
    TooLarge,
    /// It takes more memory or time to read than one file may, or ended the process that read it.
    TooComplex,
    /// The time that a review may read was over before its turn.
    OutOfTime,
    /// Could not be read.
    Unreadable,
    /// The model was not shown it, and did not look at it.
    NotShown,
    /// In conflict: a merge has left it without one content.
    Unmerged,
    /// The diff that was given fits neither before nor after what the working tree has.
    DoesNotApply,
}

impl SkipReason {
    /// Excluded by design, or a gap that makes the review partial?
    pub fn by_design(self) -> bool {
        match self {
            Self::Binary
            | Self::Deleted
            | Self::Submodule
            | Self::Symlink
            | Self::Lfs
            | Self::Unchanged
            | Self::Ignored
            | Self::MoreFindings => true,
            Self::TooLarge
            | Self::TooComplex
            | Self::OutOfTime
            | Self::Unreadable
            | Self::NotShown
            | Self::Unmerged
            | Self::DoesNotApply => false,
        }
    }

    /// Is nothing known about what was found in the file before, since it was left unread or not all findings are kept?
    pub fn unread(self) -> bool {
        matches!(self, Self::Ignored | Self::MoreFindings | Self::Lfs) || !self.by_design()
    }

    /// The word used in JSON and text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Binary => "binary",
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
