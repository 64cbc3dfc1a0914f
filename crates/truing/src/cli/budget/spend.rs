//! The command `truing budget show --by repository`: sums the money spent by repository.

use std::collections::BTreeMap;

use serde::Serialize;
use truing_core::id::SlotKey;
use truing_core::money::MicroUsd;
use truing_core::port::{Clock as _, SweepStore as _};
use truing_core::slot::LoopKind;
use truing_loops::machine::SystemClock;
use truing_loops::text::format_instant;
use truing_store::{KeySpend, Store};

use super::super::columns::fold_line;
use super::super::error::CliError;
use super::super::period_start::PeriodStart;
use super::super::target::{open_records_store, store_error};
use super::super::{CommandContext, runtime};

/// Money spent for one repository, or by one job, in the JSON output.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize)]
struct RepositorySpend {
    /// The repository: `forge/id`, the key of a local repository, or `sync/JOB`. Empty for runs without a
    /// record.
    repository: String,
    /// Display name of the repository.
    name: String,
    spent_micro_usd: u64,
    reviews_micro_usd: u64,
    converge_micro_usd: u64,
    sync_micro_usd: u64,
}

/// Prints the money spent since the given time, one row for each repository.
///
/// # Errors
/// Returns an error if the records cannot be read.
pub(super) fn show_spending(since: PeriodStart, context: &CommandContext) -> Result<(), CliError> {
    let config = context.config(&[])?;
    let since = since.to_instant(SystemClock.now());
    runtime::start()?.block_on(async {
        let mut rows = Vec::new();
        if let Some(store) = open_records_store(&config, context).await? {
            rows = sum_by_repository(&store.spent_since(since).await.map_err(store_error)?);
            fill_repository_names(&store, &mut rows).await?;
        }
        context.output.print_answer(&rows, || render_spending(&rows, &format_instant(since)))
    })
}

/// Sums the spending by repository; the repository with the most money comes first.
fn sum_by_repository(spends: &[KeySpend]) -> Vec<RepositorySpend> {
    let mut rows: BTreeMap<String, RepositorySpend> = BTreeMap::new();
    for KeySpend { key, loop_kind: run_loop, settled_cost } in spends {
        let repository = match run_loop {
            Some(LoopKind::Review | LoopKind::Converge) => repository_from_key(key),
            Some(LoopKind::Sync) => key.clone(),
            None => String::new(),
        };
        let row = rows.entry(repository.clone()).or_default();
        (row.name, row.repository) = (repository.clone(), repository);
        row.spent_micro_usd = row.spent_micro_usd.saturating_add(settled_cost.0);
        let part = match run_loop {
            Some(LoopKind::Review) => Some(&mut row.reviews_micro_usd),
            Some(LoopKind::Converge) => Some(&mut row.converge_micro_usd),
            Some(LoopKind::Sync) => Some(&mut row.sync_micro_usd),
            None => None,
        };
        if let Some(part) = part {
            *part = part.saturating_add(settled_cost.0);
        }
    }
    let mut rows: Vec<RepositorySpend> = rows.into_values().collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.spent_micro_usd));
    rows
}

/// Returns the repository's part of the key of a pull request. The key may also contain a head. The key of a
/// local repository is returned unchanged.
fn repository_from_key(key: &str) -> String {
    let pull = key.rsplit_once('@').map_or(key, |(pull, _)| pull);
    match pull.strip_prefix("pr/") {
        Some(_) => {
            let key = SlotKey::new(pull);
            key.repository_prefix().trim_start_matches("pr/").trim_end_matches('/').to_owned()
        }
        None => pull.to_owned(),
    }
}

async fn fill_repository_names(store: &Store, rows: &mut [RepositorySpend]) -> Result<(), CliError> {
    let mut forges = BTreeMap::new();
    for row in rows {
        let Some((forge, id)) = row.repository.split_once('/') else { continue };
        let (forge, id) = (forge.to_owned(), id.to_owned());
        if !forges.contains_key(&forge) {
            let known = store.repositories(&forge).await.map_err(store_error)?.into_iter();
            forges.insert(forge.clone(), known.map(|one| (one.id, one.name)).collect::<BTreeMap<_, _>>());
        }
        if let Some(name) = forges.get(&forge).and_then(|names| names.get(&id)) {
            row.name.clone_from(name);
        }
    }
    Ok(())
}

fn render_spending(rows: &[RepositorySpend], since: &str) -> String {
    if rows.is_empty() {
        return format!("nothing was spent since {since}\n");
    }
    let sum =
        |amount_of: fn(&RepositorySpend) -> u64| rows.iter().map(amount_of).fold(0, u64::saturating_add);
    let all = RepositorySpend {
        name: "all".to_owned(),
        spent_micro_usd: sum(|row| row.spent_micro_usd),
        reviews_micro_usd: sum(|row| row.reviews_micro_usd),
        converge_micro_usd: sum(|row| row.converge_micro_usd),
        sync_micro_usd: sum(|row| row.sync_micro_usd),
        ..RepositorySpend::default()
    };
    let mut text = format!(
        "Money spent since {since}\n{:>12}{:>12}{:>12}{:>12}  of\n",
        "in all", "reviews", "converge", "sync"
    );
    for row in rows.iter().chain([&all]) {
        let column = |sum: u64| if sum == 0 { "-".to_owned() } else { MicroUsd(sum).to_string() };
        let [spent, reviews, converge, sync] =
            [row.spent_micro_usd, row.reviews_micro_usd, row.converge_micro_usd, row.sync_micro_usd]
                .map(column);
        let name = if row.name.is_empty() { "runs that are not recorded" } else { &row.name };
        text += &fold_line(&format!("{spent:>12}{reviews:>12}{converge:>12}{sync:>12}  "), name);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_summed_by_repository_the_most_first() {
        let spend = |key: &str, run_loop, spent| KeySpend {
            key: key.into(),
            loop_kind: run_loop,
            settled_cost: MicroUsd(spent),
        };
        let rows = sum_by_repository(&[
            spend("local/home/me/tool@abc", Some(LoopKind::Review), 1_000_000),
            spend("pr/github/12/7@abc", Some(LoopKind::Review), 500_000),
            spend("pr/github/12/7@def", Some(LoopKind::Review), 250_000),
            spend("pr/github/12/8", Some(LoopKind::Converge), 2_000_000),
            spend("sync/tokio", Some(LoopKind::Sync), 40_000),
            spend("run-1", None, 3),
        ]);
        insta::assert_snapshot!(render_spending(&rows, "2026-11-20T00:00:00Z"), @r"
        Money spent since 2026-11-20T00:00:00Z
              in all     reviews    converge        sync  of
               $2.75       $0.75       $2.00           -  github/12
               $1.00       $1.00           -           -  local/home/me/tool
               $0.04           -           -       $0.04  sync/tokio
           $0.000003           -           -           -  runs that are not recorded
           $3.790003       $1.75       $2.00       $0.04  all
        ");
        assert!(render_spending(&[], "2026-11-20").starts_with("nothing was spent since"));
    }
}
