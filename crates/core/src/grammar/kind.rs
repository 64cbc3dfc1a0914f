//! What a value or an operand may be.

use std::fmt;

use serde::Deserialize;
use truing_diff::RepoPath;

/// The most digits of a number.
const MAX_DIGITS: usize = 9;

/// A type of values.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(untagged)]
pub enum Kind {
    /// One of these words.
    OneOf(Vec<String>),
    /// Of a type with a name.
    Named(Named),
}

/// Types with a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Named {
    /// Decimal digits.
    Number,
    /// A name, or several: letters, digits and `_ . , : + -`, beginning with a letter, a digit or `_`.
    Word,
    /// Anything on one line.
    Text,
    /// How git writes a commit: any text, but for what starts `gpg` (`%G?` and its like).
    Format,
    /// A path inside the tree that is no git folder's.
    Path,
    /// As a path, and may begin with `!`.
    Glob,
    /// A path and, after `::`, names of tests in it.
    Test,
    /// A revision, a range of them, a file in one, or a path.
    Revision,
}

impl Kind {
    /// Is this value of the type?
    pub fn fits(&self, value: &str) -> bool {
        match self {
            Self::OneOf(words) => words.iter().any(|word| word == value),
            Self::Named(named) => named.fits(value),
        }
    }
}

impl Named {
    fn fits(self, value: &str) -> bool {
        match self {
            Self::Number => {
                (1..=MAX_DIGITS).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_digit())
            }
            Self::Word => is_word(value),
            Self::Text => is_text(value),
            Self::Format => is_text(value) && !asks_for_signature(value),
            Self::Path => is_path(value),
            Self::Glob => is_path(value.strip_prefix('!').unwrap_or(value)),
            Self::Test => is_path(value.split_once("::").map_or(value, |(path, _)| path)),
            Self::Revision => is_revision(value),
        }
    }
}

fn is_text(value: &str) -> bool {
    !value.chars().any(char::is_control)
}

/// A placeholder of git's that is about a signature: `%G` and a letter, with or without `+`, `-` or a blank in between.
/// `%%` is not looked at apart: `%%G` is refused, too.
fn asks_for_signature(format: &str) -> bool {
    format.split('%').skip(1).any(|rest| rest.trim_start_matches(['+', '-', ' ']).starts_with('G'))
}

fn is_word(value: &str) -> bool {
    let begins = value.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_');
    begins && value.chars().all(|letter| letter.is_ascii_alphanumeric() || "_.,:+-".contains(letter))
}

/// Inside the tree, and nothing that programs take for more than a path: a flag (`-`), a file of arguments (`@`), git's
/// magic (`:`). `.` and what begins with `./` are paths too.
fn is_path(value: &str) -> bool {
    if value.starts_with(['-', '@', ':', '~']) || value.chars().any(char::is_control) {
        return false;
    }
    let mut parts = value.strip_suffix('/').unwrap_or(value);
    while let Some(rest) = parts.strip_prefix("./") {
        parts = rest;
    }
    parts == "." || RepoPath::from_bytes(parts).may_be_written()
}

/// Letters of revisions only, and not a path that leaves the tree: git compares files outside of it where a path
/// stands for a revision.
fn is_revision(value: &str) -> bool {
    let letters = |letter: char| letter.is_alphanumeric() || "_-./@^~{}:+#,".contains(letter);
    !value.is_empty()
        && !value.starts_with(['-', ':', '/', '~'])
        && value.chars().all(letters)
        && value.split('/').all(|part| part != "..")
        && !value.split(['/', ':']).any(|part| part.eq_ignore_ascii_case(".git"))
}

impl fmt::Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OneOf(words) => write!(out, "one of {}", words.join(", ")),
            Self::Named(named) => out.write_str(match named {
                Named::Number => "a number",
                Named::Word => "a word",
                Named::Text => "a line of text",
                Named::Format => "a format without signatures (`%G…` starts gpg)",
                Named::Path => "a path inside the tree",
                Named::Glob => "a glob inside the tree",
                Named::Test => "a test inside the tree",
                Named::Revision => "a revision or a path inside the tree",
            }),
        }
    }
}
