//! The demonstration `truing demo sync`: a job that follows a package. The demonstration uses a forge, a
//! package index and a model on this machine, simulated people who answer and merge, and the code of the real
//! `truing sync run`.
//!
//! The module `demo_scenario` defines the events and the expected results. This module executes the events,
//! and counts the pull requests and issues at the forge.

mod demo_scenario;

use std::path::Path;
use std::time::Instant;

use serde::Serialize;
use serde_json::json;
use tokio::sync::watch;
use truing_config::Config;
use truing_config::environment::Environment;
use truing_config::layer::SourceFile;
use truing_core::money::MicroUsd;
use truing_core::port::RunStore as _;
use truing_core::sandbox::SandboxLevel;
use truing_core::sync::record::{JobPullKind, SyncOutcome as Outcome, SyncRecord};
use truing_fakes::forge::{FakeForge, FakeRepo, IssueView, PullView};
use truing_fakes::model::{DEFAULT_API_KEY, FakeModel, ModelScript};
use truing_fakes::registry::{FakeRegistry, FakeRegistryKind, definition_digest};
use truing_fakes::repo::CommitBuilder;
use truing_loops::machine::SystemClock;
use truing_loops::reader::ChildProcessReader;
use truing_store::Store;

use super::{
    BOT_LOGIN, DemoError, DemoModelUsage, FORGE_NAME, FORGE_TOKEN, REPOSITORY_NAME, REPOSITORY_OWNER,
    WRITER_LOGIN, demo_environment, setup_error,
};
use crate::cli::sync::run::SyncRunArgs;
use demo_scenario::{
    CHECK_SCRIPT, DemoSection, DemoStep, FIRST_RELEASE, MAX_PORT_TURNS, NON_PORTING_SECTIONS, PACKAGE_FILE,
    PACKAGE_NAME, PINNED_DEFINITIONS, PORTING_SECTIONS, PROJECT_FILE,
};

/// Branch of the job.
const BRANCH_NAME: &str = "truing/sync-rim";
/// Numbers of pull requests that are read from the forge; the demonstration opens fewer.
const PULL_NUMBER_RANGE: std::ops::Range<u64> = 1..30;
/// Name of the operator's file.
const CONFIG_FILE_NAME: &str = "truing.toml";
const RELAX_MODE_SETTING: &str = "mode = \"relax\"";

/// An event of the demonstration, reported at the time of the event.
#[derive(Debug)]
pub enum SyncDemoEvent<'a> {
    /// A section of the demonstration begins.
    SectionStarted(&'a str),
    /// A person has acted; the text describes the action.
    PersonAction(String),
    /// A run has ended.
    RunEnded(&'a SyncDemoRun),
}

/// The result of one run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct SyncDemoRun {
    /// Release that the run processed.
    pub release: Option<String>,
    /// True if a scheduler started the run.
    pub scheduled: bool,
    /// Result of the run.
    pub result: Outcome,
    /// Result that the script expects.
    pub expected: Outcome,
    /// Exit code of the command.
    pub exit: u8,
    /// Reason for the result.
    #[serde(rename = "why")]
    pub reason: String,
    /// Pull request, draft or issue that the run left at the forge.
    pub shows: Option<PublishedItem>,
    /// Calls to the forge, including pushes and fetches.
    pub forge_calls: u64,
    /// Number of the model's answers.
    pub turns: u32,
    /// Cost of these answers in micro-dollars.
    pub cost_micro_usd: MicroUsd,
}

/// A pull request, a draft or an issue at the forge.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct PublishedItem {
    /// Kind of the item.
    #[serde(rename = "what")]
    pub kind: PublishedItemKind,
    /// Number of the item.
    pub number: u64,
    pub title: String,
}

/// The kind of item that a run leaves at the forge.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PublishedItemKind {
    /// A pull request to be merged.
    PullRequest,
    /// A draft with a port in progress.
    Draft,
    /// An issue with a question.
    Issue,
}

impl PublishedItemKind {
    /// Returns the kind as text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PullRequest => "pull request",
            Self::Draft => "draft",
            Self::Issue => "issue",
        }
    }
}

/// The result of the demonstration, printed by `truing demo sync --format json`.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct SyncDemoReport {
    /// Sandbox level of this machine: below `full`, no model ports code.
    pub sandbox: SandboxLevel,
    /// Runs of the job in order.
    pub runs: Vec<SyncDemoRun>,
    /// Number of runs whose result differs from the expected result.
    pub unexpected: usize,
    /// Number of pull requests that were opened for people to merge.
    pub pull_requests: usize,
    /// Number of opened drafts.
    pub drafts: usize,
    /// Number of opened issues.
    pub questions: usize,
    /// Number of times that more than one pull request, draft or question was open after a run.
    pub doubled: usize,
    /// Number of drafts and questions that are still open at the end.
    pub left_open: usize,
    /// State of the circuit breaker at the end.
    pub breaker: &'static str,
    /// Requests to the model and their fictitious cost.
    #[serde(flatten)]
    pub model: DemoModelUsage,
    /// Duration of the demonstration in seconds.
    pub seconds: f64,
}

impl SyncDemoReport {
    /// Returns true if the results meet the guarantees of the loop.
    pub fn has_passed(&self) -> bool {
        (self.unexpected, self.doubled, self.left_open) == (0, 0, 0) && self.breaker == "closed"
    }
}

/// The demonstration with its forge, package index, model and folder.
pub struct SyncDemo {
    forge: FakeForge,
    repo: FakeRepo,
    registry: FakeRegistry,
    model: FakeModel,
    reader: ChildProcessReader,
    environment: Environment,
    sandbox: SandboxLevel,
    folder: tempfile::TempDir,
    started_at: Instant,
    /// Results of the runs so far.
    runs: Vec<SyncDemoRun>,
    duplicate_item_count: usize,
}

impl SyncDemo {
    /// Starts the forge, the package index and the model on free ports of this machine. `sandbox` is the
    /// sandbox level of the machine. `reader` reads archives; git is looked up in the `PATH` of
    /// `environment`.
    ///
    /// # Errors
    /// Returns a [`DemoError`] if a part cannot be started.
    pub async fn start(
        environment: &Environment,
        reader: ChildProcessReader,
        sandbox: SandboxLevel,
    ) -> Result<Self, DemoError> {
        let started_at = Instant::now();
        let folder = tempfile::tempdir().map_err(setup_error)?;
        let forge = FakeForge::start(truing_fakes::forge::FakeForgeOptions::default()).await?;
        forge.register_token(FORGE_TOKEN, BOT_LOGIN);
        let (version, code) = FIRST_RELEASE;
        let registry = FakeRegistry::start().await.map_err(setup_error)?;
        registry
            .set_releases(FakeRegistryKind::Pypi, PACKAGE_NAME, &[(version, &[(PACKAGE_FILE, code)])])
            .map_err(setup_error)?;
        let repo = forge.create_repository(REPOSITORY_OWNER, REPOSITORY_NAME, initial_commit(code)).await?;
        repo.set_role(BOT_LOGIN, "write").await?;
        repo.set_role(WRITER_LOGIN, "write").await?;
        let model = FakeModel::start(ModelScript::default()).await.map_err(setup_error)?;
        let text = operator_config(folder.path(), forge.base_url(), model.url());
        std::fs::write(folder.path().join(CONFIG_FILE_NAME), text).map_err(setup_error)?;
        std::fs::write(folder.path().join("token"), FORGE_TOKEN).map_err(setup_error)?;
        std::fs::write(folder.path().join("key"), DEFAULT_API_KEY).map_err(setup_error)?;
        let mut variables = registry.environment_variables();
        variables.push(("HOME".to_owned(), folder.path().display().to_string()));
        let environment =
            demo_environment(environment).map_err(setup_error)?.with_variables(variables, folder.path());
        let (runs, doubled) = (Vec::new(), 0);
        Ok(Self {
            forge,
            repo,
            registry,
            model,
            reader,
            environment,
            sandbox,
            folder,
            started_at,
            runs,
            duplicate_item_count: doubled,
        })
    }

    /// Returns the path of the operator's file for further commands; the file exists until this value is
    /// dropped.
    pub fn config_path(&self) -> std::path::PathBuf {
        self.folder.path().join(CONFIG_FILE_NAME)
    }

    /// Returns the address of the forge.
    pub fn forge_url(&self) -> &str {
        self.forge.base_url()
    }

    /// Runs all sections of the demonstration and calls `report_event` with each event.
    ///
    /// # Errors
    /// Returns a [`DemoError`], or the error of `report_event`.
    pub async fn run_all_sections<E: From<DemoError>>(
        &mut self,
        mut report_event: impl FnMut(SyncDemoEvent<'_>) -> Result<(), E>,
    ) -> Result<SyncDemoReport, E> {
        let mut releases = vec![FIRST_RELEASE];
        for DemoSection { title, release, steps: acts } in
            if self.sandbox >= SandboxLevel::MIN_FOR_FOREIGN_CODE {
                PORTING_SECTIONS
            } else {
                NON_PORTING_SECTIONS
            }
        {
            report_event(SyncDemoEvent::SectionStarted(title))?;
            releases.extend(*release);
            let files: Vec<_> = releases.iter().map(|(_, code)| [(PACKAGE_FILE, *code)]).collect();
            let listed: Vec<_> = releases
                .iter()
                .zip(&files)
                .map(|((version, _), files)| (*version, files.as_slice()))
                .collect();
            self.registry.set_releases(FakeRegistryKind::Pypi, PACKAGE_NAME, &listed).map_err(setup_error)?;
            for act in *acts {
                if let Some(person) = self.perform_step(*act).await? {
                    report_event(SyncDemoEvent::PersonAction(person))?;
                } else if let Some((scheduled, expected)) = act.expected_run() {
                    self.run(scheduled, expected).await?;
                    if let Some(ran) = self.runs.last() {
                        report_event(SyncDemoEvent::RunEnded(ran))?;
                    }
                }
            }
        }
        Ok(self.report().await?)
    }

    /// Performs a step that is not a run. If a person acts in this step, returns a description of the action;
    /// otherwise none.
    async fn perform_step(&self, step: DemoStep) -> Result<Option<String>, DemoError> {
        match step {
            DemoStep::Run(_) | DemoStep::ScheduledRun(_) => Ok(None),
            DemoStep::SetModelShare(work) => {
                self.model.set_script(ModelScript::from_answers(demo_scenario::scripted_answers(work)));
                Ok(None)
            }
            DemoStep::AllowPorting => {
                let text = std::fs::read_to_string(self.config_path()).map_err(setup_error)?;
                let text = text.replace(RELAX_MODE_SETTING, "mode = \"code\"");
                std::fs::write(self.config_path(), text).map_err(setup_error)?;
                Ok(None)
            }
            DemoStep::ProtectBranch => {
                self.repo.protect(BRANCH_NAME).await?;
                Ok(None)
            }
            DemoStep::UnprotectBranch => {
                self.repo.unprotect(BRANCH_NAME).await?;
                Ok(None)
            }
            DemoStep::MergePull => {
                let open = self.list_pulls().await.into_iter().find(|(_, pull)| pull.open && !pull.draft);
                let (number, pull) = open.ok_or_else(|| setup_error("no pull request is open"))?;
                self.repo.merge_pull(number, WRITER_LOGIN).await?;
                self.repo.reset_branch("main", &pull.head).await?;
                Ok(Some(format!("merges {number}")))
            }
            DemoStep::AnswerQuestion(answer) => {
                let open = self.list_questions().await?.into_iter().find(|issue| issue.open);
                let issue = open.ok_or_else(|| setup_error("no question is open"))?;
                self.repo.comment(issue.number, WRITER_LOGIN, answer).await?;
                Ok(Some(format!("answers in {}: {answer}", issue.number)))
            }
        }
    }

    /// Runs `truing sync run rim` once.
    async fn run(&mut self, scheduled: bool, expected: Outcome) -> Result<(), DemoError> {
        let text = std::fs::read_to_string(self.config_path()).map_err(setup_error)?;
        let operator =
            SourceFile { name: CONFIG_FILE_NAME.into(), folder: self.folder.path().to_owned(), text };
        let config = Config::resolve(&self.environment, Some(&operator), &[]).map_err(setup_error)?;
        let run =
            SyncRunArgs { job: PACKAGE_NAME.to_owned(), to: None, dry_run: false, scheduled, record: None };
        let before: u64 = self.forge.call_counts().values().sum();
        let (_stop_sender, stop_receiver) = watch::channel(false);
        let record =
            Box::pin(run.run_with_config(&config, &self.environment, &self.reader, stop_receiver)).await;
        let record = record.map_err(|error| setup_error(error.message))?;
        let forge_calls = self.forge.call_counts().values().sum::<u64>() - before;
        let (pulls, questions) = (self.list_pulls().await, self.list_questions().await?);
        let open = |draft: bool| pulls.iter().filter(|(_, pull)| pull.open && pull.draft == draft).count();
        let asked = questions.iter().filter(|issue| issue.open).count();
        self.duplicate_item_count +=
            [open(false), open(true), asked].iter().filter(|count| **count > 1).count();
        self.runs.push(SyncDemoRun {
            release: record.detail.target_release.clone(),
            scheduled,
            result: record.detail.result,
            expected,
            exit: run.exit_for_record(&record).code(),
            reason: record.detail.exit_reason.clone(),
            shows: find_published_item(&record, &pulls, &questions),
            forge_calls,
            turns: record.turns(),
            cost_micro_usd: record.cost(),
        });
        Ok(())
    }

    async fn report(&self) -> Result<SyncDemoReport, DemoError> {
        let (pulls, questions) = (self.list_pulls().await, self.list_questions().await?);
        let drafts = |pull: &PullView| pull.title.ends_with("(in progress)");
        let open_drafts = pulls.iter().filter(|(_, pull)| drafts(pull) && pull.open).count();
        let store = Store::open(&self.folder.path().join("truing.db"), std::sync::Arc::new(SystemClock))
            .map_err(setup_error)?;
        let jobs = store.jobs().await.map_err(setup_error)?;
        let job = jobs.first().ok_or_else(|| setup_error("the store has no record of the job"))?;
        Ok(SyncDemoReport {
            sandbox: self.sandbox,
            unexpected: self.runs.iter().filter(|ran| ran.result != ran.expected).count(),
            runs: self.runs.clone(),
            pull_requests: pulls.iter().filter(|(_, pull)| !drafts(pull)).count(),
            drafts: pulls.iter().filter(|(_, pull)| drafts(pull)).count(),
            questions: questions.len(),
            doubled: self.duplicate_item_count,
            left_open: open_drafts + questions.iter().filter(|issue| issue.open).count(),
            breaker: job.1.breaker_state(),
            model: DemoModelUsage::from_model(&self.model)?,
            seconds: (self.started_at.elapsed().as_secs_f64() * 1000.0).round() / 1000.0,
        })
    }

    /// Returns all pull requests, open or closed.
    async fn list_pulls(&self) -> Vec<(u64, PullView)> {
        let mut all = Vec::new();
        for number in PULL_NUMBER_RANGE {
            if let Ok(pull) = self.repo.pull(number).await {
                all.push((number, pull));
            }
        }
        all
    }

    async fn list_questions(&self) -> Result<Vec<IssueView>, DemoError> {
        Ok(self.repo.issues().await?.into_iter().filter(|issue| issue.author == BOT_LOGIN).collect())
    }
}

/// Returns the initial commit of the project, made for the package's release that has this code.
fn initial_commit(code: &str) -> CommitBuilder {
    let (one, other) = code.split_once("\n\n\n").unwrap_or((code, ""));
    let digests = [definition_digest(&format!("{one}\n")), definition_digest(other)];
    let pinned: Vec<String> = PINNED_DEFINITIONS
        .iter()
        .zip(digests)
        .map(|(name, digest)| format!("  {}", manifest_line(name, &digest)))
        .collect();
    let requires = "[project]\nname = \"spokes\"\ndependencies = [\n    \"rim>=1.0.0,<1.0.1\",\n]\n";
    CommitBuilder::new("Begin")
        .write("pyproject.toml", requires)
        .write("upstream.json", format!("{{\n{}\n}}\n", pinned.join(",\n")))
        .write(PROJECT_FILE, demo_scenario::project_code(code))
        .write("check.sh", CHECK_SCRIPT)
}

/// Returns a definition and its digest as a line of the manifest.
fn manifest_line(name: &str, digest: &str) -> String {
    format!("{}: {}", json!(name), json!([digest]))
}

/// Returns the operator's file for these addresses.
fn operator_config(folder: &Path, forge_url: &str, model_url: &str) -> String {
    let folder = folder.display();
    format!(
        "[store]\nurl = \"sqlite:{folder}/truing.db\"\n[forge.{FORGE_NAME}]\napi_url = \
            \"{forge_url}\"\ngit_url \
         = \"{forge_url}\"\ntoken = {{ file = \"{folder}/token\" }}\nsettle = \"0s\"\n[model]\nbase_url \
         = \"{model_url}\"\napi_key = {{ file = \"{folder}/key\" }}\n[verify]\ncheck = \
         [[\"sh\", \"check.sh\"]]\n[sync.{PACKAGE_NAME}]\nrepo = \
         \"{REPOSITORY_OWNER}/{REPOSITORY_NAME}\"\nmirror = \
         [\"rim/=spokes/\"]\n{RELAX_MODE_SETTING}\nlimits.turns = {MAX_PORT_TURNS}\n"
    )
}

/// Returns the item that a run left at the forge.
fn find_published_item(
    record: &SyncRecord,
    pulls: &[(u64, PullView)],
    questions: &[IssueView],
) -> Option<PublishedItem> {
    let number = |url: &str| url.rsplit('/').next()?.parse::<u64>().ok();
    if let Some(pull) = &record.detail.pull {
        let (number, view) = pulls.iter().find(|(known, _)| Some(*known) == number(&pull.url))?;
        let what = match pull.kind {
            JobPullKind::Final => PublishedItemKind::PullRequest,
            JobPullKind::Wip => PublishedItemKind::Draft,
        };
        return Some(PublishedItem { kind: what, number: *number, title: view.title.clone() });
    }
    let asked = number(record.detail.question_url.as_ref()?)?;
    let issue = questions.iter().find(|issue| issue.number == asked)?;
    Some(PublishedItem { kind: PublishedItemKind::Issue, number: asked, title: issue.title.clone() })
}
