//! Applies suggestions to a file, except suggestions that would change the syntax tree around their lines.

use std::ops::Range;

use truing_diff::RepoPath;

use crate::content::BYTE_ORDER_MARK;
use crate::fix::ByteReplacement;
pub use crate::fix::LineEdit;
use crate::fix_validation::{MAX_PARSED_BYTES, apply_replacements, preserves_shape};
use crate::lines::LineIndex;
use crate::syntax::{ParserPool, SourceLanguage, TreeShape};

/// A file with suggestions applied.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AppliedEdits {
    /// New content of the file. The file keeps a byte order mark, CRLF line ends and the absence of a line
    /// end in its last line.
    pub bytes: Vec<u8>,
    /// For each edit, in the caller's order, the reason why the edit was not applied; `None` for an applied
    /// edit.
    pub refusals: Vec<Option<FixRefusal>>,
}

/// Reasons why a suggestion is not applied.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FixRefusal {
    /// The edit overlaps an applied edit, which has this index, or one of the two edits inserts text at the
    /// start or end of the other.
    Overlap(usize),
    /// The edit with this index makes the same change and was applied.
    SameChange(usize),
    /// Together with the edits applied before, this edit would add syntax errors to the file.
    SyntaxError,
    /// Together with the edits applied before, this edit would change the meaning of the surrounding code.
    /// For example, a block would become empty, or an operator would apply to more code.
    ChangedMeaning,
    /// The file does not contain the lines of the edit.
    MissingLines,
    /// No grammar is known for the file's language.
    NoGrammar,
    /// The file is not UTF-8.
    NotUtf8,
    /// The file takes too long to parse, or too many combinations of edits were already parsed.
    TooLarge,
}

/// An edit that may be applied to a file.
#[derive(Debug)]
struct EditCandidate<'a> {
    /// Index of the edit in the caller's list.
    index: usize,
    edit: &'a LineEdit,
    /// Byte range of the edit's lines.
    line_byte_range: Range<usize>,
    /// The edit's change, without the unchanged text at the beginning and end of the lines.
    replacement: ByteReplacement,
}

impl EditCandidate<'_> {
    /// Returns the reason why this edit cannot be combined with `earlier`, an edit whose change begins
    /// earlier in the file.
    fn conflict_with(&self, earlier: &Self) -> Option<FixRefusal> {
        let is_apart =
            earlier.edit.last_line < self.edit.first_line || self.edit.last_line < earlier.edit.first_line;
        if self.replacement == earlier.replacement {
            return Some(FixRefusal::SameChange(earlier.index));
        }
        (!is_apart && earlier.replacement.conflicts_with(&self.replacement))
            .then_some(FixRefusal::Overlap(earlier.index))
    }
}

/// Applies all compatible suggestions to the file for which they were made. If two suggestions overlap, only
/// the suggestion that begins first is applied. Edits that would change the syntax tree around their lines
/// are not applied. No edit is applied if the file is not UTF-8 or if no grammar for its language is known.
/// Truing makes no suggestions for such files.
pub fn apply_line_edits(path: &RepoPath, bytes: &[u8], edits: &[LineEdit]) -> AppliedEdits {
    let none = |refusal| AppliedEdits { bytes: bytes.to_vec(), refusals: vec![Some(refusal); edits.len()] };
    let (mark, rest) =
        bytes.split_at(if bytes.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 });
    let Some(language) = SourceLanguage::from_path(path.as_bytes()) else {
        return none(FixRefusal::NoGrammar);
    };
    let Ok(text) = std::str::from_utf8(rest) else { return none(FixRefusal::NotUtf8) };
    let mut parsers = ParserPool::default();
    let Some(tree) = parsers.parse_in_time(language, text) else { return none(FixRefusal::TooLarge) };
    let candidates = edit_candidates(rest, text, edits);
    let mut proven = |chosen: &[&EditCandidate<'_>]| {
        let fixes = combine_line_changes(text, chosen).ok_or(FixRefusal::MissingLines)?;
        let ranges: Vec<Range<usize>> = fixes.iter().map(|fix| fix.range.clone()).collect();
        let (fixed, changed) = apply_replacements(text, &fixes).ok_or(FixRefusal::MissingLines)?;
        let is = parsers.parse_in_time(language, &fixed).ok_or(FixRefusal::TooLarge)?;
        let (was, is) = (TreeShape::from_tree(&tree, &ranges), TreeShape::from_tree(&is, &changed));
        match preserves_shape(&was, &is) {
            true => Ok(fixed),
            false if is.error_count > was.error_count => Err(FixRefusal::SyntaxError),
            false => Err(FixRefusal::ChangedMeaning),
        }
    };
    let refusal =
        |chosen: &[&EditCandidate<'_>], next: &EditCandidate<'_>| next.conflict_with(chosen.last()?);

    let mut refusals = vec![Some(FixRefusal::MissingLines); edits.len()];
    let mut set = |candidate: &EditCandidate<'_>, refusal: Option<FixRefusal>| {
        if let Some(kept) = refusals.get_mut(candidate.index) {
            *kept = refusal;
        }
    };
    let mut chosen: Vec<&EditCandidate<'_>> = Vec::new();
    for next in &candidates {
        let refusal = refusal(&chosen, next);
        set(next, refusal);
        if refusal.is_none() {
            chosen.push(next);
        }
    }
    let fixed = proven(&chosen).unwrap_or_else(|_| {
        // Each edit is valid by itself, but together the edits may be invalid; for example, they may leave an
        // empty block. The edits are therefore applied one by one, and each edit that makes the file invalid
        // is left out.
        let (mut best, mut tries) = (text.to_owned(), MAX_PARSED_BYTES / text.len().max(1));
        chosen.clear();
        for next in &candidates {
            let mut refusal = refusal(&chosen, next);
            if refusal.is_none() && tries == 0 {
                refusal = Some(FixRefusal::TooLarge);
            }
            if refusal.is_none() {
                tries -= 1;
                chosen.push(next);
                match proven(&chosen) {
                    Ok(fixed) => best = fixed,
                    Err(error) => {
                        chosen.pop();
                        refusal = Some(error);
                    }
                }
            }
            set(next, refusal);
        }
        best
    });
    AppliedEdits { bytes: [mark, fixed.as_bytes()].concat(), refusals }
}

/// Returns the edits whose lines exist in the text, sorted by the start of their changes.
fn edit_candidates<'a>(bytes: &[u8], text: &str, edits: &'a [LineEdit]) -> Vec<EditCandidate<'a>> {
    let lines = LineIndex::new(bytes);
    let is_inside = |edit: &LineEdit| {
        (1..=edit.last_line).contains(&edit.first_line) && edit.last_line <= lines.line_count()
    };
    let mut inside: Vec<(usize, &LineEdit)> =
        edits.iter().enumerate().filter(|(_, edit)| is_inside(edit)).collect();
    inside.sort_by_key(|(index, edit)| (edit.first_line, edit.last_line, *index));
    let fixes = lines.edit_replacements(&inside.iter().map(|(_, edit)| *edit).collect::<Vec<_>>());
    let candidate = |((index, edit), whole): ((usize, &'a LineEdit), ByteReplacement)| {
        let fix = whole.narrow_to_change(text)?;
        Some(EditCandidate { index, edit, line_byte_range: whole.range, replacement: fix })
    };
    let mut candidates: Vec<EditCandidate<'_>> =
        inside.into_iter().zip(fixes).filter_map(candidate).collect();
    candidates.sort_by_key(|next| {
        (next.replacement.range.start, next.replacement.range.end, next.edit.first_line, next.index)
    });
    candidates
}

/// Merges the edits on overlapping lines into one change. `chosen` must be sorted and free of conflicts. The
/// merged change is then validated as a whole. Returns `None` if a range is outside of the text.
fn combine_line_changes(text: &str, chosen: &[&EditCandidate<'_>]) -> Option<Vec<ByteReplacement>> {
    let mut ranges: Vec<Range<usize>> =
        chosen.iter().map(|candidate| candidate.line_byte_range.clone()).collect();
    ranges.sort_by_key(|range| (range.start, range.end));
    ranges.dedup_by(|next, kept| {
        let is_joined = next.start < kept.end || next == kept;
        if is_joined {
            kept.end = kept.end.max(next.end);
        }
        is_joined
    });
    let mut parts: Vec<Vec<&ByteReplacement>> = vec![Vec::new(); ranges.len()];
    for candidate in chosen {
        let holds = |range: &Range<usize>| {
            range.start <= candidate.line_byte_range.start && candidate.line_byte_range.end <= range.end
        };
        let at = ranges.iter().rposition(holds)?;
        parts.get_mut(at)?.push(&candidate.replacement);
    }
    ranges.into_iter().zip(parts).map(|(range, fixes)| merge_fixes(text, range, &fixes)).collect()
}

/// Merges changes within a range, in ascending order, into one change that replaces the whole range.
fn merge_fixes(text: &str, range: Range<usize>, fixes: &[&ByteReplacement]) -> Option<ByteReplacement> {
    let (mut replacement, mut at) = (String::new(), range.start);
    for fix in fixes {
        replacement.push_str(text.get(at..fix.range.start)?);
        replacement.push_str(&fix.replacement);
        at = fix.range.end;
    }
    replacement.push_str(text.get(at..range.end)?);
    Some(ByteReplacement { range, replacement })
}

impl LineIndex<'_> {
    /// Converts edits to byte replacements. The edits must be in ascending order. A deleted line is deleted
    /// together with its line end. If the deleted line is the last line and has no line end, the preceding
    /// line end is deleted instead. The new file then also has no line end at its end.
    pub(crate) fn edit_replacements(&self, edits: &[&LineEdit]) -> Vec<ByteReplacement> {
        let count = self.line_count();
        let is_ended = self.line_range(count.saturating_add(1)).start > self.line_range(count).end;
        let mut rest = count.saturating_add(1);
        for edit in edits.iter().rev().filter(|_| !is_ended) {
            if edit.replacement.is_empty() && edit.last_line.saturating_add(1) == rest {
                rest = edit.first_line;
            }
        }
        let with_end_before = |edit: &LineEdit| 1 < rest && rest <= edit.first_line;
        edits.iter().map(|edit| self.edit_replacement(edit, with_end_before(edit))).collect()
    }

    /// Converts an edit to a byte replacement. The replacement uses CRLF if the replaced lines end with CRLF.
    fn edit_replacement(&self, edit: &LineEdit, removes_preceding_line_end: bool) -> ByteReplacement {
        let range = self.line_range(edit.first_line).start..self.line_range(edit.last_line).end;
        if edit.replacement.is_empty() {
            let range = if removes_preceding_line_end {
                self.line_range(edit.first_line - 1).end..range.end
            } else {
                range.start..self.line_range(edit.last_line.saturating_add(1)).start.max(range.end)
            };
            return ByteReplacement { range, replacement: String::new() };
        }
        let crlf = self.bytes(range.end..range.end.saturating_add(2)) == b"\r\n";
        let replacement = if crlf {
            edit.replacement.replace("\r\n", "\n").replace('\n', "\r\n")
        } else {
            edit.replacement.clone()
        };
        ByteReplacement { range, replacement }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(first: u32, last: u32, replacement: &str) -> LineEdit {
        LineEdit { first_line: first, last_line: last, replacement: replacement.to_owned() }
    }

    fn apply_edits(text: &str, edits: &[LineEdit]) -> (String, Vec<bool>) {
        let fixed = apply_line_edits(&"a.py".into(), text.as_bytes(), edits);
        let applied = fixed.refusals.iter().map(Option::is_none).collect();
        (String::from_utf8(fixed.bytes).unwrap(), applied)
    }

    #[test]
    fn line_ends_a_missing_last_one_and_a_byte_order_mark_are_kept() {
        for (text, edits, expected) in [
            ("a\r\nb\r\nc", vec![edit(1, 1, "x\ny"), edit(3, 3, "z")], "x\r\ny\r\nb\r\nz"),
            ("a\nb\nc\n", vec![edit(2, 2, "")], "a\nc\n"),
            ("a\r\nb\r\nc", vec![edit(3, 3, "")], "a\r\nb"),
            ("a\r\nb\r\n", vec![edit(2, 2, "")], "a\r\n"),
            ("\u{feff}a\nb\n", vec![edit(1, 1, "c")], "\u{feff}c\nb\n"),
            ("\u{feff}a\nb\n", vec![edit(1, 1, "")], "\u{feff}b\n"),
        ] {
            assert_eq!(apply_edits(text, &edits), (expected.to_owned(), vec![true; edits.len()]), "{text:?}");
        }
    }

    #[test]
    fn all_of_the_last_lines_go_and_a_missing_last_line_end_is_kept() {
        let gone = |lines: Range<u32>| lines.map(|line| edit(line, line, "")).collect::<Vec<_>>();
        for (text, edits, expected) in [
            ("x = 1\nf()\nf()", gone(2..4), "x = 1"),
            ("x = 1\r\nf()\r\nf()\r\nf()", gone(2..5), "x = 1"),
            ("f()\nx = 1\nf()", vec![edit(1, 1, ""), edit(3, 3, "")], "x = 1"),
        ] {
            assert_eq!(apply_edits(text, &edits), (expected.to_owned(), vec![true; edits.len()]), "{text:?}");
        }
        for text in ["f()\nf()", "f()\nf()\n"] {
            let fixes =
                LineIndex::new(text.as_bytes()).edit_replacements(&gone(1..3).iter().collect::<Vec<_>>());
            assert_eq!(apply_replacements(text, &fixes).unwrap().0, "", "{text:?}");
        }
    }

    #[test]
    fn of_edits_that_overlap_the_one_that_begins_first_wins_whatever_order_they_come_in() {
        let edits = [edit(2, 3, "y"), edit(1, 2, "x"), edit(4, 4, "z")];
        assert_eq!(apply_edits("a\nb\nc\nd\n", &edits), ("x\nc\nz\n".to_owned(), vec![false, true, true]));
    }

    #[test]
    fn edits_that_together_would_empty_a_block_are_applied_as_far_as_it_stays_one() {
        let text = "def f():\n    a()\n    b()\n";
        let edits = [edit(2, 2, ""), edit(3, 3, "")];
        assert_eq!(apply_edits(text, &edits), ("def f():\n    b()\n".to_owned(), vec![true, false]));
    }

    #[test]
    fn edits_of_lines_that_are_not_there_and_of_unknown_languages_are_not_applied() {
        let edits = [edit(0, 1, "x"), edit(2, 1, "x"), edit(2, 2, "x")];
        assert_eq!(apply_edits("a\n", &edits), ("a\n".to_owned(), vec![false; 3]));
        let fixed = apply_line_edits(&"a.txt".into(), b"a\n", &[edit(1, 1, "x")]);
        assert_eq!(
            fixed,
            AppliedEdits { bytes: b"a\n".to_vec(), refusals: vec![Some(FixRefusal::NoGrammar)] }
        );
    }

    #[test]
    fn edits_of_one_line_that_do_not_overlap_are_applied_together() {
        let text = "def f(a, b):\n    if a == None and b == None: return not a in b\n";
        let line = |new: &str| edit(2, 2, new);
        let edits = [
            line("    if a is None and b == None: return not a in b"),
            line("    if a == None and b == None: return a not in b"),
            line("    if a == None and b is None: return not a in b"),
            edit(1, 2, "def f(a, c):\n    if a == None and b == None: return not a in b"),
        ];
        let expected = "def f(a, c):\n    if a is None and b is None: return a not in b\n";
        assert_eq!(apply_edits(text, &edits), (expected.to_owned(), vec![true; 4]));
        let mut reversed = edits.clone();
        reversed.reverse();
        assert_eq!(
            apply_edits(text, &reversed),
            (expected.to_owned(), vec![true; 4]),
            "whatever their order"
        );
        let crlf = text.replace('\n', "\r\n");
        assert_eq!(apply_edits(&crlf, &edits), (expected.replace('\n', "\r\n"), vec![true; 4]));
    }

    #[test]
    fn nineteen_edits_of_one_line_are_applied_in_one_run() {
        let calls = |fixed: std::ops::RangeInclusive<u32>| {
            let call = |at| {
                if fixed.contains(&at) { format!("g(x{at} is None)") } else { format!("g(x{at} == None)") }
            };
            (1..=19).map(call).collect::<Vec<_>>().join("; ")
        };
        let edits: Vec<LineEdit> = (1..=19).map(|at| edit(1, 1, &calls(at..=at))).collect();
        let fixed = apply_edits(&format!("{}\n", calls(0..=0)), &edits);
        assert_eq!(fixed, (format!("{}\n", calls(1..=19)), vec![true; 19]));
    }

    #[test]
    fn each_refused_edit_has_its_reason() {
        let refusals = |text: &str, edits: &[LineEdit]| {
            apply_line_edits(&"a.py".into(), text.as_bytes(), edits).refusals
        };
        for (text, edits, expected) in [
            // Both edits change the same word.
            ("foobar()\n", vec![edit(1, 1, "goobar()"), edit(1, 1, "foobaz()")], FixRefusal::Overlap(0)),
            // Both edits insert text at the same place.
            (
                "x = f()\n",
                vec![edit(1, 1, "x = await f()"), edit(1, 1, "x = not f()")],
                FixRefusal::Overlap(0),
            ),
            ("f()\ng()\n", vec![edit(1, 1, "h()"), edit(1, 1, "")], FixRefusal::Overlap(0)),
            (
                "x == None\n",
                vec![edit(1, 1, "x is None"), edit(1, 1, "x is None")],
                FixRefusal::SameChange(0),
            ),
            (
                "def f():\n    a()\n    b()\n",
                vec![edit(2, 2, ""), edit(3, 3, "")],
                FixRefusal::ChangedMeaning,
            ),
            ("f(a)\n", vec![edit(1, 1, "g(a)"), edit(1, 1, "f(a")], FixRefusal::SyntaxError),
            ("f()\n", vec![edit(1, 1, "g()"), edit(2, 2, "h()")], FixRefusal::MissingLines),
        ] {
            assert_eq!(refusals(text, &edits), [None, Some(expected)], "{text:?}");
        }
        let latin = apply_line_edits(&"a.py".into(), b"x = '\xe9'\n", &[edit(1, 1, "x = 1")]);
        assert_eq!(latin.refusals, [Some(FixRefusal::NotUtf8)]);
    }

    #[test]
    fn an_edit_that_overlaps_one_that_is_refused_is_applied_in_its_place() {
        let edits = [edit(1, 1, "f)a)"), edit(1, 1, "f[b]"), edit(2, 2, "h()")];
        let fixed = apply_line_edits(&"a.py".into(), b"f(a)\nf()\n", &edits);
        assert_eq!(String::from_utf8(fixed.bytes).unwrap(), "f[b]\nh()\n");
        assert_eq!(fixed.refusals, [Some(FixRefusal::SyntaxError), None, None]);
    }
}
