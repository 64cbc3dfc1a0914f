//! Names of rules, and the severities assigned to them.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use truing_core::finding::Severity;
use truing_core::severity::RuleSeverity;

use super::tiers::invalid_glob_error;
use super::{ConfigValueError, ValueKind, compile_globs, requirement_error};

/// Maximum length of a rule's name in characters.
const MAX_RULE_NAME_CHARS: usize = 200;
/// Maximum number of severities of one rule.
const MAX_SEVERITIES: usize = 20;

/// Returns true for `PACK/RULE` or `TOOL/RULE`. Findings name their rules in this notation.
pub(super) fn is_rule_id(text: &str) -> bool {
    let is_part = |part: &str| {
        let is_letter = |letter: u8| letter.is_ascii_alphanumeric() || matches!(letter, b'-' | b'_' | b'.');
        !part.is_empty() && part.bytes().all(is_letter)
    };
    text.len() <= MAX_RULE_NAME_CHARS
        && text.split_once('/').is_some_and(|(pack, rule)| is_part(pack) && is_part(rule))
}

/// Returns a description of valid severities, as the text of an error after the word `must`.
pub(super) fn severity_table_requirement() -> String {
    let sample = ValueKind::RuleSeverities.sample();
    format!("be a table of rules and severities, such as {sample} (in a variable: a JSON object)")
}

/// Reads the severities of one rule. A file gets the first severity whose path globs match the file.
pub(crate) fn severities_from_json(rule: &str, value: &Json) -> Result<Vec<RuleSeverity>, ConfigValueError> {
    if !is_rule_id(rule) {
        return Err(requirement_error("name a rule as `PACK/RULE`, as shown in findings"));
    }
    let read = match value {
        Json::String(_) => {
            let severity = serde_json::from_value(value.clone());
            let severity = severity.map_err(|_| requirement_error("be \"P0\", \"P1\" or \"P2\""))?;
            return Ok(vec![RuleSeverity { paths: Vec::new(), severity }]);
        }
        Json::Object(_) => serde_json::from_value(value.clone()).map(|one| vec![one]),
        Json::Array(_) | Json::Null | Json::Bool(_) | Json::Number(_) => {
            serde_json::from_value::<Vec<RuleSeverity>>(value.clone())
        }
    };
    let all = read.map_err(|error| {
        requirement_error(format_args!(
            "be \"P0\", \"P1\" or \"P2\", or a list of tables such as {{ paths = [\"tests/**\"], severity \
             = \"P2\" }}: {error}"
        ))
    })?;
    if all.is_empty() || all.len() > MAX_SEVERITIES {
        return Err(requirement_error(format_args!("have from 1 to {MAX_SEVERITIES} severities")));
    }
    let patterns: Vec<String> = all.iter().flat_map(|entry| entry.paths.iter().cloned()).collect();
    if let Some(fault) = invalid_glob_error(&patterns) {
        return Err(requirement_error(fault));
    }
    match compile_globs(&patterns) {
        Ok(_) => Ok(all),
        Err(error) => Err(requirement_error(format_args!("contain valid globs: {error}"))),
    }
}

/// Renders the severities of one rule as JSON, with the same structure as in a file.
pub(super) fn severities_to_json(severities: &[RuleSeverity]) -> Json {
    match severities {
        [RuleSeverity { paths, severity }] if paths.is_empty() => json!(severity),
        severities => json!(severities),
    }
}

/// Returns the JSON Schema of one rule's severities.
pub(crate) fn schema_of_severities() -> Json {
    let severity = json!({ "enum": Severity::ALL.map(Severity::as_str) });
    let entry = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["severity"],
        "properties": {
            "paths": { "type": "array", "items": { "type": "string" } },
            "severity": severity
        }
    });
    let entries = json!({ "type": "array", "minItems": 1, "maxItems": MAX_SEVERITIES, "items": entry });
    json!({ "anyOf": [severity, entry, entries] })
}

/// Parses the severities of rules from a variable, which contains a JSON object.
pub(super) fn parse_severities(text: &str) -> Result<BTreeMap<String, Vec<RuleSeverity>>, ConfigValueError> {
    let given: BTreeMap<String, Json> =
        serde_json::from_str(text).map_err(|_| requirement_error(severity_table_requirement()))?;
    let of = |(rule, value): (String, Json)| match severities_from_json(&rule, &value) {
        Ok(severities) => Ok((rule, severities)),
        Err(_) => Err(requirement_error(severity_table_requirement())),
    };
    given.into_iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::ConfigValue;
    use super::*;

    #[test]
    fn a_rule_has_two_parts_of_letters_and_signs() {
        let all = ["core/rust-dbg", "ruff/E501", "eslint/typescript-eslint.no-shadow"];
        assert!(all.iter().all(|rule| is_rule_id(rule)));
        for wrong in
            ["", "core", "core/", "/x", "a/b/c", "core/a b", "core/*", &format!("core/{}", "x".repeat(200))]
        {
            assert!(!is_rule_id(wrong), "{wrong}");
        }
    }

    #[test]
    fn severities_of_a_variable_are_read_and_shown() {
        let read = |text: &str| ConfigValue::from_text(ValueKind::RuleSeverities, text, Path::new("/"));
        let value = read(r#"{"ruff/E501": "P2", "core/x": "P0"}"#).unwrap();
        assert_eq!(value.to_string(), r#"{ "core/x" = "P0", "ruff/E501" = "P2" }"#);
        assert_eq!(value.to_json().to_string(), r#"{"core/x":"P0","ruff/E501":"P2"}"#);
        assert_eq!(read("").unwrap().to_string(), "{}");
        let by_path = r#"{"core/x":[{"paths":["tests/**"],"severity":"P2"},{"severity":"P0"}]}"#;
        assert_eq!(read(by_path).unwrap().to_json().to_string(), by_path);
        let toml = r#"{ "core/x" = [{ paths = ["tests/**"], severity = "P2" }, { severity = "P0" }] }"#;
        assert_eq!(read(by_path).unwrap().to_string(), toml);
        assert_eq!(read(r#"{"core/x": {"severity": "P1"}}"#), read(r#"{"core/x": "P1"}"#));
        for wrong in [
            "core/x=P0",
            "[]",
            r#"{"core/x": 1}"#,
            r#"{"core/x": "P3"}"#,
            r#"{"x": "P1"}"#,
            r#"{"core/x": []}"#,
            r#"{"core/x": {"paths": ["a"]}}"#,
            r#"{"core/x": {"paths": ["a["], "severity": "P1"}}"#,
            r#"{"core/x": {"path": ["a"], "severity": "P1"}}"#,
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
