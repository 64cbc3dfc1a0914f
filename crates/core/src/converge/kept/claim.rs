//! Assertions that a fix changes and that say no less than before.

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

/// Does the second, both without blanks, assert all that the first does?
pub(super) fn says_no_less(before: &str, after: &str) -> bool {
    is_stricter(before, after) || has_words_more(before, after) || says_other_words(before, after)
}

fn is_stricter(before: &str, after: &str) -> bool {
    let is_negated = before.contains(".not.") || before.contains("not.to");
    // What is not equal strictly may be equal.
    !is_negated
        && STRICTER.iter().any(|(weak, strict)| {
            before.matches(weak).count() == 1 && before.replacen(weak, strict, 1) == after
        })
}

/// The same, with words for people at its end.
fn has_words_more(before: &str, after: &str) -> bool {
    let rest = match before.strip_suffix(')') {
        Some(inner) if WITH_WORDS.iter().any(|begin| before.starts_with(begin)) => after.strip_prefix(inner),
        // A statement of Python.
        _ if before.starts_with("assert") && !before.starts_with("assert(") => after.strip_prefix(before),
        _ => None,
    };
    let words = rest.and_then(|rest| rest.strip_prefix(','));
    words.is_some_and(|words| words.trim_start_matches(['f', 'r']).starts_with(['"', '\'', '`']))
}

fn says_other_words(before: &str, after: &str) -> bool {
    let call =
        |text: &str| SAYS.iter().find_map(|begin| text.starts_with(begin).then(|| without_words(text)));
    matches!((call(before), call(after)), (Some(before), Some(after)) if before == after)
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
