//! Rules that select the tier of a review, parsed from a file's tables or a variable's JSON.

use serde_json::{Map, Value as Json, json};
use toml::de::{DeTable, DeValue};
use truing_core::glob::check_bounds;
use truing_core::tier::{RuleOwner, Tier, TierCondition, TierConfig, TierRule, TierRules};

use super::{ConfigValueError, requirement_error};

/// Names of the conditions that a rule may have.
const CONDITIONS: [&str; 10] = [
    "repos",
    "paths",
    "only_paths",
    "authors",
    "labels",
    "titles",
    "bases",
    "lines_over",
    "lines_up_to",
    "files_over",
];
/// Maximum number of rules of one file.
const MAX_RULES: usize = 100;
/// Maximum length of a `reason`, in characters.
const MAX_REASON_CHARS: usize = 200;

/// An error in a rule, with the name of the key that caused the error.
pub(crate) struct TableEntryError {
    pub(crate) key: Option<String>,
    pub(crate) error: ConfigValueError,
}

/// Returns a description of a valid list, as the text of an error after the word `must`.
pub(crate) fn tier_list_requirement() -> &'static str {
    "be a list of tables such as { repos = [\"acme/*\"], tier = \"rules\" } (in a variable: a JSON array)"
}

/// Refuses a list of more than [`MAX_RULES`] rules.
pub(crate) fn refuse_too_many(count: usize) -> Result<(), ConfigValueError> {
    if count > MAX_RULES {
        Err(requirement_error(format_args!("have at most {MAX_RULES} rules, not {count}")))
    } else {
        Ok(())
    }
}

/// Reads a rule from a table of a file. `origin` is the table's position as displayed to users.
///
/// # Errors
/// All errors in the table.
pub(crate) fn rule_from_toml(
    table: &DeTable<'_>,
    origin: &str,
    owner: RuleOwner,
) -> Result<TierRule, Vec<TableEntryError>> {
    parse_rule(&table_to_json(table), origin, owner)
}

/// Returns the fields of a file's table as JSON.
pub(super) fn table_to_json(table: &DeTable<'_>) -> Map<String, Json> {
    table.iter().map(|(name, value)| (name.get_ref().to_string(), toml_to_json(value.get_ref()))).collect()
}

/// Reads rules from a variable, as JSON.
pub(super) fn rules_from_text(text: &str) -> Result<Vec<TierRule>, ConfigValueError> {
    let tables: Vec<Map<String, Json>> =
        serde_json::from_str(text).map_err(|_| requirement_error(tier_list_requirement()))?;
    refuse_too_many(tables.len())?;
    let mut rules = Vec::new();
    for (number, fields) in (1_usize..).zip(&tables) {
        let found = parse_rule(fields, &format!("review.for, rule {number}"), RuleOwner::Operator);
        rules.push(found.map_err(|faults| {
            faults.into_iter().next().map_or(requirement_error(tier_list_requirement()), |fault| fault.error)
        })?);
    }
    Ok(rules)
}

fn parse_rule(
    fields: &Map<String, Json>,
    origin: &str,
    owner: RuleOwner,
) -> Result<TierRule, Vec<TableEntryError>> {
    let mut faults = Vec::new();
    let mut condition = Map::new();
    let (mut tier, mut max_tier, mut reason) = (None, None, None);
    for (name, value) in fields {
        let read = match (name.as_str(), owner) {
            ("repos" | "most", RuleOwner::Repository) => Err(requirement_error(format_args!(
                "not be set here: only the operator's file may set `{name}`"
            ))),
            ("tier", _) => parse_tier(value).map(|word| tier = Some(word)),
            ("most", _) => parse_tier(value).map(|word| max_tier = Some(word)),
            ("reason", _) => match value.as_str() {
                Some(text) if text.chars().count() <= MAX_REASON_CHARS => {
                    reason = Some(text.to_owned());
                    Ok(())
                }
                Some(_) | None => {
                    Err(requirement_error(format_args!("be a text of at most {MAX_REASON_CHARS} characters")))
                }
            },
            _ => condition_fault(name, value).map_or_else(
                || {
                    condition.insert(name.clone(), value.clone());
                    Ok(())
                },
                |fault| Err(requirement_error(fault)),
            ),
        };
        faults.extend(read.err().map(|wrong| TableEntryError { key: Some(name.clone()), error: wrong }));
    }
    let condition =
        serde_json::from_value::<TierCondition>(Json::Object(condition)).unwrap_or_else(|error| {
            // This error must be reported, because the empty default condition would match every pull
            // request.
            faults.push(TableEntryError {
                key: None,
                error: requirement_error(format_args!("be a valid rule: {error}")),
            });
            TierCondition::default()
        });
    if let (Some(tier), Some(max_tier)) = (tier, max_tier)
        && max_tier < tier
    {
        let wrong =
            requirement_error(format_args!("be at least `{}`, which is the value of `tier`", tier.as_str()));
        faults.push(TableEntryError { key: Some("most".to_owned()), error: wrong });
    }
    if let (Some(over), Some(up_to)) = (condition.lines_over, condition.lines_up_to)
        && over >= up_to
    {
        let wrong = requirement_error(format_args!("be more than `lines_over`, which is {over}"));
        faults.push(TableEntryError { key: Some("lines_up_to".to_owned()), error: wrong });
    }
    let Some(tier) = tier else {
        if faults.is_empty() {
            faults.push(TableEntryError {
                key: None,
                error: requirement_error(format_args!("have a `tier`: {}", tier_words())),
            });
        }
        return Err(faults);
    };
    let rule = TierRule { origin: origin.to_owned(), owner, condition, tier, max_tier, reason };
    if faults.is_empty() { Ok(rule) } else { Err(faults) }
}

/// Returns the error of one condition: an unknown name, a value of the wrong type, or an invalid glob.
fn condition_fault(name: &str, value: &Json) -> Option<String> {
    let condition = match serde_json::from_value::<TierCondition>(json!({ name: value })) {
        Ok(condition) => condition,
        Err(_) if !CONDITIONS.contains(&name) => {
            return Some(format!("not be set; the conditions of a rule are {}", CONDITIONS.join(", ")));
        }
        Err(error) => return Some(format!("have a value of the correct type: {error}")),
    };
    let lists = [
        &condition.repos,
        &condition.paths,
        &condition.only_paths,
        &condition.labels,
        &condition.titles,
        &condition.bases,
    ];
    if let Some(fault) = invalid_glob_error(lists.into_iter().flatten()) {
        return Some(fault);
    }
    let rule = TierRule {
        origin: String::new(),
        owner: RuleOwner::Operator,
        condition,
        tier: Tier::Off,
        max_tier: None,
        reason: None,
    };
    let built = TierRules::new(TierConfig {
        default_tier: Tier::Off,
        config_key: String::new(),
        max_tier: None,
        rules: vec![rule],
    });
    built.err().map(|error| format!("contain valid globs: {error}"))
}

/// Returns the error of the first invalid glob.
pub(super) fn invalid_glob_error<'a>(globs: impl IntoIterator<Item = &'a String>) -> Option<String> {
    let fault = globs.into_iter().find_map(|glob| check_bounds(glob).err())?;
    Some(format!("contain valid globs: {fault}"))
}

fn parse_tier(value: &Json) -> Result<Tier, ConfigValueError> {
    let tier = value.as_str().and_then(Tier::from_name);
    tier.ok_or_else(|| requirement_error(format_args!("be one of {}", tier_words())))
}

fn tier_words() -> String {
    Tier::ALL.map(Tier::as_str).join(", ")
}

/// Converts a value of a file to JSON.
pub(crate) fn toml_to_json(value: &DeValue<'_>) -> Json {
    match value {
        DeValue::String(text) => json!(text.as_ref()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or_else(|_| json!({}), |number| json!(number)),
        DeValue::Boolean(yes) => json!(yes),
        DeValue::Array(items) => items.iter().map(|item| toml_to_json(item.get_ref())).collect(),
        DeValue::Table(table) => Json::Object(table_to_json(table)),
        // No key has a value of these types.
        DeValue::Float(_) | DeValue::Datetime(_) => json!({}),
    }
}

/// Renders a rule as JSON, with the same fields as in a file.
pub(super) fn to_json(rule: &TierRule) -> Json {
    let mut fields = serde_json::to_value(&rule.condition).unwrap_or_default();
    fields["tier"] = json!(rule.tier);
    if let Some(most) = rule.max_tier {
        fields["most"] = json!(most);
    }
    if let Some(reason) = &rule.reason {
        fields["reason"] = json!(reason);
    }
    fields
}

/// Renders rules as an inline list of TOML.
pub(super) fn to_toml(rules: &[TierRule]) -> String {
    let all: Vec<Json> = rules.iter().map(to_json).collect();
    toml::Value::try_from(all).map_or_else(|_| "[]".to_owned(), |value| value.to_string())
}

/// Returns the schema of one rule.
pub(crate) fn schema_of_tier_rule() -> Json {
    let texts = || json!({ "type": "array", "items": { "type": "string" } });
    let count = || json!({ "type": "integer", "minimum": 0 });
    let tiers: Vec<&str> = Tier::ALL.iter().map(|tier| tier.as_str()).collect();
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["tier"],
        "properties": {
            "repos": texts(), "paths": texts(), "only_paths": texts(), "authors": texts(),
            "labels": texts(), "titles": texts(), "bases": texts(),
            "lines_over": count(), "lines_up_to": count(), "files_over": count(),
            "tier": { "enum": tiers }, "most": { "enum": tiers },
            "reason": { "type": "string", "maxLength": MAX_REASON_CHARS }
        }
    })
}
