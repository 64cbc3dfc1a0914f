//! Chooses the tier of a pull request, which determines how thoroughly and how often the pull request is
//! reviewed. Rules of the operator and rules in the repository's own file choose the tier.
//!
//! Pure. The first rule of the operator whose conditions all hold chooses the tier. If there is no such rule,
//! the operator's default tier applies. Then the repository's own rules can lower the tier to any value, or
//! raise it up to the limit that the operator sets (`max_tier`).

use std::collections::BTreeMap;
use std::fmt;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use serde::{Deserialize, Serialize};

use crate::id::AccountId;
use crate::line;
use crate::money::MicroUsd;

/// Maximum number of characters that a reason quotes from a label, a title or another value of a pull
/// request.
const MAX_VALUE_CHARS: usize = 80;

/// Extent of the review of a pull request, from no review to the most thorough review.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// No review at all.
    Off,
    /// Rules and linters without a model.
    Rules,
    /// One review by a model. Later heads are reviewed on request.
    Once,
    /// A model reviews each head after a period without pushes.
    Settled,
    /// Like `Settled`, but with a review by several specialists.
    Deep,
}

impl Tier {
    /// All tiers, from no review to the most thorough review.
    pub const ALL: [Self; 5] = [Self::Off, Self::Rules, Self::Once, Self::Settled, Self::Deep];

    /// Returns the word used in configuration and records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Rules => "rules",
            Self::Once => "once",
            Self::Settled => "settled",
            Self::Deep => "deep",
        }
    }

    /// Finds the tier with this word.
    pub fn from_name(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tier| tier.as_str() == word)
    }

    /// Returns true if this tier calls a model.
    pub fn asks_model(self) -> bool {
        self > Self::Rules
    }
}

/// Owner of the file that contains a rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RuleOwner {
    Operator,
    Repository,
}

/// Conditions of a rule. A rule applies only if all its conditions hold. A condition with a list holds if any
/// entry of the list matches, or if the list is empty.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TierCondition {
    /// Globs of `owner/name`, case-insensitive.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub repos: Vec<String>,
    /// Globs of paths; at least one glob must match a changed file.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// Globs of paths; each changed file must match at least one glob.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub only_paths: Vec<String>,
    /// Account ids, or account names if names are unique at the forge.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub authors: Vec<String>,
    /// Globs of labels, case-insensitive.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// Globs of titles, case-insensitive.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub titles: Vec<String>,
    /// Globs of the target branches of pull requests.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bases: Vec<String>,
    /// The number of added and removed lines must be greater than this number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lines_over: Option<u64>,
    /// The number of added and removed lines must not exceed this number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lines_up_to: Option<u64>,
    /// The number of changed files must be greater than this number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files_over: Option<u64>,
}

/// One rule of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TierRule {
    /// File and line of the rule, for display: `truing.toml:14`.
    pub origin: String,
    /// Owner of the file that contains the rule.
    pub owner: RuleOwner,
    /// Conditions on the pull request.
    pub condition: TierCondition,
    /// Tier that matching pull requests get.
    pub tier: Tier,
    /// Highest tier that a repository's own rules may choose; `None` means that these rules cannot raise
    /// `tier`.
    pub max_tier: Option<Tier>,
    /// Explanation that the rule's author gives; `None` if there is none.
    pub reason: Option<String>,
}

/// Account that opened a pull request.
#[derive(Clone, Copy, Debug)]
pub struct PullAuthor<'a> {
    /// Id that stays the same when the account is renamed.
    pub id: &'a AccountId,
    /// Current login of the account.
    pub login: &'a str,
}

/// The data of a pull request with which the conditions of rules are evaluated.
#[derive(Clone, Copy, Debug)]
pub struct PullFacts<'a> {
    /// Name of the repository, `owner/name`.
    pub repository: &'a str,
    /// Account that opened the pull request; `None` if the account no longer exists.
    pub author: Option<PullAuthor<'a>>,
    /// True if names are unique at this forge.
    pub has_unique_names: bool,
    /// Labels of the pull request; `None` if the forge has no labels.
    pub labels: Option<&'a [String]>,
    pub title: &'a str,
    /// Target branch of the pull request.
    pub base: &'a str,
    /// Paths of the changed files. For a renamed file, both names are included.
    pub paths: &'a [String],
    /// Number of changed files.
    pub changed_file_count: usize,
    /// Number of added and removed lines.
    pub changed_line_count: u64,
    /// True if the lines of some changed file cannot be counted, because the file is binary, unreadable, or
    /// only renamed.
    pub has_uncounted_lines: bool,
}

/// The chosen tier and the reason for it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TierChoice {
    /// Tier that was chosen.
    pub tier: Tier,
    /// File and line of the rule that chose the tier (`truing.toml:14`), or the configuration key of the
    /// default tier.
    #[serde(rename = "at")]
    pub origin: String,
    /// Conditions of the rule that held, for example `label no-review`; empty for the default tier.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub because: String,
    /// Explanation in the rule that chose the tier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Tier that the repository's rules request, if the operator does not allow a tier this high; otherwise
    /// `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_for: Option<Tier>,
    /// True if the rule that chose the tier has a condition other than `repos`.
    #[serde(default)]
    pub is_of_pull: bool,
}

/// Configured tiers and their rules.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TierConfig {
    /// Tier of a pull request for which no rule's conditions hold.
    pub default_tier: Tier,
    /// Configuration key of the default tier.
    pub config_key: String,
    /// Highest tier that a repository's own rules may choose if no rule of the operator applies; `None` means
    /// that these rules cannot raise `tier`.
    pub max_tier: Option<Tier>,
    /// Rules in the order of their files.
    pub rules: Vec<TierRule>,
}

impl TierConfig {
    /// Returns true if a pull request can get [`Tier::Deep`]. This is the case if this tier is the default,
    /// or if a rule chooses it or allows a repository to choose it.
    pub fn can_choose_deep(&self) -> bool {
        let of_rules = self.rules.iter().flat_map(|rule| [Some(rule.tier), rule.max_tier]);
        of_rules.chain([Some(self.default_tier), self.max_tier]).flatten().any(|given| given == Tier::Deep)
    }
}

/// Rules with compiled globs.
#[derive(Clone, Debug)]
pub struct TierRules {
    default_tier: Tier,
    config_key: String,
    max_tier: Tier,
    rules: Vec<CompiledRule>,
}

#[derive(Clone, Debug)]
struct CompiledRule {
    rule: TierRule,
    repos: GlobSet,
    paths: GlobSet,
    only_paths: GlobSet,
    labels: GlobSet,
    titles: GlobSet,
    bases: GlobSet,
}

impl TierCondition {
    /// Returns true if a condition other than `repos` is set.
    pub fn has_pull_condition(&self) -> bool {
        *self != Self { repos: self.repos.clone(), ..Self::default() }
    }
}

impl fmt::Display for TierCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lists = [
            ("repository", &self.repos),
            ("any of", &self.paths),
            ("only", &self.only_paths),
            ("author", &self.authors),
            ("label", &self.labels),
            ("title", &self.titles),
            ("base", &self.bases),
        ];
        let mut parts: Vec<String> = lists
            .into_iter()
            .filter(|(_, list)| !list.is_empty())
            .map(|(word, list)| format!("{word} {}", list.join(" or ")))
            .collect();
        parts.extend(self.lines_over.map(|lines| format!("more than {lines} lines")));
        parts.extend(self.lines_up_to.map(|lines| format!("at most {lines} lines")));
        parts.extend(self.files_over.map(|files| format!("more than {files} files")));
        let all = parts.join(", ");
        f.write_str(if parts.is_empty() { "all" } else { &all })
    }
}

impl TierRules {
    /// Compiles the patterns of rules. The caller must have checked the patterns with
    /// [`crate::glob::check_bounds`].
    ///
    /// # Errors
    /// If a pattern is not a valid glob.
    pub fn new(config: TierConfig) -> Result<Self, globset::Error> {
        let TierConfig { default_tier: tier, config_key, max_tier, rules } = config;
        let compiled = rules.into_iter().map(|rule| {
            let when = &rule.condition;
            Ok(CompiledRule {
                repos: compile_globs(&when.repos, GlobOptions::NAME)?,
                paths: compile_globs(&when.paths, GlobOptions::PATH)?,
                only_paths: compile_globs(&when.only_paths, GlobOptions::PATH)?,
                labels: compile_globs(&when.labels, GlobOptions::TEXT)?,
                titles: compile_globs(&when.titles, GlobOptions::TEXT)?,
                bases: compile_globs(&when.bases, GlobOptions::PATH)?,
                rule,
            })
        });
        let rules = compiled.collect::<Result<_, globset::Error>>()?;
        Ok(Self { default_tier: tier, config_key, max_tier: max_tier.unwrap_or(tier), rules })
    }

    /// Chooses the tier of a pull request. `is_requested` is true if a person requested the review. In this
    /// case, a rule with the tier `off` is ignored if it has a condition other than `repos`.
    pub fn choose(&self, facts: &PullFacts<'_>, is_requested: bool) -> TierChoice {
        let find = |owner: RuleOwner| {
            let mut of_owner = self.rules.iter().filter(|rule| rule.rule.owner == owner);
            of_owner.find_map(|compiled| {
                let is_passed_over = is_requested
                    && compiled.rule.tier == Tier::Off
                    && compiled.rule.condition.has_pull_condition();
                let because = if is_passed_over { None } else { compiled.matched_conditions(facts) }?;
                Some((&compiled.rule, because))
            })
        };
        let operators = find(RuleOwner::Operator);
        let (tier, most) = match &operators {
            Some((rule, _)) => (rule.tier, rule.max_tier.unwrap_or(rule.tier)),
            None => (self.default_tier, self.max_tier),
        };
        let own = find(RuleOwner::Repository).map(|(rule, because)| (rule, because, rule.tier.min(most)));
        match (own, operators) {
            (Some((rule, because, allowed)), _) if allowed != tier || rule.tier == tier => TierChoice {
                tier: allowed,
                origin: rule.origin.clone(),
                because,
                reason: rule.reason.clone(),
                asked_for: Some(rule.tier).filter(|asked| *asked > allowed),
                is_of_pull: rule.condition.has_pull_condition(),
            },
            (own, operators) => {
                let asked_for = own.map(|(rule, ..)| rule.tier).filter(|asked| *asked > tier);
                let Some((rule, because)) = operators else {
                    let at = self.config_key.clone();
                    return TierChoice {
                        tier,
                        origin: at,
                        because: String::new(),
                        reason: None,
                        asked_for,
                        is_of_pull: false,
                    };
                };
                let (at, reason, is_of_pull) =
                    (rule.origin.clone(), rule.reason.clone(), rule.condition.has_pull_condition());
                TierChoice { tier, origin: at, because, reason, asked_for, is_of_pull }
            }
        }
    }

    /// Returns the rules that may apply to pull requests of this repository. For each owner, the list ends
    /// with the first rule that has no condition other than `repos`, because this rule always applies.
    pub fn rules_for_repository(&self, name: &str) -> Vec<&TierRule> {
        let mut found = Vec::new();
        for owner in [RuleOwner::Operator, RuleOwner::Repository] {
            let of_owner = self.rules.iter().filter(|rule| rule.rule.owner == owner);
            for compiled in of_owner.filter(|rule| rule.applies_to_repository(name)) {
                found.push(&compiled.rule);
                if !compiled.rule.condition.has_pull_condition() {
                    break;
                }
            }
        }
        found
    }

    /// Returns the tier that applies if no rule applies.
    pub fn default_tier(&self) -> Tier {
        self.default_tier
    }

    /// Returns the highest tier that the repository's rules may choose if no rule of the operator applies.
    pub fn max_tier(&self) -> Tier {
        self.max_tier
    }
}

impl CompiledRule {
    fn applies_to_repository(&self, name: &str) -> bool {
        self.rule.condition.repos.is_empty() || self.repos.is_match(name)
    }

    /// Returns a description of the rule's conditions if all of them hold; otherwise `None`.
    fn matched_conditions(&self, facts: &PullFacts<'_>) -> Option<String> {
        let when = &self.rule.condition;
        let mut held = Vec::new();
        let mut holds = |is_asked: bool, description: Option<String>| match (is_asked, description) {
            (false, _) => true,
            (true, Some(description)) => {
                held.push(description);
                true
            }
            (true, None) => false,
        };
        let cut = |value: &str| line::clean_line(value, MAX_VALUE_CHARS);
        let first = |globs: &GlobSet, word: &str, values: &[String]| {
            let value = values.iter().find(|value| globs.is_match(value))?;
            Some(format!("{word} {}", cut(value)))
        };
        let repository = facts.repository.to_owned();
        let author = facts.author.filter(|author| {
            when.authors
                .iter()
                .any(|called| author.id.matches_name(author.login, called, facts.has_unique_names))
        });
        let is_whole =
            !facts.paths.is_empty() && facts.paths.iter().all(|path| self.only_paths.is_match(path));
        let files = facts.changed_file_count as u64;
        let all = holds(!when.repos.is_empty(), first(&self.repos, "repository", &[repository]))
            && holds(!when.paths.is_empty(), first(&self.paths, "file", facts.paths))
            && holds(
                !when.only_paths.is_empty(),
                is_whole.then(|| format!("only {}", cut(&when.only_paths.join(" or ")))),
            )
            && holds(!when.authors.is_empty(), author.map(|author| format!("author {}", cut(author.login))))
            && holds(!when.labels.is_empty(), first(&self.labels, "label", facts.labels.unwrap_or_default()))
            && holds(
                !when.titles.is_empty(),
                self.titles.is_match(facts.title).then(|| format!("title {}", cut(facts.title))),
            )
            && holds(
                !when.bases.is_empty(),
                self.bases.is_match(facts.base).then(|| format!("base {}", cut(facts.base))),
            )
            && holds(
                when.lines_over.is_some() || when.lines_up_to.is_some(),
                (when.lines_over.is_none_or(|least| facts.changed_line_count > least)
                    && when
                        .lines_up_to
                        .is_none_or(|most| facts.changed_line_count <= most && !facts.has_uncounted_lines))
                .then(|| line::format_count(facts.changed_line_count, "line")),
            )
            && holds(
                when.files_over.is_some(),
                when.files_over.filter(|least| files > *least).map(|_| line::format_count(files, "file")),
            );
        all.then(|| held.join(", "))
    }
}

/// Options of a glob: the meaning of `*`, and whether case is ignored.
#[derive(Clone, Copy)]
struct GlobOptions {
    /// True if `*` does not match a slash.
    has_literal_separator: bool,
    ignores_case: bool,
}

impl GlobOptions {
    const NAME: Self = Self { has_literal_separator: true, ignores_case: true };
    const PATH: Self = Self { has_literal_separator: true, ignores_case: false };
    const TEXT: Self = Self { has_literal_separator: false, ignores_case: true };
}

fn compile_globs(patterns: &[String], options: GlobOptions) -> Result<GlobSet, globset::Error> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let glob = GlobBuilder::new(pattern)
            .literal_separator(options.has_literal_separator)
            .case_insensitive(options.ignores_case)
            .build()?;
        set.add(glob);
    }
    set.build()
}

/// Number and costs of the reviews of one tier.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct TierPrice {
    pub reviews: u64,
    /// Total cost in millionths of a dollar.
    pub sum_micro_usd: u64,
    /// Cost of the most expensive review.
    pub most_micro_usd: u64,
}

/// Computes the costs of reviews by tier.
pub fn tier_prices(reviews: impl IntoIterator<Item = (Tier, MicroUsd)>) -> BTreeMap<Tier, TierPrice> {
    let mut prices = BTreeMap::<Tier, TierPrice>::new();
    for (tier, cost) in reviews {
        let price = prices.entry(tier).or_default();
        price.reviews += 1;
        price.sum_micro_usd = price.sum_micro_usd.saturating_add(cost.0);
        price.most_micro_usd = price.most_micro_usd.max(cost.0);
    }
    prices
}

#[cfg(test)]
mod tests;
