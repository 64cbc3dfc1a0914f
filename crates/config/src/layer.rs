//! Reads the values of one source: a file, the environment variables, or the flags. Each source is read in
//! one pass that reports all its problems.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};
use truing_core::nesting::{TOO_DEEP_REASON, is_too_deep};

use super::keys::{self, ConfigKey, KeyNode, NamedSection, RepositoryOverride, ValueKind};
use super::problem::{ConfigProblem, DUPLICATE_KEY_MESSAGE, ValueOrigin};
use super::value::{self, ConfigValue, ConfigValueError};
use crate::environment::Environment;

/// A configuration file that was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceFile {
    /// Name of the file in messages.
    pub name: String,
    /// Folder to which the file's relative paths refer.
    pub folder: PathBuf,
    /// Text of the file.
    pub text: String,
}

/// A flag of a command that sets a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyFlag {
    /// Name of the flag, such as `--listen`.
    pub name: &'static str,
    /// Path of the key that the flag sets.
    pub key: &'static str,
    /// Value of the flag; several values if the key is a list.
    pub values: Vec<String>,
}

/// The owner of a configuration file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FileOwner {
    Operator,
    Repository,
}

/// A value that a source sets.
#[derive(Debug)]
pub(crate) struct LayerEntry {
    pub(crate) key: &'static ConfigKey,
    pub(crate) value: ConfigValue,
    pub(crate) origin: ValueOrigin,
}

/// The values that a source sets.
#[derive(Debug, Default)]
pub(crate) struct ConfigLayer {
    /// Values by the path of their key.
    pub(crate) entries: BTreeMap<String, LayerEntry>,
    /// Names of named sections in the source, including sections without keys.
    pub(crate) names: SectionNames,
}

/// The names of forges, teams, repositories, models, tools and other named sections.
pub(crate) type SectionNames = BTreeMap<NamedSection, BTreeSet<String>>;

impl ConfigLayer {
    fn set(&mut self, path: &[&str], key: &'static ConfigKey, value: ConfigValue, origin: ValueOrigin) {
        if let [section, name, _, ..] = path
            && let Some(named) = NamedSection::from_word(section)
        {
            self.names.entry(named).or_default().insert((*name).to_owned());
        }
        self.entries.insert(path.join("."), LayerEntry { key, value, origin });
    }
}

// ---------------------------------------------------------------------------------------------- files

/// Reads the values of a file. Problems are added in the order of their lines in the file.
pub(crate) fn read_file_layer(
    file: &SourceFile,
    owner: FileOwner,
    problems: &mut Vec<ConfigProblem>,
) -> ConfigLayer {
    let line_ends = file.text.match_indices('\n').map(|(end, _)| end).collect();
    let mut walk =
        LayerBuilder { file, owner, line_ends, layer: ConfigLayer::default(), problems: Vec::new() };
    if is_too_deep(&file.text) {
        walk.report_problem(0, |origin| ConfigProblem::Syntax { origin, reason: TOO_DEEP_REASON.to_owned() });
        problems.extend(walk.problems.into_iter().map(|(_, problem)| problem));
        return walk.layer;
    }
    let (document, errors) = DeTable::parse_recoverable(&file.text);
    if errors.is_empty() {
        walk.read_table(&[], document.get_ref());
    }
    for error in errors {
        let start = error.span().map_or(0, |span| span.start);
        let mut reason = error.message().trim().replace('\n', ", ");
        if reason == DUPLICATE_KEY_MESSAGE {
            // The span of this error contains the duplicate name: a key, or the last part of a table's
            // header.
            let written = error.span().and_then(|span| file.text.get(span)).unwrap_or_default();
            reason = format!("{DUPLICATE_KEY_MESSAGE} `{}`", truncate_name(written.trim()));
        }
        walk.report_problem(start, |origin| ConfigProblem::Syntax { origin, reason });
    }
    walk.problems.sort_by_key(|(start, _)| *start);
    problems.extend(walk.problems.into_iter().map(|(_, problem)| problem));
    walk.layer
}

/// Maximum number of characters of an unknown name that are displayed and compared with known names.
const MAX_NAME_CHARS: usize = 60;

/// First part of the path of a tool's section.
const TOOL_SECTION: &str = "tool";
/// Key of a `[[tool]]` that contains the tool's name. In a `[tool.NAME]`, this key is invalid.
const TOOL_NAME_KEY: &str = "name";

mod tables;

struct LayerBuilder<'a> {
    file: &'a SourceFile,
    owner: FileOwner,
    /// Byte positions of the line ends.
    line_ends: Vec<usize>,
    layer: ConfigLayer,
    /// Problems, each with its byte position in the file.
    problems: Vec<(usize, ConfigProblem)>,
}

impl LayerBuilder<'_> {
    fn read_table(&mut self, path: &[&str], table: &DeTable<'_>) {
        for (name, value) in table {
            self.read_entry(path, name, value);
        }
    }

    fn read_entry(&mut self, path: &[&str], name: &Spanned<DeString<'_>>, value: &Spanned<DeValue<'_>>) {
        let path: Vec<&str> = path.iter().copied().chain([name.get_ref().as_ref()]).collect();
        let start = name.span().start;
        match (keys::find_node(&path), value.get_ref()) {
            (Some(KeyNode::Key(key)), _) => self.read_key(&path, key, start, value),
            (Some(KeyNode::Section), DeValue::Table(section)) => self.read_section(&path, start, section),
            (Some(KeyNode::Section), DeValue::Array(tools)) if path == [TOOL_SECTION] => {
                self.read_tools(tools);
            }
            // An unknown name in `[model]` is a section `[model.NAME]` only if its value is a table.
            // Otherwise it is a misspelt key.
            (Some(KeyNode::Section), _) if matches!(path.as_slice(), ["model", _]) => {
                self.report_unknown(&path, start, None);
            }
            (Some(KeyNode::Section), value) => {
                let forms =
                    if path.first() == Some(&TOOL_SECTION) { ", as `[[tool]]` or `[tool.NAME]`" } else { "" };
                let wrong = format!("must be a table{forms}; it is of type {}", value.type_str());
                self.report_bad_value(start, &path, wrong);
            }
            (None, _) if matches!(path.as_slice(), [TOOL_SECTION, _, TOOL_NAME_KEY]) => {
                let wrong = "must not be set: the header `[tool.NAME]` gives the name; only a `[[tool]]` \
                    has the key `name`";
                self.report_bad_value(start, &path, wrong.to_owned());
            }
            (None, _) => self.report_unknown(&path, start, None),
        }
    }

    /// Reads each `[[tool]]` entry as the section `tool.NAME`, where `NAME` is the value of the key `name`.
    fn read_tools(&mut self, tools: &[Spanned<DeValue<'_>>]) {
        let mut first: BTreeMap<&str, ValueOrigin> = BTreeMap::new();
        for tool in tools {
            let start = tool.span().start;
            let DeValue::Table(table) = tool.get_ref() else {
                let of = tool.get_ref().type_str();
                self.report_bad_value(
                    start,
                    &[TOOL_SECTION],
                    format!("must contain only tables; one entry is of type {of}"),
                );
                continue;
            };
            let Some((origin, written)) = table.iter().find(|(key, _)| key.get_ref() == TOOL_NAME_KEY) else {
                self.report_problem(start, |origin| ConfigProblem::ToolUnnamed { origin });
                continue;
            };
            let origin = origin.span().start;
            let Some(name) = written.get_ref().as_str() else {
                let of = written.get_ref().type_str();
                self.report_bad_value(
                    origin,
                    &[TOOL_SECTION, TOOL_NAME_KEY],
                    format!("must be a string; it is of type {of}"),
                );
                continue;
            };
            if !self.add_name(NamedSection::Tool, name, origin) {
                continue;
            }
            if let Some(first) = first.get(name).cloned() {
                let name = name.to_owned();
                self.report_problem(origin, |origin| ConfigProblem::DuplicateTool {
                    origin,
                    name,
                    first_origin: first,
                });
                continue;
            }
            first.insert(name, self.origin(origin));
            for (key, value) in table.iter().filter(|(key, _)| key.get_ref() != TOOL_NAME_KEY) {
                let word = key.get_ref().as_ref();
                // If a `[tool.NAME]` follows a `[[tool]]`, TOML reads it as a table inside the last
                // `[[tool]]`.
                if value.get_ref().as_table().is_some()
                    && keys::find_node(&[TOOL_SECTION, name, word]).is_none()
                {
                    let wrong = "belongs to the last `[[tool]]` in TOML: write all tools of a file as \
                        `[[tool]]`, or all as `[tool.NAME]`";
                    self.report_bad_value(
                        key.span().start,
                        &[TOOL_SECTION, truncate_name(word)],
                        wrong.to_owned(),
                    );
                } else {
                    self.read_entry(&[TOOL_SECTION, name], key, value);
                }
            }
        }
    }

    /// Records the name of a named section and returns true. If the name is invalid, reports this and returns
    /// false.
    fn add_name(&mut self, section: NamedSection, name: &str, start: usize) -> bool {
        let may_be = section.is_valid_name(name);
        if may_be {
            self.layer.names.entry(section).or_default().insert(name.to_owned());
        } else {
            let name = truncate_name(name).to_owned();
            self.report_problem(start, |origin| ConfigProblem::InvalidName { origin, section, name });
        }
        may_be
    }

    fn report_bad_value(&mut self, start: usize, path: &[&str], requirement: String) {
        let key = path.join(".");
        self.report_problem(start, |origin| ConfigProblem::BadValue { origin, key, requirement });
    }

    fn read_section(&mut self, path: &[&str], start: usize, section: &DeTable<'_>) {
        // A repository's own file cannot set keys of named sections other than tools, so only names of tools
        // are recorded from it.
        if let [section, name] = path
            && let Some(named) = NamedSection::from_word(section)
            && (self.owner == FileOwner::Operator || named == NamedSection::Tool)
            && !self.add_name(named, name, start)
        {
            return;
        }
        self.read_table(path, section);
    }

    fn read_key(
        &mut self,
        path: &[&str],
        key: &'static ConfigKey,
        start: usize,
        value: &Spanned<DeValue<'_>>,
    ) {
        if self.owner == FileOwner::Repository && key.repository == RepositoryOverride::Forbidden {
            let key = path.join(".");
            return self.report_problem(start, |at| ConfigProblem::NotForRepository { origin: at, key });
        }
        let read = match (key.kind, value.get_ref()) {
            (kind, DeValue::Table(table)) if kind.accepts_secret_location() => self.read_secret(path, table),
            (ValueKind::SecretLocations, DeValue::Array(places)) => self.read_secrets(path, places),
            (ValueKind::SecretHeaders, DeValue::Table(table)) => Ok(self.read_headers(path, table)),
            (ValueKind::RuleSeverities, DeValue::Table(table)) => Ok(self.read_severities(path, table)),
            (ValueKind::TierRules, DeValue::Array(rules)) => self.read_tier_rules(path, rules),
            (ValueKind::Instructions, DeValue::Array(all)) => self.read_instructions(path, all),
            (kind, value) => {
                // In a repository's own file, a program's relative path is relative to the root of each tree
                // that Truing checks.
                let is_own = self.owner == FileOwner::Repository && kind == ValueKind::Command;
                let folder = if is_own { Path::new("") } else { &self.file.folder };
                ConfigValue::from_toml(kind, value, folder).map(Some)
            }
        };
        match read {
            Ok(None) => {}
            Ok(Some(value)) => {
                let origin = self.origin(start);
                self.layer.set(path, key, value, origin);
            }
            Err(wrong) => {
                let key = path.join(".");
                self.report_problem(start, |at| ConfigProblem::from_value_error(at, key, wrong));
            }
        }
    }

    fn report_unknown(&mut self, path: &[&str], start: usize, nearest: Option<String>) {
        let path = path.iter().map(|name| truncate_name(name).to_owned()).collect();
        self.report_problem(start, |origin| ConfigProblem::UnknownKey { origin, path, nearest });
    }

    fn report_problem(&mut self, start: usize, problem: impl FnOnce(ValueOrigin) -> ConfigProblem) {
        let origin = self.origin(start);
        self.problems.push((start, problem(origin)));
    }

    fn origin(&self, start: usize) -> ValueOrigin {
        let line = self.line_ends.partition_point(|end| *end < start) + 1;
        let file = self.file.name.clone();
        match self.owner {
            FileOwner::Operator => ValueOrigin::Operator { file, line },
            FileOwner::Repository => ValueOrigin::Repository { file, line },
        }
    }
}

/// Returns the first [`MAX_NAME_CHARS`] characters of a name.
fn truncate_name(name: &str) -> &str {
    name.char_indices().nth(MAX_NAME_CHARS).map_or(name, |(end, _)| name.get(..end).unwrap_or(name))
}

// ---------------------------------------------------------------------------------------------- variables

/// Variable with the path of the operator's file. No key corresponds to this variable.
pub(crate) const CONFIG_VARIABLE: &str = "TRUING_CONFIG";

/// Reads the values of all environment variables with Truing's prefix.
pub(crate) fn read_variable_layer(
    environment: &Environment,
    problems: &mut Vec<ConfigProblem>,
) -> ConfigLayer {
    let mut layer = ConfigLayer::default();
    for (name, text) in
        environment.variables_with_prefix(keys::VARIABLE_PREFIX).filter(|(name, _)| *name != CONFIG_VARIABLE)
    {
        let origin = ValueOrigin::Variable(name.to_owned());
        let Some(VariableTarget { path, key, secret }) = variable_target(name) else {
            problems.push(ConfigProblem::UnknownVariable {
                name: name.to_owned(),
                nearest: nearest_variable(name),
            });
            continue;
        };
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let folder = environment.directory();
        let value = match (text.to_str(), secret) {
            _ if layer.entries.contains_key(&path.join(".")) => Err(ConfigValueError::UnmetRequirement(
                "must be set by only one variable, with the suffix __ENV or __FILE".into(),
            )),
            (Some(text), Some(SecretLocation::Variable)) => {
                value::secret_variable(text).map(ConfigValue::Secret)
            }
            (Some(text), Some(SecretLocation::File)) => {
                value::secret_file(text, folder).map(ConfigValue::Secret)
            }
            (Some(text), None) if value::is_relative_program(key.kind, text) => {
                Err(ConfigValueError::UnmetRequirement(
                    "must be the absolute path or the name of a program".into(),
                ))
            }
            (Some(text), None) => ConfigValue::from_text(key.kind, text, folder),
            (None, _) => Err(ConfigValueError::UnmetRequirement("must be UTF-8".into())),
        };
        match value {
            Ok(value) => layer.set(&path, key, value, origin),
            Err(wrong) => problems.push(ConfigProblem::from_value_error(origin, path.join("."), wrong)),
        }
    }
    layer
}

/// The key that a variable sets. If the variable contains the location of a secret, also the kind of this
/// location.
struct VariableTarget {
    path: Vec<String>,
    key: &'static ConfigKey,
    secret: Option<SecretLocation>,
}

/// The kind of location of a secret. The suffix of the variable's name, `__ENV` or `__FILE`, selects the
/// kind.
#[derive(Clone, Copy)]
enum SecretLocation {
    Variable,
    File,
}

/// Returns the key that a variable sets. Returns `None` if the variable's name does not match a key exactly.
fn variable_target(name: &str) -> Option<VariableTarget> {
    let (bare, secret) = match (name.strip_suffix("__ENV"), name.strip_suffix("__FILE")) {
        (Some(bare), _) => (bare, Some(SecretLocation::Variable)),
        (None, Some(bare)) => (bare, Some(SecretLocation::File)),
        (None, None) => (name, None),
    };
    let path = path_from_variable(bare);
    let parts: Vec<&str> = path.iter().map(String::as_str).collect();
    let Some(KeyNode::Key(key)) = keys::find_node(&parts) else { return None };
    let name_fits = match parts.as_slice() {
        [section, name, _, ..] => NamedSection::from_word(section)
            .is_none_or(|named| named.has_environment_variables() && named.is_valid_name(name)),
        _ => true,
    };
    let fits = name_fits
        && keys::variable_name(&path.join(".")) == bare
        && (secret.is_none() || key.kind.accepts_secret_location());
    fits.then_some(VariableTarget { path, key, secret })
}

/// Converts a variable's name to a path. The name of a forge, a team or another named section is converted by
/// `NamedSection::name_from_variable`.
fn path_from_variable(name: &str) -> Vec<String> {
    let name = name.strip_prefix(keys::VARIABLE_PREFIX).unwrap_or(name).to_lowercase();
    let mut path: Vec<String> = name.split("__").map(str::to_owned).collect();
    if let [first, name, _, ..] = path.as_mut_slice()
        && let Some(named) = NamedSection::from_word(first)
    {
        *name = named.name_from_variable(name);
    }
    path
}

fn nearest_variable(name: &str) -> String {
    let path = path_from_variable(name);
    let parts: Vec<&str> = path.iter().map(String::as_str).collect();
    let capitals = name.to_uppercase();
    let score = |candidate: &str| strsim::normalized_damerau_levenshtein(&capitals, candidate);
    let name = match parts.as_slice() {
        [section, name, _, ..] if NamedSection::from_word(section).is_some() => name,
        _ => "NAME",
    };
    let candidates = keys::KEYS.iter().filter(|key| keys::key_variable(key.path).is_some()).flat_map(|key| {
        let variable = keys::variable_name(&key.path.replace("NAME", name));
        let places = [format!("{variable}__ENV"), format!("{variable}__FILE")];
        match (key.kind == ValueKind::SecretLocation, key.kind.accepts_secret_location()) {
            (true, _) => places.to_vec(),
            (false, true) => [vec![variable], places.to_vec()].concat(),
            (false, false) => vec![variable],
        }
    });
    candidates
        .chain([CONFIG_VARIABLE.to_owned()])
        .max_by(|a, b| score(a).total_cmp(&score(b)))
        .unwrap_or_default()
}

/// Variable with an app password of Bitbucket Cloud. Bitbucket Cloud discontinued app passwords in July 2026.
const APP_PASSWORD_VARIABLE: &str = "BITBUCKET_APP_PASSWORD";

/// Reads variables of other programs. A key for which `is_already_set` returns true is skipped, because one
/// of Truing's own variables or flags sets it. An empty variable counts as unset. The address of a model is
/// not checked here, but only when the model is called ([`foreign_model_address_problem`]).
pub(crate) fn read_foreign_variable_layer(
    environment: &Environment,
    is_already_set: impl Fn(&str) -> bool,
    problems: &mut Vec<ConfigProblem>,
) -> ConfigLayer {
    let mut layer = ConfigLayer::default();
    if environment.get(APP_PASSWORD_VARIABLE).is_some_and(|password| !password.is_empty()) {
        problems.push(ConfigProblem::UnsupportedAppPassword { name: APP_PASSWORD_VARIABLE });
    }
    for (variable, key) in FOREIGN_VARIABLE_KEYS.into_iter().filter(|(_, key)| !is_already_set(key)) {
        let Some(text) = environment.get(variable).filter(|text| !text.is_empty()) else { continue };
        let (origin, mut wrong) = (ValueOrigin::ForeignVariable(variable.to_owned()), Vec::new());
        set_text(&mut layer, key, &text.to_string_lossy(), origin, environment.directory(), &mut wrong);
        if !key.starts_with(MODEL_KEY_PREFIX) {
            problems.extend(wrong);
        }
    }
    for (variable, provider) in
        PROVIDER_SWITCH_VARIABLES.into_iter().filter(|_| !is_already_set(MODEL_PROVIDER_KEY))
    {
        if is_variable_on(environment, variable) {
            let origin = ValueOrigin::ForeignVariable(variable.to_owned());
            // The error of an unsupported provider is reported only when a model is called. This also holds
            // for the error that both variables are on.
            set_text(
                &mut layer,
                MODEL_PROVIDER_KEY,
                provider,
                origin,
                environment.directory(),
                &mut Vec::new(),
            );
        }
    }
    layer
}

/// Returns the problem of a model's address that another program's variable contains. Returns `None` if the
/// address is absent or valid.
pub fn foreign_model_address_problem(environment: &Environment) -> Option<ConfigProblem> {
    let text = environment.get(ANTHROPIC_BASE_URL).filter(|text| !text.is_empty())?;
    let (origin, mut wrong) = (ValueOrigin::ForeignVariable(ANTHROPIC_BASE_URL.to_owned()), Vec::new());
    let text = text.to_string_lossy();
    set_text(
        &mut ConfigLayer::default(),
        MODEL_BASE_URL_KEY,
        &text,
        origin,
        environment.directory(),
        &mut wrong,
    );
    wrong.pop()
}

/// Variable with which older tools select the runtime.
const RUNTIME_MODE: &str = "RUNTIME_MODE";
/// Variable with the address of the Messages API.
const ANTHROPIC_BASE_URL: &str = "ANTHROPIC_BASE_URL";
/// Key that `ANTHROPIC_BASE_URL` sets.
pub const MODEL_BASE_URL_KEY: &str = "model.base_url";
/// Variables of other programs, each with the key that it sets. If several variables set the same key, the
/// last of these variables applies.
const FOREIGN_VARIABLE_KEYS: [(&str, &str); 5] = [
    (RUNTIME_MODE, "review.runtime"),
    (ANTHROPIC_BASE_URL, MODEL_BASE_URL_KEY),
    ("AWS_DEFAULT_REGION", "model.region"),
    ("AWS_REGION", "model.region"),
    ("ANTHROPIC_AWS_WORKSPACE_ID", "model.workspace_id"),
];
/// Prefix of keys for which values from other programs' variables are checked only when a model is called.
const MODEL_KEY_PREFIX: &str = "model.";
/// Switch variables of other programs, each with the provider that it selects.
pub const PROVIDER_SWITCH_VARIABLES: [(&str, &str); 2] =
    [("CLAUDE_CODE_USE_ANTHROPIC_AWS", "aws"), ("CLAUDE_CODE_USE_BEDROCK", "bedrock")];
/// Key that the variables in `PROVIDER_SWITCH_VARIABLES` set.
pub(crate) const MODEL_PROVIDER_KEY: &str = "model.provider";

/// Returns true if another program's switch variable is set to a value that means on.
pub fn is_variable_on(environment: &Environment, variable: &str) -> bool {
    environment.get(variable).is_some_and(|value| !value.is_empty() && value != "0")
}

/// Reads the values of a command's flags.
pub(crate) fn read_flag_layer(
    flags: &[KeyFlag],
    environment: &Environment,
    problems: &mut Vec<ConfigProblem>,
) -> ConfigLayer {
    let mut layer = ConfigLayer::default();
    for flag in flags {
        let origin = ValueOrigin::Flag(flag.name.to_owned());
        set_text(&mut layer, flag.key, &flag.values.join(","), origin, environment.directory(), problems);
    }
    layer
}

fn set_text(
    layer: &mut ConfigLayer,
    path: &'static str,
    text: &str,
    origin: ValueOrigin,
    folder: &Path,
    problems: &mut Vec<ConfigProblem>,
) {
    let Some(key) = keys::find_key(path) else {
        return problems.push(ConfigProblem::KeyTableMismatch { key: path.to_owned() });
    };
    match ConfigValue::from_text(key.kind, text, folder) {
        Ok(value) => layer.set(&[path], key, value, origin),
        Err(wrong) => problems.push(ConfigProblem::from_value_error(origin, path.to_owned(), wrong)),
    }
}
