//! Changes since the last review: commits, lines, and the status of findings.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use truing_diff::{FileContent, FileDiff, FileStatus, LineStatus, LineTracker, RepoPath, added_ranges};

use crate::finding::{CodeLocation, DiffSide, Finding, FindingStatus};
use crate::id::{FindingId, Sha};

/// Relation of the branch's head to the commit that was last reviewed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "history")]
pub enum BranchHistory {
    /// Commits were added after the reviewed commit. They are listed newest first, without merge commits.
    Grown {
        #[serde(rename = "new")]
        new_commits: Vec<Sha>,
    },
    /// The reviewed commit is no longer part of the branch (rebase, amend, reset).
    Rewritten {
        /// Commits without a counterpart among the earlier commits of the branch, oldest first.
        #[serde(rename = "new")]
        new_commits: Vec<Sha>,
        /// Commits whose changes differ from those of their earlier counterpart, oldest first.
        #[serde(rename = "changed")]
        changed_commits: Vec<Sha>,
        /// Number of commits whose changes are the same as those of their earlier counterpart.
        #[serde(rename = "same")]
        unchanged_count: u32,
        /// Number of earlier commits that are no longer on the branch.
        #[serde(rename = "gone")]
        removed_count: u32,
    },
}

/// Changes since the last review. The changes are stored with the outcome of the review, for the summary and
/// for later requests.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReviewIncrement {
    /// Head that was last reviewed.
    #[serde(rename = "since")]
    pub last_reviewed_head: Sha,
    /// History of the branch since the last review; `None` if there are too many commits to compare.
    #[serde(flatten)]
    pub history: Option<BranchHistory>,
    /// New lines of the change, by the file's path at the head, as 1-based, inclusive ranges.
    pub lines: BTreeMap<RepoPath, Vec<(u32, u32)>>,
    pub findings: FindingTally,
}

/// Counts of findings, compared with the last review.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct FindingTally {
    /// Open findings that were never seen before.
    pub new: u32,
    /// Open findings that were known before but were not open.
    pub reopened: u32,
    /// Findings that are fixed now but were not fixed at the last review.
    pub fixed: u32,
    /// Formerly open findings that a comment now suppresses.
    #[serde(default)]
    pub suppressed: u32,
    /// Findings that were open before and are still open.
    #[serde(rename = "still")]
    pub still_open: u32,
}

impl FindingTally {
    /// Compares the known findings with the current ones.
    pub fn from_findings(known_findings: &[Finding], current_findings: &[Finding]) -> Self {
        let before: BTreeMap<&FindingId, &Finding> =
            known_findings.iter().map(|finding| (&finding.id, finding)).collect();
        let mut tally = Self::default();
        for finding in current_findings {
            let was = before.get(&finding.id);
            let was_fixed = was.is_some_and(|was| matches!(was.status, FindingStatus::Fixed(_)));
            let counted = match (&finding.status, was) {
                (FindingStatus::Open, None) => &mut tally.new,
                (FindingStatus::Open, Some(was)) if was.is_open() => &mut tally.still_open,
                (FindingStatus::Open, Some(_)) => &mut tally.reopened,
                (FindingStatus::Fixed(_), Some(_)) if !was_fixed => &mut tally.fixed,
                (FindingStatus::Suppressed(_), Some(was)) if was.is_open() => &mut tally.suppressed,
                (
                    FindingStatus::Claimed
                    | FindingStatus::Fixed(_)
                    | FindingStatus::OutOfScope
                    | FindingStatus::Suppressed(_)
                    | FindingStatus::Declined(_)
                    | FindingStatus::Dismissed(_),
                    _,
                ) => continue,
            };
            *counted += 1;
        }
        tally
    }
}

/// Returns the lines of a change that are new since the last review: the lines that both diffs add.
/// `diff_since_review` is the diff from the last reviewed head to this head. Lines that only
/// `diff_since_review` adds come from a new base; lines that only `change` adds existed at the last review.
pub fn new_lines(
    change: &[FileDiff<'_>],
    diff_since_review: &[FileDiff<'_>],
) -> BTreeMap<RepoPath, Vec<(u32, u32)>> {
    let mut news: BTreeMap<&RepoPath, Vec<(u32, u32)>> = BTreeMap::new();
    for file in diff_since_review {
        news.entry(&file.path).or_default().extend(added_ranges(file));
    }
    let mut lines = BTreeMap::new();
    for file in change {
        let Some(news) = news.get(&file.path) else { continue };
        let both = intersect_ranges(&added_ranges(file), news);
        if !both.is_empty() {
            lines.insert(file.path.clone(), both);
        }
    }
    lines
}

/// Marks a missing finding as out of scope instead of fixed if its lines still exist but are no longer
/// changed. All lines of the known finding must exist at the head, and `change` must add none of them.
/// `diff_since_review` is the diff from the head of the review that recorded `known_findings`.
pub fn mark_out_of_scope(
    missing: &mut [Finding],
    known_findings: &[Finding],
    change: &[FileDiff<'_>],
    diff_since_review: &[FileDiff<'_>],
) {
    let open: BTreeMap<&FindingId, &Finding> = known_findings
        .iter()
        .filter(|finding| finding.is_open())
        .map(|finding| (&finding.id, finding))
        .collect();
    let paths: BTreeSet<&RepoPath> = open.values().map(|finding| &finding.raw.location.path).collect();
    let old: Vec<FileContent<'_>> =
        paths.into_iter().map(|path| FileContent { path, content: None }).collect();
    let tracker = LineTracker::new(diff_since_review, &old, &[]);
    for finding in missing.iter_mut().filter(|finding| matches!(finding.status, FindingStatus::Fixed(_))) {
        let Some(CodeLocation { path, side: DiffSide::New, start_line, end_line }) =
            open.get(&finding.id).map(|known_findings| &known_findings.raw.location)
        else {
            continue;
        };
        let now = tracker.track(path, *start_line, *end_line);
        let (LineStatus::Unmoved | LineStatus::Moved, Some(path), Some(start), Some(end)) =
            (now.status, now.path, now.start_line, now.end_line)
        else {
            continue;
        };
        let mut sections = change.iter().filter(|file| file.path == path);
        // A file that git treats as binary has no lines to compare.
        if !sections
            .any(|file| file.is_binary || !intersect_ranges(&added_ranges(file), &[(start, end)]).is_empty())
        {
            finding.status = FindingStatus::OutOfScope;
        }
    }
}

/// Returns the intersection of two ascending lists of ranges.
fn intersect_ranges(a: &[(u32, u32)], b: &[(u32, u32)]) -> Vec<(u32, u32)> {
    let (mut i, mut j, mut both) = (0, 0, Vec::new());
    while let (Some(one), Some(other)) = (a.get(i), b.get(j)) {
        let (start, end) = (one.0.max(other.0), one.1.min(other.1));
        if start <= end {
            both.push((start, end));
        }
        if one.1 < other.1 { i += 1 } else { j += 1 }
    }
    both
}

/// Maximum number of new files without lines that may count as renamed. The same maximum applies to the
/// deleted files that may be earlier versions of these new files.
const MAX_RENAME_CANDIDATES: usize = 100;

/// For each file at the head, its names at the base and at the last reviewed head.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FileRenames(BTreeMap<RepoPath, BTreeSet<RepoPath>>);

impl FileRenames {
    /// Adds the renames of a diff that ends at the head.
    pub fn add_diff(&mut self, files: &[FileDiff<'_>]) {
        for file in files.iter().filter(|file| file.status == FileStatus::Renamed) {
            if let Some(old) = &file.old_path {
                self.0.entry(file.path.clone()).or_default().insert(old.clone());
            }
        }
        // Git does not compare the lines of a very large file, so it cannot detect that such a file was
        // renamed. Any deleted file may therefore be the earlier version of such a new file.
        let gone: Vec<&RepoPath> =
            files.iter().filter(|file| file.status == FileStatus::Deleted).map(|file| &file.path).collect();
        let unshown = files.iter().filter(|file| file.status == FileStatus::Added && file.is_binary);
        for file in unshown.take(MAX_RENAME_CANDIDATES) {
            let names = self.0.entry(file.path.clone()).or_default();
            names.extend(gone.iter().take(MAX_RENAME_CANDIDATES).map(|path| (*path).clone()));
        }
    }

    /// Adds all renames of another set.
    pub fn extend(&mut self, other: &Self) {
        for (now, names) in &other.0 {
            self.0.entry(now.clone()).or_default().extend(names.iter().cloned());
        }
    }

    /// Returns the earlier names of a file.
    pub fn old_names(&self, path: &RepoPath) -> impl Iterator<Item = &RepoPath> {
        self.0.get(path).into_iter().flatten()
    }

    /// Returns true if `path` is a current or earlier name of the file `now`.
    pub fn is_same_file(&self, current_path: &RepoPath, path: &RepoPath) -> bool {
        current_path == path || self.old_names(current_path).any(|old| old == path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_file_without_lines_may_be_any_that_is_gone() {
        let diff = b"diff --git a/a.py b/a.py\ndeleted file mode 100644\nindex 1..0\n--- a/a.py\n+++ \
            /dev/null\n@@ -1 +0,0 @@\n-x\ndiff --git a/c.py b/c.py\nnew file mode 100644\nindex \
            0..2\nBinary files /dev/null and b/c.py differ\n";
        let mut renames = FileRenames::default();
        renames.add_diff(&truing_diff::parse(diff).files);
        let [gone, large, other]: [RepoPath; 3] = ["a.py", "c.py", "d.py"].map(RepoPath::from);
        assert!(renames.is_same_file(&large, &gone) && !renames.is_same_file(&other, &gone));
    }

    #[test]
    fn what_both_add_is_new() {
        for (a, b, both) in [
            (vec![(1, 9)], vec![(3, 4), (6, 6)], vec![(3, 4), (6, 6)]),
            (vec![(1, 2), (5, 6)], vec![(2, 5)], vec![(2, 2), (5, 5)]),
            (vec![(1, 2)], vec![(3, 4)], vec![]),
            (vec![], vec![(1, 1)], vec![]),
            (vec![(1, u32::MAX)], vec![(7, 7), (9, u32::MAX)], vec![(7, 7), (9, u32::MAX)]),
        ] {
            assert_eq!(intersect_ranges(&a, &b), both);
            assert_eq!(intersect_ranges(&b, &a), both);
        }
    }

    #[test]
    fn lines_that_a_new_base_brought_are_not_the_changes() {
        let diff = |path: &str, from: u32, text: &str| {
            format!(
                "diff --git a/{path} b/{path}\nindex 1111111..2222222 100644\n--- a/{path}\n+++ b/{path}\n\
                 @@ -{from},0 +{},2 @@\n+{text}\n+{text}\n",
                from + 1
            )
        };
        let (change, since) =
            (diff("a", 4, "x") + &diff("b", 1, "y"), diff("a", 5, "x") + &diff("base", 1, "z"));
        let (change, since) = (truing_diff::parse(change.as_bytes()), truing_diff::parse(since.as_bytes()));
        let lines = new_lines(&change.files, &since.files);
        assert_eq!(lines, BTreeMap::from([("a".into(), vec![(6, 6)])]));
    }
}
