//! Rules at work on one file: which rules have a keyword in it, where their patterns match, and which of those
//! matches are findings on added lines.

use std::collections::BTreeSet;
use std::ops::Range;

use aho_corasick::AhoCorasick;
use truing_core::finding::{Place, RawFinding, Side, Source};
use truing_core::outcome::SkipReason;
use truing_core::port::ReaderError;
use truing_diff::RepoPath;

use crate::lines::Lines;
use crate::pack::{Check, Rule, TextCheck};
use crate::proof::{Fix, Prover};
use crate::snippet::{Secrets, snippet};
use crate::suppress::is_suppressed;
use crate::syntax::{Language, Parsers, Scan, TooComplex, text_of};

/// The most findings of one file that are reported: the worst, then the first.
pub(crate) const MAX_FINDINGS: usize = 100;

/// What editors put before UTF-8 text; no part of the first line.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// The rules of one run.
pub(crate) struct RuleSet<'packs> {
    rules: Vec<&'packs Rule>,
    /// Finds every keyword of every rule of text in one pass.
    keywords: AhoCorasick,
    /// For each keyword, the index of its rule.
    keyword_rules: Vec<usize>,
    /// The rules of syntax, by language.
    scans: Vec<Scan<'packs>>,
}

/// What the rules found in a file.
#[derive(Debug)]
pub(crate) struct Examined {
    /// Worst first.
    pub(crate) findings: Vec<RawFinding>,
    /// Why something may be missing: more findings than [`MAX_FINDINGS`], or code that is too complex.
    pub(crate) incomplete: Option<SkipReason>,
}

/// One match of a rule, as byte offsets.
struct Hit<'packs> {
    rule: &'packs Rule,
    matched: Range<usize>,
    /// The part that may not be shown.
    secret: Option<Range<usize>>,
    /// What the rule would do about it.
    fix: Option<Fix>,
}

impl<'packs> RuleSet<'packs> {
    /// Prepares a run.
    pub(crate) fn new(rules: Vec<&'packs Rule>) -> Result<Self, ReaderError> {
        let mut keyword_rules = Vec::new();
        let mut keywords = Vec::new();
        let mut syntax = Vec::new();
        for (index, rule) in rules.iter().enumerate() {
            match &rule.check {
                Check::Text(check) | Check::Secret(check) => {
                    keywords.extend(check.keywords.iter().map(String::as_str));
                    keyword_rules.resize(keywords.len(), index);
                }
                Check::Syntax(check) => syntax.push((index, check)),
            }
        }
        let keywords = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .build(keywords)
            .map_err(|error| ReaderError::Failed(format!("the keywords of the rules: {error}")))?;
        Ok(Self { rules, keywords, keyword_rules, scans: Scan::all(&syntax) })
    }

    /// What the rules find in a file of which the lines `added` (1-based, inclusive, ascending) are new. The
    /// whole file is looked at; a match counts if it touches an added line.
    pub(crate) fn examine(
        &self,
        path: &RepoPath,
        bytes: &[u8],
        added: &[(u32, u32)],
        parsers: &mut Parsers,
    ) -> Result<Examined, ReaderError> {
        let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
        let mut hits = self.text_hits(path, bytes)?;
        let mut incomplete = None;
        match self.syntax_hits(path, bytes, added, parsers) {
            Ok(more) => hits.extend(more),
            Err(TooComplex::OverLimit) => incomplete = Some(SkipReason::TooLarge),
            Err(TooComplex::Failed) => incomplete = Some(SkipReason::Unreadable),
        }
        if hits.is_empty() {
            return Ok(Examined { findings: Vec::new(), incomplete });
        }

        let secrets = Secrets::of(hits.iter().filter_map(|hit| hit.secret.clone()).collect());
        let lines = Lines::of(bytes);
        let mut seen = BTreeSet::new();
        let mut found = Vec::new();
        for hit in &hits {
            let first = lines.number(hit.matched.start);
            let last = lines.number(hit.matched.end.saturating_sub(1).max(hit.matched.start));
            if touches(added, first, last) && seen.insert((first, last, &hit.rule.name)) {
                found.push((hit, first, last));
            }
        }
        found.retain(|(hit, first, _)| !is_suppressed(&lines, *first, &hit.rule.name));
        if found.len() > MAX_FINDINGS {
            incomplete = incomplete.or(Some(SkipReason::TooLarge));
        }
        found.sort_by_key(|(hit, first, last)| (hit.rule.severity, *first, *last, &hit.rule.name));
        found.truncate(MAX_FINDINGS);

        // Offsets hold in bytes and in text only where the file is UTF-8, and secrets are not suggested.
        let text = std::str::from_utf8(bytes).ok();
        let mut prover = Language::of_path(path.as_bytes())
            .zip(text)
            .map(|(language, text)| Prover::new(language, &lines, text, parsers));
        let mut findings = Vec::with_capacity(found.len());
        for (hit, first, last) in found {
            let shown = lines.range(first).start..lines.range(last).end;
            let fix = hit.fix.as_ref().filter(|_| !secrets.overlap(&shown));
            findings.push(RawFinding {
                place: Place { path: path.clone(), side: Side::New, start_line: first, end_line: last },
                severity: hit.rule.severity,
                category: hit.rule.category,
                rule: hit.rule.name.clone(),
                title: hit.rule.title.clone(),
                body: hit.rule.body.clone(),
                snippet: snippet(&lines, first, last, hit.matched.start, &secrets),
                suggestion: fix
                    .zip(prover.as_mut())
                    .and_then(|(fix, prover)| prover.suggestion(first, last, fix)),
                source: Source::Rule,
            });
        }
        Ok(Examined { findings, incomplete })
    }

    /// Every match of every rule of text that looks at this path.
    fn text_hits(&self, path: &RepoPath, bytes: &[u8]) -> Result<Vec<Hit<'packs>>, ReaderError> {
        let mut hits = Vec::new();
        for rule in self.candidates(path, bytes) {
            let (check, is_secret): (&TextCheck, bool) = match &rule.check {
                Check::Text(check) => (check, false),
                Check::Secret(check) => (check, true),
                Check::Syntax(_) => continue,
            };
            for captures in check.pattern.compiled(&rule.name)?.captures_iter(bytes) {
                let Some(matched) = captures.get(0) else { continue };
                let decisive = captures.name("secret").unwrap_or(matched);
                let random_enough = check.entropy.is_none_or(|least| entropy(decisive.as_bytes()) >= least);
                if random_enough && !check.allows(&rule.name, decisive.as_bytes())? {
                    let secret = is_secret.then(|| decisive.range());
                    hits.push(Hit { rule, matched: matched.range(), secret, fix: None });
                }
            }
        }
        Ok(hits)
    }

    /// Every match of every rule of syntax that looks at this path, on added lines.
    fn syntax_hits(
        &self,
        path: &RepoPath,
        bytes: &[u8],
        added: &[(u32, u32)],
        parsers: &mut Parsers,
    ) -> Result<Vec<Hit<'packs>>, TooComplex> {
        let language = Language::of_path(path.as_bytes());
        let Some(scan) = self.scans.iter().find(|scan| Some(scan.language()) == language) else {
            return Ok(Vec::new());
        };
        let rule_at = |index: usize| self.rules.get(index).copied();
        let wanted = |index: usize| rule_at(index).is_some_and(|rule| rule.applies_to(path));
        let matches =
            scan.matches(text_of(bytes), parsers, &wanted, &|first, last| touches(added, first, last))?;
        let hit = |found: crate::syntax::Match| {
            Some(Hit { rule: rule_at(found.rule)?, matched: found.range, secret: None, fix: found.fix })
        };
        Ok(matches.into_iter().filter_map(hit).collect())
    }

    /// The rules of text that look at this path and have a keyword in the file.
    fn candidates(&self, path: &RepoPath, bytes: &[u8]) -> Vec<&'packs Rule> {
        let waits = |rule: &&Rule| rule.check.is_text() && rule.applies_to(path);
        let mut waiting: Vec<bool> = self.rules.iter().map(waits).collect();
        let mut left = waiting.iter().filter(|waits| **waits).count();
        let mut candidates = vec![None; self.rules.len()];
        for keyword in self.keywords.find_overlapping_iter(bytes) {
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

/// Does one of the ascending ranges overlap `first..=last`?
fn touches(added: &[(u32, u32)], first: u32, last: u32) -> bool {
    let next = added.partition_point(|(_, end)| *end < first);
    added.get(next).is_some_and(|(start, _)| *start <= last)
}

/// Shannon entropy of the bytes, in bits per byte: 0 for one repeated byte, about 4.7 for 40 random base64 ones.
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
    fn entropy_is_bits_per_byte() {
        assert_eq!(entropy(b""), 0.0);
        assert_eq!(entropy(b"aaaa"), 0.0);
        assert_eq!(entropy(b"abab"), 1.0);
        assert_eq!(entropy(b"abcdefgh"), 3.0);
    }

    #[test]
    fn a_match_counts_if_it_overlaps_added_lines() {
        let added = [(3, 5), (9, 9)];
        for (first, last, expected) in [
            (1, 2, false),
            (1, 3, true),
            (4, 4, true),
            (5, 8, true),
            (6, 8, false),
            (1, 20, true),
            (10, 10, false),
        ] {
            assert_eq!(touches(&added, first, last), expected, "{first}..={last}");
        }
        assert!(!touches(&[], 1, 1));
    }
}
