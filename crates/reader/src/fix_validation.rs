//! Validates the fixes of rules. Suggestions are applied to files by the module `fixed`.
//!
//! The `fix` of a rule is shown only if applying it in memory meets four conditions. The text changes, no
//! syntax error is added, no token is cut, and the syntax tree around the fixed bytes stays the same. For
//! example, a fix must not move a statement into the body of the preceding `if`, or let an operator apply to
//! more operands. If a fix does not meet the conditions, the finding is shown without it.

use std::ops::Range;

use tree_sitter::Tree;
use truing_core::finding::SuggestedFix;

use crate::fix::{ByteReplacement, LineEdit};
use crate::lines::LineIndex;
use crate::syntax::{ParserPool, SourceLanguage, TreeShape};

/// Maximum length of a suggestion in bytes.
const MAX_FIX_BYTES: usize = 8 * 1024;

/// Maximum number of bytes that are parsed to validate the suggestions of one file. This is enough for a
/// hundred findings in a file of up to 320 KiB.
pub(crate) const MAX_PARSED_BYTES: usize = 32 * 1024 * 1024;

/// Validator for the fixes of one file.
pub(crate) struct FixValidator<'a> {
    language: &'static SourceLanguage,
    lines: &'a LineIndex<'a>,
    text: &'a str,
    parsers: &'a mut ParserPool,
    /// Syntax tree of the unchanged text. The text is parsed when the first fix is validated.
    tree: Option<Tree>,
    /// Number of bytes that may still be parsed.
    remaining_bytes: usize,
}

impl<'a> FixValidator<'a> {
    pub(crate) fn new(
        language: &'static SourceLanguage,
        lines: &'a LineIndex<'a>,
        text: &'a str,
        parsers: &'a mut ParserPool,
    ) -> Self {
        Self { language, lines, text, parsers, tree: None, remaining_bytes: MAX_PARSED_BYTES }
    }

    /// Returns the text that replaces the finding's lines when the fix is applied. Returns `None` if the fix
    /// does not pass the checks. If only blanks remain, the lines are deleted, and the replacement is empty.
    pub(crate) fn validate_fix(
        &mut self,
        first_line: u32,
        last_line: u32,
        fix: &ByteReplacement,
    ) -> Option<SuggestedFix> {
        let shown = self.lines.line_range(first_line).start..self.lines.line_range(last_line).end;
        // A suggestion replaces only the finding's lines, so a fix that changes other lines is not shown.
        if fix.range.start < shown.start || fix.range.end > shown.end {
            return None;
        }
        let old = self.text.get(shown.clone())?;
        let before = self.text.get(shown.start..fix.range.start)?;
        let after = self.text.get(fix.range.end..shown.end)?;
        let replacement = format!("{before}{}{after}", fix.replacement);
        if replacement == old || replacement.len() > MAX_FIX_BYTES {
            return None;
        }
        let (edit, replacement) = if replacement.trim().is_empty() {
            let gone = LineEdit { first_line, last_line, replacement: String::new() };
            (self.lines.edit_replacements(&[&gone]).pop()?, gone.replacement)
        } else {
            (fix.clone(), replacement)
        };
        let edit = std::slice::from_ref(&edit);
        let tree = match self.tree.take() {
            Some(tree) => tree,
            None => self.parse(self.text)?,
        };
        let was = TreeShape::from_tree(&tree, &[edit.first()?.range.clone()]);
        self.tree = Some(tree);
        let (fixed, changed) = apply_replacements(self.text, edit)?;
        let is = TreeShape::from_tree(&self.parse(&fixed)?, &changed);
        (!was.has_cut_token && preserves_shape(&was, &is)).then_some(SuggestedFix { replacement })
    }

    /// Parses a text. Returns `None` if the byte or time limit is reached.
    fn parse(&mut self, text: &str) -> Option<Tree> {
        self.remaining_bytes = self.remaining_bytes.checked_sub(text.len())?;
        self.parsers.parse_in_time(self.language, text)
    }
}

/// Returns true if the new text has no additional syntax errors, and has the same tree around the change as
/// the old text.
pub(crate) fn preserves_shape(old_shape: &TreeShape, new_shape: &TreeShape) -> bool {
    new_shape.error_count <= old_shape.error_count && new_shape.outer_nodes == old_shape.outer_nodes
}

/// Applies edits, which must be in ascending order and must not overlap. Returns the new text, and the ranges
/// of the replacements in the new text.
pub(crate) fn apply_replacements(
    text: &str,
    edits: &[ByteReplacement],
) -> Option<(String, Vec<Range<usize>>)> {
    let (mut fixed, mut changed, mut at) = (String::with_capacity(text.len()), Vec::new(), 0);
    for edit in edits {
        fixed.push_str(text.get(at..edit.range.start)?);
        let start = fixed.len();
        fixed.push_str(&edit.replacement);
        changed.push(start..fixed.len());
        at = edit.range.end;
    }
    fixed.push_str(text.get(at..)?);
    Some((fixed, changed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unchanged_text_is_parsed_once_however_many_fixes_are_proven() {
        let text = "a = 1\nb = 2\nc = 3\n";
        let (lines, mut parsers) = (LineIndex::new(text.as_bytes()), ParserPool::default());
        let mut prover =
            FixValidator::new(SourceLanguage::from_name("python").unwrap(), &lines, text, &mut parsers);
        prover.remaining_bytes = 4 * text.len();
        for line in 1..=3 {
            let range = lines.line_range(line);
            let fix = ByteReplacement { range: range.end - 1..range.end, replacement: "0".to_owned() };
            assert!(prover.validate_fix(line, line, &fix).is_some(), "{line}");
        }
        let fix = ByteReplacement { range: 0..1, replacement: "d".to_owned() };
        assert_eq!(
            (prover.remaining_bytes, prover.validate_fix(1, 1, &fix)),
            (0, None),
            "no more than the bound"
        );
    }
}
