//! `truing why`: one screen on one pull request: what it waits for, what happened, what unblocks it.

use serde::Serialize;
use truing_core::id::{RunId, Sha};
use truing_core::ledger::{Drawn, LevelKind};
use truing_core::money::MicroUsd;
use truing_core::outcome::OutcomeRecord;
use truing_core::port::{Event, Ledger as _, Operations as _, Slots as _};
use truing_core::slot::{Hold, State, Why};
use truing_store::Sqlite;

use super::budget::{Row, sums};
use super::columns::folded;
use super::error::{CliError, Exit};
use super::kill::{self, Status};
use super::output::Output;
use super::target::{Target, existing_store, instant, state, store_error};
use super::{Context, runtime};
use crate::budget::Budgets;
use crate::config::Config;
use crate::loops::text;

/// Events shown: one screen.
const EVENTS: usize = 12;

/// Explain a pull request's state and how to unblock it
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The pull request: its URL, OWNER/NAME#NUMBER or OWNER/NAME/NUMBER, or a key
    #[arg(value_name = "PR-URL|KEY")]
    target: String,
}

/// The answer for scripts.
#[derive(Serialize)]
struct Answer<'a> {
    key: &'a str,
    name: &'a str,
    url: Option<&'a str>,
    state: &'static str,
    why: Option<&'static str>,
    at: Option<String>,
    attempts: u32,
    explanation: String,
    unblock: Option<String>,
    kill_switch: Status,
    #[serde(skip)]
    held_back: Option<String>,
    last_outcome: Option<OutcomeRecord>,
    /// Of all attempts at its last head.
    cost_micro_usd: u64,
    budget: Vec<Row>,
    #[serde(skip)]
    drawn: Vec<Drawn>,
    events: Vec<Line>,
}

/// A line of history.
#[derive(Serialize)]
struct Line {
    at: String,
    what: String,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    let config = context.config(&[])?;
    runtime::start()?.block_on(async {
        let store = existing_store(&config)?;
        let target = Target::find(store.as_ref(), &args.target).await?;
        let Some(store) = store else { return Ok(Exit::Done) };
        let key = &target.slot.key;
        let events = store.events(key, EVENTS).await.map_err(store_error)?;
        let last_outcome = store.last_outcome(key).await.map_err(store_error)?;
        let (state, why, at) = state(&target.slot);
        let switch = store.switch().await.map_err(store_error)?;
        let held_back = kill::held_back(&switch);
        let (explanation, unblock) = explain(&target, context.output);
        let drawn = drawn_on(&store, &config, &target, last_outcome.as_ref()).await?;
        let waits = matches!(target.slot.state, State::Waiting { .. });
        let unblock =
            if held_back.is_some() && waits { Some(context.output.command("kill off")) } else { unblock };
        let answer = Answer {
            key: key.as_str(),
            name: target.name(),
            url: target.described.as_ref().map(|described| described.url.as_str()),
            state,
            why,
            at: at.map(instant),
            attempts: target.slot.attempts,
            explanation,
            unblock,
            kill_switch: Status::of(&switch),
            held_back,
            budget: drawn.iter().map(Row::from).collect(),
            cost_micro_usd: of_head(&drawn).0,
            drawn,
            last_outcome,
            events: events.into_iter().map(line).collect(),
        };
        context.output.answer(&answer, || screen(&answer))?;
        Ok(Exit::Done)
    })
}

/// What was drawn on that pays for its last head, or would now.
async fn drawn_on(
    store: &Sqlite,
    config: &Config,
    target: &Target,
    last: Option<&OutcomeRecord>,
) -> Result<Vec<Drawn>, CliError> {
    let budgets =
        Budgets::new(config).map_err(|error| CliError::failed("bad_configuration", error.to_string()))?;
    let described = target.described.as_ref();
    let head = described.and_then(|described| described.head.as_ref());
    let head = head.or_else(|| last.and_then(|last| last.head.as_ref())).map_or("", Sha::as_str);
    let name = described.map(|described| described.name.split('#').next().unwrap_or_default().trim());
    let now = store.now().await.map_err(store_error)?;
    let purse = budgets.purse(RunId::new(""), &target.slot.key, head, name, now);
    let drawn = store.look(&purse.levels).await.map_err(store_error)?;
    Ok(drawn.into_iter().filter(|drawn| drawn.spent.0 > 0 || drawn.reserved.0 > 0).collect())
}

/// What all attempts at reviewing the head have cost, by the ledger.
fn of_head(drawn: &[Drawn]) -> MicroUsd {
    let of_head = drawn.iter().filter(|drawn| drawn.level.kind == LevelKind::Review);
    MicroUsd(of_head.map(|drawn| drawn.spent.0).fold(0, u64::saturating_add))
}

fn line(event: Event) -> Line {
    Line { at: instant(event.at), what: event.what }
}

fn screen(answer: &Answer<'_>) -> String {
    let mut text = format!("{}\n", answer.name);
    let row = |name: &str, value: &str| folded(&format!("  {name:<10}"), value);
    for (name, value) in [("page", answer.url), ("key", Some(answer.key))] {
        if let Some(value) = value {
            text += &row(name, value);
        }
    }
    let why = answer.why.map(|why| format!(" ({why})")).unwrap_or_default();
    let at = answer.at.as_ref().map(|at| format!(" until {at}")).unwrap_or_default();
    text += &row("state", &format!("{}{why}{at}", answer.state));
    text += &row("because", &answer.explanation);
    if let Some(held_back) = &answer.held_back {
        text += &row("held back", held_back);
    }
    if let Some(unblock) = &answer.unblock {
        text += &row("unblock", unblock);
    }
    if let Some(last) = &answer.last_outcome {
        let open: u32 = last.open.iter().map(|(_, count)| count).sum();
        let head = last.head.as_ref().map_or("working tree", |head| head.short());
        let kind = format!("{:?}", last.outcome.kind).to_lowercase();
        let found = text::counted(usize::try_from(open).unwrap_or(usize::MAX), "open finding");
        text += &row("last", &format!("{kind} at {head}, {found}, {}", instant(last.ended)));
    }
    text += &row("cost", &format!("{} for this head", MicroUsd(answer.cost_micro_usd)));
    for drawn in &answer.drawn {
        let what = match drawn.level.kind {
            LevelKind::Review => "this head".to_owned(),
            LevelKind::RepoDay => "this repository today".to_owned(),
            LevelKind::TeamMonth => format!("team {} this month", drawn.level.key),
            LevelKind::Run => "this run".to_owned(),
        };
        text += &row("budget", &format!("{what}: {}", sums(drawn)));
    }
    if !answer.events.is_empty() {
        text += "\n";
    }
    for event in &answer.events {
        text += &folded(&format!("  {}  ", event.at), &event.what);
    }
    text
}

/// In words: what it waits for, and the command that makes it go on, if one does.
fn explain(target: &Target, output: Output) -> (String, Option<String>) {
    let key = target.slot.key.as_str();
    let retry = Some(output.command(&format!("queue retry {key}")));
    match &target.slot.state {
        State::Idle => ("nothing is pending".into(), None),
        State::Leased { of, pausing: false, .. } => (format!("a worker runs its {} now", of.as_str()), None),
        State::Leased { of, pausing: true, .. } => {
            (format!("a worker runs its {} now; then it is paused", of.as_str()), None)
        }
        State::Waiting { why, .. } => {
            let (text, now) = match why {
                Why::Debounce => ("more pushes may follow: it is reviewed after a pause", true),
                Why::Storm => {
                    ("its storm of pushes has had its leading review; the settled head is next", true)
                }
                Why::Backoff => ("the last attempt failed; it is tried again", true),
                Why::Deferred => ("policy says later", true),
                Why::Scheduled => ("its time has not come", true),
                Why::RateLimit => ("the forge's rate limit is used up", false),
                Why::Settling => ("a comment may still become visible at the forge", false),
                Why::Reviewer => ("another reviewer, or a check, has not answered yet", true),
                Why::Step => ("it is in the middle of a run, and others have their turn", false),
            };
            (text.into(), retry.filter(|_| now))
        }
        State::Held { why } => match why {
            Hold::Parked => ("too many attempts failed; a new push or a retry starts over".into(), retry),
            Hold::Paused => ("a person paused it".into(), retry),
            Hold::Draft => ("the pull request is a draft".into(), Some("mark it ready for review".into())),
            Hold::Cancelled => ("the pull request is closed".into(), Some("reopen it".into())),
        },
    }
}
