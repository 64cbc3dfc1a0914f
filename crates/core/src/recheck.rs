//! Determines the current status of findings that a model reported in earlier reviews.
//!
//! A finding does not count as fixed merely because no reviewer reports it again. Two conditions must hold.
//! First, a reviewer that received the finding's file reports the finding as fixed and names the lines of the
//! fix. Second, the files confirm the report: the finding's own lines are gone, or the named lines are new
//! since a reviewer last saw the finding (`evidence`).
//!
//! An open finding counts as verified if its lines are unchanged, or if a reviewer names the lines that now
//! contain the defect. Otherwise the finding stays open but unverified, and its location follows its lines.

// long: the rules by which a finding gets a new status; they are read together.

mod compared_file;
mod evidence;
mod head;
mod line_search;
mod statement;
mod surroundings;

use std::collections::{BTreeMap, BTreeSet};

use truing_diff::RepoPath;

use compared_file::ComparedFile;
pub use head::{AddedLines, HeadView, RecheckStatus, RecheckVerdict, ReviewerReport, findings_to_recheck};
pub use line_search::{FollowOutcome, locate_at_head};
pub use statement::StatementHashes;
pub use surroundings::{
    ChangeSnapshot, MAX_SNIPPET_LINES, MAX_SURROUNDING_LINES, SurroundingLines, UnverifiedReason,
};

use crate::excerpt;
use crate::finding::{
    AnchorKind, CodeLocation, DiffSide, Finding, FindingSource, FindingStatus, FixEvidence, RawFinding,
};
use crate::id::{FindingId, Fingerprint, Sha};
use crate::identity::{ComparableFinding, FindingFacts, MIN_SAME_SCORE, PlacedFinding, similarity};

/// Facts that determine the status of earlier findings that this review did not find again.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RecheckSummary {
    /// Fixed findings of models, each with the evidence.
    pub fixed: BTreeMap<FindingId, FixEvidence>,
    /// Findings of models in files that the change no longer affects.
    pub out_of_scope: BTreeSet<FindingId>,
    /// Names of the rules that ran; empty if they are not known.
    pub applied_rules: BTreeSet<String>,
    /// Disabled rules, including rules of tools. It is not known whether findings of these rules still exist.
    pub disabled_rules: BTreeSet<String>,
    /// Pairs of a rule and a file to which the rule was not applied, because a more specific linter checks
    /// this file.
    pub rules_replaced_by_linters: BTreeSet<(String, RepoPath)>,
    /// Names of the tools that completed.
    pub tools: BTreeSet<String>,
    /// Fingerprints of tools' findings that also exist at the base.
    pub base_fingerprints: BTreeSet<Fingerprint>,
    /// Findings of tools that were not reported again although their lines are unchanged. Possible causes are
    /// a suppression comment, a setting or a change elsewhere.
    pub unreported: BTreeSet<FindingId>,
    /// Open findings of rules and tools from earlier local reviews that count as fixed if they are not
    /// reported again. Their lines are gone, or the rule has checked these lines again. The evidence consists
    /// of the current lines at the finding's location.
    pub fixed_unless_reported: BTreeMap<FindingId, FixEvidence>,
}

impl RecheckSummary {
    /// Sets the status of `missing` findings, which were not found again. A model's finding becomes fixed if
    /// there is evidence, and out of scope if the change no longer affects its file. Otherwise its status is
    /// kept. A rule's finding becomes out of scope instead of fixed if the rule did not run on the file. A
    /// tool's finding keeps its status if the tool did not complete: the tool may have failed or may run in
    /// another job. If a tool's finding also exists at the base or its lines are unchanged, it becomes out of
    /// scope instead of fixed.
    pub fn update_statuses(&self, missing: &mut [Finding], known_findings: &[Finding], head: &Sha) {
        let known_findings: BTreeMap<&FindingId, &Finding> =
            known_findings.iter().map(|finding| (&finding.id, finding)).collect();
        for finding in missing.iter_mut().filter(|finding| finding.raw.source == FindingSource::Agent) {
            let Some(before) = known_findings.get(&finding.id) else { continue };
            finding.status = if let Some(evidence) = self.fixed.get(&finding.id) {
                finding.evidence = Some(evidence.clone());
                FindingStatus::Fixed(head.clone())
            } else if self.out_of_scope.contains(&finding.id) {
                FindingStatus::OutOfScope
            } else {
                before.status.clone()
            };
        }
        let has_looked = |finding: &Finding| finding.raw.tool().is_some_and(|tool| self.tools.contains(tool));
        for finding in missing.iter_mut().filter(|finding| finding.raw.source == FindingSource::Tool) {
            let Some(before) = known_findings.get(&finding.id) else { continue };
            if before.is_open() && self.disabled_rules.contains(&finding.raw.rule) {
                finding.status = FindingStatus::OutOfScope;
            } else if !has_looked(finding) {
                finding.status = before.status.clone();
            } else if matches!(finding.status, FindingStatus::Fixed(_))
                && (self.base_fingerprints.contains(&finding.fingerprint)
                    || self.unreported.contains(&finding.id))
            {
                finding.status = FindingStatus::OutOfScope;
            }
        }
        let is_unused = |rule: &str| {
            self.disabled_rules.contains(rule)
                || (!self.applied_rules.is_empty() && !self.applied_rules.contains(rule))
        };
        for finding in missing.iter_mut().filter(|finding| finding.raw.source == FindingSource::Rule) {
            let was_open = known_findings.get(&finding.id).is_some_and(|before| before.is_open());
            let RawFinding { rule, location: place, .. } = &finding.raw;
            let is_off = is_unused(rule)
                || self.rules_replaced_by_linters.contains(&(rule.clone(), place.path.clone()));
            if was_open && matches!(finding.status, FindingStatus::Fixed(_)) && is_off {
                finding.status = FindingStatus::OutOfScope;
            }
        }
    }
}

/// Reopens findings of models in two cases. First, the finding was dismissed, and its lines have been changed
/// since (not merely removed). Second, the finding was out of scope, and the change now adds its lines or the
/// lines that replaced them.
pub fn reopen_findings<T: Fn(&RepoPath) -> Option<String>>(
    known_findings: &mut [Finding],
    head: &HeadView<'_, T>,
) {
    let of_a_model = |finding: &&mut Finding| {
        finding.raw.source == FindingSource::Agent && finding.raw.location.side == DiffSide::New
    };
    for finding in known_findings.iter_mut().filter(of_a_model) {
        let counts = match finding.status {
            // If the finding was unverified when it was dismissed, its lines had already changed at that
            // time. Such a finding stays dismissed.
            FindingStatus::Dismissed(_) if finding.unverified.is_none() => {
                match locate_at_head(finding, head) {
                    FollowOutcome::Changed { path, start, end, .. } => {
                        start <= end && head.added_lines.contains_key(&path)
                    }
                    FollowOutcome::NotFound { path } => head.added_lines.contains_key(&path),
                    FollowOutcome::Found { .. } | FollowOutcome::NoFile => false,
                }
            }
            FindingStatus::OutOfScope => overlaps_added_lines(&locate_at_head(finding, head), head),
            FindingStatus::Dismissed(_)
            | FindingStatus::Open
            | FindingStatus::Claimed
            | FindingStatus::Fixed(_)
            | FindingStatus::Suppressed(_)
            | FindingStatus::Declined(_) => false,
        };
        if counts {
            finding.status = FindingStatus::Open;
        }
    }
}

/// Determines the status of the known findings that a model reported, and finds the unreported findings of
/// tools. `current_findings` contains the findings at this head. A known finding that still exists is matched
/// with a current finding or added to `current_findings`. `reviewers` are the reports of completed reviews;
/// the list is empty if no model ran. `place_finding` determines the location of a finding's comment in the
/// change.
pub fn recheck<T: Fn(&RepoPath) -> Option<String>>(
    known_findings: &[Finding],
    current_findings: &mut Vec<PlacedFinding>,
    reviewers: &[ReviewerReport],
    head: &HeadView<'_, T>,
    place_finding: impl Fn(RawFinding) -> PlacedFinding,
) -> RecheckSummary {
    let mut rechecked = RecheckSummary::default();
    let replaced = evidence::find_replaced_lines(known_findings, head);
    for finding in known_findings.iter().filter(|finding| finding.raw.source == FindingSource::Agent) {
        match &finding.status {
            FindingStatus::Open | FindingStatus::Claimed => {}
            // A closed finding is reopened if the change adds its lines again. If its own lines were
            // unchanged and other lines fixed it, the finding is reopened when those other lines are gone.
            FindingStatus::OutOfScope | FindingStatus::Fixed(_) => {
                let went = locate_at_head(finding, head);
                let beside = finding.evidence.as_ref().filter(|evidence| evidence.mark.is_some());
                let is_open = match (&finding.status, beside) {
                    (FindingStatus::Fixed(_), Some(evidence)) => {
                        let is_gone = !evidence::still_contains_evidence(evidence, head);
                        is_gone
                            && decide_outcome(finding, &went, &[], head, &replaced)
                                != RecheckOutcome::OutOfScope
                    }
                    (FindingStatus::Fixed(_), None) => {
                        matches!(went, FollowOutcome::Found { .. }) && overlaps_added_lines(&went, head)
                    }
                    (_, _) => overlaps_added_lines(&went, head),
                };
                if is_open && !has_current_match(finding, current_findings) {
                    let is_there = matches!(went, FollowOutcome::Found { .. });
                    let reason = (!is_there).then_some(UnverifiedReason::NoVerdict);
                    current_findings.push(move_to_current_place(
                        finding,
                        &went,
                        reason,
                        head,
                        &place_finding,
                    ));
                }
                continue;
            }
            // A dismissed finding stays in the list while its code exists, because the dismissal may be
            // withdrawn.
            FindingStatus::Dismissed(_) => {
                let went = locate_at_head(finding, head);
                let is_there = matches!(went, FollowOutcome::Found { .. } | FollowOutcome::Changed { .. });
                let is_outside =
                    decide_outcome(finding, &went, &[], head, &replaced) == RecheckOutcome::OutOfScope;
                if is_there && !is_outside && !has_current_match(finding, current_findings) {
                    current_findings.push(move_to_current_place(
                        finding,
                        &went,
                        finding.unverified,
                        head,
                        &place_finding,
                    ));
                }
                continue;
            }
            FindingStatus::Declined(_) | FindingStatus::Suppressed(_) => {
                continue;
            }
        }
        let went = locate_at_head(finding, head);
        let became = decide_outcome(finding, &went, reviewers, head, &replaced);
        let is_fixed = matches!(became, RecheckOutcome::Fixed(_));
        if let Some(again) = find_current_finding(finding, &went, current_findings, is_fixed) {
            again.sighting.earlier_id = Some(finding.id.clone());
            continue;
        }
        match became {
            RecheckOutcome::Fixed(evidence) => _ = rechecked.fixed.insert(finding.id.clone(), evidence),
            RecheckOutcome::OutOfScope => _ = rechecked.out_of_scope.insert(finding.id.clone()),
            RecheckOutcome::Open(reason) => {
                current_findings.push(move_to_current_place(finding, &went, reason, head, &place_finding));
            }
            RecheckOutcome::ConfirmedAt(lines) => {
                current_findings.extend(place_at_lines(finding, &went, lines, head, &place_finding));
            }
        }
    }
    let of_tools = known_findings
        .iter()
        .filter(|finding| finding.raw.source == FindingSource::Tool && finding.is_open());
    let unreported = of_tools.filter(|finding| is_unreported(finding, current_findings, head));
    rechecked.unreported = unreported.map(|finding| finding.id.clone()).collect();
    // `seen_on` is set only by local reviews, so `expected` is empty in all other reviews.
    let of_line = known_findings.iter().filter(|finding| !finding.seen_on.is_empty() && finding.is_open());
    let of_others = of_line.filter(|finding| finding.raw.source != FindingSource::Agent);
    let expected = of_others.filter_map(|finding| Some((finding.id.clone(), fix_evidence(finding, head)?)));
    rechecked.fixed_unless_reported = expected.collect();
    for placed in current_findings.iter_mut().filter(|placed| {
        placed.raw.source == FindingSource::Agent && placed.sighting.surrounding_lines.is_none()
    }) {
        let CodeLocation { path, start_line, end_line, .. } = &placed.raw.location;
        let lines = (*start_line, *end_line);
        placed.sighting.surrounding_lines = head.compared_file(path).map(|page| {
            SurroundingLines::new(
                &page,
                lines.0,
                lines.1,
                &placed.raw.snippet,
                Some(head.change_snapshot(&page, lines)),
            )
        });
    }
    rechecked
}

/// Returns true if the lines of a tool's finding are unchanged and the finding's rule reported nothing on
/// these lines.
fn is_unreported<T: Fn(&RepoPath) -> Option<String>>(
    finding: &Finding,
    current_findings: &[PlacedFinding],
    head: &HeadView<'_, T>,
) -> bool {
    let FollowOutcome::Found { path, start, end } = locate_at_head(finding, head) else { return false };
    let is_there = |placed: &PlacedFinding| {
        let CodeLocation { path: its, start_line, end_line, .. } = &placed.raw.location;
        placed.raw.rule == finding.raw.rule && *its == path && *start_line <= end && start <= *end_line
    };
    !current_findings.iter().any(is_there)
}

/// Returns the current lines at the location of a rule's or tool's finding, as evidence of a fix. If the
/// finding's lines still exist, returns them only if the change adds them, because the finding's rule has
/// then checked them again; otherwise returns `None`.
fn fix_evidence<T: Fn(&RepoPath) -> Option<String>>(
    finding: &Finding,
    head: &HeadView<'_, T>,
) -> Option<FixEvidence> {
    let was = &finding.raw.location.path;
    let went = locate_at_head(finding, head);
    let (path, lines) = match &went {
        FollowOutcome::Found { path, start, end } => {
            let is_looked_at = finding.raw.source == FindingSource::Rule && overlaps_added_lines(&went, head);
            (path, Some((*start, *end)).filter(|_| is_looked_at)?)
        }
        FollowOutcome::Changed { path, start, end, .. } => (path, (*start, *end.max(start))),
        FollowOutcome::NotFound { path } => {
            (path, (finding.raw.location.start_line, finding.raw.location.start_line))
        }
        FollowOutcome::NoFile if head.added_lines.contains_key(was) => return None,
        FollowOutcome::NoFile => return Some(FixEvidence::new(was, 0, 0, &[])),
    };
    if path != was && !head.renames.is_same_file(path, was) {
        return None;
    }
    let page = head.compared_file(path)?;
    let last = u32::try_from(page.lines.len()).unwrap_or(u32::MAX);
    let lines = (lines.0.clamp(1, last.max(1)), lines.1.clamp(1, last.max(1)));
    Some(FixEvidence::new(
        path,
        lines.0,
        lines.1,
        &excerpt::select_lines(&page.text, lines.0, lines.1).unwrap_or_default(),
    ))
}

/// Status of one re-checked finding.
#[derive(Clone, PartialEq, Eq, Debug)]
enum RecheckOutcome {
    /// The finding is open, at the current location of its lines. If the value is a reason, the finding is
    /// unverified for this reason.
    Open(Option<UnverifiedReason>),
    /// A reviewer saw the finding at these lines.
    ConfirmedAt((u32, u32)),
    /// The finding is fixed, with this evidence.
    Fixed(FixEvidence),
    /// The change no longer affects the finding's file.
    OutOfScope,
}

fn decide_outcome<T: Fn(&RepoPath) -> Option<String>>(
    finding: &Finding,
    outcome: &FollowOutcome,
    reviewers: &[ReviewerReport],
    head: &HeadView<'_, T>,
    replaced_lines: &evidence::ReplacedLines<'_>,
) -> RecheckOutcome {
    let was = &finding.raw.location.path;
    let path = match outcome {
        FollowOutcome::Found { path, .. }
        | FollowOutcome::Changed { path, .. }
        | FollowOutcome::NotFound { path } => path,
        FollowOutcome::NoFile => was,
    };
    let is_readable = *outcome != FollowOutcome::NoFile;
    let is_in_change = head.added_lines.contains_key(path) || head.deleted_paths.contains(path);
    // A finding in a file that the change never affected becomes out of scope only when the change is empty.
    let was_beside = finding.anchor == AnchorKind::Summary
        && !(head.added_lines.is_empty() && head.deleted_paths.is_empty());
    if is_readable && !is_in_change && !was_beside {
        return RecheckOutcome::OutOfScope;
    }
    if !is_readable && head.added_lines.is_empty() && !head.deleted_paths.contains(path) {
        // The change adds no lines in any file, so the finding cannot have moved to a changed file.
        return RecheckOutcome::OutOfScope;
    }
    let there =
        if let FollowOutcome::Found { start, end, .. } = outcome { Some((*start, *end)) } else { None };
    if !is_readable && head.added_lines.contains_key(path) {
        return RecheckOutcome::Open(Some(UnverifiedReason::NotShown));
    }
    if reviewers.is_empty() {
        return RecheckOutcome::Open(Some(UnverifiedReason::NotReviewed).filter(|_| there.is_none()));
    }
    let page = head.compared_file(path);
    let (mut shown, mut is_said, mut is_seen, mut objects, mut seen) = (None, false, false, false, None);
    for reviewer in reviewers {
        let saw = !is_readable || reviewer.viewed_paths.contains(path);
        is_seen |= saw;
        for verdict in reviewer.verdicts.iter().filter(|verdict| verdict.finding == finding.id) {
            is_said = true;
            let lines = || page.as_deref().and_then(|page| evidence_lines(verdict, outcome, &page.text));
            let may_look = verdict.path.as_ref().is_none_or(|path| reviewer.viewed_paths.contains(path));
            let new = || {
                evidence::find_new_evidence(verdict, finding, outcome, head, replaced_lines)
                    .filter(|_| may_look)
            };
            match verdict.status {
                RecheckStatus::StillThere => {
                    objects = true;
                    seen = seen.or_else(|| there.or_else(lines).filter(|_| saw));
                }
                RecheckStatus::Fixed if !saw || shown.is_some() => {}
                // The finding's file no longer exists, but its code may have moved to another file.
                RecheckStatus::Fixed if !is_readable && line_search::may_be_rewritten(finding, head) => {
                    shown = new();
                }
                RecheckStatus::Fixed if !is_readable => shown = Some(FixEvidence::new(path, 0, 0, &[])),
                RecheckStatus::Fixed => {
                    let instead = || {
                        // This evidence requires that the finding's own lines no longer exist, because
                        // otherwise no other lines have replaced them.
                        let (lines, page) = (lines().filter(|_| there.is_none())?, page.as_deref()?);
                        let is_it = match outcome {
                            // This check requires that code has replaced the finding's lines. If the lines
                            // were merely removed, the adjacent lines are sufficient evidence.
                            FollowOutcome::Changed { start, end, .. } if page.has_code_in((*start, *end)) => {
                                lines.0 <= *end
                                    && lines.1 >= *start
                                    && evidence::has_new_content(lines, finding, page)
                            }
                            FollowOutcome::NotFound { .. } => evidence::has_new_content(lines, finding, page),
                            FollowOutcome::Found { .. }
                            | FollowOutcome::Changed { .. }
                            | FollowOutcome::NoFile => true,
                        };
                        let text = excerpt::select_lines(&page.text, lines.0, lines.1).filter(|_| is_it)?;
                        Some(FixEvidence::new(path, lines.0, lines.1, &text))
                    };
                    shown = instead().or_else(new);
                }
            }
        }
    }
    let shown = shown.filter(|_| !objects);
    match (seen, shown) {
        (Some(lines), _) => RecheckOutcome::ConfirmedAt(lines),
        (None, Some(evidence)) => RecheckOutcome::Fixed(evidence),
        (None, None) if there.is_some() => RecheckOutcome::Open(None),
        (None, None) if !is_seen => RecheckOutcome::Open(Some(UnverifiedReason::NotShown)),
        (None, None) if is_said => RecheckOutcome::Open(Some(UnverifiedReason::NoEvidence)),
        (None, None) => RecheckOutcome::Open(Some(UnverifiedReason::NoVerdict)),
    }
}

/// Returns the lines that a verdict names. The file must have these lines, and they must contain the quoted
/// excerpt and overlap or adjoin the current lines at the finding's location; otherwise returns `None`.
fn evidence_lines(verdict: &RecheckVerdict, outcome: &FollowOutcome, text: &str) -> Option<(u32, u32)> {
    if verdict.path.as_ref().is_some_and(|path| outcome.path() != Some(path)) {
        return None;
    }
    let (first, last) = verdict.lines?;
    let lines = excerpt::select_lines(text, first, last)?;
    if !excerpt::contains_excerpt(&lines, &verdict.excerpt) {
        return None;
    }
    let (start, end) = match outcome {
        FollowOutcome::Found { start, end, .. } | FollowOutcome::Changed { start, end, .. } => {
            widen_lines(text, *start, *end)
        }
        FollowOutcome::NotFound { .. } => (1, u32::MAX),
        FollowOutcome::NoFile => return None,
    };
    (first <= end && last >= start).then_some((first, last))
}

/// Extends a range up to the nearest line above and the nearest line below that are not blank.
fn widen_lines(text: &str, start: u32, end: u32) -> (u32, u32) {
    let lines: Vec<&str> = text.lines().collect();
    let at = |line: u32| usize::try_from(line).ok().and_then(|line| lines.get(line.checked_sub(1)?));
    let is_blank = |line: u32| at(line).is_some_and(|line| line.trim().is_empty());
    let (mut first, mut last) = (start.saturating_sub(1), end.saturating_add(1));
    while is_blank(first) {
        first -= 1;
    }
    while is_blank(last) {
        last += 1;
    }
    (first, last)
}

/// Returns true if the change adds the finding's lines or the lines that replaced them.
fn overlaps_added_lines<T>(outcome: &FollowOutcome, head: &HeadView<'_, T>) -> bool {
    let (FollowOutcome::Found { path, start, end } | FollowOutcome::Changed { path, start, end, .. }) =
        outcome
    else {
        return false;
    };
    head.added_lines
        .get(path)
        .is_some_and(|added| added.iter().any(|(first, last)| first <= end && last >= start))
}

/// Returns true if a finding of a model at this head has the same category and a similar text.
fn has_current_match(finding: &Finding, current_findings: &[PlacedFinding]) -> bool {
    current_findings.iter().any(|placed| {
        placed.raw.source == FindingSource::Agent && is_same_finding_text(&finding.raw, &placed.raw)
    })
}

/// Returns the finding at this head with the same category and a similar text as the known finding. If there
/// is no evidence of a fix, a finding with the same category at the same location matches, too.
fn find_current_finding<'a>(
    finding: &Finding,
    outcome: &FollowOutcome,
    current_findings: &'a mut [PlacedFinding],
    is_fixed: bool,
) -> Option<&'a mut PlacedFinding> {
    let free = |placed: &PlacedFinding| {
        placed.raw.source == FindingSource::Agent && placed.sighting.earlier_id.is_none()
    };
    let here =
        |raw: &RawFinding| outcome.path() == Some(&raw.location.path) && raw.location.side == DiffSide::New;
    let at_its_place = |raw: &RawFinding| match outcome {
        FollowOutcome::Found { start, end, .. } | FollowOutcome::Changed { start, end, .. } => {
            raw.location.start_line <= end.saturating_add(1)
                && raw.location.end_line.saturating_add(1) >= *start
        }
        FollowOutcome::NotFound { .. } | FollowOutcome::NoFile => false,
    };
    let place = |raw: &RawFinding| raw.category == finding.raw.category && at_its_place(raw);
    let words = |raw: &RawFinding| is_same_finding_text(&finding.raw, raw);
    // If the known finding's lines no longer exist, a finding with the same title and category matches in any
    // file.
    let is_elsewhere = !matches!(outcome, FollowOutcome::Found { .. });
    let verbatim = |raw: &RawFinding| {
        is_elsewhere && (&raw.title, raw.category) == (&finding.raw.title, finding.raw.category)
    };
    let by_words = current_findings.iter().position(|placed| {
        let raw = &placed.raw;
        free(placed) && (verbatim(raw) || here(raw) && words(raw))
    });
    let by_place = || {
        current_findings
            .iter()
            .position(|placed| free(placed) && here(&placed.raw) && place(&placed.raw) && !is_fixed)
    };
    by_words.or_else(by_place).and_then(|at| current_findings.get_mut(at))
}

/// Returns true if both findings have the same category and similar text.
fn is_same_finding_text(earlier: &RawFinding, current: &RawFinding) -> bool {
    let statement = |raw: &RawFinding| {
        let text = format!("{}\n\n{}", raw.title, raw.body_without_suggestion());
        ComparableFinding::new(&current.location.path.to_string(), &text, Some(&raw.snippet))
    };
    earlier.category == current.category
        && similarity(&statement(earlier), &statement(current)) >= MIN_SAME_SCORE
}

/// Moves the finding to the current location of its lines.
fn move_to_current_place<T: Fn(&RepoPath) -> Option<String>>(
    finding: &Finding,
    outcome: &FollowOutcome,
    unverified: Option<UnverifiedReason>,
    head: &HeadView<'_, T>,
    place_finding: &impl Fn(RawFinding) -> PlacedFinding,
) -> PlacedFinding {
    let mut raw = finding.raw.clone();
    if !matches!(outcome, FollowOutcome::Found { .. }) {
        // The suggestion is removed, because the lines that it replaces have changed.
        raw.suggestion = None;
    }
    let was = &finding.raw.location;
    let one = |path: &RepoPath, line: u32| {
        let last = head.compared_file(path).map_or(1, |page| page.lines.len());
        let line = line.clamp(1, u32::try_from(last).unwrap_or(u32::MAX).max(1));
        (line, line)
    };
    let (lines, is_shown) = match outcome {
        FollowOutcome::Found { start, end, .. } => ((*start, *end), true),
        FollowOutcome::Changed { start, end, likely_replacement: likely, .. } if start <= end => {
            (*likely, true)
        }
        FollowOutcome::Changed { path, start, .. } => (one(path, *start), false),
        FollowOutcome::NotFound { path } => (one(path, was.start_line), false),
        FollowOutcome::NoFile => ((was.start_line, was.end_line), false),
    };
    (raw.location.start_line, raw.location.end_line) = lines;
    if let Some(path) = outcome.path() {
        raw.location.path = path.clone();
    }
    let around = finding.surrounding_lines.clone();
    if let FollowOutcome::Found { path, .. } = outcome
        && let Some(page) = head.compared_file(path)
    {
        // The stored snapshot is kept; it is from the time when a reviewer last saw the finding. Code that
        // was added since then therefore still counts as new.
        let seen = around.and_then(|around| around.change_snapshot);
        return build_current_finding(finding, raw, &page, seen, place_finding);
    }
    let mut placed = place_finding(raw);
    if !is_shown && placed.anchor == AnchorKind::Inline {
        // None of the current lines belongs to the finding, so the comment is placed on the file.
        (placed.anchor, placed.comment_location) = (AnchorKind::File, placed.raw.location.clone());
    }
    placed.sighting = FindingFacts {
        earlier_id: Some(finding.id.clone()),
        surrounding_lines: around,
        unverified,
        suppressed: None,
    };
    placed
}

/// Moves the finding to the lines at which a reviewer saw it.
fn place_at_lines<T: Fn(&RepoPath) -> Option<String>>(
    finding: &Finding,
    outcome: &FollowOutcome,
    lines: (u32, u32),
    head: &HeadView<'_, T>,
    place_finding: &impl Fn(RawFinding) -> PlacedFinding,
) -> Option<PlacedFinding> {
    let path = outcome.path()?;
    let page = head.compared_file(path)?;
    let mut raw = finding.raw.clone();
    if !matches!(outcome, FollowOutcome::Found { start, end, .. } if (*start, *end) == lines) {
        raw.suggestion = None;
    }
    raw.location.path = path.clone();
    (raw.location.start_line, raw.location.end_line) = lines;
    let seen = Some(head.change_snapshot(&page, lines));
    Some(build_current_finding(finding, raw, &page, seen, place_finding))
}

/// Builds the current form of a finding from the current content of its file.
fn build_current_finding(
    finding: &Finding,
    mut raw: RawFinding,
    file: &ComparedFile,
    snapshot: Option<ChangeSnapshot>,
    place_finding: &impl Fn(RawFinding) -> PlacedFinding,
) -> PlacedFinding {
    let lines = (raw.location.start_line, raw.location.end_line);
    if let Some(shown) = excerpt::select_lines(&file.text, lines.0, lines.1) {
        raw.snippet = shown.into_iter().take(MAX_SNIPPET_LINES).collect::<Vec<_>>().join("\n");
    }
    let around = Some(SurroundingLines::new(file, lines.0, lines.1, &raw.snippet, snapshot));
    let mut placed = place_finding(raw);
    placed.sighting = FindingFacts {
        earlier_id: Some(finding.id.clone()),
        surrounding_lines: around,
        ..FindingFacts::default()
    };
    placed
}
