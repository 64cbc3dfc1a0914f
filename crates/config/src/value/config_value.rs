//! A validated value, and the error of an invalid value.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use truing_core::instruction::PathInstruction;
use truing_core::money::MicroUsd;
use truing_core::severity::RuleSeverity;
use truing_core::tier::TierRule;

use crate::secret::SecretSource;

/// A validated value of a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ConfigValue {
    /// No value. The code that reads the key determines the default.
    Unset,
    /// The path of the database file.
    DatabasePath(PathBuf),
    /// An address to listen on.
    Address(SocketAddr),
    /// A whole number in its range.
    Integer(i64),
    /// A length of time, and its original text.
    Duration(Duration, String),
    /// One of the words that the key's kind permits.
    Choice(&'static str),
    /// A boolean, true or false.
    Flag(bool),
    /// A URL without a slash at its end.
    Url(String),
    /// The path of a folder or file.
    Path(PathBuf),
    /// An amount in dollars, and its original text.
    Usd(MicroUsd, String),
    /// A name, or another text.
    Text(String),
    /// The location of a secret.
    Secret(SecretSource),
    /// The locations of several secrets.
    Secrets(Vec<SecretSource>),
    /// Names, each with the location of a secret.
    SecretTable(BTreeMap<String, SecretSource>),
    /// Globs, names, networks or folders.
    StringList(Vec<String>),
    /// Commands, each a program and its arguments.
    Commands(Vec<Vec<String>>),
    /// A list of exit codes.
    ExitCodes(Vec<i32>),
    /// Names, each with an id.
    NamedIds(BTreeMap<String, String>),
    /// Names of rules, each with severities.
    RuleSeverities(BTreeMap<String, Vec<RuleSeverity>>),
    /// Rules that select the tier of a review.
    Tiers(Vec<TierRule>),
    /// Instructions for reviews of certain paths.
    Instructions(Vec<PathInstruction>),
}

impl ConfigValue {
    /// Returns the locations of all secrets in the value.
    pub fn secret_sources(&self) -> Vec<&SecretSource> {
        match self {
            Self::Secret(secret) => vec![secret],
            Self::Secrets(all) => all.iter().collect(),
            Self::SecretTable(all) => all.values().collect(),
            Self::Unset
            | Self::DatabasePath(_)
            | Self::Address(_)
            | Self::Integer(_)
            | Self::Duration(..)
            | Self::Choice(_)
            | Self::Flag(_)
            | Self::Url(_)
            | Self::Path(_)
            | Self::Usd(..)
            | Self::Text(_)
            | Self::StringList(_)
            | Self::Commands(_)
            | Self::ExitCodes(_)
            | Self::NamedIds(_)
            | Self::RuleSeverities(_)
            | Self::Tiers(_)
            | Self::Instructions(_) => Vec::new(),
        }
    }
}

/// The error of an invalid value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum ConfigValueError {
    /// Requirement that the value violates, as the text of an error after the key's name and the word `must`.
    UnmetRequirement(String),
    /// A word that this version does not support yet.
    UnsupportedWord {
        word: String,
        /// Words that this version supports.
        supported_words: &'static [&'static str],
    },
    /// The configuration contains a secret directly instead of its location.
    LiteralSecret,
}

/// Joins words as `"a"` or `"a" or "b"`.
pub(super) fn join_alternatives<S: fmt::Display>(words: &[S]) -> String {
    words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(" or ")
}

pub(super) fn requirement_error(requirement: impl fmt::Display) -> ConfigValueError {
    ConfigValueError::UnmetRequirement(format!("must {requirement}"))
}
