//! How much one call gets.

use super::{Ask, Drawn};
use crate::money::MicroUsd;

/// What is decided on an [`Ask`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Grant<'a> {
    /// This much is to be set aside at every level.
    Amount(MicroUsd),
    /// This level has too little left: the tightest one, of several with as little the first.
    Refused(&'a Drawn),
}

/// Decides from what was drawn on every level of a purse; none without levels, where nothing would bound the call.
pub fn grant<'a>(levels: &'a [Drawn], ask: &Ask) -> Option<Grant<'a>> {
    let tightest = levels.iter().min_by_key(|drawn| drawn.left())?;
    let left = tightest.left();
    let refused = left < ask.least.min(ask.most);
    Some(if refused { Grant::Refused(tightest) } else { Grant::Amount(ask.most.min(left)) })
}

#[cfg(test)]
mod tests {
    use super::super::{Level, LevelKind};
    use super::*;
    use crate::id::Millis;

    fn drawn(limit: u64, spent: u64, reserved: u64) -> Drawn {
        let level =
            Level { kind: LevelKind::RepoDay, key: "r".into(), period: "d".into(), limit: MicroUsd(limit) };
        Drawn { level, spent: MicroUsd(spent), reserved: MicroUsd(reserved) }
    }

    fn ask(least: u64, most: u64) -> Ask {
        Ask { least: MicroUsd(least), most: MicroUsd(most), expires: Millis(0) }
    }

    #[test]
    fn a_call_gets_what_the_tightest_level_has_and_no_more_than_it_can_use() {
        let levels = [drawn(100, 20, 30), drawn(40, 0, 0)];
        assert_eq!(grant(&levels, &ask(10, 100)), Some(Grant::Amount(MicroUsd(40))));
        assert_eq!(grant(&levels, &ask(10, 30)), Some(Grant::Amount(MicroUsd(30))));
        assert_eq!(grant(&levels, &ask(40, 100)), Some(Grant::Amount(MicroUsd(40))));
        assert_eq!(grant(&levels, &ask(41, 100)), Some(Grant::Refused(&levels[1])));
    }

    #[test]
    fn nothing_is_left_of_a_limit_that_was_lowered_below_what_is_spent() {
        for level in [drawn(10, 20, 0), drawn(30, 20, 20), drawn(0, 0, 0)] {
            assert_eq!(level.left(), MicroUsd(0));
            let levels = [level];
            assert_eq!(grant(&levels, &ask(1, 5)), Some(Grant::Refused(&levels[0])));
        }
    }

    #[test]
    fn what_costs_nothing_is_never_refused_and_no_level_is_no_bound() {
        assert_eq!(grant(&[drawn(0, 0, 0)], &ask(0, 0)), Some(Grant::Amount(MicroUsd(0))));
        assert_eq!(grant(&[], &ask(0, 0)), None);
    }
}
