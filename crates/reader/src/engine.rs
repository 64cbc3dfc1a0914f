//! Applies rules to one file: finds matches, keeps matches that touch added lines, and selects the code that
//! each finding shows.

use std::collections::BTreeSet;
use std::ops::Range;

use truing_core::code_digest::CodeDigests;
use truing_core::finding::{CodeLocation, DiffSide, FindingSource, RawFinding};
use truing_core::outcome::SkipReason;
use truing_core::port::{ChangedFile, ReaderError};
use truing_core::suppression::{SuppressedFinding, UnusedSuppression};
use truing_diff::RepoPath;

use crate::content::{ContentKind, DecodedContent};
use crate::fix::ByteReplacement;
use crate::fix_validation::FixValidator;
use crate::flow::{self, FlowCheck};
use crate::hit::RuleMatch;
use crate::lines::{LineIndex, overlaps_any};
use crate::linter_comments::LinterComments;
use crate::pack::{PackRule, RuleCheck};
use crate::part::{RepositoryPart, is_runtime_path};
use crate::rules::companion::{ChangeContext, CompanionCheck};
use crate::rules::scanner::is_scanner_file;
use crate::rules::size::{SizeCheck, is_new_file};
use crate::rules::text::TextRules;
use crate::snippet::{SecretRanges, render_snippet};
use crate::suppress::{self, UsedSuppressions, find_suppression};
use crate::syntax::{
    ParsedFile, ParserPool, SourceLanguage, SyntaxMatch, SyntaxScan, SyntaxScanError, decode_keeping_offsets,
};
use crate::withheld::WithheldFix;

/// Default maximum number of findings that are reported for one file. If there are more, the most severe
/// findings are kept. Among equally severe findings, the first ones are kept.
pub(crate) const DEFAULT_MAX_FILE_FINDINGS: usize = 100;

/// The rules of one run, by kind.
pub(crate) struct RuleSet<'packs> {
    rules: Vec<&'packs PackRule>,
    text_rules: TextRules<'packs>,
    /// One scan for each language that has syntax rules.
    syntax_scans: Vec<SyntaxScan<'packs>>,
    flow_rules: Vec<(usize, &'packs FlowCheck)>,
    companion_rules: Vec<(&'packs PackRule, &'packs CompanionCheck)>,
    size_rules: Vec<(&'packs PackRule, &'packs SizeCheck)>,
    max_findings: usize,
}

/// Result of applying all rules to one file.
#[derive(Debug)]
pub(crate) struct FileFindings {
    /// Findings, the most severe first.
    pub(crate) findings: Vec<RawFinding>,
    /// The reason why findings may be missing: there are too many findings, the code is too complex, or the
    /// file is not text.
    pub(crate) incomplete_reason: Option<SkipReason>,
    /// Findings that a comment suppresses, the most severe first.
    pub(crate) suppressed_findings: Vec<SuppressedFinding>,
    /// Suppression comments on added lines that suppress nothing. A comment for a rule that is not part of
    /// this run is reported as a comment for an unknown rule.
    pub(crate) unused_suppressions: Vec<UnusedSuppression>,
}

impl FileFindings {
    const fn empty(incomplete: Option<SkipReason>) -> Self {
        Self {
            findings: Vec::new(),
            incomplete_reason: incomplete,
            suppressed_findings: Vec::new(),
            unused_suppressions: Vec::new(),
        }
    }
}

impl RuleMatch<'_> {
    /// Returns true if a match that must be in code is in a string or a comment.
    fn is_outside_code(&self, parsed_file: &ParsedFile<'_>, parsers: &mut ParserPool) -> bool {
        self.code_offset.is_some_and(|at| parsed_file.is_outside_code(at, parsers))
    }

    /// Returns true if an attribute allows the Clippy lint that reports the same defect.
    fn is_lint_allowed(&self, parsed_file: &ParsedFile<'_>, parsers: &mut ParserPool) -> bool {
        let mut lints =
            self.rule.equivalent_linter_rules.iter().filter_map(|rule| rule.strip_prefix("clippy/"));
        let at = self.code_offset.unwrap_or(self.range.start);
        lints.any(|lint| parsed_file.is_lint_allowed(at, &format!("clippy::{lint}"), parsers))
    }

    /// Returns true in two cases: the matched code is not of the syntax kind that the rule requires, or the
    /// matched name refers to something that the rule does not cover.
    fn is_excluded_code(
        &self,
        parsed_file: &ParsedFile<'_>,
        parsers: &mut ParserPool,
    ) -> Result<bool, ReaderError> {
        let (RuleCheck::Text(check), Some(at)) = (&self.rule.check, self.code_offset) else {
            return Ok(false);
        };
        if check.node_kind.as_ref().is_some_and(|kind| !parsed_file.node_starts_at(at, kind, parsers)) {
            return Ok(true);
        }
        let (Some(names), Some(name)) = (&check.resolved_name_pattern, &self.called_name) else {
            return Ok(false);
        };
        let names = names.get_or_compile(&self.rule.name)?;
        Ok(!parsed_file
            .resolve_name(name, at, parsers)
            .iter()
            .any(|meaning| names.is_match(meaning.as_bytes())))
    }

    /// Returns the fix of the match. Returns `None` if the rule depends on the meaning of names, and the file
    /// defines the name with which the fixed code begins: the fixed code could then do something else.
    fn usable_fix(&self, parsed_file: &ParsedFile<'_>, parsers: &mut ParserPool) -> Option<&ByteReplacement> {
        let fix = self.fix.as_ref()?;
        let (RuleCheck::Text(check), Some(at)) = (&self.rule.check, self.code_offset) else {
            return Some(fix);
        };
        let is_name_char = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '$');
        let code = fix.replacement.trim_start();
        let name = code.split(|letter: char| !is_name_char(letter)).next().unwrap_or_default();
        let is_own_definition = check.resolved_name_pattern.is_some()
            && !name.is_empty()
            && parsed_file.resolve_name(name, at, parsers).is_empty();
        if is_own_definition { None } else { Some(fix) }
    }

    /// Returns true if the file or a changed sibling file contains the counterpart that the rule expects.
    /// Returns false for files whose paths show that they are used in a running system.
    fn has_counterpart(
        &self,
        file: &ChangedFile,
        bytes: &[u8],
        change: &ChangeContext<'_>,
    ) -> Result<bool, ReaderError> {
        let Some(counterpart) =
            self.rule.check.counterpart_pattern().filter(|_| !is_runtime_path(&file.path))
        else {
            return Ok(false);
        };
        let counterpart = counterpart.get_or_compile(&self.rule.name)?;
        Ok(counterpart.is_match(bytes) || change.has_changed_sibling(&file.path, counterpart))
    }

    /// Returns true if the rule distinguishes tests and the match is in a test item within a product file.
    fn is_in_test_item(&self, parsed_file: &ParsedFile<'_>, parsers: &mut ParserPool) -> bool {
        let at = self.code_offset.unwrap_or(self.range.start);
        self.rule.part_severities.contains_key(&RepositoryPart::Test)
            && parsed_file.is_in_test_item(at, parsers)
    }
}

impl<'packs> RuleSet<'packs> {
    /// Compiles the rules of a run.
    pub(crate) fn new(rules: Vec<&'packs PackRule>) -> Result<Self, ReaderError> {
        let text = TextRules::new(&rules)?;
        let (mut syntax, mut flows) = (Vec::new(), Vec::new());
        let (mut companions, mut sizes) = (Vec::new(), Vec::new());
        for (index, rule) in rules.iter().enumerate() {
            match &rule.check {
                RuleCheck::Text(_) | RuleCheck::Secret(_) => {}
                RuleCheck::Syntax(check) => syntax.push((index, check)),
                RuleCheck::Flow(check) => flows.push((index, check)),
                RuleCheck::Companion(check) => companions.push((*rule, check)),
                RuleCheck::Size(check) => sizes.push((*rule, check)),
            }
        }
        let (syntax, max_findings) = (SyntaxScan::build_per_language(&syntax), DEFAULT_MAX_FILE_FINDINGS);
        Ok(Self {
            rules,
            text_rules: text,
            syntax_scans: syntax,
            flow_rules: flows,
            companion_rules: companions,
            size_rules: sizes,
            max_findings,
        })
    }

    pub(crate) fn rule_names(&self) -> Vec<String> {
        self.rules.iter().map(|rule| rule.name.clone()).collect()
    }

    /// Sets the maximum number of findings per file.
    pub(crate) fn with_max_findings(self, max_findings: usize) -> Self {
        Self { max_findings, ..self }
    }

    /// Applies the rules to the content of a changed file. The whole file is searched, but only matches that
    /// touch an added line count.
    pub(crate) fn check_file(
        &self,
        file: &ChangedFile,
        content: &DecodedContent,
        change: &ChangeContext<'_>,
        parsers: &mut ParserPool,
    ) -> Result<FileFindings, ReaderError> {
        let bytes = content.bytes();
        // The decoded text of a UTF-16 file is searched for secrets like binary content.
        let form = if file.secrets_only { ContentKind::Binary } else { content.kind() };
        let mut hits = self.text_rules.find_matches(&file.path, bytes, form)?;
        let mut incomplete = None;
        // Third-party code, such as a bundled program, may be too complex to parse, but must still count as
        // completely checked. Only the text rules are required for such files.
        let is_foreign = RepositoryPart::from_path(&file.path) == Some(RepositoryPart::Foreign);
        match form {
            ContentKind::Text => {
                let found = [
                    self.find_syntax_matches(file, bytes, parsers),
                    self.find_flow_matches(file, bytes, parsers),
                ];
                for found in found {
                    match found {
                        Ok(more) => hits.extend(more),
                        Err(_) if is_foreign => {}
                        Err(SyntaxScanError::TooLarge) => incomplete = Some(SkipReason::TooLarge),
                        Err(SyntaxScanError::OverLimit) => incomplete = Some(SkipReason::TooComplex),
                        Err(SyntaxScanError::Panicked) => incomplete = Some(SkipReason::Unreadable),
                    }
                }
            }
            // Syntax rules are not applied to UTF-16 text, because no compiler accepts such code and a fix
            // would have the wrong encoding.
            ContentKind::Utf16 => {}
            ContentKind::Binary => incomplete = Some(SkipReason::Binary),
        }
        let is_mentioned = form == ContentKind::Text && suppress::mentions_suppression(bytes);
        if hits.is_empty() && self.companion_rules.is_empty() && self.size_rules.is_empty() && !is_mentioned {
            return Ok(FileFindings::empty(incomplete));
        }

        let lines = LineIndex::new(bytes);
        if !file.secrets_only {
            hits.extend(self.find_whole_file_matches(file, content, &lines, change)?);
        }
        if hits.is_empty() && !is_mentioned {
            return Ok(FileFindings::empty(incomplete));
        }

        let (part, places) =
            (RepositoryPart::from_text(&file.path, bytes), ParsedFile::new(file.path.as_bytes(), bytes));
        let kinds: BTreeSet<&str> =
            hits.iter().filter(|hit| hit.secret_range.is_some()).map(|hit| hit.rule.name.as_str()).collect();
        // The tests of a secret scanner contain invented secrets, which are not reported.
        let is_tested = || {
            matches!(part, Some(RepositoryPart::Test | RepositoryPart::Fixture)) && change.is_secret_scanner()
        };
        let are_examples =
            !kinds.is_empty() && (is_scanner_file(&file.path, part, bytes, kinds.len()) || is_tested());
        let linter_comments = LinterComments::new(&lines);
        let mut seen = BTreeSet::new();
        let (mut found, mut hidden) = (Vec::new(), Vec::new());
        for hit in &hits {
            let first = lines.line_number(hit.range.start);
            let last = lines.line_number(hit.range.end.saturating_sub(1).max(hit.range.start));
            if !hit.rule.check.is_on_added_lines(&file.added_lines, first, last)
                || hit.is_outside_code(&places, parsers)
            {
                continue;
            }
            if are_examples && hit.secret_range.is_some() {
                continue;
            }
            if hit.is_excluded_code(&places, parsers)? || hit.has_counterpart(file, bytes, change)? {
                continue;
            }
            if hit.is_lint_allowed(&places, parsers) {
                continue;
            }
            let part = part.or_else(|| hit.is_in_test_item(&places, parsers).then_some(RepositoryPart::Test));
            let Some(severity) = hit.rule.severity_in(part) else { continue };
            if !seen.insert((first, last, &hit.rule.name)) {
                continue;
            }
            // A linter's comment never suppresses the finding of a secret.
            let linter_rules: &[String] =
                if hit.secret_range.is_some() { &[] } else { &hit.rule.equivalent_linter_rules };
            match linter_comments.find_disabling_comment(first, linter_rules) {
                Some(comment) => hidden.push((hit, severity, first, last, comment)),
                None => found.push((hit, severity, first, last)),
            }
        }
        let definitions: Vec<(&PackRule, u32)> =
            found.iter().map(|(hit, _, first, _)| (hit.rule, *first)).collect();
        let is_within = |first, at| lines.is_in_indented_block(first, at);
        let yields = |hit: &RuleMatch<'_>, first: u32| {
            definitions.iter().any(|(rule, at)| hit.rule.yields_to(rule) && is_within(first, *at))
        };
        found.retain(|&(hit, _, first, _)| !yields(hit, first));
        hidden.retain(|(hit, _, first, ..)| !yields(hit, *first));
        let mut used = UsedSuppressions::new();
        let mut silenced = Vec::new();
        found.retain(|&(hit, severity, first, last)| match find_suppression(&lines, first, &hit.rule.name) {
            Some((line, reason)) => {
                used.insert((line, hit.rule.name.clone()));
                silenced.push((hit, severity, first, last, reason));
                false
            }
            None => true,
        });
        for (hit, severity, first, last, comment) in hidden {
            // A reason in Truing's own comment says more than the linter's comment.
            let reason = match find_suppression(&lines, first, &hit.rule.name) {
                Some((line, reason)) => {
                    used.insert((line, hit.rule.name.clone()));
                    reason
                }
                None => comment.to_string(),
            };
            silenced.push((hit, severity, first, last, reason));
        }
        // If some rules could not run, unused suppressions are not reported, because comments for these rules
        // would wrongly count as unused.
        let suppressions = if is_mentioned && incomplete.is_none() {
            let is_changed_line = |first, last| overlaps_any(&file.added_lines, first, last);
            let has_finding = |name: &str| self.rules.iter().any(|rule| rule.name == name);
            let is_shown = |at| places.is_in_quoted_code(at, parsers);
            suppress::find_unused_suppressions(
                &file.path,
                &lines,
                &used,
                suppress::SuppressionFileFacts {
                    has_changed_line: is_changed_line,
                    is_known_rule: has_finding,
                    is_in_string: is_shown,
                },
            )
        } else {
            Vec::new()
        };
        if found.len() > self.max_findings || silenced.len() > self.max_findings {
            incomplete = incomplete.or(Some(SkipReason::MoreFindings));
        }
        found.sort_by_key(|(hit, severity, first, last)| (*severity, *first, *last, &hit.rule.name));
        found.truncate(self.max_findings);
        silenced.sort_by_key(|(hit, severity, first, last, _)| (*severity, *first, *last, &hit.rule.name));
        silenced.truncate(self.max_findings);

        let mut around = |hit: &RuleMatch<'_>| CodeDigests {
            definition: places.definition_digest(hit.range.start, parsers),
            ..CodeDigests::default()
        };
        let codes: Vec<CodeDigests> = found.iter().map(|(hit, ..)| around(hit)).collect();
        let silenced_codes: Vec<CodeDigests> = silenced.iter().map(|(hit, ..)| around(hit)).collect();
        let fixes: Vec<Option<&ByteReplacement>> =
            found.iter().map(|&(hit, ..)| hit.usable_fix(&places, parsers)).collect();
        let secrets = SecretRanges::new(hits.iter().filter_map(|hit| hit.secret_range.clone()).collect());
        // A fix is possible only if the file is UTF-8. The byte offsets of a fix refer to the decoded text,
        // and only a UTF-8 file has the same offsets.
        let mut prover = SourceLanguage::from_path(file.path.as_bytes())
            .zip(std::str::from_utf8(bytes).ok().filter(|_| form == ContentKind::Text))
            .map(|(language, text)| FixValidator::new(language, &lines, text, parsers));
        let mut findings = Vec::with_capacity(found.len());
        for (((hit, severity, first, last), code), fix) in found.into_iter().zip(codes).zip(fixes) {
            let shown = lines.line_range(first).start..lines.line_range(last).end;
            let suggestion =
                fix.zip(prover.as_mut()).and_then(|(fix, prover)| prover.validate_fix(first, last, fix));
            let snippet = render_snippet(&lines, first, last, hit.range.start, &secrets);
            let is_text = content.kind() != ContentKind::Binary;
            let snippet = if is_text { snippet } else { replace_control_chars(&snippet) };
            // A suggestion must never contain a secret.
            let has_secret = suggestion.is_some() && secrets.overlaps(&shown);
            let finding = RawFinding {
                severity,
                suggestion,
                code,
                ..build_finding(hit.rule, &file.path, first, last, snippet)
            };
            findings.push(if has_secret {
                WithheldFix::Secret.withhold_suggestion(finding)
            } else {
                finding
            });
        }
        let silenced = silenced.into_iter().zip(silenced_codes);
        let suppressed = silenced.map(|((hit, severity, first, last, reason), code)| {
            let snippet = render_snippet(&lines, first, last, hit.range.start, &secrets);
            let snippet = suppress::strip_suppression_comment(&snippet);
            let found = build_finding(hit.rule, &file.path, first, last, snippet);
            let reason = suppress::clean_reason(&lines, &reason);
            SuppressedFinding { finding: RawFinding { severity, code, ..found }, reason }
        });
        let suppressed = suppressed.collect();
        Ok(FileFindings {
            findings,
            incomplete_reason: incomplete,
            suppressed_findings: suppressed,
            unused_suppressions: suppressions,
        })
    }

    /// Returns the findings for a new file that is too large to be read.
    pub(crate) fn oversized_findings(&self, file: &ChangedFile, size: u64) -> Vec<RawFinding> {
        if file.secrets_only || !is_new_file(&file.added_lines, None) || file.old_path.is_some() {
            return Vec::new();
        }
        let exceeded = |(rule, check): &&(&'packs PackRule, &SizeCheck)| {
            rule.applies_to(&file.path) && check.is_exceeded(size, None)
        };
        let found = self.size_rules.iter().filter(exceeded);
        let part = RepositoryPart::from_path(&file.path);
        let size_finding = |(rule, _): &(&'packs PackRule, &SizeCheck)| {
            let severity = rule.severity_in(part)?;
            Some(RawFinding { severity, ..build_finding(rule, &file.path, 1, 1, String::new()) })
        };
        found.filter_map(size_finding).collect()
    }

    /// Returns all matches on added lines, for all syntax rules that apply to this path.
    fn find_syntax_matches(
        &self,
        file: &ChangedFile,
        bytes: &[u8],
        parsers: &mut ParserPool,
    ) -> Result<Vec<RuleMatch<'packs>>, SyntaxScanError> {
        let language = SourceLanguage::from_path(file.path.as_bytes());
        let Some(scan) = self.syntax_scans.iter().find(|scan| Some(scan.language()) == language) else {
            return Ok(Vec::new());
        };
        let rule_at = |index: usize| self.rules.get(index).copied();
        let wanted = |index: usize| {
            rule_at(index).is_some_and(|rule| rule.check.may_match(bytes) && rule.applies_to(&file.path))
        };
        let on_added = |first, last| overlaps_any(&file.added_lines, first, last);
        let matches = scan.find_matches(decode_keeping_offsets(bytes), parsers, &wanted, &on_added)?;
        let hit = |found: SyntaxMatch| {
            Some(RuleMatch {
                rule: rule_at(found.rule_index)?,
                range: found.range,
                code_offset: None,
                called_name: None,
                secret_range: None,
                fix: found.fix,
            })
        };
        Ok(matches.into_iter().filter_map(hit).collect())
    }

    /// Returns the matches of the flow rules that apply to this path.
    fn find_flow_matches(
        &self,
        file: &ChangedFile,
        bytes: &[u8],
        parsers: &mut ParserPool,
    ) -> Result<Vec<RuleMatch<'packs>>, SyntaxScanError> {
        let applies = |index: usize| self.rules.get(index).is_some_and(|rule| rule.applies_to(&file.path));
        let wanted: Vec<_> = self.flow_rules.iter().filter(|(index, _)| applies(*index)).copied().collect();
        let found = flow::find_matches(&wanted, &file.path, bytes, parsers)?;
        let lines = LineIndex::new(bytes);
        let is_added = |place: &Range<usize>| {
            let last = place.end.saturating_sub(1).max(place.start);
            overlaps_any(&file.added_lines, lines.line_number(place.start), lines.line_number(last))
        };
        let mut hits: Vec<RuleMatch<'packs>> = Vec::new();
        for (index, found) in found {
            let Some(rule) = self.rules.get(index).copied() else { continue };
            let mut imports = found.imports.into_iter().filter(|_| !is_added(&found.range));
            let import = imports.find(is_added);
            let (matched, fix) = match import {
                Some(import) => (import, None),
                None => (found.range, found.fix),
            };
            let is_known = |hit: &RuleMatch<'_>| hit.range == matched && hit.rule.name == rule.name;
            if !hits.iter().any(is_known) {
                hits.push(RuleMatch {
                    rule,
                    range: matched,
                    code_offset: None,
                    called_name: None,
                    secret_range: None,
                    fix,
                });
            }
        }
        Ok(hits)
    }

    /// Returns the matches of companion rules and size rules. The match of such a rule is a whole line.
    fn find_whole_file_matches(
        &self,
        file: &ChangedFile,
        content: &DecodedContent,
        lines: &LineIndex<'_>,
        change: &ChangeContext<'_>,
    ) -> Result<Vec<RuleMatch<'packs>>, ReaderError> {
        let is_text = content.kind() != ContentKind::Binary;
        let mut hits = Vec::new();
        let mut hit = |rule: &'packs PackRule, line: u32| {
            hits.push(RuleMatch {
                rule,
                range: lines.line_range(line),
                code_offset: None,
                called_name: None,
                secret_range: None,
                fix: None,
            });
        };
        for (rule, check) in
            self.companion_rules.iter().filter(|(rule, _)| is_text && rule.applies_to(&file.path))
        {
            if let Some(line) = check.violation_line(&rule.name, &file.path, lines, change)? {
                hit(rule, line);
            }
        }
        // Size rules that limit the number of lines apply only to text files.
        let count = is_text.then(|| lines.line_count());
        if is_new_file(&file.added_lines, count) && file.old_path.is_none() {
            for (rule, check) in self.size_rules.iter().filter(|(rule, _)| rule.applies_to(&file.path)) {
                if check.is_exceeded(content.size(), count) {
                    hit(rule, 1);
                }
            }
        }
        Ok(hits)
    }
}

/// Returns the paths of possible companions of this file, for all companion rules.
pub(crate) fn companion_paths(rules: &[&PackRule], file: &RepoPath) -> Vec<RepoPath> {
    let paths = |rule: &&PackRule| match &rule.check {
        RuleCheck::Companion(check) if rule.applies_to(file) => check.companion_paths(file),
        RuleCheck::Companion(_)
        | RuleCheck::Text(_)
        | RuleCheck::Secret(_)
        | RuleCheck::Syntax(_)
        | RuleCheck::Flow(_)
        | RuleCheck::Size(_) => vec![],
    };
    rules.iter().flat_map(paths).collect()
}

/// Creates a finding without a suggestion.
fn build_finding(
    rule: &PackRule,
    path: &RepoPath,
    first_line: u32,
    last_line: u32,
    snippet: String,
) -> RawFinding {
    RawFinding {
        location: CodeLocation {
            path: path.clone(),
            side: DiffSide::New,
            start_line: first_line,
            end_line: last_line,
        },
        severity: rule.severity,
        category: rule.category,
        rule: rule.name.clone(),
        title: rule.title.clone(),
        body: rule.body.clone(),
        snippet,
        code: CodeDigests::default(),
        suggestion: None,
        source: FindingSource::Rule,
        specialists: Vec::new(),
    }
}

/// Replaces the control characters of a snippet, because the snippet of a binary file may contain arbitrary
/// bytes.
fn replace_control_chars(snippet: &str) -> String {
    snippet.replace(|c: char| c.is_control() && c != '\n' && c != '\t', "\u{FFFD}")
}

#[cfg(test)]
mod tests {
    use super::*;

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
            assert_eq!(overlaps_any(&added, first, last), expected, "{first}..={last}");
        }
        assert!(!overlaps_any(&[], 1, 1));
    }
}
