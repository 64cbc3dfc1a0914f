//! Applies a command: computes the slot's next state and, for `/dismiss` and `/undismiss`, the decision on a
//! finding.

use truing_core::dismissal::{self, Dismissal};
use truing_core::finding::{Finding, FindingStatus};
use truing_core::id::{FindingId, UnixMillis};
use truing_core::ledger::{BudgetLevel, BudgetLevelKind};
use truing_core::line::MAX_STORED_TEXT_CHARS;
use truing_core::port::{EffectOwner, RecordStore, StoreError, UserRequest};
use truing_core::publish::CommentProducer;
use truing_core::slot::{
    HoldReason, LoopKind, Slot, SlotCommand, SlotLimits, SlotRefusal, SlotState, SlotTransition,
};
use truing_loops::redact_line;
use truing_loops::review::budget_question_topic;

use super::UserCommand;
use crate::context::ServiceContext;

/// Returns the slot's next state for a command.
///
/// # Errors
/// [`SlotRefusal`] if the slot's state does not allow the command.
pub(super) fn decide_transition(
    user_command: &UserCommand,
    slot: &Slot,
    limits: &SlotLimits,
    now: UnixMillis,
) -> Result<SlotTransition, SlotRefusal> {
    let command = match user_command {
        // These commands request a review of the whole change, including files that were reviewed before.
        UserCommand::Review | UserCommand::FullReview | UserCommand::Rerun | UserCommand::Spend => {
            SlotCommand::Request(LoopKind::Review)
        }
        UserCommand::Converge => SlotCommand::Request(LoopKind::Converge),
        UserCommand::Stop => SlotCommand::Stop,
        UserCommand::Audit => SlotCommand::Audit,
        UserCommand::Pause => SlotCommand::Pause,
        UserCommand::Resume => SlotCommand::Resume,
        // A dismissal has the same effect on the slot as a webhook event. The comments are updated at the
        // slot's next step.
        UserCommand::Dismiss { .. } | UserCommand::Undismiss { .. } | UserCommand::Help => {
            return Ok(slot.apply_event(LoopKind::Review, limits, now));
        }
    };
    slot.apply_command(command, limits, now)
}

/// Returns the reason why a dismissal is not visible at the forge yet, or `None` if it will be visible soon.
pub(super) fn dismissal_delay_reason(slot: &Slot) -> Option<&'static str> {
    match slot.state {
        SlotState::Held { reason: HoldReason::Cancelled } => {
            Some("the decision becomes visible when the pull request is open again")
        }
        SlotState::Held { reason: HoldReason::Paused } => {
            Some("the decision becomes visible when reviews are resumed")
        }
        SlotState::Held { reason: HoldReason::Draft } => {
            Some("the decision becomes visible when the pull request is no longer a draft")
        }
        SlotState::Held { reason: HoldReason::Parked }
        | SlotState::Idle
        | SlotState::Waiting { .. }
        | SlotState::Leased { .. } => None,
    }
}

/// Returns the budget level that `/spend` raises; `None` if this server does not ask for approval of
/// spending.
pub(super) fn raisable_level(
    context: &ServiceContext,
    user_request: &UserRequest,
    repo: &str,
) -> Option<BudgetLevel> {
    context.agent.as_ref()?.budgets.raisable_level(&user_request.pr.key(), repo)
}

/// Returns the budget level that `/spend` raises, or the reason why `/spend` is refused. The level is raised
/// by its initial limit.
///
/// # Errors
/// [`StoreError`] if the ledger or the effects cannot be read.
pub(super) async fn check_budget_raise(
    context: &ServiceContext,
    user_request: &UserRequest,
    repo: &str,
) -> Result<Result<BudgetLevel, String>, StoreError> {
    let (Some(agent), Some(level)) = (&context.agent, raisable_level(context, user_request, repo)) else {
        return Ok(Err("`budget.pr_ask_usd` is not set".to_owned()));
    };
    let key = user_request.pr.key();
    let levels: Vec<BudgetLevel> = agent.budgets.caps(Some(repo)).pull_levels(key.as_str()).collect();
    let drawn = agent.ledger.budget_usage(&levels).await?;
    let find = |kind| drawn.iter().find(|drawn| drawn.level.kind == kind);
    let Some(ask) = find(BudgetLevelKind::PullAsk) else { return Ok(Ok(level)) };
    if let Some(all) = find(BudgetLevelKind::Pull).filter(|all| all.level.limit <= ask.level.limit) {
        let limit = all.level.limit;
        return Ok(Err(format!("`budget.pr_usd` ({limit}) still limits this pull request")));
    }
    // The server posts one question about each limit. `/spend` raises the limit, so a second `/spend` in
    // reply to the same question is not accepted because of that question.
    let writer = EffectOwner { key, producer: CommentProducer::Review, token: None };
    let asked = context.store.entries(&writer, &[budget_question_topic(ask.level.limit)]).await?;
    // If the server posted no question, `/spend` is accepted only if at most half of the level's initial
    // limit is left. There may be no question, because none is posted after the end of a converge run, and
    // questions are deleted with their runs.
    let is_nearly_spent = ask.available_amount().0 <= level.limit.0 / 2;
    Ok(if is_nearly_spent || asked.iter().any(Option::is_some) {
        Ok(level)
    } else {
        Err(format!("models may still spend {} on this pull request", ask.available_amount()))
    })
}

/// Returns the dismissal that a comment requests, or the reason why the dismissal is refused.
/// `thread_finding` is the finding whose thread contains the comment.
///
/// # Errors
/// [`StoreError`] if the findings cannot be read.
pub(super) async fn build_dismissal(
    store: &dyn RecordStore,
    user_request: &UserRequest,
    finding: Option<&str>,
    reason: &str,
    thread_finding: Option<&FindingId>,
    author: &str,
) -> Result<Result<Dismissal, String>, StoreError> {
    let findings = known_findings(store, user_request).await?;
    Ok(select_finding(&findings, finding, thread_finding).and_then(|meant| {
        if reason.is_empty() {
            return Err("it gives no reason".to_owned());
        }
        match meant.status {
            FindingStatus::Fixed(_) => Err("that finding is fixed".to_owned()),
            FindingStatus::OutOfScope => Err("that finding is no longer part of the change".to_owned()),
            FindingStatus::Suppressed(_) => Err("a comment in the code suppresses that finding".to_owned()),
            FindingStatus::Open
            | FindingStatus::Claimed
            | FindingStatus::Declined(_)
            | FindingStatus::Dismissed(_) => Ok(Dismissal::new(
                meant,
                &redact_line(reason, MAX_STORED_TEXT_CHARS),
                author,
                user_request.noticed_at,
            )),
        }
    }))
}

/// Returns the withdrawal of a dismissal that a comment requests, or the reason why the withdrawal is
/// refused.
///
/// # Errors
/// [`StoreError`] if the findings cannot be read.
pub(super) async fn build_withdrawal(
    store: &dyn RecordStore,
    user_request: &UserRequest,
    finding: Option<&str>,
    thread_finding: Option<&FindingId>,
    author_login: &str,
) -> Result<Result<Dismissal, String>, StoreError> {
    let findings = known_findings(store, user_request).await?;
    Ok(select_finding(&findings, finding, thread_finding).and_then(|meant| match meant.status {
        FindingStatus::Dismissed(_) => {
            Ok(Dismissal::from_withdrawal(meant, author_login, user_request.noticed_at))
        }
        FindingStatus::Open
        | FindingStatus::Claimed
        | FindingStatus::Declined(_)
        | FindingStatus::Fixed(_)
        | FindingStatus::OutOfScope
        | FindingStatus::Suppressed(_) => Err("that finding is not dismissed".to_owned()),
    }))
}

/// Reads the findings of a pull request's reviews and of its last converge run. If both contain a finding
/// with the same id, the finding of the reviews is used.
async fn known_findings(
    store: &dyn RecordStore,
    user_request: &UserRequest,
) -> Result<Vec<Finding>, StoreError> {
    let key = user_request.pr.key();
    let mut known = store.findings(&key).await?;
    if let Some(mut last) = store.last_converge(&key).await? {
        last.detail.state.apply_dismissals(store.dismissals(&key).await?);
        for finding in last.detail.state.history.findings() {
            if known.iter().all(|known| known.id != finding.id) {
                known.push(finding.clone());
            }
        }
    }
    Ok(known)
}

fn select_finding<'a>(
    findings: &'a [Finding],
    finding_prefix: Option<&str>,
    thread_finding: Option<&FindingId>,
) -> Result<&'a Finding, String> {
    match (finding_prefix, thread_finding) {
        (Some(word), _) => dismissal::find_by_id(findings, word).map_err(|error| error.to_string()),
        (None, Some(id)) => {
            let known = findings.iter().find(|finding| finding.id == *id);
            known.ok_or_else(|| dismissal::FindingLookupError::Unknown.to_string())
        }
        (None, None) => Err("it neither replies to a finding's comment nor names a finding".to_owned()),
    }
}
