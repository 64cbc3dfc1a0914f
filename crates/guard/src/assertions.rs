//! Recognises assertions that a fix changes without weakening them.

use std::collections::BTreeSet;

/// Pairs of matchers: each second matcher is stricter than the first.
const STRICTER_MATCHERS: &[(&str, &str)] = &[
    (".toEqual(", ".toStrictEqual("),
    (".toEqual(", ".toBe("),
    (".toStrictEqual(", ".toBe("),
    (".toBeTruthy()", ".toBe(true)"),
    ("assert.equal(", "assert.strictEqual("),
    ("assert.deepEqual(", "assert.deepStrictEqual("),
    ("assert.notEqual(", "assert.notStrictEqual("),
];

/// Prefixes of assertions that accept a message after the condition.
const ASSERTIONS_WITH_MESSAGE: &[&str] = &[
    "assert!(",
    "assert_eq!(",
    "assert_ne!(",
    "assert.",
    "self.assertEqual(",
    "self.assertTrue(",
    "self.assertFalse(",
];

/// Prefixes of Go calls that fail a test or log a message. A fix may change these messages.
const GO_REPORT_CALLS: &[&str] = &["t.Error", "t.Fatal", "t.Log", "b.Error", "b.Fatal"];

/// The assertions that a fix adds, without white space. The assertions are sorted, so the replacement of a
/// removed assertion is found quickly.
pub(super) struct AddedAssertions<'c> {
    assertions: BTreeSet<&'c str>,
    /// Go calls that fail a test or log a message, without their messages.
    report_calls: BTreeSet<String>,
}

impl<'c> AddedAssertions<'c> {
    pub(super) fn new(assertions: impl Iterator<Item = &'c str>) -> Self {
        let all: BTreeSet<&str> = assertions.collect();
        let failure_calls = all.iter().filter_map(|claim| strip_report_message(claim)).collect();
        Self { assertions: all, report_calls: failure_calls }
    }

    /// Returns true if an added assertion asserts at least as much as this removed assertion.
    pub(super) fn asserts_at_least(&self, removed_assertion: &str) -> bool {
        self.has_stricter_assertion(removed_assertion)
            || self.has_assertion_with_message(removed_assertion)
            || strip_report_message(removed_assertion)
                .is_some_and(|removed_assertion| self.report_calls.contains(&removed_assertion))
    }

    fn has_stricter_assertion(&self, removed_assertion: &str) -> bool {
        let is_negated = removed_assertion.contains(".not.") || removed_assertion.contains("not.to");
        // Negated matchers are excluded: the negation of a stricter matcher asserts less, because values that
        // are not strictly equal may still be equal.
        !is_negated
            && STRICTER_MATCHERS.iter().any(|(weak, strict)| {
                removed_assertion.matches(weak).count() == 1
                    && self.assertions.contains(removed_assertion.replacen(weak, strict, 1).as_str())
            })
    }

    /// Returns true if an added assertion is the removed assertion with an added message.
    fn has_assertion_with_message(&self, removed_assertion: &str) -> bool {
        let inner = match removed_assertion.strip_suffix(')') {
            Some(inner)
                if ASSERTIONS_WITH_MESSAGE.iter().any(|begin| removed_assertion.starts_with(begin)) =>
            {
                inner
            }
            // An assert statement of Python.
            _ if removed_assertion.starts_with("assert") && !removed_assertion.starts_with("assert(") => {
                removed_assertion
            }
            _ => return false,
        };
        let begin = format!("{inner},");
        let mut more = self.assertions.range(begin.as_str()..).map_while(|claim| claim.strip_prefix(&*begin));
        more.any(|words| words.trim_start_matches(['f', 'r']).starts_with(['"', '\'', '`']))
    }
}

/// Returns a Go statement that fails a test or logs a message, without its message. `None` for other
/// statements.
fn strip_report_message(assertion: &str) -> Option<String> {
    GO_REPORT_CALLS.iter().any(|begin| assertion.starts_with(begin)).then(|| without_first_string(assertion))
}

/// Removes the first string from a call.
fn without_first_string(call: &str) -> String {
    let Some(start) = call.find('"') else { return call.to_owned() };
    let mut is_escaped = false;
    let end = call.get(start + 1..).unwrap_or_default().char_indices().find(|(_, letter)| {
        let ends = *letter == '"' && !is_escaped;
        is_escaped = *letter == '\\' && !is_escaped;
        ends
    });
    let rest = end.and_then(|(at, _)| call.get(start + 2 + at..)).unwrap_or_default();
    format!("{}{rest}", call.get(..start).unwrap_or_default())
}

/// Returns true if strings in this line are only messages for people. `line` contains no white space.
pub(super) fn is_message_statement(line: &str) -> bool {
    GO_REPORT_CALLS.iter().any(|begin| line.starts_with(begin))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim_asserts_at_least(before: &str, after: &str) -> bool {
        AddedAssertions::new(std::iter::once(after)).asserts_at_least(before)
    }

    #[test]
    fn a_stricter_matcher_and_words_for_people_take_nothing_away() {
        for (before, after) in [
            ("expect(x).toEqual(1)", "expect(x).toStrictEqual(1)"),
            ("expect(x).toEqual(1)", "expect(x).toBe(1)"),
            ("assert_eq!(a,b)", "assert_eq!(a,b,\"width{}\",w)"),
            ("asserta==b", "asserta==b,f\"{a}\""),
            ("t.Errorf(\"got%q\",got)", "t.Errorf(\"Text=%q\",got)"),
        ] {
            assert!(claim_asserts_at_least(before, after), "{before} {after}");
        }
        for (before, after) in [
            ("expect(x).toBe(1)", "expect(x).toEqual(1)"),
            ("expect(x).toEqual(1)", "expect(x).toBe(2)"),
            ("expect(x).not.toEqual(1)", "expect(x).not.toBe(1)"),
            ("expect(x).toEqual(expect(y).toEqual(1))", "expect(x).toBe(expect(y).toEqual(1))"),
            ("assert_eq!(a,b)", "assert_eq!(a,a)"),
            ("assert_close(a,b)", "assert_close(a,b,\"5\")"),
            ("asserta==b", "assert(a==b,\"words\")"),
            ("asserta==b", "asserta==bor\"words\""),
            ("t.Errorf(\"got%q\",got)", "t.Logf(\"got%q\",got)"),
            ("t.Errorf(\"got%q\",got)", "t.Errorf(\"got%q\",want)"),
        ] {
            assert!(!claim_asserts_at_least(before, after), "{before} {after}");
        }
    }
}
