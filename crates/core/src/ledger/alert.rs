//! Notices about spending: when 50, 80 and 100 % of a daily or monthly limit are spent. Each notice is sent
//! once per period.

use super::{BudgetLevelKind, BudgetUsage, ReservationRequest};
use crate::port::{NewNotice, NoticeKind};

/// Percentages of a limit at which operators are notified.
pub const SPENDING_THRESHOLD_PERCENTS: [u64; 3] = [50, 80, 100];

/// Returns the notice for the highest threshold that the spending of a level has reached; `None` if the
/// spending has reached no threshold. Lower thresholds that were passed at the same time are not reported.
pub fn threshold_notice(usage: &BudgetUsage) -> Option<NewNotice> {
    let part = |threshold: u64| u128::from(usage.level.limit.0) * u128::from(threshold);
    let spent = u128::from(usage.spent.0) * 100;
    let reached = SPENDING_THRESHOLD_PERCENTS.into_iter().rfind(|threshold| spent >= part(*threshold))?;
    level_notice(usage, reached, "")
}

/// Returns the notice for a level that refused a call. `None` if calls in progress may still release enough
/// of their reservations.
pub fn exhausted_notice(usage: &BudgetUsage, request: &ReservationRequest) -> Option<NewNotice> {
    let refused_call = format!("the next call may cost {}, and ", request.min_amount);
    if usage.unspent() < request.min_amount { level_notice(usage, 100, &refused_call) } else { None }
}

/// Returns the notice of a level at a threshold. `refused_call` describes the call that the level refused,
/// and is empty if the level refused no call.
fn level_notice(usage: &BudgetUsage, threshold: u64, refused_call: &str) -> Option<NewNotice> {
    let BudgetUsage { level, spent, .. } = usage;
    let whose = match level.kind {
        BudgetLevelKind::RepoDay => format!("the repository {} on", level.key),
        BudgetLevelKind::ConvergeDay => format!("converge runs of the repository {} on", level.key),
        BudgetLevelKind::SyncDay => format!("jobs for the repository {} on", level.key),
        BudgetLevelKind::TeamMonth => format!("the team {} in", level.key),
        BudgetLevelKind::Month => "this installation in".to_owned(),
        // No notice is needed: the run that uses up such a level ends, and its result names the level.
        BudgetLevelKind::Review | BudgetLevelKind::Run | BudgetLevelKind::PullAsk | BudgetLevelKind::Pull => {
            return None;
        }
    };
    // No notice is sent for a limit of zero, because the operator has set this limit to forbid spending.
    if level.limit.0 == 0 {
        return None;
    }
    let state = if threshold >= 100 { "is used up".to_owned() } else { format!("has reached {threshold} %") };
    let text = format!(
        "The budget of {whose} {} (UTC) {state}: {refused_call}{spent} of {} are spent. `truing budget show` \
            shows all budgets.",
        level.period, level.limit
    );
    let key = format!("{}/{}/{threshold}", level.kind.as_str(), level.key);
    Some(NewNotice::new(NoticeKind::Budget, &key, &level.period, &text))
}

#[cfg(test)]
mod tests {
    use super::super::BudgetLevel;
    use super::*;
    use crate::id::UnixMillis;
    use crate::money::MicroUsd;

    fn level_usage(kind: BudgetLevelKind, limit: u64, spent: u64, reserved: u64) -> BudgetUsage {
        let level = BudgetLevel { kind, key: "web".into(), period: "2026-11".into(), limit: MicroUsd(limit) };
        BudgetUsage { level, spent: MicroUsd(spent), reserved: MicroUsd(reserved) }
    }

    fn notice_key(notice: Option<NewNotice>) -> Option<String> {
        notice.map(|notice| notice.key)
    }

    #[test]
    fn the_highest_threshold_that_is_reached_is_told() {
        for (spent, expected) in [
            (49, None),
            (50, Some("50")),
            (79, Some("50")),
            (80, Some("80")),
            (99, Some("80")),
            (100, Some("100")),
            (130, Some("100")),
        ] {
            let expected = expected.map(|threshold| format!("team_month/web/{threshold}"));
            assert_eq!(
                notice_key(threshold_notice(&level_usage(BudgetLevelKind::TeamMonth, 100, spent, 100))),
                expected,
                "{spent}"
            );
        }
        let huge = level_usage(BudgetLevelKind::RepoDay, u64::MAX, u64::MAX, 0);
        assert_eq!(notice_key(threshold_notice(&huge)), Some("repo_day/web/100".into()));
    }

    #[test]
    fn nobody_is_told_of_one_review_or_pull_request_or_of_a_limit_of_nothing() {
        for (kind, limit) in [
            (BudgetLevelKind::Review, 10),
            (BudgetLevelKind::Run, 10),
            (BudgetLevelKind::Pull, 10),
            (BudgetLevelKind::TeamMonth, 0),
        ] {
            assert_eq!(threshold_notice(&level_usage(kind, limit, 10, 0)), None);
        }
    }

    #[test]
    fn a_level_is_used_up_when_waiting_would_not_help() {
        let ask =
            ReservationRequest { min_amount: MicroUsd(10), max_amount: MicroUsd(20), expires: UnixMillis(0) };
        assert_eq!(exhausted_notice(&level_usage(BudgetLevelKind::RepoDay, 100, 50, 50), &ask), None);
        let notice = exhausted_notice(&level_usage(BudgetLevelKind::TeamMonth, 100, 91, 0), &ask)
            .map(|notice| notice.text);
        assert_eq!(
            notice.as_deref(),
            Some(
                "The budget of the team web in 2026-11 (UTC) is used up: the next call may cost $0.00001, \
                 and $0.000091 of $0.0001 are spent. `truing budget show` shows all budgets."
            )
        );
    }
}
