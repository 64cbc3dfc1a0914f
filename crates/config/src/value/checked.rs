//! A checked value, or what is wrong with it.

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

/// A checked value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ConfigValue {
    /// Nothing: a computed default that is worked out where it is used.
    Unset,
    /// The database's file.
    Store(PathBuf),
    /// An address to listen on.
    Address(SocketAddr),
    /// A number.
    Integer(i64),
    /// A length of time, and how it was written.
    Duration(Duration, String),
    /// One of the words of the key's kind.
    Choice(&'static str),
    /// Yes or no.
    Flag(bool),
    /// A URL without a slash at its end.
    Url(String),
    /// A folder or a file.
    Path(PathBuf),
    /// Dollars, and how they were written.
    Usd(MicroUsd, String),
    /// A name, or a text.
    Name(String),
    /// Where a secret is kept.
    Secret(SecretSource),
    /// Where several are.
    Secrets(Vec<SecretSource>),
    /// Names, each with the place of a secret.
    SecretTable(BTreeMap<String, SecretSource>),
    /// Globs, names, networks or folders.
    List(Vec<String>),
    /// Commands, each a program and its arguments.
    Commands(Vec<Vec<String>>),
    /// Exit codes.
    Codes(Vec<i32>),
    /// Names, each with an id.
    Ids(BTreeMap<String, String>),
    /// Rules' names, each with severities.
    Severities(BTreeMap<String, Vec<RuleSeverity>>),
    /// Rules for the tier of reviews.
    Tiers(Vec<TierRule>),
    /// Instructions to reviews of some paths.
    Instructions(Vec<PathInstruction>),
}

impl ConfigValue {
    /// The places of all secrets in it.
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
pub(crate) enum ValueFault {
    /// It must be something else; in words that follow the key's name.
    Value(String),
    /// A word that this version does not know yet.
    Planned {
        /// The word.
        word: String,
        /// Those it knows.
        built: &'static [&'static str],
    },
    /// A secret itself, written out.
    Literal,
}

pub(super) fn must(what: impl fmt::Display) -> ValueFault {
    ValueFault::Value(format!("must {what}"))
}
