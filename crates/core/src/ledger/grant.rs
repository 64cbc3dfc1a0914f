//! Decides how much money one call may reserve.

use super::{BudgetUsage, ReservationRequest};
use crate::money::MicroUsd;

/// The decision on a [`ReservationRequest`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReservationDecision<'a> {
    /// Amount to be reserved at every level.
    Amount(MicroUsd),
    /// The call is refused. The value is the level with the least money left, or the first of several such
    /// levels.
    Refused(&'a BudgetUsage),
}

/// Decides on a reservation request from the usage of all levels of a budget. Returns `None` if there are no
/// levels, because the call would have no limit.
pub fn decide_reservation<'a>(
    levels: &'a [BudgetUsage],
    request: &ReservationRequest,
) -> Option<ReservationDecision<'a>> {
    let tightest = levels.iter().min_by_key(|drawn| drawn.available_amount())?;
    let left = tightest.available_amount();
    let refused = left < request.min_amount.min(request.max_amount);
    Some(if refused {
        ReservationDecision::Refused(tightest)
    } else {
        ReservationDecision::Amount(request.max_amount.min(left))
    })
}

#[cfg(test)]
mod tests {
    use super::super::{BudgetLevel, BudgetLevelKind};
    use super::*;
    use crate::id::UnixMillis;

    fn level_usage(limit: u64, spent: u64, reserved: u64) -> BudgetUsage {
        let level = BudgetLevel {
            kind: BudgetLevelKind::RepoDay,
            key: "r".into(),
            period: "d".into(),
            limit: MicroUsd(limit),
        };
        BudgetUsage { level, spent: MicroUsd(spent), reserved: MicroUsd(reserved) }
    }

    fn reservation_request(least: u64, most: u64) -> ReservationRequest {
        ReservationRequest { min_amount: MicroUsd(least), max_amount: MicroUsd(most), expires: UnixMillis(0) }
    }

    #[test]
    fn a_call_gets_what_the_tightest_level_has_and_no_more_than_it_can_use() {
        let levels = [level_usage(100, 20, 30), level_usage(40, 0, 0)];
        assert_eq!(
            decide_reservation(&levels, &reservation_request(10, 100)),
            Some(ReservationDecision::Amount(MicroUsd(40)))
        );
        assert_eq!(
            decide_reservation(&levels, &reservation_request(10, 30)),
            Some(ReservationDecision::Amount(MicroUsd(30)))
        );
        assert_eq!(
            decide_reservation(&levels, &reservation_request(40, 100)),
            Some(ReservationDecision::Amount(MicroUsd(40)))
        );
        assert_eq!(
            decide_reservation(&levels, &reservation_request(41, 100)),
            Some(ReservationDecision::Refused(&levels[1]))
        );
    }

    #[test]
    fn nothing_is_left_of_a_limit_that_was_lowered_below_what_is_spent() {
        for level in [level_usage(10, 20, 0), level_usage(30, 20, 20), level_usage(0, 0, 0)] {
            assert_eq!(level.available_amount(), MicroUsd(0));
            let levels = [level];
            assert_eq!(
                decide_reservation(&levels, &reservation_request(1, 5)),
                Some(ReservationDecision::Refused(&levels[0]))
            );
        }
    }

    #[test]
    fn what_costs_nothing_is_never_refused_and_no_level_is_no_bound() {
        assert_eq!(
            decide_reservation(&[level_usage(0, 0, 0)], &reservation_request(0, 0)),
            Some(ReservationDecision::Amount(MicroUsd(0)))
        );
        assert_eq!(decide_reservation(&[], &reservation_request(0, 0)), None);
    }
}
