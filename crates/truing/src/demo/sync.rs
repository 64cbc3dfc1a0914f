//! The story of a job that follows a package: `truing demo sync`. A forge, an index and a model on this machine; people
//! who answer and merge; and `truing sync run`, run by run, by the code of that very command.
//!
//! `plot` says what happens and what each run is to come to; here it is played, and counted what the forge shows.

mod plot;

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
use truing_fakes::model::{FakeModel, KEY, ModelScript};
use truing_fakes::registry::{FakeRegistry, FakeRegistryKind, digest};
use truing_fakes::repo::CommitBuilder;
use truing_loops::machine::SystemClock;
use truing_loops::reader::ChildReader;
use truing_store::Store;

use super::{DemoError, DemoModelUsage, FORGE, LOGIN, NAME, OWNER, TOKEN, WRITER, set_up, taken};
use crate::cli::sync::run::SyncRunArgs;
use plot::{CHECK, DemoSection, DemoStep, FIRST, MANIFEST, OURS, PACKAGE, PORTED, THEIRS, TURNS, UNPORTED};

/// The job's branch.
const BRANCH: &str = "truing/sync-rim";
/// Numbers of pull requests and issues that are looked at: more than there can be.
const NUMBERS: std::ops::Range<u64> = 1..30;
/// The operator's file.
const CONFIG: &str = "truing.toml";
const NO_CODE: &str = "mode = \"relax\"";

/// What happens, as it happens.
#[derive(Debug)]
pub enum SyncDemoEvent<'a> {
    /// A part of the story begins.
    Scene(&'a str),
    /// A person does something.
    Person(String),
    /// A run has ended.
    Ran(&'a SyncDemoRun),
}

/// What one run came to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct SyncDemoRun {
    /// The release that it was about.
    pub release: Option<String>,
    /// Did a scheduler begin it?
    pub scheduled: bool,
    /// What it came to.
    pub result: Outcome,
    /// What it was to come to.
    pub expected: Outcome,
    /// What the command exits with.
    pub exit: u8,
    /// Why, in words for people.
    pub why: String,
    /// What people see of it at the forge.
    pub shows: Option<PublishedItem>,
    /// Calls to the forge, pushes and fetches among them.
    pub forge_calls: u64,
    /// Answers of the model.
    pub turns: u32,
    /// What they cost.
    pub cost_micro_usd: MicroUsd,
}

/// A pull request, a draft or an issue, as it stands at the forge.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct PublishedItem {
    /// Which of them.
    pub what: PublishedItemKind,
    /// Its number.
    pub number: u64,
    /// Its title.
    pub title: String,
}

/// What people see of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PublishedItemKind {
    /// To be merged.
    PullRequest,
    /// A port in progress.
    Draft,
    /// A question.
    Issue,
}

impl PublishedItemKind {
    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PullRequest => "pull request",
            Self::Draft => "draft",
            Self::Issue => "issue",
        }
    }
}

/// What the story came to: `truing demo sync --format json`.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct SyncDemoReport {
    /// The sandbox of this machine: below `full` no model ports code.
    pub sandbox: SandboxLevel,
    /// The runs, in order.
    pub runs: Vec<SyncDemoRun>,
    /// Runs that came to something else than they should.
    pub unexpected: usize,
    /// Pull requests that were opened for people to merge.
    pub pull_requests: usize,
    /// Drafts that were opened.
    pub drafts: usize,
    /// Issues that were opened.
    pub questions: usize,
    /// Times that there were two of one kind at once: two pull requests, two drafts or two questions.
    pub doubled: usize,
    /// Drafts and questions that are still open in the end.
    pub left_open: usize,
    /// The circuit breaker in the end.
    pub breaker: &'static str,
    /// What the model was asked, and what that would have cost.
    #[serde(flatten)]
    pub model: DemoModelUsage,
    /// How long it all took.
    pub seconds: f64,
}

impl SyncDemoReport {
    /// Did the loop keep what it promises?
    pub fn holds(&self) -> bool {
        (self.unexpected, self.doubled, self.left_open) == (0, 0, 0) && self.breaker == "closed"
    }
}

/// The story with all that it is played on.
pub struct SyncDemo {
    forge: FakeForge,
    repo: FakeRepo,
    registry: FakeRegistry,
    model: FakeModel,
    reader: ChildReader,
    environment: Environment,
    sandbox: SandboxLevel,
    folder: tempfile::TempDir,
    began: Instant,
    /// The telling of it.
    runs: Vec<SyncDemoRun>,
    doubled: usize,
}

impl SyncDemo {
    /// Starts everything on free ports of this machine. `sandbox`: what it has. Archives are read with `reader`, and git
    /// is looked for as in `environment`.
    ///
    /// # Errors
    /// [`DemoError`]
    pub async fn start(
        environment: &Environment,
        reader: ChildReader,
        sandbox: SandboxLevel,
    ) -> Result<Self, DemoError> {
        let began = Instant::now();
        let folder = tempfile::tempdir().map_err(set_up)?;
        let forge = FakeForge::start(truing_fakes::forge::FakeForgeOptions::default()).await?;
        forge.token(TOKEN, LOGIN);
        let (version, code) = FIRST;
        let registry = FakeRegistry::start().await.map_err(set_up)?;
        registry.list(FakeRegistryKind::Pypi, PACKAGE, &[(version, &[(THEIRS, code)])]).map_err(set_up)?;
        let repo = forge.create_repository(OWNER, NAME, project(code)).await?;
        repo.permit(LOGIN, "write").await?;
        repo.permit(WRITER, "write").await?;
        let model = FakeModel::start(ModelScript::default()).await.map_err(set_up)?;
        let text = config(folder.path(), forge.base_url(), model.url());
        std::fs::write(folder.path().join(CONFIG), text).map_err(set_up)?;
        std::fs::write(folder.path().join("token"), TOKEN).map_err(set_up)?;
        std::fs::write(folder.path().join("key"), KEY).map_err(set_up)?;
        let mut variables = registry.variables();
        variables.push(("HOME".to_owned(), folder.path().display().to_string()));
        let environment = taken(environment).map_err(set_up)?.with(variables, folder.path());
        let (runs, doubled) = (Vec::new(), 0);
        Ok(Self { forge, repo, registry, model, reader, environment, sandbox, folder, began, runs, doubled })
    }

    /// The operator's file, with which the commands show more, as long as this lives.
    pub fn config(&self) -> std::path::PathBuf {
        self.folder.path().join(CONFIG)
    }

    /// The forge's address.
    pub fn forge(&self) -> &str {
        self.forge.base_url()
    }

    /// Plays it all, and tells it as it happens.
    ///
    /// # Errors
    /// [`DemoError`], or the caller's own, with which nothing can be told.
    pub async fn play<E: From<DemoError>>(
        &mut self,
        mut tell: impl FnMut(SyncDemoEvent<'_>) -> Result<(), E>,
    ) -> Result<SyncDemoReport, E> {
        let mut releases = vec![FIRST];
        for DemoSection { title, release, acts } in
            if self.sandbox == SandboxLevel::Full { PORTED } else { UNPORTED }
        {
            tell(SyncDemoEvent::Scene(title))?;
            releases.extend(*release);
            let files: Vec<_> = releases.iter().map(|(_, code)| [(THEIRS, *code)]).collect();
            let listed: Vec<_> = releases
                .iter()
                .zip(&files)
                .map(|((version, _), files)| (*version, files.as_slice()))
                .collect();
            self.registry.list(FakeRegistryKind::Pypi, PACKAGE, &listed).map_err(set_up)?;
            for act in *acts {
                if let Some(person) = self.act(*act).await? {
                    tell(SyncDemoEvent::Person(person))?;
                } else if let Some((scheduled, expected)) = act.run() {
                    self.run(scheduled, expected).await?;
                    if let Some(ran) = self.runs.last() {
                        tell(SyncDemoEvent::Ran(ran))?;
                    }
                }
            }
        }
        Ok(self.report().await?)
    }

    /// What somebody does beside the runs, in words.
    async fn act(&self, act: DemoStep) -> Result<Option<String>, DemoError> {
        match act {
            DemoStep::Run(_) | DemoStep::Scheduled(_) => Ok(None),
            DemoStep::Model(work) => {
                self.model.play(ModelScript::of(plot::answers(work)));
                Ok(None)
            }
            DemoStep::PortUnasked => {
                let text = std::fs::read_to_string(self.config()).map_err(set_up)?;
                let text = text.replace(NO_CODE, "mode = \"code\"");
                std::fs::write(self.config(), text).map_err(set_up)?;
                Ok(None)
            }
            DemoStep::Protect => {
                self.repo.protect(BRANCH).await?;
                Ok(None)
            }
            DemoStep::Unprotect => {
                self.repo.unprotect(BRANCH).await?;
                Ok(None)
            }
            DemoStep::Merge => {
                let open = self.pulls().await.into_iter().find(|(_, pull)| pull.open && !pull.draft);
                let (number, pull) = open.ok_or_else(|| set_up("no pull request is open"))?;
                self.repo.merge(number, WRITER).await?;
                self.repo.reset("main", &pull.head).await?;
                Ok(Some(format!("merges {number}")))
            }
            DemoStep::Answer(answer) => {
                let open = self.questions().await?.into_iter().find(|issue| issue.open);
                let issue = open.ok_or_else(|| set_up("no question is open"))?;
                self.repo.comment(issue.number, WRITER, answer).await?;
                Ok(Some(format!("answers in {}: {answer}", issue.number)))
            }
        }
    }

    /// `truing sync run rim`, as somebody would call it.
    async fn run(&mut self, scheduled: bool, expected: Outcome) -> Result<(), DemoError> {
        let text = std::fs::read_to_string(self.config()).map_err(set_up)?;
        let operator = SourceFile { name: CONFIG.into(), folder: self.folder.path().to_owned(), text };
        let config = Config::resolve(&self.environment, Some(&operator), &[]).map_err(set_up)?;
        let run = SyncRunArgs { job: PACKAGE.to_owned(), to: None, dry_run: false, scheduled, record: None };
        let before: u64 = self.forge.calls().values().sum();
        let (_tell, told) = watch::channel(false);
        let record = Box::pin(run.record(&config, &self.environment, &self.reader, told)).await;
        let record = record.map_err(|error| set_up(error.message))?;
        let forge_calls = self.forge.calls().values().sum::<u64>() - before;
        let (pulls, questions) = (self.pulls().await, self.questions().await?);
        let open = |draft: bool| pulls.iter().filter(|(_, pull)| pull.open && pull.draft == draft).count();
        let asked = questions.iter().filter(|issue| issue.open).count();
        self.doubled += [open(false), open(true), asked].iter().filter(|count| **count > 1).count();
        self.runs.push(SyncDemoRun {
            release: record.detail.to.clone(),
            scheduled,
            result: record.detail.result,
            expected,
            exit: run.exit(&record).code(),
            why: record.detail.exit_reason.clone(),
            shows: shown(&record, &pulls, &questions),
            forge_calls,
            turns: record.turns(),
            cost_micro_usd: record.cost(),
        });
        Ok(())
    }

    async fn report(&self) -> Result<SyncDemoReport, DemoError> {
        let (pulls, questions) = (self.pulls().await, self.questions().await?);
        let drafts = |pull: &PullView| pull.title.ends_with("(in progress)");
        let open_drafts = pulls.iter().filter(|(_, pull)| drafts(pull) && pull.open).count();
        let store = Store::open(&self.folder.path().join("truing.db"), std::sync::Arc::new(SystemClock))
            .map_err(set_up)?;
        let jobs = store.jobs().await.map_err(set_up)?;
        let job = jobs.first().ok_or_else(|| set_up("nothing is remembered of the job"))?;
        Ok(SyncDemoReport {
            sandbox: self.sandbox,
            unexpected: self.runs.iter().filter(|ran| ran.result != ran.expected).count(),
            runs: self.runs.clone(),
            pull_requests: pulls.iter().filter(|(_, pull)| !drafts(pull)).count(),
            drafts: pulls.iter().filter(|(_, pull)| drafts(pull)).count(),
            questions: questions.len(),
            doubled: self.doubled,
            left_open: open_drafts + questions.iter().filter(|issue| issue.open).count(),
            breaker: job.1.breaker_state(),
            model: DemoModelUsage::of(&self.model)?,
            seconds: (self.began.elapsed().as_secs_f64() * 1000.0).round() / 1000.0,
        })
    }

    /// Every pull request that there ever was.
    async fn pulls(&self) -> Vec<(u64, PullView)> {
        let mut all = Vec::new();
        for number in NUMBERS {
            if let Ok(pull) = self.repo.pull(number).await {
                all.push((number, pull));
            }
        }
        all
    }

    async fn questions(&self) -> Result<Vec<IssueView>, DemoError> {
        Ok(self.repo.issues().await?.into_iter().filter(|issue| issue.author == LOGIN).collect())
    }
}

/// The project at the beginning, which was made for this code.
fn project(code: &str) -> CommitBuilder {
    let (one, other) = code.split_once("\n\n\n").unwrap_or((code, ""));
    let digests = [digest(&format!("{one}\n")), digest(other)];
    let pinned: Vec<String> =
        MANIFEST.iter().zip(digests).map(|(name, digest)| format!("  {}", line(name, &digest))).collect();
    let requires = "[project]\nname = \"spokes\"\ndependencies = [\n    \"rim>=1.0.0,<1.0.1\",\n]\n";
    CommitBuilder::new("Begin")
        .write("pyproject.toml", requires)
        .write("upstream.json", format!("{{\n{}\n}}\n", pinned.join(",\n")))
        .write(OURS, plot::counterpart(code))
        .write("check.sh", CHECK)
}

/// A definition and its digest, as a manifest has them.
fn line(name: &str, digest: &str) -> String {
    format!("{}: {}", json!(name), json!([digest]))
}

/// What an operator would write.
fn config(folder: &Path, forge: &str, model: &str) -> String {
    let folder = folder.display();
    format!(
        "[store]\nurl = \"sqlite:{folder}/truing.db\"\n\
         [forge.{FORGE}]\napi_url = \"{forge}\"\ngit_url = \"{forge}\"\ntoken = {{ file = \"{folder}/token\" }}\nsettle = \"0s\"\n\
         [model]\nbase_url = \"{model}\"\napi_key = {{ file = \"{folder}/key\" }}\n\
         [verify]\ncheck = [[\"sh\", \"check.sh\"]]\n\
         [sync.{PACKAGE}]\nrepo = \"{OWNER}/{NAME}\"\nmirror = [\"rim/=spokes/\"]\n{NO_CODE}\nlimits.turns = {TURNS}\n"
    )
}

/// What people see of a run.
fn shown(record: &SyncRecord, pulls: &[(u64, PullView)], questions: &[IssueView]) -> Option<PublishedItem> {
    let number = |url: &str| url.rsplit('/').next()?.parse::<u64>().ok();
    if let Some(pull) = &record.detail.pull {
        let (number, view) = pulls.iter().find(|(known, _)| Some(*known) == number(&pull.url))?;
        let what = match pull.kind {
            JobPullKind::Final => PublishedItemKind::PullRequest,
            JobPullKind::Wip => PublishedItemKind::Draft,
        };
        return Some(PublishedItem { what, number: *number, title: view.title.clone() });
    }
    let asked = number(record.detail.question.as_ref()?)?;
    let issue = questions.iter().find(|issue| issue.number == asked)?;
    Some(PublishedItem { what: PublishedItemKind::Issue, number: asked, title: issue.title.clone() })
}
