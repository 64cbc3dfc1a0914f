//! Proofs of suggestions, and files with suggestions applied.
//!
//! A rule's `fix` is shown only where, applied in memory, something changes, the file parses as well as before, no
//! token is cut, and the tree around the fixed bytes stays as it was: a statement does not become the body of the
//! `if` above it, an operator does not reach further than before. What cannot be proven stays prose.

use std::ops::Range;

use truing_core::finding::{RawFinding, Suggestion};
use truing_diff::RepoPath;

use crate::lines::Lines;
use crate::syntax::{Language, Parsers, Shape};

/// The longest suggestion, in bytes.
const MAX_BYTES: usize = 8 * 1024;

/// How many bytes are parsed to prove the suggestions of one file: all of them in files of up to 160 KiB.
const MAX_PARSED_BYTES: usize = 32 * 1024 * 1024;

/// What editors put before UTF-8 text; no part of the first line.
pub(crate) const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// What a `fix` does: these bytes become this text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Fix {
    pub(crate) range: Range<usize>,
    pub(crate) replacement: String,
}

/// A file whose fixes are to be proven.
pub(crate) struct Prover<'a> {
    language: &'static Language,
    lines: &'a Lines<'a>,
    text: &'a str,
    parsers: &'a mut Parsers,
    /// How many bytes may still be parsed.
    left: usize,
}

impl<'a> Prover<'a> {
    pub(crate) fn new(
        language: &'static Language,
        lines: &'a Lines<'a>,
        text: &'a str,
        parsers: &'a mut Parsers,
    ) -> Self {
        Self { language, lines, text, parsers, left: MAX_PARSED_BYTES }
    }

    /// The lines `first..=last` as the fix leaves them, if that is proven. Where it leaves nothing but blanks, the
    /// lines go, and the replacement is empty.
    pub(crate) fn suggestion(&mut self, first: u32, last: u32, fix: &Fix) -> Option<Suggestion> {
        let shown = self.lines.range(first).start..self.lines.range(last).end;
        // A fix of other lines than the finding's cannot be shown with it.
        if fix.range.start < shown.start || fix.range.end > shown.end {
            return None;
        }
        let old = self.text.get(shown.clone())?;
        let before = self.text.get(shown.start..fix.range.start)?;
        let after = self.text.get(fix.range.end..shown.end)?;
        let replacement = format!("{before}{}{after}", fix.replacement);
        if replacement == old || replacement.len() > MAX_BYTES || self.left < 2 * self.text.len() {
            return None;
        }
        self.left -= 2 * self.text.len();
        let edit = if replacement.trim().is_empty() {
            self.lines.removal(first, last)
        } else {
            Fix { range: fix.range.clone(), replacement: fix.replacement.clone() }
        };
        let replacement = if replacement.trim().is_empty() { String::new() } else { replacement };
        let was = self.parsers.shape(self.language, self.text, std::slice::from_ref(&edit.range))?;
        let (fixed, changed) = edited(self.text, std::slice::from_ref(&edit))?;
        let is = self.parsers.shape(self.language, &fixed, &changed)?;
        (!was.cuts && keeps(&was, &is)).then_some(Suggestion { replacement })
    }
}

/// Does a text parse as well as before, with the same tree around what changed?
fn keeps(was: &Shape, is: &Shape) -> bool {
    is.errors <= was.errors && is.around == was.around
}

/// A text with edits applied, which ascend and do not overlap, and where their replacements are in it.
fn edited(text: &str, edits: &[Fix]) -> Option<(String, Vec<Range<usize>>)> {
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

// ---------------------------------------------------------------------------------------------- whole files

/// A suggestion that is to be applied to its file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Edit {
    /// The first line that is replaced, from 1.
    pub first: u32,
    /// The last line that is replaced.
    pub last: u32,
    /// What the lines become, without the last line end; empty: they go, line ends and all.
    pub replacement: String,
}

impl Edit {
    /// What a finding suggests, if it does.
    pub fn of(finding: &RawFinding) -> Option<Self> {
        let replacement = finding.suggestion.as_ref()?.replacement.clone();
        Some(Self { first: finding.place.start_line, last: finding.place.end_line, replacement })
    }
}

/// A file with suggestions applied.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fixed {
    /// The file's new content. A byte order mark, CRLF and a missing last line end are kept.
    pub bytes: Vec<u8>,
    /// For each edit, in the order they came in: was it applied?
    pub applied: Vec<bool>,
}

/// Applies suggestions to the file that they were made for, all that go together: of two that overlap the one that
/// begins first, and no more than leave the tree around them as it was. Nothing is applied to a file of a language
/// without grammar, or that is not UTF-8: there are no suggestions for those.
pub fn apply(path: &RepoPath, bytes: &[u8], edits: &[Edit]) -> Fixed {
    let none = || Fixed { bytes: bytes.to_vec(), applied: vec![false; edits.len()] };
    let (mark, rest) =
        bytes.split_at(if bytes.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 });
    let (Some(language), Ok(text)) = (Language::of_path(path.as_bytes()), std::str::from_utf8(rest)) else {
        return none();
    };
    let lines = Lines::of(rest);
    let mut order: Vec<usize> = (0..edits.len()).collect();
    order.sort_by_key(|at| edits.get(*at).map(|edit| (edit.first, edit.last)));
    let mut parsers = Parsers::default();
    let mut proven = |chosen: &[(usize, Fix)]| {
        let fixes: Vec<Fix> = chosen.iter().map(|(_, fix)| fix.clone()).collect();
        let ranges: Vec<Range<usize>> = fixes.iter().map(|fix| fix.range.clone()).collect();
        let (fixed, changed) = edited(text, &fixes)?;
        let was = parsers.shape(language, text, &ranges)?;
        let is = parsers.shape(language, &fixed, &changed)?;
        keeps(&was, &is).then_some(fixed)
    };

    let mut disjoint: Vec<(usize, Fix)> = Vec::new();
    for at in order {
        let Some(edit) = edits.get(at) else { continue };
        let inside = (1..=edit.last).contains(&edit.first) && edit.last <= lines.count();
        let end = disjoint.last().map_or(0, |(_, fix)| fix.range.end);
        let fix = lines.edit(edit);
        if inside && fix.range.start >= end {
            disjoint.push((at, fix));
        }
    }
    let (chosen, text) = match proven(&disjoint) {
        Some(fixed) => (disjoint, fixed),
        // Each was proven alone. Together they may leave an empty block.
        None => {
            let mut chosen: Vec<(usize, Fix)> = Vec::new();
            let mut best = text.to_owned();
            let tries = MAX_PARSED_BYTES / (2 * text.len().max(1));
            for next in disjoint.into_iter().take(tries) {
                chosen.push(next);
                match proven(&chosen) {
                    Some(fixed) => best = fixed,
                    None => drop(chosen.pop()),
                }
            }
            (chosen, best)
        }
    };
    let mut fixed = Fixed { bytes: [mark, text.as_bytes()].concat(), ..none() };
    for (at, _) in chosen {
        if let Some(applied) = fixed.applied.get_mut(at) {
            *applied = true;
        }
    }
    fixed
}

impl Lines<'_> {
    /// The bytes of an edit. Line ends that the replacement brings become those of the lines it replaces.
    fn edit(&self, edit: &Edit) -> Fix {
        if edit.replacement.is_empty() {
            return self.removal(edit.first, edit.last);
        }
        let range = self.range(edit.first).start..self.range(edit.last).end;
        let crlf = self.bytes(range.end..range.end.saturating_add(2)) == b"\r\n";
        let replacement = if crlf {
            edit.replacement.replace("\r\n", "\n").replace('\n', "\r\n")
        } else {
            edit.replacement.clone()
        };
        Fix { range, replacement }
    }

    /// Takes lines away with their ends. Where the last line has none, the end before them goes, so that the file
    /// still has none.
    fn removal(&self, first: u32, last: u32) -> Fix {
        let (start, end) = (self.range(first).start, self.range(last).end);
        let next = self.range(last.saturating_add(1)).start;
        let range = if next > end {
            start..next
        } else if first > 1 {
            self.range(first - 1).end..end
        } else {
            start..end
        };
        Fix { range, replacement: String::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(first: u32, last: u32, replacement: &str) -> Edit {
        Edit { first, last, replacement: replacement.to_owned() }
    }

    fn applied(text: &str, edits: &[Edit]) -> (String, Vec<bool>) {
        let fixed = apply(&"a.py".into(), text.as_bytes(), edits);
        (String::from_utf8(fixed.bytes).unwrap(), fixed.applied)
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
            assert_eq!(applied(text, &edits), (expected.to_owned(), vec![true; edits.len()]), "{text:?}");
        }
    }

    #[test]
    fn of_edits_that_overlap_the_one_that_begins_first_wins_whatever_order_they_come_in() {
        let edits = [edit(2, 3, "y"), edit(1, 2, "x"), edit(4, 4, "z")];
        assert_eq!(applied("a\nb\nc\nd\n", &edits), ("x\nc\nz\n".to_owned(), vec![false, true, true]));
    }

    #[test]
    fn edits_that_together_would_empty_a_block_are_applied_as_far_as_it_stays_one() {
        let text = "def f():\n    a()\n    b()\n";
        let edits = [edit(2, 2, ""), edit(3, 3, "")];
        assert_eq!(applied(text, &edits), ("def f():\n    b()\n".to_owned(), vec![true, false]));
    }

    #[test]
    fn edits_of_lines_that_are_not_there_and_of_unknown_languages_are_not_applied() {
        let edits = [edit(0, 1, "x"), edit(2, 1, "x"), edit(2, 2, "x")];
        assert_eq!(applied("a\n", &edits), ("a\n".to_owned(), vec![false; 3]));
        let fixed = apply(&"a.txt".into(), b"a\n", &[edit(1, 1, "x")]);
        assert_eq!(fixed, Fixed { bytes: b"a\n".to_vec(), applied: vec![false] });
    }
}
