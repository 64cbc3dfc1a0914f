//! Resolves the targets of one call: pull requests and branches of local repositories, without duplicates.

use std::path::PathBuf;

use truing_config::Config;
use truing_config::login::ForgeLogin;
use truing_config::secret::SecretSource;
use truing_core::port::OpenPull;
use truing_forge::ForgeServer as _;
use truing_git::Git;

use crate::cli::CommandContext;
use crate::cli::error::CliError;
use crate::cli::review::{PullTarget, RepositoryTarget, is_pull_name, is_pull_slot_key};
use crate::wiring;

/// A target that a run works on.
pub(in crate::cli) enum ConvergeTarget {
    /// Pull request at a forge.
    Pull(Box<PullTarget>),
    /// Branch that is checked out in the repository that contains this folder.
    Folder(PathBuf),
}

/// One requested target of a call.
pub(super) struct RequestedTarget {
    /// Name of the target in messages; none if the call names no target.
    pub(super) name: Option<String>,
    /// The resolved target, or the error that prevents a run on the target.
    pub(super) target: Result<ConvergeTarget, CliError>,
}

impl RequestedTarget {
    /// Returns a text that is the same for two targets if they are the same pull request or branch.
    fn identity(&self) -> String {
        match &self.target {
            // Names at forges do not distinguish upper and lower case.
            Ok(ConvergeTarget::Pull(pull)) => {
                format!("pull {} {} {}", pull.forge, pull.repo.to_ascii_lowercase(), pull.number)
            }
            Ok(ConvergeTarget::Folder(root)) => format!("folder {root:?}"),
            Err(_) => format!("unknown {:?}", self.name),
        }
    }
}

/// Returns the requested targets in order, without duplicates. An invalid target does not stop the others.
///
/// # Errors
/// Returns an error if git is not installed.
pub(super) async fn resolve_targets(
    targets: &[String],
    context: &CommandContext,
) -> Result<Vec<RequestedTarget>, CliError> {
    let git = wiring::open_git(&context.environment).await?;
    if targets.is_empty() {
        return Ok(vec![current_target(&git, context).await?]);
    }
    let mut all: Vec<RequestedTarget> = Vec::new();
    for target in targets {
        let workspace = resolve_target(target, &git, context).await;
        let name = match &workspace {
            Ok(ConvergeTarget::Pull(pull)) => format!("{}#{}", pull.repo, pull.number),
            Ok(ConvergeTarget::Folder(_)) | Err(_) => target.clone(),
        };
        let asked = RequestedTarget { name: Some(name), target: workspace };
        if !all.iter().any(|other| other.identity() == asked.identity()) {
            all.push(asked);
        }
    }
    Ok(all)
}

/// Resolves the text of one target.
pub(in crate::cli) async fn resolve_target(
    target: &str,
    git: &Git,
    context: &CommandContext,
) -> Result<ConvergeTarget, CliError> {
    let folder = context.environment.directory().join(target);
    if folder.is_dir() && !target.contains("://") {
        let repository = git.open(&folder).await.map_err(wiring::git_error)?;
        return Ok(ConvergeTarget::Folder(repository.root().to_owned()));
    }
    if is_path(target) {
        let what = if folder.exists() { "is no folder" } else { "there is no such folder" };
        return Err(CliError::usage("bad_target", format!("`{target}`: {what}")).hint(
            "give a folder of a repository, or a pull request: its URL, OWNER/NAME#NUMBER, \
             OWNER/NAME/NUMBER, or NUMBER",
        ));
    }
    let config = context.config(&[])?;
    let pull = PullTarget::resolve_reference(target, &config, &context.environment).await?;
    Ok(ConvergeTarget::Pull(Box::new(pull)))
}

/// Returns true if the text can only be the path of a folder. For example, `./a` can only be a path, while
/// `a/b` may also be the name of a repository.
fn is_path(target: &str) -> bool {
    let begins = ["/", "./", "../", "~"].iter().any(|begin| target.starts_with(begin));
    let is_named = target.contains(['#', ':']) || is_pull_name(target) || is_pull_slot_key(target);
    begins || matches!(target, "." | "..") || !(is_named || target.parse::<u64>().is_ok())
}

/// Resolves a call without a target to the open pull request of the current branch. If there is no such pull
/// request, or if the forge of `origin` cannot be asked, resolves the call to the branch itself. Prints the
/// choice.
async fn current_target(git: &Git, context: &CommandContext) -> Result<RequestedTarget, CliError> {
    let folder = context.environment.directory();
    let config = context.config(&[])?;
    let of_branch = RequestedTarget { name: None, target: Ok(ConvergeTarget::Folder(folder.to_owned())) };
    // Problems with the folder are reported later, by the run that works on it.
    let Ok(repository) = git.open(folder).await else { return Ok(of_branch) };
    let Some(origin) = repository.origin_url() else { return Ok(of_branch) };
    let Some(branch) = repository.current_branch().await.map_err(wiring::git_error)? else {
        return Ok(of_branch);
    };
    let chosen =
        |reason: String| context.output.print_note(format_args!("using the local branch {branch}: {reason}"));
    let Some(home) = RepositoryTarget::from_remote(origin, &config, &context.environment) else {
        chosen("`origin` is not at a configured forge".to_owned());
        return Ok(of_branch);
    };
    if !has_login(&home, context) {
        chosen(format!(
            "no token is set for [forge.{}], so no forge was asked for a pull request",
            home.forge
        ));
        return Ok(of_branch);
    }
    let RepositoryTarget { forge, repo, config } = home;
    let pulls = match open_pulls(&config, &forge, &repo, &branch, context).await {
        Ok(pulls) => pulls,
        Err(error) => {
            let workspace =
                Err(error.hint("or work on the local branch without asking a forge: `truing converge .`"));
            return Ok(RequestedTarget { name: Some(".".to_owned()), target: workspace });
        }
    };
    match pulls.as_slice() {
        [] => {
            chosen(format!("{repo} has no open pull request of this branch"));
            Ok(of_branch)
        }
        [pull] => {
            let name = format!("{repo}#{}", pull.number);
            let differs = repository.head_if_any().is_some_and(|head| *head != pull.revision.head);
            let here = if differs {
                " (the pull request's head is not the commit that is checked out here)"
            } else {
                ""
            };
            context.output.print_note(format_args!(
                "using the pull request {name} of branch {branch}{here}; to use the local branch: `truing \
                    converge .`"
            ));
            let workspace =
                ConvergeTarget::Pull(Box::new(PullTarget { forge, repo, number: pull.number, config }));
            Ok(RequestedTarget { name: Some(name), target: Ok(workspace) })
        }
        several => {
            let numbers: Vec<String> = several.iter().map(|pull| format!("#{}", pull.number)).collect();
            let message = format!("branch {branch} has several pull requests: {}", numbers.join(", "));
            let error = CliError::usage("which_pull", message)
                .hint("specify a pull request by its number, or use the local branch: `truing converge .`");
            Ok(RequestedTarget { name: Some(".".to_owned()), target: Err(error) })
        }
    }
}

/// Returns true if a login is configured. A login in a variable that is unset or empty does not count.
fn has_login(repository: &RepositoryTarget, context: &CommandContext) -> bool {
    let Some(forge) = repository.config.forges.get(&repository.forge) else { return false };
    let (ForgeLogin::Token(secret) | ForgeLogin::App { key: secret, .. }) = &forge.login;
    match secret {
        SecretSource::Env(name) => context.environment.get(name).is_some_and(|value| !value.is_empty()),
        SecretSource::File(_) | SecretSource::PlainText(_) => true,
    }
}

async fn open_pulls(
    config: &Config,
    forge: &str,
    repo: &str,
    branch: &str,
    context: &CommandContext,
) -> Result<Vec<OpenPull>, CliError> {
    let folder = wiring::ensure_machine_folder(config)?;
    let client = wiring::forge_client(config, forge, &context.environment, &folder)?;
    client.open_pulls_from_branch(repo, branch).await.map_err(wiring::forge_error)
}
