//! The command `truing watch`: converges all open pull requests in the repositories of some owners, once.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};
use truing_config::value;
use truing_core::converge::ConvergeExitKind;
use truing_core::line::format_count;
use truing_core::money::MicroUsd;
use truing_forge::listing::{CachedListing, RepositoryListing};
use truing_forge::{AnyForgeServer, ForgeServer as _};

use super::outcome::{TargetOutcome, interrupted_error};
use super::targets::{ConvergeTarget, RequestedTarget};
use super::{ConvergeArgs, ConvergeRunArgs, check_not_disabled, report_refusal, target_run};
use crate::cli::error::{CliError, CommandExit};
use crate::cli::review::{OwnerTarget, PullTarget};
use crate::cli::{CommandContext, runtime};
use crate::wiring;

/// Converge every open pull request of these owners, once
///
/// Runs `truing converge` on each open pull request in the repositories of these users and organisations, and
/// prints a summary. Includes only repositories that the forge's token or App can read and that
/// `forge.NAME.repositories` allows. The command opens, merges and closes no pull request. Each pull request
/// costs at most `budget.converge_usd`. The exit code is the highest of all runs, or 0 if no pull request is
/// open.
#[derive(clap::Args, Debug)]
pub struct WatchArgs {
    /// Users and organisations, by name or by the URL of their page
    #[arg(value_name = "OWNER", required = true)]
    owners: Vec<String>,
    #[command(flatten)]
    run_args: ConvergeRunArgs,
}

pub(crate) fn run(args: &WatchArgs, context: &CommandContext) -> Result<CommandExit, CliError> {
    let ended = runtime::start()?.block_on(args.run(context));
    ended.or_else(|error| report_refusal(error, context))
}

/// Counts of one owner's repositories and pull requests.
struct OwnerCounts {
    name: String,
    /// Repositories that were searched.
    repositories: usize,
    /// Open pull requests in these repositories.
    pulls: usize,
}

impl WatchArgs {
    async fn run(&self, context: &CommandContext) -> Result<CommandExit, CliError> {
        check_not_disabled(context)?;
        let (found, asked) = tokio::select! {
            found = self.discover_pulls(context) => found?,
            told = runtime::wait_for_stop_signal() => {
                told?;
                return Err(interrupted_error());
            }
        };
        let config = self.run_args.apply_to(context.config(&[])?)?;
        let way = ConvergeArgs { run_args: self.run_args.clone(), ..ConvergeArgs::default() };
        let ended = target_run::run_all(&way, &asked, true, context).await?;
        let summary = WatchSummary {
            owner_counts: found,
            outcomes: ended,
            max_audits: config.converge.limits.max_audits,
        };
        context.output.print_answer(&summary.json(), || summary.text())?;
        Ok(target_run::highest_exit(&summary.outcomes))
    }

    /// Finds all open pull requests. If a repository's pull requests cannot be listed, the repository becomes
    /// a target with an error.
    async fn discover_pulls(
        &self,
        context: &CommandContext,
    ) -> Result<(Vec<OwnerCounts>, Vec<RequestedTarget>), CliError> {
        let config = context.config(&[])?;
        let mut owners: Vec<OwnerTarget> = Vec::new();
        for text in &self.owners {
            let owner = OwnerTarget::find(text, &config, &context.environment)?;
            let is_same = |other: &OwnerTarget| {
                other.forge == owner.forge && other.name.eq_ignore_ascii_case(&owner.name)
            };
            if !owners.iter().any(is_same) {
                owners.push(owner);
            }
        }
        let _progress = context.output.progress("looking for open pull requests", None);
        let (mut forges, mut found, mut asked) = (BTreeMap::new(), Vec::new(), Vec::new());
        for owner in owners {
            if !forges.contains_key(&owner.forge) {
                forges.insert(owner.forge.clone(), list_repositories(&owner, context).await?);
            }
            let Some((client, repositories)) = forges.get(&owner.forge) else { continue };
            let (one, pulls) = discover_owner(&owner, client, repositories, context).await?;
            found.push(one);
            asked.extend(pulls);
        }
        Ok((found, asked))
    }
}

/// Lists all repositories at the forge that the account can read, including repositories of other owners.
async fn list_repositories(
    owner: &OwnerTarget,
    context: &CommandContext,
) -> Result<(AnyForgeServer, RepositoryListing), CliError> {
    let folder = wiring::ensure_machine_folder(&owner.config)?;
    let client = wiring::forge_client(&owner.config, &owner.forge, &context.environment, &folder)?;
    let mut repositories = RepositoryListing::default();
    client.refresh_repositories(&mut repositories, &mut { u64::MAX }).await.map_err(wiring::forge_error)?;
    Ok((client, repositories))
}

/// Lists the open pull requests of one owner by repository, oldest first.
async fn discover_owner(
    owner: &OwnerTarget,
    client: &AnyForgeServer,
    repositories: &RepositoryListing,
    context: &CommandContext,
) -> Result<(OwnerCounts, Vec<RequestedTarget>), CliError> {
    let OwnerTarget { forge, name, config } = owner;
    let wanted = config.forges.get(forge).map(|forge| forge.repositories.as_slice()).unwrap_or_default();
    let wanted = value::compile_repository_globs(wanted)
        .map_err(|error| CliError::usage("bad_value", format!("forge.{forge}.repositories: {error}")))?;
    let is_its = |repo: &str| repo.split_once('/').is_some_and(|(its, _)| its.eq_ignore_ascii_case(name));
    let (mut found, mut asked) = (OwnerCounts { name: name.clone(), repositories: 0, pulls: 0 }, Vec::new());
    for seen in repositories.items().filter(|seen| is_its(&seen.name)) {
        // An archived repository accepts no pushes and no comments.
        if seen.archived || !(wanted.is_empty() || wanted.is_match(&seen.name)) {
            continue;
        }
        found.repositories += 1;
        let mut open = CachedListing::default();
        if let Err(error) = client.refresh_open_pulls(&seen.name, &mut open, &mut { u64::MAX }).await {
            asked.push(RequestedTarget {
                name: Some(seen.name.clone()),
                target: Err(wiring::forge_error(error)),
            });
            continue;
        }
        if !open.is_complete() {
            let many = open.items().count();
            context
                .output
                .warn(format_args!("{}: only the {many} newest pull requests are checked", seen.name));
        }
        let mut numbers: Vec<u64> = open.items().map(|pull| pull.number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        found.pulls += numbers.len();
        asked.extend(numbers.into_iter().map(|number| {
            let (forge, repo, config) = (forge.clone(), seen.name.clone(), config.clone());
            let name = Some(format!("{repo}#{number}"));
            RequestedTarget {
                name,
                target: Ok(ConvergeTarget::Pull(Box::new(PullTarget { forge, repo, number, config }))),
            }
        }));
    }
    Ok((found, asked))
}

/// Results of all targets of a sweep.
struct WatchSummary {
    owner_counts: Vec<OwnerCounts>,
    outcomes: Vec<TargetOutcome>,
    max_audits: u32,
}

impl WatchSummary {
    fn pull_count(&self) -> usize {
        self.owner_counts.iter().map(|found| found.pulls).sum()
    }

    fn count_ends(&self, kind: ConvergeExitKind) -> usize {
        self.outcomes.iter().filter(|ended| ended.kind == kind).count()
    }

    fn cost(&self) -> MicroUsd {
        MicroUsd(self.outcomes.iter().fold(0, |sum, ended| sum.saturating_add(ended.cost.0)))
    }

    fn json(&self) -> Value {
        let owners = self.owner_counts.iter().map(|found| {
            json!({ "owner": found.name, "repositories": found.repositories, "discovered": found.pulls })
        });
        json!({
            "schema": "truing.watch/1",
            "discovered": self.pull_count(),
            "owners": owners.collect::<Vec<_>>(),
            "converged": self.count_ends(ConvergeExitKind::Converged),
            "cap_reached": self.count_ends(ConvergeExitKind::CapReached),
            "stuck": self.count_ends(ConvergeExitKind::Stuck),
            "blocked": self.count_ends(ConvergeExitKind::Blocked),
            "refused": self.count_ends(ConvergeExitKind::Refused),
            "errored": self.count_ends(ConvergeExitKind::Error),
            "interrupted": self.count_ends(ConvergeExitKind::Interrupted),
            "cost_micro_usd": self.cost(),
        })
    }

    fn text(&self) -> String {
        let mut text = format!("PRs discovered: {}\n", self.pull_count());
        for found in &self.owner_counts {
            let where_ = match found.repositories {
                0 => "the account cannot read any repository of this owner".to_owned(),
                many => format_count(many, "repository"),
            };
            let _ = writeln!(text, "  {}: {} ({where_})", found.name, found.pulls);
        }
        if self.outcomes.is_empty() {
            return text + "No pull request is open: nothing to do.\n";
        }
        let _ = writeln!(text, "PRs converged: {}", self.count_ends(ConvergeExitKind::Converged));
        let _ = writeln!(
            text,
            "PRs that hit the cap of {}: {}",
            format_count(self.max_audits, "audit"),
            self.count_ends(ConvergeExitKind::CapReached)
        );
        for (kind, word) in [
            (ConvergeExitKind::Stuck, "stuck"),
            (ConvergeExitKind::Blocked, "blocked"),
            (ConvergeExitKind::Refused, "refused"),
            (ConvergeExitKind::Error, "errored"),
            (ConvergeExitKind::Interrupted, "interrupted"),
        ] {
            let _ = writeln!(text, "PRs {word}: {}", self.count_ends(kind));
        }
        let _ = writeln!(text, "Cost: {}", self.cost());
        text
    }
}
