//! The demonstration `truing demo converge`. A forge on this machine has a draft pull request with a planted
//! bug. A model reports the bug as long as the bug exists, and fixes it on request. The demonstration runs
//! `truing converge` (with the code of the real command) on the pull request, and then on the branch of a
//! clone.
//!
//! The demonstration reads all results from the forge, or with git from the clone.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::Serialize;
use truing_core::converge::record::ConvergeRecord;
use truing_fakes::checkout::{self, GitLogEntry};
use truing_fakes::forge::{FakeForge, FakeRepo, NewPull, PullView};
use truing_fakes::model::{
    DEFAULT_API_KEY, FakeModel, KnownBug, ModelScript, ScriptedAnswer, ScriptedFix, ScriptedToolCall,
};
use truing_fakes::repo::CommitBuilder;

use super::{
    BOT_LOGIN, DemoError, DemoModelUsage, FORGE_NAME, FORGE_TOKEN, REPOSITORY_NAME, REPOSITORY_OWNER,
    WRITER_LOGIN, demo_environment, own_comments, setup_error,
};
use crate::cli::converge::run_on_target;
use crate::cli::{CommandContext, GlobalArgs};

/// Name of the branch with the bug.
const BRANCH_NAME: &str = "totals";
/// File with the bug. The constants below are the file's content, the line with the bug, and the fixed line.
const BUGGY_FILE_NAME: &str = "total.py";
const BUGGY_CODE: &str = "def total(items):\n    sum = 0\n    for i in range(len(items) - 1):\n        \
    sum += \
     items[i]\n    return sum\n";
const BUGGY_LINE: &str = "    for i in range(len(items) - 1):\n";
const FIXED_LINE: &str = "    for i in range(len(items)):\n";
/// Title of the model's finding.
const FINDING_TITLE: &str = "The last element is left out";
/// Name of the operator's file.
const CONFIG_FILE_NAME: &str = "truing.toml";
/// Name of the clone's folder.
const CLONE_FOLDER_NAME: &str = "clone";
/// Expected number of audits. The next constant is the expected number of commits.
const EXPECTED_AUDIT_COUNT: u32 = 2;
const EXPECTED_COMMIT_COUNT: usize = 1;

/// The result of a converge run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ConvergeDemoResult {
    /// Result in one word.
    pub exit: &'static str,
    /// Number of the run's audits.
    pub loops: u32,
    /// Report that the command printed.
    pub report: String,
}

impl ConvergeDemoResult {
    fn from_record(record: &ConvergeRecord, report: String) -> Self {
        let exit = record.detail.state.exit.as_ref().map_or("unfinished", |exit| exit.kind().as_str());
        Self { exit, loops: record.detail.state.audit_count, report }
    }

    fn has_passed(&self) -> bool {
        self.exit == "converged" && self.loops == EXPECTED_AUDIT_COUNT
    }
}

/// A commit that the run created, as git shows it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct FixCommit {
    pub commit: String,
    /// Id of the parent commit.
    pub parent: String,
    /// Author of the commit.
    pub author: String,
    /// First line of the commit message.
    pub subject: String,
    /// Removed and added lines.
    pub lines: Vec<String>,
}

impl From<GitLogEntry> for FixCommit {
    fn from(log_entry: GitLogEntry) -> Self {
        let GitLogEntry { commit, parent, author, subject, changed_lines: lines } = log_entry;
        Self { commit, parent, author, subject, lines }
    }
}

/// A review, as the forge shows it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct PublishedReview {
    /// Commit that was reviewed.
    pub commit: String,
    /// Text of the review.
    pub body: String,
    /// Comments of the review on code.
    pub threads: Vec<PublishedThread>,
}

/// A comment on code, and the replies to the comment.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct PublishedThread {
    pub path: String,
    /// Line that the comment was posted on.
    pub line: Option<u32>,
    /// Text of the comment.
    pub body: String,
    /// Replies to the comment.
    pub answers: Vec<String>,
    /// True if the thread is resolved.
    pub resolved: bool,
}

/// The pull request after the run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct PullRequestResult {
    /// Name of the pull request in the form `owner/name#number`.
    pub name: String,
    pub title: String,
    /// Draft state before and after the run.
    pub drafts: [bool; 2],
    /// Result of the run.
    #[serde(flatten)]
    pub run_end: ConvergeDemoResult,
    /// Commits that the run added.
    pub commits: Vec<FixCommit>,
    /// Reviews of the pull request, oldest first.
    pub reviews: Vec<PublishedReview>,
    /// Number of reviews, comments and replies that repeat another review, comment or reply.
    pub duplicates: usize,
}

impl PullRequestResult {
    fn has_passed(&self) -> bool {
        let mut threads = self.reviews.iter().flat_map(|review| &review.threads).peekable();
        self.run_end.has_passed()
            && self.drafts == [true, false]
            && (self.commits.len(), self.duplicates) == (EXPECTED_COMMIT_COUNT, 0)
            && u32::try_from(self.reviews.len()) == Ok(EXPECTED_AUDIT_COUNT)
            && threads.peek().is_some()
            && threads.all(|thread| thread.resolved && thread.answers.len() == 1)
    }
}

/// The clone after the run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct LocalBranchResult {
    /// Branch that was checked out.
    pub branch: String,
    /// Commit of the branch before and after the run.
    pub tips: [String; 2],
    /// Branch that the run created for its commits.
    pub run_branch: String,
    /// Result of the run.
    #[serde(flatten)]
    pub run_end: ConvergeDemoResult,
    /// Commits that are only on the run's branch.
    pub commits: Vec<FixCommit>,
}

impl LocalBranchResult {
    fn has_passed(&self) -> bool {
        self.run_end.has_passed()
            && self.tips[0] == self.tips[1]
            && self.commits.len() == EXPECTED_COMMIT_COUNT
    }
}

/// The result of the demonstration, printed by `truing demo converge --format json`.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ConvergeDemoReport {
    /// Result of the run on the pull request.
    pub pull_request: PullRequestResult,
    /// Result of the run on the branch of the clone.
    pub local: LocalBranchResult,
    /// Requests to the model and their fictitious cost.
    #[serde(flatten)]
    pub model: DemoModelUsage,
    /// Duration of the demonstration in seconds.
    pub seconds: f64,
}

impl ConvergeDemoReport {
    /// Returns true if the results meet the guarantees of the loop.
    pub fn has_passed(&self) -> bool {
        self.pull_request.has_passed() && self.local.has_passed()
    }
}

/// The demonstration with its forge, model and folder.
pub struct ConvergeDemo {
    forge: FakeForge,
    repo: FakeRepo,
    pull_number: u64,
    model: FakeModel,
    context: CommandContext,
    folder: tempfile::TempDir,
    started_at: Instant,
}

impl ConvergeDemo {
    /// Starts the forge and the model on free ports of this machine. `context` is the context of the command
    /// `truing demo converge`.
    ///
    /// # Errors
    /// Returns a [`DemoError`] if a part cannot be started.
    pub async fn start(context: &CommandContext) -> Result<Self, DemoError> {
        let started_at = Instant::now();
        let folder = tempfile::tempdir().map_err(setup_error)?;
        let forge = FakeForge::start(truing_fakes::forge::FakeForgeOptions::default()).await?;
        forge.register_token(FORGE_TOKEN, BOT_LOGIN);
        let first = CommitBuilder::new("Begin").write("README.md", "# spokes\n");
        let repo = forge.create_repository(REPOSITORY_OWNER, REPOSITORY_NAME, first).await?;
        repo.set_role(BOT_LOGIN, "write").await?;
        repo.set_role(WRITER_LOGIN, "write").await?;
        repo.push(
            BRANCH_NAME,
            CommitBuilder::new("Add totals").with_author(WRITER_LOGIN).write(BUGGY_FILE_NAME, BUGGY_CODE),
        )
        .await?;
        repo.clone_branch(BRANCH_NAME, &folder.path().join(CLONE_FOLDER_NAME)).await?;
        let number = repo.open_pull(NewPull { draft: true, ..NewPull::from_branch(BRANCH_NAME) }).await?;
        let model = FakeModel::start(fix_script()).await.map_err(setup_error)?;
        let config = folder.path().join(CONFIG_FILE_NAME);
        std::fs::write(&config, operator_config(folder.path(), forge.base_url(), model.url()))
            .map_err(setup_error)?;
        std::fs::write(folder.path().join("token"), FORGE_TOKEN).map_err(setup_error)?;
        std::fs::write(folder.path().join("key"), DEFAULT_API_KEY).map_err(setup_error)?;
        let variables = vec![("HOME".to_owned(), folder.path().display().to_string())];
        let environment = demo_environment(&context.environment)
            .map_err(setup_error)?
            .with_variables(variables, folder.path());
        let globals = GlobalArgs { config: Some(config), ..context.globals.clone() };
        let context = CommandContext { globals, environment, output: context.output };
        Ok(Self { forge, repo, pull_number: number, model, context, folder, started_at })
    }

    /// Returns the path of the operator's file for further commands. The file is deleted when this value is
    /// dropped.
    pub fn config_path(&self) -> PathBuf {
        self.folder.path().join(CONFIG_FILE_NAME)
    }

    /// Returns the address of the forge.
    pub fn forge_url(&self) -> &str {
        self.forge.base_url()
    }

    /// Returns the name by which `truing converge` accepts the pull request.
    pub fn pull_name(&self) -> String {
        format!("{REPOSITORY_OWNER}/{REPOSITORY_NAME}#{}", self.pull_number)
    }

    /// Runs `truing converge` on the pull request and reads the result from the forge.
    ///
    /// # Errors
    /// Returns a [`DemoError`] if the run or the forge fails.
    pub async fn converge(&self) -> Result<PullRequestResult, DemoError> {
        let name = self.pull_name();
        let before = self.repo.pull(self.pull_number).await?;
        let ended = self.run(&name).await?.0;
        let after = self.repo.pull(self.pull_number).await?;
        let commits = list_fix_commits(&self.repo.dir().await?, &before.head, &after.head).await?;
        Ok(PullRequestResult {
            name,
            title: after.title.clone(),
            drafts: [before.draft, after.draft],
            run_end: ended,
            commits,
            reviews: collect_reviews(&after),
            duplicates: count_duplicates(&after),
        })
    }

    /// Runs `truing converge` on the clone's branch and reads the result from git.
    ///
    /// # Errors
    /// Returns a [`DemoError`] if the run or git fails.
    pub async fn converge_clone(&self) -> Result<LocalBranchResult, DemoError> {
        let clone = self.folder.path().join(CLONE_FOLDER_NAME);
        let tip = || checkout::resolve_commit(&clone, BRANCH_NAME).map_err(setup_error);
        let before = tip()?;
        let (ended, run_branch) = self.run(CLONE_FOLDER_NAME).await?;
        let commits = list_fix_commits(&clone, BRANCH_NAME, &run_branch).await?;
        Ok(LocalBranchResult {
            branch: BRANCH_NAME.to_owned(),
            tips: [before, tip()?],
            run_branch,
            run_end: ended,
            commits,
        })
    }

    /// Returns the result of the whole demonstration.
    ///
    /// # Errors
    /// Returns a [`DemoError`] if the model's usage cannot be priced.
    pub fn report(
        &self,
        pull_request: PullRequestResult,
        local: LocalBranchResult,
    ) -> Result<ConvergeDemoReport, DemoError> {
        let seconds = (self.started_at.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
        Ok(ConvergeDemoReport {
            pull_request,
            local,
            model: DemoModelUsage::from_model(&self.model)?,
            seconds,
        })
    }

    /// Runs the command on a target. Returns the result of the run, and the branch that the run worked on.
    async fn run(&self, target: &str) -> Result<(ConvergeDemoResult, String), DemoError> {
        let ended = Box::pin(run_on_target(target, &self.context)).await;
        let (record, report) = ended.map_err(|error| setup_error(error.message))?;
        Ok((ConvergeDemoResult::from_record(&record, report), record.detail.branch))
    }
}

/// Returns the script of a model that knows the bug and the fix. The model's answers depend on the code in
/// each request.
fn fix_script() -> ModelScript {
    let mend = ScriptedFix {
        title: Some(FINDING_TITLE.to_owned()),
        calls: vec![ScriptedToolCall::edit(BUGGY_FILE_NAME, BUGGY_LINE, FIXED_LINE)],
        declined: None,
    };
    let body = "`range(len(items) - 1)` ends one element too early: the total of a list with one element \
        is 0."
        .to_owned();
    let bug = KnownBug { body, ..KnownBug::new(BUGGY_FILE_NAME, BUGGY_LINE.trim(), FINDING_TITLE) };
    let writer = ScriptedAnswer::for_describer("Totals include every element, also the last element.");
    ModelScript::from_answers(
        ScriptedAnswer::for_auditors([bug]).into_iter().chain([ScriptedAnswer::for_fixer([mend]), writer]),
    )
}

/// Returns the content of an operator's file that configures these addresses.
fn operator_config(folder: &Path, forge_url: &str, model_url: &str) -> String {
    let folder = folder.display();
    format!(
        "[store]\nurl = \"sqlite:{folder}/truing.db\"\n[forge.{FORGE_NAME}]\napi_url = \
            \"{forge_url}\"\ngit_url \
         = \"{forge_url}\"\ntoken = {{ file = \"{folder}/token\" }}\nsettle = \"0s\"\n[model]\nbase_url \
         = \"{model_url}\"\napi_key = {{ file = \"{folder}/key\" }}\n"
    )
}

async fn list_fix_commits(dir: &Path, base: &str, head: &str) -> Result<Vec<FixCommit>, DemoError> {
    let (dir, base, head) = (dir.to_owned(), base.to_owned(), head.to_owned());
    let log = tokio::task::spawn_blocking(move || checkout::commit_log(&dir, &base, &head));
    Ok(log.await.map_err(setup_error)?.map_err(setup_error)?.into_iter().map(FixCommit::from).collect())
}

/// Returns Truing's reviews, each with its comments on code. Skips reviews without text, because the forge
/// creates such a review for each reply to a comment.
fn collect_reviews(pull: &PullView) -> Vec<PublishedReview> {
    let of = pull.reviews.iter().filter(|review| review.author == BOT_LOGIN && !review.body.is_empty());
    of.map(|review| {
        let begun = |comment: &&truing_fakes::forge::CommentView| {
            comment.review_id == Some(review.id) && comment.in_reply_to.is_none()
        };
        let threads = pull.inline_comments().filter(begun).map(|comment| {
            let place = comment.place.as_ref();
            let answers = pull.inline_comments().filter(|other| other.in_reply_to == Some(comment.id));
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

/// Returns the number of comments, replies and reviews by Truing that repeat another text. A step that ran
/// twice would create such duplicates.
fn count_duplicates(pull: &PullView) -> usize {
    let reviews = pull.reviews.iter().filter(|review| review.author == BOT_LOGIN && !review.body.is_empty());
    let all: Vec<&str> = own_comments(pull).chain(reviews.map(|review| review.body.as_str())).collect();
    all.len() - all.iter().collect::<BTreeSet<_>>().len()
}
