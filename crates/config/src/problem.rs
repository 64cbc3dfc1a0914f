//! Problems of a configuration. Each problem has an origin and a hint for its correction.

use std::fmt;

use truing_core::linter::LINTERS;

use super::keys::NamedSection;
use super::value::ConfigValueError;

/// Maximum size in bytes of a repository's own file, whose author may be unknown.
pub(super) const MAX_REPOSITORY_FILE_BYTES: u64 = 128 << 10;
/// The parser's message for a key that is already set.
pub(super) const DUPLICATE_KEY_MESSAGE: &str = "duplicate key";

/// The origin of a value, lowest precedence first.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum ValueOrigin {
    /// The key's default; no source sets the key.
    Default,
    /// The repository's own file.
    Repository {
        file: String,
        /// Number of the line, from 1.
        line: usize,
    },
    /// The operator's own configuration file.
    Operator {
        file: String,
        /// Number of the line, from 1.
        line: usize,
    },
    /// An environment variable of another program.
    ForeignVariable(String),
    /// An environment variable with the prefix `TRUING_`.
    Variable(String),
    /// A flag of the command.
    Flag(String),
}

impl ValueOrigin {
    /// Returns the kind of the origin as one word, for use by programs.
    pub fn layer_name(&self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Repository { .. } => "repository",
            Self::Operator { .. } => "operator",
            Self::ForeignVariable(_) => "foreign",
            Self::Variable(_) => "variable",
            Self::Flag(_) => "flag",
        }
    }
}

/// Renders the origin as a text for which users can search: a file and line, a variable, or a flag.
impl fmt::Display for ValueOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Repository { file, line } | Self::Operator { file, line } => write!(f, "{file}:{line}"),
            Self::ForeignVariable(name) | Self::Variable(name) => write!(f, "variable {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// One problem of a configuration.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ConfigProblem {
    /// A file cannot be read.
    #[error("configuration file {file} cannot be read: {reason}")]
    Unreadable { file: String, reason: String },
    /// The repository's own file cannot be read.
    #[error("configuration file {file} cannot be read: {reason}")]
    UnreadableRepositoryFile { file: String, reason: String },
    /// A file is not valid TOML.
    #[error("{origin}: {reason}")]
    Syntax {
        origin: ValueOrigin,
        /// Message of the parser.
        reason: String,
    },
    /// There is no such key.
    #[error("{origin}: unknown key `{}`", path.join("."))]
    UnknownKey {
        origin: ValueOrigin,
        /// Parts of the path as the user wrote them.
        path: Vec<String>,
        /// The known key that the user certainly meant. If it is absent, the nearest key is computed when the
        /// message is rendered, because a file may contain 100,000 unknown keys.
        nearest: Option<String>,
    },
    /// An environment variable with Truing's prefix that matches no key.
    #[error("unknown variable {name}")]
    UnknownVariable {
        /// Name as the user wrote it.
        name: String,
        /// Known variable whose name is most similar.
        nearest: String,
    },
    /// A variable with an app password, which no longer works.
    #[error(
        "variable {name} contains an app password, which no longer works: Bitbucket removed app passwords \
        in July 2026"
    )]
    UnsupportedAppPassword {
        /// Name of the variable.
        name: &'static str,
    },
    /// A name that is invalid for its section.
    #[error("{origin}: `{name}` cannot be {}", section_name_phrase(*section))]
    InvalidName {
        origin: ValueOrigin,
        /// Kind of the named section.
        section: NamedSection,
        /// Name as the user wrote it.
        name: String,
    },
    /// A key in a repository's own file that only the operator may set.
    #[error("{origin}: `{key}` cannot be set by a repository")]
    NotForRepository { origin: ValueOrigin, key: String },
    /// A value that is invalid for its key.
    #[error("{origin}: `{key}` {requirement}")]
    BadValue {
        origin: ValueOrigin,
        key: String,
        /// Description of the required value.
        requirement: String,
    },
    /// A value that requires a feature that this build lacks.
    #[error("{origin}: `{key}`: \"{word}\" is not included in this build of truing")]
    UnsupportedByBuild {
        origin: ValueOrigin,
        key: String,
        word: String,
        /// Values that this build supports.
        supported_words: &'static [&'static str],
    },
    /// A secret that the configuration contains directly instead of its location.
    #[error("{origin}: `{key}` contains the secret itself (not shown)")]
    LiteralSecret { origin: ValueOrigin, key: String },
    /// A forge that has no `kind`, and whose name is not a kind of forge.
    #[error("`forge.{name}` has no `kind`, and its name \"{name}\" is not a kind of forge")]
    KindMissing {
        /// Name of the forge.
        name: String,
    },
    /// A Bitbucket Data Center without an address; no default address exists.
    #[error("`forge.{name}` needs an `api_url`: Bitbucket Data Center has no default address")]
    MissingForgeAddress {
        /// Name of the forge.
        name: String,
    },
    /// Two values that contradict each other.
    #[error("`{key} = {value}` ({origin}) must {relation} `{other_key} = {other_value}` ({other_origin})")]
    Conflict {
        key: &'static str,
        value: String,
        /// Origin of the first value.
        origin: ValueOrigin,
        /// Required relation of the first value to the other value.
        relation: &'static str,
        other_key: &'static str,
        /// Value of the other key.
        other_value: String,
        /// Origin of the other value.
        other_origin: ValueOrigin,
    },
    /// A forge whose credentials are missing, contradictory or incomplete.
    #[error("`forge.{name}` {problem}")]
    InvalidForgeLogin {
        /// Name of the forge.
        name: String,
        /// Description of the error.
        problem: &'static str,
    },
    /// A `[[tool]]` without the key `name`.
    #[error("{origin}: a `[[tool]]` has no `name`")]
    ToolUnnamed { origin: ValueOrigin },
    /// Two `[[tool]]` entries with the same name.
    #[error("{origin}: the tool `{name}` is already defined ({first_origin})")]
    DuplicateTool {
        origin: ValueOrigin,
        /// Name of the tool.
        name: String,
        /// Origin of the first `[[tool]]` with this name.
        first_origin: ValueOrigin,
    },
    /// An unknown tool that lacks required keys.
    #[error("{}`tool.{name}` needs {missing}: no tool of this name is known", origin_prefix(origin))]
    ToolUnknown {
        /// Origin of one of the tool's keys; `Default` if no key is set.
        origin: ValueOrigin,
        /// Name of the tool.
        name: String,
        /// List of the missing keys, as text.
        missing: &'static str,
    },
    /// A price that is incomplete.
    #[error("`price.{name}` has no price for {missing_part}")]
    Price {
        /// Name of the model.
        name: String,
        /// Missing part of the price.
        missing_part: &'static str,
    },
    /// No database is configured, and no home folder exists for the default database.
    #[error("no location for the database: neither `store.url` nor XDG_STATE_HOME nor HOME is set")]
    NoStore,
    /// The table of keys and the code that reads the table disagree, which is a bug.
    #[error("`{key}` does not match the table of keys; this is a bug in truing")]
    KeyTableMismatch { key: String },
}

impl ConfigProblem {
    /// Creates the problem of an invalid value of `key` that was set at `origin`.
    pub(crate) fn from_value_error(origin: ValueOrigin, key: String, error: ConfigValueError) -> Self {
        match error {
            ConfigValueError::UnmetRequirement(error) => Self::BadValue { origin, key, requirement: error },
            ConfigValueError::UnsupportedWord { word, supported_words: built } => {
                Self::UnsupportedByBuild { origin, key, word, supported_words: built }
            }
            ConfigValueError::LiteralSecret => Self::LiteralSecret { origin, key },
        }
    }

    /// Returns a stable code of the problem, for use by programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } | Self::UnreadableRepositoryFile { .. } => "config_unreadable",
            Self::Syntax { .. } => "config_syntax",
            Self::UnknownKey { .. } => "unknown_key",
            Self::UnknownVariable { .. } => "unknown_variable",
            Self::UnsupportedAppPassword { .. } => "app_password",
            Self::InvalidName { section: NamedSection::Forge, .. } => "bad_forge_name",
            Self::InvalidName {
                section:
                    NamedSection::Team
                    | NamedSection::Repo
                    | NamedSection::Price
                    | NamedSection::Sync
                    | NamedSection::Reviewer
                    | NamedSection::Model
                    | NamedSection::Mcp
                    | NamedSection::Tool,
                ..
            } => "bad_name",
            Self::ToolUnnamed { .. } => "tool_unnamed",
            Self::DuplicateTool { .. } => "tool_twice",
            Self::ToolUnknown { .. } => "tool_unknown",
            Self::Price { .. } => "price_missing",
            Self::NotForRepository { .. } => "not_for_repository",
            Self::BadValue { .. } => "bad_value",
            Self::UnsupportedByBuild { .. } => "not_built",
            Self::LiteralSecret { .. } => "literal_secret",
            Self::KindMissing { .. } => "kind_missing",
            Self::Conflict { .. } => "conflicting_values",
            Self::MissingForgeAddress { .. } => "no_address",
            Self::InvalidForgeLogin { .. } => "bad_login",
            Self::NoStore => "no_store",
            Self::KeyTableMismatch { .. } => "bug",
        }
    }

    /// Returns advice on how to correct the problem.
    pub fn hint(&self) -> String {
        match self {
            Self::UnsupportedAppPassword { .. } => {
                "unset the variable; in the forge's section, set `token` to an access token, or set \
                    `email` and set `token` to an API token"
                    .to_owned()
            }
            Self::Unreadable { .. } => "specify a file that exists and is readable; `truing init` creates \
                a new file"
                .to_owned(),
            Self::UnreadableRepositoryFile { .. } => {
                format!(
                    "replace the file with a regular file of UTF-8 text, of at most {} KiB, or delete the \
                        file",
                    MAX_REPOSITORY_FILE_BYTES >> 10
                )
            }
            Self::Syntax { reason, .. } if reason.starts_with(DUPLICATE_KEY_MESSAGE) => {
                "define each key and each table only once".to_owned()
            }
            Self::Syntax { .. } => "the file must be TOML (https://toml.io)".to_owned(),
            Self::UnknownKey { path, nearest, .. } => {
                let path: Vec<&str> = path.iter().map(String::as_str).collect();
                let nearest = nearest.clone().unwrap_or_else(|| super::keys::nearest_key(&path));
                format!("did you mean `{nearest}`? All keys: `truing config schema`")
            }
            Self::UnknownVariable { name, .. } if is_kubernetes_variable(name) => {
                "the variable looks like Kubernetes' link to a service named `truing`: set \
                    `enableServiceLinks: false` for the pod, or rename the service"
                    .to_owned()
            }
            Self::UnknownVariable { nearest, .. } => {
                format!("did you mean {nearest}? All keys: `truing config schema`")
            }
            Self::InvalidName { section: NamedSection::Reviewer, name, .. }
                if name == super::keys::INTERNAL_REVIEWER =>
            {
                "this name belongs to Truing's own auditor, which `[converge]` configures: choose another \
                    name"
                    .to_owned()
            }
            Self::InvalidName {
                section:
                    NamedSection::Forge
                    | NamedSection::Team
                    | NamedSection::Sync
                    | NamedSection::Reviewer
                    | NamedSection::Model
                    | NamedSection::Mcp,
                ..
            } => "use lower-case letters, digits and `-`, and begin with a letter".to_owned(),
            Self::InvalidName { section: NamedSection::Repo, .. } => {
                "write the section as [repo.\"owner/name\"]".to_owned()
            }
            Self::InvalidName { section: NamedSection::Price, .. } => {
                "write the model name that is used in requests, without blanks: [price.\"model\"]".to_owned()
            }
            Self::InvalidName { section: NamedSection::Tool, .. } => {
                "use lower-case letters, digits and `-`, and begin with a letter; or use the exact name \
                of a known tool, such as \"go vet\" in quotes"
                    .to_owned()
            }
            Self::ToolUnnamed { .. } => "add the name of the tool, such as `name = \"ruff\"`".to_owned(),
            Self::DuplicateTool { .. } => "merge the two tools, or rename one of them".to_owned(),
            Self::ToolUnknown { .. } => {
                format!(
                    "set `command` and `format`, such as `command = [\"lint\", \"{{files}}\"]` and `format \
                        = \"sarif\"`; only these known tools need neither key: `{}`",
                    LINTERS.join("`, `")
                )
            }
            Self::Price { .. } => "set both `input` and `output`, even if 0".to_owned(),
            Self::NotForRepository { key, .. } => {
                let variable = super::keys::key_variable(key).map(|name| format!(" or the variable {name}"));
                format!("move the key to the operator's file{}", variable.unwrap_or_default())
            }
            Self::BadValue { key, .. } => format!("see `{key}` in `truing config schema`"),
            Self::UnsupportedByBuild { supported_words: built, .. } => {
                format!("use `{}`", built.join("` or `"))
            }
            Self::LiteralSecret { key, .. } => format!(
                "specify where the secret is stored: {key} = {{ env = \"VARIABLE\" }} or {{ file = \
                    \"PATH\" }}, or set the variable {}__ENV; replace the secret if this file was shared",
                super::keys::variable_name(key)
            ),
            Self::KindMissing { name } => format!("add `kind = \"github\"` to [forge.{name}]"),
            Self::MissingForgeAddress { name } => {
                format!("add `api_url = \"https://bitbucket.example.com\"` to [forge.{name}]")
            }
            Self::Conflict { .. } => "change one of the two values".to_owned(),
            Self::InvalidForgeLogin { name, .. } => format!(
                "in [forge.{name}] give either `token`, or `app_id` and `private_key` of a GitHub App"
            ),
            Self::NoStore => "set TRUING_STORE__URL=sqlite:PATH, or HOME".to_owned(),
            Self::KeyTableMismatch { .. } => "report it".to_owned(),
        }
    }
}

/// Returns the prefix of a message: the origin and a separator. Returns an empty text for the default.
fn origin_prefix(origin: &ValueOrigin) -> String {
    if *origin == ValueOrigin::Default { String::new() } else { format!("{origin}: ") }
}

fn section_name_phrase(section: NamedSection) -> &'static str {
    match section {
        NamedSection::Forge => "a forge's name",
        NamedSection::Team => "a team's name",
        NamedSection::Repo => "a repository's name",
        NamedSection::Price => "a model's name",
        NamedSection::Sync => "a job's name",
        NamedSection::Reviewer => "a reviewer's name",
        NamedSection::Model => "the name of a section of `model`",
        NamedSection::Mcp => "an MCP server's name",
        NamedSection::Tool => "a tool's name",
    }
}

/// Returns true for a variable that Kubernetes sets for a service named `truing`.
fn is_kubernetes_variable(name: &str) -> bool {
    name.starts_with("TRUING_SERVICE_") || name == "TRUING_PORT" || name.starts_with("TRUING_PORT_")
}

/// Maximum number of problems that an error lists; further problems are only counted. A file that is not TOML
/// may have a problem on every line.
pub const MAX_PROBLEMS: usize = 20;

/// The problems of a configuration; at least one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigError {
    /// First problem of the configuration.
    pub first_problem: Box<ConfigProblem>,
    /// Other problems; together with the first problem at most [`MAX_PROBLEMS`].
    pub other_problems: Vec<ConfigProblem>,
    /// Number of problems beyond those in `first_problem` and `other_problems`.
    pub omitted_count: usize,
}

impl ConfigError {
    /// Returns `Err` if the list contains a problem.
    pub(crate) fn err_if_any(problems: Vec<ConfigProblem>) -> Result<(), Self> {
        let mut problems = problems.into_iter();
        match problems.next() {
            Some(first) => {
                let other_problems = problems.by_ref().take(MAX_PROBLEMS - 1).collect();
                Err(Self { first_problem: Box::new(first), other_problems, omitted_count: problems.count() })
            }
            None => Ok(()),
        }
    }

    /// Returns the listed problems.
    pub fn problems(&self) -> impl Iterator<Item = &ConfigProblem> {
        std::iter::once(&*self.first_problem).chain(&self.other_problems)
    }
}

impl From<ConfigProblem> for ConfigError {
    fn from(problem: ConfigProblem) -> Self {
        Self { first_problem: Box::new(problem), other_problems: Vec::new(), omitted_count: 0 }
    }
}

impl ConfigError {
    /// Adds an origin to the problem of a missing value: the origin of another key that is set in the same
    /// section.
    pub(crate) fn with_section_origin(
        self,
        first_set_origin: impl Fn(&str) -> Option<(String, ValueOrigin)>,
    ) -> Self {
        let placed = |problem: ConfigProblem| {
            let ConfigProblem::BadValue { origin: ValueOrigin::Default, key, requirement: wrong } = &problem
            else {
                return problem;
            };
            let set = key.rsplit_once('.').and_then(|(section, _)| first_set_origin(section));
            let Some((other, origin)) = set else { return problem };
            ConfigProblem::BadValue {
                origin,
                requirement: format!("{wrong} (`{other}` is set)"),
                key: key.clone(),
            }
        };
        let Self { first_problem: first, other_problems, omitted_count: left_out } = self;
        Self {
            first_problem: Box::new(placed(*first)),
            other_problems: other_problems.into_iter().map(placed).collect(),
            omitted_count: left_out,
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines: Vec<String> = self.problems().map(ConfigProblem::to_string).collect();
        if self.omitted_count > 0 {
            lines.push(format!("and {} more", self.omitted_count));
        }
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for ConfigError {}
