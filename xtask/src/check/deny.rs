//! The parts of `deny.toml` that the checks read. The file has cargo-deny's format, so cargo-deny can use it,
//! too.

use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

#[derive(Deserialize)]
pub(crate) struct DenyConfig {
    pub(crate) licenses: LicenseRules,
    pub(crate) advisories: AdvisoryRules,
    pub(crate) bans: BanRules,
    pub(crate) sources: SourceRules,
}

/// The licences that dependencies may have.
#[derive(Deserialize)]
pub(crate) struct LicenseRules {
    /// Allowed licences; a licence with an exception is written `Apache-2.0 WITH LLVM-exception`.
    pub(crate) allow: Vec<String>,
    #[serde(default)]
    pub(crate) exceptions: Vec<LicenseException>,
}

/// Additional licences that are allowed for one crate. cargo-deny's format has no field for the reason, so a
/// comment in `deny.toml` gives the reason.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LicenseException {
    #[serde(rename = "crate")]
    pub(crate) name: String,
    pub(crate) allow: Vec<String>,
}

/// The advisories that were examined and do not apply here.
#[derive(Deserialize)]
pub(crate) struct AdvisoryRules {
    #[serde(default)]
    pub(crate) ignore: Vec<IgnoredAdvisory>,
}

/// An advisory that does not apply to this project. The reason is only for readers of the file, but is
/// required.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct IgnoredAdvisory {
    pub(crate) id: String,
    pub(crate) reason: String,
}

/// The crates that are forbidden as dependencies.
#[derive(Deserialize)]
pub(crate) struct BanRules {
    pub(crate) deny: Vec<BannedCrate>,
    #[serde(default)]
    pub(crate) skip: Vec<SkippedCrate>,
}

/// A permitted second version of a crate, with the reason.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SkippedCrate {
    /// The crate in the form `name@version`.
    #[serde(rename = "crate")]
    pub(crate) name: String,
    /// The packages that need this version, and the condition under which the version would no longer be
    /// needed.
    pub(crate) reason: String,
}

impl SkippedCrate {
    /// Returns the name and the version.
    pub(crate) fn name_and_version(&self) -> (&str, &str) {
        self.name.split_once('@').unwrap_or((&self.name, ""))
    }
}

/// A crate that is forbidden as a dependency, in every version.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BannedCrate {
    #[serde(rename = "crate")]
    pub(crate) name: String,
    pub(crate) reason: String,
}

/// The permitted sources of crates.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct SourceRules {
    /// Addresses of registry indexes.
    pub(crate) allow_registry: Vec<String>,
}

pub(crate) fn read_config(root: &Path) -> Result<DenyConfig> {
    let text = std::fs::read_to_string(root.join("deny.toml")).context("cannot read deny.toml")?;
    toml::from_str(&text).context("cannot understand deny.toml")
}
