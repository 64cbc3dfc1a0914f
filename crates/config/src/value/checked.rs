//! A validated value, or the fault in it.

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
    /// No value; code that uses the key derives the default.
    Unset,
    /// The file of the database.
    Store(PathBuf),
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
    Name(String),
    /// The place of a secret.
    Secret(SecretSource),
    /// The places of several secrets.
    Secrets(Vec<SecretSource>),
    /// Names, each with the place of a secret.
    SecretTable(BTreeMap<String, SecretSource>),
    /// Globs, names, networks or folders.
    List(Vec<String>),
    /// Commands, each a program and its arguments.
    Commands(Vec<Vec<String>>),
    /// A list of exit codes.
    Codes(Vec<i32>),
    /// Names, each with an id.
    Ids(BTreeMap<String, String>),
    /// Names of rules, each with severities.
    Severities(BTreeMap<String, Vec<RuleSeverity>>),
    /// Rules for the tier of reviews.
    Tiers(Vec<TierRule>),
    /// Instructions for reviews of certain paths.
    Instructions(Vec<PathInstruction>),
}

impl ConfigValue {
    /// Returns the places of all secrets in the value.
    pub fn secrets(&self) -> Vec<&SecretSource> {
        match self {
            Self::Secret(secret) => vec![secret],
            Self::Secrets(all) => all.iter().collect(),
            Self::SecretTable(all) => all.values().collect(),
            Self::Unset
            | Self::Store(_)
            | Self::Address(_)
            | Self::Integer(_)
            | Self::Duration(..)
            | Self::Choice(_)
            | Self::Flag(_)
            | Self::Url(_)
            | Self::Path(_)
            | Self::Usd(..)
            | Self::Name(_)
            | Self::List(_)
            | Self::Commands(_)
            | Self::Codes(_)
            | Self::Ids(_)
            | Self::Severities(_)
            | Self::Tiers(_)
            | Self::Instructions(_) => Vec::new(),
        }
    }
}

/// The fault in a value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum ConfigValueError {
    /// Requirement that the value violates, as text after the key's name.
    Value(String),
    /// A word that this version does not support yet.
    Planned {
        word: String,
        /// Words that this version supports.
        built: &'static [&'static str],
    },
    /// A secret that the configuration contains directly.
    Literal,
}

/// Joins words as `"a"` or `"a" or "b"`.
pub(super) fn join_alternatives<S: fmt::Display>(words: &[S]) -> String {
    words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(" or ")
}

pub(super) fn requirement_error(requirement: impl fmt::Display) -> ConfigValueError {
    ConfigValueError::Value(format!("must {requirement}"))
}
