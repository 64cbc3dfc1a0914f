//! Implements text and secret rules, which consist of regular expressions with keywords.

use std::ops::Range;

use aho_corasick::AhoCorasick;
use regex::bytes::{Captures, Regex};
use truing_core::port::ReaderError;
use truing_diff::RepoPath;

use crate::content::ContentKind;
use crate::fix::ByteReplacement;
use crate::hit::RuleMatch;
use crate::pack::{PackRule, RuleCheck, RulePattern};

/// Regular expression that is applied only to files with at least one of the keywords.
#[derive(Debug)]
pub(crate) struct TextCheck {
    pub(crate) keywords: Vec<String>,
    pub(crate) pattern: RulePattern,
    /// Second regular expression. Its matches also count if they are within a match of `pattern`.
    pub(crate) second_pattern: Option<RulePattern>,
    /// Minimum entropy of the group `secret`, or of the whole match without this group, in bits per byte.
    pub(crate) min_entropy: Option<f64>,
    /// Patterns for known placeholders, which are not reported.
    pub(crate) placeholder_patterns: Vec<RulePattern>,
    /// True if the first and the last line of a match must both be added. Otherwise one added line is enough.
    pub(crate) requires_both_ends_added: bool,
    /// Pattern for a counterpart, which shows that a file contains test values. A match is not reported if
    /// its file, or a changed file in the same folder, contains a counterpart.
    pub(crate) counterpart_pattern: Option<RulePattern>,
    /// Kind of syntax node that must begin where the group `code` begins.
    pub(crate) node_kind: Option<String>,
    /// Pattern for the full name that the group `name` must resolve to.
    pub(crate) resolved_name_pattern: Option<RulePattern>,
    /// Replacement of text on the lines of a match.
    pub(crate) fix: Option<TextFix>,
}

/// Maximum number of places at which a removed import's name is looked for. If there are more, the name
/// counts as used.
const MAX_NAME_USES: usize = 100;

/// Fix of a text rule. The fix replaces the first match of `pattern` on the lines of a finding, or only the
/// match's group `part`. The match's group `bound` is a name that the removed text imports.
#[derive(Debug)]
pub(crate) struct TextFix {
    pub(crate) pattern: RulePattern,
    /// Replacement text, in which `$1` or `${name}` refers to a group of `pattern`.
    pub(crate) replacement: String,
}

/// Text and secret rules of one run.
pub(crate) struct TextRules<'packs> {
    rules: Vec<&'packs PackRule>,
    /// Automaton that finds every keyword of every rule in one pass.
    keyword_automaton: AhoCorasick,
    /// For each keyword, the index of the rule to which the keyword belongs.
    keyword_rules: Vec<usize>,
}

impl<'packs> TextRules<'packs> {
    /// Compiles the text and secret rules among `rules`.
    pub(crate) fn new(rules: &[&'packs PackRule]) -> Result<Self, ReaderError> {
        let of_text: Vec<&PackRule> =
            rules.iter().copied().filter(|rule| text_check(rule).is_some()).collect();
        let (keyword_rules, keywords): (Vec<usize>, Vec<&str>) = of_text
            .iter()
            .enumerate()
            .filter_map(|(index, rule)| Some((index, text_check(rule)?.0)))
            .flat_map(|(index, check)| check.keywords.iter().map(move |keyword| (index, keyword.as_str())))
            .unzip();
        let keywords =
            AhoCorasick::builder().ascii_case_insensitive(true).build(keywords).map_err(|error| {
                ReaderError::Failed(format!("the keywords of the rules cannot be compiled: {error}"))
            })?;
        Ok(Self { rules: of_text, keyword_automaton: keywords, keyword_rules })
    }

    /// Returns every match of every rule that applies to this path. A binary file is searched only for
    /// secrets.
    pub(crate) fn find_matches(
        &self,
        path: &RepoPath,
        bytes: &[u8],
        content_kind: ContentKind,
    ) -> Result<Vec<RuleMatch<'packs>>, ReaderError> {
        self.find_rule_matches(self.candidate_rules(Some(path), bytes), bytes, content_kind)
    }

    /// Returns the ranges of secrets in a text that is not a file. Paths are ignored, so rules that are
    /// limited to certain paths are also applied.
    pub(crate) fn find_secrets(&self, bytes: &[u8]) -> Result<Vec<Range<usize>>, ReaderError> {
        let hits = self.find_rule_matches(self.candidate_rules(None, bytes), bytes, ContentKind::Binary)?;
        Ok(hits.into_iter().filter_map(|hit| hit.secret_range).collect())
    }

    fn find_rule_matches(
        &self,
        candidates: Vec<&'packs PackRule>,
        bytes: &[u8],
        content_kind: ContentKind,
    ) -> Result<Vec<RuleMatch<'packs>>, ReaderError> {
        let mut hits = Vec::new();
        for rule in candidates {
            let Some((check, is_secret)) = text_check(rule) else { continue };
            if content_kind == ContentKind::Binary && !is_secret {
                continue;
            }
            for pattern in std::iter::once(&check.pattern).chain(&check.second_pattern) {
                for captures in pattern.get_or_compile(&rule.name)?.captures_iter(bytes) {
                    hits.extend(check.check_match(rule, is_secret, bytes, &captures)?);
                }
            }
        }
        Ok(hits)
    }

    /// Returns the rules that apply to this path and have a keyword in the file. Without a path, rules that
    /// are limited to certain paths are also returned.
    fn candidate_rules(&self, path: Option<&RepoPath>, bytes: &[u8]) -> Vec<&'packs PackRule> {
        let mut waiting: Vec<bool> =
            self.rules.iter().map(|rule| path.is_none_or(|path| rule.applies_to(path))).collect();
        let mut left = waiting.iter().filter(|waits| **waits).count();
        if left == 0 {
            return Vec::new();
        }
        let mut candidates = vec![None; self.rules.len()];
        for keyword in self.keyword_automaton.find_overlapping_iter(bytes) {
            if left == 0 {
                break;
            }
            let Some(index) = self.keyword_rules.get(keyword.pattern().as_usize()).copied() else { continue };
            if let (Some(waits @ true), Some(candidate)) = (waiting.get_mut(index), candidates.get_mut(index))
            {
                *waits = false;
                *candidate = self.rules.get(index).copied();
                left -= 1;
            }
        }
        candidates.into_iter().flatten().collect()
    }
}

/// Returns the check of a text or secret rule, and true if the rule is a secret rule. Returns `None` for
/// other rules.
fn text_check(rule: &PackRule) -> Option<(&TextCheck, bool)> {
    match &rule.check {
        RuleCheck::Text(check) => Some((check, false)),
        RuleCheck::Secret(check) => Some((check, true)),
        RuleCheck::Syntax(_) | RuleCheck::Flow(_) | RuleCheck::Companion(_) | RuleCheck::Size(_) => None,
    }
}

impl TextCheck {
    /// Converts a match of the pattern to a rule match. Returns `None` if the match is a known placeholder,
    /// or if its entropy is too low.
    fn check_match<'packs>(
        &self,
        rule: &'packs PackRule,
        is_secret: bool,
        bytes: &[u8],
        captures: &Captures<'_>,
    ) -> Result<Option<RuleMatch<'packs>>, ReaderError> {
        let Some(matched) = captures.get(0) else { return Ok(None) };
        let decisive = captures.name("secret").unwrap_or(matched);
        let random_enough = self.min_entropy.is_none_or(|least| entropy(decisive.as_bytes()) >= least);
        if !random_enough || self.is_placeholder(&rule.name, decisive.as_bytes())? {
            return Ok(None);
        }
        let secret = is_secret.then(|| decisive.range());
        let fix = self.match_fix(&rule.name, bytes, &matched.range())?;
        let code = captures.name("code").map(|code| code.start());
        let name = captures.name("name").filter(|_| self.resolved_name_pattern.is_some());
        let name = name.map(|name| String::from_utf8_lossy(name.as_bytes()).into_owned());
        Ok(Some(RuleMatch {
            rule,
            range: matched.range(),
            code_offset: code,
            called_name: name,
            secret_range: secret,
            fix,
        }))
    }

    /// Returns true if the matched text is a known placeholder.
    fn is_placeholder(&self, rule: &str, matched: &[u8]) -> Result<bool, ReaderError> {
        for pattern in &self.placeholder_patterns {
            if pattern.get_or_compile(rule)?.is_match(matched) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Returns the fix for a match. Returns `None` if the fix's pattern does not match on the lines of the
    /// match.
    fn match_fix(
        &self,
        rule: &str,
        bytes: &[u8],
        matched: &Range<usize>,
    ) -> Result<Option<ByteReplacement>, ReaderError> {
        let Some(fix) = &self.fix else { return Ok(None) };
        let pattern = fix.pattern.get_or_compile(rule)?;
        let lines = whole_lines(bytes, matched);
        let start = lines.start;
        let Some(captures) = pattern.captures(bytes.get(lines).unwrap_or_default()) else { return Ok(None) };
        let Some(part) = captures.name("part").or(captures.get(0)) else { return Ok(None) };
        let range = start + part.start()..start + part.end();
        if let Some(name) = captures.name("bound")
            && is_used_elsewhere(name.as_bytes(), bytes, &range, pattern)
        {
            return Ok(None);
        }
        let mut replacement = Vec::new();
        captures.expand(fix.replacement.as_bytes(), &mut replacement);
        Ok(Some(ByteReplacement { range, replacement: String::from_utf8_lossy(&replacement).into_owned() }))
    }
}

/// Returns the range extended to whole lines, without the last line end.
fn whole_lines(bytes: &[u8], range: &Range<usize>) -> Range<usize> {
    let before = bytes.get(..range.start).unwrap_or_default();
    let start = memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
    let behind = bytes.get(range.end..).unwrap_or_default();
    start..range.end + memchr::memchr(b'\n', behind).unwrap_or(behind.len())
}

/// Returns true if the text contains the name outside of the removed range. A line that matches the fix's
/// pattern and imports the name itself does not count.
fn is_used_elsewhere(name: &[u8], bytes: &[u8], removed: &Range<usize>, fix_pattern: &Regex) -> bool {
    let is_word = |byte: Option<&u8>| {
        byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_' || !byte.is_ascii())
    };
    let imports_name = |at: usize| {
        let line = bytes.get(whole_lines(bytes, &(at..at))).unwrap_or_default();
        let captures = fix_pattern.captures(line);
        captures.is_some_and(|it| it.name("bound").is_some_and(|bound| bound.as_bytes() == name))
    };
    let is_name = |at: &usize| {
        let before = at.checked_sub(1).and_then(|before| bytes.get(before));
        !is_word(before) && !is_word(bytes.get(at + name.len()))
    };
    let mut uses = memchr::memmem::find_iter(bytes, name).filter(is_name).enumerate();
    uses.any(|(count, at)| count >= MAX_NAME_USES || !(removed.contains(&at) || imports_name(at)))
}

/// Returns the Shannon entropy of the bytes, in bits per byte: 0 for one repeated byte, about 4.7 for 40
/// random base64 characters.
fn entropy(bytes: &[u8]) -> f64 {
    let mut counts = [0_u32; 256];
    for byte in bytes {
        if let Some(count) = counts.get_mut(usize::from(*byte)) {
            *count += 1;
        }
    }
    let total = bytes.len() as f64;
    let shares = counts.iter().filter(|count| **count > 0).map(|count| f64::from(*count) / total);
    shares.map(|share| -share * share.log2()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_used_elsewhere_unless_each_other_line_imports_it_itself() {
        let pattern = Regex::new(r"(?m)^import (?P<bound>\w+); \w+\.stop\(\)$").unwrap();
        for (rest, expected) in [
            ("f()\n", false),
            ("pdb.run()\n", true),
            ("ipdb.pdbx()\n_pdb = 1\n", false),
            ("import pdb; pdb.stop()\n", false),
            ("import pdb; pdb.stop()\nprint(pdb)", true),
            ("import pdb; pdb.stop()\n".repeat(MAX_NAME_USES).as_str(), true),
        ] {
            let text = format!("import pdb; pdb.stop()\n{rest}");
            assert_eq!(is_used_elsewhere(b"pdb", text.as_bytes(), &(0..22), &pattern), expected, "{rest}");
        }
    }

    #[test]
    fn entropy_is_bits_per_byte() {
        assert_eq!(entropy(b""), 0.0);
        assert_eq!(entropy(b"aaaa"), 0.0);
        assert_eq!(entropy(b"abab"), 1.0);
        assert_eq!(entropy(b"abcdefgh"), 3.0);
    }
}
