//! Determines the budget levels to which a run is charged, and decides whether the run may begin.

use super::{BudgetLevel, BudgetLevelKind, BudgetUsage, RunBudget, next_midnight, utc_day, utc_month};
use crate::id::{RunId, UnixMillis};
use crate::money::MicroUsd;

/// The subject of one review. The keys of budget levels are derived from these fields.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BudgetScope {
    /// Key of the pull request, or the local repository.
    pub key: String,
    /// Commit that is reviewed.
    pub head: String,
    /// Repository: `{forge}/{id}`, or the remote or the path of a local repository.
    pub repository: String,
}

/// The spending limits of the work for one repository; `None` means no limit.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct BudgetCaps {
    /// Limit for all attempts at one head of one pull request.
    pub review: MicroUsd,
    /// Spending on one pull request at which Truing asks a user to allow more.
    pub pull_ask: Option<MicroUsd>,
    /// Limit for one pull request in total.
    pub pull: Option<MicroUsd>,
    /// Limit for all reviews of the repository in a day.
    pub repo_day: MicroUsd,
    /// Limit for all converge runs of the repository in a day.
    pub converge_day: Option<MicroUsd>,
    /// Limit for all job runs for the repository in a day.
    pub sync_day: Option<MicroUsd>,
    /// Limits for the repository's teams in a month, by name.
    pub teams: Vec<(String, MicroUsd)>,
    /// Limit for this installation in a month.
    pub month: Option<MicroUsd>,
}

impl BudgetCaps {
    /// Returns the levels for all work on one pull request; a local repository has no such levels. If several
    /// levels have equally little left, a refusal names the first of them. The total level, which users
    /// cannot raise, therefore comes first.
    pub fn pull_levels(&self, key: &str) -> impl Iterator<Item = BudgetLevel> {
        let pull = |limit: Option<MicroUsd>| limit.filter(|_| key.starts_with("pr/"));
        let level = |kind, limit| BudgetLevel { kind, key: key.to_owned(), period: String::new(), limit };
        let is_below = |ask: &MicroUsd| self.pull.is_none_or(|all| *ask < all);
        let all = pull(self.pull).map(|limit| level(BudgetLevelKind::Pull, limit));
        let ask = pull(self.pull_ask.filter(is_below)).map(|limit| level(BudgetLevelKind::PullAsk, limit));
        all.into_iter().chain(ask)
    }

    /// Returns the level of the pull request that users can raise; `None` if the pull request has no such
    /// level.
    pub fn raisable_pull_level(&self, key: &str) -> Option<BudgetLevel> {
        self.pull_levels(key).find(|level| level.kind == BudgetLevelKind::PullAsk)
    }

    /// Returns the monthly levels of a run that begins now.
    fn monthly_levels(&self, now: UnixMillis) -> impl Iterator<Item = BudgetLevel> {
        let level = move |kind, key: &str, limit| BudgetLevel {
            kind,
            key: key.to_owned(),
            period: utc_month(now),
            limit,
        };
        let of_team =
            move |(name, limit): &(String, MicroUsd)| level(BudgetLevelKind::TeamMonth, name, *limit);
        let all = self.month.map(|limit| level(BudgetLevelKind::Month, GLOBAL_LEVEL_KEY, limit));
        self.teams.iter().map(of_team).chain(all)
    }
}

/// Key of the level that limits the whole installation.
const GLOBAL_LEVEL_KEY: &str = "all";

impl RunBudget {
    /// Creates the budget of a review that begins now. A run that lasts beyond midnight is charged to the day
    /// on which it began.
    pub fn for_review(run: RunId, scope: &BudgetScope, caps: &BudgetCaps, now: UnixMillis) -> Self {
        let level = |kind, key, period, limit| BudgetLevel { kind, key, period, limit };
        let key = format!("{}@{}", scope.key, scope.head);
        let mut levels = vec![
            level(BudgetLevelKind::Review, key, String::new(), caps.review),
            level(BudgetLevelKind::RepoDay, scope.repository.clone(), utc_day(now), caps.repo_day),
        ];
        levels.extend(caps.pull_levels(&scope.key).chain(caps.monthly_levels(now)));
        Self { run, levels }
    }

    /// Creates the budget of a run without a repository. The budget has only one level, the limit of the run.
    pub fn for_run(run: RunId, limit: MicroUsd) -> Self {
        let key = run.as_str().to_owned();
        Self {
            run,
            levels: vec![BudgetLevel { kind: BudgetLevelKind::Run, key, period: String::new(), limit }],
        }
    }

    /// Creates the budget of a converge run or an audit that begins now, for the pull request or local
    /// repository in `scope`. The limit of the run replaces the limit of a review.
    pub fn for_converge(
        run: RunId,
        limit: MicroUsd,
        scope: &BudgetScope,
        caps: &BudgetCaps,
        now: UnixMillis,
    ) -> Self {
        let of_day = caps.converge_day.map(|limit| BudgetLevel {
            kind: BudgetLevelKind::ConvergeDay,
            key: scope.repository.clone(),
            period: utc_day(now),
            limit,
        });
        let mut budget = Self::for_run(run, limit);
        budget.levels.extend(caps.pull_levels(&scope.key).chain(of_day).chain(caps.monthly_levels(now)));
        budget
    }

    /// Creates the budget of a job's run that begins now. The job follows a package for the repository
    /// `name`.
    pub fn for_sync(run: RunId, limit: MicroUsd, name: &str, caps: &BudgetCaps, now: UnixMillis) -> Self {
        let of_day = caps.sync_day.map(|limit| BudgetLevel {
            kind: BudgetLevelKind::SyncDay,
            key: name.to_lowercase(),
            period: utc_day(now),
            limit,
        });
        let mut budget = Self::for_run(run, limit);
        budget.levels.extend(of_day.into_iter().chain(caps.monthly_levels(now)));
        budget
    }
}

/// The decision whether a run may begin.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BudgetDecision {
    /// The run may begin.
    Allowed {
        /// Level of the pull request with the least money left; `None` if no level limits the pull request.
        tightest_budget: Option<BudgetUsage>,
    },
    /// The day's budget is used up: the run is deferred, and no model is called.
    Deferred {
        /// Time of the next midnight in UTC.
        until: UnixMillis,
        /// Level that is used up.
        level: BudgetLevel,
    },
    /// A monthly budget or a budget of the pull request is used up. Only the rules review the change, without
    /// a model.
    RulesOnly {
        /// Level that is used up.
        level: BudgetLevel,
    },
}

/// Decides from the usage of a budget's levels whether a run may begin. The calls of the run need at least
/// `min_amount`. Reservations of calls in progress are not counted, because they may be released in part.
/// Monthly levels and levels of the pull request are checked before daily levels, because they last longer.
pub fn decide_budget(levels: &[BudgetUsage], min_amount: MicroUsd, now: UnixMillis) -> BudgetDecision {
    let min_amount = min_amount.max(MicroUsd(1));
    let used_up = |kind| levels.iter().find(|drawn| drawn.level.kind == kind && drawn.unspent() < min_amount);
    let lasting =
        [BudgetLevelKind::Month, BudgetLevelKind::TeamMonth, BudgetLevelKind::Pull, BudgetLevelKind::PullAsk];
    if let Some(BudgetUsage { level, .. }) = lasting.into_iter().find_map(used_up) {
        return BudgetDecision::RulesOnly { level: level.clone() };
    }
    if let Some(BudgetUsage { level, .. }) = used_up(BudgetLevelKind::RepoDay) {
        return BudgetDecision::Deferred { until: next_midnight(now), level: level.clone() };
    }
    let of_pull = levels.iter().filter(|drawn| match drawn.level.kind {
        BudgetLevelKind::PullAsk | BudgetLevelKind::Pull => true,
        BudgetLevelKind::Review
        | BudgetLevelKind::Run
        | BudgetLevelKind::RepoDay
        | BudgetLevelKind::ConvergeDay
        | BudgetLevelKind::SyncDay
        | BudgetLevelKind::TeamMonth
        | BudgetLevelKind::Month => false,
    });
    BudgetDecision::Allowed { tightest_budget: of_pull.min_by_key(|drawn| drawn.unspent()).cloned() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// 2026-11-20, half a minute before midnight in UTC.
    const NOW: UnixMillis = UnixMillis(1_795_219_170_000);

    fn review_budget(teams: &[(&str, u64)]) -> RunBudget {
        let teams = teams.iter().map(|(name, limit)| ((*name).to_owned(), MicroUsd(*limit))).collect();
        let caps = BudgetCaps { review: MicroUsd(2), repo_day: MicroUsd(5), teams, ..BudgetCaps::default() };
        RunBudget::for_review(RunId::new("r"), &scope("pr/github/1/7"), &caps, NOW)
    }

    fn scope(key: &str) -> BudgetScope {
        BudgetScope { key: key.into(), head: "abc".into(), repository: "github/1".into() }
    }

    /// Returns caps with a limit for every level.
    fn bounded_caps() -> BudgetCaps {
        BudgetCaps {
            review: MicroUsd(2),
            pull_ask: Some(MicroUsd(2)),
            pull: Some(MicroUsd(3)),
            repo_day: MicroUsd(5),
            converge_day: Some(MicroUsd(6)),
            sync_day: Some(MicroUsd(7)),
            teams: vec![("web".into(), MicroUsd(9))],
            month: Some(MicroUsd(10)),
        }
    }

    fn level_lines(budget: &RunBudget) -> Vec<String> {
        let line = |level: &BudgetLevel| {
            format!("{} {} {} {}", level.kind.as_str(), level.key, level.period, level.limit.0)
        };
        budget.levels.iter().map(line).collect()
    }

    fn usage_with_spending(budget: &RunBudget, spent: &[u64]) -> Vec<BudgetUsage> {
        let drawn = |(level, spent): (&BudgetLevel, &u64)| BudgetUsage {
            level: level.clone(),
            spent: MicroUsd(*spent),
            reserved: MicroUsd(1),
        };
        budget.levels.iter().zip(spent).map(drawn).collect()
    }

    #[test]
    fn a_review_draws_on_its_head_its_repository_s_day_and_its_teams_month() {
        let both = ["review pr/github/1/7@abc  2", "repo_day github/1 2026-11-20 5"];
        assert_eq!(level_lines(&review_budget(&[])), both);
        assert_eq!(
            level_lines(&review_budget(&[("web", 9)])),
            [both[0], both[1], "team_month web 2026-11 9"]
        );
    }

    #[test]
    fn what_is_bounded_in_all_is_drawn_on_by_each_that_it_bounds() {
        let (run, caps) = (|| RunId::new("r"), bounded_caps());
        let pull = ["pr pr/github/1/7  3", "pr_ask pr/github/1/7  2"];
        let months = ["team_month web 2026-11 9", "month all 2026-11 10"];
        let review = |key| level_lines(&RunBudget::for_review(run(), &scope(key), &caps, NOW));
        let day = "repo_day github/1 2026-11-20 5";
        assert_eq!(
            review("pr/github/1/7"),
            ["review pr/github/1/7@abc  2", day, pull[0], pull[1], months[0], months[1]]
        );
        assert_eq!(review("local/x"), ["review local/x@abc  2", day, months[0], months[1]]);
        let converge =
            |key| level_lines(&RunBudget::for_converge(run(), MicroUsd(8), &scope(key), &caps, NOW));
        let day = "converge_day github/1 2026-11-20 6";
        assert_eq!(converge("pr/github/1/7"), ["run r  8", pull[0], pull[1], day, months[0], months[1]]);
        assert_eq!(converge("local/x"), ["run r  8", day, months[0], months[1]]);
        let sync = level_lines(&RunBudget::for_sync(run(), MicroUsd(8), "Acme/Shop", &caps, NOW));
        assert_eq!(sync, ["run r  8", "sync_day acme/shop 2026-11-20 7", months[0], months[1]]);
        assert_eq!(level_lines(&RunBudget::for_run(run(), MicroUsd(8))), ["run r  8"]);
    }

    #[test]
    fn what_outlasts_the_day_leaves_the_rules_also_where_the_day_is_used_up() {
        let budget = RunBudget::for_review(RunId::new("r"), &scope("pr/github/1/7"), &bounded_caps(), NOW);
        let room = |each: &[u64]| match decide_budget(&usage_with_spending(&budget, each), MicroUsd(2), NOW) {
            BudgetDecision::Allowed { tightest_budget: left } => {
                let left = left.map(|left| (left.level.kind, left.unspent()));
                assert_eq!(left, Some((BudgetLevelKind::PullAsk, MicroUsd(2))));
                "enough"
            }
            BudgetDecision::Deferred { level, .. } | BudgetDecision::RulesOnly { level } => {
                level.kind.as_str()
            }
        };
        assert_eq!(room(&[0, 0, 0, 0, 0, 0]), "enough");
        assert_eq!(room(&[0, 4, 1, 1, 0, 0]), "pr_ask");
        assert_eq!(room(&[0, 4, 2, 2, 0, 0]), "pr");
        assert_eq!(room(&[0, 4, 3, 2, 8, 0]), "team_month");
        assert_eq!(room(&[0, 4, 3, 2, 8, 9]), "month");
    }

    #[test]
    fn a_refusal_names_the_key_that_changes_it() {
        let (run, at, caps) = (|| RunId::new("r"), scope("pr/github/1/7"), bounded_caps());
        let purses = [
            RunBudget::for_review(run(), &at, &caps, NOW),
            RunBudget::for_converge(run(), MicroUsd(8), &at, &caps, NOW),
            RunBudget::for_sync(run(), MicroUsd(8), "acme/shop", &caps, NOW),
        ];
        let told: BTreeMap<BudgetLevelKind, String> = purses
            .iter()
            .flat_map(|budget| &budget.levels)
            .map(|level| (level.kind, level.exhausted_text()))
            .map(|(kind, text)| (kind, text.replace("the amount left in ", "")))
            .map(|(kind, text)| (kind, text.replace(" is too small for one request", "")))
            .collect();
        let expected = [
            "`budget.review_usd` ($0.000002 for a commit)",
            "the run's limit ($0.000008)",
            "`budget.pr_ask_usd` ($0.000002 for a pull request; the comment `/spend` allows more)",
            "`budget.pr_usd` ($0.000003 for all runs of a pull request)",
            "`budget.repo_day_usd` ($0.000005 a day)",
            "`budget.converge_day_usd` ($0.000006 a day)",
            "`budget.sync_day_usd` ($0.000007 a day)",
            "`team.web.month_usd` ($0.000009 a month)",
            "`budget.month_usd` ($0.00001 a month)",
        ];
        assert_eq!(told.into_values().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_used_up_day_defers_to_midnight_and_a_used_up_month_leaves_the_rules() {
        let budget = review_budget(&[("web", 9)]);
        let room = |each: &[u64]| decide_budget(&usage_with_spending(&budget, each), MicroUsd(2), NOW);
        assert_eq!(room(&[0, 3, 7]), BudgetDecision::Allowed { tightest_budget: None });
        assert_eq!(
            room(&[2, 3, 7]),
            BudgetDecision::Allowed { tightest_budget: None },
            "the run says itself that its review is used up"
        );
        let until = UnixMillis(1_795_219_200_000);
        assert_eq!(room(&[0, 4, 7]), BudgetDecision::Deferred { until, level: budget.levels[1].clone() });
        assert_eq!(room(&[0, 9, 7]), BudgetDecision::Deferred { until, level: budget.levels[1].clone() });
        assert_eq!(room(&[0, 5, 8]), BudgetDecision::RulesOnly { level: budget.levels[2].clone() });
    }

    #[test]
    fn a_limit_of_nothing_is_used_up() {
        let day = BudgetLevel { limit: MicroUsd(0), ..review_budget(&[]).levels[1].clone() };
        let drawn = BudgetUsage { level: day.clone(), spent: MicroUsd(0), reserved: MicroUsd(0) };
        assert!(matches!(decide_budget(&[drawn], MicroUsd(0), NOW),
                BudgetDecision::Deferred { level, .. } if level == day));
    }
}
