//! Checks the length of source files, because long files are hard to read.

use std::path::Path;

use anyhow::Result;

use super::report::CheckReport;
use crate::workspace::{self, TrackedFile};

/// Maximum number of lines of a source file.
const MAX_FILE_LINES: usize = 600;

/// Prefix of the comment in which a file of more than `MAX_FILE_LINES` lines gives the reason for its length.
const LENGTH_REASON_PREFIX: &str = "// long: ";

/// The comment with the reason must be within this number of lines from the beginning of the file.
const MAX_REASON_LINE: usize = 30;

/// Checks every tracked Rust file.
pub(crate) fn check(root: &Path) -> Result<CheckReport> {
    let mut files = workspace::tracked_files(root)?;
    files.retain(|file| file.path.ends_with(".rs"));
    let problems = files.iter().filter_map(length_problem).collect();
    Ok(CheckReport::Completed {
        summary: format!("{} source files", files.len()),
        problems,
        warnings: Vec::new(),
    })
}

/// Returns a problem if the file is too long and gives no reason.
fn length_problem(file: &TrackedFile) -> Option<String> {
    let lines = file.text.lines().count();
    let reason =
        |line: &str| line.strip_prefix(LENGTH_REASON_PREFIX).is_some_and(|reason| !reason.trim().is_empty());
    let explained = || file.text.lines().take(MAX_REASON_LINE).any(reason);
    (lines > MAX_FILE_LINES && !explained()).then(|| {
        format!(
            "{}: {lines} lines, more than {MAX_FILE_LINES}: split it, or say why near its top: \
                `{LENGTH_REASON_PREFIX}…`",
            file.path
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(top: &str, lines: usize) -> TrackedFile {
        TrackedFile { path: "a.rs".into(), text: format!("{top}\n{}", "\n".repeat(lines.saturating_sub(1))) }
    }

    #[test]
    fn a_long_file_needs_a_reason_near_its_top() {
        assert_eq!(length_problem(&file("", MAX_FILE_LINES)), None);
        assert!(length_problem(&file("", MAX_FILE_LINES + 1)).is_some());
        assert_eq!(length_problem(&file("// long: one table", MAX_FILE_LINES + 1)), None);
        assert!(length_problem(&file("// long:  ", MAX_FILE_LINES + 1)).is_some());
        assert!(
            length_problem(&file(
                &format!("{}// long: too late", "\n".repeat(MAX_REASON_LINE)),
                MAX_FILE_LINES + 1
            ))
            .is_some()
        );
    }
}
