//! Assertions that a fix changes and that say no less than before.

use std::collections::BTreeSet;

/// Matchers, and others that hold for less.
const STRICTER: &[(&str, &str)] = &[
    (".toEqual(", ".toStrictEqual("),
    (".toEqual(", ".toBe("),
    (".toStrictEqual(", ".toBe("),
    (".toBeTruthy()", ".toBe(true)"),
    ("assert.equal(", "assert.strictEqual("),
    ("assert.deepEqual(", "assert.deepStrictEqual("),
    ("assert.notEqual(", "assert.notStrictEqual("),
];

/// The beginnings of assertions that take words for people after what they assert.
const WITH_WORDS: &[&str] = &[
    "assert!(",
    "assert_eq!(",
    "assert_ne!(",
    "assert.",
    "self.assertEqual(",
    "self.assertTrue(",
    "self.assertFalse(",
];

/// The beginnings of what fails a test in Go: the words behind them are for people.
const SAYS: &[&str] = &["t.Error", "t.Fatal", "t.Log", "b.Error", "b.Fatal"];

/// The assertions that a fix adds, without blanks, sorted to find those that say no less than one that is gone.
pub(super) struct NewClaims<'c> {
    all: BTreeSet<&'c str>,
    /// Those that fail a test in Go, without their words.
    said: BTreeSet<String>,
}

impl<'c> NewClaims<'c> {
    pub(super) fn new(claims: impl Iterator<Item = &'c str>) -> Self {
        let all: BTreeSet<&str> = claims.collect();
        let said = all.iter().filter_map(|claim| said(claim)).collect();
        Self { all, said }
    }

    /// Does one of them assert all that this does?
    pub(super) fn says_no_less(&self, before: &str) -> bool {
        self.is_stricter(before)
            || self.has_words_more(before)
            || said(before).is_some_and(|before| self.said.contains(&before))
    }

    fn is_stricter(&self, before: &str) -> bool {
        let is_negated = before.contains(".not.") || before.contains("not.to");
        // What is not equal strictly may be equal.
        !is_negated
            && STRICTER.iter().any(|(weak, strict)| {
                before.matches(weak).count() == 1
                    && self.all.contains(before.replacen(weak, strict, 1).as_str())
            })
    }

    /// The same, with words for people at its end.
    fn has_words_more(&self, before: &str) -> bool {
        let inner = match before.strip_suffix(')') {
            Some(inner) if WITH_WORDS.iter().any(|begin| before.starts_with(begin)) => inner,
            // A statement of Python.
            _ if before.starts_with("assert") && !before.starts_with("assert(") => before,
            _ => return false,
        };
        let begin = format!("{inner},");
        let mut more = self.all.range(begin.as_str()..).map_while(|claim| claim.strip_prefix(&*begin));
        more.any(|words| words.trim_start_matches(['f', 'r']).starts_with(['"', '\'', '`']))
    }
}

/// A statement that fails a test in Go, without its words.
fn said(claim: &str) -> Option<String> {
    SAYS.iter().any(|begin| claim.starts_with(begin)).then(|| without_words(claim))
}

/// A call without its first text.
fn without_words(call: &str) -> String {
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

/// Is a text in this line, without blanks, said to people only?
pub(super) fn is_said(line: &str) -> bool {
    SAYS.iter().any(|begin| line.starts_with(begin))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says_no_less(before: &str, after: &str) -> bool {
        NewClaims::new(std::iter::once(after)).says_no_less(before)
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
            assert!(says_no_less(before, after), "{before} {after}");
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
            assert!(!says_no_less(before, after), "{before} {after}");
        }
    }
}
