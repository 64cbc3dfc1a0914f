//! Suppression in the file itself, with a reason: `truing: ignore[core/rule] why`. It counts on a finding's
//! first line, or on the line before if that line is nothing but the comment. Without a reason it does nothing.

use crate::lines::Lines;

const OPENING: &str = "truing: ignore[";

/// Is a finding of `rule` that begins on line `first` suppressed?
pub(crate) fn is_suppressed(lines: &Lines<'_>, first: u32, rule: &str) -> bool {
    let names = |number: u32, alone: bool| {
        let line = String::from_utf8_lossy(lines.bytes(lines.range(number)));
        line.match_indices(OPENING).any(|(at, _)| {
            let (before, comment) = line.split_at(at);
            (!alone || !before.contains(is_code)) && names_rule(comment.trim_start_matches(OPENING), rule)
        })
    };
    names(first, false) || names(first.saturating_sub(1), true)
}

/// Does what follows the opening name the rule (`core/a` or `core/a, core/b`) and give a reason? A reason has a
/// letter or digit: the end of a comment (`-->`, `*/`) is none.
fn names_rule(comment: &str, rule: &str) -> bool {
    comment.split_once(']').is_some_and(|(rules, reason)| {
        rules.split(',').any(|name| name.trim() == rule)
            && reason.starts_with(char::is_whitespace)
            && reason.contains(char::is_alphanumeric)
    })
}

/// Is it more than the beginning of a comment?
fn is_code(letter: char) -> bool {
    letter.is_alphanumeric() || matches!(letter, '"' | '\'' | '`')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_with_a_reason_suppresses_its_line_and_alone_the_next() {
        let suppressed = |text: &str, line| is_suppressed(&Lines::of(text.as_bytes()), line, "core/x");
        for (text, line, expected) in [
            ("dbg // truing: ignore[core/x] shown on purpose", 1, true),
            ("# truing: ignore[core/x] a fixture\r\nb", 2, true),
            ("<!-- truing: ignore[core/y, core/x] a fixture -->\nb", 2, true),
            ("// truing: ignore[core/y] no. truing: ignore[core/x] yes", 1, true),
            ("dbg // truing: ignore[core/x]", 1, false),
            ("/* truing: ignore[core/x] */", 1, false),
            ("<!-- truing: ignore[core/x] -->\nb", 2, false),
            ("# truing: ignore[core/x]reason", 1, false),
            ("# truing: ignore[core/x", 1, false),
            ("# truing: ignore[core/y] a fixture", 1, false),
            ("# truing: ignore[core] a fixture", 1, false),
            ("dbg // truing: ignore[core/x] only this line\nb", 2, false),
            ("# truing: ignore[core/x] a fixture\n\nb", 3, false),
            ("b\n# truing: ignore[core/x] too late", 1, false),
        ] {
            assert_eq!(suppressed(text, line), expected, "{text:?} line {line}");
        }
    }
}
