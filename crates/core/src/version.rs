//! Parses and compares versions in the format of each registry: PEP 440 for the Python Package Index, and the
//! dialects of semantic versioning of npm and Cargo. Versions of different registries are not compared.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::registry::PackageRegistry;

/// The style in which the project's version range is rewritten to admit a new release.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RangeStyle {
    /// The new bounds have as many version components as the existing bounds.
    Keep,
    /// The range ends before the patch version after the release.
    ExclusiveUpperNextPatch,
    /// The range admits only the release.
    Exact,
    /// The range admits the release and later compatible releases.
    Caret,
    /// The project contains a copy of the package. Only the version of this copy is written, not a range.
    VendoredVersion,
}

/// A version in the format of its registry.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum PackageVersion {
    /// Version of a Python package.
    Pypi(pep440_rs::Version),
    /// Version of an npm package.
    Npm(nodejs_semver::Version),
    /// Version of a Rust crate.
    Crates(semver::Version),
}

/// First numbers of calendar versions.
const CALENDAR_YEARS: std::ops::RangeInclusive<u64> = 2000..=2199;

/// The reason why a text is not a valid version or range.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{text}` is not a valid {expected_form} of {}: {reason}", registry.display_name())]
pub struct VersionError {
    /// Text that could not be parsed.
    text: String,
    /// Kind of text that was expected: a version or a range.
    expected_form: &'static str,
    registry: PackageRegistry,
    /// Message of the parser.
    reason: String,
}

impl VersionError {
    /// Creates an error with the first line of the parser's message.
    pub fn new(
        registry: PackageRegistry,
        expected_form: &'static str,
        text: &str,
        reason: &dyn fmt::Display,
    ) -> Self {
        let reason = reason.to_string().lines().next().unwrap_or_default().to_owned();
        Self { text: text.to_owned(), expected_form, registry, reason }
    }

    /// Returns the message of the parser.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl RangeStyle {
    pub const ALL: [Self; 5] =
        [Self::Keep, Self::ExclusiveUpperNextPatch, Self::Exact, Self::Caret, Self::VendoredVersion];

    /// Returns the name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::ExclusiveUpperNextPatch => "exclusive-upper-next-patch",
            Self::Exact => "exact",
            Self::Caret => "caret",
            Self::VendoredVersion => "vendored-version",
        }
    }
}

impl PackageVersion {
    /// Parses a version of a registry.
    ///
    /// # Errors
    /// [`VersionError`] if the text is not a valid version.
    pub fn parse(registry: PackageRegistry, text: &str) -> Result<Self, VersionError> {
        let wrong = |reason: &dyn fmt::Display| VersionError::new(registry, "version", text, reason);
        match registry {
            PackageRegistry::Pypi => text.parse().map(Self::Pypi).map_err(|error| wrong(&error)),
            PackageRegistry::Npm => text.parse().map(Self::Npm).map_err(|error| wrong(&error)),
            PackageRegistry::Crates => text.parse().map(Self::Crates).map_err(|error| wrong(&error)),
        }
    }

    /// Returns the local label of a Python version: `cpu` in `2.9.1+cpu`.
    pub fn local_label(&self) -> Option<String> {
        let Self::Pypi(version) = self else { return None };
        version
            .is_local()
            .then(|| version.to_string())
            .and_then(|text| Some(text.split_once('+')?.1.to_owned()))
    }

    /// Returns true for a prerelease.
    pub fn is_prerelease(&self) -> bool {
        match self {
            Self::Pypi(version) => version.any_prerelease(),
            Self::Npm(version) => version.is_prerelease(),
            Self::Crates(version) => !version.pre.is_empty(),
        }
    }

    /// Returns true if there may be breaking changes between the two versions. Semantic versions are
    /// incompatible if their numbers up to the first non-zero number differ. PEP 440 defines no
    /// compatibility, so Python versions are compared by their first number, which is a convention. A first
    /// number that is a year promises nothing.
    pub fn may_break_compatibility(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Pypi(one), Self::Pypi(two)) => {
                let [first, second] = [one, two].map(|version| version.release().first());
                let is_year =
                    |number: Option<&u64>| number.is_some_and(|number| CALENDAR_YEARS.contains(number));
                first != second && !(is_year(first) && is_year(second))
            }
            (Self::Npm(one), Self::Npm(two)) => {
                let numbers =
                    |version: &nodejs_semver::Version| [version.major(), version.minor(), version.patch()];
                compatible_prefix(numbers(one)) != compatible_prefix(numbers(two))
            }
            (Self::Crates(one), Self::Crates(two)) => {
                let numbers = |version: &semver::Version| [version.major, version.minor, version.patch];
                compatible_prefix(numbers(one)) != compatible_prefix(numbers(two))
            }
            (Self::Pypi(_) | Self::Npm(_) | Self::Crates(_), _) => true,
        }
    }

    /// Returns the next patch version, for example `1.3.5` for `1.3.4`; `None` on overflow.
    pub fn next_patch(&self) -> Option<Self> {
        match self {
            Self::Pypi(version) => {
                let mut release = version.release().to_vec();
                let last = release.last_mut()?;
                *last = last.checked_add(1)?;
                Some(Self::Pypi(pep440_rs::Version::new(release).with_epoch(version.epoch())))
            }
            Self::Npm(version) => {
                let patch = version.patch().checked_add(1)?;
                Self::parse(PackageRegistry::Npm, &format!("{}.{}.{patch}", version.major(), version.minor()))
                    .ok()
            }
            Self::Crates(version) => {
                let patch = version.patch.checked_add(1)?;
                Some(Self::Crates(semver::Version::new(version.major, version.minor, patch)))
            }
        }
    }

    /// Returns the registry of this version.
    pub fn registry(&self) -> PackageRegistry {
        match self {
            Self::Pypi(_) => PackageRegistry::Pypi,
            Self::Npm(_) => PackageRegistry::Npm,
            Self::Crates(_) => PackageRegistry::Crates,
        }
    }
}

impl fmt::Display for PackageVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pypi(version) => version.fmt(f),
            Self::Npm(version) => version.fmt(f),
            Self::Crates(version) => version.fmt(f),
        }
    }
}

/// Returns the numbers up to and including the first non-zero number. According to semantic versioning,
/// versions with the same result are compatible.
pub fn compatible_prefix(numbers: [u64; 3]) -> Vec<u64> {
    let count = numbers.iter().position(|number| *number != 0).map_or(numbers.len(), |at| at + 1);
    numbers.into_iter().take(count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_a_major_one_by_its_registrys_promise() {
        for (registry, from, to, expected) in [
            (PackageRegistry::Pypi, "1.9.0", "1.10.0", false),
            (PackageRegistry::Pypi, "1.9", "2.0", true),
            (PackageRegistry::Pypi, "2025.12.0", "2026.1.0", false),
            (PackageRegistry::Pypi, "1.9", "2026.1.0", true),
            (PackageRegistry::Npm, "1.9.0", "1.10.0", false),
            (PackageRegistry::Npm, "0.2.0", "0.3.0", true),
            (PackageRegistry::Crates, "0.2.0", "0.2.9", false),
            (PackageRegistry::Crates, "0.0.2", "0.0.3", true),
            (PackageRegistry::Crates, "1.0.0", "2.0.0", true),
        ] {
            let [from, to] = [from, to].map(|text| PackageVersion::parse(registry, text).unwrap());
            assert_eq!(from.may_break_compatibility(&to), expected, "{from} {to}");
        }
    }

    #[test]
    fn what_is_no_version_is_told_with_its_registry() {
        for registry in PackageRegistry::ALL {
            let error = PackageVersion::parse(registry, "one").unwrap_err().to_string();
            assert!(
                error.contains("`one` is not a valid version") && error.contains(registry.display_name()),
                "{error}"
            );
        }
    }
}
