//! Finds the sections of a diff that belong to a file, and the locations of findings in these sections.

use truing_core::finding::{CodeLocation, DiffSide, RawFinding};
use truing_core::identity::{FindingFacts, PlacedFinding};
use truing_diff::{FileDiff, RepoPath, find_anchor, parse};

/// Determines the location of the comment for a finding, and adds this location to the finding. `files`
/// contains the sections of the diff, sorted by path.
pub(crate) fn place_finding(
    files: &[FileDiff<'_>],
    raw: RawFinding,
    old_path: Option<RepoPath>,
) -> PlacedFinding {
    let place = &raw.location;
    let at = find_anchor(
        sections_for_place(files, place),
        &place.path,
        place.side,
        place.start_line,
        place.end_line,
    );
    let inline =
        CodeLocation { path: at.path, side: at.side, start_line: at.start_line, end_line: at.end_line };
    PlacedFinding {
        raw,
        anchor: at.kind,
        comment_location: inline,
        old_path,
        sighting: FindingFacts::default(),
    }
}

/// Returns the sections of a diff, sorted by path.
pub(crate) fn diff_sections(diff: &[u8]) -> Vec<FileDiff<'_>> {
    let mut files = parse(diff).files;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

/// Returns the name that a file had before the change; `None` if the name is unchanged.
pub(crate) fn old_path(files: &[FileDiff<'_>], path: &RepoPath) -> Option<RepoPath> {
    files.iter().find(|file| file.path == *path)?.old_path.clone()
}

/// Returns the sections that may contain this location. `files` must be sorted by path, because a binary
/// search is fast even for changes with many files and findings.
fn sections_for_place<'a, 'b>(files: &'a [FileDiff<'b>], location: &CodeLocation) -> &'a [FileDiff<'b>] {
    match location.side {
        DiffSide::New => {
            let start = files.partition_point(|file| file.path < location.path);
            let end = files.partition_point(|file| file.path <= location.path);
            files.get(start..end).unwrap_or_default()
        }
        // On the old side, a renamed file has a different path, so all sections are searched.
        DiffSide::Old => files,
    }
}
