//! The values of variables: their types, and how they are inserted into a prompt.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use truing_core::line::is_invisible_char;
use truing_reader::mask::mask_secrets;

use super::problem::{PromptError, PromptProblemKind};

/// Maximum number of bytes of a word.
const MAX_WORD_BYTES: usize = 200;
/// Maximum number of bytes of a value.
const MAX_VALUE_BYTES: usize = 512 << 10;
/// Allowed length of the fence word in bytes: long enough that it cannot be guessed, and short enough to be
/// readable.
const BOUNDARY_WORD_BYTES: std::ops::RangeInclusive<usize> = 16..=64;

/// The type of a variable.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VariableKind {
    /// A whole number, inserted unchanged.
    Integer,
    /// One word that Truing or the operator chose, such as a commit's id; inserted unchanged.
    Word,
    /// Untrusted text, inserted between marks, on lines of its own.
    Data,
}

impl VariableKind {
    /// Returns the name of the type in front matter.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Integer => "integer",
            Self::Word => "word",
            Self::Data => "data",
        }
    }

    /// Checks that a value has this type.
    pub(super) fn check_value(self, name: &str, value: &str) -> Result<(), PromptProblemKind> {
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"._-+:/@".contains(&byte);
        let (fits, expected) = match self {
            Self::Integer => (value.parse::<i64>().is_ok(), "a whole number"),
            Self::Word => (
                (1..=MAX_WORD_BYTES).contains(&value.len()) && value.bytes().all(is_letter),
                "one word of at most 200 characters: letters, digits and any of ._-+:/@",
            ),
            Self::Data => (value.len() <= MAX_VALUE_BYTES, "at most 512 KiB of text"),
        };
        if fits { Ok(()) } else { Err(PromptProblemKind::BadValue { name: name.to_owned(), expected }) }
    }
}

/// The values of a prompt's variables.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PromptValues(BTreeMap<String, String>);

impl PromptValues {
    /// Adds a value, or replaces the value of the same name.
    #[must_use]
    pub fn with_value(mut self, name: &str, value: impl Into<String>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// The fence word in the marks around data. The word is random and new for every run, so the author of the
/// data cannot know it in advance.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DataBoundary(String);

impl DataBoundary {
    /// Returns a boundary with this fence word.
    ///
    /// # Errors
    /// [`PromptError::BadBoundaryWord`]
    pub fn new(word: &str) -> Result<Self, PromptError> {
        let fits = BOUNDARY_WORD_BYTES.contains(&word.len())
            && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        if fits { Ok(Self(word.to_owned())) } else { Err(PromptError::BadBoundaryWord) }
    }

    /// Returns a value as it is inserted into a prompt.
    pub(super) fn render_value(
        &self,
        name: &str,
        kind: VariableKind,
        value: &str,
    ) -> Result<String, PromptProblemKind> {
        kind.check_value(name, value)?;
        Ok(match kind {
            VariableKind::Integer | VariableKind::Word => value.to_owned(),
            VariableKind::Data => self.enclose(name, value),
        })
    }

    /// Encloses untrusted text between marks. The fence word is removed from the text, and invisible
    /// characters are escaped.
    pub fn enclose(&self, name: &str, text: &str) -> String {
        let shown = escape_invisible(text);
        let inside = mask_secrets(&shown);
        let Self(word) = self;
        // The fence word is removed after all other replacements, because a replacement could produce the
        // word.
        let inside = inside.replace(word.as_str(), "[…]");
        let end = if inside.ends_with('\n') || inside.is_empty() { "" } else { "\n" };
        format!("<data-{word} name=\"{name}\">\n{inside}{end}</data-{word}>")
    }
}

/// Escapes the invisible characters in untrusted text.
pub(crate) fn escape_invisible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.replace("\r\n", "\n").chars() {
        if is_invisible_char(letter) && !matches!(letter, '\n' | '\t') {
            shown.extend(letter.escape_unicode());
        } else {
            shown.push(letter);
        }
    }
    shown
}
