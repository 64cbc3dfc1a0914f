//! `truing kill`: the kill switch. It works on the store's file, whether a server runs or not.

use std::time::Duration;

use serde::Serialize;
use truing_core::port::{Operations as _, Slots as _};
use truing_core::slot::State;
use truing_core::switch::{Engaged, Mode, Switch, Turn};
use truing_loops::text::{counted, instant};
use truing_store::Store;

use super::columns::folded;
use super::error::{CliError, Exit};
use super::output::Output;
use super::target::{actor, existing_store, store_error, tell_absent};
use super::{Context, runtime};
use crate::wiring::store::Place;

/// The pauses before further tries, where servers hold the switch.
const PAUSES: &[Duration] = &[Duration::from_millis(200), Duration::from_millis(500), Duration::from_secs(1)];

/// The kill switch: stop everything that spends or writes, or resume it
///
/// While it is on, webhooks are answered 503, nothing begins, and what is due stays due. It applies to every service on
/// this store, also to one that is started later, and to `truing review --pr`. Reviews of local repositories by rules
/// neither spend nor write: they continue.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

/// What to do.
#[derive(clap::Subcommand, Debug)]
enum Action {
    /// Turn it on; where it is on, change its reason or mode
    On {
        /// Why, for those who ask later: one line
        #[arg(long, value_name = "T")]
        reason: Option<String>,
        /// What happens to reviews in flight [default: finish, or as it is]
        #[arg(long, value_enum)]
        mode: Option<ModeFlag>,
    },
    /// Turn it off: what is due goes on at once
    Off,
    /// Show whether it is on
    Status,
}

/// What becomes of reviews in flight.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum ModeFlag {
    /// They complete
    Finish,
    /// They stop before their next step and publish nothing new
    Stop,
}

/// The switch as scripts see it (cli.md, "Service").
#[derive(Serialize, Default)]
pub(super) struct Status {
    enabled: bool,
    since: Option<String>,
    by: Option<String>,
    reason: Option<String>,
    mode: Option<&'static str>,
}

impl Status {
    /// A switch for scripts.
    pub(super) fn of(switch: &Switch) -> Self {
        let Switch::On(Engaged { since, by, reason, mode }) = switch else { return Self::default() };
        Self {
            enabled: true,
            since: Some(instant(*since)),
            by: Some(by.clone()),
            reason: reason.clone(),
            mode: Some(mode.as_str()),
        }
    }
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    let turned = runtime::start()?.block_on(turn_at_last(args, context));
    turned.map_err(|error| match (&args.action, error.exit) {
        // Whoever wants everything stopped must not have to think now.
        (Action::On { .. }, Exit::Failed) => {
            error.hint("until then stop the service itself: send SIGTERM to `truing serve`")
        }
        (Action::On { .. } | Action::Off | Action::Status, _) => error,
    })
}

/// Turns it. Where servers hold it, again if one lost the connection meanwhile: to turn it twice is to turn it once.
async fn turn_at_last(args: &Args, context: &Context) -> Result<Exit, CliError> {
    let is_file = Place::of(&context.config(&[])?, &context.environment)?.file().is_some();
    for pause in PAUSES.iter().filter(|_| !is_file) {
        match turn(args, context).await {
            Err(error) if error.exit == Exit::Failed => tokio::time::sleep(*pause).await,
            turned => return turned,
        }
    }
    turn(args, context).await
}

async fn turn(args: &Args, context: &Context) -> Result<Exit, CliError> {
    let config = context.config(&[])?;
    let (store, turn) = match &args.action {
        // A server that is started later must find it on.
        Action::On { reason, mode } => {
            let mode = mode.map(|mode| match mode {
                ModeFlag::Finish => Mode::Finish,
                ModeFlag::Stop => Mode::Stop,
            });
            let place = Place::of(&config, &context.environment)?;
            let is_new = place.file().is_some_and(|path| !path.exists());
            let store = place.open().await?;
            if is_new {
                let path = &place;
                context.output.warn(format_args!(
                        "there was no database at {path}: it is made now, and the switch is in it. A server that runs on \
                         another one does not see it: see that `store.url` is the server's"
                    ));
            }
            (Some(store), Some(Turn::On { reason: reason.clone(), mode }))
        }
        Action::Off => (existing_store(&config, &context.environment).await?, Some(Turn::Off)),
        Action::Status => (existing_store(&config, &context.environment).await?, None),
    };
    tell_absent(store.as_ref(), &config, context)?;
    let (switch, work) = match &store {
        None => (Switch::Off, Work::default()),
        Some(store) => {
            let switch = match turn {
                Some(turn) => store.turn(&turn, &actor(&context.environment)).await.map(|(_, after)| after),
                None => store.switch().await,
            };
            (switch.map_err(store_error)?, Work::of(store).await?)
        }
    };
    context.output.answer(&Status::of(&switch), || screen(&switch, work, context.output))?;
    Ok(Exit::Done)
}

/// What there is to do.
#[derive(Clone, Copy, Default)]
struct Work {
    /// Slots that are due now.
    due: usize,
    /// Runs in flight.
    running: usize,
}

impl Work {
    async fn of(store: &Store) -> Result<Self, CliError> {
        let now = store.now().await.map_err(store_error)?;
        let slots = store.list().await.map_err(store_error)?;
        let due = |state: &State| matches!(state, State::Waiting { at, .. } if *at <= now);
        Ok(Self {
            due: slots.iter().filter(|slot| due(&slot.state)).count(),
            running: slots.iter().filter(|slot| slot.token().is_some()).count(),
        })
    }
}

/// What holds now, and what happens next.
fn screen(switch: &Switch, work: Work, output: Output) -> String {
    let due = counted(work.due, "pull request");
    let Switch::On(engaged) = switch else {
        let waiting = if work.due == 0 { String::new() } else { format!("; {due} due") };
        return format!("The kill switch is off{waiting}.\n");
    };
    let (runs, flight) = (
        counted(work.running, "run"),
        match (work.running, engaged.mode) {
            (0, _) => String::new(),
            (1, Mode::Finish) => ", which completes".into(),
            (_, Mode::Finish) => ", which complete".into(),
            (1, Mode::Stop) => ", which stops before its next step".into(),
            (_, Mode::Stop) => ", which stop before their next step".into(),
        },
    );
    // They hold no slot: nothing in the database tells that they run.
    let local = match engaged.mode {
        Mode::Finish => "runs of `truing converge` are not counted; they complete, too",
        Mode::Stop => "runs of `truing converge` are not counted; they stop, too",
    };
    let mut text = format!("The kill switch is on, {}.\n", since(engaged));
    let reason = engaged.reason.as_deref().unwrap_or("none given");
    let rows = [
        ("reason", reason.to_owned()),
        ("mode", engaged.mode.as_str().to_owned()),
        ("in flight", format!("{runs}{flight}")),
        ("local", local.to_owned()),
        ("held back", format!("{due} due; webhooks are answered 503")),
        ("unblock", output.command("kill off")),
    ];
    for (name, value) in rows {
        text += &folded(&format!("  {name:<10}"), &value);
    }
    text
}

/// What other commands say of a switch that is on.
pub(super) fn held_back(switch: &Switch, output: Output) -> Option<String> {
    let engaged = switch.engaged()?;
    let off = output.command("kill off");
    Some(format!("the kill switch is on, {}: nothing begins until `{off}`", since(engaged)))
}

/// Since when and by whom.
fn since(engaged: &Engaged) -> String {
    format!("since {} by {}", instant(engaged.since), engaged.by)
}

#[cfg(test)]
mod tests {
    use truing_core::id::Millis;

    use super::*;

    fn on(mode: Mode, reason: Option<&str>) -> Switch {
        let (by, reason) = ("ada".into(), reason.map(str::to_owned));
        Switch::On(Engaged { since: Millis(1_790_000_000_000), by, reason, mode })
    }

    fn plain() -> Output {
        Output::new(crate::cli::Format::Text, false, 0, crate::cli::ColorWhen::Never)
    }

    /// With the operator's file.
    fn named() -> Output {
        plain().with_config(Some(std::path::Path::new("ops.toml")))
    }

    #[test]
    fn the_screen_says_what_is_held_back_and_what_lets_it_go_on() {
        insta::assert_snapshot!(screen(&on(Mode::Finish, Some("a storm")), Work { due: 3, running: 1 }, named()), @r"
        The kill switch is on, since 2026-09-21T14:13:20Z by ada.
          reason    a storm
          mode      finish
          in flight 1 run, which completes
          local     runs of `truing converge` are not counted; they complete, too
          held back 3 pull requests due; webhooks are answered 503
          unblock   truing --config ops.toml kill off
        ");
        insta::assert_snapshot!(screen(&on(Mode::Stop, None), Work { due: 0, running: 2 }, plain()), @r"
        The kill switch is on, since 2026-09-21T14:13:20Z by ada.
          reason    none given
          mode      stop
          in flight 2 runs, which stop before their next step
          local     runs of `truing converge` are not counted; they stop, too
          held back 0 pull requests due; webhooks are answered 503
          unblock   truing kill off
        ");
        insta::assert_snapshot!(screen(&Switch::Off, Work { due: 1, running: 2 }, plain()), @"The kill switch is off; 1 pull request due.");
        insta::assert_snapshot!(screen(&Switch::Off, Work::default(), plain()), @"The kill switch is off.");
    }
}
