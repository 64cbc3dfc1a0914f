//! What is wrong with a configuration: every problem names its place and says what to do.

use std::fmt;

use truing_core::linter::LINTERS;

use super::keys::NamedSection;
use super::value::ValueFault;

/// The most bytes of a repository's own file, which a stranger may have written.
pub(super) const MAX_REPOSITORY_FILE: u64 = 128 << 10;
/// The parser's words for a key that is there already.
pub(super) const DUPLICATE: &str = "duplicate key";

/// Who set a value, weakest first.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum ValueOrigin {
    /// Nobody: it is the key's default.
    Default,
    /// The repository's own file.
    Repository {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
    },
    /// The operator's file.
    Operator {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
    },
    /// A variable of another program's making.
    Foreign(String),
    /// A variable of ours.
    Variable(String),
    /// A flag.
    Flag(String),
}

impl ValueOrigin {
    /// One word for programs.
    pub fn layer(&self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Repository { .. } => "repository",
            Self::Operator { .. } => "operator",
            Self::Foreign(_) => "foreign",
            Self::Variable(_) => "variable",
            Self::Flag(_) => "flag",
        }
    }
}

/// As people look for it.
impl fmt::Display for ValueOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Repository { file, line } | Self::Operator { file, line } => write!(f, "{file}:{line}"),
            Self::Foreign(name) | Self::Variable(name) => write!(f, "variable {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ConfigProblem {
    /// A file cannot be read.
    #[error("configuration file {file} cannot be read: {why}")]
    Unreadable {
        /// The file.
        file: String,
        /// Why.
        why: String,
    },
    /// The repository's own file cannot be read.
    #[error("configuration file {file} cannot be read: {why}")]
    RepositoryFile {
        /// The file.
        file: String,
        /// Why.
        why: String,
    },
    /// A file is not TOML.
    #[error("{at}: {why}")]
    Syntax {
        /// Where.
        at: ValueOrigin,
        /// What the parser says.
        why: String,
    },
    /// There is no such key.
    #[error("{at}: unknown key `{}`", path.join("."))]
    UnknownKey {
        /// Where.
        at: ValueOrigin,
        /// As it is written, part by part.
        path: Vec<String>,
        /// The known key that it must mean; else it is looked for when it is told: a file may hold 100,000 of them.
        nearest: Option<String>,
    },
    /// A variable with our prefix that is no key.
    #[error("unknown variable {name}")]
    UnknownVariable {
        /// As it is written.
        name: String,
        /// The known variable nearest to it.
        nearest: String,
    },
    /// A password that opens nothing any more.
    #[error(
        "variable {name} is set, and app passwords no longer work: Bitbucket has ended them in July 2026"
    )]
    AppPassword {
        /// The variable.
        name: &'static str,
    },
    /// A name that cannot be one.
    #[error("{at}: `{name}` cannot be {}", the_name_of(*named))]
    Name {
        /// Where.
        at: ValueOrigin,
        /// Of what.
        named: NamedSection,
        /// As it is written.
        name: String,
    },
    /// A key of the operator's in a repository's own file.
    #[error("{at}: `{key}` cannot be set by a repository")]
    NotForRepository {
        /// Where.
        at: ValueOrigin,
        /// The key.
        key: String,
    },
    /// A value that its key cannot have.
    #[error("{at}: `{key}` {wrong}")]
    BadValue {
        /// Where.
        at: ValueOrigin,
        /// The key.
        key: String,
        /// What it must be.
        wrong: String,
    },
    /// A value whose part is not built.
    #[error("{at}: `{key}`: \"{word}\" is not built in this version of truing")]
    NotBuilt {
        /// Where.
        at: ValueOrigin,
        /// The key.
        key: String,
        /// The value.
        word: String,
        /// Values that are built.
        built: &'static [&'static str],
    },
    /// A secret itself, written out.
    #[error("{at}: `{key}` holds the secret itself (not shown)")]
    LiteralSecret {
        /// Where.
        at: ValueOrigin,
        /// The key.
        key: String,
    },
    /// A forge whose name is no kind needs one.
    #[error("`forge.{name}` needs a `kind`: \"{name}\" is none")]
    KindMissing {
        /// The forge.
        name: String,
    },
    /// A Data Center is at an address of its own.
    #[error("`forge.{name}` needs an `api_url`: a Bitbucket Data Center is at an address of its own")]
    NoAddress {
        /// The forge.
        name: String,
    },
    /// Two values that do not go together.
    #[error("`{key} = {value}` ({at}) must {relation} `{other} = {other_value}` ({other_at})")]
    Conflict {
        /// One key.
        key: &'static str,
        /// Its value.
        value: String,
        /// Who set it.
        at: ValueOrigin,
        /// What it must be to the other.
        relation: &'static str,
        /// The other key.
        other: &'static str,
        /// Its value.
        other_value: String,
        /// Who set it.
        other_at: ValueOrigin,
    },
    /// A login that is none, or two.
    #[error("`forge.{name}` {wrong}")]
    Login {
        /// The forge.
        name: String,
        /// What is wrong.
        wrong: &'static str,
    },
    /// A `[[tool]]` that does not say which tool it is.
    #[error("{at}: a `[[tool]]` has no `name`")]
    ToolUnnamed {
        /// Where.
        at: ValueOrigin,
    },
    /// Two `[[tool]]` of one name.
    #[error("{at}: the tool `{name}` is there already ({first})")]
    ToolTwice {
        /// Where.
        at: ValueOrigin,
        /// The tool.
        name: String,
        /// The place of the first one.
        first: ValueOrigin,
    },
    /// A tool that is not known, and that is not described.
    #[error("{}`tool.{name}` needs {missing}: no tool of this name is known", before(at))]
    ToolUnknown {
        /// Where one of its keys is set; the default: nowhere.
        at: ValueOrigin,
        /// The tool.
        name: String,
        /// The keys that it lacks, in words.
        missing: &'static str,
    },
    /// A price that is not whole.
    #[error("`price.{name}` does not say what {what} costs")]
    Price {
        /// The model.
        name: String,
        /// What is missing.
        what: &'static str,
    },
    /// Neither a database is named, nor a home folder to keep one in.
    #[error("there is no place for the database: neither `store.url` nor XDG_STATE_HOME nor HOME is set")]
    NoStore,
    /// The table of keys and the code that reads it disagree: a bug.
    #[error("`{key}` is not as the table of keys says; this is a bug in truing")]
    Table {
        /// The key.
        key: String,
    },
}

impl ConfigProblem {
    /// What is wrong with the value of `key`, at `at`.
    pub(crate) fn of_value(at: ValueOrigin, key: String, wrong: ValueFault) -> Self {
        match wrong {
            ValueFault::Value(wrong) => Self::BadValue { at, key, wrong },
            ValueFault::Planned { word, built } => Self::NotBuilt { at, key, word, built },
            ValueFault::Literal => Self::LiteralSecret { at, key },
        }
    }

    /// A stable word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } | Self::RepositoryFile { .. } => "config_unreadable",
            Self::Syntax { .. } => "config_syntax",
            Self::UnknownKey { .. } => "unknown_key",
            Self::UnknownVariable { .. } => "unknown_variable",
            Self::AppPassword { .. } => "app_password",
            Self::Name { named: NamedSection::Forge, .. } => "bad_forge_name",
            Self::Name {
                named:
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
            Self::ToolTwice { .. } => "tool_twice",
            Self::ToolUnknown { .. } => "tool_unknown",
            Self::Price { .. } => "price_missing",
            Self::NotForRepository { .. } => "not_for_repository",
            Self::BadValue { .. } => "bad_value",
            Self::NotBuilt { .. } => "not_built",
            Self::LiteralSecret { .. } => "literal_secret",
            Self::KindMissing { .. } => "kind_missing",
            Self::Conflict { .. } => "conflicting_values",
            Self::NoAddress { .. } => "no_address",
            Self::Login { .. } => "bad_login",
            Self::NoStore => "no_store",
            Self::Table { .. } => "bug",
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::AppPassword { .. } => {
                "unset it; an access token or an API token takes its place: `token` of the forge's section, with `email` for an API token".to_owned()
            }
            Self::Unreadable { .. } => "name a file that exists and may be read; `truing init` writes a new one".to_owned(),
            Self::RepositoryFile { .. } => {
                format!("make it a plain file of UTF-8 text, of {} KiB at most, or delete it", MAX_REPOSITORY_FILE >> 10)
            }
            Self::Syntax { why, .. } if why.starts_with(DUPLICATE) => {
                "say it once: a key or table that is there already cannot be written again".to_owned()
            }
            Self::Syntax { .. } => "the file must be TOML (https://toml.io)".to_owned(),
            Self::UnknownKey { path, nearest, .. } => {
                let path: Vec<&str> = path.iter().map(String::as_str).collect();
                let nearest = nearest.clone().unwrap_or_else(|| super::keys::nearest(&path));
                format!("did you mean `{nearest}`? All keys: `truing config schema`")
            }
            Self::UnknownVariable { name, .. } if of_a_cluster(name) => {
                "it looks like Kubernetes' link to a service named `truing`: set `enableServiceLinks: false` for \
                 the pod, or name the service otherwise"
                    .to_owned()
            }
            Self::UnknownVariable { nearest, .. } => format!("did you mean {nearest}? All keys: `truing config schema`"),
            Self::Name { named: NamedSection::Reviewer, name, .. } if name == super::keys::INTERNAL => {
                "it is Truing's own auditor: `[converge]` says how it audits; choose another name".to_owned()
            }
            Self::Name { named: NamedSection::Forge | NamedSection::Team | NamedSection::Sync | NamedSection::Reviewer | NamedSection::Model | NamedSection::Mcp, .. } => {
                "use lower-case letters, digits and `-`, a letter first".to_owned()
            }
            Self::Name { named: NamedSection::Repo, .. } => "write it as [repo.\"owner/name\"]".to_owned(),
            Self::Name { named: NamedSection::Price, .. } => {
                "write the name that is asked for, without blanks: [price.\"model\"]".to_owned()
            }
            Self::Name { named: NamedSection::Tool, .. } => {
                "use lower-case letters, digits and `-`, a letter first; or the name of a known tool as it is, such as \
                 \"go vet\" in quotes"
                    .to_owned()
            }
            Self::ToolUnnamed { .. } => "add its name, such as `name = \"ruff\"`".to_owned(),
            Self::ToolTwice { .. } => "write the two as one, or give one another name".to_owned(),
            Self::ToolUnknown { .. } => {
                format!(
                    "say both, such as `command = [\"lint\", \"{{files}}\"]` and `format = \"sarif\"`; only known \
                     tools need neither: `{}`",
                    LINTERS.join("`, `")
                )
            }
            Self::Price { .. } => "say both `input` and `output`, be it 0".to_owned(),
            Self::NotForRepository { key, .. } => {
                let variable = super::keys::own_variable(key).map(|name| format!(" or the variable {name}"));
                format!("move it to the operator's file{}", variable.unwrap_or_default())
            }
            Self::BadValue { key, .. } => format!("see `{key}` in `truing config schema`"),
            Self::NotBuilt { built, .. } => format!("use `{}`", built.join("` or `")),
            Self::LiteralSecret { key, .. } => format!(
                "say where it is: {key} = {{ env = \"VARIABLE\" }} or {{ file = \"PATH\" }}, or the variable {}__ENV; \
                 and replace the secret if this file was shared",
                super::keys::variable(key)
            ),
            Self::KindMissing { name } => format!("add `kind = \"github\"` to [forge.{name}]"),
            Self::NoAddress { name } => {
                format!("add `api_url = \"https://bitbucket.example.com\"` to [forge.{name}]")
            }
            Self::Conflict { .. } => "change one of the two".to_owned(),
            Self::Login { name, .. } => format!(
                "in [forge.{name}] give either `token`, or `app_id` and `private_key` of a GitHub App"
            ),
            Self::NoStore => "set TRUING_STORE__URL=sqlite:PATH, or HOME".to_owned(),
            Self::Table { .. } => "report it".to_owned(),
        }
    }
}

/// A place and what is between it and a message; nothing where there is no place.
fn before(at: &ValueOrigin) -> String {
    if *at == ValueOrigin::Default { String::new() } else { format!("{at}: ") }
}

fn the_name_of(named: NamedSection) -> &'static str {
    match named {
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

/// Is it one of the variables that Kubernetes sets for a service named like us?
fn of_a_cluster(name: &str) -> bool {
    name.starts_with("TRUING_SERVICE_") || name == "TRUING_PORT" || name.starts_with("TRUING_PORT_")
}

/// How many problems are told of; the others are counted. A file that is no TOML at all has one on every line.
pub const MAX_PROBLEMS: usize = 20;

/// What is wrong with a configuration; never nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigError {
    /// The first problem.
    pub first: Box<ConfigProblem>,
    /// The others, [`MAX_PROBLEMS`] with the first at most.
    pub more: Vec<ConfigProblem>,
    /// How many there are beyond those.
    pub left_out: usize,
}

impl ConfigError {
    /// `Err` if there is a problem.
    pub(crate) fn if_any(problems: Vec<ConfigProblem>) -> Result<(), Self> {
        let mut problems = problems.into_iter();
        match problems.next() {
            Some(first) => {
                let more = problems.by_ref().take(MAX_PROBLEMS - 1).collect();
                Err(Self { first: Box::new(first), more, left_out: problems.count() })
            }
            None => Ok(()),
        }
    }

    /// The problems that are told of.
    pub fn problems(&self) -> impl Iterator<Item = &ConfigProblem> {
        std::iter::once(&*self.first).chain(&self.more)
    }
}

impl From<ConfigProblem> for ConfigError {
    fn from(problem: ConfigProblem) -> Self {
        Self { first: Box::new(problem), more: Vec::new(), left_out: 0 }
    }
}

impl ConfigError {
    /// With a place for what is missing: nobody has set it, and somebody has set another key of its section, which
    /// needs it.
    pub(crate) fn placed(self, first_set: impl Fn(&str) -> Option<(String, ValueOrigin)>) -> Self {
        let placed = |problem: ConfigProblem| {
            let ConfigProblem::BadValue { at: ValueOrigin::Default, key, wrong } = &problem else {
                return problem;
            };
            let set = key.rsplit_once('.').and_then(|(section, _)| first_set(section));
            let Some((other, at)) = set else { return problem };
            ConfigProblem::BadValue { at, wrong: format!("{wrong} (`{other}` is set)"), key: key.clone() }
        };
        let Self { first, more, left_out } = self;
        Self { first: Box::new(placed(*first)), more: more.into_iter().map(placed).collect(), left_out }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines: Vec<String> = self.problems().map(ConfigProblem::to_string).collect();
        if self.left_out > 0 {
            lines.push(format!("and {} more", self.left_out));
        }
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for ConfigError {}
