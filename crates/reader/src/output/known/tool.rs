//! Tools as described in `tools.toml`. The comment at the beginning of that file documents each field.

use std::collections::BTreeMap;

use serde::Deserialize;
use truing_core::finding::{DefectCategory, Severity};

use crate::output::diagnostic::DiagnosticLevel;
use crate::output::known::exclude::ExcludeList;
use crate::output::known::sign::{MAX_CONFIG_FILE_BYTES, ToolSign, find_toml_value};

/// Placeholder for the changed files in a command.
pub const FILES_PLACEHOLDER: &str = "{files}";
/// Placeholder in a command for the file or folder in which a sign of the tool was found.
pub const SIGN_PLACEHOLDER: &str = "{sign}";
/// Placeholder for the rule's name in the URL of a page.
pub const RULE_PLACEHOLDER: &str = "{rule}";
/// Placeholder for the last part of the rule's name in the URL of a page.
pub const RULE_LAST_PART_PLACEHOLDER: &str = "{last}";

/// JSON formats whose output is empty if a run has no findings.
const EMPTY_OUTPUT_JSON_FORMATS: &[&str] = &["ast-grep-json", "detect-secrets-json", "mypy-json"];

/// A known tool: its signs in a repository, how it is run, and the severity of its diagnostics.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownTool {
    /// Name in a configuration.
    pub name: String,
    /// Other names that the tool's outputs use for it.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Languages that the tool checks, for people.
    pub languages: Vec<String>,
    /// Globs of the files that the tool checks.
    pub paths: Vec<String>,
    /// Names of interpreters, without a version. The tool also checks files without an ending whose first
    /// line names one of these interpreters.
    #[serde(default)]
    pub shebang: Vec<String>,
    /// Signs that a repository uses the tool. One of these signs is sufficient; if several are found, the
    /// first one in this list is used.
    pub recognised: Vec<ToolSign>,
    pub program: String,
    /// Paths at which a project installs the program, relative to the root of the tree. The program is
    /// searched at these paths before it is searched in `PATH`.
    pub installed: Vec<String>,
    /// Command with which a person can install the tool; `None` if the command depends on the system.
    #[serde(default)]
    pub install: Option<String>,
    /// Arguments of the command, with [`FILES_PLACEHOLDER`] and [`SIGN_PLACEHOLDER`] as placeholders.
    pub command: Vec<String>,
    /// Options that are added if the file that is the tool's sign contains another sign.
    #[serde(default)]
    pub options: Vec<SignOptions>,
    /// A table in a configuration file that contains the tool's options. The options are passed as arguments,
    /// because the tool does not read this table itself.
    #[serde(default)]
    pub table: Option<OptionTable>,
    /// Signs that the tool's configuration selects the files to check. One of these signs is sufficient. They
    /// are searched only in the file that is the tool's sign.
    #[serde(default)]
    pub selects: Vec<ToolSign>,
    /// Arguments that replace `command` if the configuration selects the files.
    #[serde(default)]
    #[serde(rename = "whole")]
    pub project_command: Vec<String>,
    /// Lists of excluded files in configuration files. The lists are set only if the tool also checks
    /// excluded files that are passed as arguments. Only the first configuration file that contains such a
    /// list is used.
    #[serde(default)]
    pub excludes: Vec<ExcludeList>,
    /// Ids of pre-commit hooks that run the tool. The tool's signs may contain further hooks.
    #[serde(default)]
    pub hooks: Vec<String>,
    /// Options that Truing may take from the arguments of a hook. An entry for an option with a value ends
    /// with `=`.
    #[serde(default)]
    pub keeps: Vec<String>,
    /// Arguments with which the tool prints its version.
    pub version: Vec<String>,
    /// Oldest version that accepts the arguments in this table. `None` if there is no such limit.
    #[serde(default)]
    pub oldest: Option<String>,
    /// Name of the format of the tool's output.
    pub format: String,
    /// Name of the line format that the tool can be configured to print. Other tools may print the same
    /// format.
    #[serde(default)]
    pub lines: String,
    /// The stream to which the tool prints its diagnostics.
    #[serde(default)]
    pub stream: OutputStream,
    /// Exit codes of a successful run, with or without findings.
    pub exit: Vec<i32>,
    pub levels: ToolSeverities,
    /// Severity of diagnostics, by the beginning of the rule's name.
    #[serde(default)]
    pub severity: BTreeMap<String, Severity>,
    /// Defect category, by the beginning of the rule's name.
    pub category: BTreeMap<String, DefectCategory>,
    /// URLs of the pages about rules. The key is the beginning of the rule's name.
    #[serde(default)]
    pub page: BTreeMap<String, String>,
    /// True if a run may be limited to the changed files. If false, the tool checks the whole project.
    #[serde(default)]
    pub per_file: bool,
    /// Names of the tool's configuration files, which are in a checked file's folder or in a parent folder.
    /// This list is empty if findings on a file depend on anything except the file and its configuration.
    #[serde(default)]
    #[serde(rename = "alone")]
    pub config_file_names: Vec<String>,
    /// For a tool with `config_file_names`: further folders whose file names affect the findings, in addition
    /// to a file's folder and its parent folders. The list is empty if file names do not affect the findings.
    #[serde(default)]
    #[serde(rename = "beside")]
    pub related_folders: Vec<String>,
    /// Regular expression for exceptions from `config_file_names`. If a file or its configuration contains a
    /// match, the findings on this file also depend on other files.
    #[serde(default)]
    pub together: Option<String>,
    /// True if the configuration is code, or can load code from the repository.
    #[serde(default)]
    pub code_configuration: bool,
    /// Globs of files that configure the tool by code, in addition to the files that are signs of the tool.
    #[serde(default)]
    pub configures: Vec<String>,
    /// True if a run accesses the network.
    #[serde(default)]
    pub network: bool,
    /// True if the tool needs the project's dependencies.
    #[serde(default)]
    pub needs_setup: bool,
    /// Other programs that the tool starts if they exist.
    #[serde(default)]
    pub starts: Vec<String>,
    /// Environment variables that set the folders for build output, which the tool reuses in the next run.
    #[serde(default)]
    pub builds: Vec<String>,
    /// Folders in a person's home folder that contain data fetched for projects.
    #[serde(default)]
    pub fetched: Vec<FetchedFolder>,
    /// Command that fetches the data in `fetched`, for people.
    #[serde(default)]
    pub fetch: Option<String>,
    /// Texts in the tool's error messages. A message with one of these texts means that the data in `fetched`
    /// is missing.
    #[serde(default)]
    pub unfetched: Vec<String>,
    /// Rules that check the permissions of files. Findings of these rules are dropped in a copy of a commit,
    /// because the copy does not have the original permissions.
    #[serde(default)]
    pub of_permissions: Vec<String>,
    /// Names for rules that other tools also have: the beginning of the name in this tool, mapped to the
    /// beginning of the common name.
    #[serde(default)]
    #[serde(rename = "same")]
    pub canonical_prefixes: BTreeMap<String, String>,
    /// Truing's own rules that the tool implements better, even without configuration. Findings of these
    /// rules are dropped in files that the tool has checked. The value is the common name of the tool's own
    /// rule for the same defect (see [`Self::canonical_rule`]).
    #[serde(default)]
    pub replaces: BTreeMap<String, String>,
    /// Formats in which the tool does not distinguish safe fixes from unsafe fixes.
    #[serde(default)]
    pub unsafe_fixes_in: Vec<String>,
    /// The tool's comment with which people can suppress a rule.
    pub ignore_comment: String,
}

/// Options that are passed to the tool if a file contains a sign, because the tool does not read this file
/// itself.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignOptions {
    /// The sign that the file must contain.
    #[serde(rename = "shown")]
    pub sign: ToolSign,
    /// The options; [`SIGN_PLACEHOLDER`] is the placeholder for the file.
    pub args: Vec<String>,
}

/// A table of a TOML file whose keys are names of options. A key may contain `_` where the option has `-`.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptionTable {
    /// Path of the file from the root of the tree.
    pub file: String,
    pub name: String,
}

/// A folder in a person's home folder that contains data fetched for projects, such as Go modules.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FetchedFolder {
    /// Environment variable that sets the folder.
    pub variable: String,
    /// The folder that is used if the variable is not set, relative to the home folder.
    pub folder: String,
    /// The parts of the folder that the sandbox shows to the tool. All other parts remain hidden, for example
    /// a file with passwords.
    pub parts: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputStream {
    /// Standard output of the program.
    #[default]
    Stdout,
    /// Standard error of the program.
    Stderr,
    /// Standard output, or standard error if standard output is empty. The tool's version determines which
    /// stream is used.
    Either,
}

/// Severity of each level of a tool's diagnostics.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolSeverities {
    /// Severity of an error.
    pub error: Severity,
    /// Severity of a warning.
    pub warning: Severity,
    /// Severity of a note.
    pub note: Severity,
}

impl KnownTool {
    /// Returns the first sign that is found in a repository, with the file or folder in which it was found.
    pub fn find_sign(
        &self,
        tracked_paths: &[&str],
        read_file: &dyn Fn(&str) -> Option<Vec<u8>>,
    ) -> Option<(&ToolSign, String)> {
        self.recognised.iter().find_map(|sign| Some((sign, sign.find_path(tracked_paths, read_file)?)))
    }

    /// Returns the options that apply because of a sign in the file `sign_path`.
    pub fn sign_options(&self, sign_path: &str, read_file: &dyn Fn(&str) -> Option<Vec<u8>>) -> Vec<String> {
        let given = self.options.iter().find(|given| given.sign.find_path(&[sign_path], read_file).is_some());
        given.map(|given| fill_arguments(&given.args, &[], &[], sign_path)).unwrap_or_default()
    }

    /// Returns the tool's options from `table`, which the tool does not read itself. Returns only options
    /// that have a value and that `keeps` also permits.
    pub fn table_options(&self, read_file: &dyn Fn(&str) -> Option<Vec<u8>>) -> Vec<String> {
        let table = self.table.as_ref().and_then(|table| {
            let bytes = read_file(&table.file).filter(|bytes| bytes.len() <= MAX_CONFIG_FILE_BYTES)?;
            find_toml_value(&String::from_utf8_lossy(&bytes), &table.name)
        });
        let Some(toml::Value::Table(table)) = table else { return Vec::new() };
        let option = |(name, value): (String, toml::Value)| {
            let option = format!("--{}=", name.replace('_', "-"));
            self.keeps.contains(&option).then(|| to_option_value(&value))?.map(|value| option + &value)
        };
        table.into_iter().filter_map(option).collect()
    }

    /// Returns true if the configuration in `sign_path`, the file in which the tool's sign was found, selects
    /// the files to check. The tool's other configuration files are ignored.
    pub fn config_selects_files(&self, sign_path: &str, read_file: &dyn Fn(&str) -> Option<Vec<u8>>) -> bool {
        self.selects.iter().any(|chooses| chooses.find_path(&[sign_path], read_file).is_some())
    }

    /// Returns the ids of the pre-commit hooks that run the tool.
    pub fn hook_ids(&self) -> Vec<&str> {
        let recognised = self.recognised.iter().filter_map(ToolSign::hook);
        recognised.chain(self.hooks.iter().map(String::as_str)).collect()
    }

    /// Returns the severity of a diagnostic of this rule and level.
    pub fn severity(&self, rule: Option<&str>, level: DiagnosticLevel) -> Severity {
        longest_prefix_value(&self.severity, rule).copied().unwrap_or(match level {
            DiagnosticLevel::Error => self.levels.error,
            DiagnosticLevel::Warning => self.levels.warning,
            DiagnosticLevel::Note => self.levels.note,
        })
    }

    /// Returns the defect category of this rule.
    pub fn category(&self, rule: Option<&str>) -> DefectCategory {
        longest_prefix_value(&self.category, rule).copied().unwrap_or(DefectCategory::J)
    }

    /// Returns the common name of a rule. Tools that have the same rule share this name.
    pub fn canonical_rule(&self, rule: &str) -> String {
        let begins = self
            .canonical_prefixes
            .iter()
            .filter_map(|(own, other)| Some((own.len(), other, rule.strip_prefix(own.as_str())?)));
        let longest = begins.max_by_key(|(length, ..)| *length);
        longest.map_or_else(|| rule.to_owned(), |(_, other, rest)| format!("{other}{rest}"))
    }

    /// Returns the URL of a rule's page. Returns `None` if the table has no page, or if the rule's name has
    /// characters that a URL must not contain.
    pub fn rule_page_url(&self, rule: &str) -> Option<String> {
        let page = longest_prefix_value(&self.page, Some(rule))?;
        let last = rule.rsplit(['/', ':']).next().unwrap_or(rule);
        let is_plain = |text: &str| {
            !text.is_empty()
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        };
        let fits = |mark: &str, text: &str| !page.contains(mark) || is_plain(text);
        (fits(RULE_PLACEHOLDER, rule) && fits(RULE_LAST_PART_PLACEHOLDER, last))
            .then(|| page.replace(RULE_PLACEHOLDER, rule).replace(RULE_LAST_PART_PLACEHOLDER, last))
    }
}

/// Returns true if a run without findings may print nothing in this format. All text formats and a few JSON
/// formats permit this; in all other JSON formats, such a run prints at least an empty list.
pub fn is_empty_without_findings(format: &str) -> bool {
    !format.ends_with("json") || EMPTY_OUTPUT_JSON_FORMATS.contains(&format)
}

/// Returns the arguments of `template`, with `files` in place of [`FILES_PLACEHOLDER`] and `sign_path` in
/// place of [`SIGN_PLACEHOLDER`]. A path that begins with `-` or `@` gets the prefix `./`. `extra_arguments`
/// are inserted before the first [`FILES_PLACEHOLDER`] or `--`. If the template contains none of these, they
/// are inserted at the end.
pub fn fill_arguments(
    template: &[String],
    extra_arguments: &[String],
    files: &[&str],
    sign_path: &str,
) -> Vec<String> {
    // Without the prefix `./`, a program would interpret a path that begins with `-` as an option. Some
    // programs would interpret a path that begins with `@` as a file with arguments.
    let path = |path: &str| if path.starts_with(['-', '@']) { format!("./{path}") } else { path.to_owned() };
    let part = |part: &String| match part.as_str() {
        FILES_PLACEHOLDER => files.iter().map(|file| path(file)).collect(),
        SIGN_PLACEHOLDER => vec![path(sign_path)],
        other => vec![other.to_owned()],
    };
    let place =
        template.iter().position(|part| part == FILES_PLACEHOLDER || part == "--").unwrap_or(template.len());
    let (before, after) = template.split_at_checked(place).unwrap_or((template, &[]));
    let extra_arguments = extra_arguments.iter().cloned();
    before.iter().flat_map(part).chain(extra_arguments).chain(after.iter().flat_map(part)).collect()
}

/// Converts a TOML value to one line of text for the value of a command-line option. Returns `None` for types
/// that have no such text.
fn to_option_value(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.split_whitespace().collect::<Vec<_>>().join(" ")),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Array(all) => {
            Some(all.iter().map(to_option_value).collect::<Option<Vec<_>>>()?.join(","))
        }
        toml::Value::Boolean(_)
        | toml::Value::Float(_)
        | toml::Value::Datetime(_)
        | toml::Value::Table(_) => None,
    }
}

/// Returns the value of the longest key with which the rule's name begins. The empty key matches every rule
/// and also diagnostics without a rule.
fn longest_prefix_value<'a, T>(table: &'a BTreeMap<String, T>, rule: Option<&str>) -> Option<&'a T> {
    let rule = rule.unwrap_or_default();
    let begins = table.iter().filter(|(key, _)| rule.starts_with(key.as_str()));
    begins.max_by_key(|(key, _)| key.len()).map(|(_, value)| value)
}
