//! The parts of `deny.toml` that the checks read. The file is cargo-deny's, so that tool can be used on it as well.

use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

/// `deny.toml`.
#[derive(Deserialize)]
pub(crate) struct DenyConfig {
    pub(crate) licenses: LicenseRules,
    pub(crate) advisories: AdvisoryRules,
    pub(crate) bans: BanRules,
    pub(crate) sources: SourceRules,
}

/// What may be depended on, by licence.
#[derive(Deserialize)]
pub(crate) struct LicenseRules {
    /// Licences, each with its exception if it has one (`Apache-2.0 WITH LLVM-exception`).
    pub(crate) allow: Vec<String>,
    #[serde(default)]
    pub(crate) exceptions: Vec<LicenseException>,
}

/// Further licences for one crate. cargo-deny knows no reason here: it stands in a comment.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LicenseException {
    #[serde(rename = "crate")]
    pub(crate) name: String,
    pub(crate) allow: Vec<String>,
}

/// Which advisories were looked at and found not to matter here.
#[derive(Deserialize)]
pub(crate) struct AdvisoryRules {
    #[serde(default)]
    pub(crate) ignore: Vec<IgnoredAdvisory>,
}

/// An advisory that does not matter here. The reason is for the readers of the file, but must be there.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct IgnoredAdvisory {
    pub(crate) id: String,
    pub(crate) reason: String,
}

/// What may not be depended on.
#[derive(Deserialize)]
pub(crate) struct BanRules {
    pub(crate) deny: Vec<BannedCrate>,
    #[serde(default)]
    pub(crate) skip: Vec<SkippedCrate>,
}

/// A second version of a crate that is allowed, with the reason.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SkippedCrate {
    /// `name@version`.
    #[serde(rename = "crate")]
    pub(crate) name: String,
    /// Who needs it, and what would end that.
    pub(crate) reason: String,
}

impl SkippedCrate {
    /// Its name and its version.
    pub(crate) fn of(&self) -> (&str, &str) {
        self.name.split_once('@').unwrap_or((&self.name, ""))
    }
}

/// A crate that may not be depended on, in any version.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BannedCrate {
    #[serde(rename = "crate")]
    pub(crate) name: String,
    pub(crate) reason: String,
}

/// Where crates may come from.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct SourceRules {
    /// Addresses of registry indexes.
    pub(crate) allow_registry: Vec<String>,
}

/// Reads `deny.toml` in `root`.
pub(crate) fn read(root: &Path) -> Result<DenyConfig> {
    let text = std::fs::read_to_string(root.join("deny.toml")).context("cannot read deny.toml")?;
    toml::from_str(&text).context("cannot understand deny.toml")
}
