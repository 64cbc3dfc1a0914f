//! The tier of a review: how much of it a pull request gets, by rules of the operator and of the repository's own file.
//!
//! Pure. The first rule of the operator whose conditions all hold decides, else the operator's default. The repository's rules come
//! after: they lower the tier freely, and raise it up to the operator's `most`.

use std::collections::BTreeMap;
use std::fmt;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use serde::{Deserialize, Serialize};

use crate::id::AccountId;
use crate::line;
use crate::money::MicroUsd;

/// The longest value of a pull request in a reason, in characters.
const MAX_VALUE_CHARS: usize = 80;

/// The extent of a pull request's review, the least first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// No review at all.
    Off,
    /// Rules and linters, and no model.
    Rules,
    /// One review by a model; later heads when somebody asks.
    Once,
    /// A review of each settled head.
    Settled,
    /// A review of each settled head by specialists.
    Deep,
}

impl Tier {
    /// All of them, the least first.
    pub const ALL: [Self; 5] = [Self::Off, Self::Rules, Self::Once, Self::Settled, Self::Deep];

    /// The word in configuration and records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Rules => "rules",
            Self::Once => "once",
            Self::Settled => "settled",
            Self::Deep => "deep",
        }
    }

    /// The tier of this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tier| tier.as_str() == word)
    }

    /// True if a model is asked.
    pub fn asks_model(self) -> bool {
        self > Self::Rules
    }
}

/// The owner of the file that has a rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RuleOwner {
    /// The file of the operator.
    Operator,
    /// The file of the repository.
    Repository,
}

/// The conditions of a rule. All have to hold; a list holds if one of its entries does, and an empty one always.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TierCondition {
    /// Globs of `owner/name`, whatever case.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub repos: Vec<String>,
    /// Globs of which a changed file matches one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// Globs of which every changed file matches one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub only_paths: Vec<String>,
    /// Accounts' ids, or names where the forge has unique ones.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub authors: Vec<String>,
    /// Globs of labels, whatever case.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// Globs of titles, whatever case.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub titles: Vec<String>,
    /// Globs of branches that pull requests go to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bases: Vec<String>,
    /// More added and removed lines than this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lines_over: Option<u64>,
    /// At most so many added and removed lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lines_up_to: Option<u64>,
    /// More changed files than this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files_over: Option<u64>,
}

/// One rule of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TierRule {
    /// Its place, for people: `truing.toml:14`.
    pub at: String,
    /// The owner of its file.
    pub owner: RuleOwner,
    /// The pull requests that it is for.
    pub when: TierCondition,
    /// The tier that they get.
    pub tier: Tier,
    /// The highest tier that a repository's own rules may give them; none: this one.
    pub most: Option<Tier>,
    /// The operator's words for it.
    pub reason: Option<String>,
}

/// The account that opened a pull request.
#[derive(Clone, Copy, Debug)]
pub struct PullAuthor<'a> {
    /// The id that lasts through renames.
    pub id: &'a AccountId,
    /// The name that it has now.
    pub login: &'a str,
}

/// The facts of a pull request that rules look at.
#[derive(Clone, Copy, Debug)]
pub struct PullFacts<'a> {
    /// The name of the repository, `owner/name`.
    pub repository: &'a str,
    /// The account that opened it; none if it is gone.
    pub author: Option<PullAuthor<'a>>,
    /// Is each name one account's alone at this forge?
    pub has_unique_names: bool,
    /// Its labels; none where the forge has none.
    pub labels: Option<&'a [String]>,
    /// The title of the pull request.
    pub title: &'a str,
    /// The branch that it goes to.
    pub base: &'a str,
    /// The paths of the changed files; of a renamed one both.
    pub paths: &'a [String],
    /// The number of changed files.
    pub files: usize,
    /// Added and removed lines.
    pub lines: u64,
    /// A part of the change has no lines that can be counted: a binary file, or one that cannot be read.
    pub has_uncounted: bool,
}

/// A decision, and its reason.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TierChoice {
    /// The tier that was chosen.
    pub tier: Tier,
    /// The place of the rule: `truing.toml:14`, or the key of the default.
    pub at: String,
    /// The conditions that held: `label no-review`; empty for the default.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub because: String,
    /// The words of the rule for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The tier that the repository asks for, where the operator allows less.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_for: Option<Tier>,
    /// The rule is about the pull request, and not about its repository alone.
    #[serde(default)]
    pub is_of_pull: bool,
}

/// The tiers as they are configured.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TierConfig {
    /// The tier where no rule holds.
    pub tier: Tier,
    /// The key that sets it.
    pub at: String,
    /// The highest tier that a repository's own rules may give then; none: `tier` itself.
    pub most: Option<Tier>,
    /// The rules, in the order of their files.
    pub rules: Vec<TierRule>,
}

impl TierConfig {
    /// True if the tier of a review may be [`Tier::Deep`]: the default or a rule gives or allows it.
    pub fn may_be_deep(&self) -> bool {
        let of_rules = self.rules.iter().flat_map(|rule| [Some(rule.tier), rule.most]);
        of_rules.chain([Some(self.tier), self.most]).flatten().any(|given| given == Tier::Deep)
    }
}

/// The rules that count for one repository, ready to be asked.
#[derive(Clone, Debug)]
pub struct TierRules {
    tier: Tier,
    at: String,
    most: Tier,
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
    /// True if it has a condition beside the repository.
    pub fn is_of_pull(&self) -> bool {
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
    /// Compiles the patterns of rules, which are bounded ([`crate::glob::is_bounded`]).
    ///
    /// # Errors
    /// A pattern that is no glob.
    pub fn new(config: TierConfig) -> Result<Self, globset::Error> {
        let TierConfig { tier, at, most, rules } = config;
        let compiled = rules.into_iter().map(|rule| {
            let when = &rule.when;
            Ok(CompiledRule {
                repos: globs(&when.repos, GlobForm::NAME)?,
                paths: globs(&when.paths, GlobForm::PATH)?,
                only_paths: globs(&when.only_paths, GlobForm::PATH)?,
                labels: globs(&when.labels, GlobForm::TEXT)?,
                titles: globs(&when.titles, GlobForm::TEXT)?,
                bases: globs(&when.bases, GlobForm::PATH)?,
                rule,
            })
        });
        let rules = compiled.collect::<Result<_, globset::Error>>()?;
        Ok(Self { tier, at, most: most.unwrap_or(tier), rules })
    }

    /// The tier of a pull request. With `is_asked`, rules with `off` that have a condition beside the repository do not count.
    pub fn choose(&self, facts: &PullFacts<'_>, is_asked: bool) -> TierChoice {
        let find = |owner: RuleOwner| {
            let mut of_owner = self.rules.iter().filter(|rule| rule.rule.owner == owner);
            of_owner.find_map(|compiled| {
                let is_passed_over =
                    is_asked && compiled.rule.tier == Tier::Off && compiled.rule.when.is_of_pull();
                let because = if is_passed_over { None } else { compiled.held(facts) }?;
                Some((&compiled.rule, because))
            })
        };
        let operators = find(RuleOwner::Operator);
        let (tier, most) = match &operators {
            Some((rule, _)) => (rule.tier, rule.most.unwrap_or(rule.tier)),
            None => (self.tier, self.most),
        };
        let own = find(RuleOwner::Repository).map(|(rule, because)| (rule, because, rule.tier.min(most)));
        match (own, operators) {
            (Some((rule, because, allowed)), _) if allowed != tier || rule.tier == tier => TierChoice {
                tier: allowed,
                at: rule.at.clone(),
                because,
                reason: rule.reason.clone(),
                asked_for: Some(rule.tier).filter(|asked| *asked > allowed),
                is_of_pull: rule.when.is_of_pull(),
            },
            (own, operators) => {
                let asked_for = own.map(|(rule, ..)| rule.tier).filter(|asked| *asked > tier);
                let Some((rule, because)) = operators else {
                    let at = self.at.clone();
                    return TierChoice {
                        tier,
                        at,
                        because: String::new(),
                        reason: None,
                        asked_for,
                        is_of_pull: false,
                    };
                };
                let (at, reason, is_of_pull) = (rule.at.clone(), rule.reason.clone(), rule.when.is_of_pull());
                TierChoice { tier, at, because, reason, asked_for, is_of_pull }
            }
        }
    }

    /// The rules that may count for a repository of this name, up to the first that always does.
    pub fn of_repository(&self, name: &str) -> Vec<&TierRule> {
        let mut found = Vec::new();
        for owner in [RuleOwner::Operator, RuleOwner::Repository] {
            let of_owner = self.rules.iter().filter(|rule| rule.rule.owner == owner);
            for compiled in of_owner.filter(|rule| rule.is_of_repository(name)) {
                found.push(&compiled.rule);
                if !compiled.rule.when.is_of_pull() {
                    break;
                }
            }
        }
        found
    }

    /// The tier where no rule holds.
    pub fn default_tier(&self) -> Tier {
        self.tier
    }

    /// The highest tier that a repository's own rules may give where no rule of the operator's holds.
    pub fn most(&self) -> Tier {
        self.most
    }
}

impl CompiledRule {
    fn is_of_repository(&self, name: &str) -> bool {
        self.rule.when.repos.is_empty() || self.repos.is_match(name)
    }

    /// The conditions that hold, in words; none if one does not.
    fn held(&self, facts: &PullFacts<'_>) -> Option<String> {
        let when = &self.rule.when;
        let mut held = Vec::new();
        let mut holds = |is_asked: bool, found: Option<String>| match (is_asked, found) {
            (false, _) => true,
            (true, Some(found)) => {
                held.push(found);
                true
            }
            (true, None) => false,
        };
        let cut = |value: &str| line::clean(value, MAX_VALUE_CHARS);
        let first = |globs: &GlobSet, word: &str, values: &[String]| {
            let value = values.iter().find(|value| globs.is_match(value))?;
            Some(format!("{word} {}", cut(value)))
        };
        let repository = facts.repository.to_owned();
        let author = facts.author.filter(|author| {
            when.authors
                .iter()
                .any(|called| author.id.is_called(author.login, called, facts.has_unique_names))
        });
        let is_whole =
            !facts.paths.is_empty() && facts.paths.iter().all(|path| self.only_paths.is_match(path));
        let files = facts.files as u64;
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
                (when.lines_over.is_none_or(|least| facts.lines > least)
                    && when.lines_up_to.is_none_or(|most| facts.lines <= most && !facts.has_uncounted))
                .then(|| line::counted(facts.lines, "line")),
            )
            && holds(
                when.files_over.is_some(),
                when.files_over.filter(|least| files > *least).map(|_| line::counted(files, "file")),
            );
        all.then(|| held.join(", "))
    }
}

/// The reading of `*` and of case in a glob.
#[derive(Clone, Copy)]
struct GlobForm {
    /// `*` stops at a slash.
    has_folders: bool,
    ignores_case: bool,
}

impl GlobForm {
    const NAME: Self = Self { has_folders: true, ignores_case: true };
    const PATH: Self = Self { has_folders: true, ignores_case: false };
    const TEXT: Self = Self { has_folders: false, ignores_case: true };
}

fn globs(patterns: &[String], form: GlobForm) -> Result<GlobSet, globset::Error> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let glob = GlobBuilder::new(pattern)
            .literal_separator(form.has_folders)
            .case_insensitive(form.ignores_case)
            .build()?;
        set.add(glob);
    }
    set.build()
}

/// The price of reviews of one tier.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct TierPrice {
    /// The number of reviews.
    pub reviews: u64,
    /// Their cost together, in millionths of a dollar.
    pub sum_micro_usd: u64,
    /// The cost of the dearest one.
    pub most_micro_usd: u64,
}

/// The prices of reviews by tier.
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
