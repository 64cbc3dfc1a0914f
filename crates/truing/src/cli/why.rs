//! The command `truing why`: prints one screen about a pull request: its state, its history, and the command
//! that unblocks the pull request.

mod explanation;

use serde::Serialize;
use serde_json::{Value, json};
use truing_config::Config;
use truing_core::converge::record::{ConvergeRecord as Converge, abandoned_key};
use truing_core::id::{RunId, Sha, SlotKey, UnixMillis};
use truing_core::ledger::{BudgetLevelKind, BudgetUsage};
use truing_core::line;
use truing_core::money::MicroUsd;
use truing_core::outcome::{ReviewRecord, ReviewStep};
use truing_core::port::{HistoryEvent, Ledger as _, OperatorStore as _, SlotStore as _, SweepStore as _};
use truing_core::review_settlement;
use truing_core::slot::SlotState;
use truing_core::sync::job;
use truing_core::sync::record::SyncRecord as Job;
use truing_loops::budget::BudgetLimits;
use truing_loops::pull::unpublished_review_key;
use truing_loops::text;
use truing_loops::text::format_instant;
use truing_store::Store;

use self::explanation::{explain_idle, explain_state, explain_unserved, explain_without_server};
use super::budget::{BudgetRow, render_usage};
use super::columns::fold_line;
use super::error::{CliError, CommandExit};
use super::kill::{self, KillSwitchJson};
use super::target::{DescribedSlot, open_records_store, slot_state, store_error};
use super::{CommandContext, runtime};
use truing_service::report::outcome::merge_objects;

/// Maximum number of events that are shown, chosen to fit on one screen.
const MAX_EVENTS: usize = 12;
/// Maximum number of runs, newest first, whose cost is summed.
const MAX_SUMMED_RUNS: usize = 200;
/// Maximum number of runs, newest first, whose budget limits are shown.
const MAX_RUN_BUDGET_ROWS: usize = 2;
/// Message for a head that was not reviewed and whose review is not queued.
const AWAITS_SWEEP_MESSAGE: &str = "the last commit was not reviewed, and no review of it is queued: \
    the next sweep of `truing serve` queues a review";
/// Maximum characters of a reason.
const MAX_REASON_CHARS: usize = 200;

/// Explain a pull request's state and how to unblock it
#[derive(clap::Args, Debug)]
pub struct WhyArgs {
    /// The pull request: its URL, OWNER/NAME#NUMBER or OWNER/NAME/NUMBER, or a key
    #[arg(value_name = "PR-URL|KEY")]
    target: String,
}

/// The answer as JSON.
#[derive(Serialize)]
struct WhyJson<'a> {
    key: &'a str,
    name: &'a str,
    url: Option<&'a str>,
    state: &'static str,
    #[serde(rename = "why")]
    reason: Option<&'static str>,
    #[serde(rename = "at")]
    state_ends_at: Option<String>,
    attempts: u32,
    explanation: String,
    #[serde(rename = "unblock")]
    unblock_command: Option<String>,
    kill_switch: KillSwitchJson,
    #[serde(skip)]
    kill_switch_line: Option<String>,
    last_outcome: Option<Value>,
    /// Last run of each loop, newest first.
    #[serde(rename = "last_outcomes")]
    last_runs: Vec<LastRunJson>,
    /// Cost of all reviews and runs of the last head, according to the ledger.
    #[serde(rename = "cost_micro_usd")]
    head_cost_micro_usd: u64,
    /// Cost of all reviews and runs of all heads.
    cost_in_all_micro_usd: u64,
    budget: Vec<BudgetRow>,
    #[serde(skip)]
    budget_usage: Vec<BudgetUsage>,
    events: Vec<HistoryLineJson>,
}

/// Result of a loop's last run.
#[derive(Serialize)]
struct LastRunJson {
    r#loop: &'static str,
    /// Result in one word.
    result: String,
    reason: Option<String>,
    /// True for a published review of the pull request. False for an unpublished review by `truing review
    /// --pr` without `--publish`.
    #[serde(skip_serializing_if = "Option::is_none")]
    published: Option<bool>,
    /// Number of open findings; reviews only.
    #[serde(rename = "open")]
    open_findings: Option<u32>,
    head: Option<Sha>,
    #[serde(rename = "ended")]
    ended_at: String,
    cost_micro_usd: u64,
    #[serde(skip)]
    end_time: UnixMillis,
}

/// A line of the history.
#[derive(Serialize)]
struct HistoryLineJson {
    at: String,
    #[serde(rename = "what")]
    description: String,
}

pub(crate) fn run(args: &WhyArgs, context: &CommandContext) -> Result<CommandExit, CliError> {
    let config = context.config(&[])?;
    runtime::start()?.block_on(async {
        let store = open_records_store(&config, context).await?;
        let target = DescribedSlot::find_or_suggest_review(store.as_ref(), &args.target).await?;
        let Some(store) = store else { return Ok(CommandExit::Success) };
        let key = &target.slot.key;
        let events = store.events(key, MAX_EVENTS).await.map_err(store_error)?;
        let served = store.last_review_record(key).await.map_err(store_error)?;
        // The key of an unpublished review on this machine is the URL of the pull request.
        let local = match &target.description {
            Some(described) => store
                .last_review_record(&unpublished_review_key(&described.url))
                .await
                .map_err(store_error)?,
            None => None,
        };
        let (state, reason, at) = slot_state(&target.slot);
        let switches = store.kill_switches().await.map_err(store_error)?;
        let switch = switches.switch_for(&target.repository());
        let held_back = switch.map(|switch| kill::render_engaged_switch_notice(switch, context.output));
        let mut converges: Vec<Converge> = Vec::new();
        for key in [key.clone(), abandoned_key(key)] {
            converges.extend(
                store.records(Some(&key), UnixMillis(0), MAX_SUMMED_RUNS).await.map_err(store_error)?,
            );
        }
        converges.sort_by_key(|run| std::cmp::Reverse(run.ended_at));
        converges.truncate(MAX_SUMMED_RUNS);
        let jobs = match job::job_from_key(key) {
            Some(_) => store.records(Some(key), UnixMillis(0), MAX_SUMMED_RUNS).await.map_err(store_error)?,
            None => Vec::new(),
        };
        let last_outcomes = last_runs(served.as_ref(), local.as_ref(), &converges, &jobs);
        let last_outcome = [served, local]
            .into_iter()
            .flatten()
            .max_by_key(|last| last.ended_at)
            .as_ref()
            .map(flatten_record);
        let now = store.now().await.map_err(store_error)?;
        // The kill switch also delays the worker that takes over a run whose lease has expired.
        let waits = matches!(target.slot.state, SlotState::Waiting { .. }) || target.slot.is_due(now);
        let is_served = store.path().is_none_or(|path| truing_store::is_served(path).unwrap_or(true));
        let (explanation, unblock) = match target.slot.state {
            SlotState::Waiting { reason, .. } if !is_served => {
                explain_unserved(reason, target.slot.is_due(now), context.output)
            }
            SlotState::Idle if needs_sweep(&target, &store).await? => {
                let review = format!("review --pr {} --publish", target.name());
                (AWAITS_SWEEP_MESSAGE.to_owned(), Some(context.output.command_line(&review)))
            }
            SlotState::Idle => explain_idle(&target, &converges, now, context.output),
            SlotState::Leased { .. } if !is_served && target.slot.is_due(now) => {
                let (what, _) = explain_state(&target, now, context.output);
                explain_without_server(&what, context.output)
            }
            SlotState::Waiting { .. } | SlotState::Leased { .. } | SlotState::Held { .. } => {
                explain_state(&target, now, context.output)
            }
        };
        let head = target.description.as_ref().and_then(|described| described.head.as_ref());
        let head = head.or_else(|| last_outcomes.iter().find_map(|last| last.head.as_ref()));
        let (all, of_head) = load_usage(&store, key, head, &converges, &jobs).await?;
        let mut drawn = used_budget_levels(&store, &config, &target, head).await?;
        drawn.extend(
            of_head
                .iter()
                .filter(|drawn| drawn.level.kind == BudgetLevelKind::Run)
                .take(MAX_RUN_BUDGET_ROWS)
                .cloned(),
        );
        let off = switch.filter(|_| waits).map(|switch| context.output.command_line(&switch.off_command()));
        let unblock = off.or(unblock);
        let answer = WhyJson {
            key: key.as_str(),
            name: target.name(),
            url: target.description.as_ref().map(|described| described.url.as_str()),
            state,
            reason,
            state_ends_at: at.map(format_instant),
            attempts: target.slot.attempts,
            explanation,
            unblock_command: unblock,
            kill_switch: KillSwitchJson::from_switches(&switches),
            kill_switch_line: held_back,
            budget: drawn.iter().map(BudgetRow::from).collect(),
            head_cost_micro_usd: sum_spent(&of_head),
            cost_in_all_micro_usd: sum_spent(&all),
            budget_usage: drawn,
            last_outcome,
            last_runs: last_outcomes,
            events: events.into_iter().map(history_line).collect(),
        };
        context.output.print_answer(&answer, || render_text(&answer))?;
        Ok(CommandExit::Success)
    })
}

/// Returns the budget levels of a review of `head` in which an amount is spent or reserved.
async fn used_budget_levels(
    store: &Store,
    config: &Config,
    target: &DescribedSlot,
    head: Option<&Sha>,
) -> Result<Vec<BudgetUsage>, CliError> {
    let budgets = BudgetLimits::new(config)
        .map_err(|error| CliError::failure("bad_configuration", error.to_string()))?;
    let described = target.description.as_ref();
    let head = head.map_or("", Sha::as_str);
    let name = described.map(|described| described.name.split('#').next().unwrap_or_default().trim());
    let now = store.now().await.map_err(store_error)?;
    let budget = budgets.review_budget(RunId::new(""), &target.slot.key, head, name, now);
    let drawn = store.budget_usage(&budget.levels).await.map_err(store_error)?;
    Ok(drawn.into_iter().filter(|drawn| drawn.spent.0 > 0 || drawn.reserved.0 > 0).collect())
}

/// Returns the budget usage of all reviews and runs of the slot, and separately the usage for `head`.
async fn load_usage(
    store: &Store,
    key: &SlotKey,
    head: Option<&Sha>,
    converge_runs: &[Converge],
    sync_runs: &[Job],
) -> Result<(Vec<BudgetUsage>, Vec<BudgetUsage>), CliError> {
    let runs =
        converge_runs.iter().map(|run| run.run.clone()).chain(sync_runs.iter().map(|job| job.run.clone()));
    let all = store.slot_usage(key, &runs.collect::<Vec<_>>()).await.map_err(store_error)?;
    let is_of_head = |drawn: &&BudgetUsage| {
        let (Some(head), of) = (head, &drawn.level.key) else { return true };
        match drawn.level.kind {
            BudgetLevelKind::Review => *of == format!("{key}@{head}"),
            // A job's run has no head, so its cost is always included.
            BudgetLevelKind::Run => converge_runs
                .iter()
                .find(|run| run.run.as_str() == of)
                .is_none_or(|run| run.involves_head(head)),
            BudgetLevelKind::PullAsk
            | BudgetLevelKind::Pull
            | BudgetLevelKind::RepoDay
            | BudgetLevelKind::ConvergeDay
            | BudgetLevelKind::SyncDay
            | BudgetLevelKind::TeamMonth
            | BudgetLevelKind::Month => false,
        }
    };
    let of_head = all.iter().filter(is_of_head).cloned().collect();
    Ok((all, of_head))
}

fn sum_spent(usages: &[BudgetUsage]) -> u64 {
    usages.iter().map(|usages| usages.spent.0).fold(0, u64::saturating_add)
}

/// Returns a review's record as a flat object.
fn flatten_record(record: &ReviewRecord) -> Value {
    let mut all = json!(record.detail);
    if let Some(all) = all.as_object_mut() {
        all.remove("stage");
    }
    let own = json!({
        "run": record.run,
        "key": record.key,
        "cost_micro_usd": record.cost(),
        "turns": record.turns(),
        "started": record.started_at,
        "ended": record.ended_at,
        "versions": record.versions,
    });
    if let Some(modelled) = all.get_mut("modelled").and_then(Value::as_object_mut) {
        let asked = record.steps.iter().find(|step| step.step == ReviewStep::Model);
        modelled.insert("model".to_owned(), json!(record.model.as_deref().unwrap_or_default()));
        modelled.insert("prompt_hash".to_owned(), json!(record.prompt_hash.as_deref().unwrap_or_default()));
        modelled.insert("ms".to_owned(), json!(asked.map(|step| step.duration_ms)));
    }
    merge_objects(all, own)
}

/// Returns the result of each loop's last run, newest first. Audits and converge runs count as different
/// loops, and so do published and unpublished reviews.
fn last_runs(
    published_review: Option<&ReviewRecord>,
    unpublished_review: Option<&ReviewRecord>,
    converge_runs: &[Converge],
    sync_runs: &[Job],
) -> Vec<LastRunJson> {
    let review = |last: &ReviewRecord, published: bool| LastRunJson {
        r#loop: "review",
        published: Some(published),
        result: last.result_word().unwrap_or_else(|| last.detail.outcome.kind.as_str().to_owned()),
        reason: last.detail.outcome.reason.clone(),
        open_findings: Some(last.detail.open_finding_counts.iter().map(|(_, count)| count).sum()),
        head: last.detail.head.clone(),
        ended_at: format_instant(last.ended_at),
        cost_micro_usd: last.cost().0,
        end_time: last.ended_at,
    };
    let of = |audits: bool| {
        let last = converge_runs
            .iter()
            .find(|run| run.detail.state.audits_only == audits && run.detail.final_exit().is_some())?;
        Some(LastRunJson {
            r#loop: if audits { "audit" } else { "converge" },
            result: last.result_word().unwrap_or_default(),
            reason: last.detail.final_exit().map(|exit| exit.reason.clone()),
            published: None,
            open_findings: None,
            head: last.has_begun().then(|| last.detail.state.head.clone()),
            ended_at: format_instant(last.ended_at),
            cost_micro_usd: last.cost().0,
            end_time: last.ended_at,
        })
    };
    let job = sync_runs.first().map(|last| LastRunJson {
        r#loop: "sync",
        result: last.detail.result.as_str().to_owned(),
        reason: Some(last.detail.exit_reason.clone()),
        published: None,
        open_findings: None,
        head: None,
        ended_at: format_instant(last.ended_at),
        cost_micro_usd: last.cost().0,
        end_time: last.ended_at,
    });
    let reviews =
        [published_review.map(|last| review(last, true)), unpublished_review.map(|last| review(last, false))];
    let others = [of(false), of(true), job];
    let mut all: Vec<LastRunJson> = reviews.into_iter().chain(others).flatten().collect();
    all.sort_by_key(|last| std::cmp::Reverse(last.end_time));
    all
}

fn history_line(event: HistoryEvent) -> HistoryLineJson {
    HistoryLineJson { at: format_instant(event.at), description: event.description }
}

fn render_text(answer: &WhyJson<'_>) -> String {
    let mut text = format!("{}\n", answer.name);
    let row = |name: &str, value: &str| fold_line(&format!("  {name:<10}"), value);
    for (name, value) in [("page", answer.url), ("key", Some(answer.key))] {
        if let Some(value) = value {
            text += &row(name, value);
        }
    }
    let reason = answer.reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
    let at = answer.state_ends_at.as_ref().map(|at| format!(" until {at}")).unwrap_or_default();
    text += &row("state", &format!("{}{reason}{at}", answer.state));
    text += &row("because", &answer.explanation);
    if let Some(held_back) = &answer.kill_switch_line {
        text += &row("held back", held_back);
    }
    if let Some(unblock) = &answer.unblock_command {
        text += &row("unblock", unblock);
    }
    for last in &answer.last_runs {
        text += &row("last", &render_last_run(last));
    }
    let (of_head, all) = (answer.head_cost_micro_usd, answer.cost_in_all_micro_usd);
    let in_all = if all == of_head { String::new() } else { format!(", {} in all", MicroUsd(all)) };
    // A job has no head, so only its total cost is shown.
    let cost = match answer.key.strip_prefix("sync/") {
        Some(_) => format!("{} in all", MicroUsd(all)),
        None => format!("{} for this head{in_all}", MicroUsd(of_head)),
    };
    text += &row("cost", &cost);
    for drawn in &answer.budget_usage {
        let what = match drawn.level.kind {
            BudgetLevelKind::Review => "this head".to_owned(),
            BudgetLevelKind::RepoDay => "this repository today".to_owned(),
            BudgetLevelKind::TeamMonth => format!("team {} this month", drawn.level.key),
            BudgetLevelKind::Run => format!("run {}", drawn.level.key),
            BudgetLevelKind::PullAsk => "this pull request, unless `/spend` allows more".to_owned(),
            BudgetLevelKind::Pull => "all work on this pull request".to_owned(),
            BudgetLevelKind::ConvergeDay => "converge runs of this repository today".to_owned(),
            BudgetLevelKind::SyncDay => "jobs of this repository today".to_owned(),
            BudgetLevelKind::Month => "this installation this month".to_owned(),
        };
        text += &row("budget", &format!("{what}: {}", render_usage(drawn)));
    }
    if !answer.events.is_empty() {
        text += "\n";
    }
    for event in &answer.events {
        text += &fold_line(&format!("  {}  ", event.at), &event.description);
    }
    text
}

/// Formats the result of a run on one line.
fn render_last_run(last_run: &LastRunJson) -> String {
    let mut text = match last_run.published {
        Some(false) => format!("{} (not published): {}", last_run.r#loop, last_run.result),
        Some(true) | None => format!("{}: {}", last_run.r#loop, last_run.result),
    };
    if let Some(head) = &last_run.head {
        text += &format!(" at {}", head.short_sha());
    }
    // For a complete or partial review, the number of open findings is shown; for any other result, the
    // reason.
    match (&last_run.reason, last_run.open_findings, last_run.result.as_str()) {
        (_, Some(open), "reviewed" | "partial") => {
            text += &format!(", {}", text::format_count(open, "open finding"));
        }
        (Some(reason), ..) if *reason != last_run.result => {
            text += &format!(", {}", line::clean_line(reason, MAX_REASON_CHARS));
        }
        (Some(_) | None, ..) => {}
    }
    // The cost shown for the head does not include unpublished reviews, so the line of an unpublished review
    // shows its cost.
    if last_run.published == Some(false) {
        text += &format!(", {}", MicroUsd(last_run.cost_micro_usd));
    }
    format!("{text}, {}", last_run.ended_at)
}

/// Returns true if the head needs a review but none is queued; the next sweep then queues the review.
async fn needs_sweep(target: &DescribedSlot, store: &Store) -> Result<bool, CliError> {
    let key = std::slice::from_ref(&target.slot.key);
    let reviews = store.last_reviews(key).await.map_err(store_error)?.pop().unwrap_or_default();
    let head = target.description.as_ref().and_then(|described| described.head.as_ref());
    Ok(review_settlement::awaits_sweep(&target.slot, head, &reviews))
}
