//! Defines fixes that are not yet validated and edits that are not yet applied to a file.

use std::ops::Range;

use truing_core::finding::RawFinding;

/// Replacement of a byte range by a text, as produced by the `fix` of a rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ByteReplacement {
    pub(crate) range: Range<usize>,
    pub(crate) replacement: String,
}

impl ByteReplacement {
    /// Returns an equivalent replacement whose range contains only the changed tokens. Words and operators
    /// are never split, so two fixes that change different letters of one name still conflict. Returns `None`
    /// if the range is outside of the text.
    pub(crate) fn narrow_to_change(&self, text: &str) -> Option<Self> {
        let (old, new) = (text.get(self.range.clone())?, self.replacement.as_str());
        let length = |pairs: &mut dyn Iterator<Item = (char, char)>| {
            pairs.take_while(|pair| pair.0 == pair.1).map(|pair| pair.0.len_utf8()).sum::<usize>()
        };
        let mut start = length(&mut old.chars().zip(new.chars()));
        let mut behind = length(&mut old.get(start..)?.chars().rev().zip(new.get(start..)?.chars().rev()));
        while !(is_between_tokens(old, start) && is_between_tokens(new, start)) {
            start -= old.get(..start)?.chars().next_back()?.len_utf8();
        }
        while !(is_between_tokens(old, old.len() - behind) && is_between_tokens(new, new.len() - behind)) {
            behind -= old.get(old.len() - behind..)?.chars().next()?.len_utf8();
        }
        let range = self.range.start + start..self.range.end - behind;
        Some(Self { range, replacement: new.get(start..new.len() - behind)?.to_owned() })
    }

    /// Returns true if this fix and `next` cannot both be applied. `next` must not begin before this fix. Two
    /// fixes conflict in three cases: they overlap, they touch and one of them inserts or deletes text, or
    /// their adjacent texts would form one token.
    pub(crate) fn conflicts_with(&self, next: &Self) -> bool {
        if self.range.end != next.range.start {
            return self.range.end > next.range.start;
        }
        let texts = [&self.replacement, &next.replacement];
        let joined = texts.map(String::as_str).concat();
        self.range.is_empty()
            || next.range.is_empty()
            || texts.iter().any(|text| text.is_empty())
            || !is_between_tokens(&joined, self.replacement.len())
    }
}

/// Classes of characters. Adjacent characters of one class form one token.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CharClass {
    Word,
    Blank,
    Operator,
    /// A bracket, a quote or a separator. Each of these characters is a token by itself.
    Punctuation,
}

impl CharClass {
    fn from_char(letter: char) -> Self {
        match letter {
            '_' => Self::Word,
            letter if letter.is_alphanumeric() => Self::Word,
            letter if letter.is_whitespace() => Self::Blank,
            '(' | ')' | '[' | ']' | '{' | '}' | '"' | '\'' | '`' | ',' | ';' => Self::Punctuation,
            _ => Self::Operator,
        }
    }
}

/// Returns true if no token of the text extends across this offset.
fn is_between_tokens(text: &str, offset: usize) -> bool {
    let Some((before, after)) = text.split_at_checked(offset) else { return false };
    if before.is_empty() || after.is_empty() {
        return true;
    }
    let kinds = (
        before.chars().next_back().map(CharClass::from_char),
        after.chars().next().map(CharClass::from_char),
    );
    kinds.0 != kinds.1 || kinds.0 == Some(CharClass::Punctuation)
}

/// A suggestion to replace lines, which can be applied to a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LineEdit {
    /// The first line that is replaced, from 1.
    pub first_line: u32,
    /// The last line that is replaced.
    pub last_line: u32,
    /// Text that replaces the lines, without a line end at its end. If the text is empty, the lines are
    /// deleted, including their line ends.
    pub replacement: String,
}

impl LineEdit {
    /// Returns the suggestion of a finding, if the finding has one.
    pub fn from_finding(finding: &RawFinding) -> Option<Self> {
        let replacement = finding.suggestion.as_ref()?.replacement.clone();
        Some(Self {
            first_line: finding.location.start_line,
            last_line: finding.location.end_line,
            replacement,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fix_is_narrowed_to_the_tokens_that_it_changes() {
        for (old, new, expected) in [
            ("x == None and f()", "x is None and f()", (2..4, "is")),
            ("x = foo()", "x = await foo()", (4..4, "await ")),
            ("x = await foo()", "x = foo()", (4..10, "")),
            ("foobar", "foobaz", (0..6, "foobaz")),
            ("a.foo(b)", "a.foo_(b)", (2..5, "foo_")),
            ("a = b", "a == b", (2..3, "==")),
            ("x = 1  ", "x = 1", (5..7, "")),
            ("x = 1 # c", "x = 1  # c", (5..6, "  ")),
            ("é = ä", "é = ö", (5..7, "ö")),
            ("f(a, a)", "f(a)", (3..6, "")),
            ("same", "same", (4..4, "")),
            ("f()\n", "", (0..4, "")),
        ] {
            let fix = ByteReplacement { range: 0..old.len(), replacement: new.to_owned() };
            let narrowed = fix.narrow_to_change(old).unwrap();
            let is = (narrowed.range.clone(), narrowed.replacement.as_str());
            assert_eq!(is, expected, "{old:?} to {new:?}");
        }
    }

    #[test]
    fn fixes_that_touch_exclude_each_other_where_text_is_inserted_or_would_run_together() {
        let fix = |range: Range<usize>, new: &str| ByteReplacement { range, replacement: new.to_owned() };
        for (one, two, excludes) in [
            (fix(0..2, "a"), fix(3..4, "b"), false),
            (fix(0..2, "a"), fix(1..4, "b"), true),
            (fix(0..2, "a"), fix(2..3, "("), false),
            (fix(0..2, "a"), fix(2..3, "b"), true),
            (fix(2..2, "a"), fix(2..2, "b"), true),
            (fix(2..2, "a "), fix(2..3, "b"), true),
            (fix(0..2, "a"), fix(2..2, " b"), true),
            (fix(0..2, ""), fix(2..3, "("), true),
        ] {
            assert_eq!(one.conflicts_with(&two), excludes, "{one:?} {two:?}");
        }
    }
}
