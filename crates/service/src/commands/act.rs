//! What a command changes: the slot, and for `/dismiss` and `/undismiss` the word on a finding.

use truing_core::dismissal::{self, Dismissal};
use truing_core::finding::{Finding, FindingStatus};
use truing_core::id::{FindingId, Millis};
use truing_core::ledger::{Drawn, Level};
use truing_core::line::MAX_TEXT;
use truing_core::port::{RecordStore, StoreError, UserRequest};
use truing_core::slot::{Command, Decision, Hold, Limits, Loop, Refused, Slot, State};
use truing_loops::redact_line;

use super::Asked;
use crate::context::ServiceContext;

/// What a slot becomes for a command.
///
/// # Errors
/// [`Refused`] by the slot.
pub(super) fn decide(asked: &Asked, slot: &Slot, limits: &Limits, now: Millis) -> Result<Decision, Refused> {
    let command = match asked {
        // A review that is asked for looks at everything, whatever was seen before.
        Asked::Review | Asked::Full | Asked::Rerun | Asked::Spend => Command::Request(Loop::Review),
        Asked::Converge => Command::Request(Loop::Converge),
        Asked::Stop => Command::Stop,
        Asked::Audit => Command::Audit,
        Asked::Pause => Command::Pause,
        Asked::Resume => Command::Resume,
        // An event as any other: what is shown follows when the slot is due.
        Asked::Dismiss { .. } | Asked::Undismiss { .. } | Asked::Help => {
            return Ok(slot.on_event(Loop::Review, limits, now));
        }
    };
    slot.step(command, limits, now)
}

/// Why it shows nowhere for now, if so.
pub(super) fn unseen(slot: &Slot) -> Option<&'static str> {
    match slot.state {
        State::Held { why: Hold::Cancelled } => Some("it shows when the pull request is open again"),
        State::Held { why: Hold::Paused } => Some("it shows when reviews are resumed"),
        State::Held { why: Hold::Draft } => Some("it shows when the pull request is no draft any more"),
        State::Held { why: Hold::Parked } | State::Idle | State::Waiting { .. } | State::Leased { .. } => {
            None
        }
    }
}

/// The level of money that `/spend` raises; none: nobody is asked on this server.
pub(super) fn ask_level(context: &ServiceContext, told: &UserRequest, repo: &str) -> Option<Level> {
    context.agent.as_ref()?.budgets.ask_level(&told.pr.key(), repo)
}

/// The level that `/spend` raises by as much as it allows at first, or why it does not.
///
/// # Errors
/// [`StoreError`]
pub(super) async fn spend(
    context: &ServiceContext,
    told: &UserRequest,
    repo: &str,
) -> Result<Result<Level, String>, StoreError> {
    let (Some(agent), Some(level)) = (&context.agent, ask_level(context, told, repo)) else {
        return Ok(Err("`budget.pr_ask_usd` is not set".to_owned()));
    };
    let drawn = agent.ledger.look(std::slice::from_ref(&level)).await?;
    // A second answer to the same question allows nothing.
    let left = drawn.first().map_or(level.limit, Drawn::left);
    Ok(if left <= level.limit { Ok(level) } else { Err(format!("models may still spend {left} here")) })
}

/// The word on a finding that a comment asks to be recorded, or why there is none. `thread` is the finding whose
/// thread the comment is in.
///
/// # Errors
/// [`StoreError`]
pub(super) async fn dismissal(
    store: &dyn RecordStore,
    told: &UserRequest,
    (finding, reason): (Option<&str>, &str),
    thread: Option<&FindingId>,
    by: &str,
) -> Result<Result<Dismissal, String>, StoreError> {
    let findings = known(store, told).await?;
    Ok(meant(&findings, finding, thread).and_then(|meant| {
        if reason.is_empty() {
            return Err("it gives no reason".to_owned());
        }
        match meant.status {
            FindingStatus::Fixed(_) => Err("that finding is fixed".to_owned()),
            FindingStatus::Outside => Err("that finding is no part of the change any more".to_owned()),
            FindingStatus::Suppressed(_) => Err("a comment in the code suppresses that finding".to_owned()),
            FindingStatus::Open
            | FindingStatus::Claimed
            | FindingStatus::Declined(_)
            | FindingStatus::Dismissed(_) => {
                Ok(Dismissal::of(meant, &redact_line(reason, MAX_TEXT), by, told.at))
            }
        }
    }))
}

/// What takes back the word on the finding that a comment means, or why there is nothing to take back.
///
/// # Errors
/// [`StoreError`]
pub(super) async fn taken_back(
    store: &dyn RecordStore,
    told: &UserRequest,
    finding: Option<&str>,
    thread: Option<&FindingId>,
    by: &str,
) -> Result<Result<Dismissal, String>, StoreError> {
    let findings = known(store, told).await?;
    Ok(meant(&findings, finding, thread).and_then(|meant| match meant.status {
        FindingStatus::Dismissed(_) => Ok(Dismissal::taken_back(meant, by, told.at)),
        FindingStatus::Open
        | FindingStatus::Claimed
        | FindingStatus::Declined(_)
        | FindingStatus::Fixed(_)
        | FindingStatus::Outside
        | FindingStatus::Suppressed(_) => Err("that finding is not dismissed".to_owned()),
    }))
}

/// What is known of a pull request: by its reviews, and by its last run that converges. Where both have met the same, the
/// review's word on it counts.
async fn known(store: &dyn RecordStore, told: &UserRequest) -> Result<Vec<Finding>, StoreError> {
    let key = told.pr.key();
    let mut known = store.findings(&key).await?;
    if let Some(mut last) = store.last_converge(&key).await? {
        last.detail.state.dismiss(store.dismissals(&key).await?);
        for finding in last.detail.state.history.findings() {
            if known.iter().all(|known| known.id != finding.id) {
                known.push(finding.clone());
            }
        }
    }
    Ok(known)
}

fn meant<'a>(
    findings: &'a [Finding],
    word: Option<&str>,
    thread: Option<&FindingId>,
) -> Result<&'a Finding, String> {
    match (word, thread) {
        (Some(word), _) => dismissal::named(findings, word).map_err(|error| error.to_string()),
        (None, Some(id)) => {
            let known = findings.iter().find(|finding| finding.id == *id);
            known.ok_or_else(|| dismissal::Unnamed::Unknown.to_string())
        }
        (None, None) => Err("it answers no finding's comment, and names no finding".to_owned()),
    }
}
