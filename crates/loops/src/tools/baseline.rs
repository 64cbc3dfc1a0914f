//! Detects findings that already existed at the base. Findings that existed before are therefore not reported
//! again if the change only moves, re-indents or renames code.
//!
//! Each linter with findings on the change also runs on the base. On the base, only findings that the change
//! touches are compared: it removes one of their lines, or inserts lines between them. A finding on the head
//! is old if its rule, its message and its first line equal those of such a finding. The comparison ignores
//! whitespace, and versions in the code, so a finding on a line in which only a version changed is old. In
//! code that the change only lays out in other lines, the line is not compared.

use std::collections::BTreeSet;
use std::ops::Range;

use truing_core::finding::{DiffSide, FindingSource, RawFinding, fingerprint};
use truing_core::id::Fingerprint;
use truing_core::identity::PlacedFinding;
use truing_core::port::ChangedFile;
use truing_diff::{FileDiff, FileStatus, LineKind, RepoPath, deleted_ranges};
use truing_reader::output::known::KnownTool;
use truing_reader::{OMISSION_MARK, top_level_digest};

use super::overlap::find_known_tool;

/// Returns the changed files of the base, sorted by path. Each file contains the ranges of the lines that the
/// change removes, and, if a finding has several lines, of each two lines between which it inserts lines. A
/// finding of one line on an inserted line is new.
pub(super) fn changed_base_files(
    changes: &[FileDiff<'_>],
    findings: &[PlacedFinding],
    include_all_files: bool,
) -> Vec<ChangedFile> {
    let is_long = |placed: &PlacedFinding| {
        placed.raw.source == FindingSource::Tool
            && placed.raw.location.start_line < placed.raw.location.end_line
    };
    let has_long_findings = findings.iter().any(is_long);
    let mut files: Vec<ChangedFile> = Vec::new();
    for file in changes {
        let mut touched = deleted_ranges(file);
        if has_long_findings {
            let blocks = changed_blocks(std::slice::from_ref(file));
            let starts =
                blocks.iter().filter(|block| block.old_range.is_empty()).map(|block| block.old_range.start);
            touched.extend(starts.map(|line| (line.saturating_sub(1), line)));
        }
        touched.sort_unstable();
        touched.dedup();
        // With `include_all_files`, findings are accepted on all lines of a changed file, so files without
        // changed lines are included.
        if (touched.is_empty() && !include_all_files) || file.status == FileStatus::Added || file.is_binary {
            continue;
        }
        let path = file.old_path.as_ref().unwrap_or(&file.path).clone();
        files.push(ChangedFile { path, old_path: None, added_lines: touched, secrets_only: false });
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files.dedup_by(|a, b| a.path == b.path);
    files
}

/// A run of changed lines without an unchanged line between them.
struct ChangedBlock<'a> {
    /// Path of the file at the base.
    old_path: &'a RepoPath,
    /// Path of the file at the head.
    new_path: &'a RepoPath,
    /// Range of the removed lines, with an exclusive end. In a block that only inserts lines, the range is
    /// empty, and begins after the line that precedes the block.
    old_range: Range<u32>,
    /// Range of the added lines, with an exclusive end.
    new_range: Range<u32>,
    /// Number of the hunk that contains the block, among the hunks of all files.
    hunk: usize,
    /// True if the removed and the added lines differ only in whitespace and commas.
    is_layout_only: bool,
}

impl ChangedBlock<'_> {
    /// Returns true if the block changes a line of a finding, or inserts lines between its lines.
    fn touches(&self, raw: &RawFinding, side: DiffSide) -> bool {
        let first = raw.location.start_line;
        let last = raw.location.end_line;
        let (path, range) = match side {
            DiffSide::Old => (self.old_path, &self.old_range),
            DiffSide::New => (self.new_path, &self.new_range),
        };
        let is_within = if range.is_empty() {
            first < range.start && range.start <= last
        } else {
            range.start <= last && first < range.end
        };
        is_within && *path == raw.location.path
    }
}

/// Returns the blocks of changed lines of all files.
fn changed_blocks<'a>(changes: &'a [FileDiff<'_>]) -> Vec<ChangedBlock<'a>> {
    let mut blocks = Vec::new();
    let mut hunk_count = 0;
    for file in changes {
        for hunk in &file.hunks {
            hunk_count += 1;
            let mut old_next = hunk.old_start + u32::from(hunk.old_lines == 0);
            let mut new_next = hunk.new_start + u32::from(hunk.new_lines == 0);
            let mut removed = Vec::new();
            let mut added = Vec::new();
            let mut lines = hunk.lines().peekable();
            while let Some(line) = lines.next() {
                let is_last = lines.peek().is_none_or(|next| next.kind == LineKind::Context);
                match line.kind {
                    LineKind::Context => {}
                    LineKind::Deleted => removed.push(line.text),
                    LineKind::Added => added.push(line.text),
                }
                old_next += u32::from(line.kind != LineKind::Added);
                new_next += u32::from(line.kind != LineKind::Deleted);
                if is_last && line.kind != LineKind::Context {
                    let old_range = old_next.saturating_sub(count_lines(&removed))..old_next;
                    let new_range = new_next.saturating_sub(count_lines(&added))..new_next;
                    blocks.push(ChangedBlock {
                        old_path: file.old_path.as_ref().unwrap_or(&file.path),
                        new_path: &file.path,
                        old_range,
                        new_range,
                        hunk: hunk_count,
                        is_layout_only: without_layout(&removed).eq(without_layout(&added)),
                    });
                    removed.clear();
                    added.clear();
                }
            }
        }
    }
    blocks
}

fn count_lines(lines: &[&[u8]]) -> u32 {
    u32::try_from(lines.len()).unwrap_or(u32::MAX)
}

/// Returns the bytes of lines without whitespace and commas, which formatters add and remove.
fn without_layout<'a>(lines: &'a [&'a [u8]]) -> impl Iterator<Item = u8> + 'a {
    lines
        .iter()
        .flat_map(|line| line.iter().copied())
        .filter(|byte| !byte.is_ascii_whitespace() && *byte != b',')
}

/// Returns the names of the linters with findings.
pub(super) fn reporting_linters(findings: &[PlacedFinding]) -> BTreeSet<String> {
    findings.iter().filter_map(|placed| placed.raw.tool()).map(str::to_owned).collect()
}

/// Removes linter findings on the head that match a finding on the base that the change touches. With
/// `include_all_lines`, every finding on the base counts. Each finding on the base removes at most one
/// finding on the head. Returns the fingerprints of the removed findings.
pub(super) fn remove_base_findings(
    placed_findings: &mut Vec<PlacedFinding>,
    base_findings: &[RawFinding],
    changes: &[FileDiff<'_>],
    include_all_lines: bool,
) -> BTreeSet<Fingerprint> {
    let blocks = changed_blocks(changes);
    let touching = |raw: &RawFinding, side: DiffSide| -> Vec<usize> {
        let is_touching = |(_, block): &(usize, &ChangedBlock<'_>)| block.touches(raw, side);
        blocks.iter().enumerate().filter(is_touching).map(|(index, _)| index).collect()
    };
    let mut old: Vec<Option<ComparedFinding<'_>>> = base_findings
        .iter()
        .filter(|raw| raw.source == FindingSource::Tool)
        .map(|raw| ComparedFinding::new(raw, touching(raw, DiffSide::Old)))
        .filter(|base| include_all_lines || !base.blocks.is_empty())
        .map(Some)
        .collect();
    let mut removed = BTreeSet::new();
    placed_findings.retain(|placed| {
        let raw = &placed.raw;
        // Two hidden secrets look the same, so a finding on a new secret would wrongly match a finding on an
        // old one.
        let is_hidden = raw.snippet.trim().is_empty() || raw.snippet.contains(OMISSION_MARK);
        if raw.source != FindingSource::Tool || is_hidden {
            return true;
        }
        let head = ComparedFinding::new(raw, touching(raw, DiffSide::New));
        let old_path = placed.old_path.as_ref().unwrap_or(&raw.location.path);
        let is_same = |found: &Option<ComparedFinding<'_>>| {
            found.as_ref().is_some_and(|base| base.is_same(&head, old_path, &blocks))
        };
        let Some(found) = old.iter_mut().find(|found| is_same(found)) else { return true };
        *found = None;
        removed.insert(fingerprint(&raw.rule, &raw.location.path, &raw.snippet));
        false
    });
    removed
}

/// A finding with the values by which it is compared.
struct ComparedFinding<'a> {
    raw: &'a RawFinding,
    /// Indices of the blocks that touch the finding.
    blocks: Vec<usize>,
    /// Message without digits, because line and column numbers change when code moves.
    message: String,
    /// First line, with single spaces.
    line: String,
    /// First line, without whitespace and versions.
    line_without_versions: String,
    /// True if the finding's lines are those that a formatter would change.
    is_of_formatter: bool,
}

impl<'a> ComparedFinding<'a> {
    fn new(raw: &'a RawFinding, blocks: Vec<usize>) -> Self {
        let line = raw.snippet.lines().next().unwrap_or_default();
        let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
        Self {
            raw,
            blocks,
            message: raw.title.chars().filter(|letter| !letter.is_ascii_digit()).collect(),
            line_without_versions: without_versions(&line),
            is_of_formatter: raw
                .tool()
                .and_then(find_known_tool)
                .is_some_and(KnownTool::reports_formatted_lines),
            line,
        }
    }

    /// Returns true if a finding on the head is this finding on the base. In a block that touches both,
    /// versions may differ, and the lines if only their layout changed. Elsewhere, the line must be equal,
    /// and the definitions that contain the lines must have equal names. In another file, there must be such
    /// a definition: an equal line of other code is another finding.
    fn is_same(&self, head: &Self, old_path: &RepoPath, blocks: &[ChangedBlock<'_>]) -> bool {
        if self.raw.rule != head.raw.rule || self.message != head.message {
            return false;
        }
        // The lines of a formatter's finding are those that it would change, and their layout is the defect.
        if self.is_of_formatter && self.raw.snippet != head.raw.snippet {
            return false;
        }
        let is_same_line = self.line_without_versions == head.line_without_versions;
        let shared = self.blocks.iter().filter(|index| head.blocks.contains(index));
        let mut shared_blocks = shared.filter_map(|index| blocks.get(*index));
        if shared_blocks.any(|block| is_same_line || block.is_layout_only && !self.is_of_formatter) {
            return true;
        }
        let definition = &self.raw.code.definition;
        // Code outside of any definition may have moved into one, or out of it.
        let is_of_no_definition = [definition, &head.raw.code.definition]
            .iter()
            .any(|digest| digest.as_ref().is_none_or(|digest| *digest == top_level_digest()));
        let hunk_of = |index: &usize| blocks.get(*index).map(|block| block.hunk);
        let is_in_same_hunk = self
            .blocks
            .iter()
            .any(|index| head.blocks.iter().any(|head_index| hunk_of(index) == hunk_of(head_index)));
        if is_in_same_hunk && is_of_no_definition && is_same_line {
            return true;
        }
        let is_near = self.raw.location.path == *old_path || definition.is_some();
        is_near && *definition == head.raw.code.definition && self.line == head.line
    }
}

/// Returns a line of code without whitespace, and with a mark for each version and each id of a commit.
fn without_versions(line: &str) -> String {
    let mut text = String::new();
    let mut rest = line.trim();
    while let Some(letter) = rest.chars().next() {
        let is_end = |letter: char| !letter.is_alphanumeric() && letter != '.';
        let end = rest.find(is_end).filter(|end| *end > 0).unwrap_or(match is_end(letter) {
            true => letter.len_utf8(),
            false => rest.len(),
        });
        let (word, after) = rest.split_at(end);
        rest = after;
        if is_version(word) {
            text.push('#');
        } else if !letter.is_whitespace() {
            text.push_str(word);
        }
    }
    text
}

/// Returns true for words like `v3`, `1.2.3` and `11bd719`. A plain number, such as `3` and `0o755`, is no
/// version.
fn is_version(word: &str) -> bool {
    let begins_with_digit = |text: &str| text.starts_with(|letter: char| letter.is_ascii_digit());
    let is_number = word.bytes().all(|byte| byte.is_ascii_digit());
    let is_commit = !is_number && word.len() >= 7 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    (begins_with_digit(word) && word.contains('.'))
        || word.strip_prefix('v').is_some_and(begins_with_digit)
        || is_commit
}

#[cfg(test)]
mod tests {
    use truing_core::finding::{AnchorKind, CodeLocation, DefectCategory, Severity};
    use truing_core::identity::FindingFacts;

    use super::*;
    use truing_core::code_digest::CodeDigests;

    fn raw_finding(rule: &str, line: u32, title: &str, snippet: &str) -> RawFinding {
        RawFinding {
            location: CodeLocation {
                path: "a.py".into(),
                side: DiffSide::New,
                start_line: line,
                end_line: line,
            },
            severity: Severity::P2,
            category: DefectCategory::J,
            rule: rule.into(),
            title: title.into(),
            body: String::new(),
            snippet: snippet.into(),
            code: CodeDigests::default(),
            suggestion: None,
            source: FindingSource::Tool,
            specialists: Vec::new(),
        }
    }

    fn placed_finding(raw: RawFinding) -> PlacedFinding {
        let at = raw.location.clone();
        PlacedFinding {
            raw,
            anchor: AnchorKind::Inline,
            comment_location: at,
            old_path: None,
            sighting: FindingFacts::default(),
        }
    }

    #[test]
    fn code_that_is_moved_or_indented_keeps_its_findings_and_new_ones_are_told() {
        let mut found: Vec<PlacedFinding> = [
            raw_finding("ruff/E741", 9, "Ambiguous variable name: `l` (line 9)", "        l = 1"),
            raw_finding("ruff/E741", 12, "Ambiguous variable name: `l` (line 12)", "l = 1"),
            raw_finding("ruff/F401", 3, "`os` imported but unused", "import os"),
        ]
        .into_iter()
        .map(placed_finding)
        .collect();
        let base = [raw_finding("ruff/E741", 4, "Ambiguous variable name: `l` (line 4)", "    l = 1")];
        let taken = remove_base_findings(&mut found, &base, &[], true);
        assert_eq!(taken, [fingerprint("ruff/E741", &"a.py".into(), "l = 1")].into());
        let lines: Vec<u32> = found.iter().map(|placed| placed.raw.location.start_line).collect();
        assert_eq!(lines, [12, 3], "one of two equal ones is old, not both");
    }

    #[test]
    fn a_finding_of_a_rule_is_none_of_a_linter() {
        let rule = RawFinding { source: FindingSource::Rule, ..raw_finding("core/x", 1, "t", "s") };
        let mut found = vec![placed_finding(rule.clone())];
        assert!(remove_base_findings(&mut found, &[rule], &[], true).is_empty());
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn an_equal_line_of_another_file_is_other_code() {
        let elsewhere = |raw: RawFinding| RawFinding {
            location: CodeLocation { path: "b.py".into(), ..raw.location },
            ..raw
        };
        let on_head = || raw_finding("bandit/B307", 2, "Use of eval", "    return eval(text)");
        let mut found = vec![placed_finding(on_head())];
        let mut base = elsewhere(raw_finding("bandit/B307", 9, "Use of eval", "    return eval(text)"));
        assert!(remove_base_findings(&mut found, &[base.clone()], &[], true).is_empty());
        base.code.definition = Some("a digest".to_owned());
        let moved = RawFinding { code: base.code.clone(), ..on_head() };
        let mut found = vec![placed_finding(moved)];
        assert_eq!(remove_base_findings(&mut found, &[base], &[], true).len(), 1, "with its function");
    }

    #[test]
    fn a_finding_is_old_wherever_its_lines_are_touched_and_whatever_version_its_line_names() {
        let diff =
            b"--- a/a.py\n+++ b/a.py\n@@ -1,6 +1,8 @@\n-uses: a/b@v3\n+uses: a/b@v4\n def f():\n     a()\n+\
            b()\n     c()\n l = 1\n+l = 1\n x = 1\n";
        let parsed = truing_diff::parse(diff);
        let function = |last: u32, lines: u32| {
            let raw =
                raw_finding("eslint/max-lines", 2, &format!("{lines} lines, at most 2"), "def f():\n    a()");
            RawFinding { location: CodeLocation { end_line: last, ..raw.location }, ..raw }
        };
        let uses = |code: &str| raw_finding("zizmor/artipacked", 1, "credentials persist", code);
        let twice = |line| raw_finding("ruff/E741", line, "Ambiguous", "l = 1");
        let head = [uses("uses: a/b@v4"), function(5, 4), twice(7)];
        let mut found: Vec<PlacedFinding> = head.into_iter().map(placed_finding).collect();
        let base = [uses("uses: a/b@v3"), function(4, 3), twice(5)];
        remove_base_findings(&mut found, &base, &parsed.files, false);
        let left: Vec<&str> = found.iter().map(|placed| placed.raw.rule.as_str()).collect();
        assert_eq!(left, ["ruff/E741"], "the line above is still there, and this one is new");
        let same = |one: &str, other: &str| without_versions(one) == without_versions(other);
        assert!(same("uses: a/b@11bd71901bbe5b1630ceea73d27597364c9af683 # v4", "uses: a/b@v3 # v3"));
        assert!(same("kit==1.2.3 ; x", "  kit==1.10rc1; x") && same("  l = 1", "l=1"));
        assert!(!same("chmod(f, 0o755)", "chmod(f, 0o777)"));
        assert!(!same("l = 1", "l = 2") && !same("l = 1", "l == 1") && !same("f(a)", "f(b)"));
    }

    #[test]
    fn an_equal_line_of_another_function_is_new_although_a_hunk_shows_both() {
        let diff = b"--- a/a.py\n+++ b/a.py\n@@ -1,4 +1,6 @@\n def f():\n-    g(l)\n+    h()\n     k()\n+def n(l):\n\
            +    g(l)\n ";
        let parsed = truing_diff::parse(diff);
        let of = |line: u32, definition: &str| {
            let raw = raw_finding("ruff/F821", line, "Undefined name", "    g(l)");
            let code = CodeDigests { definition: Some(definition.to_owned()), ..CodeDigests::default() };
            RawFinding { code, ..raw }
        };
        let mut found = vec![placed_finding(of(5, "n"))];
        assert!(remove_base_findings(&mut found, &[of(2, "f")], &parsed.files, false).is_empty());
    }

    #[test]
    fn a_finding_in_code_with_another_layout_is_old() {
        let diff =
            b"--- a/a.py\n+++ b/a.py\n@@ -1,2 +1,5 @@\n def f():\n-    return g(1, x)\n+    return g(\n\
            +        1,\n+        x,\n+    )\n";
        let parsed = truing_diff::parse(diff);
        let of = |line: u32, code: &str| raw_finding("ruff/F821", line, "Undefined name `x`", code);
        let mut found = vec![placed_finding(of(4, "        x,"))];
        let base = of(2, "    return g(1, x)");
        assert_eq!(remove_base_findings(&mut found, &[base], &parsed.files, false).len(), 1);
    }

    #[test]
    fn a_formatter_s_finding_is_old_only_if_its_lines_are_the_same() {
        let diff = b"--- a/a.py\n+++ b/a.py\n@@ -1,2 +1,2 @@\n x=1\n-y = 1\n+z=1\n";
        let parsed = truing_diff::parse(diff);
        let of = |snippet: &str| {
            let raw = raw_finding("black/format", 1, "black would format this file otherwise", snippet);
            RawFinding { location: CodeLocation { end_line: 2, ..raw.location }, ..raw }
        };
        let remove = |base: &str| {
            let mut found = vec![placed_finding(of("x=1\nz=1"))];
            remove_base_findings(&mut found, &[of(base)], &parsed.files, false).len()
        };
        assert_eq!((remove("x=1\ny = 1"), remove("x=1\nz=1")), (0, 1));
    }

    #[test]
    fn removed_lines_are_those_of_the_base_under_its_names() {
        let diff = b"diff --git a/old.py b/new.py\nsimilarity index 60%\nrename from old.py\nrename to \
            new.py\n--- a/old.py\n+++ b/new.py\n@@ -3,3 +3,2 @@\n-a\n-b\n c\n+d\ndiff --git a/added.py \
            b/added.py\nnew file mode 100644\n--- /dev/null\n+++ b/added.py\n@@ -0,0 +1 @@\n+x\ndiff --git \
            a/gone.py b/gone.py\ndeleted file mode 100644\n--- a/gone.py\n+++ /dev/null\n@@ -1 +0,0 \
            @@\n-x\n";
        let files: Vec<_> = changed_base_files(&truing_diff::parse(diff).files, &[], false)
            .into_iter()
            .map(|file| (file.path.to_string(), file.added_lines))
            .collect();
        assert_eq!(files, [("gone.py".into(), vec![(1, 1)]), ("old.py".into(), vec![(3, 4)])]);
    }
}
