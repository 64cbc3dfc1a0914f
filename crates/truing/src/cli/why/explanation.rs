//! Explains the state of a slot for `truing why`, and names the command that continues the work.

use truing_core::converge::record::ConvergeRecord as Converge;
use truing_core::id::UnixMillis;
use truing_core::slot::{HoldReason, SlotState, WaitReason};

use crate::cli::output::OutputPrinter;
use crate::cli::target::DescribedSlot;

/// Message for a review that waits for budget.
const DEFERRED_MESSAGE: &str = "the repository's budget for today, or the limit of the model's subscription, \
    is used up; rules have reviewed the pull request, and a model reviews it at the scheduled time";

/// Returns the explanation for a slot that waits while no server runs, and the command that starts a server.
/// `is_due` is true if the wait has ended.
pub(super) fn explain_unserved(
    reason: WaitReason,
    is_due: bool,
    output: OutputPrinter,
) -> (String, Option<String>) {
    let what = match reason {
        WaitReason::Debounce | WaitReason::Storm | WaitReason::Scheduled | WaitReason::Step if is_due => {
            "the entry is due"
        }
        WaitReason::Debounce | WaitReason::Storm | WaitReason::Scheduled | WaitReason::Step => {
            "the entry waits for its scheduled time"
        }
        WaitReason::Backoff => "the last attempt failed",
        WaitReason::Deferred => DEFERRED_MESSAGE,
        WaitReason::RateLimit => "the forge's rate limit is used up",
        WaitReason::Settling => "a recent comment may not be visible at the forge yet",
        WaitReason::Reviewer => "another reviewer, or a check, has not answered yet",
    };
    explain_without_server(what, output)
}

/// Adds to an explanation that no server runs. Also returns the command that starts a server.
pub(super) fn explain_without_server(what: &str, output: OutputPrinter) -> (String, Option<String>) {
    (
        format!("{what}; no server is running, so nothing starts automatically"),
        Some(output.command_line("serve")),
    )
}

/// Returns the explanation for an idle slot. If the slot's last converge run has ended unfinished, the
/// explanation states that the run can be resumed.
pub(super) fn explain_idle(
    target: &DescribedSlot,
    converge_runs: &[Converge],
    now: UnixMillis,
    output: OutputPrinter,
) -> (String, Option<String>) {
    let last = converge_runs.iter().find(|run| !run.detail.state.audits_only);
    match last.filter(|last| last.detail.final_exit().is_some() && last.is_unfinished()) {
        Some(_) => (
            "nothing is pending; the last converge run can be resumed".into(),
            Some(output.command_line(&format!("converge {}", target.name()))),
        ),
        None => explain_state(target, now, output),
    }
}

/// Returns the explanation of the slot's state at the time `now`, and the command that continues the work;
/// none if no command does.
pub(super) fn explain_state(
    target: &DescribedSlot,
    now: UnixMillis,
    output: OutputPrinter,
) -> (String, Option<String>) {
    let key = target.slot.key.as_str();
    let retry = Some(output.command_line(&format!("queue retry {key}")));
    match &target.slot.state {
        SlotState::Idle => ("nothing is pending".into(), None),
        SlotState::Leased { loop_kind: of, pause_requested, .. } if target.slot.is_due(now) => {
            let next = match pause_requested {
                false => "a server counts a failed attempt, and then tries again later or parks the entry",
                true => "a server ends the lease, and the pull request is then paused",
            };
            (
                format!(
                    "the lease of the {} has expired, so its worker has probably stopped; {next}",
                    of.as_str()
                ),
                None,
            )
        }
        SlotState::Leased { loop_kind: of, pause_requested: false, .. } => {
            (format!("a worker runs the {} now", of.as_str()), None)
        }
        SlotState::Leased { loop_kind: of, pause_requested: true, .. } => {
            (format!("a worker runs the {} now; then the pull request is paused", of.as_str()), None)
        }
        // This includes an entry that a person has just retried. A retry would change nothing.
        SlotState::Waiting { .. } if target.slot.is_due(now) => {
            ("the entry is due; the next free worker takes it".into(), None)
        }
        SlotState::Waiting { reason: why, .. } => {
            let (text, may_retry) = match why {
                WaitReason::Debounce => {
                    ("waiting for more pushes; the review starts when the pushes stop", true)
                }
                WaitReason::Storm => (
                    "this burst of pushes was reviewed once; its last commit is reviewed when the pushes \
                     stop",
                    true,
                ),
                WaitReason::Backoff => ("the last attempt failed; the server tries again", true),
                WaitReason::Deferred => (DEFERRED_MESSAGE, true),
                WaitReason::Scheduled => ("waiting for the scheduled time", true),
                WaitReason::RateLimit => ("the forge's rate limit is used up", false),
                WaitReason::Settling => ("a recent comment may not be visible at the forge yet", false),
                WaitReason::Reviewer => ("another reviewer, or a check, has not answered yet", true),
                WaitReason::Step => {
                    ("the run waits before its next step; other pull requests are processed first", false)
                }
            };
            (text.into(), retry.filter(|_| may_retry))
        }
        SlotState::Held { reason: why } => match why {
            HoldReason::Parked => {
                ("too many attempts failed; a new push or a retry starts new attempts".into(), retry)
            }
            HoldReason::Paused => ("a person paused the reviews".into(), retry),
            HoldReason::Draft => (
                "the pull request is a draft".into(),
                Some("mark the pull request as ready for review".into()),
            ),
            HoldReason::Cancelled => ("the pull request is closed".into(), Some("reopen it".into())),
        },
    }
}

#[cfg(test)]
mod tests {
    use truing_core::id::{FencingToken, SlotKey};
    use truing_core::slot::{LoopKind, Slot};

    use super::*;
    use crate::cli::{CliFormat, ColorWhen};

    fn output() -> OutputPrinter {
        OutputPrinter::new(CliFormat::Text, false, 0, ColorWhen::Never)
    }

    fn target_in(state: SlotState) -> DescribedSlot {
        let slot = Slot { state, ..Slot::new(SlotKey::new("pr/github/1/7")) };
        DescribedSlot { slot, description: None }
    }

    #[test]
    fn an_entry_whose_wait_has_ended_is_due_and_needs_no_retry() {
        let waiting = |reason| target_in(SlotState::Waiting { due_at: UnixMillis(60_000), reason });
        for reason in WaitReason::ALL {
            let due = explain_state(&waiting(reason), UnixMillis(60_000), output());
            assert_eq!(
                due,
                ("the entry is due; the next free worker takes it".to_owned(), None),
                "{reason:?}"
            );
        }
        let (text, command) = explain_state(&waiting(WaitReason::Debounce), UnixMillis(59_999), output());
        assert_eq!(text, "waiting for more pushes; the review starts when the pushes stop");
        assert_eq!(command.as_deref(), Some("truing queue retry pr/github/1/7"));
        let unserved = |is_due| explain_unserved(WaitReason::Debounce, is_due, output()).0;
        assert!(unserved(true).starts_with("the entry is due; no server is running"), "{}", unserved(true));
        assert!(unserved(false).starts_with("the entry waits for its scheduled time; no server is"));
    }

    #[test]
    fn a_lease_that_has_expired_is_taken_over_and_no_worker_runs() {
        let leased = |pause_requested| {
            target_in(SlotState::Leased {
                token: FencingToken(9),
                deadline: UnixMillis(60_000),
                loop_kind: LoopKind::Review,
                claimed_events: None,
                pause_requested,
            })
        };
        let explain = |paused, now| explain_state(&leased(paused), UnixMillis(now), output());
        assert_eq!(explain(false, 59_999), ("a worker runs the review now".to_owned(), None));
        let expired = "the lease of the review has expired, so its worker has probably stopped; a server ";
        let next = "counts a failed attempt, and then tries again later or parks the entry";
        assert_eq!(explain(false, 60_000), (format!("{expired}{next}"), None));
        assert_eq!(
            explain(true, 60_000),
            (format!("{expired}ends the lease, and the pull request is then paused"), None)
        );
        assert_eq!(
            explain_without_server("it has expired", output()),
            (
                "it has expired; no server is running, so nothing starts automatically".to_owned(),
                Some("truing serve".to_owned())
            )
        );
    }
}
