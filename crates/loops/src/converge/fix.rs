//! Runs fixers. A fresh model makes each fix, in a private clone. The model sees only the newest report of an
//! audit or of the gate.
//!
//! Truing accepts changes only in files that the fixer may change. Truing copies the changed files to a
//! folder in which no command of the fixer has run, and creates one commit. Before the push, no visible ref
//! points to this commit. Changes in other files are discarded and reported.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use truing_agent::fixer::{FixerTools, FixerWorkspace};
use truing_agent::native::{AgentRunEnd, RunLimit, RunLimits};
use truing_agent::prompt::PromptValues;
use truing_agent::prompt::route::{CONVERGE_FIX, CONVERGE_GATE};
use truing_agent::schema::fix_report::FixReport;
use truing_agent::verify::affects_setup;
use truing_core::commit::GitIdentity;
use truing_core::converge::{ConvergeEvent, FixCandidate, FixProblem, FixerVerdict};
use truing_core::finding::Finding;
use truing_core::id::{FindingId, Sha};
use truing_core::policy::{AgentAction, AgentPolicy};
use truing_core::port::Clock as _;
use truing_core::{RepoPath, line};
use truing_diff::parse;
use truing_git::{NewCommit, PrivateFolder};
use truing_model::gateway::ModelError;
use truing_reader::protocol::ToolsRequest;
use truing_reader::redact::redact_secrets;

use super::{ActError, ConvergeRunner};
use crate::agent::{ModelSpend, ModelTask, RestrictedTools, TracedTools, describe_end};
use crate::files::{FileContentChange, read_changes, summarise_paths, write_changes};
use crate::machine::SystemClock;

/// The name of a fixer's runs in traces.
const LOOP_NAME: &str = "converge";
const AGENT_NAME: &str = "fixer";
/// Maximum number of bytes of the findings, problems or gate output in a fixer's prompt.
const MAX_PROMPT_TEXT_BYTES: usize = 96 << 10;
/// Maximum number of characters of the summary in a commit's first line.
const MAX_COMMIT_SUBJECT_CHARS: usize = 72;
/// Maximum number of paths that a fixer's prompt lists as files that the fixer may change.
const MAX_LISTED_PATHS: usize = 500;

/// The task of a fixer.
#[derive(Clone, Copy, Debug)]
pub(super) enum FixerTask<'a> {
    /// Fix the findings of the audit, and the given problems of the existing fix.
    Findings(&'a [FixProblem]),
    /// Fix the problems in this output of the gate.
    Gate(&'a str),
}

/// The end of a fixer's run.
enum FixerReport {
    /// The fixer ended with its report.
    Complete(FixReport),
    /// A limit ended the fixer's run. The changes that the fixer made before the limit are checked in the
    /// same way as a complete fix.
    CutOff(String),
    /// The fixer failed or made no valid report. All of its changes are discarded.
    NoReport(String),
}

/// The outcome of a fixer's run.
enum FixerOutcome {
    /// The fixer's report, if it made one, and its commit, if it changed something.
    Completed(Option<FixReport>, Option<FixCandidate>),
    /// The run has no usable result, for the given reason.
    NoResult(String),
}

/// The files that a fixer may change.
struct FixerPathPolicy {
    /// Files of the change, and files that are named by findings.
    paths: BTreeSet<RepoPath>,
    policy: Arc<AgentPolicy>,
}

impl FixerPathPolicy {
    /// True if the fixer may change this file. The fixer may change the files in `paths` and all test files,
    /// except files that determine the set-up.
    fn allows_path(&self, path: &RepoPath) -> bool {
        let Some(text) = path.as_str() else { return false };
        let is_ours = self.paths.contains(path) || truing_guard::is_test_file(path);
        is_ours && !affects_setup(Path::new(text)) && self.policy.judge(AgentAction::Edit(text)).is_allowed()
    }
}

impl ConvergeRunner<'_> {
    /// Runs a fixer on the findings.
    pub(super) async fn fix_findings(&mut self, problems: &[FixProblem]) -> Result<ConvergeEvent, ActError> {
        Ok(match self.run_fixer(FixerTask::Findings(problems)).await? {
            FixerOutcome::Completed(mended, candidate) => {
                let found = &self.record.detail.state.findings;
                let verdicts = mended.map(|mended| verdicts_by_finding(found, mended)).unwrap_or_default();
                ConvergeEvent::FixFinished { verdicts, candidate }
            }
            FixerOutcome::NoResult(why) => ConvergeEvent::FixerSilent(why),
        })
    }

    /// Runs a fixer on the report of the gate.
    pub(super) async fn fix_gate_report(&mut self, output: &str) -> Result<ConvergeEvent, ActError> {
        Ok(match self.run_fixer(FixerTask::Gate(output)).await? {
            FixerOutcome::Completed(_, candidate) => ConvergeEvent::GateFixFinished(candidate),
            FixerOutcome::NoResult(why) => ConvergeEvent::FixerSilent(why),
        })
    }

    /// Runs a fixer and returns its report and its commit.
    async fn run_fixer(&mut self, fixer_task: FixerTask<'_>) -> Result<FixerOutcome, ActError> {
        let head = self.record.detail.state.head.clone();
        let from = match (&fixer_task, &self.record.detail.state.candidate) {
            (FixerTask::Findings(_), Some(candidate)) => candidate.commit.clone(),
            (FixerTask::Findings(_) | FixerTask::Gate(_), _) => head.clone(),
        };
        let allowed = self.path_policy(&head).await?;
        let bench = PrivateFolder::new().map_err(ActError::TemporaryFolder)?;
        let also = std::slice::from_ref(&head);
        let checked_out = self.mirror.check_out_private_clone(&from, also, bench.path()).await?;
        let mut spent = ModelSpend::default();
        let asked = self.ask_fixer(fixer_task, bench.path(), &allowed, &mut spent).await;
        self.add_spend(&spent);
        let (mended, cut_off) = match asked? {
            FixerReport::Complete(mended) => (Some(mended), None),
            FixerReport::CutOff(why) => (None, Some(why)),
            FixerReport::NoReport(why) => return Ok(FixerOutcome::NoResult(why)),
        };

        let staged = self.mirror.stage_clone(&head, bench.path(), &checked_out).await?;
        let (mut paths, mut refused): (Vec<_>, Vec<RepoPath>) = (Vec::new(), staged.omitted_paths.clone());
        for (path, edited) in staged.paths {
            if allowed.allows_path(&path) { paths.push((path, edited)) } else { refused.push(path) }
        }
        if !refused.is_empty() {
            let refused: Vec<&RepoPath> = refused.iter().collect();
            self.record.warn(format!(
                "the fixer changed unexpected files, which Truing left out of the commit: {}",
                summarise_paths(&refused)
            ));
        }
        let changes = read_changes(bench.path(), paths).await?;
        drop(bench);
        let summary = mended.as_ref().map(|mended| mended.summary.as_str()).unwrap_or_default();
        let message = self.commit_message(fixer_task, summary);
        let candidate = self.create_candidate(&head, &changes, message).await?;
        Ok(match (cut_off, &candidate) {
            (Some(why), None) => FixerOutcome::NoResult(why),
            (Some(_) | None, _) => FixerOutcome::Completed(mended, candidate),
        })
    }

    /// Creates a commit with these changes in the mirror; none if the changes do not differ from the head.
    async fn create_candidate(
        &self,
        head: &Sha,
        changes: &[FileContentChange],
        message: String,
    ) -> Result<Option<FixCandidate>, ActError> {
        if changes.is_empty() {
            return Ok(None);
        }
        let clean = PrivateFolder::new().map_err(ActError::TemporaryFolder)?;
        let (written, gone): (Vec<FileContentChange>, Vec<FileContentChange>) =
            changes.iter().cloned().partition(|change| change.content.is_some());
        write_changes(clean.path(), &written).await?;
        let [there, gone] =
            [written, gone].map(|changes| changes.into_iter().map(|change| change.path).collect::<Vec<_>>());
        let staged = self.mirror.stage_changed_files(head, clean.path(), &there, &gone).await?;
        if staged.paths.is_empty() {
            return Ok(None);
        }
        let new = NewCommit {
            message,
            author: fixer_identity(),
            committer: fixer_identity(),
            commit_time: SystemClock.now(),
        };
        let commit = staged.commit(&new).await?;
        self.mirror.store_commit(&commit).await?;
        let tree = match commit.tree() {
            Some(tree) => tree.clone(),
            None => self.mirror.tree_id(commit.sha()).await?,
        };
        Ok(Some(FixCandidate { commit: commit.sha().clone(), tree }))
    }

    /// Returns the policy that permits the files of the change up to `head`, and the files that findings
    /// name.
    async fn path_policy(&mut self, head: &Sha) -> Result<FixerPathPolicy, ActError> {
        let base = self.record.detail.base.clone();
        let diff = self.commit_diff(&base, head).await?.diff;
        let changed = parse(&diff).files.into_iter().map(|file| file.path);
        let found = self.record.detail.state.findings.iter().map(|finding| finding.raw.location.path.clone());
        let policy = Arc::clone(&self.inspection_tools.policy);
        Ok(FixerPathPolicy { paths: changed.chain(found).collect(), policy })
    }

    /// Runs the model that makes the fix.
    async fn ask_fixer(
        &self,
        fixer_task: FixerTask<'_>,
        clone: &Path,
        path_policy: &FixerPathPolicy,
        spent: &mut ModelSpend,
    ) -> Result<FixerReport, ActError> {
        let agent = self.agents.fixer();
        let state = &self.record.detail.state;
        let mut paths: Vec<String> = path_policy
            .paths
            .iter()
            .filter(|path| path_policy.allows_path(path))
            .map(RepoPath::to_string)
            .collect();
        paths.truncate(MAX_LISTED_PATHS);
        let paths = paths.join("\n");
        let system = PromptValues::default().with_value("max_turns", agent.limits.turns.to_string());
        let head = state.head.to_string();
        let task_text = match fixer_task {
            FixerTask::Findings(problems) => {
                let problems: Vec<&str> = problems.iter().map(|problem| problem.text.as_str()).collect();
                let values = [
                    ("repository", self.record.detail.name.clone()),
                    ("head", head),
                    ("base", self.record.detail.base.to_string()),
                    ("paths", paths),
                    ("findings", truncate_text(&render_findings(&state.findings))),
                    ("problems", truncate_text(&problems.join("\n\n"))),
                ];
                agent.build_prompt(
                    CONVERGE_FIX.system_prompt_name,
                    &system,
                    CONVERGE_FIX.task_prompt_name,
                    &values,
                )?
            }
            FixerTask::Gate(output) => {
                let values = [
                    ("repository", self.record.detail.name.clone()),
                    ("head", head),
                    ("paths", paths),
                    ("output", truncate_text(output)),
                ];
                agent.build_prompt(
                    CONVERGE_GATE.system_prompt_name,
                    &system,
                    CONVERGE_GATE.task_prompt_name,
                    &values,
                )?
            }
        };
        let request = ToolsRequest { tree: clone.to_owned(), readable_files: None, always: Vec::new() };
        let time = self.config.fix_timeout;
        let workspace = FixerWorkspace {
            program_folders: self.inspection_tools.program_folders.clone(),
            command_time_limit: time.min(truing_agent::fixer::DEFAULT_COMMAND_TIME_LIMIT),
            ..FixerWorkspace::new(clone.to_owned(), Arc::clone(&path_policy.policy))
        };
        let fixer = FixerTools::new(
            Box::new(agent.reader.tools(request, Vec::new())),
            workspace,
            self.agents.sandbox,
        )?;
        let admits = |path: &RepoPath| path_policy.allows_path(path);
        // The tools do not include the tool that shows the change, because the fixer can see its own changes
        // with `git diff`.
        let tools = TracedTools(RestrictedTools { tools: fixer, allows_path: admits, work_noun: "fix" });
        let (budget, most) = self.model_budget(agent);
        let limits = RunLimits { time, max_cost: Some(most), ..agent.limits };
        let task = ModelTask {
            budget,
            loop_and_agent_names: (LOOP_NAME, AGENT_NAME),
            prompt: &task_text,
            limits,
            gate: Arc::clone(self.gate),
        };
        let unanswered = |mended: &FixReport| match fixer_task {
            FixerTask::Findings(_) => unanswered_message(&state.findings, mended),
            FixerTask::Gate(_) => None,
        };
        let ran = agent.run_task(task, &tools, spent, unanswered).await?;
        let end = redact_secrets(&describe_end(&ran.end));
        Ok(match &ran.end {
            AgentRunEnd::Reported => FixerReport::Complete(ran.report),
            AgentRunEnd::ModelFailed(ModelError::Budget { .. } | ModelError::UsageLimit { .. })
            | AgentRunEnd::Limit(RunLimit::Money) => {
                return Err(ActError::BudgetExhausted(end));
            }
            // If no call of the model succeeded, the model has not attempted a fix.
            AgentRunEnd::ModelFailed(_) | AgentRunEnd::ProgramFailed(_) if ran.turns == 0 => {
                return Err(ActError::Model(end));
            }
            AgentRunEnd::Limit(_) | AgentRunEnd::ContextExceeded => FixerReport::CutOff(end),
            AgentRunEnd::Declined
            | AgentRunEnd::ResponseTooLong
            | AgentRunEnd::InvalidReport(_)
            | AgentRunEnd::ModelFailed(_)
            | AgentRunEnd::ProgramFailed(_) => FixerReport::NoReport(end),
        })
    }

    /// Builds the message of the fix commit. The first line contains the summary by the fixer, cleaned and
    /// shortened.
    fn commit_message(&self, task: FixerTask<'_>, summary: &str) -> String {
        let (kind, without, of) = match task {
            FixerTask::Findings(_) => ("fix(review)", "address the findings of the audit", "Found by audit"),
            FixerTask::Gate(_) => {
                ("fix(gate)", "address the findings of the gate", "Requested by the gate before audit")
            }
        };
        // Brackets, `#` and `@` are removed, because forges and their checks could treat the text as commands
        // or references.
        let summary: String =
            redact_secrets(summary).chars().filter(|letter| !"[]#@".contains(*letter)).collect();
        let summary = line::clean_line(without_commit_kind(&summary), MAX_COMMIT_SUBJECT_CHARS);
        let summary = if summary.trim().is_empty() { without } else { summary.trim() };
        let number = match task {
            FixerTask::Findings(_) => self.record.detail.state.audit_count,
            FixerTask::Gate(_) => self.record.detail.state.audit_count.saturating_add(1),
        };
        format!("{kind}: {summary}\n\n{of} {number} of run {}.\n", self.record.run)
    }
}

/// Returns a summary without a kind of its own, such as `Fix:` or `fix(api):`.
fn without_commit_kind(summary: &str) -> &str {
    match summary.trim_start().split_once(':') {
        Some((kind, rest)) if kind.split('(').next().is_some_and(|word| word.eq_ignore_ascii_case("fix")) => {
            rest.trim_start()
        }
        _ => summary,
    }
}

/// Returns the author of the commits that fixers make.
pub(super) fn fixer_identity() -> GitIdentity {
    GitIdentity { name: "truing".to_owned(), email: "truing@localhost".to_owned() }
}

/// Returns the fixer's verdict on each finding, by the id of the finding. Ids that were not in the prompt are
/// ignored.
fn verdicts_by_finding(open_findings: &[Finding], report: FixReport) -> BTreeMap<FindingId, FixerVerdict> {
    let word = |finding: &Finding| {
        let word = match report.findings.get(finding.id.as_str())? {
            None => FixerVerdict::Fixed,
            Some(why) => FixerVerdict::Declined(redact_secrets(why)),
        };
        Some((finding.id.clone(), word))
    };
    open_findings.iter().filter_map(word).collect()
}

/// Returns a message for the fixer that lists the findings without a verdict in the report; `None` if all
/// findings have one.
fn unanswered_message(open_findings: &[Finding], report: &FixReport) -> Option<String> {
    let ids = open_findings.iter().map(|finding| finding.id.as_str());
    let left: Vec<&str> = ids.filter(|id| !report.findings.contains_key(*id)).collect();
    (!left.is_empty()).then(|| format!("no answer for these findings: {}", left.join(", ")))
}

/// Formats findings for a fixer's prompt.
pub(super) fn render_findings(findings: &[Finding]) -> String {
    let one = |finding: &Finding| {
        let raw = &finding.raw;
        let place = &raw.location;
        format!(
            "id: {}\nplace: {}, lines {} to {}\nseverity: {}, category {:?}\n{}\n{}\nThe lines:\n{}\n",
            finding.id,
            place.path,
            place.start_line,
            place.end_line,
            raw.severity.as_str(),
            raw.category,
            raw.title,
            raw.body,
            raw.snippet
        )
    };
    findings.iter().map(one).collect::<Vec<_>>().join("\n")
}

/// Returns the text; if it is too long, returns only its beginning.
fn truncate_text(text: &str) -> String {
    let end = text.floor_char_boundary(MAX_PROMPT_TEXT_BYTES);
    let cut = text.get(..end).unwrap_or_default();
    if end < text.len() { format!("{cut}\n… (cut)") } else { cut.to_owned() }
}
