//! Validates programs and commands in the configuration.

use std::path::Path;

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

pub(super) fn commands_requirement() -> String {
    format!("be a list of commands, each a list of words, such as {}", ValueKind::Commands.sample())
}

/// Checks that each command names a program and contains no NUL character, which the system would not accept.
pub(super) fn parse_commands(commands: Vec<Vec<&str>>) -> Result<ConfigValue, ConfigValueError> {
    let is_one = |words: &Vec<&str>| {
        words.first().is_some_and(|name| !name.is_empty()) && !words.concat().contains('\0')
    };
    match commands.iter().all(is_one) {
        true => Ok(ConfigValue::Commands(
            commands.into_iter().map(|words| words.into_iter().map(str::to_owned).collect()).collect(),
        )),
        false => Err(requirement_error(commands_requirement())),
    }
}
