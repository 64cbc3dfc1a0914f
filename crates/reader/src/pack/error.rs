//! Errors in rule files, with their lines and columns.

use truing_core::port::ReaderError;

/// The reason why packs cannot be parsed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PackError {
    /// The path is not `{pack}/rules/{rule}.toml` or `.yml`.
    #[error("{file}: the path of a rule file must be PACK/rules/RULE.toml or PACK/rules/RULE.yml")]
    InvalidPath { file: String },
    /// Two files contain a rule of the same name.
    #[error("{file}: another file already defines the rule `{rule}`")]
    Duplicate {
        /// Path of the second file.
        file: String,
        /// Full name of the rule.
        rule: String,
    },
    /// A rule file or a folder cannot be read.
    #[error("{path}: {message}")]
    Unreadable {
        /// Path of the file or folder.
        path: String,
        /// Reason that the operating system reports.
        message: String,
    },
    /// A rule file contains an invalid part: its syntax, a field, or a pattern.
    #[error("{file}:{line}:{column}: {message}")]
    Invalid {
        file: String,
        /// Line at which the invalid part begins, from 1.
        line: usize,
        /// Column at which the invalid part begins, from 1, in characters.
        column: usize,
        /// Description of the error. For a pattern, the description includes the position in the pattern.
        message: String,
    },
    /// No thread could be started to parse the rules.
    #[error("cannot read the rules: cannot start a thread: {0}")]
    ThreadStartFailed(String),
    /// A valid pattern is too large to compile.
    #[error("rule `{rule}`: {message}")]
    PatternTooLarge {
        /// Full name of the rule.
        rule: String,
        /// Message of the regex compiler.
        message: String,
    },
}

impl From<PackError> for ReaderError {
    fn from(error: PackError) -> Self {
        Self::BadPack(error.to_string())
    }
}

/// Converts a byte offset in a rule file to a 1-based line and column.
pub(super) fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.rsplit('\n').next().unwrap_or_default();
    (1 + before.matches('\n').count(), 1 + line.chars().count())
}
