//! Tests of the rules, conditions and prices of tiers.

use super::*;

fn rule(owner: RuleOwner, at: &str, tier: Tier, condition: TierCondition) -> TierRule {
    TierRule { origin: at.to_owned(), owner, condition, tier, max_tier: None, reason: None }
}

fn operator_rule(at: &str, tier: Tier, when: TierCondition) -> TierRule {
    rule(RuleOwner::Operator, at, tier, when)
}

fn repository_rule(tier: Tier) -> TierRule {
    rule(RuleOwner::Repository, ".truing.toml:1", tier, TierCondition::default())
}

fn list(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

fn config(max_tier: Option<Tier>, rules: Vec<TierRule>) -> TierConfig {
    TierConfig { default_tier: Tier::Settled, config_key: "review.tier".to_owned(), max_tier, rules }
}

fn rules(most: Option<Tier>, rules: Vec<TierRule>) -> TierRules {
    TierRules::new(config(most, rules)).unwrap()
}

struct SamplePull {
    author: AccountId,
    labels: Option<Vec<String>>,
    paths: Vec<String>,
}

impl SamplePull {
    fn new() -> Self {
        Self {
            author: AccountId::new("7"),
            labels: Some(list(&["No-Review"])),
            paths: list(&["src/pay.rs", "docs/a.md"]),
        }
    }

    fn facts(&self) -> PullFacts<'_> {
        PullFacts {
            repository: "Acme/Shop",
            author: Some(PullAuthor { id: &self.author, login: "Ada" }),
            has_unique_names: true,
            labels: self.labels.as_deref(),
            title: "WIP: a/b",
            base: "release/2",
            paths: &self.paths,
            changed_file_count: self.paths.len(),
            changed_line_count: 300,
            has_uncounted_lines: false,
        }
    }
}

#[test]
fn each_condition_holds_for_what_it_names() {
    let pull = SamplePull::new();
    let with = |change: fn(&mut TierCondition)| {
        let mut when = TierCondition::default();
        change(&mut when);
        when
    };
    for (when, because) in [
        (with(|when| when.repos = list(&["acme/*"])), Some("repository Acme/Shop")),
        (with(|when| when.repos = list(&["acme"])), None),
        (with(|when| when.paths = list(&["src/**"])), Some("file src/pay.rs")),
        (with(|when| when.paths = list(&["*.rs"])), None),
        (with(|when| when.only_paths = list(&["docs/**"])), None),
        (with(|when| when.only_paths = list(&["docs/**", "src/**"])), Some("only docs/** or src/**")),
        (with(|when| when.authors = list(&["ada"])), Some("author Ada")),
        (with(|when| when.authors = list(&["7"])), Some("author Ada")),
        (with(|when| when.authors = list(&["bob"])), None),
        (with(|when| when.labels = list(&["no-*"])), Some("label No-Review")),
        (with(|when| when.titles = list(&["wip*"])), Some("title WIP: a/b")),
        (with(|when| when.bases = list(&["release/*"])), Some("base release/2")),
        (with(|when| when.bases = list(&["release"])), None),
        (with(|when| when.lines_over = Some(299)), Some("300 lines")),
        (with(|when| when.lines_over = Some(300)), None),
        (with(|when| when.lines_up_to = Some(300)), Some("300 lines")),
        (with(|when| when.files_over = Some(1)), Some("2 files")),
        (with(|when| (when.files_over, when.authors) = (Some(1), list(&["bob"]))), None),
        (
            with(|when| (when.files_over, when.authors) = (Some(1), list(&["ada"]))),
            Some("author Ada, 2 files"),
        ),
    ] {
        let name = when.to_string();
        let choice = rules(None, vec![operator_rule("t:1", Tier::Off, when)]).choose(&pull.facts(), false);
        let expected = match because {
            Some(because) => (Tier::Off, "t:1", because),
            None => (Tier::Settled, "review.tier", ""),
        };
        assert_eq!((choice.tier, choice.origin.as_str(), choice.because.as_str()), expected, "{name}");
    }
}

#[test]
fn a_name_is_no_account_where_names_are_not_unique_and_no_label_is_none() {
    let pull = SamplePull { labels: None, paths: Vec::new(), ..SamplePull::new() };
    let when = |authors: &[&str]| TierCondition { authors: list(authors), ..TierCondition::default() };
    let facts = PullFacts { has_unique_names: false, ..pull.facts() };
    let choose = |when: TierCondition| {
        rules(None, vec![operator_rule("t:1", Tier::Off, when)]).choose(&facts, false).tier
    };
    assert_eq!(choose(when(&["Ada"])), Tier::Settled);
    assert_eq!(choose(when(&["7"])), Tier::Off);
    assert_eq!(choose(TierCondition { labels: list(&["*"]), ..TierCondition::default() }), Tier::Settled);
    assert_eq!(
        choose(TierCondition { only_paths: list(&["**"]), ..TierCondition::default() }),
        Tier::Settled
    );
    let few = TierCondition { lines_up_to: Some(500), ..TierCondition::default() };
    let rule = rules(None, vec![operator_rule("t:1", Tier::Rules, few)]);
    assert_eq!(rule.choose(&facts, false).tier, Tier::Rules);
    assert_eq!(rule.choose(&PullFacts { has_uncounted_lines: true, ..facts }, false).tier, Tier::Settled);
}

#[test]
fn the_first_rule_decides_and_who_asks_passes_over_a_skip() {
    let pull = SamplePull::new();
    let label = TierCondition { labels: list(&["no-review"]), ..TierCondition::default() };
    let repository = TierCondition { repos: list(&["acme/*"]), ..TierCondition::default() };
    let all = rules(
        None,
        vec![
            operator_rule("t:1", Tier::Off, label),
            operator_rule("t:5", Tier::Once, repository.clone()),
            operator_rule("t:9", Tier::Deep, TierCondition::default()),
        ],
    );
    assert_eq!(all.choose(&pull.facts(), false).origin, "t:1");
    let asked = all.choose(&pull.facts(), true);
    assert_eq!((asked.tier, asked.origin.as_str()), (Tier::Once, "t:5"));
    let off = rules(None, vec![operator_rule("t:5", Tier::Off, repository)]);
    assert_eq!(off.choose(&pull.facts(), true).tier, Tier::Off, "an operator's repository stays off");
    assert_eq!(all.rules_for_repository("acme/shop").len(), 2);
    assert_eq!(
        all.rules_for_repository("other/shop").len(),
        2,
        "the first with conditions of pull requests, and the last"
    );
}

#[test]
fn a_repository_lowers_freely_and_raises_up_to_what_the_operator_allows() {
    let pull = SamplePull::new();
    for (most, asked, tier, capped) in [
        (None, Tier::Off, Tier::Off, None),
        (None, Tier::Rules, Tier::Rules, None),
        (None, Tier::Settled, Tier::Settled, None),
        (None, Tier::Deep, Tier::Settled, Some(Tier::Deep)),
        (Some(Tier::Deep), Tier::Deep, Tier::Deep, None),
        (Some(Tier::Once), Tier::Deep, Tier::Once, Some(Tier::Deep)),
    ] {
        let choice = rules(most, vec![repository_rule(asked)]).choose(&pull.facts(), false);
        assert_eq!((choice.tier, choice.asked_for), (tier, capped), "{most:?} {asked:?}: {choice:?}");
    }
    let off = operator_rule("t:1", Tier::Off, TierCondition::default());
    let choice =
        rules(Some(Tier::Deep), vec![off.clone(), repository_rule(Tier::Deep)]).choose(&pull.facts(), false);
    assert_eq!((choice.tier, choice.asked_for), (Tier::Off, Some(Tier::Deep)), "nothing raises it");
    let raised = TierRule { max_tier: Some(Tier::Rules), ..off };
    let choice = rules(None, vec![raised, repository_rule(Tier::Deep)]).choose(&pull.facts(), false);
    assert_eq!((choice.tier, choice.origin.as_str()), (Tier::Rules, ".truing.toml:1"));
}

#[test]
fn a_pattern_that_is_no_glob_is_refused() {
    let when = TierCondition { paths: list(&["a["]), ..TierCondition::default() };
    assert!(TierRules::new(config(None, vec![operator_rule("t:4", Tier::Off, when)])).is_err());
}

#[test]
fn a_tier_may_be_given_by_the_default_a_rule_or_its_most() {
    let most =
        TierRule { max_tier: Some(Tier::Deep), ..operator_rule("t:1", Tier::Off, TierCondition::default()) };
    assert!(config(None, vec![most]).can_choose_deep());
    assert!(config(Some(Tier::Deep), Vec::new()).can_choose_deep());
    assert!(!config(None, vec![repository_rule(Tier::Once)]).can_choose_deep());
}

#[test]
fn prices_are_of_each_tier() {
    let prices =
        tier_prices([(Tier::Once, MicroUsd(3)), (Tier::Once, MicroUsd(5)), (Tier::Rules, MicroUsd(0))]);
    assert_eq!(prices[&Tier::Once], TierPrice { reviews: 2, sum_micro_usd: 8, most_micro_usd: 5 });
    assert_eq!(prices[&Tier::Rules].reviews, 1);
}
