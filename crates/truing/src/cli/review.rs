//! The command `truing review`: reviews the changes in a local repository and prints the findings.

// long: the flags of the command and the order of its steps.

mod annotations;
mod arguments;
mod cassette;
mod errors;
mod fix;
mod interruption;
pub(super) mod json;
mod linters;
pub(super) mod markdown;
mod proposed_fixes;
mod publish;
mod pull;
mod repository_settings;
#[cfg(test)]
mod sample_finding;
pub(super) mod sarif;
mod settings_warnings;
mod shortened_change;
mod target;
pub(super) mod text;
mod tool_outputs;
mod unknown_name_hints;
mod unreviewed_files;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use tokio::sync::watch;
use truing_config::Config;
use truing_config::environment::Environment;
use truing_config::layer::KeyFlag;
use truing_core::code_digest::LinesKey;
use truing_core::finding::Finding;
use truing_core::id::SlotKey;
use truing_core::outcome::ReviewOutcomeKind;
use truing_core::port::Clock as _;
use truing_core::switch::RepositoryRef;
use truing_git::{Git, GitError, IndexSnapshot, LocalRepository};
use truing_loops::attempts::AttemptRegistry;
use truing_loops::compare::HeadSource;
use truing_loops::finding_storage::{RecordOpener, RecordsOpenError};
use truing_loops::fix::UnappliedSuggestion;
use truing_loops::ignores;
use truing_loops::local::{LocalReviewOutcome, LocalReviewRequest};
use truing_loops::machine::{SystemClock, new_run_id};

use super::destination::OutputFileArgs;
use super::error::{CliError, CommandExit};
use super::output::{OutputPrinter, shell_quote};
use super::tiers::instructions_text;
use super::{CliFormat, ColorWhen, CommandContext, diff, runtime};
use crate::wiring;
use crate::wiring::store::StoreLocation;
use arguments::{FailOnFlag, ReviewTarget, ReviewerFlag, reject_file};
use cassette::CassetteArgs;
use fix::{FixOutcome, FixSession};
use interruption::run_until_interrupted;
use publish::PublishJson;
pub(super) use repository_settings::{denied_key_names, denied_keys_warning, read_repository_config};
pub(super) use target::{
    OwnerTarget, PullTarget, RepositoryTarget, is_pull_name, is_pull_slot_key, starter_forge,
    unsupported_origin,
};
use text::SuggestedCommands;
use tool_outputs::{ReviewFolders, ToolOutputArgs};

/// Maximum size of a given diff in bytes. Git's own diffs have the same limit.
const MAX_DIFF_BYTES: u64 = truing_git::options::MAX_DIFF_BYTES as u64;

/// Review the changes in a local repository, or a pull request
///
/// Without --base and --head, the working tree, including new files, is compared with the merge base of the
/// default branch. If there is no difference, the last commit is reviewed. A pull request is fetched from its
/// forge. Only --fix changes files.
#[derive(clap::Args, Clone, Debug)]
pub struct ReviewArgs {
    /// A folder of the repository, a pull request as for --pr, or a commit as for --head [default: the
    /// current folder]
    ///
    /// For a folder, the changes of its whole repository are reviewed. The range BASE..HEAD means --base BASE
    /// --head HEAD. A number selects a pull request. To review a branch whose name is a number, write
    /// refs/heads/NUMBER.
    #[arg(value_name = "FOLDER|PULL-REQUEST|REF", value_hint = clap::ValueHint::DirPath)]
    target_argument: Option<PathBuf>,
    /// True if the head is a commit that was named without `--head`.
    #[arg(skip)]
    is_bare_ref: bool,
    /// Compare with the merge base of the head and this commit, instead of the default branch
    ///
    /// To review all files of the head, specify Git's id of the empty tree (`git hash-object -t tree
    /// /dev/null`).
    #[arg(long, value_name = "REF")]
    base: Option<String>,
    /// Review this commit instead of the working tree
    #[arg(long, value_name = "REF")]
    head: Option<String>,
    /// Review the staged changes, against HEAD
    #[arg(long, conflicts_with_all = ["head", "diff"])]
    staged: bool,
    /// Review this diff, whether or not it is already applied to the working tree; `-` reads standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["base", "head", "fix"])]
    diff: Option<PathBuf>,
    /// Review this pull request: its URL, OWNER/NAME#NUMBER, OWNER/NAME/NUMBER, NUMBER (of `origin`), or a
    /// key of `truing queue list`
    ///
    /// github.com needs no configuration, only a token in GITHUB_TOKEN or GH_TOKEN; configure any other
    /// server as a forge. The repository's own .truing.toml is read from the default branch.
    #[arg(long, value_name = "URL", value_parser = NonEmptyStringValueParser::new(),
        conflicts_with_all = ["target_argument", "base", "head", "staged", "diff", "fix"])]
    pr: Option<String>,
    /// Publish the review on the pull request, as the service does; a second run posts nothing twice
    #[arg(long, conflicts_with = "no_record")]
    publish: bool,
    /// Show what would be published, and publish nothing
    #[arg(long, requires = "publish")]
    dry_run: bool,
    /// The reviewers: rules only, or rules and a model, which costs money [default: review.runtime]
    #[arg(long, value_enum)]
    runtime: Option<ReviewerFlag>,
    /// Use this rule pack instead of the configured ones; may be repeated
    #[arg(long = "pack", value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    packs: Vec<String>,
    /// Apply the fixes of auto-fixable findings to the working tree, then review again
    ///
    /// Shows the changes first, as a diff, and the command that undoes them. The index and commits never
    /// change. A file that was modified after the review is left unchanged. On a terminal, the command asks
    /// about each fix that a model proposes.
    #[arg(long, conflicts_with = "head")]
    fix: bool,
    /// With --fix, apply the fixes that a model proposes, and do not ask about each fix
    #[arg(long, requires = "fix")]
    yes: bool,
    /// Exit with 1 if there is a finding of this severity or worse
    #[arg(long, value_name = "SEVERITY", value_enum, ignore_case = true, default_value = "P1")]
    fail_on: FailOnFlag,
    /// Do not exit with 1 only because a changed file could not be reviewed
    #[arg(long)]
    allow_partial: bool,
    /// Do not use the record of earlier reviews, and do not add to it
    #[arg(long)]
    no_record: bool,
    /// Run linters on the changed files: the installed linters that the repository uses, and all configured
    /// linters (`auto`, also without a value); with `suggested`, also installed linters for kinds of files
    /// that no linter of the repository checks [default: review.tools]
    ///
    /// The linters run in the sandbox, without a network and with read-only access to the files. Findings of
    /// suggested linters have the severity P2.
    #[arg(
        long,
        value_name = "SELECTION",
        num_args = 0..=1,
        default_missing_value = "auto",
        conflicts_with_all = ["replay", "diff"],
        value_parser = ["auto", "suggested"]
    )]
    tools: Option<String>,
    /// Print on stderr the tier that applies, the reason for it, and the price of a review by tier; with
    /// --tools, also the program and the readable files of each linter
    #[arg(long)]
    explain: bool,
    #[command(flatten)]
    outputs: ToolOutputArgs,
    #[command(flatten)]
    tapes: CassetteArgs,
    #[command(flatten)]
    destination: OutputFileArgs,
}

impl ReviewArgs {
    /// Converts the positional argument to the flag with the same meaning.
    ///
    /// # Errors
    /// Returns exit 2 if another flag contradicts the argument.
    async fn resolve_positional_target(mut self, environment: &Environment) -> Result<Self, CliError> {
        let Some(text) = self.target_argument.as_ref().and_then(|path| path.to_str()).map(str::to_owned)
        else {
            return Ok(self);
        };
        let target = ReviewTarget::resolve(&text, environment, self.publish).await;
        let (what, takes_base) = match &target {
            ReviewTarget::Folder => return reject_file(&text, environment).map(|()| self),
            ReviewTarget::PullRequest => ("a pull request", false),
            ReviewTarget::Commits { base, .. } => ("a commit", base.is_none()),
        };
        let given = [
            ("--base", self.base.is_some() && !takes_base),
            ("--head", self.head.is_some()),
            ("--staged", self.staged),
            ("--diff", self.diff.is_some()),
            ("--fix", self.fix),
        ];
        if let Some((flag, _)) = given.iter().find(|(_, is_given)| *is_given) {
            let message = format!("`{text}` is {what}, which cannot be used with {flag}");
            return Err(CliError::usage("usage", message).hint("omit one of them"));
        }
        self.target_argument = None;
        match target {
            ReviewTarget::Commits { base, head } => {
                (self.base, self.head, self.is_bare_ref) = (base.or(self.base), Some(head), true);
            }
            ReviewTarget::PullRequest | ReviewTarget::Folder => self.pr = Some(text),
        }
        Ok(self)
    }

    /// Returns the configuration keys that are set by flags.
    fn config_flags(&self) -> Vec<KeyFlag> {
        let runtime = self.runtime.map(|runtime| KeyFlag {
            name: "--runtime",
            key: "review.runtime",
            values: vec![runtime.as_str().to_owned()],
        });
        let packs = (!self.packs.is_empty()).then(|| KeyFlag {
            name: "--pack",
            key: "rules.packs",
            values: self.packs.clone(),
        });
        let tools = self.tools.clone().map(|selection| KeyFlag {
            name: "--tools",
            key: "review.tools",
            values: vec![selection],
        });
        runtime.into_iter().chain(packs).chain(tools).collect()
    }
}

/// Reviews the changes, prints the result, and returns the exit code ([`review_exit`]).
pub(crate) fn run(args: &ReviewArgs, context: &CommandContext) -> Result<CommandExit, CliError> {
    let runtime = runtime::start()?;
    let args = runtime.block_on(args.clone().resolve_positional_target(&context.environment))?;
    if args.publish && args.pr.is_none() {
        // Arguments such as PATH conflict with `--pr`. In case of such a conflict, clap does not check that
        // `--publish` requires `--pr`, so this code checks it.
        return Err(CliError::usage("no_pull", "--publish requires a pull request: --pr <URL>")
            .hint("a local review is only printed: omit --publish, or specify a pull request with --pr"));
    }
    let (tell, interrupt) = watch::channel(false);
    let command = ReviewCommand {
        config: context.config(&args.config_flags())?,
        args: args.clone(),
        environment: context.environment.clone(),
        output: context.output,
        color: context.globals.color,
        is_interrupted: Arc::default(),
        attempts: AttemptRegistry::default(),
        interrupt,
    };
    let changed = if args.publish {
        "published comments stay; run the command again: nothing is posted twice"
    } else if args.fix {
        "the fixes made so far are listed above with the command that undoes them; run the command again"
    } else {
        "nothing in the repository was changed; run the command again"
    };
    let traces = wiring::start_telemetry(&command.config, &command.environment, runtime.handle())?;
    let ended = runtime.block_on(run_until_interrupted(command, tell, changed));
    drop(traces);
    // A thread may still be reading files. It changes nothing, and ends with the process.
    runtime.shutdown_within(Duration::ZERO);
    ended
}

/// Labels that a printed review contains.
#[derive(Clone, Copy, Default)]
struct ReportContext<'a> {
    /// Name of the reviewed commit, as the user gave it.
    head: Option<&'a str>,
    /// Source of the repository's own configuration, if it was used.
    config_source: Option<&'a str>,
    /// URL of the repository's remote.
    remote: Option<&'a str>,
    /// Comments that were published. In a dry run, comments that would be published.
    published_comments: Option<&'a PublishJson>,
    /// Fixes that `--fix` has not applied.
    unapplied_fixes: &'a [UnappliedSuggestion],
}

/// The command, with the values that all its steps need.
struct ReviewCommand {
    args: ReviewArgs,
    config: Config,
    environment: Environment,
    output: OutputPrinter,
    color: ColorWhen,
    /// True after the command was interrupted.
    is_interrupted: Arc<AtomicBool>,
    /// Reviews that have called a model and have not ended yet.
    attempts: AttemptRegistry,
    /// True after the command was interrupted. Tasks can wait for the change of this value.
    interrupt: watch::Receiver<bool>,
}

impl ReviewCommand {
    async fn run(self) -> Result<CommandExit, CliError> {
        self.args.destination.check_writable(self.environment.directory())?;
        if let Some(pr) = &self.args.pr {
            return match Box::pin(self.review_pull(pr)).await {
                Ok(exit) => Ok(exit),
                Err(error) => Err(self.with_branch_hint(pr, error).await),
            };
        }
        let reader = wiring::local_reader(&self.config.rules)?;
        let outputs = self.args.outputs.read(self.environment.directory(), &reader).await?;
        let diff = self.read_diff().await?;
        let progress = self.output.progress("reviewing", None);
        let git = wiring::open_git(&self.environment).await?;
        let repository = self.open_repository(&git).await.map_err(wiring::git_error)?;
        self.register_review(truing_loops::local::repository_key(&repository));
        // The fix session starts before the review, because it reports the changes that a killed run left in
        // the working tree. Without this report, the review would include these changes unnoticed.
        let mut fixing = if self.args.fix { Some(self.start_fix_session(repository.root())?) } else { None };
        let head = match &self.args.head {
            Some(name) => Some(
                repository
                    .resolve_commit(name)
                    .await
                    .map_err(|error| self.unknown_commit_error(name, error))?,
            ),
            None => None,
        };
        let index = self.read_staged_index(&repository).await.map_err(wiring::git_error)?;
        let asked = self.open_agent().await?;
        let config_commit = match &head {
            Some(head) => Some(self.config_commit(&repository, head).await?),
            None => None,
        };
        let own = read_repository_config(&repository, config_commit.as_ref()).await?;
        let config = match &own {
            Some(file) => self.config.with_repository(file)?,
            None => self.config.clone(),
        };
        let mut unsigned = None;
        let lines_key = match self.args.no_record {
            true => LinesKey::default(),
            false => wiring::line_digest_key(&config, &self.environment).unwrap_or_else(|error| {
                unsigned = Some(error.message);
                LinesKey::derive(new_run_id().as_str().as_bytes())
            }),
        };
        let folder = self.environment.directory();
        let start = ReviewFolders { root: repository.root(), folder, has_all_files: diff.is_none() };
        let local = LocalReviewRequest {
            repository: &repository,
            base: self.args.base.as_deref(),
            head_name: self.args.head.as_deref(),
            head: match (&head, &index, &diff) {
                (Some(commit), _, _) => HeadSource::Commit(commit),
                (None, Some(index), _) => HeadSource::Index(index),
                (None, None, Some(diff)) => HeadSource::Diff(diff),
                (None, None, None) => HeadSource::WorkingTree,
            },
            config_commit: config_commit.as_ref(),
            scope: &wiring::review_scope(&config, lines_key)?,
            reader: &reader,
            linter_sources: &self.linter_sources(&config, outputs.into_tool_outputs(start)),
            model: asked
                .agent
                .as_ref()
                .map(|agent| wiring::agent::gated_agent(agent, RepositoryRef::default())),
            attempts: &self.attempts,
            record_opener: self.record_opener(&config),
            clock: &SystemClock,
        };
        let mut review = local.run().await?;
        drop(progress);
        let fixed = match &mut fixing {
            Some(fixing) => {
                self.apply_fixes(fixing, &review, &repository, index.as_ref(), &config, &reader).await?
            }
            None => FixOutcome::default(),
        };
        if fixed.has_changed {
            let _progress = self.output.progress("reviewing again", None);
            review = local.run().await?;
        }
        match (&review.unrecorded_reason, unsigned) {
            (Some(why), _) => self.output.warn(format_args!("the review is not recorded: {why}")),
            (None, Some(why)) => {
                self.output.warn(format_args!("this review ignores dismissals of secrets: {why}"));
            }
            (None, None) => {}
        }
        if self.args.explain {
            let tier = "tier: none; the rules of `review.for` apply to pull requests only\n";
            self.output.print_even_if_quiet(tier.to_owned() + &instructions_text(&review.record));
        }
        self.suggest_linters(&review, &config, &repository, &reader).await;
        if let Some(why) = asked.incomplete_warning() {
            self.output.warn(why);
        }
        let is_sarif = self.output.format() == CliFormat::Sarif;
        let remote = if is_sarif { repository.origin_url() } else { None };
        let diff = self.args.diff.as_deref().map(diff::input_name);
        let configured = own.map(|_| match &config_commit {
            Some(commit) if head.as_ref() != Some(commit) => {
                format!("the base, commit {}", commit.short_sha())
            }
            Some(commit) => format!("commit {}", commit.short_sha()),
            None => "the working tree".to_owned(),
        });
        let names = ReportContext {
            head: self.args.head.as_deref().or(diff.as_deref()),
            config_source: configured.as_deref(),
            remote,
            published_comments: None,
            unapplied_fixes: &fixed.unapplied_suggestions,
        };
        self.warn_of_settings(config.denied_repository_keys(), &config.rules.packs);
        self.print(&review, names, &config.rules.packs)?;
        Ok(review_exit(&review, self.args.fail_on, self.args.allow_partial))
    }

    /// Returns a hint with the command for a review by a model, and with the maximum cost of that review.
    fn model_hint(&self) -> Option<String> {
        let ReviewArgs { staged, diff, target_argument: path, pr, base, head, .. } = &self.args;
        let most = self.config.budget.review;
        // The command in the hint must review the same change. With these flags, the command would review a
        // different change, so there is no hint.
        if most.0 == 0 || *staged || diff.is_some() || base.is_some() || head.is_some() {
            return None;
        }
        let target = match (pr, path) {
            (Some(pr), _) => format!(" {}", shell_quote(pr)),
            (None, Some(path)) => format!(" {}", shell_quote(&path.display().to_string())),
            (None, None) => String::new(),
        };
        let command = self.output.command_line(&format!("review{target} --runtime native"));
        Some(format!("a model costs at most {most}: `{command}`"))
    }

    /// Registers a review by a model. A registered review is recorded even if it fails before it begins.
    fn register_review(&self, key: SlotKey) {
        let runtime = match self.config.review.runtime {
            truing_config::ReviewModelRuntime::RulesOnly => return,
            truing_config::ReviewModelRuntime::NativeToolLoop => truing_core::outcome::ReviewRuntime::Native,
            truing_config::ReviewModelRuntime::ClaudeCli => truing_core::outcome::ReviewRuntime::Cli,
        };
        self.attempts.register_request(new_run_id(), key, SystemClock.now(), runtime);
    }

    /// Opens the repository. With `--staged` and `--diff`, the repository may have no commits yet, because
    /// the user may be making the first commit.
    async fn open_repository(&self, git: &Git) -> Result<LocalRepository, GitError> {
        let may_be_unborn = self.args.staged || self.args.diff.is_some();
        if may_be_unborn {
            git.open_without_commits(&self.repository_path()).await
        } else {
            git.open(&self.repository_path()).await
        }
    }

    /// Reads the given diff, which must be complete.
    async fn read_diff(&self) -> Result<Option<Vec<u8>>, CliError> {
        let Some(file) = self.args.diff.clone() else { return Ok(None) };
        let folder = self.environment.directory().to_owned();
        // The program that writes the diff may be slow. The diff is therefore read in a blocking thread, so
        // that the command can be interrupted during the wait.
        let reading =
            tokio::task::spawn_blocking(move || diff::read_input(Some(&file), &folder, MAX_DIFF_BYTES));
        let (name, bytes) = reading.await.unwrap_or_else(|stopped| {
            Err(CliError::failure("internal", format!("the diff cannot be read: {stopped}")))
        })?;
        match truing_diff::parse_files(&bytes).find_map(Result::err) {
            Some(error) => Err(diff::malformed_diff_error(&name, &error)),
            None => Ok(Some(bytes)),
        }
    }

    /// Returns the index if `--staged` is set. In a hook, the variable `GIT_INDEX_FILE` names the index for
    /// the commit.
    async fn read_staged_index(
        &self,
        repository: &LocalRepository,
    ) -> Result<Option<IndexSnapshot>, GitError> {
        if !self.args.staged {
            return Ok(None);
        }
        let named = self.environment.get("GIT_INDEX_FILE").filter(|name| !name.is_empty());
        repository.snapshot_index(named.map(Path::new)).await.map(Some)
    }

    /// Acquires the right to change files of the working tree.
    fn start_fix_session(&self, root: &Path) -> Result<FixSession<'_>, CliError> {
        FixSession::start(root, self.config.store.local_data_folder()?, &self.is_interrupted, self.output)
    }

    fn repository_path(&self) -> PathBuf {
        let here = self.environment.directory();
        self.args.target_argument.as_ref().map_or_else(|| here.to_owned(), |path| here.join(path))
    }

    /// Returns the function that opens the user's records. With `--no-record`, the function opens nothing.
    fn record_opener(&self, config: &Config) -> RecordOpener {
        let place = StoreLocation::from_config(config, &self.environment).map_err(|error| error.message);
        let wanted = !self.args.no_record;
        Arc::new(move || {
            if !wanted {
                return Ok(None);
            }
            let place = place
                .as_ref()
                .map_err(|reason| RecordsOpenError { reason: reason.clone(), may_hold_findings: false })?;
            // A database server may contain findings. Only an empty or missing file is certain to contain
            // none.
            let is_empty = |file: &Path| file.metadata().map_or(true, |file| file.len() == 0);
            let may_hold_findings = !place.file_path().is_some_and(is_empty);
            let opened = place.open_blocking();
            let opened =
                opened.map_err(|error| RecordsOpenError { reason: error.message, may_hold_findings })?;
            Ok(Some(opened.as_record_store()))
        })
    }

    /// Prints the review, or writes it to the named file. `packs` are the names of the rule packs that were
    /// used.
    fn print(
        &self,
        review: &LocalReviewOutcome,
        report_context: ReportContext<'_>,
        packs: &[String],
    ) -> Result<(), CliError> {
        let ReportContext { head, config_source, remote, published_comments, unapplied_fixes } =
            report_context;
        let format = self.output.format();
        let idle =
            review.record.detail.unused_suppressions.iter().map(|idle| text::visible_text(&idle.to_string()));
        for warning in
            idle.chain(ignores::unused_pattern_warnings(&review.record.detail.unused_ignore_patterns))
        {
            self.output.warn(warning);
        }
        if let (
            Some(from),
            CliFormat::Json | CliFormat::Sarif | CliFormat::Rdjson | CliFormat::Github | CliFormat::Gitlab,
        ) = (config_source, format)
        {
            self.output.print_note(text::render_config_source(from));
        }
        if let (
            Some(published_comments),
            CliFormat::Sarif
            | CliFormat::Markdown
            | CliFormat::Rdjson
            | CliFormat::Github
            | CliFormat::Gitlab,
        ) = (published_comments, format)
        {
            self.output.print_note(published_comments.text().trim_end());
        }
        let findings: Vec<&Finding> = review.findings.open.iter().collect();
        let printed = match format {
            CliFormat::Json => json::render_json(review, published_comments, unapplied_fixes)?,
            // CSV and HTML were rejected before.
            CliFormat::Text | CliFormat::Csv | CliFormat::Html => {
                let flags = if self.args.tools.is_some() { "--tools --fix" } else { "--fix" };
                let fix = match &self.args.target_argument {
                    Some(path) => format!("review {} {flags}", shell_quote(&path.display().to_string())),
                    None => format!("review {flags}"),
                };
                let list = match (&self.args.pr, &self.args.target_argument) {
                    (Some(_), _) => "run the review with `--format json`".to_owned(),
                    (None, Some(path)) => self.output.command_line(&format!(
                        "dismiss --list {}",
                        shell_quote(&path.display().to_string())
                    )),
                    (None, None) => self.output.command_line("dismiss --list"),
                };
                let commands = SuggestedCommands {
                    fix: self.output.command_line(&fix),
                    list_dismissals: list,
                    model_review: self.model_hint(),
                };
                text::render_report(review, head, config_source, &commands)
                    + &published_comments.map_or_else(String::new, PublishJson::text)
            }
            CliFormat::Rdjson => annotations::render_rdjson(&findings)?,
            CliFormat::Github => annotations::render_github(&findings),
            CliFormat::Gitlab => annotations::render_gitlab(&findings)?,
            CliFormat::Markdown => {
                let by = truing_loops::text::reviewer_line(&review.record);
                markdown::render_markdown(&markdown::from_review(review, &findings, head, config_source, &by))
            }
            CliFormat::Sarif => {
                let all = wiring::load_packs(&self.config.rules).map_err(wiring::reader_error)?;
                let rules = all.enabled_rules(packs).map_err(wiring::reader_error)?;
                sarif::render_sarif(&sarif::from_review(review, &findings, &rules, remote))?
            }
        };
        self.args.destination.write_answer(&printed, self.environment.directory(), self.color, self.output)
    }
}

/// Returns the exit code of the review.
fn review_exit(review: &LocalReviewOutcome, fail_on: FailOnFlag, allow_partial: bool) -> CommandExit {
    let blocked = review.findings.open.iter().any(|finding| fail_on.blocks(finding.raw.severity));
    match review.record.detail.outcome.kind {
        ReviewOutcomeKind::Reviewed | ReviewOutcomeKind::Skipped if blocked => CommandExit::NegativeAnswer,
        ReviewOutcomeKind::Reviewed | ReviewOutcomeKind::Skipped => CommandExit::Success,
        ReviewOutcomeKind::Partial if blocked || !allow_partial => CommandExit::NegativeAnswer,
        ReviewOutcomeKind::Partial => CommandExit::Success,
        ReviewOutcomeKind::Deferred => CommandExit::Refusal,
        ReviewOutcomeKind::Failed => CommandExit::Failure,
    }
}
