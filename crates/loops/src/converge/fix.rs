//! Fixers: a fresh model for each fix, on a private clone, that sees what the newest audit or the gate says and nothing
//! else (spec/converge.md 2.13, 8).
//!
//! Of its work only files that may be changed are taken, copied to where no command of it has run, and made
//! one commit, which is kept where nobody looks until it is pushed. What it changes besides is left behind and told.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use truing_agent::fixer::{FixerTools, FixerWorkspace};
use truing_agent::native::{AgentRunEnd, RunLimit, RunLimits};
use truing_agent::prompt::PromptValues;
use truing_agent::prompt::route::{CONVERGE_FIX, CONVERGE_GATE};
use truing_agent::schema::mended::FixReport;
use truing_agent::verify::decides_set_up;
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
use truing_reader::redact::redact;

use super::{ActError, ConvergeRunner};
use crate::agent::{ModelSpend, ModelTask, RestrictedTools, TracedTools, words};
use crate::files::{FileContentChange, named, put, taken};
use crate::machine::SystemClock;

/// What a fixer is called in traces.
const RUN: &str = "converge";
const FIXER: &str = "fixer";
/// Bytes of what a fixer is told of findings, of problems, or of the gate.
const MAX_SHOWN: usize = 96 << 10;
/// Characters of a commit's first line.
const MAX_SUBJECT: usize = 72;
/// Paths that a fixer is told it may change.
const MAX_PATHS: usize = 500;

/// What a fixer is to do.
#[derive(Clone, Copy, Debug)]
pub(super) enum FixerTask<'a> {
    /// Mend what the audit found, with what is wrong with the fix that there is.
    Findings(&'a [FixProblem]),
    /// Mend what the gate says.
    Gate(&'a str),
}

/// How a fixer ended.
enum FixerReport {
    /// With its report.
    Whole(FixReport),
    /// Where a limit ended it: what it has changed until then is looked at as any fix is.
    CutOff(String),
    /// It died, or made no proper report: nothing of it counts.
    None(String),
}

/// What came of a fixer.
enum FixerOutcome {
    /// What it says, if it came to say it, and what it left.
    Left(Option<FixReport>, Option<FixCandidate>),
    /// Nothing, and why.
    None(String),
}

/// Which files a fixer may change.
struct FixerPathPolicy {
    /// Those of the change, and those that findings name.
    paths: BTreeSet<RepoPath>,
    policy: Arc<AgentPolicy>,
}

impl FixerPathPolicy {
    /// May this one be changed? New and other tests may, where they decide nothing that runs elsewhere.
    fn admits(&self, path: &RepoPath) -> bool {
        let Some(text) = path.as_str() else { return false };
        let is_ours = self.paths.contains(path) || truing_guard::is_test_file(path);
        is_ours && !decides_set_up(Path::new(text)) && self.policy.judge(AgentAction::Edit(text)).is_allowed()
    }
}

impl ConvergeRunner<'_> {
    /// Lets a fixer fix what was found.
    pub(super) async fn fix(&mut self, problems: &[FixProblem]) -> Result<ConvergeEvent, ActError> {
        Ok(match self.mended(FixerTask::Findings(problems)).await? {
            FixerOutcome::Left(mended, candidate) => {
                let found = &self.record.detail.state.found;
                let words = mended.map(|mended| heard(found, mended)).unwrap_or_default();
                ConvergeEvent::Fixed { words, candidate }
            }
            FixerOutcome::None(why) => ConvergeEvent::Silent(why),
        })
    }

    /// Lets a fixer fix what the gate reports.
    pub(super) async fn mend(&mut self, output: &str) -> Result<ConvergeEvent, ActError> {
        Ok(match self.mended(FixerTask::Gate(output)).await? {
            FixerOutcome::Left(_, candidate) => ConvergeEvent::Mended(candidate),
            FixerOutcome::None(why) => ConvergeEvent::Silent(why),
        })
    }

    /// What a fixer says, and what it left.
    async fn mended(&mut self, job: FixerTask<'_>) -> Result<FixerOutcome, ActError> {
        let head = self.record.detail.state.head.clone();
        let from = match (&job, &self.record.detail.state.candidate) {
            (FixerTask::Findings(_), Some(candidate)) => candidate.commit.clone(),
            (FixerTask::Findings(_) | FixerTask::Gate(_), _) => head.clone(),
        };
        let allowed = self.allowed(&head).await?;
        let bench = PrivateFolder::new().map_err(ActError::Folder)?;
        let also = std::slice::from_ref(&head);
        let checked_out = self.mirror.private_clone(&from, also, bench.path()).await?;
        let mut spent = ModelSpend::default();
        let asked = self.ask_fixer(job, bench.path(), &allowed, &mut spent).await;
        self.spent(&spent);
        let (mended, cut_off) = match asked? {
            FixerReport::Whole(mended) => (Some(mended), None),
            FixerReport::CutOff(why) => (None, Some(why)),
            FixerReport::None(why) => return Ok(FixerOutcome::None(why)),
        };

        let staged = self.mirror.stage_work(&head, bench.path(), &checked_out).await?;
        let (mut paths, mut refused): (Vec<_>, Vec<RepoPath>) = (Vec::new(), staged.left_out.clone());
        for (path, edited) in staged.paths {
            if allowed.admits(&path) { paths.push((path, edited)) } else { refused.push(path) }
        }
        if !refused.is_empty() {
            let refused: Vec<&RepoPath> = refused.iter().collect();
            self.record.warn(format!("commit touched unexpected files: {} (left out)", named(&refused)));
        }
        let changes = taken(bench.path(), paths).await?;
        drop(bench);
        let summary = mended.as_ref().map(|mended| mended.summary.as_str()).unwrap_or_default();
        let message = self.message(job, summary);
        let candidate = self.candidate(&head, &changes, message).await?;
        Ok(match (cut_off, &candidate) {
            (Some(why), None) => FixerOutcome::None(why),
            (Some(_) | None, _) => FixerOutcome::Left(mended, candidate),
        })
    }

    /// A commit of these changes, in the mirror; none if nothing differs.
    async fn candidate(
        &self,
        head: &Sha,
        changes: &[FileContentChange],
        message: String,
    ) -> Result<Option<FixCandidate>, ActError> {
        if changes.is_empty() {
            return Ok(None);
        }
        let clean = PrivateFolder::new().map_err(ActError::Folder)?;
        let (written, gone): (Vec<FileContentChange>, Vec<FileContentChange>) =
            changes.iter().cloned().partition(|change| change.content.is_some());
        put(clean.path(), &written).await?;
        let [there, gone] =
            [written, gone].map(|changes| changes.into_iter().map(|change| change.path).collect::<Vec<_>>());
        let staged = self.mirror.stage_alone(head, clean.path(), (&there, &gone)).await?;
        if staged.paths.is_empty() {
            return Ok(None);
        }
        let new = NewCommit { message, author: author(), committer: author(), at: SystemClock.now() };
        let commit = staged.commit(&new).await?;
        self.mirror.keep(&commit).await?;
        let tree = match commit.tree() {
            Some(tree) => tree.clone(),
            None => self.mirror.tree_of(commit.sha()).await?,
        };
        Ok(Some(FixCandidate { commit: commit.sha().clone(), tree }))
    }

    /// Files of the change up to `head`, and those that findings name.
    async fn allowed(&mut self, head: &Sha) -> Result<FixerPathPolicy, ActError> {
        let base = self.record.detail.base.clone();
        let diff = self.commit_diff(&base, head).await?.diff;
        let changed = parse(&diff).files.into_iter().map(|file| file.path);
        let found = self.record.detail.state.found.iter().map(|finding| finding.raw.place.path.clone());
        let policy = Arc::clone(&self.looks.policy);
        Ok(FixerPathPolicy { paths: changed.chain(found).collect(), policy })
    }

    /// Asks the fixer.
    async fn ask_fixer(
        &self,
        job: FixerTask<'_>,
        clone: &Path,
        allowed: &FixerPathPolicy,
        spent: &mut ModelSpend,
    ) -> Result<FixerReport, ActError> {
        let agent = self.agents.fixer();
        let state = &self.record.detail.state;
        let mut paths: Vec<String> =
            allowed.paths.iter().filter(|path| allowed.admits(path)).map(RepoPath::to_string).collect();
        paths.truncate(MAX_PATHS);
        let paths = paths.join("\n");
        let system = PromptValues::default().with("max_turns", agent.limits.turns.to_string());
        let head = state.head.to_string();
        let told = match job {
            FixerTask::Findings(problems) => {
                let problems: Vec<&str> = problems.iter().map(|problem| problem.text.as_str()).collect();
                let values = [
                    ("repository", self.record.detail.name.clone()),
                    ("head", head),
                    ("base", self.record.detail.base.to_string()),
                    ("paths", paths),
                    ("findings", cut(&told_of(&state.found))),
                    ("problems", cut(&problems.join("\n\n"))),
                ];
                agent.told((CONVERGE_FIX.system, &system), (CONVERGE_FIX.task, &values))?
            }
            FixerTask::Gate(output) => {
                let values = [
                    ("repository", self.record.detail.name.clone()),
                    ("head", head),
                    ("paths", paths),
                    ("output", cut(output)),
                ];
                agent.told((CONVERGE_GATE.system, &system), (CONVERGE_GATE.task, &values))?
            }
        };
        let request = ToolsRequest { tree: clone.to_owned(), only: None, always: Vec::new() };
        let time = self.config.fix_timeout;
        let workshop = FixerWorkspace {
            programs: self.looks.programs.clone(),
            time: time.min(truing_agent::fixer::TIME),
            ..FixerWorkspace::new(clone.to_owned(), Arc::clone(&allowed.policy))
        };
        let fixer = FixerTools::new(
            Box::new(agent.reader.tools(request, Vec::new())),
            workshop,
            self.agents.sandbox,
        )?;
        let admits = |path: &RepoPath| allowed.admits(path);
        // Of its own changes, `git diff` tells.
        let tools = TracedTools(RestrictedTools { tools: fixer, admits, what: "fix" });
        let (purse, most) = self.purse(agent);
        let limits = RunLimits { time, money: Some(most), ..agent.limits };
        let task = ModelTask { purse, name: (RUN, FIXER), told: &told, limits, gate: Arc::clone(self.gate) };
        let unanswered = |mended: &FixReport| match job {
            FixerTask::Findings(_) => unanswered(&state.found, mended),
            FixerTask::Gate(_) => None,
        };
        let ran = agent.sent(task, &tools, spent, unanswered).await?;
        let end = redact(&words(&ran.end));
        Ok(match &ran.end {
            AgentRunEnd::Done => FixerReport::Whole(ran.items),
            AgentRunEnd::Refused(ModelError::Budget { .. }) | AgentRunEnd::Limit(RunLimit::Money) => {
                return Err(ActError::Budget(end));
            }
            // Who could not be asked at all has not tried.
            AgentRunEnd::Refused(_) | AgentRunEnd::Failed(_) if ran.turns == 0 => {
                return Err(ActError::Model(end));
            }
            AgentRunEnd::Limit(_) | AgentRunEnd::Full => FixerReport::CutOff(end),
            AgentRunEnd::Declined
            | AgentRunEnd::Cut
            | AgentRunEnd::Unreadable(_)
            | AgentRunEnd::Refused(_)
            | AgentRunEnd::Failed(_) => FixerReport::None(end),
        })
    }

    /// The commit's message: of what the fixer says, one clean line.
    fn message(&self, job: FixerTask<'_>, summary: &str) -> String {
        let (kind, without, of) = match job {
            FixerTask::Findings(_) => ("fix(review)", "address what the audit found", "Found by audit"),
            FixerTask::Gate(_) => {
                ("fix(gate)", "address what the gate reports", "Asked for by the gate before audit")
            }
        };
        // Forges and their checks read words in brackets, numbers of issues and names as commands.
        let summary: String = redact(summary).chars().filter(|letter| !"[]#@".contains(*letter)).collect();
        let summary = line::clean(&summary, MAX_SUBJECT);
        let summary = if summary.trim().is_empty() { without } else { summary.trim() };
        let number = match job {
            FixerTask::Findings(_) => self.record.detail.state.audits,
            FixerTask::Gate(_) => self.record.detail.state.audits.saturating_add(1),
        };
        format!("{kind}: {summary}\n\n{of} {number} of run {}.\n", self.record.run)
    }
}

/// Whose commits these are.
pub(super) fn author() -> GitIdentity {
    GitIdentity { name: "truing".to_owned(), email: "truing@localhost".to_owned() }
}

/// What a fixer says of each finding, by the name that it was given under.
fn heard(found: &[Finding], mended: FixReport) -> BTreeMap<FindingId, FixerVerdict> {
    let word = |finding: &Finding| {
        let word = match mended.findings.get(finding.id.as_str())? {
            None => FixerVerdict::Fixed,
            Some(why) => FixerVerdict::Declined(redact(why)),
        };
        Some((finding.id.clone(), word))
    };
    found.iter().filter_map(word).collect()
}

/// Findings that a report does not answer, for whoever made it.
fn unanswered(found: &[Finding], mended: &FixReport) -> Option<String> {
    let ids = found.iter().map(|finding| finding.id.as_str());
    let left: Vec<&str> = ids.filter(|id| !mended.findings.contains_key(*id)).collect();
    (!left.is_empty()).then(|| format!("these findings are not answered: {}", left.join(", ")))
}

/// Findings as a fixer is told of them.
pub(super) fn told_of(found: &[Finding]) -> String {
    let one = |finding: &Finding| {
        let raw = &finding.raw;
        let place = &raw.place;
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
    found.iter().map(one).collect::<Vec<_>>().join("\n")
}

/// The beginning of a text, if it is long.
fn cut(text: &str) -> String {
    let end = text.floor_char_boundary(MAX_SHOWN);
    let cut = text.get(..end).unwrap_or_default();
    if end < text.len() { format!("{cut}\n… (cut)") } else { cut.to_owned() }
}
