//! Proofs of suggestions: a rule's `fix` is shown only where, applied in memory, the file parses as well as before
//! and something changes. What cannot be proven stays prose.

use std::ops::Range;

use truing_core::finding::Suggestion;

use crate::lines::Lines;
use crate::syntax::{Language, Parsers};

/// The longest suggestion, in bytes.
const MAX_BYTES: usize = 8 * 1024;

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
    /// How many errors the file has as it is: counted when first needed; none if it cannot be parsed.
    errors: Option<Option<usize>>,
}

impl<'a> Prover<'a> {
    pub(crate) fn new(
        language: &'static Language,
        lines: &'a Lines<'a>,
        text: &'a str,
        parsers: &'a mut Parsers,
    ) -> Self {
        Self { language, lines, text, parsers, errors: None }
    }

    /// The lines `first..=last` as the fix leaves them, if that is proven.
    pub(crate) fn suggestion(&mut self, first: u32, last: u32, fix: &Fix) -> Option<Suggestion> {
        let start = self.lines.range(first).start;
        let end = self.lines.range(last).end;
        // A fix of other lines than the finding's cannot be shown with it.
        if fix.range.start < start || fix.range.end > end {
            return None;
        }
        let old = self.text.get(start..end)?;
        let before = self.text.get(start..fix.range.start)?;
        let after = self.text.get(fix.range.end..end)?;
        let replacement = format!("{before}{}{after}", fix.replacement);
        if replacement == old || replacement.len() > MAX_BYTES {
            return None;
        }
        let fixed = format!("{}{replacement}{}", self.text.get(..start)?, self.text.get(end..)?);
        let (language, text) = (self.language, self.text);
        let errors = *self.errors.get_or_insert_with(|| self.parsers.errors(language, text));
        (self.parsers.errors(language, &fixed)? <= errors?).then_some(Suggestion { replacement })
    }
}
