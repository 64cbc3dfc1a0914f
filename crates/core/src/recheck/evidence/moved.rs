//! Recognizes a definition that the change has moved to another file and fixed there. The definition is
//! recognized by its name and by an unchanged statement that moved together with it.

use std::collections::BTreeSet;

use truing_diff::RepoPath;

use super::defined_name;
use crate::finding::Finding;
use crate::recheck::compared_file::{ComparedFile, SearchTokens};
use crate::recheck::head::HeadView;
use crate::recheck::line_search::FollowOutcome;
use crate::recheck::statement::CodeStatement;
use crate::recheck::surroundings::ChangeSnapshot;

/// The definition that enclosed a finding when a reviewer last saw the finding.
pub(super) struct MovedDefinition {
    name: String,
    /// Hashes of the definition's statements that are not part of the finding's lines.
    other_statement_hashes: BTreeSet<u32>,
    /// Tokens of the finding's own lines.
    finding_tokens: SearchTokens,
}

impl MovedDefinition {
    /// Returns the definition that encloses the finding in the stored text. Returns `None` if the text does
    /// not contain the definition's heading, or contains no statement of the definition's body except the
    /// finding's own statements.
    pub(super) fn from_finding(finding: &Finding, snapshot: &ChangeSnapshot) -> Option<Self> {
        let near = ComparedFile::new(snapshot.near.clone());
        let own = SearchTokens::from_text(&finding.raw.snippet);
        let places = near.find_places(&own);
        let [(first, last)] = places.as_slice() else { return None };
        let line = |index: &usize| u32::try_from(*index).unwrap_or(u32::MAX).saturating_add(1);
        let lines = (line(first), line(last));
        let all = near.statements();
        let at = all.iter().position(|one| one.touches(lines))?;
        let (heading, name) = enclosing_definition(&near, at)?;
        let rest = body_statements(all, heading).filter(|one| one.has_words && !one.touches(lines));
        let rest: BTreeSet<u32> = rest.map(|one| one.text_hash).collect();
        (!rest.is_empty()).then(|| Self {
            name: name.to_owned(),
            other_statement_hashes: rest,
            finding_tokens: own,
        })
    }

    /// Returns true if the definition is still in the original file, or if the finding's lines still exist.
    pub(super) fn is_in_original_file<T: Fn(&RepoPath) -> Option<String>>(
        &self,
        path: &RepoPath,
        outcome: &FollowOutcome,
        head: &HeadView<'_, T>,
    ) -> bool {
        let defines = |page: &ComparedFile| {
            let headings = (0..page.statements().len()).filter_map(|at| defined_block_name(page, at));
            headings.into_iter().any(|name| name == self.name)
        };
        matches!(outcome, FollowOutcome::Found { .. })
            || head.compared_file(path).is_some_and(|page| defines(&page))
    }

    /// Returns true if the moved definition encloses this statement of another file. The change must have
    /// added the definition's heading and at least one of its former statements to this file. The file must
    /// not contain the finding's own lines.
    pub(super) fn encloses_statement(
        &self,
        statement: &CodeStatement,
        file: &ComparedFile,
        added_lines: &[(u32, u32)],
    ) -> bool {
        let all = file.statements();
        let is_added = |statement: &CodeStatement| added_lines.iter().any(|lines| statement.touches(*lines));
        let found = all
            .iter()
            .position(|other| other.first_line == statement.first_line)
            .and_then(|at| enclosing_definition(file, at));
        found.is_some_and(|(heading, name)| {
            name == self.name
                && file.find_places(&self.finding_tokens).is_empty()
                && all.get(heading).is_some_and(is_added)
                && body_statements(all, heading).any(|statement| {
                    is_added(statement) && self.other_statement_hashes.contains(&statement.text_hash)
                })
        })
    }
}

/// Returns the index of the heading and the name of the innermost definition that contains this statement or
/// begins with it.
fn enclosing_definition(file: &ComparedFile, statement_index: usize) -> Option<(usize, &str)> {
    if let Some(name) = defined_block_name(file, statement_index) {
        return Some((statement_index, name));
    }
    let all = file.statements();
    let mut indent = all.get(statement_index)?.indent;
    for (index, above) in all.get(..statement_index)?.iter().enumerate().rev() {
        if above.indent < indent && above.has_words {
            indent = above.indent;
            if let Some(name) = defined_block_name(file, index) {
                return Some((index, name));
            }
        }
    }
    None
}

/// Returns the name that a statement defines, if more deeply indented statements follow as its body.
fn defined_block_name(file: &ComparedFile, index: usize) -> Option<&str> {
    let all = file.statements();
    let (one, below) = (all.get(index)?, all.get(index + 1)?);
    let line = usize::try_from(one.first_line.checked_sub(1)?).ok()?;
    file.text.lines().nth(line).filter(|_| below.indent > one.indent).and_then(defined_name)
}

/// Returns the statements in the body of a heading.
fn body_statements(statements: &[CodeStatement], heading: usize) -> impl Iterator<Item = &CodeStatement> {
    let indent = statements.get(heading).map_or(usize::MAX, |heading| heading.indent);
    statements
        .get(heading.saturating_add(1)..)
        .unwrap_or_default()
        .iter()
        .take_while(move |one| one.indent > indent)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::code_digest::CodeDigests;
    use crate::finding::{
        AnchorKind, CodeLocation, DefectCategory, DiffSide, FindingSource, FindingStatus, RawFinding,
        Severity,
    };
    use crate::id::{FindingId, Fingerprint};
    use crate::identity::{FindingFacts, PlacedFinding};
    use crate::increment::FileRenames;
    use crate::recheck::{RecheckStatus, RecheckVerdict, ReviewerReport, recheck};

    const OTHER_FUNCTIONS: &str = "def first(order):\n    log(\"first\", order)\n    return \
        order.id\n\n\ndef second(order):\n    log(\"second\", order)\n    return order.name\n\n\n";
    const PAY: &str =
        "def pay(order):\n    total = sum(order.lines)\n    bank.send(total)\n    return total\n\n\n";
    const LAST_FUNCTION: &str = "def last(order):\n    log(\"last\", order)\n    return order.day\n";
    const FINDING_LINE: &str = "    bank.send(total)";
    const FIX: &str = "    bank.send(max(total, 0))";

    fn place_finding(raw: RawFinding) -> PlacedFinding {
        let at = raw.location.clone();
        PlacedFinding {
            raw,
            anchor: AnchorKind::Inline,
            comment_location: at,
            old_path: None,
            sighting: FindingFacts::default(),
        }
    }

    /// Rechecks these files and returns the number of findings that become fixed. `before` is the number of
    /// lines at the start of q.py that the change did not add.
    fn recheck_files(
        files: &[(&str, &str)],
        before: u32,
        known: &[Finding],
        found: &mut Vec<PlacedFinding>,
        says: &[RecheckVerdict],
    ) -> usize {
        let texts: BTreeMap<RepoPath, &str> =
            files.iter().map(|(path, text)| (RepoPath::from(*path), *text)).collect();
        let paths: Vec<RepoPath> = texts.keys().cloned().collect();
        let first = |path: &RepoPath| if *path == RepoPath::from("q.py") { before + 1 } else { 1 };
        let added = paths.iter().map(|path| (path.clone(), vec![(first(path), u32::MAX)])).collect();
        let gone = Some(RepoPath::from("p.py")).filter(|path| !texts.contains_key(path));
        let (renames, read) =
            (FileRenames::default(), |path: &RepoPath| texts.get(path).map(|text| (*text).to_owned()));
        let head = HeadView::new(read, &paths, added, gone.into_iter().collect(), &renames);
        let reviewer =
            ReviewerReport { viewed_paths: paths.iter().cloned().collect(), verdicts: says.to_vec() };
        recheck(known, found, &[reviewer], &head, place_finding).fixed.len()
    }

    /// Returns the finding in the function `pay` of p.py, with surroundings that were stored while q.py had
    /// this text.
    fn known_finding(q: &str) -> Finding {
        let text = format!("{OTHER_FUNCTIONS}{PAY}{LAST_FUNCTION}");
        let line = text.lines().position(|line| line == FINDING_LINE).unwrap() + 1;
        let line = u32::try_from(line).unwrap();
        let at = CodeLocation { path: "p.py".into(), side: DiffSide::New, start_line: line, end_line: line };
        let raw = RawFinding {
            location: at.clone(),
            severity: Severity::P1,
            category: DefectCategory::G,
            rule: "agent/bounds".into(),
            title: "A negative sum is sent".into(),
            body: "The bank takes it for a refund.".into(),
            snippet: FINDING_LINE.into(),
            code: CodeDigests::default(),
            suggestion: None,
            source: FindingSource::Agent,
            specialists: Vec::new(),
        };
        let mut found = vec![place_finding(raw.clone())];
        recheck_files(&[("p.py", &text), ("q.py", q)], 0, &[], &mut found, &[]);
        Finding {
            id: FindingId::new("1:00-1"),
            fingerprint: Fingerprint::new("1:00".to_owned()),
            raw,
            old_path: None,
            anchor: AnchorKind::Inline,
            comment_location: at,
            status: FindingStatus::Open,
            surrounding_lines: found[0].sighting.surrounding_lines.clone(),
            unverified: None,
            seen_on: Vec::new(),
            evidence: None,
        }
    }

    /// Returns true if a model's verdict `Fixed` that quotes this line of q.py is accepted.
    fn is_fix_accepted((p, q): (&str, &str), before: u32, quoted: &str) -> bool {
        let was: String =
            q.lines().take(usize::try_from(before).unwrap()).map(|line| format!("{line}\n")).collect();
        let known = [known_finding(&was)];
        let line = u32::try_from(q.lines().position(|line| line == quoted).unwrap() + 1).unwrap();
        let verdict = RecheckVerdict {
            finding: known[0].id.clone(),
            status: RecheckStatus::Fixed,
            path: Some("q.py".into()),
            lines: Some((line, line)),
            excerpt: quoted.to_owned(),
        };
        let files = [("p.py", p), ("q.py", q)];
        let files = if p.is_empty() { &files[1..] } else { &files[..] };
        recheck_files(files, before, &known, &mut Vec::new(), &[verdict]) == 1
    }

    #[test]
    fn a_function_that_was_moved_and_fixed_is_known_by_its_name_and_what_went_with_it() {
        let left = format!("{OTHER_FUNCTIONS}{LAST_FUNCTION}");
        let fixed = PAY.replace(FINDING_LINE, FIX);
        let moved =
            format!("import bank\n\n\n{fixed}def other(order):\n    checked = order\n    return checked\n");
        assert!(is_fix_accepted((&left, &moved), 0, FIX));
        // A fix in a moved function is accepted: first below existing code of q.py, then with the original
        // file deleted.
        assert!(is_fix_accepted((&left, &moved), 2, FIX));
        assert!(is_fix_accepted(("", &moved), 0, FIX));
        for (what, p, q, quoted) in [
            ("what is as it was", &left, &moved, "    total = sum(order.lines)"),
            ("another function there", &left, &moved, "    checked = order"),
            ("a line that belongs to none", &left, &moved, "import bank"),
            (
                "another function of that name",
                &left,
                &"def pay(bill):\n    checked = bill\n    return None\n".to_owned(),
                "    checked = bill",
            ),
        ] {
            assert!(!is_fix_accepted((p, q), 0, quoted), "{what}");
        }
        // A fix is not accepted if the definition was copied instead of moved.
        assert!(!is_fix_accepted((&format!("{OTHER_FUNCTIONS}{fixed}{LAST_FUNCTION}"), &moved), 0, FIX));
        // A fix is not accepted if the finding's lines are still in the original file.
        assert!(!is_fix_accepted((&format!("{OTHER_FUNCTIONS}{PAY}{LAST_FUNCTION}"), &moved), 0, FIX));
        // The fix is accepted if the change added all of q.py. It is not accepted if q.py already contained
        // the heading of `pay` before the change.
        assert!(is_fix_accepted((&left, &fixed), 0, FIX));
        assert!(!is_fix_accepted((&left, &fixed), 1, FIX));
    }
}
