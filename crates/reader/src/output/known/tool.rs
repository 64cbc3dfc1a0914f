//! Tools as `tools.toml` describes them. Its head says what each field means.

use std::collections::BTreeMap;

use serde::Deserialize;
use truing_core::finding::{DefectCategory, Severity};

use crate::output::diagnostic::DiagnosticLevel;
use crate::output::known::exclude::ExcludeRule;
use crate::output::known::sign::{MAX_BYTES, ToolSign, in_toml};

/// Stands for the changed files in a command.
pub const FILES: &str = "{files}";
/// Stands in a command for the file or folder that a tool was recognised by.
pub const SIGN: &str = "{sign}";
/// Stands for the rule's name in the address of a page.
pub const RULE: &str = "{rule}";
/// Stands for the last part of the rule's name in the address of a page.
pub const LAST: &str = "{last}";

/// Formats of JSON of which nothing is printed where a run has found nothing.
const SILENT: &[&str] = &["ast-grep-json", "detect-secrets-json", "mypy-json"];

/// A tool: how a repository shows that it uses it, how it is run, and what its diagnostics are worth.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownTool {
    /// The name, as a configuration writes it.
    pub name: String,
    /// Other names by which its outputs call it.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// The languages that it looks at, for people.
    pub languages: Vec<String>,
    /// Globs of the files that it looks at.
    pub paths: Vec<String>,
    /// Programs that a file without an ending may name in its first line to be looked at, too, without a version at their end.
    #[serde(default)]
    pub shebang: Vec<String>,
    /// Signs that a repository uses it; each one is enough, and the first one found counts.
    pub recognised: Vec<ToolSign>,
    /// The name of the program.
    pub program: String,
    /// Where a project installs the program, from the root of the tree; tried before the search path.
    pub installed: Vec<String>,
    /// A command that installs it for a person; none: that depends on the system.
    #[serde(default)]
    pub install: Option<String>,
    /// The arguments, with [`FILES`] and [`SIGN`] in the place of others.
    pub command: Vec<String>,
    /// Options that it gets where the file that it was recognised by shows a sign.
    #[serde(default)]
    pub options: Vec<SignOptions>,
    /// A table of options that it does not read of its own accord, and gets.
    #[serde(default)]
    pub table: Option<OptionTable>,
    /// Signs that the configuration itself chooses the files, each one enough, in the file that the tool was recognised by.
    #[serde(default)]
    pub selects: Vec<ToolSign>,
    /// The arguments in the place of `command` where the configuration chooses the files.
    #[serde(default)]
    pub whole: Vec<String>,
    /// Places of configuration that say which files are left out, where it looks at each one that it is given all the same. The file
    /// that comes first counts.
    #[serde(default)]
    pub excludes: Vec<ExcludeRule>,
    /// Ids of hooks of pre-commit that run it, beside those that it is recognised by.
    #[serde(default)]
    pub hooks: Vec<String>,
    /// The options that are taken over from the arguments of a hook; one with a value ends with `=`.
    #[serde(default)]
    pub keeps: Vec<String>,
    /// The arguments by which it tells its version.
    pub version: Vec<String>,
    /// The oldest version that knows the arguments; none: any does.
    #[serde(default)]
    pub oldest: Option<String>,
    /// The name of the format of what it prints.
    pub format: String,
    /// The name of a format of many tools in which it prints lines, if that is asked for.
    #[serde(default)]
    pub lines: String,
    /// The stream that it prints that to.
    #[serde(default)]
    pub stream: OutputStream,
    /// The exit codes of a run that went well, whatever it found.
    pub exit: Vec<i32>,
    /// The severity of each level.
    pub levels: ToolSeverities,
    /// The severity of diagnostics, by the beginning of the rule's name.
    #[serde(default)]
    pub severity: BTreeMap<String, Severity>,
    /// The kind of defect, by the beginning of the rule's name.
    pub category: BTreeMap<String, DefectCategory>,
    /// The page of a rule, by the beginning of the rule's name.
    #[serde(default)]
    pub page: BTreeMap<String, String>,
    /// May only changed files be passed? Otherwise it looks at the whole project.
    #[serde(default)]
    pub per_file: bool,
    /// Names of the files that configure it, in the folder of a file or one above, where its findings on a file come from that file
    /// and its configuration alone; none: it looks at other files, too.
    #[serde(default)]
    pub alone: Vec<String>,
    /// Folders of which the names of the files count then, beside those of the file's own folder and the ones above; none: no names
    /// count.
    #[serde(default)]
    pub beside: Vec<String>,
    /// An expression; a file in which it is found, or in whose configuration it is, is looked at with others all the same.
    #[serde(default)]
    pub together: Option<String>,
    /// Is its configuration code, or does it load code that the repository names?
    #[serde(default)]
    pub code_configuration: bool,
    /// Globs of files that configure it by code, besides those by which it is recognised.
    #[serde(default)]
    pub configures: Vec<String>,
    /// Does a run fetch anything?
    #[serde(default)]
    pub network: bool,
    /// Does it need the project's dependencies?
    #[serde(default)]
    pub needs_setup: bool,
    /// Programs that it starts if they are there.
    #[serde(default)]
    pub starts: Vec<String>,
    /// Variables that name folders in which it keeps what it builds, for its next run.
    #[serde(default)]
    pub builds: Vec<String>,
    /// Folders with what is fetched for a project, in a person's home folder.
    #[serde(default)]
    pub fetched: Vec<FetchedFolder>,
    /// The command that fetches that, for people.
    #[serde(default)]
    pub fetch: Option<String>,
    /// Words of its errors, each of which says that this is not there.
    #[serde(default)]
    pub unfetched: Vec<String>,
    /// Rules about permissions of files, which a copy of a commit does not have.
    #[serde(default)]
    pub of_permissions: Vec<String>,
    /// Names that the same rule has in other tools, by the beginning of its name here.
    #[serde(default)]
    pub same: BTreeMap<String, String>,
    /// Rules of Truing that it knows better, as it is without a configuration: they are off on files that it looks at.
    #[serde(default)]
    pub replaces: Vec<String>,
    /// Formats in which its fixes are also those that it does not call safe, without a mark.
    #[serde(default)]
    pub unsafe_fixes_in: Vec<String>,
    /// Its own comment that suppresses a rule, for people.
    pub ignore_comment: String,
}

/// Options that a tool gets where a sign is shown, since it does not read the file of its own accord.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignOptions {
    /// The sign in the repository.
    pub shown: ToolSign,
    /// The options, with [`SIGN`] in the place of the file.
    pub args: Vec<String>,
}

/// A table of a TOML file whose keys are options, with `_` or `-` in their names.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptionTable {
    /// The file, from the root of the tree.
    pub file: String,
    /// The name of the table.
    pub name: String,
}

/// A folder with what was fetched for projects, in a person's home, such as the modules of Go.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FetchedFolder {
    /// The variable that names the folder.
    pub variable: String,
    /// The folder, from the home folder, where that variable is not set.
    pub folder: String,
    /// The parts of it that a run reads: not the file with a person's passwords that may be beside them.
    pub parts: Vec<String>,
}

/// The streams of a program.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputStream {
    /// Standard output.
    #[default]
    Stdout,
    /// Standard error.
    Stderr,
    /// Standard output, else standard error: it depends on the version.
    Either,
}

/// The severity of each level of a tool.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolSeverities {
    /// An error.
    pub error: Severity,
    /// A warning.
    pub warning: Severity,
    /// A note.
    pub note: Severity,
}

impl KnownTool {
    /// The first sign that a repository shows, and its file or folder.
    pub fn sign(
        &self,
        tracked: &[&str],
        read: &dyn Fn(&str) -> Option<Vec<u8>>,
    ) -> Option<(&ToolSign, String)> {
        self.recognised.iter().find_map(|sign| Some((sign, sign.found(tracked, read)?)))
    }

    /// The options that it gets for the file that it was recognised by.
    pub fn options(&self, sign: &str, read: &dyn Fn(&str) -> Option<Vec<u8>>) -> Vec<String> {
        let given = self.options.iter().find(|given| given.shown.found(&[sign], read).is_some());
        given.map(|given| arguments(&given.args, &[], &[], sign)).unwrap_or_default()
    }

    /// The options of the table that it does not read of its own accord: those with values that hooks may give it, too.
    pub fn table_options(&self, read: &dyn Fn(&str) -> Option<Vec<u8>>) -> Vec<String> {
        let table = self.table.as_ref().and_then(|table| {
            let bytes = read(&table.file).filter(|bytes| bytes.len() <= MAX_BYTES)?;
            in_toml(&String::from_utf8_lossy(&bytes), &table.name)
        });
        let Some(toml::Value::Table(table)) = table else { return Vec::new() };
        let option = |(name, value): (String, toml::Value)| {
            let option = format!("--{}=", name.replace('_', "-"));
            self.keeps.contains(&option).then(|| value_of(&value))?.map(|value| option + &value)
        };
        table.into_iter().filter_map(option).collect()
    }

    /// Does the configuration that it was recognised by choose the files itself? Its other configuration does not count then.
    pub fn chooses_files(&self, sign: &str, read: &dyn Fn(&str) -> Option<Vec<u8>>) -> bool {
        self.selects.iter().any(|chooses| chooses.found(&[sign], read).is_some())
    }

    /// The ids of the hooks of pre-commit that run it.
    pub fn hook_ids(&self) -> Vec<&str> {
        let recognised = self.recognised.iter().filter_map(ToolSign::hook);
        recognised.chain(self.hooks.iter().map(String::as_str)).collect()
    }

    /// The severity of a diagnostic of this rule and level.
    pub fn severity(&self, rule: Option<&str>, level: DiagnosticLevel) -> Severity {
        longest(&self.severity, rule).copied().unwrap_or(match level {
            DiagnosticLevel::Error => self.levels.error,
            DiagnosticLevel::Warning => self.levels.warning,
            DiagnosticLevel::Note => self.levels.note,
        })
    }

    /// The kind of defect that this rule finds.
    pub fn category(&self, rule: Option<&str>) -> DefectCategory {
        longest(&self.category, rule).copied().unwrap_or(DefectCategory::J)
    }

    /// The name by which tools that know the same rule agree on it.
    pub fn meaning(&self, rule: &str) -> String {
        let begins = self
            .same
            .iter()
            .filter_map(|(own, other)| Some((own.len(), other, rule.strip_prefix(own.as_str())?)));
        let longest = begins.max_by_key(|(length, ..)| *length);
        longest.map_or_else(|| rule.to_owned(), |(_, other, rest)| format!("{other}{rest}"))
    }

    /// The page of a rule, if the table knows one and the rule's name can stand in an address.
    pub fn page(&self, rule: &str) -> Option<String> {
        let page = longest(&self.page, Some(rule))?;
        let last = rule.rsplit(['/', ':']).next().unwrap_or(rule);
        let is_plain = |text: &str| {
            !text.is_empty()
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        };
        let fits = |mark: &str, text: &str| !page.contains(mark) || is_plain(text);
        (fits(RULE, rule) && fits(LAST, last)).then(|| page.replace(RULE, rule).replace(LAST, last))
    }
}

/// Does a run print nothing in this format where it has found nothing? A text may be of anything; other JSON is at least an empty list.
pub fn is_silent(format: &str) -> bool {
    !format.ends_with("json") || SILENT.contains(&format)
}

/// Arguments with these files in the place of [`FILES`], and this path in the place of [`SIGN`]. A file whose name begins with a dash
/// is written so that no program takes it for an option. `more` comes before the first file and before a `--`, else at the end.
pub fn arguments(template: &[String], more: &[String], files: &[&str], sign: &str) -> Vec<String> {
    // Programs take a dash for an option, and some take `@` for a file of arguments.
    let path = |path: &str| if path.starts_with(['-', '@']) { format!("./{path}") } else { path.to_owned() };
    let part = |part: &String| match part.as_str() {
        FILES => files.iter().map(|file| path(file)).collect(),
        SIGN => vec![path(sign)],
        other => vec![other.to_owned()],
    };
    let place = template.iter().position(|part| part == FILES || part == "--").unwrap_or(template.len());
    let (before, after) = template.split_at_checked(place).unwrap_or((template, &[]));
    let more = more.iter().cloned();
    before.iter().flat_map(part).chain(more).chain(after.iter().flat_map(part)).collect()
}

/// A value as an option has it, in one line; none, if an option cannot have it.
fn value_of(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.split_whitespace().collect::<Vec<_>>().join(" ")),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Array(all) => Some(all.iter().map(value_of).collect::<Option<Vec<_>>>()?.join(",")),
        toml::Value::Boolean(_)
        | toml::Value::Float(_)
        | toml::Value::Datetime(_)
        | toml::Value::Table(_) => None,
    }
}

/// The value of the longest key that a rule's name begins with; the empty key is that of any rule, and of none.
fn longest<'a, T>(table: &'a BTreeMap<String, T>, rule: Option<&str>) -> Option<&'a T> {
    let rule = rule.unwrap_or_default();
    let begins = table.iter().filter(|(key, _)| rule.starts_with(key.as_str()));
    begins.max_by_key(|(key, _)| key.len()).map(|(_, value)| value)
}
