//! The memory of reviews that hold no slot. The findings and the outcome are recorded in the user's own
//! records, which keep ids and dismissals. If recording fails, the review still succeeds.

use futures_util::future::BoxFuture;
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinError;
use truing_core::dismissal::{self, Dismissal};
use truing_core::finding::{BranchSighting, Finding, FindingSource, FindingStatus, RawFinding};
use truing_core::id::{FindingId, RunId, Sha, SlotKey};
use truing_core::identity::{PlacedFinding, assign_finding_ids};
use truing_core::increment::FileRenames;
use truing_core::outcome::{ReviewCoverage, ReviewRecord};
use truing_core::port::{
    Clock, ComputedReview, PullRevision, RecordStore, RunReference, RunStore, StoreError,
};
use truing_core::publish::CommentProducer;
use truing_core::recheck::RecheckSummary;

use super::desired_state::sort_worst_first;
use super::text::count_by_severity;

/// Maximum number of restarts when a review records its findings. The recording restarts if another review
/// of the same repository began in the meantime.
const MAX_RECORDING_RESTARTS: u32 = 32;
/// Maximum pause before the first restart. For each further restart, the maximum pause is doubled, up to
/// [`MAX_BACKOFF_DOUBLINGS`] times.
const INITIAL_BACKOFF: Duration = Duration::from_millis(25);
/// Maximum number of times that the maximum pause doubles.
const MAX_BACKOFF_DOUBLINGS: u32 = 6;

/// Maximum number of remembered open findings that the current review did not find again. Such findings may
/// be on other branches. Findings that people dismissed or declined are always remembered.
const MAX_MISSING_FINDINGS: usize = 2000;

/// Maximum number of lines of work that are remembered for one finding; the latest lines are kept.
const MAX_LINES_OF_WORK: usize = 20;

/// The findings of a review, the earlier names of renamed files, and the result of rechecking earlier
/// findings.
pub type ReviewFindings<'a> = (&'a [PlacedFinding], &'a FileRenames, &'a RecheckSummary);

/// The error for records that cannot be opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordsOpenError {
    /// The reason, for people.
    pub reason: String,
    /// True if there may be findings at the records' location, because the location is not empty.
    pub may_hold_findings: bool,
}

/// The findings and the revision that are known before a review.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PriorFindings {
    /// The findings, each with its status on this line of work.
    pub findings: Vec<Finding>,
    /// The revision of the last review that recorded these findings; `None` if there was no such review.
    pub revision: Option<PullRevision>,
    /// Findings that were recorded only for another line of work, but at a commit of this line. This line of
    /// work may have had another name when the findings were recorded.
    pub other_branch_findings: BTreeSet<FindingId>,
    /// The reason why earlier findings are unknown; `None` if they are known or there can be none.
    pub unknown_reason: Option<String>,
}

/// A line of work of a local repository, such as a branch. A review uses only the findings of its own line of
/// work.
#[derive(Clone, Debug)]
pub struct BranchCommits {
    /// The name of the line of work, as the records of findings contain it.
    pub name: String,
    /// The commits of the line of work that are not in its base.
    pub commits: BTreeSet<Sha>,
}

/// The findings after a review, grouped by status. Each list begins with the worst finding.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FindingsByStatus {
    /// Findings that are open.
    pub open: Vec<Finding>,
    /// Findings that were open after the previous review and are fixed.
    pub fixed: Vec<Finding>,
    /// Findings that a comment suppresses.
    pub suppressed: Vec<Finding>,
    /// Findings that were found again, although a person has marked them as not a defect.
    pub dismissed: Vec<Finding>,
}

impl FindingsByStatus {
    /// Groups all the findings that are recorded for a pull request. `head` is the commit of the last review.
    pub fn from_records(findings: &[Finding], head: Option<&Sha>) -> Self {
        let is_fixed =
            |finding: &Finding| matches!(&finding.status, FindingStatus::Fixed(at) if Some(at) == head);
        Self::group_findings(findings, Finding::is_open, is_fixed)
    }

    fn group_findings(
        findings: &[Finding],
        is_open: impl Fn(&Finding) -> bool,
        is_fixed: impl Fn(&Finding) -> bool,
    ) -> Self {
        let of = |predicate: &dyn Fn(&Finding) -> bool| -> Vec<Finding> {
            sort_worst_first(findings.iter().filter(|finding| predicate(finding)))
                .into_iter()
                .cloned()
                .collect()
        };
        let is_suppressed = |finding: &Finding| matches!(finding.status, FindingStatus::Suppressed(_));
        let is_dismissed = |finding: &Finding| matches!(finding.status, FindingStatus::Dismissed(_));
        Self {
            open: of(&is_open),
            fixed: of(&is_fixed),
            suppressed: of(&is_suppressed),
            dismissed: of(&is_dismissed),
        }
    }
}

/// Opens the records when the first result has to be recorded. Returns None if recording is disabled. The
/// call may block.
pub type RecordOpener = Arc<dyn Fn() -> Result<Option<Arc<dyn RecordStore>>, RecordsOpenError> + Send + Sync>;

/// The records and keys with which findings are stored between reviews.
pub struct FindingStorage<'a> {
    /// Opens the records when the first result has to be recorded.
    pub record_opener: RecordOpener,
    /// The key of the findings that the service recorded for the same pull request. If the service has
    /// recorded findings, they take precedence over the findings of unpublished reviews.
    pub service_key: Option<&'a SlotKey>,
    /// The commit at which a rule's known finding counts as fixed if it was not found again. `None` if such a
    /// finding may be on another branch or in another file, and therefore does not count as fixed.
    pub fixed_in_commit: Option<&'a Sha>,
    /// The line of work of the review. `None` for a pull request: all findings of the pull request count.
    pub branch_commits: Option<&'a BranchCommits>,
    /// The key under which people's verdicts on the findings of a branch are recorded. None if the verdicts
    /// are recorded with the findings.
    pub branch_key: Option<&'a SlotKey>,
    pub clock: &'a dyn Clock,
}

/// Returns a pause that differs from run to run. Competing reviews therefore restart at different moments,
/// and one of them ends before the next begins.
fn retry_pause(run: &RunId, tries: u32) -> Duration {
    let mut hasher = DefaultHasher::new();
    (run.as_str(), tries).hash(&mut hasher);
    let longest = INITIAL_BACKOFF * (1 << tries.min(MAX_BACKOFF_DOUBLINGS));
    longest / 256 * u32::from(hasher.finish().to_be_bytes()[7])
}

impl FindingStorage<'_> {
    /// Opens the records on a thread for blocking calls.
    async fn open_records(
        &self,
    ) -> Result<Result<Option<Arc<dyn RecordStore>>, RecordsOpenError>, JoinError> {
        let open = Arc::clone(&self.record_opener);
        tokio::task::spawn_blocking(move || open()).await
    }

    /// Returns the findings and the revision that are known before the review.
    #[truing_core::boxed_future]
    pub async fn load_prior_findings(&self, own_key: &SlotKey) -> PriorFindings {
        let unread =
            |reason: String| PriorFindings { unknown_reason: Some(reason), ..PriorFindings::default() };
        let store = match self.open_records().await {
            Ok(Ok(Some(store))) => store,
            Ok(Err(RecordsOpenError { reason, may_hold_findings: true })) => return unread(reason),
            Ok(Ok(None) | Err(RecordsOpenError { may_hold_findings: false, .. })) | Err(_) => {
                return PriorFindings::default();
            }
        };
        let findings = async || -> Result<_, StoreError> {
            let (mut findings, key) = self.known_findings(&*store, own_key).await?;
            self.apply_dismissals(&*store, &mut findings, Vec::new()).await?;
            Ok((findings, key))
        };
        let (findings, key) = match findings().await {
            Ok(findings) => findings,
            Err(error) => return unread(error.to_string()),
        };
        let is_elsewhere =
            |finding: &Finding, line: &BranchCommits| finding.seen_on.iter().all(|on| on.line != line.name);
        let mut elsewhere = BTreeSet::new();
        let (findings, before) = match self.branch_commits {
            Some(line) => {
                let findings: Vec<Finding> =
                    findings.into_iter().filter_map(|findings| finding_on_branch(findings, line)).collect();
                let others = findings.iter().filter(|finding| is_elsewhere(finding, line));
                elsewhere.extend(others.map(|finding| finding.id.clone()));
                (findings, None)
            }
            None => (findings, store.findings_revision(key).await.unwrap_or_default()),
        };
        PriorFindings { findings, revision: before, other_branch_findings: elsewhere, unknown_reason: None }
    }

    /// Assigns ids to the findings: a finding that was found again keeps its known id, and any other finding
    /// gets a new id. Records all findings under the commit `recorded_commit`. Returns the findings grouped
    /// by status and, if recording failed, the reason.
    pub fn record_findings<'a>(
        &'a self,
        review_findings: ReviewFindings<'a>,
        record: &'a mut ReviewRecord,
        recorded_commit: &'a Sha,
    ) -> BoxFuture<'a, (FindingsByStatus, Option<String>)> {
        Box::pin(async move {
            match self.record_with_retries(review_findings, record, recorded_commit).await {
                Ok(kept) => (kept, None),
                Err(why) => {
                    (self.identify_findings(&[], &[], review_findings, record, recorded_commit).0, Some(why))
                }
            }
        })
    }

    /// Matches the findings with the known findings, and records them. If another review of the repository
    /// began during the recording, the recording is repeated.
    async fn record_with_retries(
        &self,
        review_findings: ReviewFindings<'_>,
        record: &mut ReviewRecord,
        recorded_commit: &Sha,
    ) -> Result<FindingsByStatus, String> {
        let opened = self.open_records().await;
        let opened = opened.map_err(|stopped| stopped.to_string())?;
        let Some(store) = opened.map_err(|unopened| unopened.reason)? else {
            return Ok(self.identify_findings(&[], &[], review_findings, record, recorded_commit).0);
        };
        let mut tries = 0;
        loop {
            match self.record_once(&*store, review_findings, record, recorded_commit).await {
                Ok(kept) => return Ok(kept),
                Err(StoreError::Fenced { .. }) if tries < MAX_RECORDING_RESTARTS => {
                    tokio::time::sleep(retry_pause(&record.run, tries)).await;
                    tries += 1;
                }
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    /// Makes one attempt to begin the run, to match the findings and to record them. If another review of the
    /// same repository begins during the attempt, the attempt fails. The next attempt starts from the records
    /// of that other review.
    async fn record_once(
        &self,
        store: &dyn RunStore,
        review_findings: ReviewFindings<'_>,
        record: &mut ReviewRecord,
        recorded_commit: &Sha,
    ) -> Result<FindingsByStatus, StoreError> {
        let token = store.fresh_token().await?;
        let run = RunReference { id: record.run.clone(), key: record.key.clone(), token };
        let revision = PullRevision { head: recorded_commit.clone(), base: record.detail.base.clone() };
        let begun = store.begin_run(&run, &revision, record.started_at).await?;
        let (mut known, _) = self.known_findings(store, &run.key).await?;
        let applied = self.apply_dismissals(store, &mut known, begun.dismissals).await?;
        let (kept, findings) =
            self.identify_findings(&known, &applied, review_findings, record, recorded_commit);
        let outcome = record.clone();
        let producer = CommentProducer::Review;
        let computed = ComputedReview {
            producer,
            findings,
            desired_comments: vec![],
            status: None,
            record: outcome.clone(),
        };
        store.store_computed_review(&run, &computed).await?;
        // A local review is not published at a forge. It counts as published when it is recorded.
        store.mark_published(&run, &outcome).await?;
        Ok(kept)
    }

    /// Applies people's verdicts to the known findings: those for the branch of a local review, or those for
    /// the pull request. Returns the applied verdicts.
    async fn apply_dismissals(
        &self,
        store: &dyn RunStore,
        known_findings: &mut Vec<Finding>,
        pull_dismissals: Vec<Dismissal>,
    ) -> Result<Vec<Dismissal>, StoreError> {
        let Some(branch) = self.branch_key else {
            dismissal::add_dismissed_findings(known_findings, &pull_dismissals);
            return Ok(pull_dismissals);
        };
        let dismissals = store.dismissals(branch).await?;
        dismissal::reopen_uncovered_findings(known_findings, &dismissals);
        dismissal::add_dismissed_findings(known_findings, &dismissals);
        Ok(dismissals)
    }

    /// Returns the known findings, and the key under which these findings are recorded.
    async fn known_findings<'k>(
        &'k self,
        store: &dyn RunStore,
        own_key: &'k SlotKey,
    ) -> Result<(Vec<Finding>, &'k SlotKey), StoreError> {
        if let Some(served) = self.service_key {
            let known = store.findings(served).await?;
            if !known.is_empty() {
                return Ok((known, served));
            }
        }
        Ok((store.findings(own_key).await?, own_key))
    }

    /// Assigns ids to the findings by comparing them with the known findings and the dismissed findings.
    /// Returns the findings grouped by status, and all findings to record.
    fn identify_findings(
        &self,
        known_findings: &[Finding],
        dismissals: &[Dismissal],
        (placed_findings, renames, recheck_summary): ReviewFindings<'_>,
        record: &mut ReviewRecord,
        recorded_commit: &Sha,
    ) -> (FindingsByStatus, Vec<Finding>) {
        let mut identified = assign_finding_ids(
            known_findings,
            placed_findings.to_vec(),
            self.fixed_in_commit,
            &record.detail.coverage,
            renames,
        );
        recheck_summary.update_statuses(&mut identified.missing_findings, known_findings, recorded_commit);
        dismissal::apply_dismissals(&mut identified.current, dismissals);
        record.detail.outdated_dismissals =
            dismissal::count_outdated_dismissals(&identified.current, known_findings, dismissals);
        let was_open =
            |finding: &Finding| known_findings.iter().any(|was| was.id == finding.id && was.is_open());
        let is_fixed = |finding: &Finding| matches!(finding.status, FindingStatus::Fixed(_));
        if let Some(line) = self.branch_commits {
            mark_fixed_on_branch(
                &mut identified.missing_findings,
                line,
                recheck_summary,
                &record.detail.coverage,
                recorded_commit,
            );
        }
        let is_over = |id: &FindingId| recheck_summary.fixed.contains_key(id);
        let fixed = identified.missing_findings.iter().filter(|finding| match self.branch_commits {
            Some(_) => {
                is_over(&finding.id) || !is_model_finding(finding) && is_fixed(finding) && was_open(finding)
            }
            None => is_fixed(finding) && was_open(finding),
        });
        let fixed: Vec<Finding> = sort_worst_first(fixed).into_iter().cloned().collect();
        if let Some(line) = self.branch_commits {
            for finding in identified.current.iter_mut().filter(|finding| finding.is_open()) {
                record_sighting(finding, &line.name, recorded_commit, &FindingStatus::Open);
            }
            let over = |id: &FindingId| {
                is_over(id)
                    || recheck_summary.out_of_scope.contains(id)
                    || fixed.iter().any(|finding| finding.id == *id)
            };
            for finding in identified.missing_findings.iter_mut().filter(|finding| over(&finding.id)) {
                let status = finding.status.clone();
                record_sighting(finding, &line.name, recorded_commit, &status);
                // A finding that is still open on another line of work stays open.
                if finding.seen_on.iter().any(|on| on.is_open) {
                    finding.status = FindingStatus::Open;
                }
            }
        }
        let kept = FindingsByStatus {
            fixed,
            ..FindingsByStatus::group_findings(&identified.current, Finding::is_open, |_| false)
        };
        record.detail.open_finding_counts = count_by_severity(&kept.open.iter().collect::<Vec<_>>());
        *record = record.clone().with_end_time(self.clock.now());
        drop_oldest_missing_findings(&mut identified.missing_findings);
        (kept, identified.into_findings())
    }
}

/// Marks open findings of rules and tools on a line of work as fixed if this review searched for them and did
/// not find them again.
fn mark_fixed_on_branch(
    missing_findings: &mut [Finding],
    branch_commits: &BranchCommits,
    recheck_summary: &RecheckSummary,
    coverage: &ReviewCoverage,
    recorded_commit: &Sha,
) {
    let is_of_line =
        |finding: &Finding| finding.seen_on.iter().any(|on| on.line == branch_commits.name && on.is_open);
    let has_looked = |finding: &Finding| {
        let RawFinding { rule, location: place, .. } = &finding.raw;
        // A gap may be a folder that could not be opened.
        let is_unread = coverage.not_reviewed.iter().any(|gap| {
            let below = place.path.as_bytes().strip_prefix(gap.path.as_bytes());
            gap.reason.leaves_earlier_findings_undecided()
                && below.is_some_and(|below| below.is_empty() || below.starts_with(b"/"))
        });
        let is_used = match finding.raw.tool() {
            Some(tool) => {
                recheck_summary.tools.contains(tool)
                    && !recheck_summary.base_fingerprints.contains(&finding.fingerprint)
            }
            None => {
                recheck_summary.applied_rules.contains(rule)
                    && !recheck_summary
                        .rules_replaced_by_linters
                        .contains(&(rule.clone(), place.path.clone()))
            }
        };
        is_used && !is_unread
    };
    for finding in
        missing_findings.iter_mut().filter(|finding| !is_model_finding(finding) && finding.is_open())
    {
        let Some(instead) = recheck_summary.fixed_unless_reported.get(&finding.id) else { continue };
        if is_of_line(finding) && has_looked(finding) {
            finding.evidence = Some(instead.clone());
            finding.status = FindingStatus::Fixed(recorded_commit.clone());
        }
    }
}

fn is_model_finding(finding: &Finding) -> bool {
    match finding.raw.source {
        FindingSource::Agent => true,
        FindingSource::Rule | FindingSource::Tool => false,
    }
}

/// Returns a finding with the status that it has on a line of work. Returns `None` if the finding was seen
/// neither on this line nor at one of the line's commits.
fn finding_on_branch(finding: Finding, branch_commits: &BranchCommits) -> Option<Finding> {
    let its = finding.seen_on.iter().find(|on| on.line == branch_commits.name);
    let on =
        its.or_else(|| finding.seen_on.iter().rfind(|on| branch_commits.commits.contains(&on.commit)))?;
    let status = match &finding.status {
        status @ (FindingStatus::Declined(_) | FindingStatus::Dismissed(_)) => status.clone(),
        FindingStatus::Open
        | FindingStatus::Claimed
        | FindingStatus::Fixed(_)
        | FindingStatus::OutOfScope
        | FindingStatus::Suppressed(_) => {
            if on.is_open {
                FindingStatus::Open
            } else if on.is_outside {
                FindingStatus::OutOfScope
            } else {
                FindingStatus::Fixed(on.commit.clone())
            }
        }
    };
    Some(Finding { status, ..finding })
}

/// Records that a finding was seen on a line of work.
fn record_sighting(finding: &mut Finding, line_of_work: &str, commit: &Sha, status: &FindingStatus) {
    let (is_open, is_outside) = (*status == FindingStatus::Open, *status == FindingStatus::OutOfScope);
    finding.seen_on.retain(|on| on.line != line_of_work);
    finding.seen_on.push(BranchSighting {
        line: line_of_work.to_owned(),
        commit: commit.clone(),
        is_open,
        is_outside,
    });
    let beyond = finding.seen_on.len().saturating_sub(MAX_LINES_OF_WORK);
    finding.seen_on.drain(..beyond);
}

/// Drops the open findings that no review has found again for the longest time. Each review records its own
/// findings first and the other findings after them, so the oldest findings are at the end.
fn drop_oldest_missing_findings(missing_findings: &mut Vec<Finding>) {
    let mut left = MAX_MISSING_FINDINGS;
    missing_findings.retain(|finding| match finding.status {
        FindingStatus::Declined(_) | FindingStatus::Dismissed(_) => true,
        FindingStatus::Open
        | FindingStatus::Claimed
        | FindingStatus::Fixed(_)
        | FindingStatus::OutOfScope
        | FindingStatus::Suppressed(_) => {
            let kept = left > 0;
            left = left.saturating_sub(1);
            kept
        }
    });
}

/// Encodes a name for use in keys, tables and arguments. Bytes that are not allowed there are written as `%`
/// and two digits.
pub(super) fn encode_name(name: &[u8]) -> String {
    name.iter().fold(String::with_capacity(name.len()), |mut clean, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b':' | b'.' | b'-' | b'_' | b'@' | b'~' => {
                clean.push(char::from(*byte));
            }
            other => clean.push_str(&format!("%{other:02x}")),
        }
        clean
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use truing_core::finding::FixEvidence;
    use truing_core::outcome::{CoverageGap, SkipReason};

    use super::*;
    use crate::desired_state::tests::open_finding;

    #[test]
    fn a_finding_in_a_folder_that_could_not_be_opened_is_not_fixed() {
        let commit = Sha::parse(&"a".repeat(40)).unwrap();
        let line = BranchCommits { name: "branch x".into(), commits: BTreeSet::new() };
        let mut finding = open_finding("1:a-1", "h/x.py", 2);
        record_sighting(&mut finding, &line.name, &commit, &FindingStatus::Open);
        let evidence = FixEvidence::new(&finding.raw.location.path, 0, 0, &[]);
        let summary = RecheckSummary {
            applied_rules: BTreeSet::from([finding.raw.rule.clone()]),
            fixed_unless_reported: BTreeMap::from([(finding.id.clone(), evidence)]),
            ..RecheckSummary::default()
        };
        let is_fixed = |gap: &str| {
            let gap = CoverageGap { path: gap.into(), reason: SkipReason::Unreadable };
            let coverage =
                ReviewCoverage { reviewed: vec![], not_reviewed: vec![gap], ..ReviewCoverage::default() };
            let mut missing = [finding.clone()];
            mark_fixed_on_branch(&mut missing, &line, &summary, &coverage, &commit);
            !missing[0].is_open()
        };
        assert!(!is_fixed("h") && !is_fixed("h/x.py"));
        assert!(is_fixed("hh") && is_fixed("h/x") && is_fixed("x.py"));
    }

    #[test]
    fn what_was_not_met_for_longest_is_forgotten_but_never_what_people_said() {
        let number = u32::try_from(MAX_MISSING_FINDINGS).unwrap() + 2;
        let mut unmet: Vec<Finding> = (1..=number).map(|line| open_finding("1:a-1", "a.py", line)).collect();
        unmet.last_mut().unwrap().status = FindingStatus::Dismissed("wanted".into());
        drop_oldest_missing_findings(&mut unmet);
        let lines: Vec<u32> = unmet.iter().map(|finding| finding.raw.location.start_line).collect();
        assert_eq!(lines.len(), MAX_MISSING_FINDINGS + 1);
        assert_eq!(lines[..2], [1, 2]);
        assert_eq!(lines[MAX_MISSING_FINDINGS - 1..], [number - 2, number]);
    }

    #[test]
    fn a_name_is_clean_and_two_names_stay_two() {
        assert_eq!(encode_name(b"https://h/a-b_c.git"), "https://h/a-b_c.git");
        assert_eq!(encode_name("/a b\n%20/é".as_bytes()), "/a%20b%0a%2520/%c3%a9");
    }
}
