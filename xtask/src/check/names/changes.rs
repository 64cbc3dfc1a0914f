//! Determines the recently changed lines from git.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::process::Command;

use crate::workspace;

/// The commits that the work tree is compared with: the merge base with main, and the parent of the last
/// commit, for work on main itself.
const COMPARED: &[&[&str]] = &[&["--merge-base", "main"], &["HEAD~1"]];

/// The lines that are added or changed according to one comparison.
#[derive(Debug, Default)]
pub(super) struct ChangedLines {
    by_file: BTreeMap<String, Vec<Range<usize>>>,
}

impl ChangedLines {
    /// Parses a diff without context and without prefixes of paths.
    pub(super) fn from_diff(diff: &str) -> Self {
        let mut lines = Self::default();
        let mut file = "";
        for row in diff.lines() {
            if let Some(path) = row.strip_prefix("+++ ") {
                file = path;
            } else if let Some(range) = row.strip_prefix("@@ ").and_then(parse_new_lines) {
                lines.by_file.entry(file.to_owned()).or_default().push(range);
            }
        }
        lines
    }

    /// True if this line of this file was changed.
    pub(super) fn contains_line(&self, path: &str, line: usize) -> bool {
        self.by_file.get(path).is_some_and(|ranges| ranges.iter().any(|range| range.contains(&line)))
    }
}

/// Returns the lines of the new side in a hunk's header: `-3,2 +4,5 @@`, where a count of one is omitted.
fn parse_new_lines(hunk: &str) -> Option<Range<usize>> {
    let new = hunk.split(' ').find_map(|part| part.strip_prefix('+'))?;
    let (first, count) = new.split_once(',').unwrap_or((new, "1"));
    let first: usize = first.parse().ok()?;
    Some(first..first + count.parse::<usize>().ok()?)
}

/// Returns the lines of each comparison that git can make. A shallow clone may have neither commit. A missing
/// commit is no error, because faults can be listed without a comparison.
pub(super) fn read_changes(root: &Path) -> Vec<ChangedLines> {
    let trust = format!("safe.directory={}", root.display());
    let diff_from = |compared: &&[&str]| {
        let mut git = Command::new("git");
        git.args(["-c", &trust, "-c", "core.quotePath=false", "diff", "--no-color", "--no-ext-diff"]);
        git.args(["--no-prefix", "--unified=0"]).args(*compared).args(["--", "*.rs"]);
        workspace::command_output(git.current_dir(root)).ok()
    };
    COMPARED.iter().filter_map(diff_from).map(|diff| ChangedLines::from_diff(&diff)).collect()
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
