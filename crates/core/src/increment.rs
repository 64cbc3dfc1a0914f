//! What a push brought since the last review: the commits, the lines, and what became of the findings.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use truing_diff::{FileContent, FileDiff, FileStatus, LineFate, LineTracker, RepoPath, added_ranges};

use crate::finding::{CodeLocation, DiffSide, Finding, FindingStatus};
use crate::id::{FindingId, Sha};

/// How a branch came from what was reviewed last to its head.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "history")]
pub enum BranchHistory {
    /// These commits were put on top, newest first; merges do not count.
    Grown {
        /// The commits.
        new: Vec<Sha>,
    },
    /// What was reviewed is no part of the branch any more (rebase, amend, reset).
    Rewritten {
        /// Commits without a likeness before, oldest first.
        new: Vec<Sha>,
        /// Commits that changed something else before, oldest first.
        changed: Vec<Sha>,
        /// How many are as they were.
        same: u32,
        /// How many there were before that are not there now.
        gone: u32,
    },
}

/// What came since the last review. Kept with the outcome, for the summary and for whoever asks later.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReviewIncrement {
    /// The head that was reviewed last.
    pub since: Sha,
    /// The commits since; none if there are too many to tell.
    #[serde(flatten)]
    pub history: Option<BranchHistory>,
    /// Lines of the change that were not there then, by the file's path at the head: 1-based, inclusive.
    pub lines: BTreeMap<RepoPath, Vec<(u32, u32)>>,
    /// What became of the findings.
    pub findings: FindingTally,
}

/// How many findings are what, compared with the last review.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct FindingTally {
    /// Open, and never seen before.
    pub new: u32,
    /// Open, and it was not.
    pub reopened: u32,
    /// Fixed now, and it was not.
    pub fixed: u32,
    /// Suppressed by a comment now, and open before.
    #[serde(default)]
    pub suppressed: u32,
    /// Open as before.
    pub still: u32,
}

impl FindingTally {
    /// Compares what was known with what is.
    pub fn of(known: &[Finding], now: &[Finding]) -> Self {
        let before: BTreeMap<&FindingId, &Finding> =
            known.iter().map(|finding| (&finding.id, finding)).collect();
        let mut tally = Self::default();
        for finding in now {
            let was = before.get(&finding.id);
            let was_fixed = was.is_some_and(|was| matches!(was.status, FindingStatus::Fixed(_)));
            let counted = match (&finding.status, was) {
                (FindingStatus::Open, None) => &mut tally.new,
                (FindingStatus::Open, Some(was)) if was.is_open() => &mut tally.still,
                (FindingStatus::Open, Some(_)) => &mut tally.reopened,
                (FindingStatus::Fixed(_), Some(_)) if !was_fixed => &mut tally.fixed,
                (FindingStatus::Suppressed(_), Some(was)) if was.is_open() => &mut tally.suppressed,
                (
                    FindingStatus::Claimed
                    | FindingStatus::Fixed(_)
                    | FindingStatus::Outside
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

/// The lines of a change that came since: those that `change` adds and `since`, the diff from the head that was
/// reviewed last to this one, adds too. What a new base brought is in `since` alone, what was there is in `change`
/// alone.
pub fn new_lines(change: &[FileDiff<'_>], since: &[FileDiff<'_>]) -> BTreeMap<RepoPath, Vec<(u32, u32)>> {
    let mut news: BTreeMap<&RepoPath, Vec<(u32, u32)>> = BTreeMap::new();
    for file in since {
        news.entry(&file.path).or_default().extend(added_ranges(file));
    }
    let mut lines = BTreeMap::new();
    for file in change {
        let Some(news) = news.get(&file.path) else { continue };
        let both = overlap(&added_ranges(file), news);
        if !both.is_empty() {
            lines.insert(file.path.clone(), both);
        }
    }
    lines
}

/// Does not call fixed what only left the change: findings of `known` that are gone though all their lines are there
/// at the head, outside of the lines that `change` adds. `since` is the diff from the head at which they were known.
pub fn mark_out_of_scope(
    gone: &mut [Finding],
    known: &[Finding],
    change: &[FileDiff<'_>],
    since: &[FileDiff<'_>],
) {
    let open: BTreeMap<&FindingId, &Finding> =
        known.iter().filter(|finding| finding.is_open()).map(|finding| (&finding.id, finding)).collect();
    let paths: BTreeSet<&RepoPath> = open.values().map(|finding| &finding.raw.place.path).collect();
    let old: Vec<FileContent<'_>> =
        paths.into_iter().map(|path| FileContent { path, content: None }).collect();
    let tracker = LineTracker::new(since, &old, &[]);
    for finding in gone.iter_mut().filter(|finding| matches!(finding.status, FindingStatus::Fixed(_))) {
        let Some(CodeLocation { path, side: DiffSide::New, start_line, end_line }) =
            open.get(&finding.id).map(|known| &known.raw.place)
        else {
            continue;
        };
        let now = tracker.track(path, *start_line, *end_line);
        let (LineFate::Unmoved | LineFate::Moved, Some(path), Some(start), Some(end)) =
            (now.status, now.path, now.start_line, now.end_line)
        else {
            continue;
        };
        let mut sections = change.iter().filter(|file| file.path == path);
        // A file that git takes for binary has no lines to tell.
        if !sections.any(|file| file.is_binary || !overlap(&added_ranges(file), &[(start, end)]).is_empty()) {
            finding.status = FindingStatus::Outside;
        }
    }
}

/// What two ascending lists of ranges have in common.
fn overlap(a: &[(u32, u32)], b: &[(u32, u32)]) -> Vec<(u32, u32)> {
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

/// The new files without lines, and the files that are gone, that are compared by name, at most.
const MAX_UNSHOWN: usize = 100;

/// The names that files at the head had before: at the base, and at the head that was reviewed last.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FileRenames(BTreeMap<RepoPath, BTreeSet<RepoPath>>);

impl FileRenames {
    /// Learns the renames of a diff that ends at the head.
    pub fn learn(&mut self, files: &[FileDiff<'_>]) {
        for file in files.iter().filter(|file| file.status == FileStatus::Renamed) {
            if let Some(old) = &file.old_path {
                self.0.entry(file.path.clone()).or_default().insert(old.clone());
            }
        }
        // Of a text that is too large a diff has no lines, so git cannot know it again: it may be any file that is gone.
        let gone: Vec<&RepoPath> =
            files.iter().filter(|file| file.status == FileStatus::Deleted).map(|file| &file.path).collect();
        let unshown = files.iter().filter(|file| file.status == FileStatus::Added && file.is_binary);
        for file in unshown.take(MAX_UNSHOWN) {
            let names = self.0.entry(file.path.clone()).or_default();
            names.extend(gone.iter().take(MAX_UNSHOWN).map(|path| (*path).clone()));
        }
    }

    /// Learns what another one knows.
    pub fn extend(&mut self, other: &Self) {
        for (now, names) in &other.0 {
            self.0.entry(now.clone()).or_default().extend(names.iter().cloned());
        }
    }

    /// The names that a file had.
    pub fn of(&self, path: &RepoPath) -> impl Iterator<Item = &RepoPath> {
        self.0.get(path).into_iter().flatten()
    }

    /// Is `path` a name that the file `now` has or had?
    pub fn same_file(&self, now: &RepoPath, path: &RepoPath) -> bool {
        now == path || self.of(now).any(|old| old == path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_file_without_lines_may_be_any_that_is_gone() {
        let diff = b"diff --git a/a.py b/a.py\ndeleted file mode 100644\nindex 1..0\n--- a/a.py\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n\
            diff --git a/c.py b/c.py\nnew file mode 100644\nindex 0..2\nBinary files /dev/null and b/c.py differ\n";
        let mut renames = FileRenames::default();
        renames.learn(&truing_diff::parse(diff).files);
        let [gone, large, other]: [RepoPath; 3] = ["a.py", "c.py", "d.py"].map(RepoPath::from);
        assert!(renames.same_file(&large, &gone) && !renames.same_file(&other, &gone));
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
            assert_eq!(overlap(&a, &b), both);
            assert_eq!(overlap(&b, &a), both);
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
