//! The errors in prompts, with messages for their authors.

use std::fmt;
use std::path::PathBuf;

use truing_core::template::INVALID_PLACEHOLDER_MESSAGE;

/// The reason that a prompt cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PromptError {
    /// There is no prompt of this name.
    #[error("there is no prompt `{name}` (known: {known_names})")]
    Unknown {
        /// Name that was requested.
        name: String,
        /// Names of the existing prompts.
        known_names: String,
    },
    /// One or more modules are invalid.
    #[error("prompts are invalid: {}", join_problems(.0))]
    Invalid(Vec<PromptProblem>),
    /// The values do not fit the prompt.
    #[error("prompt `{name}` cannot be filled in: {}", describe_values(problems, undeclared_values))]
    Values {
        /// Name of the prompt.
        name: String,
        /// The problems with values that are missing or of the wrong type, each at the variable's
        /// declaration.
        problems: Vec<PromptProblem>,
        /// Values that no module declares.
        undeclared_values: Vec<String>,
    },
    /// A folder of prompts cannot be read.
    #[error("the folder of prompts {} cannot be read: {source}", path.display())]
    Folder {
        /// Path of the folder, or of an entry in it.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// A folder has too many files.
    #[error("the folder of prompts {} holds more than {max_files} files", path.display())]
    TooManyFiles {
        /// Path of the folder.
        path: PathBuf,
        max_files: usize,
    },
    /// The fence word is too short, too long, or contains characters that are not allowed.
    #[error("the word that marks data must have 16 to 64 characters, only letters a to z and digits")]
    BadBoundaryWord,
}

fn join_problems(problems: &[PromptProblem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

fn describe_values(problems: &[PromptProblem], unknown: &[String]) -> String {
    let unknown =
        unknown.iter().map(|name| format!("`{name}` is given, but no module of the prompt declares it"));
    problems.iter().map(ToString::to_string).chain(unknown).collect::<Vec<_>>().join("; ")
}

/// A problem in a module.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct PromptProblem {
    /// Path of the file.
    pub file: String,
    /// Line number, from 1.
    pub line: u32,
    /// Kind of the problem, with its details.
    pub kind: PromptProblemKind,
}

impl fmt::Display for PromptProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, kind } = self;
        write!(f, "{file}:{line}: {kind}")
    }
}

/// The kind of a problem in a module or case.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, thiserror::Error)]
pub enum PromptProblemKind {
    /// The line `+++` is missing at the beginning, or at the end of the front matter.
    #[error("there is no front matter: TOML between two lines of `+++` at the beginning of the file")]
    NoFrontMatter,
    /// The front matter is not valid TOML, or has invalid fields.
    #[error("the front matter is invalid: {0}")]
    FrontMatter(String),
    /// The name in the front matter differs from the name that follows from the file's path.
    #[error("its name is `{front_matter_name}`, but its file is named `{name}`")]
    NameMismatch {
        /// Name in the front matter.
        front_matter_name: String,
        /// Name that follows from the file's path.
        name: String,
    },
    /// The name that follows from the file's path is not a valid name of a module or case.
    #[error("`{0}` is not a name of a module or case: use lower-case letters, digits and `-`")]
    BadModuleName(String),
    /// The text is not valid UTF-8.
    #[error("it is not UTF-8 text")]
    NotText,
    /// The file exceeds the size limit.
    #[error("it is longer than {0} bytes")]
    TooLong(usize),
    /// The variable's name is invalid.
    #[error("`{0}` is not a valid name of a variable: use lower-case letters, digits and `_`")]
    BadVariableName(String),
    /// The fields `required` and `default` contradict each other: a required variable must not have a
    /// default, and an optional variable must have one.
    #[error(
        "variable `{0}`: a required variable must not have a default, and an optional variable must \
        have one"
    )]
    RequiredAndDefault(String),
    /// The variable is used but not declared.
    #[error("variable `{0}` is not declared: add `[variables.{0}]` to the front matter")]
    Undeclared(String),
    /// The variable is declared but not used.
    #[error(
        "variable `{0}` is declared and not used: remove `[variables.{0}]`, or put `{{{{{0}}}}}` in the text"
    )]
    Unused(String),
    /// The text has `{{` without a variable.
    #[error("{INVALID_PLACEHOLDER_MESSAGE}")]
    InvalidPlaceholder,
    /// A variable of the type `data` is not on a line of its own.
    #[error("variable `{0}` is data and must be alone on its line")]
    DataWithinLine(String),
    /// The module has neither text nor includes.
    #[error("it has neither text nor modules that it includes")]
    EmptyModule,
    /// The included module does not exist.
    #[error("it includes `{0}`, but there is no such module")]
    NoSuchModule(String),
    /// A module is included twice in one prompt, or in a cycle.
    #[error("it includes `{0}`, which is in the prompt already")]
    IncludedTwice(String),
    /// The prompt exceeds the maximum number of modules.
    #[error("it consists of more than {0} modules")]
    TooManyModules(usize),
    /// Two modules of a prompt declare the same variable differently.
    #[error("variable `{0}` is declared with another type or default by another module of the prompt")]
    DeclarationConflict(String),
    /// The case of a step test is invalid.
    #[error("the case is wrong: {0}")]
    Case(String),
    /// A required value is missing.
    #[error("variable `{0}` is not given, and has no default")]
    MissingValue(String),
    /// A value does not have the type of its variable.
    #[error("variable `{name}` must be {expected}")]
    BadValue {
        /// Name of the variable.
        name: String,
        /// Description of valid values.
        expected: &'static str,
    },
}
