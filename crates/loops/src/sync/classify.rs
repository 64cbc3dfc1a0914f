//! Asks a model about changed functions that are not pinned, before a person is asked. For each function, the
//! model gives a verdict and cites lines. The rule in `truing_core::sync::classify` combines the verdicts.
//!
//! The model can read only the mirrored files of both releases and their counterparts in the project. All of
//! these files are in a separate folder. The report is accepted only if it contains exactly one answer for
//! each function, and if all the cited lines exist. If anything fails, a person is asked. If people have not
//! answered since the first time, the model is not asked the same question again.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::Arc;

use truing_agent::native::RunLimits;
use truing_agent::prompt::route::SYNC_CLASSIFY;
use truing_agent::prompt::{PromptError, PromptValues};
use truing_agent::schema::judged::JudgementReport;
use truing_core::RepoPath;
use truing_core::id::CommentId;
use truing_core::line;
use truing_core::sync::classify::{
    FunctionJudgement, MirroredFunction, ReleaseClassification, ReleaseSide, check_completeness,
    functions_to_classify,
};
use truing_core::sync::job::{CachedClassification, JobState};
use truing_core::sync::record::SyncOutcome as Outcome;
use truing_core::sync::{PinManifest, UnguardedPart};
use truing_git::PrivateFolder;
use truing_reader::protocol::ToolsRequest;
use truing_reader::redact::redact_secrets;

use super::error::SyncRunError;
use super::material::{read_release_files, release_patches, truncate_with_note};
use super::port::MigrationAgent;
use super::run::SyncRun;
use super::run_log::{QuestionUpdate, SyncRunLog, SyncRunResult};
use super::{ReleaseDecision, SyncDecisionError, change, file_counterparts};
use crate::agent::{BuiltPrompt, ModelSpend, ModelTask, TracedTools, hash_values, invalid_report_reason};
use truing_core::port::GateHalt;

/// The names of the run and of the model in traces.
const RUN_NAME: &str = "sync";
const AGENT_NAME: &str = "classifier";
/// The name of the folder with the project's files, among the files that the model reads. It is next to the
/// folders of the releases.
const PROJECT_FOLDER: &str = "project";
/// Maximum number of characters that are kept of the cited lines of one answer.
const MAX_EXCERPT_CHARS: usize = 400;
/// Maximum number of functions that a dry run names. The next constant limits definitions in a prompt.
const MAX_NAMED_FUNCTIONS: usize = 10;
const MAX_PINNED_DEFINITIONS: usize = 400;

/// The project whose counterparts the model reads.
#[derive(Clone, Copy)]
pub(super) struct ClassifyContext<'a> {
    /// Folder of the project's files.
    pub(super) project: &'a Path,
    /// The manifest of the project's pins.
    pub(super) manifest: &'a PinManifest,
    /// The newest answer that people gave.
    pub(super) newest_answer: Option<&'a CommentId>,
}

/// The files that the model can read, and its prompt.
struct ClassifyMaterial {
    before: BTreeMap<String, String>,
    after: BTreeMap<String, String>,
    project_files: BTreeMap<String, Vec<u8>>,
    prompt: BuiltPrompt,
    /// A digest of the prompt, the model and the project's files.
    digest: String,
}

/// The reason why no model can be asked.
#[derive(Debug, thiserror::Error)]
enum ClassifyError {
    #[error(transparent)]
    Sync(#[from] SyncDecisionError),
    #[error(transparent)]
    Prompt(#[from] PromptError),
    #[error("cannot create a folder for the files: {0}")]
    TemporaryFolder(#[from] io::Error),
}

impl SyncRun<'_> {
    /// If the job permits it, asks a model about unpinned functions, and applies the result to the decision.
    /// If a dry run would have to call a model, returns the result that ends the dry run.
    pub(super) async fn classify_functions(
        &self,
        job: &mut JobState,
        log: &mut SyncRunLog,
        context: ClassifyContext<'_>,
        release_decision: &mut ReleaseDecision,
    ) -> Result<Option<SyncRunResult>, SyncRunError> {
        let Some(porter) = self.job.migration_agent.filter(|_| self.job.config.classifies_functions) else {
            return Ok(None);
        };
        let functions = match functions_to_classify(&release_decision.decision) {
            Ok(functions) => functions,
            Err(why) => {
                self.apply_classification(release_decision, &[], ReleaseClassification::without_answer(why));
                return Ok(None);
            }
        };
        let material = match self.collect_material(porter, context, &functions, release_decision).await {
            Ok(material) => material,
            Err(error) => {
                self.apply_classification(
                    release_decision,
                    &functions,
                    ReleaseClassification::without_answer(error.to_string()),
                );
                return Ok(None);
            }
        };
        let known = job
            .classified
            .as_ref()
            .filter(|known| known.input_digest == material.digest)
            // If people have given no answer, the stored report remains valid. A closed question, for
            // example, receives no further answers.
            .filter(|known| {
                context.newest_answer.is_none_or(|heard| known.newest_answer.as_ref() == Some(heard))
            });
        let classification = match known {
            Some(known) => known.classification.clone(),
            None if self.job.dry_run => return Ok(Some(dry_run_end(&functions))),
            None => {
                self.check_write_gate().await?;
                let mut spent = ModelSpend::default();
                let classification =
                    Box::pin(self.ask_model(porter, &functions, &material, &mut spent)).await;
                let was_paid = spent.step_cost.turns > 0;
                log.set_spend(spent);
                let classification = classification?;
                // The result is stored only if the model completed at least one turn. Otherwise, the next run
                // asks the model again.
                if was_paid {
                    let heard = context.newest_answer.cloned();
                    job.classified = Some(CachedClassification {
                        input_digest: material.digest,
                        newest_answer: heard,
                        classification: classification.clone(),
                    });
                    self.store.store_job(self.run, job).await?;
                }
                classification
            }
        };
        self.apply_classification(release_decision, &functions, classification);
        Ok(None)
    }

    fn apply_classification(
        &self,
        release_decision: &mut ReleaseDecision,
        functions: &[MirroredFunction],
        report: ReleaseClassification,
    ) {
        let verdict = report.verdict(functions);
        let reason = report.reason(verdict, &release_decision.decision);
        release_decision.apply_verdict(verdict, reason);
        release_decision.classification = Some(report);
    }

    /// Collects all files and texts that the model may see.
    async fn collect_material(
        &self,
        migration_agent: &MigrationAgent,
        context: ClassifyContext<'_>,
        functions: &[MirroredFunction],
        release_decision: &ReleaseDecision,
    ) -> Result<ClassifyMaterial, ClassifyError> {
        let ClassifyContext { project, manifest, .. } = context;
        let sources = self.job.sources;
        let pairs = file_counterparts(self.job.config, project);
        let mut files: Vec<String> = functions.iter().map(|one| one.file.clone()).collect();
        files.dedup();
        // The material also contains files that a mirrored file newly imports, although these files are not
        // mirrored.
        let theirs: BTreeSet<String> =
            pairs.iter().map(|(theirs, _)| theirs).chain(&files).cloned().collect();
        let theirs: Vec<String> = theirs.into_iter().collect();
        let before = read_release_files(self.job.config, sources, &release_decision.from, &theirs).await?;
        let after = read_release_files(self.job.config, sources, &release_decision.to, &theirs).await?;
        let mut project_files = BTreeMap::new();
        for (_, path) in &pairs {
            // A tracked symbolic link is skipped, because it could lead out of the project.
            if let Ok(Some(bytes)) = change::read_regular_file(project, path) {
                project_files.insert(path.clone(), bytes);
            }
        }
        let what = |one: &MirroredFunction| {
            let found =
                release_decision.decision.unguarded_parts.iter().find(|known| {
                    known.symbol == one.symbol && known.file.as_deref() == Some(one.file.as_str())
                });
            let reason = found.map(UnguardedPart::change_text).unwrap_or_default();
            format!("{} {}: {reason}", one.file, one.symbol)
        };
        let mirror = pairs.iter().filter(|(theirs, _)| files.contains(theirs));
        let pinned =
            manifest.rows.iter().take(MAX_PINNED_DEFINITIONS).map(|(symbol, row)| match &row.counterpart {
                Some(own) => format!("{symbol} = {own}"),
                None => symbol.clone(),
            });
        let values = [
            ("package", self.job.config.package.clone()),
            ("from", release_decision.from.to_string()),
            ("to", release_decision.to.to_string()),
            ("functions", functions.iter().map(what).collect::<Vec<_>>().join("\n")),
            (
                "mirror",
                mirror.map(|(theirs, own)| format!("{theirs} = {own}")).collect::<Vec<_>>().join("\n"),
            ),
            ("pinned", pinned.collect::<Vec<_>>().join("\n")),
            (
                "changes",
                truncate_with_note(&release_patches(
                    &files,
                    &release_decision.from,
                    &before,
                    &release_decision.to,
                    &after,
                )),
            ),
        ];
        let system =
            PromptValues::default().with_value("max_turns", self.job.config.max_port_turns.to_string());
        let agent = &migration_agent.agent;
        let prompt = agent.build_prompt(
            SYNC_CLASSIFY.system_prompt_name,
            &system,
            SYNC_CLASSIFY.task_prompt_name,
            &values,
        )?;
        let own =
            hash_values(project_files.iter().flat_map(|(path, bytes)| [path.as_bytes(), bytes.as_slice()]));
        let digest = [prompt.prompt_hash.as_str(), &agent.model, &prompt.run_input.review_text, &own]
            .map(str::as_bytes);
        let digest = hash_values(digest);
        Ok(ClassifyMaterial { before, after, project_files, prompt, digest })
    }

    /// Asks the model for its verdicts. Returns an error only if the write gate stopped the run. After any
    /// other failure, the classification contains no answer, and a person is asked.
    async fn ask_model(
        &self,
        migration_agent: &MigrationAgent,
        functions: &[MirroredFunction],
        material: &ClassifyMaterial,
        model_spend: &mut ModelSpend,
    ) -> Result<ReleaseClassification, SyncRunError> {
        let agent = &migration_agent.agent;
        let repository = self.job.config.repo.as_deref().unwrap_or_default();
        let (budget, most) =
            agent.budgets.sync_budget(self.run.id.clone(), repository, self.effects.clock.now());
        let folder = match write_material(material) {
            Ok(folder) => folder,
            Err(error) => {
                return Ok(ReleaseClassification::without_answer(ClassifyError::from(error).to_string()));
            }
        };
        let request =
            ToolsRequest { tree: folder.path().to_owned(), readable_files: None, always: Vec::new() };
        // The tools get an empty diff, because the model judges releases and not a change of the project.
        let tools = TracedTools(self.job.sources.reader.tools(request, Vec::new()));
        let limits = RunLimits {
            turns: self.job.config.max_port_turns,
            time: self.job.config.port_timeout,
            max_cost: Some(most),
            ..agent.limits
        };
        let wrong = |answers: &JudgementReport| {
            let whole = check_completeness(functions, answers.functions.iter().map(|one| &one.function));
            let there = || {
                answers.check(|release, file| match release {
                    ReleaseSide::Before => material.before.get(file).cloned(),
                    ReleaseSide::After => material.after.get(file).cloned(),
                })
            };
            whole.and_then(|()| there()).err()
        };
        let gate = Arc::clone(self.effects.gate);
        let task = ModelTask {
            budget,
            loop_and_agent_names: (RUN_NAME, AGENT_NAME),
            prompt: &material.prompt,
            limits,
            gate,
        };
        let ran = agent.run_task(task, &tools, model_spend, wrong).await.map_err(GateHalt::from)?;
        let wrong = wrong(&ran.report).map(|reason| format!("its report is invalid: {reason}"));
        Ok(match invalid_report_reason(&ran.end, wrong) {
            None => {
                ReleaseClassification { functions: storable_judgements(ran.report), no_answer_reason: None }
            }
            Some(reason) => ReleaseClassification::without_answer(redact_secrets(&reason)),
        })
    }
}

/// Returns the result of a dry run. The result names the functions about which a normal run would ask a
/// model.
fn dry_run_end(functions: &[MirroredFunction]) -> SyncRunResult {
    let names =
        functions.iter().take(MAX_NAMED_FUNCTIONS).map(|one| format!("{} in {}", one.symbol, one.file));
    let mut names = names.collect::<Vec<_>>().join(", ");
    if let Some(more @ 1..) = functions.len().checked_sub(MAX_NAMED_FUNCTIONS) {
        names += &format!(" and {more} more");
    }
    let reason = format!(
        "a model would be asked whether these functions need porting: {names}; in this dry run, \
            the model was not called"
    );
    SyncRunResult::new(Outcome::DryRun, reason, QuestionUpdate::Keep)
}

/// Writes the files into a separate folder. The paths come from the project and from archives, so paths that
/// would lead out of the folder are skipped.
fn write_material(material: &ClassifyMaterial) -> io::Result<PrivateFolder> {
    let folder = PrivateFolder::new()?;
    let releases = [(ReleaseSide::Before, &material.before), (ReleaseSide::After, &material.after)];
    let theirs = releases.into_iter().flat_map(|(release, files)| {
        files.iter().map(move |(path, text)| (release.as_str(), path, text.as_bytes()))
    });
    let ours = material.project_files.iter().map(|(path, bytes)| (PROJECT_FOLDER, path, bytes.as_slice()));
    for (top, path, bytes) in
        theirs.chain(ours).filter(|(_, path, _)| RepoPath::from(path.as_str()).stays_within_folder())
    {
        let at = folder.path().join(top).join(path);
        std::fs::create_dir_all(at.parent().unwrap_or(folder.path()))?;
        std::fs::write(at, bytes)?;
    }
    Ok(folder)
}

/// Prepares the model's answers for storage and display: removes secrets, and shortens the texts.
fn storable_judgements(answers: JudgementReport) -> Vec<FunctionJudgement> {
    let one = |one: FunctionJudgement| FunctionJudgement {
        reason: redact_secrets(&one.reason),
        excerpt: line::truncate_text(redact_secrets(&one.excerpt), MAX_EXCERPT_CHARS),
        ..one
    };
    answers.functions.into_iter().map(one).collect()
}
