//! What can be wrong with prompts, in words for whoever writes them.

use std::fmt;
use std::path::PathBuf;

use truing_core::template::NO_VARIABLE;

/// Why a prompt cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PromptError {
    /// There is none of this name.
    #[error("there is no prompt `{name}` (known: {known})")]
    Unknown {
        /// As asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// Modules are wrong.
    #[error("prompts are wrong: {}", list(.0))]
    Wrong(Vec<PromptProblem>),
    /// The values do not fit the prompt.
    #[error("prompt `{name}` cannot be filled in: {}", values(problems, unknown))]
    Values {
        /// Which.
        name: String,
        /// Of values that are missing or not of their type: where they are declared.
        problems: Vec<PromptProblem>,
        /// Values that no module declares.
        unknown: Vec<String>,
    },
    /// A folder of prompts cannot be read.
    #[error("the folder of prompts {} cannot be read: {source}", path.display())]
    Folder {
        /// Which, or what in it.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// A folder holds too much.
    #[error("the folder of prompts {} holds more than {most} files", path.display())]
    TooManyFiles {
        /// Which.
        path: PathBuf,
        /// The bound.
        most: usize,
    },
    /// A word that is to mark data is too easy to guess or to write.
    #[error("the word that marks data must be 16 to 64 of the letters a to z and digits")]
    BadFence,
}

fn list(problems: &[PromptProblem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

fn values(problems: &[PromptProblem], unknown: &[String]) -> String {
    let unknown = unknown.iter().map(|name| format!("`{name}` is given, and no module of it declares that"));
    problems.iter().map(ToString::to_string).chain(unknown).collect::<Vec<_>>().join("; ")
}

/// Something that is wrong in a module.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct PromptProblem {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// What.
    pub what: PromptProblemKind,
}

impl fmt::Display for PromptProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, what } = self;
        write!(f, "{file}:{line}: {what}")
    }
}

/// What is wrong.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, thiserror::Error)]
pub enum PromptProblemKind {
    /// No line of `+++` at the beginning, or none that ends it.
    #[error("there is no front matter: TOML between two lines of `+++` at the beginning of the file")]
    NoFrontMatter,
    /// The front matter is no TOML, or not what it should be.
    #[error("the front matter is wrong: {0}")]
    FrontMatter(String),
    /// Another name than the file's.
    #[error("its name is `{given}`, but its file's is `{name}`")]
    OtherName {
        /// As it says.
        given: String,
        /// By its path.
        name: String,
    },
    /// A file's name cannot be that of a module or case.
    #[error("`{0}` is no name of a module or case: use lower-case letters, digits and `-`")]
    BadModuleName(String),
    /// Not UTF-8.
    #[error("it is no text in UTF-8")]
    NotText,
    /// Over the bound.
    #[error("it is longer than {0} bytes")]
    TooLong(usize),
    /// A variable's name.
    #[error("`{0}` is no name of a variable: use lower-case letters, digits and `_`")]
    BadName(String),
    /// `required` says one thing and `default` another.
    #[error("variable `{0}`: one that is required has no default, and one that is not has one")]
    RequiredAndDefault(String),
    /// Used and not declared.
    #[error("variable `{0}` is not declared: add `[variables.{0}]` to the front matter")]
    Undeclared(String),
    /// Declared and not used.
    #[error(
        "variable `{0}` is declared and not used: remove `[variables.{0}]`, or put `{{{{{0}}}}}` in the text"
    )]
    Unused(String),
    /// `{{` of something else.
    #[error("{NO_VARIABLE}")]
    NoVariable,
    /// Data within a line.
    #[error("variable `{0}` is data and must stand on a line of its own")]
    NotAlone(String),
    /// Neither text nor includes.
    #[error("it has neither text nor modules that it includes")]
    Empty,
    /// An include of nothing.
    #[error("it includes `{0}`, and there is no such module")]
    NoSuchModule(String),
    /// Twice in one prompt, or in a circle.
    #[error("it includes `{0}`, which is in the prompt already")]
    IncludedTwice(String),
    /// Over the bound.
    #[error("it is put together from more than {0} modules")]
    TooManyParts(usize),
    /// Two modules of a prompt do not agree.
    #[error("variable `{0}` is declared with another type or default by another module of the prompt")]
    OtherDeclaration(String),
    /// A case of a step test.
    #[error("the case is wrong: {0}")]
    Case(String),
    /// A value that is needed is missing.
    #[error("variable `{0}` is not given, and has no default")]
    NotGiven(String),
    /// A value is not of its type.
    #[error("variable `{name}` must be {wanted}")]
    BadValue {
        /// Which.
        name: String,
        /// What it may be.
        wanted: &'static str,
    },
}
