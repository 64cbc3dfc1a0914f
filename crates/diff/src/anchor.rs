//! Finds the lines of a diff on which a comment can be anchored.

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

/// The precision with which a comment can be placed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnchorKind {
    /// The comment is on the lines.
    Inline,
    /// The comment is on the file, since its lines are not part of the diff.
    File,
    /// The comment is in the summary only, since the file is not part of the diff.
    Summary,
}

/// The reason that a comment is not on all lines that it refers to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InexactAnchorReason {
    /// Only a part of the lines is in the diff, or they are in more than one hunk. The comment is on the
    /// lines of the hunk with most of them.
    Clamped,
    /// The file is in the diff, but none of the lines on that side.
    LinesNotInDiff,
    /// The file is in the diff without lines: it is binary, empty or a merge, or only its mode or name
    /// changed.
    NoLines,
    /// The file is not in the diff.
    FileNotInDiff,
    /// The range is empty: it begins at 0 or ends before it begins.
    EmptyRange,
}

impl InexactAnchorReason {
    /// Returns the reason as a sentence.
    pub fn description(self) -> &'static str {
        match self {
            Self::Clamped => "only a part of the lines is in one hunk of the diff",
            Self::LinesNotInDiff => "the lines are not in the diff",
            Self::NoLines => "the diff shows no line of the file",
            Self::FileNotInDiff => "the file is not in the diff",
            Self::EmptyRange => "the range of lines is empty",
        }
    }
}

/// The place at which a comment can be anchored.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CommentAnchor {
    /// Precision of the place.
    #[serde(rename = "anchor")]
    pub kind: AnchorKind,
    /// Path by which forges know the file in the diff: the new name of a renamed file, on both sides. With
    /// `Summary`, it is the requested path.
    pub path: RepoPath,
    /// Side that the line numbers refer to.
    pub side: DiffSide,
    /// First line: that of the comment for `Inline`, otherwise the requested line.
    pub start_line: u32,
    /// Last line: that of the comment for `Inline`, otherwise the requested line.
    pub end_line: u32,
    /// Reason if the comment is not on all lines.
    pub reason: Option<InexactAnchorReason>,
}

/// Finds the nearest place to lines `start..=end` (1-based) of `path` where a forge accepts a comment.
///
/// GitHub's rules are used, since they are the strictest. A line on the new side must be added or context, a
/// line on the old side removed or context. All lines of a comment must be in one hunk.
///
/// `path` is the name on that side. On the old side of a renamed file, its new name is accepted, too, unless
/// another file had that name before.
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

/// Quality of the match between a file and a name; the first is the best.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum NameMatch {
    /// The file has this name on this side.
    OnSide,
    /// The file has this name on the other side, or does not exist on this one.
    ByOtherSide,
}

/// Returns the quality of the match between the file and the name, or none if it does not match.
fn match_name(file: &FileDiff<'_>, path: &RepoPath, side: DiffSide) -> Option<NameMatch> {
    let name_on_side = match (side, file.status) {
        (DiffSide::Old, FileStatus::Renamed) => file.old_path.as_ref(),
        // A copy was made from another file, which may be in the diff itself.
        (DiffSide::Old, FileStatus::Added | FileStatus::Copied) | (DiffSide::New, FileStatus::Deleted) => {
            None
        }
        (
            DiffSide::Old,
            FileStatus::Deleted | FileStatus::Modified | FileStatus::Mode | FileStatus::Binary,
        )
        | (
            DiffSide::New,
            FileStatus::Added
            | FileStatus::Modified
            | FileStatus::Renamed
            | FileStatus::Copied
            | FileStatus::Mode
            | FileStatus::Binary,
        ) => Some(&file.path),
    };
    if name_on_side == Some(path) {
        Some(NameMatch::OnSide)
    } else {
        (file.path == *path).then_some(NameMatch::ByOtherSide)
    }
}

/// Returns the nearest place in one file.
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
    // Context is on both sides, so a hunk shows every line of its range on either side. A merge shown against
    // all its parents has lines that forges show differently.
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
