//! Validates replacements that a model proposes. The checks are the same as for fixes of rules
//! ([`FixValidator`]). A valid replacement changes only the given lines, adds no syntax errors to the file,
//! and leaves the tree around the lines unchanged.

use std::collections::BTreeMap;

use truing_core::port::{ReaderError, ReplacementCheckRequest, ReplacementProposal};
use truing_diff::RepoPath;

use crate::content::BYTE_ORDER_MARK;
use crate::file::FileTree;
use crate::fix::{ByteReplacement, LineEdit};
use crate::fix_validation::FixValidator;
use crate::lines::LineIndex;
use crate::syntax::{MAX_FILE_CPU_TIME, ParserPool, SourceLanguage};

/// Maximum number of replacements that are validated in one request. Further replacements are not validated.
const MAX_PROPOSALS: usize = 500;

/// Validates each replacement and returns the results in the same order. In a file that cannot be read or has
/// no known grammar, no replacement is valid.
///
/// # Errors
///
/// [`ReaderError::Failed`] if the tree cannot be opened.
pub(crate) fn validate_replacements(request: &ReplacementCheckRequest) -> Result<Vec<bool>, ReaderError> {
    let tree = FileTree::open(&request.tree)?;
    let mut proven = vec![false; request.proposals.len()];
    let mut files: BTreeMap<&RepoPath, Vec<(usize, &ReplacementProposal)>> = BTreeMap::new();
    for (at, proposal) in request.proposals.iter().enumerate().take(MAX_PROPOSALS) {
        files.entry(&proposal.path).or_default().push((at, proposal));
    }
    for (path, proposals) in files {
        let (Some(language), Ok(bytes)) = (SourceLanguage::from_path(path.as_bytes()), tree.read_bytes(path))
        else {
            continue;
        };
        let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&bytes);
        let Ok(text) = std::str::from_utf8(bytes) else { continue };
        let (lines, mut parsers) = (LineIndex::new(bytes), ParserPool::default());
        parsers.begin_file(MAX_FILE_CPU_TIME);
        let mut prover = FixValidator::new(language, &lines, text, &mut parsers);
        for (at, proposal) in proposals {
            if let (Some(is_proven), Some(fix)) =
                (proven.get_mut(at), to_byte_replacement(proposal, language, &lines))
            {
                let (first, last) = (proposal.start_line, proposal.end_line);
                *is_proven = prover.validate_fix(first, last, &fix).is_some();
            }
        }
    }
    Ok(proven)
}

/// Converts a replacement of lines to an edit of bytes. Returns `None` if the file does not have these lines.
/// Line ends in the replacement are converted to the line ends of the file.
fn to_byte_replacement(
    proposal: &ReplacementProposal,
    language: &SourceLanguage,
    lines: &LineIndex<'_>,
) -> Option<ByteReplacement> {
    let ReplacementProposal { start_line, end_line, replacement, .. } = proposal;
    let (first, last) = (*start_line, *end_line);
    if !(1..=last).contains(&first) || last > lines.line_count() {
        return None;
    }
    // A model may not propose to delete lines.
    if replacement.trim().is_empty() {
        return None;
    }
    // The Python grammar accepts a block without a statement. If a replacement ends with a block header and
    // the replaced lines did not, the block's body is missing.
    let opens = |text: &[u8]| text.trim_ascii_end().ends_with(b":");
    if language.name() == "python"
        && opens(replacement.as_bytes())
        && !opens(lines.bytes(lines.line_range(last)))
    {
        return None;
    }
    lines
        .edit_replacements(&[&LineEdit {
            first_line: first,
            last_line: last,
            replacement: replacement.clone(),
        }])
        .pop()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns true if the replacement of these lines of a file is valid.
    fn is_valid_replacement(
        name: &str,
        text: &str,
        (start_line, end_line): (u32, u32),
        replacement: &str,
    ) -> bool {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(name), text).unwrap();
        let proposal =
            ReplacementProposal { path: name.into(), start_line, end_line, replacement: replacement.into() };
        let request = ReplacementCheckRequest { tree: folder.path().into(), proposals: vec![proposal] };
        validate_replacements(&request).unwrap() == [true]
    }

    const PYTHON: &str = "def f(a):\n    if a:\n        return 1\n    return 2\n\n\ndef g():\n    pass\n";

    #[test]
    fn a_replacement_of_exactly_these_lines_that_leaves_the_rest_is_proven() {
        assert!(is_valid_replacement("a.py", PYTHON, (3, 3), "        return 3"));
        assert!(is_valid_replacement("a.py", PYTHON, (2, 3), "    if a > 1:\n        return 1"));
        assert!(is_valid_replacement("a.py", PYTHON, (4, 4), "    x = 2\n    return x"));
    }

    #[test]
    fn rejects_replacement_that_changes_other_code_or_does_not_parse() {
        for (lines, replacement, what) in [
            ((3, 3), "        return (3", "an open bracket"),
            ((3, 3), "        return 3)", "a bracket too many"),
            ((3, 3), "    return 3", "the `if` loses its body"),
            ((3, 3), "", "nothing is left of the body"),
            ((4, 4), "    '''", "the rest becomes a text"),
            ((3, 3), "        return 1", "the same as it is"),
            ((7, 8), "def h():", "a header without its body"),
        ] {
            assert!(!is_valid_replacement("a.py", PYTHON, lines, replacement), "{what}");
        }
        assert!(
            !is_valid_replacement("a.js", "f(1);\ng(2);\nh(3);\n", (1, 1), "f(1); /*"),
            "a comment swallows the rest"
        );
        assert!(!is_valid_replacement("a.js", "a(`\nx\n`);\n", (2, 2), "y"), "the lines cut a text");
    }

    #[test]
    fn rejects_missing_lines_and_unreadable_files() {
        for lines in [(0, 1), (2, 1), (8, 9), (9, 9), (u32::MAX, u32::MAX)] {
            assert!(!is_valid_replacement("a.py", PYTHON, lines, "x = 1"), "{lines:?}");
        }
        assert!(!is_valid_replacement("a.txt", "one\n", (1, 1), "two"), "no grammar");
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.py"), "x = 1\n").unwrap();
        std::os::unix::fs::symlink("a.py", folder.path().join("link.py")).unwrap();
        std::fs::write(folder.path().join("latin.py"), b"x = '\xe9'\n").unwrap();
        let inside = folder.path().join("inside");
        std::fs::create_dir(&inside).unwrap();
        let proposal = |path: &str| ReplacementProposal {
            path: path.into(),
            start_line: 1,
            end_line: 1,
            replacement: "x = 2".into(),
        };
        let proposals = ["a.py", "link.py", "latin.py", "gone.py", "inside", "/a.py"].map(proposal).to_vec();
        let request = ReplacementCheckRequest { tree: folder.path().into(), proposals };
        assert_eq!(validate_replacements(&request).unwrap(), [true, false, false, false, false, false]);
        let request = ReplacementCheckRequest { tree: inside, proposals: vec![proposal("../a.py")] };
        assert_eq!(validate_replacements(&request).unwrap(), [false], "another tree's file");
    }

    #[test]
    fn accepts_any_line_ends_and_byte_order_mark() {
        for text in ["a = 1\r\nb = 2\r\nc = 3\r\n", "a = 1\nb = 2\nc = 3", "\u{feff}a = 1\nb = 2\nc = 3\n"] {
            assert!(is_valid_replacement("a.py", text, (1, 2), "a = 4\nb = 5"), "{text:?}");
            assert!(is_valid_replacement("a.py", text, (3, 3), "c = 6\nd = 7"), "{text:?}");
            assert!(!is_valid_replacement("a.py", text, (1, 2), "a = 1\nb = 2"), "the same: {text:?}");
            for blank in ["", "  ", "\n"] {
                assert!(!is_valid_replacement("a.py", text, (3, 3), blank), "lines that go: {text:?}");
            }
        }
    }
}
