//! Rules' names, and the severity that each is to have.

use std::collections::BTreeMap;

use truing_core::finding::Severity;

use super::{Kind, Wrong, must};

/// The most characters of a rule's name.
const MAX_NAME: usize = 200;

/// Is it `PACK/RULE` or `TOOL/RULE`, as findings name their rule?
pub(super) fn is_rule(text: &str) -> bool {
    let is_part = |part: &str| {
        let is_letter = |letter: u8| letter.is_ascii_alphanumeric() || matches!(letter, b'-' | b'_' | b'.');
        !part.is_empty() && part.bytes().all(is_letter)
    };
    text.len() <= MAX_NAME && text.split_once('/').is_some_and(|(pack, rule)| is_part(pack) && is_part(rule))
}

/// The words for a key that is to hold severities, after `must`.
pub(super) fn no_severities() -> String {
    let sample = Kind::Severities.sample();
    format!("be a table of rules and severities, such as {sample} (in a variable: a JSON object)")
}

/// The severity of one rule.
pub(crate) fn severity_of(rule: &str, severity: Option<&str>) -> Result<Severity, Wrong> {
    if !is_rule(rule) {
        return Err(must("be named as a finding names its rule, `PACK/RULE`"));
    }
    let known = Severity::ALL.into_iter().find(|known| Some(known.as_str()) == severity);
    known.ok_or_else(|| must("be \"P0\", \"P1\" or \"P2\""))
}

/// Those of a variable: a JSON object.
pub(super) fn severities(text: &str) -> Result<BTreeMap<String, Severity>, Wrong> {
    let given: BTreeMap<String, String> = serde_json::from_str(text).map_err(|_| must(no_severities()))?;
    let of = |(rule, severity): (String, String)| match severity_of(&rule, Some(&severity)) {
        Ok(severity) => Ok((rule, severity)),
        Err(_) => Err(must(no_severities())),
    };
    given.into_iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::Value;
    use super::*;

    #[test]
    fn a_rule_has_two_parts_of_letters_and_signs() {
        let all = ["core/rust-dbg", "ruff/E501", "eslint/typescript-eslint.no-shadow"];
        assert!(all.iter().all(|rule| is_rule(rule)));
        for wrong in
            ["", "core", "core/", "/x", "a/b/c", "core/a b", "core/*", &format!("core/{}", "x".repeat(200))]
        {
            assert!(!is_rule(wrong), "{wrong}");
        }
    }

    #[test]
    fn severities_of_a_variable_are_read_and_shown() {
        let read = |text: &str| Value::from_text(Kind::Severities, text, Path::new("/"));
        let value = read(r#"{"ruff/E501": "P2", "core/x": "P0"}"#).unwrap();
        assert_eq!(value.to_string(), r#"{ "core/x" = "P0", "ruff/E501" = "P2" }"#);
        assert_eq!(value.to_json().to_string(), r#"{"core/x":"P0","ruff/E501":"P2"}"#);
        assert_eq!(read("").unwrap().to_string(), "{}");
        for wrong in ["core/x=P0", "[]", r#"{"core/x": 1}"#, r#"{"core/x": "P3"}"#, r#"{"x": "P1"}"#] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
