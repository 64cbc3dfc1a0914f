//! Finds the lines of a diff on which a forge accepts a comment.

use serde::{Deserialize, Serialize};

use crate::{FileDiff, FileStatus, RepoPath};

/// The side of a diff that line numbers refer to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiffSide {
    /// The file before the change.
    Old,
    /// The file after the change.
    New,
}

/// Position of a comment: on lines, on a file, or only in the summary.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnchorKind {
    /// The comment is on the lines.
    Inline,
    /// The comment is on the file, because the requested lines are not part of the diff.
    File,
    /// The comment is only in the summary, because the file is not part of the diff.
    Summary,
}

/// The reason why a comment is not on all requested lines.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InexactAnchorReason {
    /// Only some of the requested lines are in the diff, or they are in several hunks. The comment is on the
    /// requested lines of the hunk that contains most of them.
    Clamped,
    /// The file is in the diff, but its hunks contain none of the requested lines on this side.
    LinesNotInDiff,
    /// The diff contains no lines of the file on which a comment is possible. Possible reasons: the file is
    /// binary or empty, only its mode or name changed, or the diff is the diff of a merge.
    NoLines,
    /// The file is not in the diff.
    FileNotInDiff,
    /// The range is empty: the first line is 0, or the last line is before the first line.
    EmptyRange,
}

impl InexactAnchorReason {
    /// Returns the reason as a sentence.
    pub fn description(self) -> &'static str {
        match self {
            Self::Clamped => "the lines are not all in the same hunk of the diff",
            Self::LinesNotInDiff => "the lines are not in the diff",
            Self::NoLines => "the diff shows no line of the file",
            Self::FileNotInDiff => "the file is not in the diff",
            Self::EmptyRange => "the range of lines is empty",
        }
    }
}

/// The location at which a forge accepts a comment.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CommentAnchor {
    /// Kind of the location: lines, a file, or only the summary.
    #[serde(rename = "anchor")]
    pub kind: AnchorKind,
    /// Path of the file in the forge's diff. For a renamed file, this is the new name, even on the old side.
    /// For `Summary`, it is the requested path.
    pub path: RepoPath,
    /// Side that the line numbers refer to.
    pub side: DiffSide,
    /// First line of the comment for `Inline`; otherwise the first requested line.
    pub start_line: u32,
    /// Last line of the comment for `Inline`; otherwise the last requested line.
    pub end_line: u32,
    /// Reason why the comment is not on all requested lines; `None` if the comment is on all these lines.
    pub reason: Option<InexactAnchorReason>,
}

/// Finds the best location that a forge accepts for a comment on the lines `start..=end` (1-based) of `path`.
///
/// GitHub's rules are used, because no other forge has stricter rules. On the new side, the lines must be
/// added lines or context; on the old side, removed lines or context. All lines of a comment must be in one
/// hunk.
///
/// `path` is the file's name on `side`. For the old side, the new name of a renamed file is also accepted, if
/// no other file had this name before the change.
pub fn find_anchor(
    files: &[FileDiff<'_>],
    path: &RepoPath,
    side: DiffSide,
    start: u32,
    end: u32,
) -> CommentAnchor {
    let named = files.iter().filter_map(|file| Some((match_name(file, path, side)?, file)));
    let place =
        named.min_by_key(|(fit, _)| *fit).map(|(_, file)| find_anchor_in_file(file, side, start, end));
    place.unwrap_or_else(|| CommentAnchor {
        kind: AnchorKind::Summary,
        path: path.clone(),
        side,
        start_line: start,
        end_line: end,
        reason: Some(InexactAnchorReason::FileNotInDiff),
    })
}

/// The match between a name and a file of the diff, best match first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum NameMatch {
    /// The file has this name on this side.
    OnSide,
    /// The file does not exist on this side, or has this name only on the other side.
    ByOtherSide,
}

/// Compares the name with the file; returns `None` if they do not match.
fn match_name(file: &FileDiff<'_>, path: &RepoPath, side: DiffSide) -> Option<NameMatch> {
    let name_on_side = match (side, file.status) {
        (DiffSide::Old, FileStatus::Renamed) => file.old_path.as_ref(),
        // A copied file has no old side: the source of the copy is another file, and may be in the diff, too.
        (DiffSide::Old, FileStatus::Added | FileStatus::Copied) | (DiffSide::New, FileStatus::Deleted) => {
            None
        }
        (
            DiffSide::Old,
            FileStatus::Deleted | FileStatus::Modified | FileStatus::ModeChanged | FileStatus::BinaryModified,
        )
        | (
            DiffSide::New,
            FileStatus::Added
            | FileStatus::Modified
            | FileStatus::Renamed
            | FileStatus::Copied
            | FileStatus::ModeChanged
            | FileStatus::BinaryModified,
        ) => Some(&file.path),
    };
    if name_on_side == Some(path) {
        Some(NameMatch::OnSide)
    } else {
        (file.path == *path).then_some(NameMatch::ByOtherSide)
    }
}

/// Returns the best location in this file.
fn find_anchor_in_file(file: &FileDiff<'_>, side: DiffSide, start: u32, end: u32) -> CommentAnchor {
    let at = |kind, start_line, end_line, reason| CommentAnchor {
        kind,
        path: file.path.clone(),
        side,
        start_line,
        end_line,
        reason,
    };
    if start == 0 || end < start {
        return at(AnchorKind::File, start, end, Some(InexactAnchorReason::EmptyRange));
    }
    // Comments are also possible on context lines, so every line in a hunk's range on this side is accepted.
    // The lines of a merge diff against all parents are not used, because forges show such a diff
    // differently.
    let shown = if file.is_combined { &[][..] } else { &file.hunks };
    let parts = shown.iter().filter_map(|hunk| {
        let (first, lines) = match side {
            DiffSide::Old => (hunk.old_start, hunk.old_lines),
            DiffSide::New => (hunk.new_start, hunk.new_lines),
        };
        let last = first.saturating_add(lines.checked_sub(1)?);
        let (first, last) = (first.max(start), last.min(end));
        (first <= last).then_some((first, last))
    });
    let longest = parts.reduce(|best, next| if next.1 - next.0 > best.1 - best.0 { next } else { best });
    match longest {
        Some((first, last)) => {
            let clamped = (first, last) != (start, end);
            at(AnchorKind::Inline, first, last, clamped.then_some(InexactAnchorReason::Clamped))
        }
        None if shown.is_empty() => at(AnchorKind::File, start, end, Some(InexactAnchorReason::NoLines)),
        None => at(AnchorKind::File, start, end, Some(InexactAnchorReason::LinesNotInDiff)),
    }
}
