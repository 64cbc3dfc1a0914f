//! The parts of `deny.toml` that the checks read. The file is cargo-deny's, so that tool can be used on it as well.

use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

/// `deny.toml`.
#[derive(Deserialize)]
pub(crate) struct Deny {
    pub(crate) licenses: Licenses,
    pub(crate) advisories: Advisories,
    pub(crate) bans: Bans,
    pub(crate) sources: Sources,
}

/// What may be depended on, by licence.
#[derive(Deserialize)]
pub(crate) struct Licenses {
    /// Licences, each with its exception if it has one (`Apache-2.0 WITH LLVM-exception`).
    pub(crate) allow: Vec<String>,
    #[serde(default)]
    pub(crate) exceptions: Vec<Exception>,
}

/// Further licences for one crate. cargo-deny knows no reason here: it stands in a comment.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Exception {
    #[serde(rename = "crate")]
    pub(crate) name: String,
    pub(crate) allow: Vec<String>,
}

/// Which advisories were looked at and found not to matter here.
#[derive(Deserialize)]
pub(crate) struct Advisories {
    #[serde(default)]
    pub(crate) ignore: Vec<Ignored>,
}

/// An advisory that does not matter here. The reason is for the readers of the file, but must be there.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ignored {
    pub(crate) id: String,
    pub(crate) reason: String,
}

/// What may not be depended on.
#[derive(Deserialize)]
pub(crate) struct Bans {
    pub(crate) deny: Vec<Banned>,
    #[serde(default)]
    pub(crate) skip: Vec<Skipped>,
}

/// A second version of a crate that is allowed, with the reason.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Skipped {
    /// `name@version`.
    #[serde(rename = "crate")]
    pub(crate) name: String,
    /// Who needs it, and what would end that.
    pub(crate) reason: String,
}

impl Skipped {
    /// Its name and its version.
    pub(crate) fn of(&self) -> (&str, &str) {
        self.name.split_once('@').unwrap_or((&self.name, ""))
    }
}

/// A crate that may not be depended on, in any version.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Banned {
    #[serde(rename = "crate")]
    pub(crate) name: String,
    pub(crate) reason: String,
}

/// Where crates may come from.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Sources {
    /// Addresses of registry indexes.
    pub(crate) allow_registry: Vec<String>,
}

/// Reads `deny.toml` in `root`.
pub(crate) fn read(root: &Path) -> Result<Deny> {
    let text = std::fs::read_to_string(root.join("deny.toml")).context("cannot read deny.toml")?;
    toml::from_str(&text).context("cannot understand deny.toml")
}
