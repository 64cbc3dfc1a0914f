//! Values: what they may be, and how they stand in a text.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use truing_core::line::is_hidden;
use truing_reader::mask::mask;

use super::problem::{PromptError, PromptProblemKind};

/// The longest word, in bytes.
const MAX_WORD_BYTES: usize = 200;
/// The longest value, in bytes.
const MAX_VALUE_BYTES: usize = 512 << 10;
/// How long a fence's word may be, in bytes: too long to be guessed, and not tiresome.
const FENCE_BYTES: std::ops::RangeInclusive<usize> = 16..=64;

/// What a variable may be.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VariableKind {
    /// A whole number.
    Integer,
    /// One word that we or the operator chose, such as a commit's id: it stands in the text as it is.
    Word,
    /// Text that others wrote: it stands between marks, on lines of its own.
    Data,
}

impl VariableKind {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Integer => "integer",
            Self::Word => "word",
            Self::Data => "data",
        }
    }

    /// Makes sure that a value is one.
    pub(super) fn checked(self, name: &str, value: &str) -> Result<(), PromptProblemKind> {
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"._-+:/@".contains(&byte);
        let (fits, wanted) = match self {
            Self::Integer => (value.parse::<i64>().is_ok(), "a whole number"),
            Self::Word => (
                (1..=MAX_WORD_BYTES).contains(&value.len()) && value.bytes().all(is_letter),
                "one word of letters, digits and any of ._-+:/@, at most 200",
            ),
            Self::Data => (value.len() <= MAX_VALUE_BYTES, "at most 512 KiB of text"),
        };
        if fits { Ok(()) } else { Err(PromptProblemKind::BadValue { name: name.to_owned(), wanted }) }
    }
}

/// What a prompt is filled in with.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PromptValues(BTreeMap<String, String>);

impl PromptValues {
    /// With one more, in place of one of that name.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
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

/// The word in the marks around data: made anew for every run, so that nobody can write it before.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DataFence(String);

impl DataFence {
    /// With this word.
    ///
    /// # Errors
    /// [`PromptError::BadFence`]
    pub fn new(word: &str) -> Result<Self, PromptError> {
        let fits = FENCE_BYTES.contains(&word.len())
            && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        if fits { Ok(Self(word.to_owned())) } else { Err(PromptError::BadFence) }
    }

    /// A value as it stands in a text.
    pub(super) fn shown(
        &self,
        name: &str,
        kind: VariableKind,
        value: &str,
    ) -> Result<String, PromptProblemKind> {
        kind.checked(name, value)?;
        Ok(match kind {
            VariableKind::Integer | VariableKind::Word => value.to_owned(),
            VariableKind::Data => self.around(name, value),
        })
    }

    /// Text of others between marks. The word itself cannot be in it, and what people do not see is written as an
    /// escape.
    pub fn around(&self, name: &str, text: &str) -> String {
        let shown = shown(text);
        let inside = mask(&shown);
        let Self(word) = self;
        // Last, so that nothing taken out or put in before leaves the word behind.
        let inside = inside.replace(word.as_str(), "[…]");
        let end = if inside.ends_with('\n') || inside.is_empty() { "" } else { "\n" };
        format!("<data-{word} name=\"{name}\">\n{inside}{end}</data-{word}>")
    }
}

/// Text of others as it is shown: what people do not see is written as an escape.
pub(crate) fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.replace("\r\n", "\n").chars() {
        if is_hidden(letter) && !matches!(letter, '\n' | '\t') {
            shown.extend(letter.escape_unicode());
        } else {
            shown.push(letter);
        }
    }
    shown
}
