//! What is wrong with a rule file, and where in it.

use truing_core::port::ReaderError;

/// What is wrong with a rule file.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PackError {
    /// The path is not `{pack}/rules/{rule}.toml` or `.yml`.
    #[error("{file}: a rule file is called PACK/rules/RULE.toml or PACK/rules/RULE.yml")]
    Name {
        /// The file.
        file: String,
    },
    /// Two files hold a rule of one name.
    #[error("{file}: there is a rule `{rule}` already")]
    Twice {
        /// The second file.
        file: String,
        /// The rule's full name.
        rule: String,
    },
    /// A rule file or a folder cannot be read.
    #[error("{path}: {message}")]
    Unreadable {
        /// The file or folder.
        path: String,
        /// Why.
        message: String,
    },
    /// A rule's text is wrong: its form, a field, or a pattern.
    #[error("{file}:{line}:{column}: {message}")]
    Wrong {
        /// The file.
        file: String,
        /// 1-based, where what is wrong begins.
        line: usize,
        /// 1-based, in characters.
        column: usize,
        /// What is wrong with it; for patterns with the position within the pattern.
        message: String,
    },
    /// No thread could be started to read the rules on.
    #[error("the rules cannot be read: no thread can be started: {0}")]
    Thread(String),
    /// A pattern that reads well is too large to compile.
    #[error("rule `{rule}`: {message}")]
    Compile {
        /// The rule's full name.
        rule: String,
        /// The compiler's words.
        message: String,
    },
}

impl From<PackError> for ReaderError {
    fn from(error: PackError) -> Self {
        Self::BadPack(error.to_string())
    }
}

/// The 1-based line and column of a byte offset in a rule file.
pub(super) fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.rsplit('\n').next().unwrap_or_default();
    (1 + before.matches('\n').count(), 1 + line.chars().count())
}
