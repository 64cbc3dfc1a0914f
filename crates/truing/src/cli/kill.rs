//! The command `truing kill`: turns the kill switches on and off. The command changes the store, with or
//! without a running server.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Serialize;
use truing_config::Config;
use truing_core::id::{SlotKey, UnixMillis};
use truing_core::port::{OperatorStore as _, SlotStore as _, SweepStore as _};
use truing_core::slot::{Slot, SlotState};
use truing_core::switch::{
    EngagedSwitch, HaltMode, KillSwitch, KillSwitches, RepositoryRef, RepositorySwitch, SwitchEngagement,
    SwitchRequest,
};
use truing_core::sync::job;
use truing_loops::text::{format_count, format_instant};
use truing_store::Store;

use super::columns::fold_line;
use super::error::{CliError, CommandExit};
use super::output::OutputPrinter;
use super::target::{actor_name, open_records_store, store_error};
use super::{CommandContext, runtime};
use crate::wiring::store::StoreLocation;

/// Pauses between retries if the store is on servers.
const RETRY_DELAYS: &[Duration] =
    &[Duration::from_millis(200), Duration::from_millis(500), Duration::from_secs(1)];

/// Maximum number of known repositories that are suggested if a repository is unknown.
const MAX_SUGGESTIONS: usize = 5;

/// The kill switch: stop everything that spends money or writes, or resume it
///
/// While the switch is on, the server answers webhooks with 503, no run begins, and due work stays due. The
/// switch applies to every service on this store, including services that are started later, and to `truing
/// review --pr`. Reviews of local repositories by rules continue, because they spend no money and write
/// nothing. With `--repo`, the switch applies only to repositories with this name, at every forge, even after
/// they are renamed. Other repositories continue.
#[derive(clap::Args, Debug)]
pub struct KillArgs {
    #[command(subcommand)]
    action: KillCommand,
}

/// The command to run.
#[derive(clap::Subcommand, Debug)]
enum KillCommand {
    /// Turn the kill switch on; if it is on already, change its reason or mode
    On {
        /// The reason, for the record: one line
        #[arg(long, value_name = "T")]
        reason: Option<String>,
        /// Effect on reviews in progress [default: the present mode if the switch is already on, else finish]
        #[arg(long, value_enum)]
        mode: Option<HaltModeFlag>,
        /// Only for this repository; for an unknown repository, a warning is printed
        #[arg(long, value_name = "OWNER/NAME", value_parser = parse_repository)]
        repo: Option<String>,
    },
    /// Turn the kill switch off: due work continues immediately
    ///
    /// Without `--repo`, the switches of repositories stay as they are, and are listed.
    Off {
        /// Only the switch of this repository
        #[arg(long, value_name = "OWNER/NAME", value_parser = parse_repository)]
        repo: Option<String>,
    },
    /// Show whether the kill switch is on, and the store that contains the switch
    Status,
}

/// The mode for reviews in progress.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum HaltModeFlag {
    /// They complete
    Finish,
    /// They stop before their next step and publish nothing new
    Stop,
}

/// Parses the name of a repository.
fn parse_repository(text: &str) -> Result<String, String> {
    let is_part = |part: &str| {
        let may = |letter: char| letter.is_alphanumeric() || matches!(letter, '-' | '_' | '.' | '~');
        !part.is_empty() && part.chars().all(may)
    };
    match text.split_once('/') {
        Some((owner, name)) if is_part(owner) && is_part(name) => Ok(text.to_owned()),
        Some(_) | None => Err("the name must have the form OWNER/NAME, as the forge shows it".to_owned()),
    }
}

/// The kill switches in the JSON output.
#[derive(Serialize, Default)]
pub(super) struct KillSwitchJson {
    enabled: bool,
    since: Option<String>,
    #[serde(rename = "by")]
    operator: Option<String>,
    reason: Option<String>,
    mode: Option<&'static str>,
    /// Repositories whose switch is on.
    repos: Vec<RepositorySwitchJson>,
}

#[derive(Serialize)]
struct RepositorySwitchJson {
    name: String,
    since: String,
    #[serde(rename = "by")]
    operator: String,
    reason: Option<String>,
    mode: &'static str,
}

impl KillSwitchJson {
    /// Returns all switches for the JSON output.
    pub(super) fn from_switches(switches: &KillSwitches) -> Self {
        let of_repository = |switch: &RepositorySwitch| {
            let RepositorySwitch { repository, engaged } = switch;
            let SwitchEngagement { since, operator: by, reason, mode } = engaged.clone();
            let (name, since) = (repository.name.clone(), format_instant(since));
            RepositorySwitchJson { name, since, operator: by, reason, mode: mode.as_str() }
        };
        let repos = switches.repositories.iter().map(of_repository).collect();
        let KillSwitch::On(SwitchEngagement { since, operator: by, reason, mode }) = &switches.global_switch
        else {
            return Self { repos, ..Self::default() };
        };
        Self {
            enabled: true,
            since: Some(format_instant(*since)),
            operator: Some(by.clone()),
            reason: reason.clone(),
            mode: Some(mode.as_str()),
            repos,
        }
    }
}

pub(crate) fn run(args: &KillArgs, context: &CommandContext) -> Result<CommandExit, CliError> {
    let turned = runtime::start()?.block_on(turn_with_retries(args, context));
    turned.map_err(|error| match (&args.action, error.exit) {
        // If the switch cannot be turned on, the hint describes another way to stop everything.
        (KillCommand::On { .. }, CommandExit::Failure) => error.hint(
            "until the switch can be turned on, stop the service itself: send SIGTERM to `truing serve`",
        ),
        (KillCommand::On { .. } | KillCommand::Off { .. } | KillCommand::Status, _) => error,
    })
}

/// Turns the switch on or off. If the store is on servers, a failed call is retried. A repeated call does no
/// harm, because it has the same effect.
async fn turn_with_retries(args: &KillArgs, context: &CommandContext) -> Result<CommandExit, CliError> {
    let is_file =
        StoreLocation::from_config(&context.config(&[])?, &context.environment)?.file_path().is_some();
    for pause in RETRY_DELAYS.iter().filter(|_| !is_file) {
        match turn_switch(args, context).await {
            Err(error) if error.exit == CommandExit::Failure => tokio::time::sleep(*pause).await,
            turned => return turned,
        }
    }
    turn_switch(args, context).await
}

async fn turn_switch(args: &KillArgs, context: &CommandContext) -> Result<CommandExit, CliError> {
    let config = context.config(&[])?;
    let (store, turn, repo) = match &args.action {
        // If there is no database, the command creates one, because a server that starts later must find the
        // switch on.
        KillCommand::On { reason, mode, repo } => {
            let mode = mode.map(|mode| match mode {
                HaltModeFlag::Finish => HaltMode::Finish,
                HaltModeFlag::Stop => HaltMode::Stop,
            });
            let place = StoreLocation::from_config(&config, &context.environment)?;
            let is_new = place.file_path().is_some_and(|path| !path.exists());
            let store = place.open().await?;
            if is_new {
                let path = &place;
                context.output.warn(format_args!(
                    "there was no database at {path}: the command created the database and turned on the \
                    switch in it. A server that uses another database does not see the switch: check that \
                    the server has the same `store.url`"
                ));
            }
            (Some(store), Some(SwitchRequest::TurnOn { reason: reason.clone(), mode }), repo.as_deref())
        }
        KillCommand::Off { repo } => {
            let store = open_records_store(&config, context).await?;
            (store, Some(SwitchRequest::TurnOff), repo.as_deref())
        }
        KillCommand::Status => (open_records_store(&config, context).await?, None, None),
    };
    let (switches, held) = match &store {
        None => (KillSwitches::default(), SlotList::default()),
        Some(store) => {
            let (by, output) = (actor_name(&context.environment), context.output);
            match (&turn, repo) {
                (Some(turn), Some(repo)) => {
                    let (before, after) =
                        store.turn_repository_switch(repo, turn, &by).await.map_err(store_error)?;
                    if *turn == SwitchRequest::TurnOff && before == after {
                        output.print_note(format_args!("the kill switch of {repo} was not on"));
                    }
                    let is_known = after.repositories.iter().any(|switch| {
                        let its = &switch.repository;
                        its.name.to_lowercase() == repo.to_lowercase() && !its.keys.is_empty()
                    });
                    if !is_known
                        && let (KillCommand::On { .. }, Some(unknown)) =
                            (&args.action, unknown_repository_text(repo, store, &config).await)
                    {
                        output.warn(unknown);
                    }
                }
                (Some(turn), None) => drop(store.turn_switch(turn, &by).await.map_err(store_error)?),
                (None, _) => {}
            }
            let switches = store.kill_switches().await.map_err(store_error)?;
            if turn == Some(SwitchRequest::TurnOff) && repo.is_none() && !switches.repositories.is_empty() {
                let names: Vec<&str> =
                    switches.repositories.iter().map(|switch| switch.repository.name.as_str()).collect();
                output.print_note(format_args!(
                    "the switches of these repositories stay on: {}",
                    names.join(", ")
                ));
            }
            let held = SlotList::load(store, &config).await?;
            (switches, held)
        }
    };
    let place = StoreLocation::from_config(&config, &context.environment)?;
    context.output.print_answer(&KillSwitchJson::from_switches(&switches), || {
        match (&args.action, repo) {
            (KillCommand::Off { .. }, Some(repo)) => {
                render_after_turn_off(repo, &switches, &held, context.output)
            }
            (KillCommand::Status, _) => {
                render_switches(&switches, &held, context.output)
                    + &fold_line("Its store: ", &place.to_string())
            }
            (KillCommand::On { .. } | KillCommand::Off { .. }, _) => {
                render_switches(&switches, &held, context.output)
            }
        }
    })?;
    Ok(CommandExit::Success)
}

/// Returns a warning about a repository that no pull request, sweep or configuration has named. The warning
/// names similar repositories. Returns `None` if the repository is known, or if the known repositories cannot
/// be read. An error is ignored, because the kill switch is turned on regardless of this warning.
async fn unknown_repository_text(repo: &str, store: &Store, config: &Config) -> Option<String> {
    let mut known = BTreeSet::new();
    for (forge, of_forge) in &config.forges {
        let named = of_forge.repositories.iter().filter(|name| parse_repository(name).is_ok()).cloned();
        known.extend(named);
        let listed = store.repositories(forge).await.ok()?;
        known.extend(listed.into_iter().map(|one| one.name));
    }
    let is_known = known.iter().any(|name| name.to_lowercase() == repo.to_lowercase());
    if is_known || config.forges.is_empty() {
        return None;
    }
    let mut known: Vec<String> = known.into_iter().collect();
    // The sort is stable, so names of the same distance stay in alphabetical order.
    let distance = |name: &String| strsim::damerau_levenshtein(&name.to_lowercase(), &repo.to_lowercase());
    known.sort_by_cached_key(distance);
    let rest = known.len().saturating_sub(MAX_SUGGESTIONS);
    let more = if rest == 0 { String::new() } else { format!(" and {rest} more") };
    known.truncate(MAX_SUGGESTIONS);
    Some(match known.as_slice() {
        [] => {
            format!(
                "no repository is recorded, so {repo} could not be checked; the switch is on for this \
                name"
            )
        }
        known => format!("no record of {repo}; known repositories: {}{more}", known.join(", ")),
    })
}

/// Numbers of due slots, of waiting slots and of runs in progress.
#[derive(Clone, Copy, Default)]
struct PendingWork {
    /// Slots that are due now. A slot whose lease has expired is due: the next server ends the lease.
    due_count: usize,
    /// Slots that are due now, or that wait for any reason, for example for the next attempt.
    waiting_count: usize,
    /// Runs that are in progress now: the leases that have not expired.
    running_count: usize,
}

/// The slots of the store, as of one time.
#[derive(Default)]
struct SlotList {
    slots: Vec<Slot>,
    read_at: UnixMillis,
    /// For each job, the repository of the job, by the key of the job's slot.
    job_repositories: BTreeMap<SlotKey, String>,
}

impl SlotList {
    async fn load(store: &Store, config: &Config) -> Result<Self, CliError> {
        let read_at = store.now().await.map_err(store_error)?;
        let jobs =
            config.sync_jobs.iter().filter_map(|(name, job)| Some((job::job_key(name), job.repo.clone()?)));
        Ok(Self {
            slots: store.list_slots().await.map_err(store_error)?,
            read_at,
            job_repositories: jobs.collect(),
        })
    }

    /// Returns the repository of a slot.
    fn repository(&self, slot: &Slot) -> RepositoryRef {
        let name = self.job_repositories.get(&slot.key).map_or("", String::as_str);
        RepositoryRef::from_key(&slot.key).with_name(name)
    }

    /// Counts the work of the selected slots.
    fn pending_work(&self, is_selected: impl Fn(&Slot) -> bool) -> PendingWork {
        let meant = || self.slots.iter().filter(|slot| is_selected(slot));
        let is_waiting =
            |slot: &Slot| matches!(slot.state, SlotState::Waiting { .. }) || slot.is_due(self.read_at);
        PendingWork {
            due_count: meant().filter(|slot| slot.is_due(self.read_at)).count(),
            waiting_count: meant().filter(|slot| is_waiting(slot)).count(),
            running_count: meant().filter(|slot| slot.is_in_flight(self.read_at)).count(),
        }
    }
}

/// Returns the state of each switch as text.
fn render_switches(switches: &KillSwitches, slots: &SlotList, output: OutputPrinter) -> String {
    render_switch(&switches.global_switch, slots.pending_work(|_| true), output)
        + &render_repository_switches(switches, slots, output)
}

/// Returns the state of each repository's switch as text.
fn render_repository_switches(switches: &KillSwitches, slots: &SlotList, output: OutputPrinter) -> String {
    let each = |switch: &RepositorySwitch| {
        let is_its = |slot: &Slot| slots.repository(slot).may_be_same(&switch.repository);
        render_engaged_switch(switch.as_engaged(), slots.pending_work(is_its), output)
    };
    switches.repositories.iter().map(each).collect()
}

/// Returns the text that is printed after one repository's switch was turned off. The text lists the switches
/// that are still on.
fn render_after_turn_off(
    repo: &str,
    switches: &KillSwitches,
    slots: &SlotList,
    output: OutputPrinter,
) -> String {
    let rest = match switches.global_switch {
        KillSwitch::Off => render_repository_switches(switches, slots, output),
        KillSwitch::On(_) => render_switches(switches, slots, output),
    };
    match rest.as_str() {
        "" => format!("The kill switch of {repo} is off, and no other kill switch is on.\n"),
        rest => format!("The kill switch of {repo} is off. These kill switches stay on:\n{rest}"),
    }
}

/// Returns the state of a switch that is on for one repository.
fn render_engaged_switch(switch: EngagedSwitch<'_>, work: PendingWork, output: OutputPrinter) -> String {
    let engaged = switch.engaged;
    let name = switch.repository.unwrap_or_default();
    let rows = [
        ("reason", engaged.reason.clone().unwrap_or_else(|| "none given".to_owned())),
        ("mode", engaged.mode.as_str().to_owned()),
        ("in flight", render_runs_in_flight(work, engaged.mode)),
        (
            "held back",
            format!(
                "{} waiting; webhooks of this repository are answered with status 503",
                format_count(work.waiting_count, "pull request")
            ),
        ),
        ("unblock", output.command_line(&switch.off_command())),
    ];
    let first = format!("The kill switch of {name} is on, {}.\n", render_engagement(engaged));
    rows.iter().fold(first, |text, (name, value)| text + &fold_line(&format!("  {name:<10}"), value))
}

/// Returns a text with the number of runs in progress, and with the effect of this mode on them.
fn render_runs_in_flight(work: PendingWork, mode: HaltMode) -> String {
    let flight = match (work.running_count, mode) {
        (0, _) => "",
        (1, HaltMode::Finish) => ", which completes",
        (_, HaltMode::Finish) => ", which complete",
        (1, HaltMode::Stop) => ", which stops before its next step",
        (_, HaltMode::Stop) => ", which stop before their next step",
    };
    format!("{}{flight}", format_count(work.running_count, "run"))
}

/// Returns the state of the global switch and its effect.
fn render_switch(switch: &KillSwitch, work: PendingWork, output: OutputPrinter) -> String {
    let KillSwitch::On(engaged) = switch else {
        let due = match work.due_count {
            0 => String::new(),
            due => format!("; {} due", format_count(due, "pull request")),
        };
        return format!("The kill switch is off{due}.\n");
    };
    let waiting = format_count(work.waiting_count, "pull request");
    // Local runs have no slot, so they are not among the counted runs.
    let local = match engaged.mode {
        HaltMode::Finish => "runs of `truing converge` are not counted; they complete, too",
        HaltMode::Stop => "runs of `truing converge` are not counted; they stop, too",
    };
    let mut text = format!("The kill switch is on, {}.\n", render_engagement(engaged));
    let reason = engaged.reason.as_deref().unwrap_or("none given");
    let rows = [
        ("reason", reason.to_owned()),
        ("mode", engaged.mode.as_str().to_owned()),
        ("in flight", render_runs_in_flight(work, engaged.mode)),
        ("local", local.to_owned()),
        ("held back", format!("{waiting} waiting; webhooks are answered with status 503")),
        ("unblock", output.command_line("kill off")),
    ];
    for (name, value) in rows {
        text += &fold_line(&format!("  {name:<10}"), &value);
    }
    text
}

/// Returns a line about a switch that is on, for the output of other commands.
pub(super) fn render_engaged_switch_notice(switch: EngagedSwitch<'_>, output: OutputPrinter) -> String {
    let there = if switch.repository.is_some() { " there" } else { "" };
    let off = output.command_line(&switch.off_command());
    format!(
        "{switch} is on, {}: no run begins{there} until you run `{off}`",
        render_engagement(switch.engaged)
    )
}

/// Returns the time at which the switch was turned on, and the person who turned it on.
fn render_engagement(engaged: &SwitchEngagement) -> String {
    format!("since {} by {}", format_instant(engaged.since), engaged.operator)
}

#[cfg(test)]
mod tests {
    use truing_core::id::FencingToken;
    use truing_core::slot::{HoldReason, LoopKind, WaitReason};

    use super::*;

    fn engaged_switch(mode: HaltMode, reason: Option<&str>) -> KillSwitch {
        let (by, reason) = ("ada".into(), reason.map(str::to_owned));
        KillSwitch::On(SwitchEngagement { since: UnixMillis(1_790_000_000_000), operator: by, reason, mode })
    }

    fn plain_printer() -> OutputPrinter {
        OutputPrinter::new(crate::cli::CliFormat::Text, false, 0, crate::cli::ColorWhen::Never)
    }

    /// Returns a printer whose commands name an operator's file.
    fn printer_with_config() -> OutputPrinter {
        plain_printer().with_config(Some(std::path::Path::new("ops.toml")))
    }

    #[test]
    fn a_repository_is_named_as_a_forge_shows_it() {
        for right in ["acme/shop", "~ada/shop.py", "PROJ/my_shop-2"] {
            assert_eq!(parse_repository(right).as_deref(), Ok(right));
        }
        for wrong in
            ["acme", "acme/", "/shop", "acme/shop/7", "acme/shop#7", "acme/sh op", "https://x/acme/shop", ""]
        {
            parse_repository(wrong).unwrap_err();
        }
    }

    #[test]
    fn the_screen_names_the_switches_of_repositories_each_with_what_turns_it_off() {
        let KillSwitch::On(engaged) = engaged_switch(HaltMode::Stop, Some("a storm")) else {
            panic!("it is on")
        };
        let repository = RepositoryRef::from_name("acme/shop");
        let switches = KillSwitches {
            global_switch: KillSwitch::Off,
            repositories: vec![RepositorySwitch { repository, engaged }],
        };
        insta::assert_snapshot!(render_switches(&switches, &SlotList::default(), printer_with_config()), @r"
        The kill switch is off.
        The kill switch of acme/shop is on, since 2026-09-21T14:13:20Z by ada.
          reason    a storm
          mode      stop
          in flight 0 runs
          held back 0 pull requests waiting; webhooks of this repository are answered
                    with status 503
          unblock   truing --config ops.toml kill off --repo acme/shop
        ");
        let status = serde_json::to_value(KillSwitchJson::from_switches(&switches)).unwrap();
        let its = serde_json::json!([{ "name": "acme/shop", "since": "2026-09-21T14:13:20Z", "by": "ada",
                                       "reason": "a storm", "mode": "stop" }]);
        assert_eq!((&status["enabled"], &status["repos"]), (&false.into(), &its));
        let switch = switches.engaged_switches().next().unwrap();
        assert_eq!(
            render_engaged_switch_notice(switch, printer_with_config()),
            "the kill switch of acme/shop is on, since 2026-09-21T14:13:20Z by ada: no run begins there \
                until you run `truing --config ops.toml kill off --repo acme/shop`"
        );
    }

    /// Returns slots in these states, read at the time 60,000.
    fn slot_list(states: Vec<SlotState>) -> SlotList {
        let slot = |(number, state): (usize, SlotState)| Slot {
            state,
            ..Slot::new(SlotKey::new(format!("pr/github/1/{number}")))
        };
        SlotList {
            slots: states.into_iter().enumerate().map(slot).collect(),
            read_at: UnixMillis(60_000),
            ..SlotList::default()
        }
    }

    fn leased_until(deadline: i64) -> SlotState {
        SlotState::Leased {
            token: FencingToken(9),
            deadline: UnixMillis(deadline),
            loop_kind: LoopKind::Review,
            claimed_events: None,
            pause_requested: false,
        }
    }

    #[test]
    fn a_lease_that_has_expired_is_no_run_in_flight() {
        let work = slot_list(vec![leased_until(60_001), leased_until(60_000)]).pending_work(|_| true);
        assert_eq!((work.running_count, work.due_count), (1, 1), "the next worker takes the other one over");
    }

    #[test]
    fn whatever_waits_is_held_back_for_whichever_reason_it_waits() {
        let waiting = |due_at, reason| SlotState::Waiting { due_at: UnixMillis(due_at), reason };
        let list = slot_list(vec![
            waiting(90_000, WaitReason::Backoff),
            waiting(90_000, WaitReason::RateLimit),
            waiting(60_000, WaitReason::Debounce),
            SlotState::Held { reason: HoldReason::Parked },
            SlotState::Idle,
        ]);
        let work = list.pending_work(|_| true);
        assert_eq!((work.waiting_count, work.due_count, work.running_count), (3, 1, 0));
        let on = render_switch(&engaged_switch(HaltMode::Finish, None), work, plain_printer());
        assert!(on.contains("held back 3 pull requests waiting"), "{on}");
    }

    #[test]
    fn the_screen_says_what_is_held_back_and_what_lets_it_go_on() {
        insta::assert_snapshot!(render_switch(&engaged_switch(HaltMode::Finish, Some("a storm")),
            PendingWork { due_count: 0, waiting_count: 3, running_count: 1 }, printer_with_config()), @r"
        The kill switch is on, since 2026-09-21T14:13:20Z by ada.
          reason    a storm
          mode      finish
          in flight 1 run, which completes
          local     runs of `truing converge` are not counted; they complete, too
          held back 3 pull requests waiting; webhooks are answered with status 503
          unblock   truing --config ops.toml kill off
        ");
        insta::assert_snapshot!(render_switch(&engaged_switch(HaltMode::Stop, None),
            PendingWork { running_count: 2, ..PendingWork::default() }, plain_printer()), @r"
        The kill switch is on, since 2026-09-21T14:13:20Z by ada.
          reason    none given
          mode      stop
          in flight 2 runs, which stop before their next step
          local     runs of `truing converge` are not counted; they stop, too
          held back 0 pull requests waiting; webhooks are answered with status 503
          unblock   truing kill off
        ");
        insta::assert_snapshot!(render_switch(&KillSwitch::Off,
            PendingWork { due_count: 1, waiting_count: 3, running_count: 2 }, plain_printer()),
            @"The kill switch is off; 1 pull request due.");
        insta::assert_snapshot!(render_switch(&KillSwitch::Off, PendingWork::default(), plain_printer()),
            @"The kill switch is off.");
    }
}
