//! Determines the recently changed lines from git.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::process::Command;

use crate::workspace;

/// The commits with which the working tree is compared: the merge base with main and, for work on main, the
/// parent of the last commit.
const DIFF_BASE_ARGUMENTS: &[&[&str]] = &[&["--merge-base", "main"], &["HEAD~1"]];

/// The lines that one comparison reports as added or changed.
#[derive(Debug, Default)]
pub(super) struct ChangedLines {
    ranges_by_file: BTreeMap<String, Vec<Range<usize>>>,
}

impl ChangedLines {
    /// Parses a diff that has no context lines, and whose paths have no `a/` and `b/` prefixes.
    pub(super) fn from_diff(diff: &str) -> Self {
        let mut lines = Self::default();
        let mut file = "";
        for row in diff.lines() {
            if let Some(path) = row.strip_prefix("+++ ") {
                file = path;
            } else if let Some(range) = row.strip_prefix("@@ ").and_then(parse_new_lines) {
                lines.ranges_by_file.entry(file.to_owned()).or_default().push(range);
            }
        }
        lines
    }

    /// Returns true if this line of this file was changed.
    pub(super) fn contains_line(&self, path: &str, line: usize) -> bool {
        self.ranges_by_file.get(path).is_some_and(|ranges| ranges.iter().any(|range| range.contains(&line)))
    }
}

/// Returns the line range of the new side from a hunk's header, such as `-3,2 +4,5 @@`. A count of 1 is
/// omitted in the header.
fn parse_new_lines(hunk: &str) -> Option<Range<usize>> {
    let new = hunk.split(' ').find_map(|part| part.strip_prefix('+'))?;
    let (first, count) = new.split_once(',').unwrap_or((new, "1"));
    let first: usize = first.parse().ok()?;
    Some(first..first + count.parse::<usize>().ok()?)
}

/// Returns the changed lines of each comparison that git can make. A shallow clone may lack both commits. A
/// missing commit is not an error, because faults can be listed without a comparison.
pub(super) fn read_changes(root: &Path) -> Vec<ChangedLines> {
    let trust = format!("safe.directory={}", root.display());
    let diff_from = |compared: &&[&str]| {
        let mut git = Command::new("git");
        git.args(["-c", &trust, "-c", "core.quotePath=false", "diff", "--no-color", "--no-ext-diff"]);
        git.args(["--no-prefix", "--unified=0"]).args(*compared).args(["--", "*.rs"]);
        workspace::command_output(git.current_dir(root)).ok()
    };
    DIFF_BASE_ARGUMENTS.iter().filter_map(diff_from).map(|diff| ChangedLines::from_diff(&diff)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_new_lines_of_each_hunk_are_read() {
        let diff = "\
diff --git a.rs a.rs
--- a.rs
+++ a.rs
@@ -3,2 +4 @@ fn a() {
-one
-two
+three
@@ -9,0 +11,2 @@
+four
+five
diff --git b c.rs b c.rs
--- b c.rs
+++ b c.rs
@@ -7 +6,0 @@
-six
";
        let lines = ChangedLines::from_diff(diff);
        let of_file = |path| (0..20).filter(|line| lines.contains_line(path, *line)).collect::<Vec<_>>();
        assert_eq!(of_file("a.rs"), [4, 11, 12]);
        assert!(of_file("b c.rs").is_empty(), "lines that are gone");
        assert!(of_file("d.rs").is_empty());
    }
}
