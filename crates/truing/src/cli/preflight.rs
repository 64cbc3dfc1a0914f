//! The command `truing preflight`: checks the requirements of a converge run. It changes nothing.

use std::path::Path;

use serde::Serialize;
use truing_agent::sandbox::SandboxLevel;
use truing_agent::verify::CacheScope;
use truing_config::Config;
use truing_config::converge::BugteamVariables;
use truing_core::RepoPath;
use truing_core::code_digest::LinesKey;
use truing_core::id::{PrId, Sha};
use truing_core::line::visible_line;
use truing_core::port::{BranchProtection, ForgeError, ForgeRead as _, PullDetails, PullState};
use truing_core::publish::CommentProducer;
use truing_forge::remote::RemotePurpose;
use truing_forge::{AnyForgeServer, ForgeServer as _};
use truing_git::{Git, GitError, LocalRepository, Mirror};
use truing_loops::checkout;
use truing_loops::checkout::OperatorRules;
use truing_loops::converge::local::run_branch;
use truing_loops::converge::pre_commit::{PRE_COMMIT_FILE, PRE_COMMIT_HINT, unused_hooks_note};
use truing_loops::converge::preflight::{
    NO_GATE_COMMANDS_MESSAGE, PreflightCheck, PreflightResults, check_tree,
};
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
/// Message for runs without checks.
const NO_CHECKS_MESSAGE: &str = "`verify.check` is not set: nothing shows whether a fix breaks something";
const NO_CHECKS_HINT: &str = "set `verify.check` to the project's tests";

/// The answer as JSON.
#[derive(Serialize)]
struct PreflightReport<'a> {
    schema: &'static str,
    ok: bool,
    skipped: bool,
    checks: &'a [PreflightCheck],
}

/// Adds an error as a failed check.
fn add_error(results: &mut PreflightResults, name: &'static str, error: CliError) {
    results.add_failure(name, error.message, error.hints.join("; "));
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
            add_error(results, "git", error);
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
            add_error(results, "repository", wiring::git_error(error));
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
        Some(why) => add_error(results, "branch", branch_write_error(&branch, &why)),
    }
    let config = match read_repository_config(&repository, None).await? {
        Some(file) => operator.with_repository(&file)?,
        None => operator,
    };
    let level = check_sandbox(results).await?;
    check_models(&config, context, results);
    check_hooks(repository.root().join(PRE_COMMIT_FILE).exists(), &config, results);
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
        Err(error) => add_error(results, "model", error),
    }
    match wiring::converge::check_fixer_ready(config, &context.environment) {
        Ok(None) => {}
        Ok(Some(name)) => {
            results.add_ok("fixer", format!("{name}: the key of this model is set; nothing was sent"));
        }
        Err(error) => add_error(results, "fixer", error),
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
        Err(error) => add_error(results, "forge", error),
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
            add_error(results, "commits", error);
            return Ok(());
        }
    };
    if let Err(error) = mirror.check_signing_key(&now.head.sha).await {
        results.add_failure("signature", error.to_string(), error.hint());
    }
    let hooks = mirror.read_file(&now.head.sha, &RepoPath::from_bytes(PRE_COMMIT_FILE.as_bytes())).await;
    check_hooks(hooks.map_err(wiring::git_error)?.is_some(), &config, results);
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
                let has_key = forge_config.is_some_and(|forge| forge.signing_key.is_some());
                let by_api = forge_config.is_some_and(|forge| forge.commits_by_api);
                let requires_signatures = protection.rules.iter().any(|rule| rule == SIGNATURE_RULE);
                let signs = requires_signatures && (has_key || by_api);
                if signs {
                    protection.rules.retain(|rule| rule != SIGNATURE_RULE);
                    let text = format!("{branch} requires signed commits");
                    match has_key {
                        true => results.add_ok("protection", text),
                        false => results.add_warning(
                            "protection",
                            format!("{text}: the API signs no executable file and no link"),
                            format!("to push such files signed, set `forge.{forge}.sign.ssh_key`"),
                        ),
                    }
                }
                if protection.is_protected || !protection.rules.is_empty() || !signs {
                    check_protection(&branch, &protection, results);
                }
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
                wiring::sandbox_hint(),
            );
        }
    }
    Ok(level)
}

/// Warns if the repository has pre-commit hooks that are not part of the gate.
fn check_hooks(has_hooks: bool, config: &Config, results: &mut PreflightResults) {
    if let Some(note) = unused_hooks_note(has_hooks, &config.converge.gate) {
        results.add_warning("pre-commit", note, PRE_COMMIT_HINT);
    }
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
            add_error(results, "checks", error);
            return Ok(());
        }
    };
    let progress = context.output.progress("setting up and running checks", None);
    let failed = wiring::verify::verify_error;
    let gate = &config.converge.gate;
    let report = check_tree(&verifier, tree, trust, gate, results).await.map_err(failed)?;
    if report.is_some_and(|report| report.checks.is_empty()) {
        results.add_warning("checks", NO_CHECKS_MESSAGE, NO_CHECKS_HINT);
    }
    drop(progress);
    Ok(())
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
