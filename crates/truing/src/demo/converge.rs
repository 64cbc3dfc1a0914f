//! The story of a change that converges: `truing demo converge`. A draft pull request with a planted bug at a forge on
//! this machine, a model that reports the bug as long as it is there and mends it when it is asked to, and `truing
//! converge` by the code of that very command; then the same on a clone's own branch.
//!
//! What is told is read back: from the forge, or from the clone by git.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::Serialize;
use truing_core::converge::record::ConvergeRecord;
use truing_fakes::checkout::{self, GitLogEntry};
use truing_fakes::forge::{FakeForge, FakeRepo, NewPull, PullView};
use truing_fakes::model::{
    FakeModel, KEY, KnownBug, ModelScript, ScriptedAnswer, ScriptedFix, ScriptedToolCall,
};
use truing_fakes::repo::CommitBuilder;

use super::{DemoError, DemoModelUsage, FORGE, LOGIN, NAME, OWNER, TOKEN, WRITER, ours, set_up, taken};
use crate::cli::converge::ended;
use crate::cli::{CommandContext, GlobalArgs};

/// The branch.
const BRANCH: &str = "totals";
/// Its file, and the line of it that is wrong, and as it should be.
const FILE: &str = "total.py";
const CODE: &str = "def total(items):\n    sum = 0\n    for i in range(len(items) - 1):\n        sum += items[i]\n    return sum\n";
const WRONG: &str = "    for i in range(len(items) - 1):\n";
const RIGHT: &str = "    for i in range(len(items)):\n";
/// What the model calls it.
const BUG: &str = "The last element is left out";
/// The operator's file.
const CONFIG: &str = "truing.toml";
/// The clone's folder.
const CLONE: &str = "clone";
/// Audits that it takes, and commits.
const LOOPS: u32 = 2;
const FIXES: usize = 1;

/// How a run ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ConvergeDemoEnd {
    /// The word for it.
    pub exit: &'static str,
    /// Audits that it made.
    pub loops: u32,
    /// What the command says of it.
    pub report: String,
}

impl ConvergeDemoEnd {
    fn of(record: &ConvergeRecord, report: String) -> Self {
        let exit = record.detail.state.exit.as_ref().map_or("unfinished", |exit| exit.kind().as_str());
        Self { exit, loops: record.detail.state.audits, report }
    }

    fn holds(&self) -> bool {
        self.exit == "converged" && self.loops == LOOPS
    }
}

/// A commit of the run's, as git shows it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct FixCommit {
    /// Its id.
    pub commit: String,
    /// The commit it is on.
    pub parent: String,
    /// Who it says made it.
    pub author: String,
    /// The first line of its message.
    pub subject: String,
    /// The lines it takes away and adds.
    pub lines: Vec<String>,
}

impl From<GitLogEntry> for FixCommit {
    fn from(shown: GitLogEntry) -> Self {
        let GitLogEntry { commit, parent, author, subject, lines } = shown;
        Self { commit, parent, author, subject, lines }
    }
}

/// A review, as the forge has it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct PublishedReview {
    /// The commit it is of.
    pub commit: String,
    /// What it says.
    pub body: String,
    /// Its comments on code.
    pub threads: Vec<PublishedThread>,
}

/// A comment on code, and what came of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct PublishedThread {
    /// The file.
    pub path: String,
    /// The line that it was put on.
    pub line: Option<u32>,
    /// What it says.
    pub body: String,
    /// The answers to it.
    pub answers: Vec<String>,
    /// Is it resolved?
    pub resolved: bool,
}

/// The pull request after the run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct PullRequestResult {
    /// `owner/name#number`.
    pub name: String,
    /// Its title.
    pub title: String,
    /// Was it a draft before, and is it one now?
    pub drafts: [bool; 2],
    /// How the run ended.
    #[serde(flatten)]
    pub ended: ConvergeDemoEnd,
    /// The commits on top of what was there before.
    pub commits: Vec<FixCommit>,
    /// The reviews, oldest first.
    pub reviews: Vec<PublishedReview>,
    /// Reviews, comments and answers that say what another one says already.
    pub duplicates: usize,
}

impl PullRequestResult {
    fn holds(&self) -> bool {
        let mut threads = self.reviews.iter().flat_map(|review| &review.threads).peekable();
        self.ended.holds()
            && self.drafts == [true, false]
            && (self.commits.len(), self.duplicates) == (FIXES, 0)
            && u32::try_from(self.reviews.len()) == Ok(LOOPS)
            && threads.peek().is_some()
            && threads.all(|thread| thread.resolved && thread.answers.len() == 1)
    }
}

/// The clone after the run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct LocalBranchResult {
    /// The branch that was checked out.
    pub branch: String,
    /// Where it was before, and where it is now.
    pub tips: [String; 2],
    /// The run's own branch.
    pub run_branch: String,
    /// How the run ended.
    #[serde(flatten)]
    pub ended: ConvergeDemoEnd,
    /// The commits that are on the run's branch only.
    pub commits: Vec<FixCommit>,
}

impl LocalBranchResult {
    fn holds(&self) -> bool {
        self.ended.holds() && self.tips[0] == self.tips[1] && self.commits.len() == FIXES
    }
}

/// What the story came to: `truing demo converge --format json`.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ConvergeDemoReport {
    /// The pull request.
    pub pull_request: PullRequestResult,
    /// The branch of the clone.
    pub local: LocalBranchResult,
    /// What the model was asked, and what that would have cost.
    #[serde(flatten)]
    pub model: DemoModelUsage,
    /// How long it all took.
    pub seconds: f64,
}

impl ConvergeDemoReport {
    /// Did the loop keep what it promises?
    pub fn holds(&self) -> bool {
        self.pull_request.holds() && self.local.holds()
    }
}

/// The story with all that it is played on.
pub struct ConvergeDemo {
    forge: FakeForge,
    repo: FakeRepo,
    number: u64,
    model: FakeModel,
    context: CommandContext,
    folder: tempfile::TempDir,
    began: Instant,
}

impl ConvergeDemo {
    /// Starts everything on free ports of this machine; `context` is the demonstration's own.
    ///
    /// # Errors
    /// [`DemoError`]
    pub async fn start(context: &CommandContext) -> Result<Self, DemoError> {
        let began = Instant::now();
        let folder = tempfile::tempdir().map_err(set_up)?;
        let forge = FakeForge::start(truing_fakes::forge::FakeForgeOptions::default()).await?;
        forge.token(TOKEN, LOGIN);
        let first = CommitBuilder::new("Begin").write("README.md", "# spokes\n");
        let repo = forge.create_repository(OWNER, NAME, first).await?;
        repo.permit(LOGIN, "write").await?;
        repo.permit(WRITER, "write").await?;
        repo.push(BRANCH, CommitBuilder::new("Add totals").by(WRITER).write(FILE, CODE)).await?;
        repo.check_out(BRANCH, &folder.path().join(CLONE)).await?;
        let number = repo.open(NewPull { draft: true, ..NewPull::of(BRANCH) }).await?;
        let model = FakeModel::start(script()).await.map_err(set_up)?;
        let config = folder.path().join(CONFIG);
        std::fs::write(&config, operator(folder.path(), forge.base_url(), model.url())).map_err(set_up)?;
        std::fs::write(folder.path().join("token"), TOKEN).map_err(set_up)?;
        std::fs::write(folder.path().join("key"), KEY).map_err(set_up)?;
        let variables = vec![("HOME".to_owned(), folder.path().display().to_string())];
        let environment = taken(&context.environment).map_err(set_up)?.with(variables, folder.path());
        let globals = GlobalArgs { config: Some(config), ..context.globals.clone() };
        let context = CommandContext { globals, environment, output: context.output };
        Ok(Self { forge, repo, number, model, context, folder, began })
    }

    /// The operator's file, with which the commands show more, as long as this lives.
    pub fn config(&self) -> PathBuf {
        self.folder.path().join(CONFIG)
    }

    /// The forge's address.
    pub fn forge(&self) -> &str {
        self.forge.base_url()
    }

    /// The pull request, as `truing converge` is told of it.
    pub fn pull(&self) -> String {
        format!("{OWNER}/{NAME}#{}", self.number)
    }

    /// `truing converge` on the pull request, and what it shows then.
    ///
    /// # Errors
    /// [`DemoError`]
    pub async fn converge(&self) -> Result<PullRequestResult, DemoError> {
        let name = self.pull();
        let before = self.repo.pull(self.number).await?;
        let ended = self.run(&name).await?.0;
        let after = self.repo.pull(self.number).await?;
        let commits = fixes(&self.repo.dir().await?, &before.head, &after.head).await?;
        Ok(PullRequestResult {
            name,
            title: after.title.clone(),
            drafts: [before.draft, after.draft],
            ended,
            commits,
            reviews: reviews(&after),
            duplicates: duplicates(&after),
        })
    }

    /// `truing converge` on the clone's branch, and what git shows then.
    ///
    /// # Errors
    /// [`DemoError`]
    pub async fn converge_clone(&self) -> Result<LocalBranchResult, DemoError> {
        let clone = self.folder.path().join(CLONE);
        let tip = || checkout::tip(&clone, BRANCH).map_err(set_up);
        let before = tip()?;
        let (ended, run_branch) = self.run(CLONE).await?;
        let commits = fixes(&clone, BRANCH, &run_branch).await?;
        Ok(LocalBranchResult {
            branch: BRANCH.to_owned(),
            tips: [before, tip()?],
            run_branch,
            ended,
            commits,
        })
    }

    /// The story's end.
    ///
    /// # Errors
    /// [`DemoError`]
    pub fn report(
        &self,
        pull_request: PullRequestResult,
        local: LocalBranchResult,
    ) -> Result<ConvergeDemoReport, DemoError> {
        let seconds = (self.began.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
        Ok(ConvergeDemoReport { pull_request, local, model: DemoModelUsage::of(&self.model)?, seconds })
    }

    /// How a run ended, and the branch that it worked on.
    async fn run(&self, target: &str) -> Result<(ConvergeDemoEnd, String), DemoError> {
        let ended = Box::pin(ended(target, &self.context)).await;
        let (record, report) = ended.map_err(|error| set_up(error.message))?;
        Ok((ConvergeDemoEnd::of(&record, report), record.detail.branch))
    }
}

/// A model that knows the bug and how it is mended: what it says follows from what it is shown.
fn script() -> ModelScript {
    let mend = ScriptedFix {
        title: Some(BUG.to_owned()),
        calls: vec![ScriptedToolCall::edit(FILE, WRONG, RIGHT)],
        declined: None,
    };
    let body = "`range(len(items) - 1)` ends one too early: a list of one element has no total.".to_owned();
    let bug = KnownBug { body, ..KnownBug::new(FILE, WRONG.trim(), BUG) };
    let writer = ScriptedAnswer::describes("Totals count every element, the last one too.");
    ModelScript::of(ScriptedAnswer::audits([bug]).into_iter().chain([ScriptedAnswer::fixes([mend]), writer]))
}

/// What an operator would write.
fn operator(folder: &Path, forge: &str, model: &str) -> String {
    let folder = folder.display();
    format!(
        "[store]\nurl = \"sqlite:{folder}/truing.db\"\n\
         [forge.{FORGE}]\napi_url = \"{forge}\"\ngit_url = \"{forge}\"\ntoken = {{ file = \"{folder}/token\" }}\nsettle = \"0s\"\n\
         [model]\nbase_url = \"{model}\"\napi_key = {{ file = \"{folder}/key\" }}\n"
    )
}

async fn fixes(dir: &Path, base: &str, head: &str) -> Result<Vec<FixCommit>, DemoError> {
    let (dir, base, head) = (dir.to_owned(), base.to_owned(), head.to_owned());
    let log = tokio::task::spawn_blocking(move || checkout::log(&dir, &base, &head));
    Ok(log.await.map_err(set_up)?.map_err(set_up)?.into_iter().map(FixCommit::from).collect())
}

/// Our reviews, each with its comments on code. An answer makes one without words: that one is its thread's.
fn reviews(pull: &PullView) -> Vec<PublishedReview> {
    let of = pull.reviews.iter().filter(|review| review.author == LOGIN && !review.body.is_empty());
    of.map(|review| {
        let begun = |comment: &&truing_fakes::forge::CommentView| {
            comment.review == Some(review.id) && comment.in_reply_to.is_none()
        };
        let threads = pull.inline().filter(begun).map(|comment| {
            let place = comment.place.as_ref();
            let answers = pull.inline().filter(|other| other.in_reply_to == Some(comment.id));
            PublishedThread {
                path: place.map(|place| place.path.clone()).unwrap_or_default(),
                line: place.and_then(|place| place.line).map(|(_, line)| line),
                body: comment.body.clone(),
                answers: answers.map(|answer| answer.body.clone()).collect(),
                resolved: comment.resolved,
            }
        });
        PublishedReview {
            commit: review.commit.clone(),
            body: review.body.clone(),
            threads: threads.collect(),
        }
    })
    .collect()
}

/// Words of ours that are there twice: what a repeated step would leave.
fn duplicates(pull: &PullView) -> usize {
    let reviews = pull.reviews.iter().filter(|review| review.author == LOGIN && !review.body.is_empty());
    let all: Vec<&str> = ours(pull).chain(reviews.map(|review| review.body.as_str())).collect();
    all.len() - all.iter().collect::<BTreeSet<_>>().len()
}
