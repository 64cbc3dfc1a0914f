//! Finds comments that disable rules of linters. Some of Truing's rules have an equivalent linter rule. If a
//! comment disables the linter rule for a line, the comment also suppresses the findings of Truing's rule on
//! this line.

use std::cell::OnceCell;
use std::fmt;
use std::sync::LazyLock;

use regex::bytes::{Captures, Regex};

use crate::lines::LineIndex;

/// A comment for ESLint, oxlint or Deno that applies to one line, and the rule names in the comment.
static ESLINT_LINE_PATTERN: LazyLock<Regex> = LazyLock::new(|| {
    compile_pattern(
        r"(?:eslint|oxlint)-disable-(line|next-line)\b([^\n]*)|deno-lint-(ignore)(?:[ \t]+([^\n]*))?$",
    )
});
/// A block comment for ESLint or oxlint that disables or enables rules for all following lines, until another
/// comment changes this.
static ESLINT_BLOCK_PATTERN: LazyLock<Regex> =
    LazyLock::new(|| compile_pattern(r"/\*\s*(?:eslint|oxlint)-(disable|enable)((?:\s[^*]*)?)\*/"));
/// A comment for Biome that applies to the next line, and the rule name in the comment.
static BIOME_IGNORE_PATTERN: LazyLock<Regex> =
    LazyLock::new(|| compile_pattern(r"biome-ignore[ \t]+(lint[\w/]*)"));
/// A comment for flake8 or Ruff that applies to its own line, and the codes in the comment.
static NOQA_PATTERN: LazyLock<Regex> = LazyLock::new(|| {
    compile_pattern(r"(?i)#[ \t]*noqa\b(?:[ \t]*:[ \t]*([A-Z]+[0-9]+(?:[ \t,]+[A-Z]+[0-9]+)*))?")
});
/// A comment for flake8 or Ruff that applies to the whole file, and the codes in the comment.
static FILE_NOQA_PATTERN: LazyLock<Regex> = LazyLock::new(|| {
    compile_pattern(concat!(
        r"(?im)^[ \t]*#[ \t]*(?:ruff|flake8)[ \t]*:[ \t]*noqa\b(?:[ \t]*:[ \t]*([A-Z]+[0-9]+",
        r"(?:[ \t,]+[A-Z]+[0-9]+)*))?"
    ))
});
/// A comment for pylint that applies to its own line or to the next line.
static PYLINT_DISABLE_PATTERN: LazyLock<Regex> =
    LazyLock::new(|| compile_pattern(r"#[ \t]*pylint:[ \t]*(disable|disable-next)[ \t]*=[ \t]*([\w, \t-]+)"));

fn compile_pattern(pattern: &str) -> Regex {
    #[expect(clippy::expect_used, reason = "constants, which the tests of this file compile")]
    Regex::new(pattern).expect("the pattern of a linter's comment")
}

/// Maximum number of comments of a file that apply to more than one line. Further such comments are ignored.
const MAX_COMMENTS: usize = 1_000;

/// A comment that disables a linter rule, as the reason for a suppressed finding.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct DisablingComment {
    /// The words of the comment that disable rules, such as `eslint-disable`.
    directive: String,
    line: u32,
}

/// Renders the reason for display.
impl fmt::Display for DisablingComment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` on line {}", self.directive, self.line)
    }
}

/// Linter comments of a file. Comments that apply to more than one line are parsed when they are needed for
/// the first time.
pub(crate) struct LinterComments<'a> {
    lines: &'a LineIndex<'a>,
    blocks: OnceCell<Vec<BlockComment<'a>>>,
    file_noqa_comments: OnceCell<Vec<FileNoqaComment<'a>>>,
}

/// An ESLint comment that disables or enables rules for all following lines, until another comment changes
/// this.
struct BlockComment<'a> {
    text: &'a [u8],
    start: usize,
    end: usize,
    disables: bool,
    rule_names: &'a [u8],
}

/// A comment for flake8 or Ruff that applies to the whole file.
struct FileNoqaComment<'a> {
    text: &'a [u8],
    start: usize,
    codes: Option<&'a [u8]>,
}

impl<'a> LinterComments<'a> {
    pub(crate) fn new(lines: &'a LineIndex<'a>) -> Self {
        Self { lines, blocks: OnceCell::new(), file_noqa_comments: OnceCell::new() }
    }

    /// Returns the comment that disables one of these linter rules (`eslint/no-debugger`) on this line.
    pub(crate) fn find_disabling_comment(&self, line: u32, rules: &[String]) -> Option<DisablingComment> {
        let own = self.lines.bytes(self.lines.line_range(line));
        let previous = line.saturating_sub(1);
        let before = Some(previous).filter(|before| *before > 0);
        let before = before.map(|before| self.lines.bytes(self.lines.line_range(before))).unwrap_or_default();
        let at = self.lines.line_range(line).start;
        let on_own_line = |directive: String| DisablingComment { directive, line };
        let on_previous_line = |directive: String| DisablingComment { directive, line: previous };
        rules.iter().filter_map(|rule| rule.split_once('/')).find_map(|(linter, rule)| match linter {
            "eslint" => find_eslint_directive(own, &[b"line"], rule)
                .map(on_own_line)
                .or_else(|| {
                    find_eslint_directive(before, &[b"next-line", b"ignore"], rule).map(on_previous_line)
                })
                .or_else(|| self.find_disabling_block(at, rule)),
            "biome" => find_biome_directive(before, rule).map(on_previous_line),
            "ruff" => {
                find_noqa_directive(own, rule).map(on_own_line).or_else(|| self.find_file_noqa_comment(rule))
            }
            "pylint" => find_pylint_directive(own, b"disable", rule)
                .map(on_own_line)
                .or_else(|| find_pylint_directive(before, b"disable-next", rule).map(on_previous_line)),
            _ => None,
        })
    }

    /// Returns the block comment that disables the rule at this offset. This is the last preceding comment
    /// that names the rule or applies to all rules, if it disables rules.
    fn find_disabling_block(&self, offset: usize, rule: &str) -> Option<DisablingComment> {
        let blocks = self.blocks.get_or_init(|| {
            let block = |comment: Captures<'a>| {
                let (all, kind) = (comment.get(0)?, comment.get(1)?);
                let names = comment.get(2).map(|names| names.as_bytes()).unwrap_or_default();
                Some(BlockComment {
                    text: all.as_bytes(),
                    start: all.start(),
                    end: all.end(),
                    disables: kind.as_bytes() == b"disable",
                    rule_names: names,
                })
            };
            ESLINT_BLOCK_PATTERN
                .captures_iter(self.lines.text())
                .take(MAX_COMMENTS)
                .filter_map(block)
                .collect()
        });
        let mut before =
            blocks.iter().filter(|block| block.end <= offset && names_rule_or_all(block.rule_names, rule));
        let block = before.next_back().filter(|block| block.disables)?;
        Some(DisablingComment {
            directive: first_word(block.text),
            line: self.lines.line_number(block.start),
        })
    }

    /// Returns the comment that disables the rule of Ruff in the whole file.
    fn find_file_noqa_comment(&self, rule: &str) -> Option<DisablingComment> {
        let comments = self.file_noqa_comments.get_or_init(|| {
            let comment = |comment: Captures<'a>| {
                let all = comment.get(0)?;
                let codes = comment.get(1).map(|codes| codes.as_bytes());
                Some(FileNoqaComment { text: all.as_bytes(), start: all.start(), codes })
            };
            FILE_NOQA_PATTERN
                .captures_iter(self.lines.text())
                .take(MAX_COMMENTS)
                .filter_map(comment)
                .collect()
        });
        let comment = comments.iter().find(|comment| codes_cover_rule(comment.codes, rule))?;
        let directive = format!("{}: noqa", first_word(comment.text));
        Some(DisablingComment { directive, line: self.lines.line_number(comment.start) })
    }
}

/// Returns the first word of a comment. A word may contain hyphens.
fn first_word(comment: &[u8]) -> String {
    let is_word_char = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
    let text = String::from_utf8_lossy(comment);
    let text = text.trim_start_matches(|letter: char| !letter.is_ascii_alphabetic());
    text.chars().take_while(|letter| is_word_char(*letter)).collect()
}

/// Returns the directive of a one-line comment of one of these kinds that disables a rule of ESLint.
fn find_eslint_directive(text: &[u8], kinds: &[&[u8]], rule: &str) -> Option<String> {
    ESLINT_LINE_PATTERN.captures_iter(text).find_map(|comment| {
        let kind = comment.get(1).or(comment.get(3)).map(|kind| kind.as_bytes()).unwrap_or_default();
        let rule_names = comment.get(2).or(comment.get(4)).map(|names| names.as_bytes()).unwrap_or_default();
        let disables = kinds.contains(&kind) && names_rule_or_all(rule_names, rule);
        comment.get(0).filter(|_| disables).map(|all| first_word(all.as_bytes()))
    })
}

/// Returns true if an ESLint comment names this rule. Also returns true for a comment without rule names,
/// which applies to all rules. The comment may contain a reason after `--`.
fn names_rule_or_all(names: &[u8], rule: &str) -> bool {
    let names = String::from_utf8_lossy(names);
    let names = names.split("--").next().unwrap_or_default();
    let names = names.split("*/").next().unwrap_or_default();
    let mut names = names.split([',', ' ', '\t', '\r', '\n']).filter(|name| !name.is_empty()).peekable();
    names.peek().is_none() || names.any(|name| name.eq_ignore_ascii_case(rule))
}

fn find_biome_directive(previous_line: &[u8], rule: &str) -> Option<String> {
    BIOME_IGNORE_PATTERN.captures_iter(previous_line).find_map(|comment| {
        let named = comment.get(1).map(|named| String::from_utf8_lossy(named.as_bytes())).unwrap_or_default();
        // If a comment names only a group (`lint`, `lint/suspicious`), it applies to all rules of the group.
        let disables = named.split('/').nth(2).is_none_or(|name| name == rule);
        comment.get(0).filter(|_| disables).map(|all| first_word(all.as_bytes()))
    })
}

fn find_noqa_directive(line: &[u8], rule: &str) -> Option<String> {
    let mut comments = NOQA_PATTERN.captures_iter(line);
    let covers = |comment: &Captures<'_>| codes_cover_rule(comment.get(1).map(|it| it.as_bytes()), rule);
    comments.any(|comment| covers(&comment)).then(|| "noqa".to_owned())
}

/// Returns true if the codes apply to a rule of Ruff. A code such as `E5` in a comment applies to all rules
/// whose code begins with `E5`. A comment without codes applies to every rule.
fn codes_cover_rule(codes: Option<&[u8]>, rule: &str) -> bool {
    let Some(codes) = codes else { return true };
    let codes = String::from_utf8_lossy(codes).to_ascii_uppercase();
    codes.split([',', ' ', '\t']).any(|code| !code.is_empty() && rule.starts_with(code))
}

fn find_pylint_directive(text: &[u8], kind: &[u8], rule: &str) -> Option<String> {
    let disables = PYLINT_DISABLE_PATTERN.captures_iter(text).any(|comment| {
        let named = comment.get(2).map(|named| String::from_utf8_lossy(named.as_bytes()));
        comment.get(1).is_some_and(|it| it.as_bytes() == kind)
            && named.is_some_and(|named| named.split(',').any(|name| name.trim() == rule))
    });
    disables.then(|| format!("pylint: {}", String::from_utf8_lossy(kind)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linter_s_comment_silences_the_rules_that_it_names_where_it_counts() {
        let rules = ["eslint/no-x", "eslint/mocha/no-x", "biome/noX", "ruff/T100", "pylint/x-left"];
        let rules = rules.map(str::to_owned);
        for (text, line, expected) in [
            ("x // eslint-disable-line", 1, true),
            ("x // eslint-disable-line no-y, no-x -- why", 1, true),
            ("x /* eslint-disable-line mocha/no-x */", 1, true),
            ("x // eslint-disable-line no-y -- not no-x", 1, false),
            ("x // eslint-disable-next-line no-x", 1, false),
            ("// eslint-disable-next-line no-x\nx", 2, true),
            ("// oxlint-disable-next-line no-x\nx", 2, true),
            ("// eslint-disable-line no-x\nx", 2, false),
            ("// eslint-disable-next-line no-x\n\nx", 3, false),
            ("// deno-lint-ignore no-x\nx", 2, true),
            ("// deno-lint-ignore no-y\nx", 2, false),
            ("/* eslint-disable */\n\nx", 3, true),
            ("/* eslint-disable no-x */\nx", 2, true),
            ("/* eslint-disable no-y */\nx", 2, false),
            ("/* eslint-disable */\n/* eslint-enable no-x, mocha/no-x */\nx", 3, false),
            ("/* eslint-disable */\n/* eslint-enable no-y */\nx", 3, true),
            ("x\n/* eslint-disable */", 1, false),
            ("// biome-ignore lint/suspicious/noX: why\nx", 2, true),
            ("// biome-ignore lint: why\nx", 2, true),
            ("// biome-ignore lint/suspicious/noY: why\nx", 2, false),
            ("x  # noqa", 1, true),
            ("x  # NOQA: E501,T100", 1, true),
            ("x  # noqa: T1 why", 1, true),
            ("x  # noqa: E501", 1, false),
            ("# ruff: noqa: T100\n\nx", 3, true),
            ("# ruff: noqa: E501\n\nx", 3, false),
            ("x  # pylint: disable=y, x-left", 1, true),
            ("# pylint: disable-next=x-left\nx", 2, true),
            ("x  # pylint: disable=y", 1, false),
            ("x", 1, false),
        ] {
            let lines = LineIndex::new(text.as_bytes());
            let found = LinterComments::new(&lines).find_disabling_comment(line, &rules);
            assert_eq!(found.is_some(), expected, "{text:?}");
        }
        let lines = LineIndex::new(b"x // eslint-disable-line");
        assert_eq!(LinterComments::new(&lines).find_disabling_comment(1, &[]), None);
    }

    #[test]
    fn a_linter_s_comment_is_named_with_its_line() {
        let rules = ["eslint/no-x", "biome/noX", "ruff/T100", "pylint/x-left"].map(str::to_owned);
        for (text, line, expected) in [
            ("/* eslint-disable */\n\nx", 3, "`eslint-disable` on line 1"),
            ("\n/* oxlint-disable no-x */\nx", 3, "`oxlint-disable` on line 2"),
            ("x // eslint-disable-line no-x -- why", 1, "`eslint-disable-line` on line 1"),
            ("// eslint-disable-next-line\nx", 2, "`eslint-disable-next-line` on line 1"),
            ("// deno-lint-ignore no-x\nx", 2, "`deno-lint-ignore` on line 1"),
            ("// biome-ignore lint/suspicious/noX: why\nx", 2, "`biome-ignore` on line 1"),
            ("x  # NOQA", 1, "`noqa` on line 1"),
            ("\n# flake8: noqa\nx", 3, "`flake8: noqa` on line 2"),
            ("# ruff: noqa: T100\nx", 2, "`ruff: noqa` on line 1"),
            ("x  # pylint: disable=x-left", 1, "`pylint: disable` on line 1"),
            ("# pylint: disable-next=x-left\nx", 2, "`pylint: disable-next` on line 1"),
        ] {
            let lines = LineIndex::new(text.as_bytes());
            let found = LinterComments::new(&lines).find_disabling_comment(line, &rules).unwrap();
            assert_eq!(found.to_string(), expected, "{text:?}");
        }
    }
}
