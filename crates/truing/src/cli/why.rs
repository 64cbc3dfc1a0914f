//! `truing why`: one screen on one pull request: what it waits for, what happened, what unblocks it.

use serde::Serialize;
use serde_json::{Value, json};
use truing_config::Config;
use truing_core::converge::record::{Record as Converge, abandoned_key};
use truing_core::id::{Key, Millis, RunId, Sha};
use truing_core::ledger::{Drawn, LevelKind};
use truing_core::line;
use truing_core::money::MicroUsd;
use truing_core::outcome::{ReviewRecord, Step};
use truing_core::port::{Event, Ledger as _, Operations as _, Slots as _, Watchlist as _};
use truing_core::settled;
use truing_core::slot::{Hold, State, Why};
use truing_core::sync::job;
use truing_core::sync::record::Record as Job;
use truing_loops::budget::Budgets;
use truing_loops::pull::own_key;
use truing_loops::text;
use truing_loops::text::instant;
use truing_store::Store;

use super::budget::{Row, sums};
use super::columns::folded;
use super::error::{CliError, Exit};
use super::kill::{self, Status};
use super::output::Output;
use super::target::{Target, existing_store, state, store_error};
use super::{Context, runtime};
use truing_service::report::outcome::merged;

/// Events shown: one screen.
const EVENTS: usize = 12;
/// Runs whose money is looked at, the newest.
const MOST_RUNS: usize = 200;
/// Runs whose limits are shown, the newest.
const RUN_ROWS: usize = 2;
/// No slot has the work of a head that was not reviewed.
const AWAITS_SWEEP: &str = "its last commit was not reviewed, and nothing is queued for it: the next sweep of `truing serve` queues it";
/// Characters of a reason.
const MAX_REASON: usize = 200;

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
    last_outcome: Option<Value>,
    /// Of each loop that there was, newest first.
    last_outcomes: Vec<Last>,
    /// Of all attempts at its last head, of every loop: by the ledger.
    cost_micro_usd: u64,
    /// Of all attempts at all its heads.
    cost_in_all_micro_usd: u64,
    budget: Vec<Row>,
    #[serde(skip)]
    drawn: Vec<Drawn>,
    events: Vec<Line>,
}

/// The end of a loop's last run.
#[derive(Serialize)]
struct Last {
    r#loop: &'static str,
    /// In a word.
    result: String,
    reason: Option<String>,
    /// Of reviews: was it for the pull request? If not, it was asked for by `truing review --pr` and shown to its caller alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    published: Option<bool>,
    /// Findings that are open; of reviews.
    open: Option<u32>,
    head: Option<Sha>,
    ended: String,
    cost_micro_usd: u64,
    #[serde(skip)]
    at: Millis,
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
        let store = existing_store(&config, &context.environment).await?;
        let target = Target::find(store.as_ref(), &args.target).await?;
        let Some(store) = store else { return Ok(Exit::Done) };
        let key = &target.slot.key;
        let events = store.events(key, EVENTS).await.map_err(store_error)?;
        let served = store.last_outcome(key).await.map_err(store_error)?;
        // One that was asked for here and published nowhere is filed by the page.
        let local = match &target.described {
            Some(described) => store.last_outcome(&own_key(&described.url)).await.map_err(store_error)?,
            None => None,
        };
        let (state, why, at) = state(&target.slot);
        let switches = store.switch().await.map_err(store_error)?;
        let switch = switches.at(&target.repository());
        let held_back = switch.map(|switch| kill::held_back(switch, context.output));
        let mut converges: Vec<Converge> = Vec::new();
        for key in [key.clone(), abandoned_key(key)] {
            converges.extend(store.records(Some(&key), Millis(0), MOST_RUNS).await.map_err(store_error)?);
        }
        converges.sort_by_key(|run| std::cmp::Reverse(run.ended));
        converges.truncate(MOST_RUNS);
        let jobs = match job::of_key(key) {
            Some(_) => store.records(Some(key), Millis(0), MOST_RUNS).await.map_err(store_error)?,
            None => Vec::new(),
        };
        let last_outcomes = last_of_each((served.as_ref(), local.as_ref()), &converges, &jobs);
        let last_outcome =
            [served, local].into_iter().flatten().max_by_key(|last| last.ended).as_ref().map(flat);
        let waits = matches!(target.slot.state, State::Waiting { .. });
        let is_served = store.path().is_none_or(|path| truing_store::is_served(path).unwrap_or(true));
        let (explanation, unblock) = match target.slot.state {
            State::Waiting { why, .. } if !is_served => unserved(why, context.output),
            State::Idle if awaits_sweep(&target, &store).await? => {
                let review = format!("review --pr {} --publish", target.name());
                (AWAITS_SWEEP.to_owned(), Some(context.output.command(&review)))
            }
            State::Idle => resting(&target, &converges, context.output),
            State::Waiting { .. } | State::Leased { .. } | State::Held { .. } => {
                explain(&target, context.output)
            }
        };
        let head = target.described.as_ref().and_then(|described| described.head.as_ref());
        let head = head.or_else(|| last_outcomes.iter().find_map(|last| last.head.as_ref()));
        let (all, of_head) = spent(&store, key, head, (&converges, &jobs)).await?;
        let mut drawn = drawn_on(&store, &config, &target, head).await?;
        drawn.extend(
            of_head.iter().filter(|drawn| drawn.level.kind == LevelKind::Run).take(RUN_ROWS).cloned(),
        );
        let off = switch.filter(|_| waits).map(|switch| context.output.command(&switch.off()));
        let unblock = off.or(unblock);
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
            kill_switch: Status::of(&switches),
            held_back,
            budget: drawn.iter().map(Row::from).collect(),
            cost_micro_usd: sum(&of_head),
            cost_in_all_micro_usd: sum(&all),
            drawn,
            last_outcome,
            last_outcomes,
            events: events.into_iter().map(happened).collect(),
        };
        context.output.answer(&answer, || screen(&answer))?;
        Ok(Exit::Done)
    })
}

/// What was drawn on that pays for its last head, or would now.
async fn drawn_on(
    store: &Store,
    config: &Config,
    target: &Target,
    head: Option<&Sha>,
) -> Result<Vec<Drawn>, CliError> {
    let budgets =
        Budgets::new(config).map_err(|error| CliError::failed("bad_configuration", error.to_string()))?;
    let described = target.described.as_ref();
    let head = head.map_or("", Sha::as_str);
    let name = described.map(|described| described.name.split('#').next().unwrap_or_default().trim());
    let now = store.now().await.map_err(store_error)?;
    let purse = budgets.purse(RunId::new(""), &target.slot.key, head, name, now);
    let drawn = store.look(&purse.levels).await.map_err(store_error)?;
    Ok(drawn.into_iter().filter(|drawn| drawn.spent.0 > 0 || drawn.reserved.0 > 0).collect())
}

/// The levels that all its reviews and runs were drawn on, and those that have to do with its head.
async fn spent(
    store: &Store,
    key: &Key,
    head: Option<&Sha>,
    (converges, jobs): (&[Converge], &[Job]),
) -> Result<(Vec<Drawn>, Vec<Drawn>), CliError> {
    let runs = converges.iter().map(|run| run.run.clone()).chain(jobs.iter().map(|job| job.run.clone()));
    let all = store.drawn_of(key, &runs.collect::<Vec<_>>()).await.map_err(store_error)?;
    let is_of_head = |drawn: &&Drawn| {
        let (Some(head), of) = (head, &drawn.level.key) else { return true };
        match drawn.level.kind {
            LevelKind::Review => *of == format!("{key}@{head}"),
            // One whose record is of a job has no head.
            LevelKind::Run => {
                converges.iter().find(|run| run.run.as_str() == of).is_none_or(|run| run.is_about(head))
            }
            LevelKind::PullAsk
            | LevelKind::Pull
            | LevelKind::RepoDay
            | LevelKind::ConvergeDay
            | LevelKind::SyncDay
            | LevelKind::TeamMonth
            | LevelKind::Month => false,
        }
    };
    let of_head = all.iter().filter(is_of_head).cloned().collect();
    Ok((all, of_head))
}

fn sum(drawn: &[Drawn]) -> u64 {
    drawn.iter().map(|drawn| drawn.spent.0).fold(0, u64::saturating_add)
}

/// A review's record with all fields side by side.
fn flat(record: &ReviewRecord) -> Value {
    let mut all = json!(record.detail);
    if let Some(all) = all.as_object_mut() {
        all.remove("stage");
    }
    let own = json!({
        "run": record.run,
        "key": record.key,
        "cost_micro_usd": record.cost(),
        "turns": record.turns(),
        "started": record.started,
        "ended": record.ended,
        "versions": record.versions,
    });
    if let Some(modelled) = all.get_mut("modelled").and_then(Value::as_object_mut) {
        let asked = record.steps.iter().find(|step| step.id == Step::Agent);
        modelled.insert("model".to_owned(), json!(record.model.as_deref().unwrap_or_default()));
        modelled.insert("prompt_hash".to_owned(), json!(record.prompt_hash.as_deref().unwrap_or_default()));
        modelled.insert("ms".to_owned(), json!(asked.map(|step| step.ms)));
    }
    merged(all, own)
}

/// The end of each loop's last run, the newest first. Audits that were asked for alone are told apart from runs.
/// Reviews are those for the pull request, and those that only their caller was shown.
fn last_of_each(
    (served, local): (Option<&ReviewRecord>, Option<&ReviewRecord>),
    converges: &[Converge],
    jobs: &[Job],
) -> Vec<Last> {
    let review = |last: &ReviewRecord, published: bool| Last {
        r#loop: "review",
        published: Some(published),
        result: last.result().unwrap_or_else(|| last.detail.outcome.kind.as_str().to_owned()),
        reason: last.detail.outcome.reason.clone(),
        open: Some(last.detail.open.iter().map(|(_, count)| count).sum()),
        head: last.detail.head.clone(),
        ended: instant(last.ended),
        cost_micro_usd: last.cost().0,
        at: last.ended,
    };
    let of = |audits: bool| {
        let last = converges
            .iter()
            .find(|run| run.detail.state.audits_only == audits && run.detail.final_exit().is_some())?;
        Some(Last {
            r#loop: if audits { "audit" } else { "converge" },
            result: last.result().unwrap_or_default(),
            reason: last.detail.final_exit().map(|exit| exit.reason.clone()),
            published: None,
            open: None,
            head: last.has_begun().then(|| last.detail.state.head.clone()),
            ended: instant(last.ended),
            cost_micro_usd: last.cost().0,
            at: last.ended,
        })
    };
    let job = jobs.first().map(|last| Last {
        r#loop: "sync",
        result: last.detail.result.as_str().to_owned(),
        reason: Some(last.detail.exit_reason.clone()),
        published: None,
        open: None,
        head: None,
        ended: instant(last.ended),
        cost_micro_usd: last.cost().0,
        at: last.ended,
    });
    let reviews = [served.map(|last| review(last, true)), local.map(|last| review(last, false))];
    let others = [of(false), of(true), job];
    let mut all: Vec<Last> = reviews.into_iter().chain(others).flatten().collect();
    all.sort_by_key(|last| std::cmp::Reverse(last.at));
    all
}

fn happened(event: Event) -> Line {
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
    for last in &answer.last_outcomes {
        text += &row("last", &told(last));
    }
    let (of_head, all) = (answer.cost_micro_usd, answer.cost_in_all_micro_usd);
    let in_all = if all == of_head { String::new() } else { format!(", {} in all", MicroUsd(all)) };
    // A job has no head.
    let cost = match answer.key.strip_prefix("sync/") {
        Some(_) => format!("{} in all", MicroUsd(all)),
        None => format!("{} for this head{in_all}", MicroUsd(of_head)),
    };
    text += &row("cost", &cost);
    for drawn in &answer.drawn {
        let what = match drawn.level.kind {
            LevelKind::Review => "this head".to_owned(),
            LevelKind::RepoDay => "this repository today".to_owned(),
            LevelKind::TeamMonth => format!("team {} this month", drawn.level.key),
            LevelKind::Run => format!("run {}", drawn.level.key),
            LevelKind::PullAsk => "this pull request until `/spend`".to_owned(),
            LevelKind::Pull => "all of this pull request".to_owned(),
            LevelKind::ConvergeDay => "converge runs of this repository today".to_owned(),
            LevelKind::SyncDay => "jobs of this repository today".to_owned(),
            LevelKind::Month => "this installation this month".to_owned(),
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

/// The end of a run, on one line.
fn told(last: &Last) -> String {
    let mut text = match last.published {
        Some(false) => format!("{} (not published): {}", last.r#loop, last.result),
        Some(true) | None => format!("{}: {}", last.r#loop, last.result),
    };
    if let Some(head) = &last.head {
        text += &format!(" at {}", head.short());
    }
    // What failed or was stopped has found nothing: only why is known.
    match (&last.reason, last.open, last.result.as_str()) {
        (_, Some(open), "reviewed" | "partial") => {
            text += &format!(", {}", text::counted(open, "open finding"));
        }
        (Some(reason), ..) if *reason != last.result => {
            text += &format!(", {}", line::clean(reason, MAX_REASON));
        }
        (Some(_) | None, ..) => {}
    }
    // The others' is what the head cost, below.
    if last.published == Some(false) {
        text += &format!(", {}", MicroUsd(last.cost_micro_usd));
    }
    format!("{text}, {}", last.ended)
}

/// The words on a review that waits for money.
const DEFERRED: &str = "the repository's budget for today is used up; the rules have reviewed it, and a model does when the next day (UTC) begins";

/// It waits, and nobody serves it.
fn unserved(why: Why, output: Output) -> (String, Option<String>) {
    let what = match why {
        Why::Debounce | Why::Storm | Why::Scheduled | Why::Step => "it is due then",
        Why::Backoff => "the last attempt failed",
        Why::Deferred => DEFERRED,
        Why::RateLimit => "the forge's rate limit is used up",
        Why::Settling => "a comment may still become visible at the forge",
        Why::Reviewer => "another reviewer, or a check, has not answered yet",
    };
    (format!("{what}; no server is at work, so nothing begins by itself"), Some(output.command("serve")))
}

/// Does its head wait for a review that no slot has?
async fn awaits_sweep(target: &Target, store: &Store) -> Result<bool, CliError> {
    let key = std::slice::from_ref(&target.slot.key);
    let reviews = store.last_reviews(key).await.map_err(store_error)?.pop().unwrap_or_default();
    let head = target.described.as_ref().and_then(|described| described.head.as_ref());
    Ok(settled::awaits_sweep(&target.slot, head, &reviews))
}

/// Nothing is pending; but a run may be left that can go on.
fn resting(target: &Target, converges: &[Converge], output: Output) -> (String, Option<String>) {
    let last = converges.iter().find(|run| !run.detail.state.audits_only);
    match last.filter(|last| last.detail.final_exit().is_some() && last.is_unfinished()) {
        Some(_) => (
            "nothing is pending; the last converge run can be resumed".into(),
            Some(output.command(&format!("converge {}", target.name()))),
        ),
        None => explain(target, output),
    }
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
                Why::Debounce => ("waiting for more pushes; the review starts when they pause", true),
                Why::Storm => (
                    "this burst of pushes was reviewed once; its last commit is reviewed when the pushes stop",
                    true,
                ),
                Why::Backoff => ("the last attempt failed; it is tried again", true),
                Why::Deferred => (DEFERRED, true),
                Why::Scheduled => ("its time has not come", true),
                Why::RateLimit => ("the forge's rate limit is used up", false),
                Why::Settling => ("a comment may still become visible at the forge", false),
                Why::Reviewer => ("another reviewer, or a check, has not answered yet", true),
                Why::Step => ("between two steps of a run; other pull requests have their turn", false),
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
