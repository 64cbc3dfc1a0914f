//! Finds comments that disable rules of linters. Some of Truing's rules have an equivalent linter rule. If a
//! comment disables the linter rule for a line, Truing's rule reports nothing on this line.

use std::cell::OnceCell;
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

/// Linter comments of a file. Comments that apply to more than one line are parsed when they are needed for
/// the first time.
pub(crate) struct LinterComments<'a> {
    lines: &'a LineIndex<'a>,
    blocks: OnceCell<Vec<BlockComment<'a>>>,
    file_noqa_codes: OnceCell<Vec<Option<&'a [u8]>>>,
}

/// An ESLint comment that disables or enables rules for all following lines, until another comment changes
/// this.
struct BlockComment<'a> {
    end: usize,
    disables: bool,
    rule_names: &'a [u8],
}

impl<'a> LinterComments<'a> {
    pub(crate) fn new(lines: &'a LineIndex<'a>) -> Self {
        Self { lines, blocks: OnceCell::new(), file_noqa_codes: OnceCell::new() }
    }

    /// Returns true if a comment disables one of these linter rules (`eslint/no-debugger`) on this line.
    pub(crate) fn disables_any_rule(&self, line: u32, rules: &[String]) -> bool {
        let own = self.lines.bytes(self.lines.line_range(line));
        let before = line.checked_sub(1).filter(|before| *before > 0);
        let before = before.map(|before| self.lines.bytes(self.lines.line_range(before))).unwrap_or_default();
        let at = self.lines.line_range(line).start;
        rules.iter().filter_map(|rule| rule.split_once('/')).any(|(linter, rule)| match linter {
            "eslint" => {
                is_disabled_by_eslint(own, &[b"line"], rule)
                    || is_disabled_by_eslint(before, &[b"next-line", b"ignore"], rule)
                    || self.is_in_disabled_block(at, rule)
            }
            "biome" => is_disabled_by_biome(before, rule),
            "ruff" => self.is_disabled_by_ruff(own, rule),
            "pylint" => {
                is_disabled_by_pylint(own, b"disable", rule)
                    || is_disabled_by_pylint(before, b"disable-next", rule)
            }
            _ => false,
        })
    }

    /// Returns true if a block comment disables the rule at this offset. This depends on the last preceding
    /// comment that names the rule or applies to all rules.
    fn is_in_disabled_block(&self, offset: usize, rule: &str) -> bool {
        let blocks = self.blocks.get_or_init(|| {
            let block = |comment: Captures<'a>| {
                let (all, kind) = (comment.get(0)?, comment.get(1)?);
                let names = comment.get(2).map(|names| names.as_bytes()).unwrap_or_default();
                Some(BlockComment {
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
        before.next_back().is_some_and(|block| block.disables)
    }

    fn is_disabled_by_ruff(&self, line_text: &[u8], rule: &str) -> bool {
        let files = self.file_noqa_codes.get_or_init(|| {
            let comments = FILE_NOQA_PATTERN.captures_iter(self.lines.text()).take(MAX_COMMENTS);
            comments.map(|comment| comment.get(1).map(|codes| codes.as_bytes())).collect()
        });
        NOQA_PATTERN
            .captures_iter(line_text)
            .any(|comment| codes_cover_rule(comment.get(1).map(|it| it.as_bytes()), rule))
            || files.iter().any(|codes| codes_cover_rule(*codes, rule))
    }
}

/// Returns true if a one-line comment of one of these kinds disables a rule of ESLint.
fn is_disabled_by_eslint(text: &[u8], kinds: &[&[u8]], rule: &str) -> bool {
    ESLINT_LINE_PATTERN.captures_iter(text).any(|comment| {
        let kind = comment.get(1).or(comment.get(3)).map(|kind| kind.as_bytes()).unwrap_or_default();
        let rule_names = comment.get(2).or(comment.get(4)).map(|names| names.as_bytes()).unwrap_or_default();
        kinds.contains(&kind) && names_rule_or_all(rule_names, rule)
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

fn is_disabled_by_biome(previous_line: &[u8], rule: &str) -> bool {
    BIOME_IGNORE_PATTERN.captures_iter(previous_line).any(|comment| {
        let named = comment.get(1).map(|named| String::from_utf8_lossy(named.as_bytes())).unwrap_or_default();
        // If a comment names only a group (`lint`, `lint/suspicious`), it applies to all rules of the group.
        named.split('/').nth(2).is_none_or(|name| name == rule)
    })
}

/// Returns true if the codes apply to a rule of Ruff. A code such as `E5` in a comment applies to all rules
/// whose code begins with `E5`. A comment without codes applies to every rule.
fn codes_cover_rule(codes: Option<&[u8]>, rule: &str) -> bool {
    let Some(codes) = codes else { return true };
    let codes = String::from_utf8_lossy(codes).to_ascii_uppercase();
    codes.split([',', ' ', '\t']).any(|code| !code.is_empty() && rule.starts_with(code))
}

fn is_disabled_by_pylint(text: &[u8], kind: &[u8], rule: &str) -> bool {
    PYLINT_DISABLE_PATTERN.captures_iter(text).any(|comment| {
        let named = comment.get(2).map(|named| String::from_utf8_lossy(named.as_bytes()));
        comment.get(1).is_some_and(|it| it.as_bytes() == kind)
            && named.is_some_and(|named| named.split(',').any(|name| name.trim() == rule))
    })
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
            assert_eq!(LinterComments::new(&lines).disables_any_rule(line, &rules), expected, "{text:?}");
        }
        let lines = LineIndex::new(b"x // eslint-disable-line");
        assert!(!LinterComments::new(&lines).disables_any_rule(1, &[]));
    }
}
