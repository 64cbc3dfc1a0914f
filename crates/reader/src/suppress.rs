//! Finds suppression comments in a file. Such a comment names rules and contains a reason: `truing:
//! ignore[core/rule] why`. A comment applies to findings that begin on the comment's line. If a comment is
//! alone on its line, it also applies to findings that begin on the next line. A comment without a reason has
//! no effect, and is reported ([`find_unused_suppressions`]).

use std::collections::BTreeSet;
use std::sync::LazyLock;

use memchr::memmem;
use regex::bytes::Regex;
use truing_core::line::clean_line;
use truing_core::suppression::{UnusedSuppression, UnusedSuppressionReason};
use truing_diff::RepoPath;

use crate::lines::LineIndex;
use crate::output::known;
use crate::redact::{FileSecrets, redact_secrets};

const SUPPRESSION_PREFIX: &str = "truing: ignore[";
/// Pattern for text that is probably meant as a suppression comment, even if it is misspelt.
static SUPPRESSION_ATTEMPT_PATTERN: LazyLock<Regex> = LazyLock::new(|| {
    let meant = concat!(
        r#"(?im)(?:#|//|/\*|<!--|--|;|%|^[ \t]*@?(?:REM|dnl)\b|^[ \t]*['"][ \t]+)[^\n]*?\b"#,
        r#"(truing[ \t]*[:-][ \t]*ignore)(?:-next)?(?:-line)?\b[^\n]*"#
    );
    #[expect(clippy::expect_used, reason = "a constant, which every test of this file compiles")]
    Regex::new(meant).expect("the pattern of comments that are probably meant as suppressions")
});

/// Maximum length in bytes of a rule's name that is reported. Longer names are reported as `…`.
const MAX_RULE_NAME_BYTES: usize = 80;
/// Maximum number of comments of one file that are reported.
const MAX_UNUSED_SUPPRESSIONS: usize = 100;
/// Maximum number of characters of a reason that are reported.
pub(crate) const MAX_REASON_CHARS: usize = 200;

/// The lines and rules of suppression comments that have suppressed a finding.
pub(crate) type UsedSuppressions = BTreeSet<(u32, String)>;

/// Returns true if the file contains a suppression comment or a text that is intended as one.
pub(crate) fn mentions_suppression(bytes: &[u8]) -> bool {
    memmem::find(bytes, b"ruing").is_some()
        && (memmem::find(bytes, SUPPRESSION_PREFIX.as_bytes()).is_some()
            || SUPPRESSION_ATTEMPT_PATTERN.is_match(bytes))
}

/// Returns the line and the reason of a comment that suppresses the findings of `rule` that begin on line
/// `first_line`. Returns `None` if there is no such comment.
pub(crate) fn find_suppression(lines: &LineIndex<'_>, first_line: u32, rule: &str) -> Option<(u32, String)> {
    let named = |number: u32, requires_alone: bool| {
        let found = parse_comments(lines, number).into_iter().find(|comment| {
            (!requires_alone || comment.is_whole_line)
                && !comment.is_quoted
                && comment.has_reason
                && comment.rules.iter().any(|name| name == rule)
        });
        found.map(|comment| (number, comment.reason))
    };
    named(first_line, false).or_else(|| named(first_line.saturating_sub(1), true))
}

/// Returns a comment's reason for reports: on one line, without secrets of the file, and without the
/// characters that end the comment.
pub(crate) fn clean_reason(lines: &LineIndex<'_>, reason: &str) -> String {
    let text = String::from_utf8_lossy(lines.text());
    let reason = clean_line(&FileSecrets::from_text(&text).hide_secrets(reason), MAX_REASON_CHARS);
    let ends = ["-->", "*/", "#}", "%}"];
    let open = ends.iter().find_map(|end| reason.strip_suffix(end)).unwrap_or(&reason);
    open.trim_end().to_owned()
}

/// Returns a finding's lines without the suppression comment, because the comment must not change the
/// finding's identity.
pub(crate) fn strip_suppression_comment(snippet: &str) -> String {
    let line = |line: &str| {
        let Some(at) = line.find(SUPPRESSION_PREFIX) else { return line.to_owned() };
        let before = line.get(..at).unwrap_or_default().trim_end();
        let begins = ["<!--", "//", "/*", "--", "#", ";", "%", "'", "\""];
        let sign = begins.iter().find_map(|begin| before.strip_suffix(begin));
        let code = sign.or_else(|| strip_comment_word(before)).unwrap_or(before);
        code.trim_end().to_owned()
    };
    snippet.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// Functions that provide facts about a file, for the search for comments without an effect.
pub(crate) struct SuppressionFileFacts<C, F, S> {
    /// Returns true if a range of lines contains lines of the change.
    pub(crate) has_changed_line: C,
    /// Returns true if the rule with this name may report findings in the file. Otherwise, the comment is
    /// reported as a comment for an unknown rule.
    pub(crate) is_known_rule: F,
    /// Returns true if the byte at this offset is in a string. A comment in a string is a quotation and has
    /// no effect.
    pub(crate) is_in_string: S,
}

/// Returns the comments on lines of the change that suppress nothing. `used_suppressions` contains the
/// comments that suppressed a finding.
pub(crate) fn find_unused_suppressions<
    C: Fn(u32, u32) -> bool,
    F: Fn(&str) -> bool,
    S: FnMut(usize) -> bool,
>(
    path: &RepoPath,
    lines: &LineIndex<'_>,
    used_suppressions: &UsedSuppressions,
    file_facts: SuppressionFileFacts<C, F, S>,
) -> Vec<UnusedSuppression> {
    let SuppressionFileFacts {
        has_changed_line: is_changed_line,
        is_known_rule: has_finding,
        is_in_string: mut is_shown,
    } = file_facts;
    let mut all = Vec::new();
    let mut last = 0;
    for at in memmem::find_iter(lines.text(), SUPPRESSION_PREFIX.as_bytes()) {
        let line = lines.line_number(at);
        if std::mem::replace(&mut last, line) == line || !is_changed_line(line, line) || is_shown(at) {
            continue;
        }
        for comment in parse_comments(lines, line).into_iter().filter(|comment| !comment.is_quoted) {
            for rule in &comment.rules {
                // If the next line is unchanged, the rule's findings on that line are not known.
                let next = line.saturating_add(1);
                let is_known =
                    !comment.is_whole_line || next > lines.line_count() || is_changed_line(next, next);
                let problem = if !comment.has_reason {
                    UnusedSuppressionReason::NoReason
                } else if is_tool_rule(rule) {
                    // The findings of tools are not known here, so comments for rules of tools are not
                    // reported.
                    continue;
                } else if !has_finding(rule) {
                    UnusedSuppressionReason::UnknownRule
                } else if is_known && !used_suppressions.contains(&(line, rule.clone())) {
                    UnusedSuppressionReason::NoMatchingFinding
                } else {
                    continue;
                };
                let rule = redact_name(rule);
                all.push(UnusedSuppression { path: path.clone(), line, rule, problem });
            }
        }
    }
    for meant in SUPPRESSION_ATTEMPT_PATTERN.captures_iter(lines.text()) {
        let Some(word) = meant.get(1) else { continue };
        let line = lines.line_number(word.start());
        let is_one = lines
            .text()
            .get(word.start()..)
            .is_some_and(|rest| rest.starts_with(SUPPRESSION_PREFIX.as_bytes()));
        let before = lines.text().get(..word.start()).and_then(<[u8]>::last).copied();
        let is_quoted = before.is_some_and(|before| is_quote(char::from(before)));
        if !is_one && is_changed_line(line, line) && !is_quoted && !is_shown(word.start()) {
            let (path, rule, problem) = (path.clone(), String::new(), UnusedSuppressionReason::InvalidSyntax);
            all.push(UnusedSuppression { path, line, rule, problem });
        }
    }
    all.truncate(MAX_UNUSED_SUPPRESSIONS);
    all
}

/// Returns true for a rule of a known tool.
fn is_tool_rule(rule: &str) -> bool {
    rule.split_once('/').is_some_and(|(tool, _)| known::find_tool(tool).is_some())
}

/// Returns a rule's name for reports. The brackets of a comment may contain any text. A text that does not
/// look like a rule's name is therefore replaced, and secrets in a name are shortened.
fn redact_name(name: &str) -> String {
    let is_letter = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '/');
    if name.len() <= MAX_RULE_NAME_BYTES && name.chars().all(is_letter) {
        redact_secrets(name)
    } else {
        "…".to_owned()
    }
}

/// Suppression comment in a file.
struct SuppressionComment {
    /// Rules that the comment names.
    rules: Vec<String>,
    /// True if the comment has a reason. A reason must contain a letter or a digit. The characters that end a
    /// comment (`-->`, `*/`) do not count as a reason.
    has_reason: bool,
    /// Text after the bracket, up to another suppression comment.
    reason: String,
    /// True if the line contains no code before the comment.
    is_whole_line: bool,
    /// True if the comment is in quotes, in a string or as an example.
    is_quoted: bool,
}

/// Returns the suppression comments of a line. In the brackets, rules are separated by commas (`core/a,
/// core/b`), and the reason follows the brackets.
fn parse_comments(lines: &LineIndex<'_>, number: u32) -> Vec<SuppressionComment> {
    let line = String::from_utf8_lossy(lines.bytes(lines.line_range(number)));
    let comment = |(at, _): (usize, &str)| {
        let (before, comment) = line.split_at(at);
        let (rules, reason) = comment.trim_start_matches(SUPPRESSION_PREFIX).split_once(']')?;
        let rules = rules.split(',').map(str::trim).filter(|name| !name.is_empty());
        let reason = reason.strip_prefix(':').unwrap_or(reason);
        let own = reason.split(SUPPRESSION_PREFIX).next().unwrap_or_default();
        let is_in_text = |quote: char| before.matches(quote).count() % 2 == 1 && comment.contains(quote);
        let opens = opens_with_quote(before, comment);
        Some(SuppressionComment {
            rules: rules.map(str::to_owned).collect(),
            has_reason: reason.starts_with(char::is_whitespace) && reason.contains(char::is_alphanumeric),
            reason: own.trim().to_owned(),
            is_whole_line: opens
                || strip_comment_word(before).unwrap_or(before).chars().all(|letter| !is_code_char(letter)),
            is_quoted: !opens && (before.ends_with(is_quote) || is_in_text('"') || is_in_text('`')),
        })
    };
    line.match_indices(SUPPRESSION_PREFIX).filter_map(comment).collect()
}

/// Returns the text before a word that begins a comment. Returns `None` if `before` does not end with such a
/// word. Such words are `REM` and `@REM` in batch files, and `dnl` in m4.
fn strip_comment_word(before: &str) -> Option<&str> {
    let before = before.trim_end();
    let at = before.rfind(|letter: char| !letter.is_alphanumeric()).map_or(0, |at| at + 1);
    let (code, word) = before.split_at_checked(at)?;
    let is_word = word.eq_ignore_ascii_case("rem") || word == "dnl";
    is_word.then(|| code.strip_suffix('@').unwrap_or(code))
}

/// Returns true if a quote begins a comment that is the whole line, as in Visual Basic (`'`) and Vim (`"`).
/// If the quote is closed at the end of the line, the text is a string.
fn opens_with_quote(before: &str, comment: &str) -> bool {
    let quote = match before.trim() {
        "'" => '\'',
        "\"" => '"',
        _ => return false,
    };
    !comment.trim_end().trim_end_matches([',', ';', ')', ']', '}', '+', '\\']).trim_end().ends_with(quote)
}

/// Returns true for a letter, a digit or a quote, which cannot begin a comment.
fn is_code_char(letter: char) -> bool {
    letter.is_alphanumeric() || is_quote(letter)
}

fn is_quote(letter: char) -> bool {
    matches!(letter, '"' | '\'' | '`')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_with_a_reason_suppresses_its_line_and_alone_the_next() {
        let suppressed =
            |text: &str, line| find_suppression(&LineIndex::new(text.as_bytes()), line, "core/x").is_some();
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
            ("# truing: ignore[core/x]: a fixture\nb", 2, true),
            ("REM truing: ignore[core/x] a fixture\nb", 2, true),
            ("@rem truing: ignore[core/x] a fixture\nb", 2, true),
            ("dnl truing: ignore[core/x] a fixture\nb", 2, true),
            ("b dnl truing: ignore[core/x] a fixture", 1, true),
            ("b rem truing: ignore[core/x] only this line\nb", 2, false),
            ("' truing: ignore[core/x] the key isn't one\nb", 2, true),
            ("'truing: ignore[core/x] a fixture\nb", 2, true),
            ("\" truing: ignore[core/x] a fixture\nb", 2, true),
            ("b ' truing: ignore[core/x] a fixture", 1, true),
            ("b \" truing: ignore[core/x] a fixture", 1, true),
            ("  'truing: ignore[core/x] a text',\nb", 2, false),
            ("  \" truing: ignore[core/x] a text\"\nb", 2, false),
            ("harem truing: ignore[core/x] a text\nb", 2, false),
            ("b; s = \"truing: ignore[core/x] a text\"", 1, false),
            ("b; s = \"# truing: ignore[core/x] a text\"", 1, false),
        ] {
            assert_eq!(suppressed(text, line), expected, "{text:?} line {line}");
        }
    }

    #[test]
    fn a_comment_that_suppresses_is_no_part_of_the_finding_and_its_reason_is_one_line_without_secrets() {
        for (line, code) in [
            ("dbg(x) // truing: ignore[core/x] why", "dbg(x)"),
            ("  dbg(x)  # truing: ignore[core/x] why", "  dbg(x)"),
            ("<p> <!-- truing: ignore[core/x] why -->", "<p>"),
            ("dbg(x) /* truing: ignore[core/x] why */\nb", "dbg(x)\nb"),
            ("dbg(x) // why", "dbg(x) // why"),
            ("dbg(x) ' truing: ignore[core/x] why", "dbg(x)"),
            ("dbg(x) dnl truing: ignore[core/x] why", "dbg(x)"),
            ("dbg(x) & REM truing: ignore[core/x] why", "dbg(x) &"),
        ] {
            assert_eq!(strip_suppression_comment(line), code);
        }
        let key = ["AKIA", "QYLPMN5HHHFPZAM2"].concat();
        let text = format!("<!-- truing: ignore[core/x] as {key} is\u{7}of  a test -->\n");
        let lines = LineIndex::new(text.as_bytes());
        let (line, reason) = find_suppression(&lines, 1, "core/x").unwrap();
        assert_eq!((line, clean_reason(&lines, &reason).as_str()), (1, "as AKIA… is of a test"));
    }

    #[test]
    fn a_comment_that_suppresses_nothing_is_told_with_what_is_wrong() {
        let told = |text: &str, used: &[u32]| {
            let used = used.iter().map(|line| (*line, "core/x".to_owned())).collect();
            let idle = find_unused_suppressions(
                &RepoPath::from("a"),
                &LineIndex::new(text.as_bytes()),
                &used,
                SuppressionFileFacts {
                    has_changed_line: |first: u32, _: u32| first < 9,
                    is_known_rule: |rule: &str| rule == "core/x",
                    is_in_string: |at: usize| text.get(at..).is_some_and(|rest| rest.contains("SHOWN")),
                },
            );
            idle.into_iter().map(|idle| (idle.line, idle.rule, idle.problem)).collect::<Vec<_>>()
        };
        let one = |line, rule: &str, problem| vec![(line, rule.to_owned(), problem)];
        for (text, used, expected) in [
            ("a // truing: ignore[core/x] on purpose", &[1][..], vec![]),
            (
                "a // truing: ignore[core/x] on purpose",
                &[],
                one(1, "core/x", UnusedSuppressionReason::NoMatchingFinding),
            ),
            ("a\n# truing: ignore[core/x]\nb", &[], one(2, "core/x", UnusedSuppressionReason::NoReason)),
            ("# truing: ignore[core/z] why\nb", &[], one(1, "core/z", UnusedSuppressionReason::UnknownRule)),
            (
                "# truing: ignore[core/x, core/z] why\nb",
                &[1],
                one(1, "core/z", UnusedSuppressionReason::UnknownRule),
            ),
            ("say `truing: ignore[core/z]` for it", &[], vec![]),
            ("# truing: ignore[", &[], vec![]),
            (
                "a\n# truing: ignore[core/x] too late",
                &[],
                one(2, "core/x", UnusedSuppressionReason::NoMatchingFinding),
            ),
            ("a # truing:ignore[core/x] why", &[], one(1, "", UnusedSuppressionReason::InvalidSyntax)),
            ("a // Truing: Ignore[core/x] why", &[], one(1, "", UnusedSuppressionReason::InvalidSyntax)),
            ("# truing: ignore\nb", &[], one(1, "", UnusedSuppressionReason::InvalidSyntax)),
            ("/* truing: ignore (core/x) why */\nb", &[], one(1, "", UnusedSuppressionReason::InvalidSyntax)),
            ("<!-- truing-ignore: core/x -->\nb", &[], one(1, "", UnusedSuppressionReason::InvalidSyntax)),
            (
                "# truing: ignore-next-line[core/x] why\nb",
                &[],
                one(1, "", UnusedSuppressionReason::InvalidSyntax),
            ),
            ("REM truing ignore[core/x] why\nb", &[], vec![]),
            ("REM truing:ignore[core/x] why\nb", &[], one(1, "", UnusedSuppressionReason::InvalidSyntax)),
            ("dnl truing-ignore[core/x] why\nb", &[], one(1, "", UnusedSuppressionReason::InvalidSyntax)),
            ("' Truing: ignore[core/x] why\nb", &[], one(1, "", UnusedSuppressionReason::InvalidSyntax)),
            (
                "REM truing: ignore[core/x] why\nb",
                &[],
                one(1, "core/x", UnusedSuppressionReason::NoMatchingFinding),
            ),
            ("x = 'a # truing: ignore[core/z] why SHOWN", &[], vec![]),
            ("x = 'a # truing ignore: x truing:ignore SHOWN", &[], vec![]),
            ("# write `truing: ignore` for it, as Truing ignores it", &[], vec![]),
            ("1\n2\n3\n4\n5\n6\n7\n# truing: ignore[core/x] why\n9", &[], vec![]),
            ("1\n2\n3\n4\n5\n6\n7\n8\n# truing: ignore[core/x]\n", &[], vec![]),
        ] {
            assert_eq!(told(text, used), expected, "{text}");
        }
    }
}
