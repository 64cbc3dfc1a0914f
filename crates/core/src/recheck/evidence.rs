//! Evidence of a fix that leaves a finding's own lines unchanged (docs/adr/0062). Such a fix may be a new
//! check before these lines, another change around them, or a change in code that they call.
//!
//! Evidence is code that is new since a reviewer last saw the finding. Near the finding, a statement with new
//! text or a new neighbour is sufficient. Elsewhere, the change must have added the statement. In addition,
//! the statement must belong to one of these: code that the finding's lines use, a caller of the finding's
//! function, or the moved function itself (`moved`).

mod moved;

use std::collections::BTreeSet;

use truing_diff::RepoPath;

use moved::MovedDefinition;

use super::compared_file::{ComparedFile, TokenSequence};
use super::head::{HeadView, NEAR_DISTANCE_LINES, RecheckVerdict, findings_to_recheck};
use super::line_search::{FollowOutcome, locate_at_head};
use super::statement::CodeStatement;
use super::surroundings::ChangeSnapshot;
use crate::excerpt;
use crate::finding::{Finding, FixEvidence};
use crate::id::FindingId;

/// Maximum number of lines that a verdict may quote. A longer quote does not show which lines contain the
/// fix.
const MAX_QUOTED_LINES: u32 = 20;
/// Minimum length in bytes of a name; shorter names are not compared.
const MIN_NAME_BYTES: usize = 3;
/// Key words of the supported languages. They are not names, even if a bracket follows.
const CONTROL_KEYWORDS: [&str; 20] = [
    "if", "elif", "else", "for", "while", "loop", "with", "match", "switch", "case", "try", "catch",
    "except", "return", "await", "yield", "assert", "not", "and", "unless",
];

/// Key words that introduce a definition.
const DEFINITION_KEYWORDS: [&str; 18] = [
    "def",
    "fn",
    "func",
    "function",
    "class",
    "struct",
    "const",
    "let",
    "mut",
    "var",
    "static",
    "type",
    "interface",
    "trait",
    "enum",
    "impl",
    "mod",
    "record",
];
/// Maximum number of words that are searched for a definition's key word. The same maximum applies to
/// consecutive key words of this kind.
const MAX_DEFINITION_WORDS: usize = 4;

/// The current lines that replaced the lines of open findings, each with the finding's id. Such lines are
/// evidence for no other finding.
pub(super) type ReplacedLines<'a> = Vec<(&'a FindingId, RepoPath, (u32, u32))>;

pub(super) fn find_replaced_lines<'a, T: Fn(&RepoPath) -> Option<String>>(
    known_findings: &'a [Finding],
    head: &HeadView<'_, T>,
) -> ReplacedLines<'a> {
    let lines = |finding: &'a Finding| match locate_at_head(finding, head) {
        FollowOutcome::Changed { path, start, end, .. } if start <= end => {
            Some((&finding.id, path, (start, end)))
        }
        FollowOutcome::Found { .. }
        | FollowOutcome::Changed { .. }
        | FollowOutcome::NotFound { .. }
        | FollowOutcome::NoFile => None,
    };
    findings_to_recheck(known_findings).filter_map(lines).collect()
}

/// Returns the lines that a verdict quotes as evidence, if they contain new code that may fix the finding.
/// `outcome` is the current location of the finding's own lines.
pub(super) fn find_new_evidence<T: Fn(&RepoPath) -> Option<String>>(
    verdict: &RecheckVerdict,
    finding: &Finding,
    outcome: &FollowOutcome,
    head: &HeadView<'_, T>,
    replaced_lines: &ReplacedLines<'_>,
) -> Option<FixEvidence> {
    let seen = finding.surrounding_lines.as_ref()?.change_snapshot.as_ref()?;
    let (first, last) = verdict.lines?;
    if last.saturating_sub(first) >= MAX_QUOTED_LINES {
        return None;
    }
    let own_path = outcome.path().unwrap_or(&finding.raw.location.path);
    let path = verdict.path.as_ref().unwrap_or(own_path);
    let page = head.compared_file(path)?;
    let quoted = excerpt::select_lines(&page.text, first, last)?;
    if !excerpt::contains_excerpt(&quoted, &verdict.excerpt) {
        return None;
    }
    let own = match outcome {
        FollowOutcome::Found { start, end, .. } | FollowOutcome::Changed { start, end, .. }
            if path == own_path =>
        {
            Some((start.saturating_sub(NEAR_DISTANCE_LINES), end.saturating_add(NEAR_DISTANCE_LINES)))
        }
        FollowOutcome::Found { .. }
        | FollowOutcome::Changed { .. }
        | FollowOutcome::NotFound { .. }
        | FollowOutcome::NoFile => None,
    };
    let is_quoted = |statement: &CodeStatement| statement.touches((first, last));
    let quoted_statements: Vec<&CodeStatement> =
        page.statements().iter().filter(|one| is_quoted(one)).collect();
    let is_of_another = |statement: &CodeStatement| {
        replaced_lines
            .iter()
            .any(|(id, at, lines)| **id != finding.id && at == path && statement.touches(*lines))
    };
    let is_near = |statement: &CodeStatement| {
        own.is_some_and(|own| statement.touches(own)) && !is_of_another(statement)
    };
    let was = FileComparison::new(seen, &page);
    let is_new = |one: &&&CodeStatement| {
        let was_there = seen.marks.contains_hash(one.text_hash) || is_near(one) && was.is_reformatted(one);
        one.has_words && !was_there && !is_of_another(one)
    };
    let beside = || {
        let new_hash =
            quoted_statements.iter().filter(is_new).find(|one| is_near(one)).map(|one| one.text_hash);
        // Finds two quoted statements that are adjacent now but were not adjacent before.
        let together = quoted_statements.windows(2).find_map(|pair| {
            let [above, below] = pair else { return None };
            let is_one = is_near(above) && is_near(below) && (above.has_words || below.has_words);
            (is_one && was.is_new_pair(above, below)).then_some(below.pair_hash)
        });
        new_hash.or(together)
    };
    let elsewhere = || {
        if !seen.is_whole {
            return None;
        }
        let added = head.added_lines.get(path)?;
        let is_added = |one: &&&CodeStatement| added.iter().any(|lines| one.touches(*lines));
        let (names, of) = (referenced_names(&finding.raw.snippet), enclosing_function(outcome, head));
        let quotes = |name: &str| quoted.iter().any(|line| line_words(line).any(|word| word == name));
        let is_of_it = |one: &&&CodeStatement| {
            let (own, around) = defined_and_enclosing_names(&page, one);
            own.iter().chain(&around).any(|name| names.contains(name)) || of.as_deref().is_some_and(quotes)
        };
        let all_of_it = || {
            MovedDefinition::from_finding(finding, seen)
                .filter(|moved| !moved.is_in_original_file(own_path, outcome, head))
        };
        let moved = if path == own_path { None } else { all_of_it() };
        let is_moved =
            |one: &&&CodeStatement| moved.as_ref().is_some_and(|it| it.encloses_statement(one, &page, added));
        let found = quoted_statements
            .iter()
            .filter(is_new)
            .filter(is_added)
            .find(|one| is_of_it(one) || is_moved(one));
        found.map(|one| one.text_hash)
    };
    let mark = beside().or_else(elsewhere)?;
    Some(FixEvidence { mark: Some(mark), ..FixEvidence::new(path, first, last, &quoted) })
}

/// Returns true if the quoted lines contain new code or adjoin removed code. They must already be known to
/// replace the finding's lines.
pub(super) fn has_new_content(quoted: (u32, u32), finding: &Finding, file: &ComparedFile) -> bool {
    // Findings that an earlier version of Truing stored have no snapshot; their quoted lines are accepted.
    let Some(seen) = finding.surrounding_lines.as_ref().and_then(|around| around.change_snapshot.as_ref())
    else {
        return true;
    };
    let was = FileComparison::new(seen, file);
    let is_told = |one: &CodeStatement| one.touches(quoted);
    let is_known = |one: &CodeStatement| seen.marks.contains_hash(one.text_hash);
    let is_new = |one: &CodeStatement| is_told(one) && !is_known(one) && !was.is_reformatted(one);
    // Returns true if a statement between these two statements was removed.
    let is_gone_between = |above: &CodeStatement, below: &CodeStatement| {
        (is_told(above) || is_told(below))
            && is_known(above)
            && is_known(below)
            && !seen.marks.contains_hash(below.pair_hash)
    };
    let all = file.statements();
    all.iter().any(is_new)
        || all.windows(2).any(|pair| matches!(pair, [above, below] if is_gone_between(above, below)))
}

/// Compares a file with the snapshot from the last time that a reviewer saw a finding.
struct FileComparison<'a> {
    snapshot: &'a ChangeSnapshot,
    nearby_tokens: TokenSequence,
    file: &'a ComparedFile,
}

impl<'a> FileComparison<'a> {
    fn new(snapshot: &'a ChangeSnapshot, file: &'a ComparedFile) -> Self {
        Self { snapshot, nearby_tokens: TokenSequence::from_code(&snapshot.near), file }
    }

    /// Returns true if only the line breaks of the statement have changed. In this case, the stored text near
    /// the finding contains the statement's tokens and their direct neighbours in the same order.
    fn is_reformatted(&self, statement: &CodeStatement) -> bool {
        let tokens = self.file.code().tokens_around_lines(statement.first_line, statement.last_line);
        !self.snapshot.marks.contains_hash(statement.text_hash) && self.nearby_tokens.contains_run(tokens)
    }

    /// Returns true if two statements are adjacent now and were not adjacent before.
    fn is_new_pair(&self, above: &CodeStatement, below: &CodeStatement) -> bool {
        !self.snapshot.marks.contains_hash(below.pair_hash)
            && !self.is_reformatted(above)
            && !self.is_reformatted(below)
    }
}

/// Returns true if the head still contains the evidence that a finding with unchanged lines is fixed.
pub(super) fn still_contains_evidence<T: Fn(&RepoPath) -> Option<String>>(
    evidence: &FixEvidence,
    head: &HeadView<'_, T>,
) -> bool {
    let Some(mark) = evidence.mark else { return false };
    let has = |path: &truing_diff::RepoPath| {
        head.compared_file(path).is_some_and(|page| {
            page.statements().iter().any(|one| one.text_hash == mark || one.pair_hash == mark)
        })
    };
    let renamed = head.changed_paths.iter().filter(|path| head.renames.is_same_file(path, &evidence.path));
    has(&evidence.path) || renamed.into_iter().any(has)
}

/// Returns the words of a line.
fn line_words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|char: char| !(char.is_alphanumeric() || char == '_')).filter(|word| !word.is_empty())
}

/// Returns the names in a finding's lines that may be defined elsewhere: names that are called, and names
/// with an inner underscore or capital.
fn referenced_names(snippet: &str) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    for line in snippet.lines() {
        for word in line_words(line) {
            let at = word.as_ptr() as usize - line.as_ptr() as usize;
            let behind = line.get(at + word.len()..).unwrap_or_default();
            let is_called = behind.starts_with('(') || behind.starts_with("!(") || behind.starts_with("::");
            let inner = word.trim_matches('_').chars().skip(1);
            let is_compound = inner.into_iter().any(|char| char == '_' || char.is_uppercase());
            if word.len() >= MIN_NAME_BYTES && (is_called || is_compound) && !CONTROL_KEYWORDS.contains(&word)
            {
                names.insert(word);
            }
        }
    }
    names
}

/// Returns the name that a line defines; `None` if the line cannot be a definition. The name is the word
/// after the definition's key word. If there is no such key word, the name is the last word before the first
/// bracket, colon or equals sign.
fn defined_name(line: &str) -> Option<&str> {
    let mut rest = line;
    let mut is_said = false;
    for _ in 0..MAX_DEFINITION_WORDS {
        let found =
            line_words(rest).take(MAX_DEFINITION_WORDS).find(|word| DEFINITION_KEYWORDS.contains(word));
        let Some(word) = found else { break };
        let at = word.as_ptr() as usize - rest.as_ptr() as usize;
        rest = rest.get(at + word.len()..)?.trim_start();
        is_said = true;
    }
    if is_said {
        // The receiver of a Go method is skipped.
        let behind = rest.strip_prefix('(').and_then(|rest| rest.split_once(')'));
        let name = line_words(behind.map_or(rest, |(_, rest)| rest)).next()?;
        return (name.len() >= MIN_NAME_BYTES).then_some(name);
    }
    let begins = line_words(line).next()?;
    let end = line.find(['(', '=', ':', '{', '<'])?;
    let name = line_words(line.get(..end)?).last()?;
    (!CONTROL_KEYWORDS.contains(&begins) && name.len() >= MIN_NAME_BYTES).then_some(name)
}

/// Returns the name that a statement defines, or `None` if the statement has no body and is no assignment.
/// Also returns the names of the enclosing definitions, innermost first.
fn defined_and_enclosing_names<'a>(
    file: &'a ComparedFile,
    statement: &CodeStatement,
) -> (Option<&'a str>, Vec<&'a str>) {
    let lines: Vec<&str> = file.text.lines().collect();
    let line = |one: &CodeStatement| {
        let at = usize::try_from(one.first_line.saturating_sub(1)).ok()?;
        lines.get(at).copied()
    };
    let all = file.statements();
    let Some(at) = all.iter().position(|one| one.first_line == statement.first_line) else {
        return (None, Vec::new());
    };
    let opens = all.get(at + 1).is_some_and(|below| below.indent > statement.indent);
    let own = line(statement).filter(|line| opens || is_assignment(line)).and_then(defined_name);
    let (mut indent, mut around) = (statement.indent, Vec::new());
    for above in all.get(..at).unwrap_or_default().iter().rev() {
        if above.indent < indent && above.has_words {
            indent = above.indent;
            around.extend(line(above).and_then(defined_name));
        }
    }
    (own, around)
}

/// Returns true for an assignment: the line has `=` before any bracket.
fn is_assignment(line: &str) -> bool {
    let Some(at) = line.find(['=', '(']) else { return false };
    line.get(at..).is_some_and(|rest| rest.starts_with('=') && !rest.starts_with("=="))
}

/// Returns the name of the innermost function that contains the finding.
fn enclosing_function<T: Fn(&RepoPath) -> Option<String>>(
    outcome: &FollowOutcome,
    head: &HeadView<'_, T>,
) -> Option<String> {
    let (FollowOutcome::Found { path, start, end } | FollowOutcome::Changed { path, start, end, .. }) =
        outcome
    else {
        return None;
    };
    let page = head.compared_file(path)?;
    let at = page.statements().iter().find(|one| one.touches((*start, *end)))?;
    let (_, around) = defined_and_enclosing_names(&page, at);
    around.first().map(|name| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lines_call_and_what_a_line_defines_are_names() {
        let of = |text| referenced_names(text).into_iter().collect::<Vec<_>>();
        assert_eq!(of("    result = charge(order, MAX_SIZE, limit)"), ["MAX_SIZE", "charge"]);
        assert_eq!(of("if (x) { return orderStore.find(y) }"), ["find", "orderStore"]);
        for (line, name) in [
            ("def charge(order):", Some("charge")),
            ("pub(crate) const fn charge<T>(order: T) {", Some("charge")),
            ("fn charge<T>(order: T) {", Some("charge")),
            ("int charge(Order order) {", Some("charge")),
            ("export const charge = (order) => {", Some("charge")),
            ("func (s *Shop) charge(order Order) {", Some("charge")),
            ("MAX_SIZE = 10", Some("MAX_SIZE")),
            ("if charge(order):", None),
            ("}", None),
        ] {
            assert_eq!(defined_name(line), name, "{line}");
        }
    }
}
