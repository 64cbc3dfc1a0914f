//! Validates programs and commands in the configuration.

use std::path::Path;

use serde_json::Value;
use toml::de::DeValue;

use super::{ConfigValue, ConfigValueError, ValueKind, requirement_error};

/// Checks a program's name or path. A relative path is relative to `folder`.
pub(super) fn parse_program(text: &str, folder: &Path) -> Result<String, ConfigValueError> {
    if text.is_empty() || text.contains('\0') {
        return Err(requirement_error("be the path or the name of a program"));
    }
    if !text.contains('/') {
        return Ok(text.to_owned());
    }
    match folder.join(text).to_str() {
        Some(path) => Ok(path.to_owned()),
        None => Err(requirement_error("be a path in UTF-8, or the name of a program")),
    }
}

/// Returns true if the value names a program by a relative path. In a variable, such a path would be relative
/// to the current folder, which may be a repository of another author.
pub(crate) fn is_relative_program(kind: ValueKind, text: &str) -> bool {
    let name = if kind == ValueKind::Program {
        text.to_owned()
    } else if kind == ValueKind::Command {
        let words = serde_json::from_str::<Vec<String>>(text).unwrap_or_default();
        words.into_iter().next().unwrap_or_default()
    } else {
        return false;
    };
    name.contains('/') && !name.starts_with('/')
}

pub(super) fn command_requirement() -> String {
    format!("be a command as a list of words, such as {}", ValueKind::Command.sample())
}

/// Checks a command, which may be empty. [`parse_program`] checks the command's program; the other words stay
/// unchanged.
pub(super) fn parse_command(words: Vec<&str>, folder: &Path) -> Result<ConfigValue, ConfigValueError> {
    if words.concat().contains('\0') {
        return Err(requirement_error(command_requirement()));
    }
    let Some((name, rest)) = words.split_first() else { return Ok(ConfigValue::StringList(Vec::new())) };
    let name = parse_program(name, folder).map_err(|_| requirement_error(command_requirement()))?;
    Ok(ConfigValue::StringList(
        std::iter::once(name).chain(rest.iter().map(|word| (*word).to_owned())).collect(),
    ))
}

fn commands_requirement(words: &'static [&'static str]) -> String {
    format!("be a {}, such as {}", commands_text(words), ValueKind::Commands(words).sample())
}

/// Describes a list of commands, in which each of `words` stands for a whole command.
pub(crate) fn commands_text(words: &[&str]) -> String {
    let words: String = words.iter().map(|word| format!(" or `\"{word}\"`")).collect();
    format!("list of commands, each a list of words{words}")
}

/// Returns the items of a list that contains only strings. Otherwise returns `None`.
pub(super) fn parse_string_list<'a>(value: &'a DeValue<'_>) -> Option<Vec<&'a str>> {
    value.as_array()?.iter().map(|item| item.get_ref().as_str()).collect()
}

/// Parses commands in TOML. The command for one of `words` has this word as its only word.
pub(super) fn commands_from_toml(
    words: &'static [&'static str],
    value: &DeValue<'_>,
) -> Result<ConfigValue, ConfigValueError> {
    let command = |item: &DeValue<'_>| match item.as_str() {
        Some(word) => words.contains(&word).then(|| vec![word.to_owned()]),
        None => parse_string_list(item).map(|parts| parts.into_iter().map(str::to_owned).collect()),
    };
    let all = value.as_array().map(|all| all.iter().map(|item| command(item.get_ref())).collect());
    check_commands(words, all.flatten())
}

/// Parses commands in JSON, with the same structure as in TOML.
pub(super) fn commands_from_json(
    words: &'static [&'static str],
    text: &str,
) -> Result<ConfigValue, ConfigValueError> {
    let command = |item: Value| match item {
        Value::String(word) => words.contains(&word.as_str()).then(|| vec![word]),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            serde_json::from_value(item).ok()
        }
    };
    let all = serde_json::from_str(text).ok().map(|all: Vec<Value>| all.into_iter().map(command).collect());
    check_commands(words, all.flatten())
}

/// Checks that each command names a program and contains no NUL character, which the system would not accept.
fn check_commands(
    words: &'static [&'static str],
    commands: Option<Vec<Vec<String>>>,
) -> Result<ConfigValue, ConfigValueError> {
    let is_one = |command: &Vec<String>| {
        command.first().is_some_and(|name| !name.is_empty()) && !command.concat().contains('\0')
    };
    match commands.filter(|commands| commands.iter().all(is_one)) {
        Some(commands) => Ok(ConfigValue::Commands(commands)),
        None => Err(requirement_error(commands_requirement(words))),
    }
}
