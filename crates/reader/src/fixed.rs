//! Files with suggestions applied: as many of them as together leave the tree around them as it was.

use std::ops::Range;

use truing_diff::RepoPath;

use crate::content::BYTE_ORDER_MARK;
pub use crate::fix::Edit;
use crate::fix::Fix;
use crate::lines::Lines;
use crate::proof::{MAX_PARSED_BYTES, edited, keeps};
use crate::syntax::{Language, Parsers, Shape};

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
    let mut disjoint: Vec<(usize, &Edit)> = Vec::new();
    for at in order {
        let Some(edit) = edits.get(at) else { continue };
        let inside = (1..=edit.last).contains(&edit.first) && edit.last <= lines.count();
        if inside && disjoint.last().is_none_or(|(_, before)| before.last < edit.first) {
            disjoint.push((at, edit));
        }
    }
    let fixes = lines.fixes(&disjoint.iter().map(|(_, edit)| *edit).collect::<Vec<_>>());
    let disjoint: Vec<(usize, Fix)> = disjoint.iter().map(|(at, _)| *at).zip(fixes).collect();

    let mut parsers = Parsers::default();
    let Some(tree) = parsers.parse_in_time(language, text) else { return none() };
    let mut proven = |chosen: &[(usize, Fix)]| {
        let fixes: Vec<Fix> = chosen.iter().map(|(_, fix)| fix.clone()).collect();
        let ranges: Vec<Range<usize>> = fixes.iter().map(|fix| fix.range.clone()).collect();
        let (fixed, changed) = edited(text, &fixes)?;
        let is = parsers.parse_in_time(language, &fixed)?;
        keeps(&Shape::of(&tree, &ranges), &Shape::of(&is, &changed)).then_some(fixed)
    };
    let (chosen, text) = match proven(&disjoint) {
        Some(fixed) => (disjoint, fixed),
        // Each was proven alone. Together they may leave an empty block.
        None => {
            let mut chosen: Vec<(usize, Fix)> = Vec::new();
            let mut best = text.to_owned();
            let tries = MAX_PARSED_BYTES / text.len().max(1);
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
    /// The bytes of edits, which ascend and do not overlap. Lines go with their ends. Where the last lines go and the
    /// last one has no end, each goes with the end before it instead, so that the file still has none.
    pub(crate) fn fixes(&self, edits: &[&Edit]) -> Vec<Fix> {
        let count = self.count();
        let is_ended = self.range(count.saturating_add(1)).start > self.range(count).end;
        let mut rest = count.saturating_add(1);
        for edit in edits.iter().rev().filter(|_| !is_ended) {
            if edit.replacement.is_empty() && edit.last.saturating_add(1) == rest {
                rest = edit.first;
            }
        }
        let with_end_before = |edit: &Edit| 1 < rest && rest <= edit.first;
        edits.iter().map(|edit| self.fix(edit, with_end_before(edit))).collect()
    }

    /// The bytes of an edit. Line ends that the replacement brings become those of the lines it replaces.
    fn fix(&self, edit: &Edit, with_end_before: bool) -> Fix {
        let range = self.range(edit.first).start..self.range(edit.last).end;
        if edit.replacement.is_empty() {
            let range = if with_end_before {
                self.range(edit.first - 1).end..range.end
            } else {
                range.start..self.range(edit.last.saturating_add(1)).start.max(range.end)
            };
            return Fix { range, replacement: String::new() };
        }
        let crlf = self.bytes(range.end..range.end.saturating_add(2)) == b"\r\n";
        let replacement = if crlf {
            edit.replacement.replace("\r\n", "\n").replace('\n', "\r\n")
        } else {
            edit.replacement.clone()
        };
        Fix { range, replacement }
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
    fn all_of_the_last_lines_go_and_a_missing_last_line_end_is_kept() {
        let gone = |lines: Range<u32>| lines.map(|line| edit(line, line, "")).collect::<Vec<_>>();
        for (text, edits, expected) in [
            ("x = 1\nf()\nf()", gone(2..4), "x = 1"),
            ("x = 1\r\nf()\r\nf()\r\nf()", gone(2..5), "x = 1"),
            ("f()\nx = 1\nf()", vec![edit(1, 1, ""), edit(3, 3, "")], "x = 1"),
        ] {
            assert_eq!(applied(text, &edits), (expected.to_owned(), vec![true; edits.len()]), "{text:?}");
        }
        for text in ["f()\nf()", "f()\nf()\n"] {
            let fixes = Lines::of(text.as_bytes()).fixes(&gone(1..3).iter().collect::<Vec<_>>());
            assert_eq!(edited(text, &fixes).unwrap().0, "", "{text:?}");
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
