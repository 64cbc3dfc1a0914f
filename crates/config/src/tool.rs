//! Tools: linters that reviews run, and what is said of each.

use std::collections::BTreeSet;
use std::time::Duration;

use truing_core::linter::is_known;

use super::TypedSettings;
use super::problem::{ConfigError, ConfigProblem, ValueOrigin};
use super::value::ConfigValue;

/// The linters that reviews run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ToolSelection {
    /// None.
    #[default]
    Off,
    /// Known ones that the repository configures and that are installed, and all that are configured here.
    Auto,
}

impl ToolSelection {
    /// The one that a word of `review.tools` means.
    pub(super) fn named(word: &str) -> Option<Self> {
        match word {
            "off" => Some(Self::Off),
            "auto" => Some(Self::Auto),
            _ => None,
        }
    }
}

/// Section `tool.NAME`, or a `[[tool]]`. A field without a value is as the known tool of this name has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ToolConfig {
    /// Its name. One that is not of a known tool has a command and a format.
    pub name: String,
    /// The program and its arguments; `{files}` stands for the changed files.
    pub command: Option<Vec<String>>,
    /// The name of the format of what it prints; one of [`FORMATS`](truing_core::linter::FORMATS).
    pub format: Option<String>,
    /// Globs of the files that it looks at, which [`globs`](super::value::globs) compiles; never an empty list. None,
    /// and no known tool: all files.
    pub paths: Option<Vec<String>>,
    /// The reviews in which it runs.
    pub when: ToolCondition,
    /// The exit codes of a run that went well; never an empty list. None, and no known tool: 0 and 1.
    pub exit: Option<Vec<i32>>,
    /// The time that a run may take.
    pub timeout: Duration,
    /// The findings that are told.
    pub scope: ToolScope,
}

/// The reviews in which a tool runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ToolCondition {
    /// Those in which a changed file is one of its files.
    Changed,
    /// Each one.
    Always,
    /// None: it is switched off.
    Never,
}

/// The findings of a tool that are told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ToolScope {
    /// Those on changed lines.
    Lines,
    /// Those anywhere in changed files.
    Files,
}

/// All sections `tool.NAME`, in the order of their names.
pub(super) fn all(
    settings: &TypedSettings<'_>,
    names: Option<&BTreeSet<String>>,
) -> Result<Vec<ToolConfig>, ConfigError> {
    names.into_iter().flatten().map(|name| of(settings, name)).collect()
}

fn of(settings: &TypedSettings<'_>, name: &str) -> Result<ToolConfig, ConfigError> {
    let path = |key: &str| format!("tool.{name}.{key}");
    let items =
        |value: &ConfigValue| if let ConfigValue::List(items) = value { Some(items.clone()) } else { None };
    let list = |key: &str| settings.if_any(&path(key), items);
    let command = list("command")?.filter(|words| !words.is_empty());
    let format = settings.name_if_any(&path("format"))?;
    let missing = match (&command, &format) {
        _ if is_known(name) => None,
        (None, None) => Some("a `command` and a `format`"),
        (None, Some(_)) => Some("a `command`"),
        (Some(_), None) => Some("a `format`"),
        (Some(_), Some(_)) => None,
    };
    if let Some(missing) = missing {
        let at = settings.first_set(&path("")).unwrap_or(ValueOrigin::Default);
        return Err(ConfigProblem::ToolUnknown { at, name: name.to_owned(), missing }.into());
    }
    let paths = list("paths")?;
    if paths.as_ref().is_some_and(Vec::is_empty) {
        let at = settings.setting(&path("paths"))?.origin.clone();
        let wrong = "must hold one glob at least; `when = \"never\"` switches a tool off".to_owned();
        return Err(ConfigProblem::BadValue { at, key: path("paths"), wrong }.into());
    }
    Ok(ToolConfig {
        name: name.to_owned(),
        command,
        format,
        paths,
        when: settings.word(&path("when"), |word| match word {
            "changed" => Some(ToolCondition::Changed),
            "always" => Some(ToolCondition::Always),
            "never" => Some(ToolCondition::Never),
            _ => None,
        })?,
        exit: settings.if_any(&path("exit"), |value| {
            if let ConfigValue::Codes(codes) = value { Some(codes.clone()) } else { None }
        })?,
        timeout: settings.duration(&path("timeout"))?,
        scope: settings.word(&path("scope"), |word| match word {
            "lines" => Some(ToolScope::Lines),
            "files" => Some(ToolScope::Files),
            _ => None,
        })?,
    })
}

#[cfg(test)]
mod tests;
