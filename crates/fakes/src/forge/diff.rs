//! Computes, from the output of `git diff`, the lines of a diff, and the new numbers of lines after a change.

use std::collections::HashMap;
use std::sync::Arc;

use crate::repo::{FakeGitError, FakeGitRepository, git_command, run_command};

/// Maximum number of cached diffs. If this number is exceeded, the whole cache is cleared.
const MAX_CACHED_DIFFS: usize = 256;

/// A side of a diff; GitHub names the sides `LEFT` and `RIGHT`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FakeDiffSide {
    /// The side before the change.
    Left,
    /// The side after the change.
    Right,
}

impl FakeDiffSide {
    /// Returns GitHub's name of the side.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Left => "LEFT",
            Self::Right => "RIGHT",
        }
    }

    /// Parses GitHub's name of a side.
    pub fn from_name(word: &str) -> Option<Self> {
        match word {
            "LEFT" => Some(Self::Left),
            "RIGHT" => Some(Self::Right),
            _ => None,
        }
    }
}

/// The kind of a line in a hunk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum HunkLineKind {
    Added,
    Removed,
    /// The line is unchanged.
    Context,
}

/// A hunk: the ranges before and after the change, and the text with the header.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct FakeHunk {
    old_range: (u32, u32),
    new_range: (u32, u32),
    lines: Vec<String>,
}

impl FakeHunk {
    /// Returns true if the line is in this hunk.
    fn contains(&self, side: FakeDiffSide, line: u32) -> bool {
        let (start, count) = match side {
            FakeDiffSide::Left => self.old_range,
            FakeDiffSide::Right => self.new_range,
        };
        line >= start && line - start < count
    }

    /// Returns the kind of one of the hunk's lines.
    fn line_kind(&self, side: FakeDiffSide, line: u32) -> Option<HunkLineKind> {
        let is_here = |(kind, (old, new), _): &(HunkLineKind, (u32, u32), &str)| match side {
            FakeDiffSide::Left => *kind != HunkLineKind::Added && *old == line,
            FakeDiffSide::Right => *kind != HunkLineKind::Removed && *new == line,
        };
        self.numbered_lines().find(is_here).map(|(kind, ..)| kind)
    }

    /// Returns the hunk's ranges before and after the change, each as start and count.
    pub(crate) fn ranges(&self) -> ((u32, u32), (u32, u32)) {
        (self.old_range, self.new_range)
    }

    /// Returns the hunk's lines: for each line the kind, the numbers before and after the change, and the
    /// text.
    pub(crate) fn numbered_lines(&self) -> impl Iterator<Item = (HunkLineKind, (u32, u32), &str)> {
        let (mut old, mut new) = (self.old_range.0, self.new_range.0);
        self.lines.iter().skip(1).filter_map(move |row| {
            let kind = match row.bytes().next() {
                Some(b'+') => HunkLineKind::Added,
                Some(b'-') => HunkLineKind::Removed,
                Some(b'\\') => return None,
                Some(_) | None => HunkLineKind::Context,
            };
            let at = (old, new);
            old += u32::from(kind != HunkLineKind::Added);
            new += u32::from(kind != HunkLineKind::Removed);
            Some((kind, at, row.get(1..).unwrap_or_default()))
        })
    }

    /// Returns the hunk's header and the lines up to and including this line (GitHub's `diff_hunk`).
    fn text_through_line(&self, side: FakeDiffSide, line: u32) -> String {
        let (mut old, mut new) = (self.old_range.0, self.new_range.0);
        let mut text = Vec::new();
        for (index, row) in self.lines.iter().enumerate() {
            text.push(row.as_str());
            let (in_old, in_new) = match row.bytes().next() {
                _ if index == 0 => continue,
                Some(b'+') => (false, true),
                Some(b'-') => (true, false),
                Some(b'\\') => continue,
                Some(_) | None => (true, true),
            };
            let here = match side {
                FakeDiffSide::Left => in_old && old == line,
                FakeDiffSide::Right => in_new && new == line,
            };
            if here {
                break;
            }
            old += u32::from(in_old);
            new += u32::from(in_new);
        }
        text.join("\n")
    }
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct FakeFileDiff {
    old_path: String,
    path: String,
    hunks: Vec<FakeHunk>,
    additions: u64,
    deletions: u64,
}

impl FakeFileDiff {
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Returns the path before the change.
    pub(crate) fn old_path(&self) -> &str {
        &self.old_path
    }

    /// Returns the hunks in their order.
    pub(crate) fn hunks(&self) -> &[FakeHunk] {
        &self.hunks
    }
}

/// The diff of all files.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct FakeDiff {
    files: Vec<FakeFileDiff>,
}

/// The numbers of commits, changed files and changed lines of a pull request.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct PullSizes {
    pub(crate) commits: u64,
    pub(crate) additions: u64,
    pub(crate) deletions: u64,
    pub(crate) changed_files: u64,
}

/// The reason why a file or line is not part of a diff.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum DiffPlaceError {
    /// The diff does not contain the file.
    FileNotInDiff,
    /// The hunks of the file do not contain the line.
    LineNotInDiff,
    /// The first line is not in the hunk of the last line, or is not before the last line.
    InvalidStartLine,
}

impl FakeDiff {
    /// Checks the file and lines of a comment by GitHub's rules, and returns their `diff_hunk`.
    pub(crate) fn check_place(
        &self,
        path: &str,
        last: (FakeDiffSide, u32),
        first: Option<(FakeDiffSide, u32)>,
    ) -> Result<String, DiffPlaceError> {
        let (side, line) = last;
        // A file whose type changes has two sections with the same path; a line in either section is
        // accepted.
        let mut sections = self.files.iter().filter(|file| file.path == path).peekable();
        sections.peek().ok_or(DiffPlaceError::FileNotInDiff)?;
        let hunk = sections
            .flat_map(|file| &file.hunks)
            .find(|hunk| hunk.contains(side, line))
            .ok_or(DiffPlaceError::LineNotInDiff)?;
        if let Some((side_of_start, first)) = first {
            let before = first < line || side_of_start != side;
            if !before || !hunk.contains(side_of_start, first) {
                return Err(DiffPlaceError::InvalidStartLine);
            }
        }
        Ok(hunk.text_through_line(side, line))
    }

    /// Returns the kind of a line, or none if the diff does not contain the line.
    pub(crate) fn line_kind(&self, path: &str, side: FakeDiffSide, line: u32) -> Option<HunkLineKind> {
        let mut hunks = self.files.iter().filter(|file| file.path == path).flat_map(|file| &file.hunks);
        hunks.find(|hunk| hunk.contains(side, line))?.line_kind(side, line)
    }

    /// Returns the sections of all files.
    pub(crate) fn files(&self) -> impl Iterator<Item = &FakeFileDiff> {
        self.files.iter()
    }

    /// Returns the sections of a file: two if the file's type has changed, otherwise at most one.
    pub(crate) fn file_sections(&self, path: &str) -> impl Iterator<Item = &FakeFileDiff> {
        self.files.iter().filter(move |file| file.path == path)
    }

    /// Returns true if the diff contains this file. Used for comments on a whole file.
    pub(crate) fn has_file(&self, path: &str) -> bool {
        self.files.iter().any(|file| file.path == path)
    }

    /// Returns the line's number after the change; `None` if the line was changed or removed. The diff must
    /// have no context lines.
    pub(crate) fn map_old_line(&self, path: &str, line: u32) -> Option<u32> {
        let mut shifted = i64::from(line);
        for hunk in self.files.iter().filter(|file| file.old_path == path).flat_map(|file| &file.hunks) {
            let ((old, removed), (_, added)) = (hunk.old_range, hunk.new_range);
            // A hunk that removes no lines inserts its lines after line `old`, so line `old` itself is
            // unchanged.
            if removed > 0 && hunk.contains(FakeDiffSide::Left, line) {
                return None;
            }
            if line > old {
                shifted += i64::from(added) - i64::from(removed);
            }
        }
        u32::try_from(shifted).ok()
    }

    /// Returns the numbers of changed files and lines. Sets the number of commits to 0.
    fn sizes(&self) -> PullSizes {
        PullSizes {
            commits: 0,
            additions: self.files.iter().map(|file| file.additions).sum(),
            deletions: self.files.iter().map(|file| file.deletions).sum(),
            changed_files: self.files.len() as u64,
        }
    }

    /// Parses `git diff -z --raw -p`. The raw part contains the unquoted file names. The patch part contains
    /// one section for each file in the same order, and two sections for a file whose type changes.
    fn parse(output: &[u8]) -> Self {
        let mut fields = output.split(|byte| *byte == 0);
        let mut names: Vec<(String, String)> = Vec::new();
        while let Some(meta) = fields.next().filter(|field| field.starts_with(b":")) {
            let status = meta.rsplit(|byte| *byte == b' ').next().and_then(|word| word.first());
            let mut text = || String::from_utf8_lossy(fields.next().unwrap_or_default()).into_owned();
            let old = text();
            let new = if matches!(status, Some(b'R' | b'C')) { text() } else { old.clone() };
            if status == Some(&b'T') {
                names.push((old.clone(), new.clone()));
            }
            names.push((old, new));
        }
        // Skips the empty field that ends the raw part. The patch contains no NUL, because git treats a file
        // with NUL as binary.
        let patch = fields.collect::<Vec<_>>().join(&b"\n"[..]);
        let mut names = names.into_iter();
        let mut files = Vec::new();
        let mut lines = patch.split(|byte| *byte == b'\n').peekable();
        while let Some(line) = lines.next() {
            if line.starts_with(b"diff --git ") {
                let (old_path, path) = names.next().unwrap_or_default();
                files.push(FakeFileDiff { old_path, path, ..FakeFileDiff::default() });
            }
            let (Some(file), Some((old, new))) = (files.last_mut(), parse_hunk_header(line)) else {
                continue;
            };
            let mut hunk = FakeHunk {
                old_range: old,
                new_range: new,
                lines: vec![String::from_utf8_lossy(line).into_owned()],
            };
            // The counts in a hunk's header determine the end of the hunk; the text of the lines does not.
            let (mut old_left, mut new_left) = (old.1, new.1);
            while old_left > 0 || new_left > 0 || lines.peek().is_some_and(|line| line.starts_with(b"\\")) {
                let Some(row) = lines.next() else { break };
                match row.first() {
                    Some(b'+') => {
                        new_left = new_left.saturating_sub(1);
                        file.additions += 1;
                    }
                    Some(b'-') => {
                        old_left = old_left.saturating_sub(1);
                        file.deletions += 1;
                    }
                    Some(b'\\') => {}
                    Some(_) | None => {
                        old_left = old_left.saturating_sub(1);
                        new_left = new_left.saturating_sub(1);
                    }
                }
                hunk.lines.push(String::from_utf8_lossy(row).into_owned());
            }
            file.hunks.push(hunk);
        }
        Self { files }
    }
}

/// Parses the ranges of `@@ -1,2 +3,4 @@`, each as start and count.
fn parse_hunk_header(line: &[u8]) -> Option<((u32, u32), (u32, u32))> {
    let text = String::from_utf8_lossy(line);
    let (ranges, _) = text.strip_prefix("@@ -")?.split_once(" @@")?;
    let (old, new) = ranges.split_once(" +")?;
    let range = |text: &str| match text.split_once(',') {
        Some((start, count)) => Some((start.parse().ok()?, count.parse().ok()?)),
        None => Some((text.parse().ok()?, 1)),
    };
    Some((range(old)?, range(new)?))
}

/// The cache of recent diffs.
#[derive(Debug, Default)]
pub(crate) struct DiffCache {
    diffs: HashMap<(String, String, u8), Arc<FakeDiff>>,
}

impl DiffCache {
    /// Returns the diff of a pull request, from the merge base to `head`.
    pub(crate) fn pull_diff(
        &mut self,
        repo: &FakeGitRepository,
        base: &str,
        head: &str,
    ) -> Result<Arc<FakeDiff>, FakeGitError> {
        let from = repo.merge_base(base, head).ok_or_else(|| FakeGitError::BadName(base.to_owned()))?;
        self.diff_between(repo, &from, head, 3)
    }

    /// Returns the sizes of a pull request.
    pub(crate) fn pull_sizes(
        &mut self,
        repo: &FakeGitRepository,
        base: &str,
        head: &str,
    ) -> Result<PullSizes, FakeGitError> {
        let commits = repo.count_ahead(base, head) as u64;
        Ok(PullSizes { commits, ..self.pull_diff(repo, base, head)?.sizes() })
    }

    /// Returns the diff from `from` to `to` without context lines. Such a diff is used to find the new
    /// numbers of lines.
    pub(crate) fn diff_without_context(
        &mut self,
        repo: &FakeGitRepository,
        from: &str,
        to: &str,
    ) -> Result<Arc<FakeDiff>, FakeGitError> {
        self.diff_between(repo, from, to, 0)
    }

    fn diff_between(
        &mut self,
        repo: &FakeGitRepository,
        from: &str,
        to: &str,
        context_lines: u8,
    ) -> Result<Arc<FakeDiff>, FakeGitError> {
        let key = (from.to_owned(), to.to_owned(), context_lines);
        if let Some(diff) = self.diffs.get(&key) {
            return Ok(Arc::clone(diff));
        }
        let output = run_command(
            git_command(repo.dir())
                .args(["diff", "-z", "--raw", "-p", "-M", "--no-color", "--no-ext-diff", "--no-textconv"])
                .args([&format!("-U{context_lines}"), from, to, "--"]),
        )?;
        let diff = Arc::new(FakeDiff::parse(&output));
        if self.diffs.len() >= MAX_CACHED_DIFFS {
            self.diffs.clear();
        }
        self.diffs.insert(key, Arc::clone(&diff));
        Ok(diff)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repo::CommitBuilder;

    fn numbered(range: std::ops::RangeInclusive<u32>) -> Vec<String> {
        range.map(|n| format!("line {n}")).collect()
    }

    fn two_commits(
        before: CommitBuilder,
        after: CommitBuilder,
    ) -> (tempfile::TempDir, FakeGitRepository, String, String) {
        let dir = tempfile::tempdir().unwrap();
        let mut repo = FakeGitRepository::create(&dir.path().join("r.git"), "main").unwrap();
        let one = repo.commit(&["refs/heads/main"], None, &before).unwrap();
        let two = repo.commit(&["refs/heads/x"], Some(&one), &after).unwrap();
        (dir, repo, one, two)
    }

    #[test]
    fn a_place_is_good_only_inside_one_hunk() {
        let mut lines = numbered(1..=40);
        let before = CommitBuilder::new("1").write("f", lines.join("\n"));
        lines[9] = "-- changed".into();
        lines.remove(29);
        let (_dir, repo, one, two) =
            two_commits(before, CommitBuilder::new("2").write("f", lines.join("\n")));
        let diff = DiffCache::default().pull_diff(&repo, &one, &two).unwrap();
        let right = |line| (FakeDiffSide::Right, line);
        for line in 7..=13 {
            assert!(diff.check_place("f", right(line), None).is_ok(), "{line}");
        }
        for line in [1, 6, 14, 26, 33, 39, 4000] {
            assert_eq!(
                diff.check_place("f", right(line), None),
                Err(DiffPlaceError::LineNotInDiff),
                "{line}"
            );
        }
        assert!(diff.check_place("f", (FakeDiffSide::Left, 30), None).is_ok(), "the removed line");
        assert_eq!(
            diff.check_place("f", right(10), Some(right(8))).unwrap(),
            "@@ -7,7 +7,7 @@ line 6\n line 7\n line 8\n line 9\n-line 10\n+-- changed"
        );
        assert_eq!(
            diff.check_place("f", right(28), Some(right(8))),
            Err(DiffPlaceError::InvalidStartLine),
            "another hunk"
        );
        assert_eq!(
            diff.check_place("f", right(8), Some(right(8))),
            Err(DiffPlaceError::InvalidStartLine),
            "not before it"
        );
        assert_eq!(diff.check_place("g", right(8), None), Err(DiffPlaceError::FileNotInDiff));
    }

    #[test]
    fn every_kind_of_file_keeps_its_own_name_and_hunks() {
        let text = numbered(1..=9).join("\n");
        let before = CommitBuilder::new("1")
            .write("old name", text)
            .write_symlink("kind", "a")
            .write("b\"in", "\0one")
            .write("gone", "x\n");
        let after = CommitBuilder::new("2")
            .rename("old name", "new\nname")
            .write("kind", "a\n")
            .write("b\"in", "\0two")
            .write("empty", "")
            .delete("gone")
            .write("z", "--- a/z\n+++ b/z\n@@ -1 +1 @@\n");
        let (_dir, repo, one, two) = two_commits(before, after);
        let mut diffs = DiffCache::default();
        let diff = diffs.pull_diff(&repo, &one, &two).unwrap();
        let names: Vec<_> = diff.files.iter().map(|file| (file.path.as_str(), file.hunks.len())).collect();
        assert_eq!(
            names,
            [("b\"in", 0), ("empty", 0), ("gone", 1), ("kind", 1), ("kind", 1), ("new\nname", 0), ("z", 1)]
        );
        assert!(
            diff.check_place("kind", (FakeDiffSide::Right, 1), None).is_ok(),
            "the second section of the path"
        );
        assert!(diff.check_place("z", (FakeDiffSide::Right, 3), None).is_ok());
        assert_eq!(
            diffs.pull_sizes(&repo, &one, &two).unwrap(),
            PullSizes { commits: 1, additions: 4, deletions: 2, changed_files: 7 }
        );
    }

    #[test]
    fn a_line_is_followed_until_it_is_changed() {
        let mut lines = numbered(1..=20);
        let before = CommitBuilder::new("1").write("f", lines.join("\n")).write("g", "same\n");
        lines[9] = "changed".into();
        lines.insert(4, "new".into());
        let (_dir, repo, one, two) =
            two_commits(before, CommitBuilder::new("2").write("f", lines.join("\n")));
        let moves = DiffCache::default().diff_without_context(&repo, &one, &two).unwrap();
        assert_eq!(
            [3, 4, 5, 9, 10, 11].map(|line| moves.map_old_line("f", line)),
            [Some(3), Some(4), Some(6), Some(10), None, Some(12)]
        );
        assert_eq!(moves.map_old_line("g", 1), Some(1), "an unchanged file");
    }
}
