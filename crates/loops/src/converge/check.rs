//! Checks a fix before it is published.
//!
//! The fix must keep the tests, and the gate must accept the fix. The repository's own checks that passed
//! before the fix must still pass. In addition, a fresh auditor audits the fix alone. The cheapest check runs
//! first. If a check finds a problem, the remaining checks are skipped to save their cost.

use std::collections::BTreeSet;

use truing_agent::verify::{CacheScope, VerifiedTree, Verifier};
use truing_core::RepoPath;
use truing_core::converge::{
    AuditorAnswer, AuditorFinding, ConvergeEvent, FixProblem, FixProblemKind, FixerVerdict,
};
use truing_core::finding::{DefectCategory, DiffSide};
use truing_core::id::Sha;
use truing_core::verification::{CheckAttempts, VerificationReport};
use truing_diff::{parse, undo_nearest_changes};
use truing_git::{CommitDiff, PrivateFolder};
use truing_guard::{
    FileChange, FileVersion, FindingSubject, RepositoryFiles, Weakening, can_affect_tests, contains_code,
    find_hard_coded_answers, find_weakenings, is_equivalent, texts_to_search,
};

use super::audit::AuditInput;
use super::fix::render_findings;
use super::{ActError, ConvergeRunner};
use crate::files::{FileContentChange, summarise_paths, write_changes};

/// Maximum number of test files in which values of a fix are searched for.
const MAX_SEARCHED_TEST_FILES: usize = 64;

/// Maximum number of lines of a failing check's output in a fixer's prompt.
const MAX_OUTPUT_LINES: usize = 60;

impl ConvergeRunner<'_> {
    /// Performs all checks of the fix, and returns the problems of the fix.
    pub(super) async fn check_fix(&mut self) -> Result<ConvergeEvent, ActError> {
        let head = self.record.detail.state.head.clone();
        let candidate = self.record.detail.state.candidate.as_ref().map(|candidate| candidate.commit.clone());
        let Some(candidate) = candidate else { return Ok(ConvergeEvent::FixChecked(Vec::new())) };
        let (mut problems, told) = self.check_changed_files(&head, &candidate).await?;
        let mut warnings = told;
        if problems.is_empty() {
            let (failing, unproved) = self.failing_checks(&head, &candidate).await?;
            problems = failing;
            warnings.extend(unproved);
        }
        // After a fix of the gate's findings, the run repeats the gate and audits the whole change anyway, so
        // both are skipped here.
        if self.record.detail.state.is_fixing_gate_report() {
            self.add_fix_warnings(warnings, &problems);
            return Ok(ConvergeEvent::FixChecked(problems));
        }
        if problems.is_empty() {
            let says = self.run_gate_check(&candidate).await?;
            problems = says.into_iter().map(|text| FixProblem { kind: FixProblemKind::Gate, text }).collect();
        }
        if problems.is_empty() {
            problems = self.audit_fix(&head, &candidate).await?;
        }
        self.add_fix_warnings(warnings, &problems);
        Ok(ConvergeEvent::FixChecked(problems))
    }

    /// If the fix is accepted, adds the warnings to the record. The warnings report that the fix may
    /// neutralise tests, or that no test confirms the fix.
    fn add_fix_warnings(&mut self, warnings: Vec<String>, problems: &[FixProblem]) {
        for warning in warnings.into_iter().filter(|_| problems.is_empty()) {
            self.record.warn(warning);
        }
    }

    /// Returns the subjects of the findings that the fix has to resolve.
    fn finding_subjects(&self) -> BTreeSet<FindingSubject> {
        self.record.detail.state.findings.iter().map(|finding| FindingSubject::new(&finding.raw)).collect()
    }

    /// Returns the problems in the files that the fix changes: unreadable content, deleted or weakened tests,
    /// and changes that have no effect. Also returns warnings for people, which apply if the fix is accepted.
    async fn check_changed_files(
        &mut self,
        head: &Sha,
        candidate: &Sha,
    ) -> Result<(Vec<FixProblem>, Vec<String>), ActError> {
        let mut files = Vec::new();
        for (old, new) in self.changed_file_paths(head, candidate).await? {
            let before = self.mirror.read_file(head, &old).await?;
            let after = self.mirror.read_file(candidate, &new).await?;
            files.push(((old, before), (new, after)));
        }
        let rewrites: Vec<FileChange<'_>> = files
            .iter()
            .map(|((old, before), (new, after))| FileChange {
                before: before.as_deref().map(|bytes| FileVersion { path: old, bytes }),
                after: after.as_deref().map(|bytes| FileVersion { path: new, bytes }),
            })
            .collect();
        let about = self.finding_subjects();
        let problem = |what: &Weakening| FixProblem { kind: FixProblemKind::Test, text: what.to_string() };
        let (reported, refused): (Vec<Weakening>, Vec<Weakening>) =
            find_weakenings(&rewrites, &about).into_iter().partition(|weakening| weakening.is_report_only);
        let mut problems: Vec<FixProblem> =
            rewrites.iter().filter_map(binary_file_problem).chain(refused.iter().map(problem)).collect();
        let mut reported: Vec<String> = reported.iter().map(weakening_warning).collect();
        if problems.is_empty() {
            problems.extend(self.cosmetic_fix_problem(head, &rewrites).await?);
        }
        if problems.is_empty() {
            reported.extend(
                self.hard_coded_results(head, &rewrites, &about).await?.iter().map(weakening_warning),
            );
        }
        Ok((problems, reported))
    }

    /// Returns the parts of the fix that hard-code the results that existing tests expect.
    async fn hard_coded_results(
        &self,
        head: &Sha,
        changes: &[FileChange<'_>],
        subjects: &BTreeSet<FindingSubject>,
    ) -> Result<Vec<Weakening>, ActError> {
        let sought = texts_to_search(changes);
        if !sought.has_new_values {
            return Ok(Vec::new());
        }
        let paths: Vec<RepoPath> =
            self.mirror.list_files(head, &[]).await?.into_iter().map(|file| file.path).collect();
        let mut files = Vec::new();
        let having = self.mirror.files_containing(head, &sought.texts).await?;
        for path in having.into_iter().filter(can_affect_tests).take(MAX_SEARCHED_TEST_FILES) {
            files.extend(self.mirror.read_file(head, &path).await?.map(|bytes| (path, bytes)));
        }
        let files: Vec<FileVersion<'_>> =
            files.iter().map(|(path, bytes)| FileVersion { path, bytes }).collect();
        Ok(find_hard_coded_answers(
            changes,
            subjects,
            &RepositoryFiles { paths: &paths, matching_files: &files },
        ))
    }

    /// Returns a problem if the fix claims to fix defects of code but changes only white space, comments or
    /// names of local variables.
    async fn cosmetic_fix_problem(
        &self,
        head: &Sha,
        changes: &[FileChange<'_>],
    ) -> Result<Option<FixProblem>, ActError> {
        let state = &self.record.detail.state;
        if state.is_fixing_gate_report() || changes.is_empty() || !changes.iter().all(is_equivalent) {
            return Ok(None);
        }
        let mut ids = Vec::new();
        for finding in &state.findings {
            let place = &finding.raw.location;
            // A finding of a code rule may be about the layout of the code, which a change of white space can
            // fix.
            let is_claimed = state.fixer_verdicts.get(&finding.id) == Some(&FixerVerdict::Fixed);
            if !is_claimed || finding.raw.category == DefectCategory::J || place.side != DiffSide::New {
                continue;
            }
            let Some(bytes) = self.mirror.read_file(head, &place.path).await? else { continue };
            let version = FileVersion { path: &place.path, bytes: &bytes };
            if contains_code(&version, (place.start_line, place.end_line)) {
                ids.push(finding.id.as_str());
            }
        }
        let text = format!(
            "the fix changes nothing but white space, comments or names of local variables, so these \
                findings remain unresolved: {}. Change what the code does, or report that they could not \
                be addressed",
            ids.join(", ")
        );
        Ok((!ids.is_empty()).then_some(FixProblem { kind: FixProblemKind::Unchanged, text }))
    }

    /// Returns the repository's own checks that fail with the fix and pass without it. If the fix changes
    /// tests but no check confirms the changed tests, also returns a warning with the reason.
    async fn failing_checks(
        &mut self,
        head: &Sha,
        candidate: &Sha,
    ) -> Result<(Vec<FixProblem>, Option<String>), ActError> {
        let touched = self.changed_test_files(head, candidate).await?;
        let Some(verifier) = &self.inspection_tools.verifier else {
            let none = "`verify.check` is not set; only the audit and the gate check fixes";
            self.record.warn(none.to_owned());
            return Ok((Vec::new(), untested_change_warning(&touched, "`verify.check` is not set")));
        };
        let own = format!("converge {}", self.record.key);
        if self.baseline.as_ref().is_none_or(|(of, _)| of != head) {
            let VerifiedTree { setup: set_up, verification } =
                self.verify_commit(verifier, head, CacheScope::new(own.clone()), None).await?;
            if !set_up.can_run_checks() {
                let failed = set_up.commands.iter().filter(|ran| !ran.end.is_success());
                let failed = failed.map(|ran| ran.argv.join(" ")).collect::<Vec<_>>().join(", ");
                self.record.warn(format!(
                    "set-up failed ({failed}), so no check is run; fixes are checked only by the audit \
                    and the gate"
                ));
            }
            let checks = verification.iter().flat_map(|verification| &verification.checks);
            let failed: Vec<String> =
                checks.filter(|check| !check.passes()).map(|check| check.ran.argv.join(" ")).collect();
            if !failed.is_empty() {
                let failed = failed.join(", ");
                self.record.warn(format!(
                    "a check fails before any fix ({failed}), so it cannot detect whether a fix breaks \
                     something"
                ));
            }
            self.baseline = Some((head.clone(), verification));
        }
        let Some((_, Some(baseline))) = &self.baseline else {
            return Ok((Vec::new(), untested_change_warning(&touched, "set-up failed")));
        };
        let scope = self.fix_cache_scope();
        let VerifiedTree { setup: set_up, verification } =
            self.verify_commit(verifier, candidate, scope, Some(baseline)).await?;
        let Some(now) = verification else {
            let failed = set_up.commands.iter().find(|ran| !ran.end.is_success());
            let text = failed.map(|ran| output_tail(&ran.argv, &ran.output, &ran.errors)).unwrap_or_default();
            let text = format!("the set-up fails with the fix:\n{text}");
            return Ok((vec![FixProblem { kind: FixProblemKind::Check, text }], None));
        };
        let baseline = baseline.clone();
        let verdicts = VerificationReport::compare(Some(&baseline), &now);
        let failing = now.checks.iter().zip(verdicts).filter(|(_, verdict)| verdict.blocks());
        let to_problem = |(CheckAttempts { ran, .. }, _): (&CheckAttempts, _)| FixProblem {
            kind: FixProblemKind::Check,
            text: format!(
                "this check fails with the fix, and passes without it ({}):\n{}",
                ran.end,
                output_tail(&ran.argv, &ran.output, &ran.errors)
            ),
        };
        let mut failing: Vec<FixProblem> = failing.map(to_problem).collect();
        if failing.is_empty() {
            failing = self.meaningless_tests(head, candidate, &touched, &baseline, &now).await?;
        }
        let passes = now.checks.iter().any(CheckAttempts::passes);
        let unproved = if passes { None } else { untested_change_warning(&touched, "no check passes") };
        Ok((failing, unproved))
    }

    /// Returns the changed files of a fix that can affect test results.
    async fn changed_test_files(
        &mut self,
        head: &Sha,
        candidate: &Sha,
    ) -> Result<BTreeSet<RepoPath>, ActError> {
        let paths = self.changed_file_paths(head, candidate).await?;
        Ok(paths.into_iter().flat_map(|(old, new)| [old, new]).filter(can_affect_tests).collect())
    }

    /// Returns the files that a fix changes, each with its old and its new path. The diff may omit a path
    /// that git does not permit in an index; such a path is included here.
    async fn changed_file_paths(
        &mut self,
        head: &Sha,
        candidate: &Sha,
    ) -> Result<Vec<(RepoPath, RepoPath)>, ActError> {
        let CommitDiff { diff, skipped_files: skipped } = self.commit_diff(head, candidate).await?;
        let mut paths: Vec<(RepoPath, RepoPath)> = parse(&diff)
            .files
            .into_iter()
            .map(|file| (file.old_path.unwrap_or_else(|| file.path.clone()), file.path))
            .collect();
        for gap in skipped {
            if !paths.iter().any(|(_, new)| *new == gap.path) {
                paths.push((gap.path.clone(), gap.path));
            }
        }
        Ok(paths)
    }

    /// Returns a problem for each check that shows that the fix has made its tests meaningless. The fixed
    /// code has to pass the original tests. If it fails them, the required behaviour may have changed; the
    /// new tests must then fail without the fix, and also with all of the fix but its changes nearest to the
    /// findings. The second condition holds for tests that fail without the fix only because they use
    /// something else that the fix adds.
    async fn meaningless_tests(
        &mut self,
        head: &Sha,
        candidate: &Sha,
        tests: &BTreeSet<RepoPath>,
        baseline: &VerificationReport,
        after_fix: &VerificationReport,
    ) -> Result<Vec<FixProblem>, ActError> {
        let Some(verifier) = &self.inspection_tools.verifier else { return Ok(Vec::new()) };
        if tests.is_empty() {
            return Ok(Vec::new());
        }
        let old_tests = self.files_of_commit(candidate, head, tests).await?;
        let Some(as_they_were) = self.verify_with_files(verifier, candidate, &old_tests, after_fix).await?
        else {
            return Ok(Vec::new());
        };
        let verdicts = VerificationReport::compare(Some(after_fix), &as_they_were);
        let failing = as_they_were.checks.iter().zip(verdicts).filter(|(_, verdict)| verdict.blocks());
        // If all findings are about the tests themselves, the fix may change only tests. Then, a check that
        // already failed before the fix is ignored.
        let about: BTreeSet<RepoPath> =
            self.finding_subjects().into_iter().map(|subject| subject.path).collect();
        let is_about_tests = tests.is_subset(&about);
        let passed = |check: &CheckAttempts| {
            baseline.checks.iter().any(|before| before.ran.argv == check.ran.argv && before.passes())
        };
        let failing: Vec<&CheckAttempts> =
            failing.map(|(check, _)| check).filter(|check| !is_about_tests || passed(check)).collect();
        if failing.is_empty() {
            return Ok(Vec::new());
        }
        let new_tests = self.files_of_commit(head, candidate, tests).await?;
        let Some(without) = self.verify_with_files(verifier, head, &new_tests, after_fix).await? else {
            return Ok(Vec::new());
        };
        let still_passes = |report: &VerificationReport, check: &CheckAttempts| {
            !report.checks.iter().any(|other| other.ran.argv == check.ran.argv && !other.passes())
        };
        let files = summarise_paths(&tests.iter().collect::<Vec<_>>());
        let to_problem = |CheckAttempts { ran, .. }: &CheckAttempts, condition: &str| FixProblem {
            kind: FixProblemKind::Test,
            text: format!(
                "the fix fails the old tests, and its own tests ({files}) pass {condition}, so they do not \
                 test it:\n{}",
                output_tail(&ran.argv, &ran.output, &ran.errors)
            ),
        };
        let (hollow, others): (Vec<&CheckAttempts>, Vec<&CheckAttempts>) =
            failing.into_iter().partition(|check| still_passes(&without, check));
        let mut problems: Vec<FixProblem> =
            hollow.into_iter().map(|check| to_problem(check, "even without the fix")).collect();
        let broken = self.files_without_fix_at_findings(head, candidate, tests).await?;
        if !others.is_empty()
            && !broken.is_empty()
            && let Some(report) = self.verify_with_files(verifier, candidate, &broken, after_fix).await?
        {
            let condition = "even without its changes nearest to the findings";
            let hollow = others.into_iter().filter(|check| still_passes(&report, check));
            problems.extend(hollow.map(|check| to_problem(check, condition)));
        }
        Ok(problems)
    }

    /// Returns the files with findings in which the changes nearest to the findings are undone. Returns no
    /// file if the fix changes nothing else in code, because the result is then the code before the fix.
    async fn files_without_fix_at_findings(
        &mut self,
        head: &Sha,
        candidate: &Sha,
        tests: &BTreeSet<RepoPath>,
    ) -> Result<Vec<FileContentChange>, ActError> {
        let CommitDiff { diff, .. } = self.commit_diff(head, candidate).await?;
        let parsed = parse(&diff);
        let mut broken = Vec::new();
        let mut has_other_changes = false;
        for file in parsed.files.iter().filter(|file| !tests.contains(&file.path)) {
            let old_path = file.old_path.as_ref().unwrap_or(&file.path);
            let locations = self.record.detail.state.findings.iter().map(|finding| &finding.raw.location);
            let new = self.mirror.read_file(candidate, &file.path).await?;
            let without =
                locations.filter(|place| place.side == DiffSide::New && place.path == *old_path).find_map(
                    |place| undo_nearest_changes(file, new.as_deref()?, place.start_line..=place.end_line),
                );
            has_other_changes |=
                without.is_none() || without != self.mirror.read_file(head, old_path).await?;
            broken.extend(
                without.map(|text| FileContentChange { path: file.path.clone(), content: Some(text) }),
            );
        }
        Ok(if has_other_changes { broken } else { Vec::new() })
    }

    /// Returns the content that these files have in the commit `of`, as far as it differs in the other
    /// commit.
    async fn files_of_commit(
        &self,
        other: &Sha,
        of: &Sha,
        paths: &BTreeSet<RepoPath>,
    ) -> Result<Vec<FileContentChange>, ActError> {
        let mut changes = Vec::new();
        for path in paths {
            let content = self.mirror.read_file(of, path).await?;
            if self.mirror.read_file(other, path).await? != content {
                changes.push(FileContentChange { path: path.clone(), content });
            }
        }
        Ok(changes)
    }

    /// Runs the checks on the files of a commit, after these changes of their content. Returns none if the
    /// set-up fails.
    async fn verify_with_files(
        &self,
        verifier: &Verifier,
        commit: &Sha,
        changes: &[FileContentChange],
        baseline: &VerificationReport,
    ) -> Result<Option<VerificationReport>, ActError> {
        let tree = PrivateFolder::new().map_err(ActError::TemporaryFolder)?;
        self.mirror.check_out_private_clone(commit, &[], tree.path()).await?;
        write_changes(tree.path(), changes).await?;
        let verified = verifier.verify_tree(tree.path(), &self.fix_cache_scope(), Some(baseline)).await?;
        Ok(verified.verification)
    }

    /// Returns the cache scope for dependency set-ups that the code of a fix made. Only the fixes of this run
    /// use these set-ups.
    fn fix_cache_scope(&self) -> CacheScope {
        let own = format!("converge {}", self.record.key);
        CacheScope::new(format!("{own} fix")).with_trusted(own)
    }

    async fn verify_commit(
        &self,
        verifier: &Verifier,
        commit: &Sha,
        scope: CacheScope,
        baseline: Option<&VerificationReport>,
    ) -> Result<VerifiedTree, ActError> {
        let tree = PrivateFolder::new().map_err(ActError::TemporaryFolder)?;
        self.mirror.check_out_private_clone(commit, &[], tree.path()).await?;
        Ok(verifier.verify_tree(tree.path(), &scope, baseline).await?)
    }

    /// Returns the findings of a fresh auditor that sees only the fix. If the auditor gives no valid answer,
    /// the audit is repeated. A fix without an audit is not pushed.
    async fn audit_fix(&mut self, head: &Sha, candidate: &Sha) -> Result<Vec<FixProblem>, ActError> {
        let mends = render_findings(&self.record.detail.state.findings);
        let audited = AuditInput::load(self, head, candidate).await?.with_fixed_findings(mends);
        let problems = self.find_fix_problems(&audited, candidate).await;
        self.exported_commit = Some(audited.exported_commit);
        problems
    }

    async fn find_fix_problems(
        &mut self,
        audited: &AuditInput,
        candidate: &Sha,
    ) -> Result<Vec<FixProblem>, ActError> {
        let mut reason = String::new();
        for _ in 0..self.record.detail.state.limits.max_agent_requests.max(1) {
            let event = audited.run_auditors(self, &BTreeSet::from([0]), candidate).await?;
            let ConvergeEvent::AuditFinished { answers, .. } = event else { continue };
            match answers.into_values().next() {
                Some(AuditorAnswer::Complete(claims)) => {
                    let least = self.record.detail.state.limits.min_blocking;
                    let counts = |claim: &&AuditorFinding| claim.placed.raw.severity <= least;
                    return Ok(claims.iter().filter(counts).map(fix_problem).collect());
                }
                Some(AuditorAnswer::NoAnswer(silent)) => reason = silent,
                None => {}
            }
        }
        Err(ActError::Model(format!("the fix was not audited: {reason}")))
    }
}

/// Returns a warning for people about an accepted fix.
fn weakening_warning(weakening: &Weakening) -> String {
    format!("a fix may hide a test failure; review this fix: {weakening}")
}

/// Returns a warning that the fix changes tests, with the reason why no check confirms these changes. Returns
/// `None` if no test was changed.
fn untested_change_warning(changed_paths: &BTreeSet<RepoPath>, reason: &str) -> Option<String> {
    let files = summarise_paths(&changed_paths.iter().collect::<Vec<_>>());
    (!changed_paths.is_empty()).then(|| {
        format!(
            "no test confirms this run: a fix changes tests or how tests are run ({files}), and \
            {reason}"
        )
    })
}

fn fix_problem(finding: &AuditorFinding) -> FixProblem {
    let raw = &finding.placed.raw;
    let place = &raw.location;
    let text = format!(
        "an audit of the fix finds, in {}, line {}, {}: {}\n{}",
        place.path,
        place.start_line,
        raw.severity.as_str(),
        raw.title,
        raw.body
    );
    FixProblem { kind: FixProblemKind::Finding, text }
}

/// Returns the command line and, below it, the last lines of the command's output.
fn output_tail(argv: &[String], output: &str, errors: &str) -> String {
    let lines: Vec<&str> = output.lines().chain(errors.lines()).collect();
    let last = lines.get(lines.len().saturating_sub(MAX_OUTPUT_LINES)..).unwrap_or_default();
    format!("{}\n{}", argv.join(" "), last.join("\n"))
}

/// Returns a problem if the fix turns a text file into a binary file, because audits cannot read binary
/// files.
fn binary_file_problem(change: &FileChange<'_>) -> Option<FixProblem> {
    let has_nul = |version: &FileVersion<'_>| version.bytes.contains(&0);
    let after = change.after.as_ref().filter(|after| has_nul(after))?;
    if change.before.as_ref().is_some_and(has_nul) {
        return None;
    }
    let path = after.path;
    let text = format!("the fix turns `{path}` into binary data, which no audit can read: keep it text");
    Some(FixProblem { kind: FixProblemKind::Check, text })
}
