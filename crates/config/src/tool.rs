//! Configuration of tools, which are linters that reviews run.

use std::collections::BTreeSet;
use std::time::Duration;

use truing_core::linter::is_known;

use super::TypedSettings;
use super::problem::{ConfigError, ConfigProblem, ValueOrigin};
use super::value::ConfigValue;

/// The linters that reviews run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ToolSelection {
    /// No linters at all.
    #[default]
    Off,
    /// Known linters that are installed and that the repository configures, and all linters in Truing's own
    /// configuration.
    Auto,
    /// As `Auto`, and installed known linters with an accepted set of rules for kinds of files that no linter
    /// of the repository checks.
    Suggested,
}

impl ToolSelection {
    /// Returns the selection that a value of `review.tools` denotes.
    pub(super) fn from_word(word: &str) -> Option<Self> {
        match word {
            "off" => Some(Self::Off),
            "auto" => Some(Self::Auto),
            "suggested" => Some(Self::Suggested),
            _ => None,
        }
    }
}

/// Section `tool.NAME`, or a `[[tool]]`. If a field is `None`, the built-in value of the known tool with this
/// name applies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ToolConfig {
    /// Name of the tool. A tool that is not known must have a command and a format.
    pub name: String,
    /// Program and its arguments; the changed files replace `{files}`.
    pub command: Option<Vec<String>>,
    /// Name of the tool's output format; one of [`FORMATS`](truing_core::linter::FORMATS).
    pub format: Option<String>,
    /// Globs of the files that the tool checks; never an empty list.
    /// [`compile_globs`](super::value::compile_globs) compiles the globs. For an unknown tool, `None` means
    /// all files.
    pub paths: Option<Vec<String>>,
    /// Condition that decides which reviews run the tool.
    pub condition: ToolCondition,
    /// Exit codes of a successful run; never an empty list. For a tool that is not known, `None` means 0 and
    /// 1.
    pub success_exit_codes: Option<Vec<i32>>,
    /// Timeout of a run.
    pub timeout: Duration,
    /// Selection of the tool's findings that are reported.
    pub scope: ToolScope,
}

/// The condition that decides which reviews run a tool.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ToolCondition {
    /// Reviews in which a changed file matches the tool's globs.
    FilesChanged,
    /// All reviews, regardless of the changed files.
    Always,
    /// No review: the tool is disabled.
    Never,
}

/// The selection of a tool's findings that are reported.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ToolScope {
    /// Findings on changed lines.
    Lines,
    /// Findings anywhere in changed files.
    Files,
}

/// Reads all sections `tool.NAME`, in the order of their names.
pub(super) fn read_tools(
    settings: &TypedSettings<'_>,
    names: Option<&BTreeSet<String>>,
) -> Result<Vec<ToolConfig>, ConfigError> {
    names.into_iter().flatten().map(|name| read_tool(settings, name)).collect()
}

fn read_tool(settings: &TypedSettings<'_>, name: &str) -> Result<ToolConfig, ConfigError> {
    let path = |key: &str| format!("tool.{name}.{key}");
    let items = |value: &ConfigValue| {
        if let ConfigValue::StringList(items) = value { Some(items.clone()) } else { None }
    };
    let list = |key: &str| settings.get_if_any(&path(key), items);
    let command = list("command")?.filter(|words| !words.is_empty());
    let format = settings.text_if_any(&path("format"))?;
    let missing = match (&command, &format) {
        _ if is_known(name) => None,
        (None, None) => Some("a `command` and a `format`"),
        (None, Some(_)) => Some("a `command`"),
        (Some(_), None) => Some("a `format`"),
        (Some(_), Some(_)) => None,
    };
    if let Some(missing) = missing {
        let origin = settings.first_set_origin(&path("")).unwrap_or(ValueOrigin::Default);
        return Err(ConfigProblem::ToolUnknown { origin, name: name.to_owned(), missing }.into());
    }
    let paths = list("paths")?;
    if paths.as_ref().is_some_and(Vec::is_empty) {
        let origin = settings.setting(&path("paths"))?.origin.clone();
        let wrong = "must contain at least one glob; `when = \"never\"` disables a tool".to_owned();
        return Err(ConfigProblem::BadValue { origin, key: path("paths"), requirement: wrong }.into());
    }
    Ok(ToolConfig {
        name: name.to_owned(),
        command,
        format,
        paths,
        condition: settings.choice(&path("when"), |word| match word {
            "changed" => Some(ToolCondition::FilesChanged),
            "always" => Some(ToolCondition::Always),
            "never" => Some(ToolCondition::Never),
            _ => None,
        })?,
        success_exit_codes: settings.get_if_any(&path("exit"), |value| {
            if let ConfigValue::ExitCodes(codes) = value { Some(codes.clone()) } else { None }
        })?,
        timeout: settings.duration(&path("timeout"))?,
        scope: settings.choice(&path("scope"), |word| match word {
            "lines" => Some(ToolScope::Lines),
            "files" => Some(ToolScope::Files),
            _ => None,
        })?,
    })
}

#[cfg(test)]
mod tests;
