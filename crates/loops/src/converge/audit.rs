//! Runs auditors. An auditor is a fresh model that sees a change, but not the earlier comments on the change.
//!
//! Each auditor reads the diff and the files at the head. Truing compares each report with these files, and
//! asks an auditor to read the changed files that it has not read. An auditor whose report is not valid
//! counts as an auditor without an answer. A missing answer never counts as "nothing found".

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::future::join_all;
use truing_agent::mcp::client::{McpServers, ServerProblem};
use truing_agent::native::{AgentRunEnd, RunLimit, RunLimits};
use truing_agent::prompt::route::{AUDIT_TASK_WITH_DISMISSALS, CONVERGE_AUDIT, CONVERGE_CHECK};
use truing_agent::schema::audit::{AuditQuestion, AuditReport};
use truing_config::REPOSITORY_FILE;
use truing_core::code_digest::LinesKey;
use truing_core::converge::record::{AbsenceProof, QuotedLine};
use truing_core::converge::{
    AuditorAnswer, AuditorFinding, ConvergeEvent, ConvergeExitCode, FindingHistory, LineOrigin,
};
use truing_core::dismissal::Dismissal;
use truing_core::finding::{CodeLocation, DefectCategory, Finding, FindingStatus, RawFinding};
use truing_core::id::{FindingId, Sha};
use truing_core::identity::PlacedFinding;
use truing_core::line;
use truing_core::outcome::{CoverageGap, ReviewCoverage, SkipReason};
use truing_core::recheck::{FollowOutcome, HeadView, SurroundingLines, locate_at_head};
use truing_diff::{FileDiff, RepoPath, added_ranges, parse};
use truing_git::ExportedCommit;
use truing_model::gateway::ModelError;
use truing_reader::FileTree;
use truing_reader::protocol::ToolsRequest;
use truing_reader::redact::redact_secrets;

use super::reviewer_comments::REVIEWER_RULE_PREFIX;
use super::{ActError, ConvergeRunner};
use crate::agent::{
    ModelAgent, ModelSpend, ModelTask, ViewTrackingTools, describe_end, invalid_report_reason, redact_finding,
};
use crate::reading::{self, ReadingOutcome, ReviewScope, ReviewedChange};
use crate::telemetry;

/// The name of auditors in traces.
pub(super) const LOOP_NAME: &str = "converge";
/// Maximum number of open questions that are shown to people.
const MAX_QUESTIONS: usize = 10;
/// Maximum number of unaudited changed files that are shown to people.
const MAX_SHOWN_UNAUDITED_FILES: usize = 10;
/// Maximum number of entries of each list of an absence proof.
const MAX_PROOF_ENTRIES: usize = 10;
/// Maximum size of the dismissed findings in an auditor's prompt, in bytes.
const MAX_DISMISSED_BYTES: usize = 16 << 10;
/// Maximum number of characters of a question or warning that is shown to people.
const MAX_QUESTION_CHARS: usize = 300;

/// The input of an audit.
pub(super) struct AuditInput {
    pub(super) change: ReviewedChange,
    pub(super) rule_results: ReadingOutcome,
    /// The files at the head that is audited.
    pub(super) exported_commit: ExportedCommit,
    /// The findings that the change has to fix, if the change is a fix.
    findings_to_fix: Option<String>,
}

/// The answer of one auditor, with its cost and its problems.
struct AuditorOutcome {
    answer: AuditorAnswer,
    absences: Vec<AbsenceProof>,
    questions: Vec<AuditQuestion>,
    model_cost: ModelSpend,
    /// Servers whose tools the auditor could not use.
    failed_servers: Vec<ServerProblem>,
    /// Error that ends the run, such as an exhausted budget or the kill switch.
    stop: Option<ActError>,
}

impl AuditInput {
    /// Creates the input for the change between two commits, which must be in the mirror.
    pub(super) async fn load(
        runner: &mut ConvergeRunner<'_>,
        base: &Sha,
        head: &Sha,
    ) -> Result<Self, ActError> {
        let change = runner.load_change(base, head).await?;
        let exported_commit = runner.mirror.export_in_place(head, runner.exported_commit.take()).await?;
        // An audit uses the results of the rules only to list the files. The findings of the rules belong to
        // the gate.
        let is_whole = |rule_results: &&ReadingOutcome| {
            rule_results.coverage.not_reviewed.iter().all(|gap| gap.reason.is_by_design())
        };
        let rule_results = match runner.cached_reading(base, head).filter(is_whole) {
            Some(rule_results) => ReadingOutcome { findings: Vec::new(), ..rule_results.clone() },
            None => {
                let scope = ReviewScope { packs: Vec::new(), ..runner.inspection_tools.scope.clone() };
                let mut plan = reading::plan_reading(&change, &scope)?;
                plan.add_unreviewed_files(exported_commit.omitted_files().to_vec());
                plan.read(exported_commit.path().to_owned(), &scope, &runner.agents.auditor.reader, None)
                    .await?
            }
        };
        Ok(Self { change, rule_results, exported_commit, findings_to_fix: None })
    }

    /// Returns the same input for a change that is a fix of these findings.
    pub(super) fn with_fixed_findings(self, findings: String) -> Self {
        Self { findings_to_fix: Some(findings), ..self }
    }

    /// Runs these auditors in parallel. `starting_commit` is the commit at which the run began. Lines that
    /// were added after this commit are the work of fixes.
    pub(super) async fn run_auditors(
        &self,
        runner: &mut ConvergeRunner<'_>,
        auditors: &BTreeSet<u32>,
        starting_commit: &Sha,
    ) -> Result<ConvergeEvent, ActError> {
        if let Some(why) = self.unaudited_reason() {
            return Err(ActError::from_exit_code(
                ConvergeExitCode::Infrastructure,
                line::clean_line(&why, MAX_QUESTION_CHARS),
            ));
        }
        let said = {
            let runner = &*runner;
            join_all(auditors.iter().map(|index| self.run_auditor(runner, *index))).await
        };
        let mut answers = BTreeMap::new();
        let (mut answered, mut stopped) = (Vec::new(), None);
        for (
            index,
            AuditorOutcome { answer, absences, questions, model_cost, failed_servers: servers, stop },
        ) in auditors.iter().zip(said)
        {
            runner.add_spend(&model_cost);
            // An audit of only the fix proves nothing about the whole change, so its absence proofs are not
            // recorded.
            if self.findings_to_fix.is_none() {
                runner.record.record_absences(*index, absences);
            }
            if runner.record.model.is_none() {
                (runner.record.model, runner.record.prompt_hash) = (model_cost.model, model_cost.prompt_hash);
            }
            telemetry::record_server_failures(&servers);
            for problem in servers {
                runner.record.warn(format!("auditor {index} continued without an MCP server: {problem}"));
            }
            stopped = stopped.or(stop);
            answered.push((index, answer, questions));
        }
        if let Some(stop) = stopped {
            return Err(stop);
        }
        let has_content = |reason| !matches!(reason, SkipReason::Deleted | SkipReason::Unchanged);
        let gaps = self.rule_results.coverage.not_reviewed.iter().filter(|gap| has_content(gap.reason));
        for CoverageGap { path, reason } in gaps.take(MAX_SHOWN_UNAUDITED_FILES) {
            let why = if *reason == SkipReason::Ignored {
                "ignored by `rules.ignore`".to_owned()
            } else {
                reason.as_str().replace('_', " ")
            };
            let warning = format!("not audited: {path} ({why})");
            runner.record.warn(line::clean_line(&warning, MAX_QUESTION_CHARS));
        }
        let origins = LineOrigins::load(runner, &self.change, starting_commit).await?;
        for (index, answer, questions) in answered {
            for question in questions.into_iter().take(MAX_QUESTIONS) {
                let AuditQuestion { file, line, question } = question;
                let warning = redact_secrets(&format!("open question at {file}:{line}: {question}"));
                runner.record.warn(line::clean_line(&warning, MAX_QUESTION_CHARS));
            }
            let answer = match answer {
                AuditorAnswer::Complete(mut claims) => {
                    for claim in &mut claims {
                        claim.origin = origins.finding_origin(&claim.placed.raw);
                    }
                    AuditorAnswer::Complete(claims)
                }
                AuditorAnswer::NoAnswer(why) => {
                    let why = line::clean_line(&redact_secrets(&why), MAX_QUESTION_CHARS);
                    runner.record.warn(format!("auditor {index} gave no valid answer: {why}"));
                    AuditorAnswer::NoAnswer(why)
                }
            };
            answers.insert(*index, answer);
        }
        let standing = self.remaining_findings(&runner.record.detail.state.history);
        let ReadingOutcome { coverage, renames, .. } = self.rule_results.clone();
        Ok(ConvergeEvent::AuditFinished { answers, standing_findings: standing, coverage, renames })
    }

    /// If the configuration excludes all changed code, returns this as the reason why nothing would be
    /// audited.
    fn unaudited_reason(&self) -> Option<String> {
        let ReviewCoverage { reviewed, not_reviewed, .. } = &self.rule_results.coverage;
        let is_own = |path: &RepoPath| path.as_str() == Some(REPOSITORY_FILE);
        let mut ignored = not_reviewed.iter().filter(|gap| gap.reason == SkipReason::Ignored);
        let first =
            ignored.next().filter(|_| self.findings_to_fix.is_none() && reviewed.iter().all(is_own))?;
        let more = match ignored.count() {
            0 => String::new(),
            many => format!(" and {many} more"),
        };
        Some(format!("no code was audited: `rules.ignore` excludes {}{more}", first.path))
    }

    /// Runs one auditor and returns its answer and its cost.
    async fn run_auditor(&self, runner: &ConvergeRunner<'_>, index: u32) -> AuditorOutcome {
        let (mut model_cost, mut servers) = (ModelSpend::default(), Vec::new());
        let none = |answer, stop| (answer, Vec::new(), Vec::new(), stop);
        let (answer, absences, questions, stop) =
            match self.ask_auditor(runner, index, &mut model_cost, &mut servers).await {
                Ok((claims, audit)) => {
                    let number = runner.record.detail.state.audit_count;
                    let absences = storable_absences(&audit, number, index);
                    (AuditorAnswer::Complete(claims), absences, audit.questions, None)
                }
                Err(ActError::NoAnswer(why)) => none(AuditorAnswer::NoAnswer(why), None),
                Err(stop) => none(AuditorAnswer::NoAnswer(String::new()), Some(stop)),
            };
        AuditorOutcome { answer, absences, questions, model_cost, failed_servers: servers, stop }
    }

    async fn ask_auditor(
        &self,
        runner: &ConvergeRunner<'_>,
        index: u32,
        spent: &mut ModelSpend,
        failed_servers: &mut Vec<ServerProblem>,
    ) -> Result<(Vec<AuditorFinding>, AuditReport), ActError> {
        let agent: &ModelAgent = &runner.agents.auditor;
        let files = FileTree::open(self.exported_commit.path()).ok();
        let text = |path: &RepoPath| files.as_ref()?.read_text(path);
        let dismissed = list_dismissed(&runner.record.detail.state.dismissals, text);
        // An audit of a fix ignores dismissals: people's verdicts on other findings do not affect the
        // findings that the fix has to resolve.
        let dismissed =
            (self.findings_to_fix.is_none() && !dismissed.is_empty()).then_some(dismissed.as_str());
        let route = if self.findings_to_fix.is_some() { CONVERGE_CHECK } else { CONVERGE_AUDIT };
        let task = if dismissed.is_some() { AUDIT_TASK_WITH_DISMISSALS } else { route.task_prompt_name };
        let (prompt, seen) = agent.build_change_prompt(
            (route.system_prompt_name, task),
            self.findings_to_fix.as_deref(),
            dismissed,
            &self.change,
            &self.rule_results,
        )?;
        let request = ToolsRequest {
            tree: self.exported_commit.path().to_owned(),
            readable_files: None,
            always: self.rule_results.coverage.reviewed.clone(),
        };
        let tools = agent.reader.tools(request, self.change.diff.as_slice());
        let servers = McpServers::start(&agent.servers).await;
        let beside = servers.combine_with(&tools);
        let looked = ViewTrackingTools::new(&beside, seen);
        let wrong = |audit: &AuditReport| {
            let unseen = looked.unseen_files(&self.rule_results.coverage);
            let unseen = (!unseen.is_empty())
                .then(|| format!("these changed files were not reviewed: {}", unseen.join(", ")));
            let wrong: Vec<String> = audit.errors_text(text).into_iter().chain(unseen).collect();
            (!wrong.is_empty()).then(|| wrong.join("\n"))
        };
        let (budget, most) = runner.model_budget(agent);
        let limits = RunLimits { time: runner.config.audit_timeout, max_cost: Some(most), ..agent.limits };
        let name = format!("auditor-{}", index.saturating_add(1));
        let task = ModelTask {
            budget,
            loop_and_agent_names: (LOOP_NAME, &name),
            prompt: &prompt,
            limits,
            gate: Arc::clone(runner.gate),
        };
        let ran = agent.run_task(task, &looked, spent, wrong).await.map_err(ActError::from)?;
        let complaint = wrong(&ran.report);
        *failed_servers = servers.stop().await;
        if matches!(
            (&ran.end, &complaint),
            (AgentRunEnd::ModelFailed(ModelError::Budget { .. } | ModelError::UsageLimit { .. }), _)
                | (AgentRunEnd::Limit(RunLimit::Money), Some(_))
        ) {
            return Err(ActError::BudgetExhausted(describe_end(&ran.end)));
        }
        match invalid_report_reason(&ran.end, complaint) {
            None => Ok((
                self.placed_findings(&ran.report, text, &runner.inspection_tools.scope.lines_key),
                ran.report,
            )),
            Some(why) => Err(ActError::NoAnswer(why)),
        }
    }

    /// Returns the findings that remain, although fixers declined them or reported them as fixed: their lines
    /// still exist in the file. If a finding was reported as fixed, it remains only if the surrounding lines
    /// are also unchanged.
    fn remaining_findings(&self, history: &FindingHistory) -> BTreeMap<FindingId, PlacedFinding> {
        let Ok(files) = FileTree::open(self.exported_commit.path()) else { return BTreeMap::new() };
        let text = |path: &RepoPath| files.read_text(path).map(|text| redact_secrets(&text));
        let (changed, renames) = (&self.rule_results.coverage.reviewed, &self.rule_results.renames);
        let head = HeadView::new(text, changed, Default::default(), Default::default(), renames);
        let stands = |finding: &Finding| {
            let raw = &finding.raw;
            let place = &raw.location;
            match finding.status {
                FindingStatus::Declined(_) => {
                    let (start_line, end_line) = truing_core::excerpt::locate_snippet(
                        &text(&place.path)?,
                        &raw.snippet,
                        place.start_line,
                    )?;
                    Some(CodeLocation { start_line, end_line, ..place.clone() })
                }
                // Findings of other reviewers are omitted, because those reviewers verify them.
                FindingStatus::Claimed if !raw.rule.starts_with(REVIEWER_RULE_PREFIX) => {
                    match locate_at_head(finding, &head) {
                        FollowOutcome::Found { path, start, end } => {
                            let text = text(&path)?;
                            // A new line beside the finding may be the fix, so the surrounding lines are
                            // compared.
                            let now = head.lines_around(&path, (start, end), &raw.snippet)?;
                            let beside =
                                |around: &SurroundingLines| (around.before.clone(), around.after.clone());
                            let is_as_it_was = finding
                                .surrounding_lines
                                .as_ref()
                                .is_none_or(|was| beside(was) == beside(&now));
                            // A finding of a code rule may be about the layout of the code, so even white
                            // space must be unchanged.
                            let is_same = is_as_it_was
                                && (raw.category != DefectCategory::J || text.contains(raw.snippet.as_str()));
                            is_same.then_some(CodeLocation {
                                path,
                                side: place.side,
                                start_line: start,
                                end_line: end,
                            })
                        }
                        FollowOutcome::Changed { .. }
                        | FollowOutcome::NotFound { .. }
                        | FollowOutcome::NoFile => None,
                    }
                }
                FindingStatus::Claimed
                | FindingStatus::Open
                | FindingStatus::Fixed(_)
                | FindingStatus::OutOfScope
                | FindingStatus::Suppressed(_)
                | FindingStatus::Dismissed(_) => None,
            }
        };
        let sections = reading::diff_sections(&self.change.diff);
        let placed = |finding: &Finding| {
            let raw = RawFinding { location: stands(finding)?, ..finding.raw.clone() };
            let mut placed = reading::place_finding(&sections, raw, finding.old_path.clone());
            placed.sighting.surrounding_lines = finding.surrounding_lines.clone();
            Some((finding.id.clone(), placed))
        };
        history.findings().iter().filter_map(placed).collect()
    }

    /// Returns the findings of a valid report, each with the location where a comment about it can be posted.
    fn placed_findings(
        &self,
        audit: &AuditReport,
        file_text: impl Fn(&RepoPath) -> Option<String> + Copy,
        lines_key: &LinesKey,
    ) -> Vec<AuditorFinding> {
        let sections = reading::diff_sections(&self.change.diff);
        let found = audit.check(file_text).unwrap_or_default();
        let (changed, renames) = (&self.rule_results.coverage.reviewed, &self.rule_results.renames);
        let head = HeadView::new(file_text, changed, Default::default(), Default::default(), renames);
        let claim = |raw: RawFinding| {
            let content = file_text(&raw.location.path);
            let content = content.as_deref().map(str::as_bytes);
            let raw = redact_finding(raw, file_text).with_lines_digest(content, lines_key);
            let old_path = reading::old_path(&sections, &raw.location.path);
            let mut placed = reading::place_finding(&sections, raw, old_path);
            let CodeLocation { path, start_line, end_line, .. } = &placed.raw.location;
            placed.sighting.surrounding_lines =
                head.lines_around(path, (*start_line, *end_line), &placed.raw.snippet);
            AuditorFinding { placed, origin: LineOrigin::Change }
        };
        found.into_iter().map(claim).collect()
    }
}

/// Converts the absences in a valid report to proofs of absence that can be stored. Secrets are removed from
/// the model's quotes, because the files may contain secrets.
fn storable_absences(audit: &AuditReport, audit_number: u32, auditor: u32) -> Vec<AbsenceProof> {
    let text = |text: &str| line::clean_line(&redact_secrets(text), MAX_QUESTION_CHARS);
    let kept = |absence: &truing_agent::schema::audit::CategoryAbsence| AbsenceProof {
        r#loop: audit_number,
        auditor,
        category: absence.category,
        files_opened: absence.files_opened.iter().take(MAX_PROOF_ENTRIES).map(|file| text(file)).collect(),
        lines_quoted: absence
            .lines_quoted
            .iter()
            .take(MAX_PROOF_ENTRIES)
            .map(|quote| QuotedLine { file: text(&quote.file), line: quote.line, text: text(&quote.text) })
            .collect(),
        probes: absence.probes.iter().take(MAX_PROOF_ENTRIES).map(|probe| text(probe)).collect(),
    };
    audit.absences.iter().map(kept).collect()
}

/// The lines that the change added, and the lines that fixes of this run added.
struct LineOrigins {
    changed_lines: BTreeMap<RepoPath, Vec<(u32, u32)>>,
    fix_lines: BTreeMap<RepoPath, Vec<(u32, u32)>>,
}

impl LineOrigins {
    async fn load(
        runner: &mut ConvergeRunner<'_>,
        changed_lines: &ReviewedChange,
        starting_commit: &Sha,
    ) -> Result<Self, ActError> {
        let lines = |files: &[FileDiff<'_>]| {
            files.iter().map(|file| (file.path.clone(), added_ranges(file))).collect::<BTreeMap<_, _>>()
        };
        let head = changed_lines.head.as_ref().unwrap_or(starting_commit);
        let fixes = if head == starting_commit {
            Vec::new()
        } else {
            runner.commit_diff(starting_commit, head).await?.diff
        };
        Ok(Self {
            changed_lines: lines(&parse(&changed_lines.diff).files),
            fix_lines: lines(&parse(&fixes).files),
        })
    }

    fn finding_origin(&self, raw: &RawFinding) -> LineOrigin {
        let place = &raw.location;
        let touches = |lines: &BTreeMap<RepoPath, Vec<(u32, u32)>>| {
            let ranges = lines.get(&place.path).into_iter().flatten();
            ranges.into_iter().any(|(first, last)| *first <= place.end_line && place.start_line <= *last)
        };
        match (touches(&self.fix_lines), touches(&self.changed_lines)) {
            (true, _) => LineOrigin::Fix,
            (false, true) => LineOrigin::Change,
            (false, false) => LineOrigin::PreExisting,
        }
    }
}

/// Lists the dismissed findings whose lines still exist, for an auditor's prompt. The list has one line for
/// each finding. If the auditor repeats a dismissed finding, Truing drops the repeated finding later.
fn list_dismissed(dismissals: &[Dismissal], file_text: impl Fn(&RepoPath) -> Option<String>) -> String {
    let mut told = String::new();
    for dismissal in dismissals.iter().filter(|dismissal| !dismissal.withdrawn) {
        let Some(raw) = dismissal.finding_snapshot.as_ref().map(|finding| &finding.raw) else { continue };
        let (path, was) = (&raw.location.path, raw.location.start_line);
        let at =
            file_text(path).and_then(|text| truing_core::excerpt::locate_snippet(&text, &raw.snippet, was));
        let Some((line, _)) = at else { continue };
        let cleaned = |text: &str| line::clean_line(&redact_secrets(text), MAX_QUESTION_CHARS);
        let (path, title, reason) =
            (cleaned(&path.to_string()), cleaned(&raw.title), cleaned(&dismissal.reason));
        let one = format!("{path}:{line}: {} {title}; dismissed: {reason}\n", raw.severity.as_str());
        if told.len() + one.len() > MAX_DISMISSED_BYTES {
            break;
        }
        told += &one;
    }
    told
}
