//! The command `truing store`: migrates all records to another store, and compares two stores.

use std::path::Path;

use serde::Serialize;
use truing_core::port::SlotStore as _;
use truing_store::{CopiedPage, NulPolicy, Store, TableComparison, TransferError};

use super::error::{CliError, CommandExit};
use super::output::shell_quote;
use super::runtime::{self, StopSignals};
use super::target::store_error;
use super::{CommandContext, columns};
use crate::wiring::MARKER_KEY_FILE_NAME;
use crate::wiring::store::StoreLocation;

/// Move the store to another engine, or compare two stores
#[derive(clap::Args, Debug)]
pub struct StoreArgs {
    #[command(subcommand)]
    action: StoreCommand,
}

#[derive(clap::Subcommand, Debug)]
enum StoreCommand {
    /// Copy everything from one store to a new one, and compare both
    ///
    /// First stop all servers that use one of the stores. The source is not changed. If the command is
    /// interrupted, run it again to continue. The file `marker.key` beside a database file is not copied. If
    /// both stores are files, the command prints how to copy it.
    Migrate {
        #[command(flatten)]
        stores: StorePairArgs,
        /// Replace each zero character (U+0000) with U+FFFD instead of stopping with an error; PostgreSQL
        /// cannot store this character
        #[arg(long)]
        replace_zeros: bool,
    },
    /// Compare two stores row by row; exit 1 if they differ
    Check {
        #[command(flatten)]
        stores: StorePairArgs,
    },
}

/// The two stores. If one of the two URLs is omitted, the configured store is used in its place.
#[derive(clap::Args, Debug)]
struct StorePairArgs {
    /// The source: sqlite:PATH, or valkey://HOST/DB,postgres://USER@HOST/NAME [default: the configured store]
    #[arg(long, value_name = "URL", required_unless_present = "to")]
    from: Option<String>,

    /// The other store, in the same form [default: the configured store]
    #[arg(long, value_name = "URL")]
    to: Option<String>,
}

impl StorePairArgs {
    /// Resolves the source, which must exist, and the destination.
    fn resolve_locations(
        &self,
        context: &CommandContext,
    ) -> Result<(StoreLocation, StoreLocation), CliError> {
        let folder = context.environment.directory();
        let of = |url: &Option<String>| match url {
            Some(url) => StoreLocation::parse(url, folder),
            None => StoreLocation::from_config(&context.config(&[])?, &context.environment),
        };
        let (from, to) = (of(&self.from)?, of(&self.to)?);
        if !from.exists()? {
            return Err(CliError::usage("no_store", format!("there is no database at {from}"))
                .hint("specify the store: `--from sqlite:PATH`"));
        }
        if from.is_empty_file() {
            return Err(CliError::usage(
                "no_store",
                format!("{from} is an empty file and contains no store"),
            )
            .hint("restore a backup to this path, or specify another store: `--from sqlite:PATH`"));
        }
        Ok((from, to))
    }
}

/// Comparison of one table in the JSON output.
#[derive(Serialize)]
struct TableComparisonJson<'a> {
    table: &'a str,
    from: u64,
    to: u64,
    #[serde(rename = "alike")]
    is_equal: bool,
    #[serde(rename = "first")]
    first_difference: Option<&'a str>,
}

pub(crate) fn run(args: &StoreArgs, context: &CommandContext) -> Result<CommandExit, CliError> {
    runtime::start()?.block_on(async {
        let mut signals = StopSignals::new()?;
        let work = async {
            match &args.action {
                StoreCommand::Migrate { stores, replace_zeros } => {
                    let zeros = if *replace_zeros { NulPolicy::Replace } else { NulPolicy::Refuse };
                    migrate(stores, zeros, context).await
                }
                StoreCommand::Check { stores } => compare(stores, context).await,
            }
        };
        tokio::select! {
            ended = Box::pin(work) => ended,
            _ = signals.next_signal() => Err(CliError::new(CommandExit::Interrupted, "interrupted",
                "interrupted before everything was done")
                .hint(match &args.action {
                    StoreCommand::Migrate { .. } => "run the command again: the copy continues where it \
                        stopped",
                    StoreCommand::Check { .. } => "run it again",
                })),
        }
    })
}

async fn migrate(
    stores: &StorePairArgs,
    nul_policy: NulPolicy,
    context: &CommandContext,
) -> Result<CommandExit, CliError> {
    let (from, to) = stores.resolve_locations(context)?;
    let (source, target) = (from.open().await?, to.open_for_transfer().await?);
    for store in [&source, &target] {
        ensure_no_workers(store).await?;
    }
    let (from, to) = (source.name(), target.name());
    context.output.print_note(format_args!("from {from} to {to}"));
    let progress = context.output.progress("copying", None);
    let show_progress =
        |copied: CopiedPage| progress.show_step(&format!("{}: {}", copied.table, copied.copied_rows));
    let compared =
        source.copy_to(&target, nul_policy, show_progress).await.map_err(|error| transfer_error(&error))?;
    drop(progress);
    print_comparison(&compared, context)?;
    context
        .output
        .print_note(format_args!("copied and compared: both stores are the same; {from} is unchanged"));
    if let (Some(from), Some(to)) = (source.path(), target.path())
        && let Some(text) = marker_key_text(from, to)
    {
        context.output.warn(text);
    }
    Ok(CommandExit::Success)
}

/// Returns a text about the marker key beside the database `from`, which is not part of the store. Returns
/// `None` if there is no such key, or if the same key is beside the database `to`.
fn marker_key_text(from: &Path, to: &Path) -> Option<String> {
    let [from, to] = [from, to].map(|database| database.with_file_name(MARKER_KEY_FILE_NAME));
    let key = std::fs::read(&from).ok()?;
    let (from_name, to_name) = (from.display(), to.display());
    match std::fs::read(&to) {
        Ok(other) if other == key => None,
        Ok(_) => Some(format!(
            "the marker key {from_name} was not copied, and {to_name} is another key: a server on the new \
             store does not recognise Truing's earlier comments, unless \
             `forge.NAME.previous_marker_keys` contains the key {from_name}"
        )),
        Err(_) => Some(format!(
            "the marker key {from_name} was not copied: without it, a server on the new store makes another \
             key, and does not recognise Truing's earlier comments. To copy it: `cp -p {} {}`",
            shell_quote(&from_name.to_string()),
            shell_quote(&to_name.to_string())
        )),
    }
}

async fn compare(stores: &StorePairArgs, context: &CommandContext) -> Result<CommandExit, CliError> {
    let (from, to) = stores.resolve_locations(context)?;
    if !to.exists()? {
        return Err(CliError::usage("no_store", format!("there is no database at {to}"))
            .hint("specify the store: `--to sqlite:PATH`"));
    }
    let (one, other) = (from.open().await?, to.open().await?);
    let progress = context.output.progress("comparing", None);
    let compared = one.compare(&other).await.map_err(|error| transfer_error(&error))?;
    drop(progress);
    print_comparison(&compared, context)?;
    Ok(if compared.iter().all(TableComparison::is_equal) {
        CommandExit::Success
    } else {
        CommandExit::NegativeAnswer
    })
}

/// Prints the comparison, table by table.
fn print_comparison(tables: &[TableComparison], context: &CommandContext) -> Result<(), CliError> {
    let rows: Vec<TableComparisonJson<'_>> =
        tables.iter().map(TableComparisonJson::from_comparison).collect();
    context.output.print_answer(&rows, || {
        let width = tables.iter().map(|table| table.table.len()).max().unwrap_or_default();
        let line = |table: &TableComparison| {
            columns::fold_line(&format!("{:<width$}  ", table.table), &table.to_string())
        };
        tables.iter().map(line).collect::<String>()
    })
}

impl<'a> TableComparisonJson<'a> {
    fn from_comparison(compared: &'a TableComparison) -> Self {
        let TableComparison { table, row_counts: (from, to), first_difference: first } = compared;
        Self {
            table,
            from: *from,
            to: *to,
            is_equal: compared.is_equal(),
            first_difference: first.as_deref(),
        }
    }
}

/// Refuses the command while workers use the database servers. Database files need no such check, because a
/// server locks its database file. Processes with the role `ingress` or `sweep` take no leases, so this check
/// does not detect them.
async fn ensure_no_workers(store: &Store) -> Result<(), CliError> {
    let workers = store.announce_worker(false).await.map_err(store_error)?.all_names;
    if workers.is_empty() {
        return Ok(());
    }
    let serve = truing_core::line::format_count(workers.len(), "process");
    Err(CliError::refusal(
        "served",
        format!(
            "{serve} of `truing serve` with the role all or worker leased work from the servers of the \
            store within the last 30 s"
        ),
    )
    .hint(
        "stop every `truing serve`, including those with the role ingress or sweep; wait 30 s, and run \
        this command again",
    ))
}

fn transfer_error(error: &TransferError) -> CliError {
    let message = error.to_string();
    match error {
        TransferError::SameStore(_)
        | TransferError::NotNew { .. }
        | TransferError::OtherSource { .. }
        | TransferError::OtherSlotServer { .. }
        | TransferError::OtherVersion { .. }
        | TransferError::UnfinishedSource { .. }
        | TransferError::SchemaMismatch { .. } => CliError::usage("store_mismatch", message),
        TransferError::StoreBusy { .. } | TransferError::CommandRunning { .. } => {
            CliError::refusal("served", message)
        }
        TransferError::Store(_)
        | TransferError::Lock(_)
        | TransferError::UnfitValue { .. }
        | TransferError::UnreadableSlot { .. }
        | TransferError::RowRefused { .. }
        | TransferError::ChangedByOtherProcess { .. }
        | TransferError::Difference { .. } => CliError::failure("store", message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_key_that_stays_behind_is_told_with_the_command_that_copies_it() {
        let folder = tempfile::tempdir().unwrap();
        let [old, new] = ["old", "new"].map(|name| folder.path().join(name));
        for folder in [&old, &new] {
            std::fs::create_dir(folder).unwrap();
        }
        let (from, to) = (old.join("truing.db"), new.join("truing.db"));
        assert_eq!(marker_key_text(&from, &to), None, "there is no key");
        let (key, copy) = (old.join("marker.key"), new.join("marker.key"));
        std::fs::write(&key, "11").unwrap();
        let command = format!("`cp -p {} {}`", key.display(), copy.display());
        let told = marker_key_text(&from, &to).unwrap();
        assert!(told.ends_with(&command) && told.contains("was not copied"), "{told}");
        assert_eq!(marker_key_text(&from, &old.join("other.db")), None, "the same folder has the same key");
        std::fs::write(&copy, "22").unwrap();
        let told = marker_key_text(&from, &to).unwrap();
        assert!(told.contains("is another key") && told.contains("previous_marker_keys"), "{told}");
        std::fs::copy(&key, &copy).unwrap();
        assert_eq!(marker_key_text(&from, &to), None, "it was copied");
    }
}
