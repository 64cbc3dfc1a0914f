//! Tools as described in `tools.toml`. The comment at the beginning of that file documents each field.

// long: the row of the table of tools, with the meaning of each field.

use std::collections::BTreeMap;

use globset::GlobMatcher;
use serde::Deserialize;
use truing_core::finding::{DefectCategory, Severity};

use crate::output::diagnostic::{Diagnostic, DiagnosticLevel};
use crate::output::known::exclude::ExcludeList;
use crate::output::known::hooks::{PRE_COMMIT_CONFIG_FILES, lists_hook};
use crate::output::known::script::RunCommand;
use crate::output::known::sign::{MAX_CONFIG_FILE_BYTES, ToolSign, compile_glob, find_toml_value};

/// Placeholder for the changed files in a command.
pub const FILES_PLACEHOLDER: &str = "{files}";
/// Placeholder in a command for the file or folder in which a sign of the tool was found.
pub const SIGN_PLACEHOLDER: &str = "{sign}";
/// Placeholder for the rule's name in the URL of a page.
pub const RULE_PLACEHOLDER: &str = "{rule}";
/// Placeholder for the last part of the rule's name in the URL of a page.
pub const RULE_LAST_PART_PLACEHOLDER: &str = "{last}";

/// Formats, besides JSON formats of single tools, in which every output contains a document.
const NEVER_EMPTY_FORMATS: &[&str] = &["checkstyle", "gitlab", "junit", "sarif"];
/// Arguments with which a program checks nothing.
const INFORMATION_WORDS: &[&str] =
    &["--help", "--init", "--version", "-V", "-h", "-v", "-version", "help", "version"];
/// JSON formats whose output is empty if a run has no findings.
const EMPTY_OUTPUT_JSON_FORMATS: &[&str] =
    &["ast-grep-json", "detect-secrets-json", "mypy-json", "typos-json"];

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
    /// Further subcommands that run the same checks as the first word of `command`, if this word is a
    /// subcommand. The empty text stands for a command without a subcommand.
    #[serde(default)]
    pub subcommands: Vec<String>,
    /// True if the tool cannot run without a file that is one of its signs. A command that runs the tool is
    /// then no sign.
    #[serde(default)]
    pub needs_configuration: bool,
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
    /// Repositories of hooks whose revisions are the tool's versions, in addition to repositories with the
    /// tool's name.
    #[serde(default)]
    pub mirrors: Vec<String>,
    /// Packages that contain the tool, if they do not have the name of the tool or of its program.
    #[serde(default)]
    pub packages: Vec<String>,
    /// Tags of pre-commit that the hook's own repository requires of every file.
    #[serde(default)]
    pub hook_types: Vec<String>,
    /// Options that Truing may take from the arguments of a hook. An entry for an option with a value ends
    /// with `=`.
    #[serde(default)]
    pub keeps: Vec<String>,
    /// Arguments with which the tool prints its version.
    pub version: Vec<String>,
    /// Arguments with which the tool prints, as JSON, since which version each of its rules exists. The list
    /// is empty if the tool cannot print this.
    #[serde(default)]
    pub rule_versions: Vec<String>,
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
    /// Texts that the tool prints beside its diagnostics if it could not check everything, although the run
    /// has one of these exit codes.
    #[serde(default)]
    pub failures: Vec<String>,
    /// Texts that the tool prints if it examined none of the files in its arguments.
    #[serde(default)]
    pub examined_nothing: Vec<String>,
    /// Texts of lines that explain an exit code other than 0, although there are no findings.
    #[serde(default)]
    pub explains_exit: Vec<String>,
    pub levels: ToolSeverities,
    /// Rules whose diagnostics mean that the tool could not check a file or the project.
    #[serde(default)]
    pub unread: UnreadRules,
    /// Kinds of text that the tool passes over without a word.
    #[serde(default)]
    pub unreadable: Vec<UnreadableText>,
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
    /// True if each run checks only one file.
    #[serde(default)]
    pub one_file: bool,
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
    /// Truing's own rules for whose defects the tool also has a rule. If both report the defect on a line,
    /// only the tool's finding is reported. The value is the common name of the tool's rule (see
    /// [`Self::canonical_rule`]).
    #[serde(default)]
    pub replaces: BTreeMap<String, String>,
    /// Formats in which the tool does not distinguish safe fixes from unsafe fixes.
    #[serde(default)]
    pub unsafe_fixes_in: Vec<String>,
    /// For a formatter: command with which a person can format a file, with [`FILES_PLACEHOLDER`] as the
    /// placeholder for the file. The findings of a formatter are the changes that it would make.
    #[serde(default)]
    pub formatter: Option<String>,
    /// The tool's comment with which people can suppress a rule.
    pub ignore_comment: String,
    /// A run of the tool in a repository that does not use it.
    #[serde(default)]
    pub suggested: Option<SuggestedRun>,
}

/// A run of a tool in a repository that does not use it, with rules that most teams accept. The run reads no
/// configuration of the repository.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SuggestedRun {
    /// Arguments that replace [`KnownTool::command`].
    pub command: Vec<String>,
    /// Beginnings of the names of the rules whose findings are reported. If the list is empty, all findings
    /// are reported.
    #[serde(default)]
    pub rules: Vec<String>,
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

/// The rules whose diagnostics mean that a tool could not check something: syntax errors, unreadable files
/// and internal errors. An entry is the beginning of a rule's name. The empty entry stands for an error
/// without a rule.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnreadRules {
    /// Rules whose diagnostics hide other findings in the same file.
    #[serde(default)]
    pub file: Vec<String>,
    /// Rules whose diagnostics hide findings in other files, too.
    #[serde(default)]
    pub project: Vec<String>,
    /// Beginnings of messages that hide other findings in the same file. Any rule may have them.
    #[serde(default)]
    pub messages: Vec<String>,
    /// Beginnings of messages of these rules that hide nothing.
    #[serde(default)]
    pub harmless: Vec<String>,
}

/// A kind of text that a tool does not read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
pub enum UnreadableText {
    /// Text that is not UTF-8.
    #[serde(rename = "not UTF-8")]
    NotUtf8,
    /// UTF-16 with a byte order mark.
    #[serde(rename = "UTF-16")]
    Utf16,
}

impl UnreadableText {
    /// Returns true for a text of this kind.
    pub fn is_kind_of(self, bytes: &[u8]) -> bool {
        match self {
            // A file with NUL bytes is no text, unless it is UTF-16.
            Self::NotUtf8 => std::str::from_utf8(bytes).is_err() && (!bytes.contains(&0) || is_utf16(bytes)),
            Self::Utf16 => is_utf16(bytes),
        }
    }

    /// Returns the kind for people, as in "it does not read text that is not UTF-8".
    pub fn description(self) -> &'static str {
        match self {
            Self::NotUtf8 => "text that is not UTF-8",
            Self::Utf16 => "UTF-16",
        }
    }
}

/// Returns true if the bytes begin with the byte order mark of UTF-16.
fn is_utf16(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff")
}

/// The files that a tool did not check because of a diagnostic.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UnreadExtent {
    /// The file of the diagnostic.
    File,
    /// Also files other than the file of the diagnostic.
    Project,
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
        let find_path = |sign: &ToolSign| match sign.hook() {
            Some(id) => find_hooks_file(id, tracked_paths, read_file),
            None => sign.find_path(tracked_paths, read_file),
        };
        self.recognised.iter().find_map(|sign| Some((sign, find_path(sign)?)))
    }

    /// Returns true if the sign is a file that the tool checks. Such a file does not show that the repository
    /// uses the tool.
    pub fn is_guess(&self, sign: &ToolSign) -> bool {
        matches!(sign, ToolSign::File(glob) if self.paths.contains(glob))
    }

    /// Returns true if this command runs the tool's checks.
    pub fn is_run_by(&self, command: &RunCommand) -> bool {
        let subcommand = self.command.first().filter(|word| !word.starts_with(['-', '{']));
        let first_word = || {
            let mut is_value = false;
            command.words.iter().find(|word| {
                let is_option = word.starts_with('-');
                let is_subcommand = !is_option && (!is_value || self.is_subcommand(word));
                is_value = is_option && !word.contains('=');
                is_subcommand
            })
        };
        if command.program == self.name && self.name != self.program {
            return true;
        }
        let is_own = command.program == self.program;
        match (subcommand, command.words.as_slice()) {
            (_, [word]) if INFORMATION_WORDS.contains(&word.as_str()) => false,
            (None, _) => is_own || self.hook_ids().contains(&command.program.as_str()),
            (Some(_), _) if !is_own => {
                command.is_packaged && self.hook_ids().contains(&command.program.as_str())
            }
            (Some(_), _) => match first_word() {
                Some(word) if self.is_subcommand(word) => true,
                Some(word) => self.is_subcommand("") && word.contains(['.', '/']),
                // A packaged command adds the subcommand itself: the hook `ruff` is `ruff check`.
                None if command.is_packaged => {
                    command.program == self.name || self.hook_ids().contains(&command.program.as_str())
                }
                None => self.is_subcommand(""),
            },
        }
    }

    fn is_subcommand(&self, word: &str) -> bool {
        self.command.first().into_iter().chain(&self.subcommands).any(|subcommand| subcommand == word)
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

    /// Returns the names of the packages that contain the tool.
    pub fn package_names(&self) -> Vec<&str> {
        if self.packages.is_empty() {
            return vec![&self.program, &self.name];
        }
        self.packages.iter().map(String::as_str).collect()
    }

    /// Returns true if the tool is a formatter that prints the lines which it would change.
    pub fn reports_formatted_lines(&self) -> bool {
        self.formatter.is_some() && matches!(self.format.as_str(), "diff" | "rustfmt")
    }

    /// Returns true if the tool is a linter. A type checker or a formatter is no substitute for a linter of
    /// the same language.
    pub fn is_linter(&self) -> bool {
        self.category.get("") != Some(&DefectCategory::A) && self.formatter.is_none()
    }

    /// Returns true if the tool checks any text. A file that only such a tool checks was not checked as code.
    pub fn is_of_any_language(&self) -> bool {
        self.languages.iter().all(|language| language == "any" || language == "text")
    }

    /// Returns true if each line of an output that is not empty explains an exit code other than 0, although
    /// there are no findings.
    pub fn is_exit_explained_by(&self, output: &str) -> bool {
        let mut lines = output.lines().filter(|line| !line.trim().is_empty()).peekable();
        let explains = |line: &str| self.explains_exit.iter().any(|text| line.contains(text));
        lines.peek().is_some() && lines.all(explains)
    }

    /// Returns the severity of a diagnostic of this rule and level.
    pub fn severity(&self, rule: Option<&str>, level: DiagnosticLevel) -> Severity {
        longest_prefix_value(&self.severity, rule).copied().unwrap_or(match level {
            DiagnosticLevel::Error => self.levels.error,
            DiagnosticLevel::Warning => self.levels.warning,
            DiagnosticLevel::Note => self.levels.note,
        })
    }

    /// Returns what the tool did not check because of this diagnostic; `None` if the diagnostic hides
    /// nothing.
    pub fn unread_extent(&self, diagnostic: &Diagnostic) -> Option<UnreadExtent> {
        let UnreadRules { file, project, messages, harmless } = &self.unread;
        let begins_with_any = |beginnings: &[String]| {
            beginnings.iter().any(|beginning| diagnostic.message.starts_with(beginning.as_str()))
        };
        if begins_with_any(harmless) {
            return None;
        }
        let is_listed = |rules: &[String]| {
            rules.iter().any(|listed| match &diagnostic.rule {
                Some(rule) => !listed.is_empty() && rule.starts_with(listed.as_str()),
                None => listed.is_empty() && diagnostic.level == DiagnosticLevel::Error,
            })
        };
        if is_listed(project) {
            Some(UnreadExtent::Project)
        } else {
            (is_listed(file) || begins_with_any(messages)).then_some(UnreadExtent::File)
        }
    }

    /// Returns the compiled globs of the files that the tool checks.
    pub fn path_globs(&self) -> Vec<GlobMatcher> {
        self.paths.iter().filter_map(|glob| compile_glob(glob)).collect()
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
/// formats permit this; in all other JSON and XML formats, such a run prints at least an empty list.
pub fn is_empty_without_findings(format: &str) -> bool {
    let is_document = format.ends_with("json") || NEVER_EMPTY_FORMATS.contains(&format);
    !is_document || EMPTY_OUTPUT_JSON_FORMATS.contains(&format)
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

/// Returns the tracked file of pre-commit that lists the hook.
fn find_hooks_file(
    id: &str,
    tracked_paths: &[&str],
    read_file: &dyn Fn(&str) -> Option<Vec<u8>>,
) -> Option<String> {
    let lists = |path: &&str| {
        let text = read_file(path).filter(|bytes| bytes.len() <= MAX_CONFIG_FILE_BYTES);
        text.is_some_and(|bytes| lists_hook(&String::from_utf8_lossy(&bytes), id))
    };
    let mut files = PRE_COMMIT_CONFIG_FILES.into_iter().filter(|path| tracked_paths.contains(path));
    files.find(lists).map(str::to_owned)
}
