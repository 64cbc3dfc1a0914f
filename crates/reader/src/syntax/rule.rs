//! Compiles an ast-grep rule for each of its languages.

use std::fmt;

use ast_grep_config::{GlobalRules, RuleConfig, SerializableRuleConfig};
use ast_grep_language::SupportLang;
use memchr::memmem::Finder;
use serde::de::DeserializeOwned;

use super::SourceLanguage;

/// Minimum length, in bytes, of the word that `SyntaxCheck::may_match` searches for. Shorter words are in
/// nearly every file.
const MIN_WORD_BYTES: usize = 3;

/// Error in a rule's YAML.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct RuleSyntaxError {
    /// Line and column, both from 1.
    pub(crate) line: usize,
    pub(crate) column: usize,
    /// Description of the error, in one line.
    pub(crate) message: String,
}

/// Rule, compiled for each of its languages.
pub(crate) struct SyntaxCheck {
    /// True if the rule contains `$$$`. ast-grep tries `$$$` against every child of a node in turn.
    pub(crate) has_ellipsis: bool,
    /// Word that every matching file contains.
    required_word: Option<Finder<'static>>,
    compiled_rules: Vec<(&'static SourceLanguage, RuleConfig<SupportLang>)>,
}

impl fmt::Debug for SyntaxCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.languages()).finish()
    }
}

impl SyntaxCheck {
    /// Compiles a rule for these languages. The caller must have checked that the rule's own `language` is
    /// supported.
    pub(crate) fn parse(text: &str, languages: &[&'static SourceLanguage]) -> Result<Self, RuleSyntaxError> {
        let written: SerializableRuleConfig<SupportLang> = from_yaml(text).map_err(|mut wrong| {
            // The parser reports an unknown top-level key only after it has read all keys, so the reported
            // position is wrong.
            if let Some(key) =
                wrong.message.strip_prefix("unknown field `").and_then(|rest| rest.split('`').next())
                && let Some((line, column)) = find_section(text, key)
            {
                (wrong.line, wrong.column) = (line, column);
            }
            wrong
        })?;
        let compile = |language: &&'static SourceLanguage| {
            let mut rule = written.clone();
            rule.language = language.grammar;
            RuleConfig::try_from(rule, &GlobalRules::default())
                .map(|config| (*language, config))
                .map_err(|error| rule_error(text, &error, language))
        };
        let compiled = languages.iter().map(compile).collect::<Result<_, _>>()?;
        // The rule's own pattern: every match of the rule matches it. A
        // pattern that is an object may have options that relax the matching.
        let pattern = serde_json::to_value(&written.rule.pattern).ok();
        let word = pattern.as_ref().and_then(serde_json::Value::as_str).and_then(required_word);
        let word = word.map(|word| Finder::new(word).into_owned());
        Ok(Self { has_ellipsis: text.contains("$$$"), required_word: word, compiled_rules: compiled })
    }

    /// Returns true if the rule may match the text: the text contains the required word, or the rule has
    /// none. If the function returns false, the rule cannot match the text.
    pub(crate) fn may_match(&self, text: &[u8]) -> bool {
        self.required_word.as_ref().is_none_or(|word| word.find(text).is_some())
    }

    /// Returns the rule compiled for this language, if the rule applies to the language.
    pub(crate) fn compiled_for(&self, language: &SourceLanguage) -> Option<&RuleConfig<SupportLang>> {
        self.compiled_rules.iter().find(|(known, _)| *known == language).map(|(_, config)| config)
    }

    /// Returns true if the rule proposes a fix.
    pub(crate) fn has_fix(&self) -> bool {
        self.compiled_rules.iter().any(|(_, config)| !config.fixer.is_empty())
    }

    /// Returns the names of the rule's languages.
    pub(crate) fn languages(&self) -> impl Iterator<Item = &'static str> {
        self.compiled_rules.iter().map(|(language, _)| language.name())
    }
}

/// Returns the longest name in a pattern that is not a metavariable. Every match contains this name. Returns
/// `None` for a pattern with quotes, slashes or `#`, because a match may contain other quotes or comments.
fn required_word(code: &str) -> Option<&str> {
    if code.contains(['"', '\'', '`', '#', '/', '\\']) {
        return None;
    }
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$';
    let names = code.split(|c| !is_name(c)).filter(|name| !name.contains('$'));
    names.filter(|name| name.len() >= MIN_WORD_BYTES).max_by_key(|name| name.len())
}

/// Parses YAML as ast-grep does.
pub(crate) fn from_yaml<T: DeserializeOwned>(text: &str) -> Result<T, RuleSyntaxError> {
    ast_grep_config::from_str(text).map_err(|error: serde_saphyr::Error| {
        let at = error.location();
        let line = at.map_or(1, |at| at.line());
        let column = at.map_or(1, |at| at.column());
        // The excerpt and the position are removed from the message, because `line` and `column` contain the
        // position.
        let message = error.without_snippet().to_string();
        let message = message.lines().next().unwrap_or_default();
        let message = message.strip_prefix("error: ").unwrap_or(message);
        let message = message.strip_prefix(&format!("line {line} column {column}: ")).unwrap_or(message);
        let message = message.strip_suffix(&format!(" at line {line}, column {column}")).unwrap_or(message);
        RuleSyntaxError { line: to_usize(line), column: to_usize(column), message: message.to_owned() }
    })
}

fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Converts an error of ast-grep to a message of one line. The error contains no position, so the position is
/// estimated.
fn rule_error(text: &str, error: &dyn std::error::Error, language: &SourceLanguage) -> RuleSyntaxError {
    let mut causes = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        causes.push(error.to_string());
        cause = error.source();
    }
    let last = causes.last().map(String::as_str).unwrap_or_default();
    let words: Vec<&str> = last.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let (line, column) = error_position(text, &causes);
    RuleSyntaxError {
        line,
        column,
        message: format!("the text is not a valid rule for {}: {}", language.name(), words.join(" ")),
    }
}

/// Returns the position of the last section or value that the error messages quote in backticks. If no quoted
/// text is found in the rule, returns the position of `rule:`.
fn error_position(text: &str, causes: &[String]) -> (usize, usize) {
    let quoted = causes.iter().rev().flat_map(|cause| {
        let words: Vec<&str> = cause.split('`').collect();
        words.into_iter().skip(1).step_by(2).collect::<Vec<_>>().into_iter().rev()
    });
    let mut words = quoted.filter(|word| !word.is_empty());
    words
        .find_map(|word| find_section(text, word).or_else(|| find_value(text, word)))
        .or_else(|| find_section(text, "rule"))
        .unwrap_or((1, 1))
}

/// Returns the position of the line that begins with a key.
fn find_section(text: &str, key: &str) -> Option<(usize, usize)> {
    let begins = |line: &str| line.strip_prefix(key).is_some_and(|rest| rest.starts_with(':'));
    text.lines().position(begins).map(|line| (line + 1, 1))
}

/// Returns the position of the first value that begins with this word.
fn find_value(text: &str, word: &str) -> Option<(usize, usize)> {
    let begins = format!(": {word}");
    text.lines().enumerate().find_map(|(number, line)| {
        let before = line.get(..line.find(&begins)?)?;
        Some((number + 1, before.chars().count() + 1 + ": ".len()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_s_word_is_in_every_match_or_there_is_none() {
        for (rule, expected) in [
            ("pattern: eval($A)", Some("eval")),
            ("pattern: subprocess.$F($$$A, shell=True)", Some("subprocess")),
            ("pattern: $FUNCTION($ARGUMENT)", None),
            ("pattern: $X == y", None),
            ("pattern: f('name')", None),
            ("any: [{ pattern: eval($A) }, { pattern: exec($A) }]", None),
            ("not: { pattern: eval($A) }\n  kind: call", None),
            ("pattern: { context: eval($A), strictness: signature }", None),
        ] {
            let text = format!("language: python\nrule:\n  {rule}\n");
            let check = SyntaxCheck::parse(&text, &[SourceLanguage::from_name("python").unwrap()]).unwrap();
            let word =
                check.required_word.as_ref().map(|word| String::from_utf8_lossy(word.needle()).into_owned());
            assert_eq!(word.as_deref(), expected, "{rule}");
        }
    }
}
