//! Detects Git LFS files in a diff. The diff of such a file shows only the lines of its pointer (Git LFS,
//! `docs/spec.md`).

use std::sync::LazyLock;

use regex::bytes::Regex;
use truing_diff::{FileDiff, FileStatus, LineKind};

/// Matches a line of a pointer.
static POINTER_LINE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let lines = concat!(
        r"^(?:version https://git-lfs\.github\.com/spec/v\d+|(?:ext-\d+-\S+ |oid )sha256:[0-9a-f]{64}",
        r"|size \d+)\r?$"
    );
    Regex::new(lines).ok()
});

/// True if the new version of the file is a pointer: all lines that the diff shows belong to a pointer, and
/// one of these lines contains the digest.
pub(crate) fn is_pointer(file: &FileDiff<'_>) -> bool {
    let Some(line) = POINTER_LINE.as_ref().filter(|_| file.status != FileStatus::Deleted) else {
        return false;
    };
    let mut has_digest = false;
    for shown in file.hunks.iter().flat_map(|hunk| hunk.lines()).filter(|line| line.kind != LineKind::Deleted)
    {
        if !line.is_match(shown.text) {
            return false;
        }
        has_digest |= shown.kind == LineKind::Added && shown.text.starts_with(b"oid ");
    }
    has_digest
}

#[cfg(test)]
mod tests {
    use truing_diff::parse;

    use super::*;

    fn is_pointer_diff(body: &str) -> bool {
        let text = format!("diff --git a/x b/x\nindex 1111111..2222222 100644\n--- a/x\n+++ b/x\n{body}");
        is_pointer(&parse(text.as_bytes()).files[0])
    }

    #[test]
    fn a_pointer_is_known_with_context_and_without_and_code_beside_it_is_none() {
        let (version, oid) = ("version https://git-lfs.github.com/spec/v1", "a".repeat(64));
        let whole = format!(
            "@@ -1,3 +1,3 @@\n {version}\n-oid sha256:{}\n-size 1\n+oid sha256:{oid}\n+size 2\n",
            "b".repeat(64)
        );
        assert!(is_pointer_diff(&whole));
        assert!(
            is_pointer_diff(&format!("@@ -2 +2 @@\n-oid sha256:x\n+oid sha256:{oid}\n")),
            "without context"
        );
        assert!(is_pointer_diff(&format!("@@ -1 +1,3 @@\n-code\n+{version}\n+oid sha256:{oid}\n+size 2\n")));
        for other in [
            whole.replace("+size 2", "+size 2\n+import os").replace("+1,3", "+1,4"),
            format!("@@ -1,2 +1,2 @@\n {version}\n-size 1\n+size 2\n"),
            whole.replace(&oid, "short"),
        ] {
            assert!(!is_pointer_diff(&other), "{other}");
        }
    }
}
