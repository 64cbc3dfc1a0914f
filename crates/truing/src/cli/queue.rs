//! The command `truing queue` (alias `slots`): lists the waiting, running and held entries, and lets an
//! operator change them.

use std::collections::BTreeSet;

use serde::Serialize;
use truing_core::id::{PrId, SlotKey};
use truing_core::port::{OperatorAction, OperatorStore as _, RunStore as _};
use truing_core::review_settlement::DROP_REASON;
use truing_core::slot::{Slot, SlotCommand, SlotLimits, SlotRefusal};
use truing_core::switch::RepositoryRef;
use truing_loops::machine::new_run_id;
use truing_loops::slots::{SlotCommandError, apply_slot_command};
use truing_loops::text::format_instant;
use truing_store::Store;

use super::error::{CliError, CommandExit};
use super::kill::render_engaged_switch_notice;
use super::status::forge_problems;
use super::target::{DescribedSlot, actor_name, open_records_store, slot_state, store_error};
use super::{CommandContext, runtime};
use crate::wiring;
use crate::wiring::store::StoreLocation;

/// Show the queue of pull requests and jobs, and retry or drop an entry
#[derive(clap::Args, Debug)]
pub struct QueueArgs {
    #[command(subcommand)]
    action: QueueCommand,
}

/// The command to run.
#[derive(clap::Subcommand, Debug)]
enum QueueCommand {
    /// List all entries
    List,
    /// Show one entry
    Show {
        /// A pull request's URL, OWNER/NAME#NUMBER or OWNER/NAME/NUMBER, or a key
        key: String,
    },
    /// Run an entry now; a parked entry starts from the beginning
    Retry {
        /// A pull request's URL, OWNER/NAME#NUMBER or OWNER/NAME/NUMBER, or a key
        key: String,
    },
    /// Drop an entry; the next event creates a new entry
    Drop {
        /// A pull request's URL, OWNER/NAME#NUMBER or OWNER/NAME/NUMBER, or a key
        key: String,
    },
}

/// A slot in the JSON output.
#[derive(Serialize)]
struct QueueRow {
    key: SlotKey,
    name: Option<String>,
    state: &'static str,
    #[serde(rename = "why")]
    reason: Option<&'static str>,
    #[serde(rename = "at")]
    state_ends_at: Option<String>,
    owner: Option<&'static str>,
    attempts: u32,
    token: Option<u64>,
    head: Option<String>,
}

impl QueueRow {
    /// Returns the row of an unreadable slot. Only the key of such a slot is known.
    fn from_unreadable(key: SlotKey) -> Self {
        let state = "unreadable";
        Self {
            key,
            name: None,
            state,
            reason: None,
            state_ends_at: None,
            owner: None,
            attempts: 0,
            token: None,
            head: None,
        }
    }
}

pub(crate) fn run(args: &QueueArgs, context: &CommandContext) -> Result<CommandExit, CliError> {
    let config = context.config(&[])?;
    let limits = wiring::slot_limits(&config.review, config.server.lease_duration);
    runtime::start()?.block_on(async {
        let store = open_records_store(&config, context).await?;
        if matches!(args.action, QueueCommand::List) {
            for lack in
                forge_problems(&config, &StoreLocation::from_config(&config, &context.environment)?).await
            {
                context.output.warn(lack);
            }
        }
        let mut unreadable = Vec::new();
        let targets = match &args.action {
            QueueCommand::List => {
                let (targets, others) = list_slots(store.as_ref()).await?;
                unreadable = others;
                targets
            }
            QueueCommand::Show { key } => {
                vec![DescribedSlot::find_or_suggest_review(store.as_ref(), key).await?]
            }
            QueueCommand::Retry { key } => {
                let act = QueueEntryChange { action: "queue retry", command: SlotCommand::Retry, context };
                vec![act.apply_to(store.as_ref(), key, &limits).await?]
            }
            QueueCommand::Drop { key } => {
                let act = QueueEntryChange { action: "queue drop", command: SlotCommand::Drop, context };
                match act.drop_unreadable(store.as_ref(), key).await? {
                    Some(target) => vec![target],
                    None => vec![act.apply_to(store.as_ref(), key, &limits).await?],
                }
            }
        };
        if let Some(store) = &store {
            let switches = store.kill_switches().await.map_err(store_error)?;
            let all = switches.switch_for(&RepositoryRef::default());
            let its = targets.iter().filter_map(|target| switches.switch_for(&target.repository()));
            let hold_lines: BTreeSet<String> = all
                .into_iter()
                .chain(its)
                .map(|switch| render_engaged_switch_notice(switch, context.output))
                .collect();
            hold_lines.into_iter().for_each(|line| context.output.warn(line));
        }
        print_slots(&targets, unreadable, context)?;
        Ok(CommandExit::Success)
    })
}

/// Returns all readable entries. For each unreadable entry, returns the key and the error.
async fn list_slots(store: Option<&Store>) -> Result<(Vec<DescribedSlot>, Vec<(SlotKey, String)>), CliError> {
    let Some(store) = store else { return Ok((Vec::new(), Vec::new())) };
    let (slots, unreadable) = store.list_slots_and_faults().await.map_err(store_error)?;
    let keys: Vec<SlotKey> = slots.iter().map(|slot| slot.key.clone()).collect();
    let described = store.descriptions(&keys).await.map_err(store_error)?;
    let targets = slots
        .into_iter()
        .zip(described)
        .map(|(slot, described)| DescribedSlot { slot, description: described });
    Ok((targets.collect(), unreadable))
}

/// A change of an entry by an operator. The change is recorded in the audit log before it is applied. A
/// refused change is recorded as well.
struct QueueEntryChange<'a> {
    action: &'static str,
    command: SlotCommand,
    context: &'a CommandContext,
}

impl QueueEntryChange<'_> {
    async fn apply_to(
        &self,
        store: Option<&Store>,
        slot_reference: &str,
        limits: &SlotLimits,
    ) -> Result<DescribedSlot, CliError> {
        // An operator who drops a pull request does not want a review of it.
        let mut target = if self.command == SlotCommand::Drop {
            DescribedSlot::find(store, slot_reference).await?
        } else {
            DescribedSlot::find_or_suggest_review(store, slot_reference).await?
        };
        let Some(store) = store else { return Ok(target) };
        let (key, name) = (target.slot.key.clone(), target.name().to_owned());
        self.record_action(store, self.action, &key, &name).await?;
        match apply_slot_command(store, &key, self.command, limits).await {
            Ok(decision) => {
                target.slot = decision.slot;
                // A job has no head that the sweep could take up again.
                if self.command == SlotCommand::Drop && PrId::from_key(&key).is_some() {
                    let announced = target.description.as_ref().and_then(|known| known.head.as_ref());
                    store
                        .skip_head(&new_run_id(), &key, announced, DROP_REASON)
                        .await
                        .map_err(store_error)?;
                }
            }
            Err(SlotCommandError::Store(error)) => return Err(store_error(error)),
            Err(SlotCommandError::SlotRefused(refused)) => {
                self.record_action(store, &format!("{} refused", self.action), &key, &refused.to_string())
                    .await?;
                let SlotRefusal::Leased(until) = refused else {
                    return Err(CliError::refusal("refused", format!("{name}: {refused}")));
                };
                let until = format_instant(until);
                let message =
                    format!("{name}: {refused} (lease until {until}, renewed while the worker runs)");
                return Err(CliError::refusal("leased", message).hint(format!(
                    "wait for the run: `truing why {key}` shows its progress; then try again"
                )));
            }
        }
        Ok(target)
    }

    /// Deletes an unreadable slot. Returns `None` if the slot is readable.
    async fn drop_unreadable(
        &self,
        store: Option<&Store>,
        slot_reference: &str,
    ) -> Result<Option<DescribedSlot>, CliError> {
        let Some(store) = store else { return Ok(None) };
        let key = store
            .find_pull_key(slot_reference)
            .await
            .map_err(store_error)?
            .unwrap_or_else(|| SlotKey::new(slot_reference));
        let unreadable = store.unreadable_slots().await.map_err(store_error)?;
        let Some((_, reason)) = unreadable.iter().find(|(unreadable, _)| *unreadable == key) else {
            return Ok(None);
        };
        self.record_action(store, self.action, &key, reason).await?;
        store.delete_unreadable_slot(&key).await.map_err(store_error)?;
        Ok(Some(DescribedSlot { slot: Slot::new(key), description: None }))
    }

    async fn record_action(
        &self,
        store: &Store,
        action: &str,
        key: &SlotKey,
        detail: &str,
    ) -> Result<(), CliError> {
        let act = OperatorAction::new(&actor_name(&self.context.environment), action, key.as_str(), detail);
        store.append_audit_log(&[act]).await.map_err(store_error)
    }
}

fn print_slots(
    targets: &[DescribedSlot],
    unreadable_slots: Vec<(SlotKey, String)>,
    context: &CommandContext,
) -> Result<(), CliError> {
    for (key, reason) in &unreadable_slots {
        context.output.warn(format_args!("{reason}: to drop the entry, run `truing queue drop {key}`"));
    }
    let mut rows: Vec<QueueRow> = targets.iter().map(queue_row).collect();
    rows.extend(unreadable_slots.into_iter().map(|(key, _)| QueueRow::from_unreadable(key)));
    if context.output.is_json() {
        return context.output.print_json(&rows);
    }
    if rows.is_empty() {
        return context.output.print_data("the queue is empty: nothing is waiting, running or held\n");
    }
    let mut text = String::new();
    for row in &rows {
        let reason = row.reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
        let at = row.state_ends_at.as_ref().map(|at| format!(" until {at}")).unwrap_or_default();
        let tries = match row.attempts {
            0 => String::new(),
            attempts => format!(", {attempts} failed"),
        };
        let name = row.name.as_deref().unwrap_or(row.key.as_str());
        text += &format!("{name}: {}{reason}{at}{tries}\n  {}\n", row.state, row.key);
    }
    context.output.print_data(text)
}

fn queue_row(target: &DescribedSlot) -> QueueRow {
    let slot = &target.slot;
    let (state, reason, at) = slot_state(slot);
    QueueRow {
        key: slot.key.clone(),
        name: target.description.as_ref().map(|described| described.name.clone()),
        state,
        reason,
        state_ends_at: at.map(format_instant),
        owner: slot.active_loop.map(|owner| owner.as_str()),
        attempts: slot.attempts,
        token: slot.token().map(|token| token.0),
        head: target
            .description
            .as_ref()
            .and_then(|described| described.head.as_ref())
            .map(|head| head.as_str().to_owned()),
    }
}
