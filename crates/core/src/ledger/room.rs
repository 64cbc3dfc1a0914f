//! What a run draws on, and whether it is worth beginning.

use super::{Drawn, Level, LevelKind, Purse, day, month, next_midnight};
use crate::id::{Millis, RunId};
use crate::money::MicroUsd;

/// What one review is about, as levels are named by it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scope {
    /// The pull request's key, or the local repository.
    pub key: String,
    /// The commit that is reviewed.
    pub head: String,
    /// The repository: `{forge}/{id}`, or a local one's remote or path.
    pub repository: String,
}

/// What reviews may cost.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Caps {
    /// All attempts at one head of one pull request.
    pub review: MicroUsd,
    /// All reviews of the repository in a day.
    pub repo_day: MicroUsd,
    /// All that the repository's teams spend in a month, by name.
    pub teams: Vec<(String, MicroUsd)>,
}

impl Purse {
    /// What a review draws on that begins now. A run that lasts beyond midnight stays with the day of its beginning.
    pub fn of_review(run: RunId, scope: &Scope, caps: &Caps, now: Millis) -> Self {
        let level = |kind, key, period, limit| Level { kind, key, period, limit };
        let key = format!("{}@{}", scope.key, scope.head);
        let mut levels = vec![
            level(LevelKind::Review, key, String::new(), caps.review),
            level(LevelKind::RepoDay, scope.repository.clone(), day(now), caps.repo_day),
        ];
        let of_team = |(name, limit): &(String, MicroUsd)| {
            level(LevelKind::TeamMonth, name.clone(), month(now), *limit)
        };
        levels.extend(caps.teams.iter().map(of_team));
        Self { run, levels }
    }

    /// What one run of a loop draws on that writes code: its own limit in place of a review's, and its teams' months.
    pub fn of_run(run: RunId, limit: MicroUsd, teams: &[(String, MicroUsd)], now: Millis) -> Self {
        let own = Level { kind: LevelKind::Run, key: run.as_str().to_owned(), period: String::new(), limit };
        let of_team = |(name, limit): &(String, MicroUsd)| Level {
            kind: LevelKind::TeamMonth,
            key: name.clone(),
            period: month(now),
            limit: *limit,
        };
        let levels = std::iter::once(own).chain(teams.iter().map(of_team)).collect();
        Self { run, levels }
    }
}

/// May a run begin?
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Room {
    /// Yes.
    Enough,
    /// The day is used up: the run is deferred, and nothing is asked of a model.
    Deferred {
        /// The next midnight in UTC.
        until: Millis,
        /// What is used up.
        level: Level,
    },
    /// The month is used up: the rules review alone.
    Minimal {
        /// What is used up.
        level: Level,
    },
}

/// Decides from what was drawn on a purse's levels, before a run begins that cannot ask anything below `least`. Calls
/// in flight may give something back, so only what is spent counts. A month outlasts its days: it is looked at first.
pub fn room(levels: &[Drawn], least: MicroUsd, now: Millis) -> Room {
    let least = least.max(MicroUsd(1));
    let used_up = |kind| levels.iter().find(|drawn| drawn.level.kind == kind && drawn.unspent() < least);
    if let Some(Drawn { level, .. }) = used_up(LevelKind::TeamMonth) {
        return Room::Minimal { level: level.clone() };
    }
    if let Some(Drawn { level, .. }) = used_up(LevelKind::RepoDay) {
        return Room::Deferred { until: next_midnight(now), level: level.clone() };
    }
    Room::Enough
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-20, half a minute before midnight in UTC.
    const NOW: Millis = Millis(1_795_219_170_000);

    fn purse(teams: &[(&str, u64)]) -> Purse {
        let scope = Scope { key: "pr/github/1/7".into(), head: "abc".into(), repository: "github/1".into() };
        let teams = teams.iter().map(|(name, limit)| ((*name).to_owned(), MicroUsd(*limit))).collect();
        let caps = Caps { review: MicroUsd(2), repo_day: MicroUsd(5), teams };
        Purse::of_review(RunId::new("r"), &scope, &caps, NOW)
    }

    fn spent(purse: &Purse, spent: &[u64]) -> Vec<Drawn> {
        let drawn = |(level, spent): (&Level, &u64)| Drawn {
            level: level.clone(),
            spent: MicroUsd(*spent),
            reserved: MicroUsd(1),
        };
        purse.levels.iter().zip(spent).map(drawn).collect()
    }

    #[test]
    fn a_review_draws_on_its_head_its_repository_s_day_and_its_teams_month() {
        let named = |purse: &Purse| -> Vec<String> {
            let line = |level: &Level| {
                format!("{} {} {} {}", level.kind.as_str(), level.key, level.period, level.limit.0)
            };
            purse.levels.iter().map(line).collect()
        };
        let both = ["review pr/github/1/7@abc  2", "repo_day github/1 2026-11-20 5"];
        assert_eq!(named(&purse(&[])), both);
        assert_eq!(named(&purse(&[("web", 9)])), [both[0], both[1], "team_month web 2026-11 9"]);
    }

    #[test]
    fn a_used_up_day_defers_to_midnight_and_a_used_up_month_leaves_the_rules() {
        let purse = purse(&[("web", 9)]);
        let room = |each: &[u64]| room(&spent(&purse, each), MicroUsd(2), NOW);
        assert_eq!(room(&[0, 3, 7]), Room::Enough);
        assert_eq!(room(&[2, 3, 7]), Room::Enough, "the run says itself that its review is used up");
        let until = Millis(1_795_219_200_000);
        assert_eq!(room(&[0, 4, 7]), Room::Deferred { until, level: purse.levels[1].clone() });
        assert_eq!(room(&[0, 9, 7]), Room::Deferred { until, level: purse.levels[1].clone() });
        assert_eq!(room(&[0, 5, 8]), Room::Minimal { level: purse.levels[2].clone() });
    }

    #[test]
    fn a_limit_of_nothing_is_used_up() {
        let day = Level { limit: MicroUsd(0), ..purse(&[]).levels[1].clone() };
        let drawn = Drawn { level: day.clone(), spent: MicroUsd(0), reserved: MicroUsd(0) };
        assert!(matches!(room(&[drawn], MicroUsd(0), NOW), Room::Deferred { level, .. } if level == day));
    }
}
