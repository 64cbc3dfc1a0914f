//! The command `truing preflight`: checks the requirements of a converge run. It changes nothing.

// long: one command with a check for each prerequisite, in the order of the output.

use std::path::Path;

use serde::Serialize;
use truing_agent::sandbox::SandboxLevel;
use truing_agent::verify::{CacheScope, SetupResult, VerifiedTree, Verifier, VerifyError};
use truing_config::Config;
use truing_config::converge::BugteamVariables;
use truing_core::code_digest::LinesKey;
use truing_core::id::{PrId, Sha};
use truing_core::line::visible_line;
use truing_core::port::{BranchProtection, ForgeError, ForgeRead as _, PullDetails, PullState};
use truing_core::publish::CommentProducer;
use truing_core::verification::{CommandEndReason, CommandRun};
use truing_forge::remote::RemotePurpose;
use truing_forge::{AnyForgeServer, ForgeServer as _};
use truing_git::{Git, GitError, LocalRepository, Mirror};
use truing_loops::checkout;
use truing_loops::checkout::OperatorRules;
use truing_loops::converge::local::run_branch;
use truing_loops::fetch;
use truing_loops::machine::new_run_id;
use truing_loops::verify::{RepositoryState, check_out_mirror_commit, check_out_state};

use super::columns::fold_line;
use super::converge::{
    ConvergeTarget, NO_TARGET_MESSAGE, SHALLOW_CLONE_HINT, UNCOMMITTED_CHANGES_MESSAGE, branch_write_error,
    check_not_disabled, resolve_target,
};
use super::error::{CliError, CommandExit};
use super::review::{PullTarget, read_repository_config};
use super::{CommandContext, runtime};
use crate::wiring;

/// Check whether a converge run could start here, and list what is missing
///
/// The command checks that git is recent enough, that a base exists, and that the head differs from the base.
/// It checks that a branch for fixes can be written and that the working tree is clean. It also checks the
/// sandbox, the model's key (nothing is sent), the commands of the gate, and the repository's own checks,
/// which must pass before anything is changed. For a pull request, it asks the forge whether the pull request
/// is open, whether Truing may push to the branch, and which rules protect the branch. The gate and the
/// checks run on the head of the pull request. It changes nothing. Exit codes: 0 if every requirement is met,
/// 1 if a requirement is not met, 3 if a check could not be made.
#[derive(clap::Args, Debug)]
pub struct PreflightArgs {
    /// A pull request (URL, OWNER/NAME#NUMBER, or NUMBER in a clone), or a folder in a local repository,
    /// whose current branch is checked [default: the current folder]
    #[arg(value_name = "TARGET")]
    target: Option<String>,
}

/// Message if a variable disables the checks.
const SKIPPED_MESSAGE: &str = "preflight: skipped (BUGTEAM_PREFLIGHT_SKIP=1)";
/// Message for a gate that consists of rules only.
const NO_GATE_COMMANDS_MESSAGE: &str = "no command is configured; the gate consists only of the rule packs";
/// Message for runs without checks.
const NO_CHECKS_MESSAGE: &str = "`verify.check` is not set: nothing shows whether a fix breaks something";
const NO_CHECKS_HINT: &str = "set `verify.check` to the project's tests";
/// Shell command that finds a program without starting it.
const FIND_PROGRAM_COMMAND: [&str; 4] = ["sh", "-c", "command -v -- \"$1\" >/dev/null", "sh"];

/// The answer as JSON.
#[derive(Serialize)]
struct PreflightReport<'a> {
    schema: &'static str,
    ok: bool,
    skipped: bool,
    checks: &'a [PreflightCheck],
}

/// The result of one check.
#[derive(Serialize)]
struct PreflightCheck {
    name: &'static str,
    ok: bool,
    /// False if the forge does not report the result of the check. A run can still start.
    #[serde(rename = "known")]
    is_known: bool,
    /// True if a run can start but its result would be less reliable.
    warning: bool,
    text: String,
    /// Hint for the next step.
    hint: Option<String>,
}

/// The results in the order of the report.
#[derive(Default)]
struct PreflightResults(Vec<PreflightCheck>);

impl PreflightResults {
    fn add_ok(&mut self, name: &'static str, text: impl Into<String>) {
        self.0.push(PreflightCheck {
            name,
            ok: true,
            is_known: true,
            warning: false,
            text: text.into(),
            hint: None,
        });
    }

    fn add_warning(&mut self, name: &'static str, text: impl Into<String>, hint: impl Into<String>) {
        let hint = Some(hint.into());
        self.0.push(PreflightCheck {
            name,
            ok: true,
            is_known: true,
            warning: true,
            text: text.into(),
            hint,
        });
    }

    fn add_unknown(&mut self, name: &'static str, text: impl Into<String>) {
        self.0.push(PreflightCheck {
            name,
            ok: true,
            is_known: false,
            warning: false,
            text: text.into(),
            hint: None,
        });
    }

    fn add_failure(&mut self, name: &'static str, text: impl Into<String>, hint: impl Into<String>) {
        let hint = Some(hint.into());
        self.0.push(PreflightCheck {
            name,
            ok: false,
            is_known: true,
            warning: false,
            text: text.into(),
            hint,
        });
    }

    fn add_error(&mut self, name: &'static str, error: CliError) {
        self.add_failure(name, error.message, error.hints.join("; "));
    }

    fn all_passed(&self) -> bool {
        self.0.iter().all(|check| check.ok)
    }
}

pub(crate) fn run(args: &PreflightArgs, context: &CommandContext) -> Result<CommandExit, CliError> {
    let variables = BugteamVariables::from_environment(&context.environment)?;
    if variables.skips_preflight {
        let report = PreflightReport { schema: SCHEMA, ok: true, skipped: true, checks: &[] };
        context.output.print_answer(&report, || format!("{SKIPPED_MESSAGE}\n"))?;
        return Ok(CommandExit::Success);
    }
    check_not_disabled(context)?;
    let mut found = PreflightResults::default();
    runtime::start()?.block_on(async {
        tokio::select! {
            looked = inspect_target(args.target.as_deref(), context, &mut found) => looked,
            report = runtime::wait_for_stop_signal() => {
                report?;
                Err(CliError::new(CommandExit::Interrupted, "interrupted", "interrupted before everything \
                     was checked")
                    .hint("nothing was changed; all commands have ended"))
            }
        }
    })?;
    let report = PreflightReport { schema: SCHEMA, ok: found.all_passed(), skipped: false, checks: &found.0 };
    context.output.print_answer(&report, || render_text(&found.0))?;
    Ok(if found.all_passed() { CommandExit::Success } else { CommandExit::NegativeAnswer })
}

const SCHEMA: &str = "truing.preflight/1";

/// Checks the requirements in order. If git or the repository cannot be used, the checks end there.
async fn inspect_target(
    target: Option<&str>,
    context: &CommandContext,
    results: &mut PreflightResults,
) -> Result<(), CliError> {
    let operator = context.config(&[])?;
    let git = match wiring::open_git(&context.environment).await {
        Ok(git) => git,
        Err(error) => {
            results.add_error("git", error);
            return Ok(());
        }
    };
    results.add_ok("git", "it is installed and recent enough");
    let folder = match target {
        None => context.environment.directory().to_owned(),
        Some(target) => match resolve_target(target, &git, context).await? {
            ConvergeTarget::Folder(folder) => folder,
            ConvergeTarget::Pull(pull) => return check_pull_request(&pull, &git, context, results).await,
        },
    };
    let repository = match git.open(&folder).await {
        Ok(repository) => repository,
        Err(error) => {
            results.add_error("repository", wiring::git_error(error));
            return Ok(());
        }
    };
    let head = repository.head().map_err(wiring::git_error)?;
    results.add_ok("repository", format!("{} at {}", repository.root().display(), head.short_sha()));
    if repository.is_shallow() {
        results.add_failure("history", "the history of this clone is incomplete", SHALLOW_CLONE_HINT);
    }
    check_change(&repository, head, results).await?;
    let branch = run_branch(&new_run_id());
    match repository.branch_write_error(&branch, head).await.map_err(wiring::git_error)? {
        None => results.add_ok("branch", "a branch for fixes can be created"),
        Some(why) => results.add_error("branch", branch_write_error(&branch, &why)),
    }
    let config = match read_repository_config(&repository, None).await? {
        Some(file) => operator.with_repository(&file)?,
        None => operator,
    };
    let level = check_sandbox(results).await?;
    check_models(&config, context, results);
    if !can_run_commands(&config, level, results) {
        return Ok(());
    }
    let (_folder, tree) = check_out_state(&repository, RepositoryState::Commit(head), &git)
        .await
        .map_err(super::verify::repository_verify_error)?;
    let trust = CacheScope::new(format!("local {}", repository.root().display()));
    check_commands(&tree, &trust, &config, context, results).await
}

/// Checks that the keys of the models are configured.
fn check_models(config: &Config, context: &CommandContext, results: &mut PreflightResults) {
    match wiring::converge::check_auditor_ready(config, &context.environment) {
        Ok(()) => {
            let audits = config.with_named_model(config.roles.auditor.as_ref()).model.name;
            results.add_ok("model", format!("{audits}: the key of this model is set; nothing was sent"));
        }
        Err(error) => results.add_error("model", error),
    }
    match wiring::converge::check_fixer_ready(config, &context.environment) {
        Ok(None) => {}
        Ok(Some(name)) => {
            results.add_ok("fixer", format!("{name}: the key of this model is set; nothing was sent"));
        }
        Err(error) => results.add_error("fixer", error),
    }
}

/// Checks a pull request at its forge, and the other requirements of a run on it.
async fn check_pull_request(
    target: &PullTarget,
    git: &Git,
    context: &CommandContext,
    results: &mut PreflightResults,
) -> Result<(), CliError> {
    let PullTarget { forge, repo, number, config } = target;
    let folder = wiring::ensure_machine_folder(config)?;
    let mut there = None;
    match wiring::forge_client(config, forge, &context.environment, &folder) {
        Err(error) => results.add_error("forge", error),
        Ok(client) => match check_pull_at_forge(&client, config, forge, repo, *number, results).await {
            Ok(seen) => there = Some((client, seen)),
            Err(error) => {
                let hint = "check that the pull request exists, and that the token of the forge may read and \
                     write it";
                results.add_failure("forge", error.to_string(), hint);
            }
        },
    }
    let level = check_sandbox(results).await?;
    check_models(config, context, results);
    let Some((client, (id, now))) = there else { return Ok(()) };
    let fetched = FetchedPullRequest::fetch(&client, repo, &id, &now, git, config).await;
    let FetchedPullRequest { mirror, config } = match fetched {
        Ok(fetched) => fetched,
        Err(error) => {
            results.add_error("commits", error);
            return Ok(());
        }
    };
    if !can_run_commands(&config, level, results) {
        return Ok(());
    }
    let (_folder, tree) = check_out_mirror_commit(&mirror, &now.head.sha, git)
        .await
        .map_err(super::verify::repository_verify_error)?;
    // The scope equals the scope of a converge run, so the run can reuse the cached setup.
    let trust = CacheScope::new(format!("converge {}", id.key()));
    check_commands(&tree, &trust, &config, context, results).await
}

/// The commits of a pull request, and the configuration that includes the repository's own file.
struct FetchedPullRequest {
    mirror: Mirror,
    config: Config,
}

impl FetchedPullRequest {
    async fn fetch(
        client: &AnyForgeServer,
        repo: &str,
        id: &PrId,
        details: &PullDetails,
        git: &Git,
        config: &Config,
    ) -> Result<Self, CliError> {
        let remote = client
            .resolve_remote(&id.repository, repo, RemotePurpose::Push)
            .await
            .map_err(wiring::remote_error)?;
        let place =
            checkout::mirror_path(&wiring::mirrors_folder(&wiring::ensure_machine_folder(config)?), id);
        let mirror = git.open_mirror(&place, &remote).await.map_err(wiring::git_error)?;
        let head = (&details.head.sha, details.head.repository.as_ref());
        fetch::fetch_commits(client, &mirror, head.0, head.1, &[]).await.map_err(wiring::git_error)?;
        let rules =
            OperatorRules::new(config.clone(), LinesKey::default()).map_err(wiring::invalid_glob_error)?;
        let config = rules.effective_config(git, &mirror, &id.forge, &details.base_branch).await?;
        Ok(Self { mirror, config })
    }
}

/// Checks that the pull request is open and that its branch accepts pushes. Returns its id and details.
async fn check_pull_at_forge(
    client: &AnyForgeServer,
    config: &Config,
    forge: &str,
    repo: &str,
    number: u64,
    results: &mut PreflightResults,
) -> Result<(PrId, PullDetails), ForgeError> {
    let repository = client.repository(repo).await?.id;
    let id = PrId { forge: forge.to_owned(), repository, number };
    let now = client.client(&id, repo, CommentProducer::Converge).pull_details().await?;
    let name = format!("{repo}#{number}");
    match now.state {
        PullState::Open | PullState::Draft => {
            results.add_ok("pull request", format!("{name} is open, at {}", now.head.sha.short_sha()));
        }
        PullState::Closed | PullState::Merged => {
            let hint = "the pull request must be open: reopen the pull request, or specify another one";
            results.add_failure("pull request", format!("{name} is closed or merged"), hint);
        }
    }
    let (head, is_fork) =
        (&now.head, now.head.repository.as_ref().is_none_or(|repository| !repository.is_target_repository));
    let branch = visible_line(&head.branch);
    match (head.can_push, is_fork) {
        (Some(true), _) => results.add_ok("push", format!("the token may push to {branch}")),
        (Some(false), true) => results.add_failure(
            "push",
            format!("{branch} is in a fork that is not writable"),
            "the pull request's author must allow edits by maintainers, and the token needs the right to \
                push to the fork and to the repository",
        ),
        (Some(false), false) => results.add_failure(
            "push",
            format!("the token may not push to {branch}"),
            "give the token, or the App, the right to write contents (`contents: write`)",
        ),
        (None, _) => {
            results.add_unknown(
                "push",
                format!("the forge does not report whether the token may push to {branch}"),
            );
        }
    }
    if let Some(repository) = head.repository.as_ref().filter(|_| head.can_push != Some(false)) {
        match client.branch_protection(&repository.name, &head.branch).await {
            Ok(mut protection) => {
                let forge_config = config.forges.get(forge);
                if forge_config.is_some_and(|forge| forge.commits_by_api || forge.signing_key.is_some()) {
                    protection.rules.retain(|rule| rule != SIGNATURE_RULE);
                }
                check_protection(&branch, &protection, results);
            }
            // The forge may not report branch protection for a fork of another owner.
            Err(ForgeError::NotFound { .. } | ForgeError::Forbidden { .. }) if is_fork => {
                results.add_unknown(
                    "protection",
                    format!("the forge does not report the protection rules of {branch}"),
                );
            }
            Err(error) => return Err(error),
        }
    }
    Ok((id, now))
}

/// Reports the branch's protection rules that may make the forge refuse a push.
fn check_protection(
    branch: &str,
    BranchProtection { is_protected, rules }: &BranchProtection,
    results: &mut PreflightResults,
) {
    let refused: Vec<&str> =
        rules.iter().map(String::as_str).filter(|rule| PUSH_BLOCKING_RULES.contains(rule)).collect();
    match (is_protected, refused.is_empty()) {
        (false, true) => results.add_ok("protection", format!("nothing protects {branch}")),
        (_, false) => results.add_failure(
            "protection",
            format!("a ruleset may refuse pushes to {branch}: {}", visible_line(&refused.join(", "))),
            "let the token's account bypass the ruleset, or exclude this branch from the ruleset",
        ),
        (true, true) => results.add_failure(
            "protection",
            format!("{branch} is protected, so the forge may refuse pushes"),
            "let the token's account push to this branch, or remove the branch's protection",
        ),
    }
}

/// Types of rules in GitHub's rulesets that a push by Truing violates.
const PUSH_BLOCKING_RULES: [&str; 4] = ["update", "pull_request", SIGNATURE_RULE, "required_status_checks"];

/// Type of the rule that requires verified commits.
const SIGNATURE_RULE: &str = "required_signatures";

/// Checks that there is a change to audit, and that it is committed.
async fn check_change(
    repository: &LocalRepository,
    head: &Sha,
    results: &mut PreflightResults,
) -> Result<(), CliError> {
    let base = match repository.default_branch_base(head).await {
        Ok(base) => Some(base.commit),
        Err(GitError::NoDefaultBranch | GitError::NoCommonAncestor { .. }) => None,
        Err(error) => return Err(wiring::git_error(error)),
    };
    let differs = match &base {
        Some(base) => !repository.diff(base, head).await.map_err(wiring::git_error)?.is_empty(),
        None => false,
    };
    match base.filter(|_| differs) {
        Some(base) => {
            results.add_ok(
                "difference",
                format!("the head differs from {} of the default branch", base.short_sha()),
            );
        }
        None => {
            let hint = "check out a branch that differs from the default branch, and commit to it";
            results.add_failure("difference", NO_TARGET_MESSAGE, hint);
        }
    }
    let work = repository.worktree_diff(head).await.map_err(wiring::git_error)?;
    match work.diff.is_empty() && work.skipped_files.is_empty() {
        true => results.add_ok("tree", "no uncommitted changes"),
        false => {
            results.add_failure(
                "tree",
                UNCOMMITTED_CHANGES_MESSAGE,
                "uncommitted changes would be left out: `git status` shows them",
            );
        }
    }
    Ok(())
}

/// Returns the sandbox level of the machine, and reports whether this level is sufficient.
async fn check_sandbox(results: &mut PreflightResults) -> Result<SandboxLevel, CliError> {
    let level = tokio::task::spawn_blocking(truing_loops::machine::sandbox_level)
        .await
        .map_err(|error| CliError::failure("sandbox", format!("could not test the sandbox: {error}")))?;
    // A sandbox is required in every case, because every fixer may run commands.
    let wanted = SandboxLevel::MIN_FOR_FOREIGN_CODE;
    match level >= wanted {
        true => results.add_ok("sandbox", level.as_str()),
        false => {
            results.add_failure(
                "sandbox",
                format!(
                    "this machine reaches level `{}`, but level `{}` is needed",
                    level.as_str(),
                    wanted.as_str()
                ),
                wiring::SANDBOX_HINT,
            );
        }
    }
    Ok(level)
}

fn has_commands(config: &Config) -> bool {
    !(config.converge.gate.is_empty()
        && config.verify.setup_commands.is_empty()
        && config.verify.check_commands.is_empty())
}

/// Returns true if there are commands to run and the sandbox can confine them. If there are no commands,
/// reports that.
fn can_run_commands(config: &Config, level: SandboxLevel, results: &mut PreflightResults) -> bool {
    if !has_commands(config) {
        results.add_ok("gate", NO_GATE_COMMANDS_MESSAGE);
        results.add_warning("checks", NO_CHECKS_MESSAGE, NO_CHECKS_HINT);
        return false;
    }
    // If the sandbox's level is too low, that was already reported.
    level >= SandboxLevel::MIN_FOR_FOREIGN_CODE
}

/// Runs the setup and the checks, and looks up the gate's commands, on the files of a commit.
async fn check_commands(
    tree: &Path,
    trust: &CacheScope,
    config: &Config,
    context: &CommandContext,
    results: &mut PreflightResults,
) -> Result<(), CliError> {
    let verifier = match wiring::verify::new_verifier(&config.verify, &context.environment) {
        Ok(verifier) => verifier,
        Err(error) => {
            results.add_error("checks", error);
            return Ok(());
        }
    };
    let progress = context.output.progress("setting up and running checks", None);
    let failed = wiring::verify::verify_error;
    let set_up = verifier.set_up(tree, trust).await.map_err(failed)?;
    report_setup(&set_up, results);
    check_gate_commands(&verifier, &set_up, tree, config, results).await.map_err(failed)?;
    let verified = verifier.verify_tree(tree, trust, None).await.map_err(failed)?;
    report_check_results(&verified, results);
    drop(progress);
    Ok(())
}

fn report_setup(setup_result: &SetupResult, results: &mut PreflightResults) {
    match setup_result.commands.iter().find(|ran| !ran.end.is_success()) {
        Some(ran) => {
            let hint = "fix `verify.setup`: no check runs until the setup succeeds; `truing verify` shows \
                the output of the setup";
            results.add_failure("set-up", render_failure(ran), hint);
        }
        None if setup_result.commands.is_empty() => {}
        None => results.add_ok("set-up", "it works"),
    }
}

/// Checks that the gate's commands can be found. No command is started, because its findings are not needed
/// here.
async fn check_gate_commands(
    verifier: &Verifier,
    setup_result: &SetupResult,
    tree: &Path,
    config: &Config,
    results: &mut PreflightResults,
) -> Result<(), VerifyError> {
    if config.converge.gate.is_empty() {
        results.add_ok("gate", NO_GATE_COMMANDS_MESSAGE);
    }
    for argv in &config.converge.gate {
        let program = argv.first().map(String::as_str).unwrap_or_default();
        let find: Vec<String> =
            FIND_PROGRAM_COMMAND.iter().copied().chain([program]).map(str::to_owned).collect();
        match verifier.run_on_copy(setup_result, tree, &find).await?.end_reason {
            CommandEndReason::Exit { code: 0 } => {
                results.add_ok("gate", format!("`{}` can be started", render_argv(argv)));
            }
            CommandEndReason::Exit { .. }
            | CommandEndReason::Killed
            | CommandEndReason::Time
            | CommandEndReason::Output
            | CommandEndReason::Disk
            | CommandEndReason::Limit { .. }
            | CommandEndReason::DiskFull
            | CommandEndReason::NoProgram => results.add_failure(
                "gate",
                format!("`{}` cannot be started", render_argv(argv)),
                "install the program in a folder that is visible in the sandbox, or add the folder of the \
                program to `verify.programs`, or install the program with `verify.setup`",
            ),
        }
    }
    Ok(())
}

/// Reports the result of each check on the unchanged files. A check that already fails cannot show whether a
/// fix breaks the code.
fn report_check_results(verified: &VerifiedTree, results: &mut PreflightResults) {
    let checks = verified.verification.iter().flat_map(|verification| &verification.checks);
    let mut any = false;
    for check in checks {
        any = true;
        let ran = check.retry.as_ref().unwrap_or(&check.ran);
        match (check.ran.end.is_success(), ran.end.is_success()) {
            (true, _) => results.add_ok("checks", format!("`{}` passes", render_argv(&ran.argv))),
            (false, true) => results.add_failure(
                "checks",
                format!("`{}` failed once and passed once", render_argv(&ran.argv)),
                "a flaky check proves nothing about a fix: make the check reliable",
            ),
            (false, false) => results.add_failure(
                "checks",
                render_failure(ran),
                "this check fails before any fix, so it cannot show whether a fix breaks something: see \
                    `truing verify`",
            ),
        }
    }
    if !any && verified.setup.can_run_checks() {
        results.add_warning("checks", NO_CHECKS_MESSAGE, NO_CHECKS_HINT);
    }
}

fn render_argv(argv: &[String]) -> String {
    visible_line(&argv.join(" "))
}

fn render_failure(command_run: &CommandRun) -> String {
    format!("`{}` fails: {}", render_argv(&command_run.argv), command_run.end)
}

/// Formats the checks with their hints, within the columns of a terminal.
fn render_text(checks: &[PreflightCheck]) -> String {
    let mut text = String::new();
    for PreflightCheck { name, ok, is_known: known, warning, text: what, hint } in checks {
        let mark = match (ok, known, warning) {
            (true, true, false) => "ok  ",
            (true, true, true) => "warn",
            (true, false, _) => "?   ",
            (false, _, _) => "fail",
        };
        let label = format!("{mark} {name}: ");
        text += &fold_line(&label, &visible_line(what));
        if let Some(hint) = hint.as_deref().filter(|hint| !hint.is_empty()) {
            text += &fold_line("     hint: ", &visible_line(hint));
        }
    }
    text
}
