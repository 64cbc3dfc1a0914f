//! Where a comment about lines may be anchored in a diff.

use serde::{Deserialize, Serialize};

use crate::{FileDiff, FileStatus, RepoPath};

/// Which side of the diff a line is on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiffSide {
    /// The file before the change.
    Old,
    /// The file after it.
    New,
}

/// How near to the code a comment about it can be placed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnchorKind {
    /// On the lines.
    Inline,
    /// On the file: its lines are not part of the diff.
    File,
    /// In the summary only: the file is not part of the diff.
    Summary,
}

/// Why a comment is not on all the lines it is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnchorReason {
    /// Only a part of the lines is in the diff, or they are in more than one hunk: the comment is on the lines
    /// of the hunk that has most of them.
    Clamped,
    /// The file is in the diff, but none of the lines on that side.
    LinesNotInDiff,
    /// The file is in the diff without any line: binary, a mode or a name alone, empty, or a merge.
    NoLines,
    /// The file is not in the diff.
    FileNotInDiff,
    /// The lines are none: they begin at 0 or end before they begin.
    EmptyRange,
}

impl AnchorReason {
    /// A sentence for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Clamped => "only a part of the lines is in one hunk of the diff",
            Self::LinesNotInDiff => "the lines are not in the diff",
            Self::NoLines => "the diff shows no line of the file",
            Self::FileNotInDiff => "the file is not in the diff",
            Self::EmptyRange => "the range of lines is empty",
        }
    }
}

/// Where a comment can be placed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CommentAnchor {
    /// How near.
    #[serde(rename = "anchor")]
    pub kind: AnchorKind,
    /// The file, by the name that forges know it by in the diff: of a renamed file the new one, on both sides.
    /// With `Summary` the name that was asked for.
    pub path: RepoPath,
    /// Which side the lines count on.
    pub side: DiffSide,
    /// First line: of the comment if `Inline`, else as it was asked for.
    pub start_line: u32,
    /// Last line, likewise.
    pub end_line: u32,
    /// Why it is not on all the lines, if it is not.
    pub reason: Option<AnchorReason>,
}

/// Finds the nearest place to lines `start..=end` (1-based) of `path` where a forge accepts a comment.
///
/// GitHub's rules, which are the narrowest: a line on the new side must have been added or be context, one on the
/// old side removed or context, and all lines of a comment must lie in one hunk.
///
/// `path` is the name on that side. On the old side of a renamed file its new name serves too, unless another
/// file had it before.
pub fn anchor(
    files: &[FileDiff<'_>],
    path: &RepoPath,
    side: DiffSide,
    start: u32,
    end: u32,
) -> CommentAnchor {
    let named = files.iter().filter_map(|file| Some((matches(file, path, side)?, file)));
    let place = named.min_by_key(|(fit, _)| *fit).map(|(_, file)| place_in(file, side, start, end));
    place.unwrap_or_else(|| CommentAnchor {
        kind: AnchorKind::Summary,
        path: path.clone(),
        side,
        start_line: start,
        end_line: end,
        reason: Some(AnchorReason::FileNotInDiff),
    })
}

/// How well a file answers to a name; the first is best.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum NameMatch {
    /// It has this name on this side.
    OnSide,
    /// It has this name on the other side, or does not exist on this one.
    ByOtherSide,
}

/// Does the file answer to the name?
fn matches(file: &FileDiff<'_>, path: &RepoPath, side: DiffSide) -> Option<NameMatch> {
    let name_on_side = match (side, file.status) {
        (DiffSide::Old, FileStatus::Renamed) => file.old_path.as_ref(),
        // What a copy was made from is another file, which may be in the diff itself.
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

/// The nearest place in one file.
fn place_in(file: &FileDiff<'_>, side: DiffSide, start: u32, end: u32) -> CommentAnchor {
    let at = |kind, start_line, end_line, reason| CommentAnchor {
        kind,
        path: file.path.clone(),
        side,
        start_line,
        end_line,
        reason,
    };
    if start == 0 || end < start {
        return at(AnchorKind::File, start, end, Some(AnchorReason::EmptyRange));
    }
    // Context is on both sides, so a hunk shows every line of its range on either side.
    // A merge shown against all its parents has lines that a forge shows otherwise.
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
            at(AnchorKind::Inline, first, last, clamped.then_some(AnchorReason::Clamped))
        }
        None if shown.is_empty() => at(AnchorKind::File, start, end, Some(AnchorReason::NoLines)),
        None => at(AnchorKind::File, start, end, Some(AnchorReason::LinesNotInDiff)),
    }
}
