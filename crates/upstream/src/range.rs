//! Version ranges in the notation of each registry. Versions of different registries are never compared.

mod kept_range_style;

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr as _;

use pep440_rs::{Operator, VersionSpecifier, VersionSpecifiers};
use truing_core::registry::PackageRegistry;
use truing_core::version::{PackageVersion, RangeStyle, VersionError, compatible_prefix};

/// A range of versions, and the text in which the project writes the range.
#[derive(Clone, Debug)]
pub struct VersionRange {
    text: String,
    matcher: VersionMatcher,
}

#[derive(Clone, Debug)]
enum VersionMatcher {
    Pypi(VersionSpecifiers),
    Npm(nodejs_semver::Range),
    Crates(semver::VersionReq),
    /// Contains only this version.
    Vendored(PackageVersion),
}

impl VersionRange {
    /// Parses a range in the notation of the registry's projects.
    ///
    /// # Errors
    /// [`VersionError`] if the text is not valid.
    pub fn parse(registry: PackageRegistry, text: &str) -> Result<Self, VersionError> {
        let wrong = |reason: &dyn fmt::Display| VersionError::new(registry, "range", text, reason);
        let admits = match registry {
            PackageRegistry::Pypi => {
                let range = VersionSpecifiers::from_str(text).map_err(|error| wrong(&error))?;
                return Ok(Self::from_specifiers(range));
            }
            PackageRegistry::Npm => {
                nodejs_semver::Range::parse(text).map(VersionMatcher::Npm).map_err(|error| wrong(&error))
            }
            PackageRegistry::Crates => {
                semver::VersionReq::parse(text).map(VersionMatcher::Crates).map_err(|error| wrong(&error))
            }
        };
        Ok(Self { text: text.to_owned(), matcher: admits? })
    }

    /// Makes a range of a Python project.
    pub(crate) fn from_specifiers(range: VersionSpecifiers) -> Self {
        let text = range.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        Self { text, matcher: VersionMatcher::Pypi(range) }
    }

    /// Returns the range that contains only the version whose copy is part of the project.
    pub fn from_vendored_version(version: PackageVersion) -> Self {
        Self { text: version.to_string(), matcher: VersionMatcher::Vendored(version) }
    }

    /// Returns true if `version` is in the range.
    pub fn contains(&self, version: &PackageVersion) -> bool {
        match (&self.matcher, version) {
            (VersionMatcher::Pypi(range), PackageVersion::Pypi(version)) => range.contains(version),
            (VersionMatcher::Npm(range), PackageVersion::Npm(version)) => range.satisfies(version),
            (VersionMatcher::Crates(range), PackageVersion::Crates(version)) => range.matches(version),
            (VersionMatcher::Vendored(copy), version) => copy.cmp(version) == Ordering::Equal,
            (VersionMatcher::Pypi(_) | VersionMatcher::Npm(_) | VersionMatcher::Crates(_), _) => false,
        }
    }

    /// Returns true if the range excludes a version by name (`!=`). The project rejects such a version, even
    /// if the version is the newest.
    pub fn excludes_by_name(&self, version: &PackageVersion) -> bool {
        let (VersionMatcher::Pypi(range), PackageVersion::Pypi(version)) = (&self.matcher, version) else {
            return false;
        };
        range.iter().any(|one| is_exclusion(one) && !one.contains(version))
    }

    /// Returns true if the range also contains the next patch after this release.
    pub fn contains_next_patch(&self, release: &PackageVersion) -> bool {
        release.next_patch().is_some_and(|next| self.contains(&next))
    }

    /// Returns a range in the given style that contains the release. If the style has a lower bound, the
    /// bound is `floor`; if `floor` is `None`, the current lower bound is kept. Returns `None` if no lower
    /// bound is known.
    pub fn with_release(
        &self,
        style: RangeStyle,
        release: &PackageVersion,
        floor: Option<&PackageVersion>,
    ) -> Option<Self> {
        let registry = release.registry();
        let parse = |text: String| Self::parse(registry, &text).ok();
        match style {
            RangeStyle::Keep => self
                .with_same_form(release, floor)
                .filter(|kept| kept.contains(release))
                .or_else(|| self.with_release(RangeStyle::ExclusiveUpperNextPatch, release, floor)),
            RangeStyle::VendoredVersion => Some(Self::from_vendored_version(release.clone())),
            RangeStyle::Exact => match registry {
                PackageRegistry::Pypi => parse(format!("=={release}")),
                PackageRegistry::Npm => parse(release.to_string()),
                PackageRegistry::Crates => parse(format!("={release}")),
            },
            RangeStyle::Caret => match release {
                PackageVersion::Pypi(version) => {
                    let numbers: Vec<u64> = version.release().iter().copied().chain([0; 3]).take(3).collect();
                    let mut next = compatible_prefix([*numbers.first()?, *numbers.get(1)?, *numbers.get(2)?]);
                    let last = next.last_mut()?;
                    *last = last.checked_add(1)?;
                    let next: Vec<String> = next.iter().map(ToString::to_string).collect();
                    parse(format!(">={release},<{}", next.join(".")))
                }
                PackageVersion::Npm(_) => parse(format!("^{release}")),
                // In Cargo, a caret requirement is usually written without the operator.
                PackageVersion::Crates(_) => parse(release.to_string()),
            },
            RangeStyle::ExclusiveUpperNextPatch => {
                let upper = release.next_patch()?;
                match &self.matcher {
                    VersionMatcher::Pypi(range) => {
                        let rest = range.iter().filter(|one| is_exclusion(one)).cloned();
                        let lower = match floor {
                            Some(PackageVersion::Pypi(floor)) => {
                                VersionSpecifier::from_version(Operator::GreaterThanEqual, floor.clone()).ok()
                            }
                            Some(PackageVersion::Npm(_) | PackageVersion::Crates(_)) | None => {
                                greatest_lower_bound(range)
                            }
                        };
                        let PackageVersion::Pypi(upper) = upper else { return None };
                        let upper = VersionSpecifier::from_version(Operator::LessThan, upper).ok()?;
                        Some(Self::from_specifiers(lower.into_iter().chain([upper]).chain(rest).collect()))
                    }
                    VersionMatcher::Npm(range) => {
                        let least = || range.min_version().map(PackageVersion::Npm);
                        let lower = floor.cloned().or_else(least)?;
                        parse(format!(">={lower} <{upper}"))
                    }
                    VersionMatcher::Crates(range) => match floor.cloned().or_else(|| lower_bound(range)) {
                        Some(lower) => parse(format!(">={lower}, <{upper}")),
                        None if has_lower_bound(range) => None,
                        None => parse(format!("<{upper}")),
                    },
                    VersionMatcher::Vendored(_) => None,
                }
            }
        }
    }

    /// Returns a range that contains the release, with the operators and the precision of this range; `None`
    /// if these cannot be kept.
    fn with_same_form(&self, release: &PackageVersion, floor: Option<&PackageVersion>) -> Option<Self> {
        match (&self.matcher, release, floor) {
            (VersionMatcher::Pypi(range), PackageVersion::Pypi(release), None) => {
                kept_range_style::python_range(range, release, None).map(Self::from_specifiers)
            }
            (
                VersionMatcher::Pypi(range),
                PackageVersion::Pypi(release),
                Some(PackageVersion::Pypi(floor)),
            ) => kept_range_style::python_range(range, release, Some(floor)).map(Self::from_specifiers),
            (VersionMatcher::Npm(_), PackageVersion::Npm(release), floor) => {
                kept_range_style::npm_range(&self.text, release, floor)
            }
            (VersionMatcher::Crates(range), PackageVersion::Crates(release), floor) => {
                kept_range_style::crates_range(range, release, floor)
            }
            (
                VersionMatcher::Pypi(_)
                | VersionMatcher::Npm(_)
                | VersionMatcher::Crates(_)
                | VersionMatcher::Vendored(_),
                ..,
            ) => None,
        }
    }
}

impl fmt::Display for VersionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Two ranges are equal if their notation is the same.
impl PartialEq for VersionRange {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for VersionRange {}

pub(crate) fn is_lower_bound(specifier: &VersionSpecifier) -> bool {
    matches!(*specifier.operator(), Operator::GreaterThanEqual | Operator::GreaterThan)
}

/// Returns the greatest lower bound. A pinned version (`==`) and the version of a compatible release (`~=`)
/// also count as lower bounds.
fn greatest_lower_bound(range: &VersionSpecifiers) -> Option<VersionSpecifier> {
    let bound = |one: &VersionSpecifier| match *one.operator() {
        Operator::GreaterThanEqual | Operator::GreaterThan => Some(one.clone()),
        Operator::Equal | Operator::ExactEqual | Operator::EqualStar | Operator::TildeEqual => {
            // The local part of a version is removed, because bounds with local versions have no defined
            // order.
            let version = one.version().clone().without_local();
            VersionSpecifier::from_version(Operator::GreaterThanEqual, version).ok()
        }
        Operator::LessThan | Operator::LessThanEqual | Operator::NotEqual | Operator::NotEqualStar => None,
    };
    range.iter().filter_map(bound).max_by(|one, two| one.version().cmp(two.version()))
}

fn is_exclusion(specifier: &VersionSpecifier) -> bool {
    matches!(*specifier.operator(), Operator::NotEqual | Operator::NotEqualStar)
}

pub(crate) fn is_upper_bound(specifier: &VersionSpecifier) -> bool {
    matches!(*specifier.operator(), Operator::LessThan | Operator::LessThanEqual)
}

/// Returns true if a Cargo version requirement has a lower bound.
fn has_lower_bound(range: &semver::VersionReq) -> bool {
    range.comparators.iter().any(|one| !matches!(one.op, semver::Op::Less | semver::Op::LessEq))
}

/// Returns the lower bound of a Cargo version requirement; none if the requirement has no lower bound or
/// several.
fn lower_bound(range: &semver::VersionReq) -> Option<PackageVersion> {
    let lower = range.comparators.iter().filter(|one| {
        matches!(
            one.op,
            semver::Op::Exact
                | semver::Op::GreaterEq
                | semver::Op::Tilde
                | semver::Op::Caret
                | semver::Op::Wildcard
        )
    });
    let [one] = lower.collect::<Vec<_>>()[..] else { return None };
    let mut version = semver::Version::new(one.major, one.minor.unwrap_or(0), one.patch.unwrap_or(0));
    version.pre = one.pre.clone();
    Some(PackageVersion::Crates(version))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range_with_release(
        registry: PackageRegistry,
        range: &str,
        style: RangeStyle,
        release: &str,
        floor: Option<&str>,
    ) -> Option<String> {
        let version = |text: &str| PackageVersion::parse(registry, text).unwrap();
        let (release, floor) = (version(release), floor.map(version));
        let next =
            VersionRange::parse(registry, range).unwrap().with_release(style, &release, floor.as_ref())?;
        assert!(next.contains(&release), "{next} does not hold {release}");
        Some(next.to_string())
    }

    #[test]
    fn a_new_range_holds_the_release_in_the_style_of_the_project() {
        use PackageRegistry::{Crates, Npm, Pypi};
        use RangeStyle::{Caret, Exact, ExclusiveUpperNextPatch as Upper};
        for (registry, range, style, to, floor, expected) in [
            (Pypi, ">=1.2.0,<1.2.9", Upper, "1.3.4", None, Some(">=1.2.0,<1.3.5")),
            (Pypi, ">=1.2.0,<1.2.9,!=1.2.5", Upper, "1.3.4", Some("1.3.0"), Some("!=1.2.5,>=1.3.0,<1.3.5")),
            (Pypi, "<1.2.9", Upper, "1.3.4", None, Some("<1.3.5")),
            (Pypi, "==1.2.0", Upper, "1.3.4", None, Some(">=1.2.0,<1.3.5")),
            (Pypi, "===1.2.0", Upper, "1.3.4", None, Some(">=1.2.0,<1.3.5")),
            (Pypi, "~=1.2.0", Upper, "1.3.4", None, Some(">=1.2.0,<1.3.5")),
            (Pypi, "==1.2.*", Upper, "1.3.4", None, Some(">=1.2,<1.3.5")),
            (Pypi, "==1.2.0,>=1", Upper, "1.3.4", Some("1.3.0"), Some(">=1.3.0,<1.3.5")),
            (Pypi, ">=1.0.0,>=0.5,<1.0.1", Upper, "1.3.4", None, Some(">=1.0.0,<1.3.5")),
            (Pypi, "==1.2.0", Exact, "1.3.4", None, Some("==1.3.4")),
            (Pypi, ">=1.2,<2", Caret, "2.1.4", None, Some(">=2.1.4,<3")),
            (Pypi, ">=0.2,<0.3", Caret, "0.3.1", None, Some(">=0.3.1,<0.4")),
            (Npm, ">=1.2.0 <1.2.9", Upper, "1.3.4", None, Some(">=1.2.0 <1.3.5")),
            (Npm, "^1.2.0", Upper, "2.0.0", Some("2.0.0"), Some(">=2.0.0 <2.0.1")),
            (Npm, "1.2.0", Exact, "1.3.4", None, Some("1.3.4")),
            (Npm, "~1.2.0", Caret, "2.0.1", None, Some("^2.0.1")),
            (Crates, ">=1.2.0, <1.2.9", Upper, "1.3.4", None, Some(">=1.2.0, <1.3.5")),
            (Crates, "1.2", Upper, "2.0.0", None, Some(">=1.2.0, <2.0.1")),
            (Crates, "<1.2.9", Upper, "1.3.4", None, Some("<1.3.5")),
            (Crates, ">1.2.0, <1.2.9", Upper, "1.3.4", None, None),
            (Crates, "=1.2.0", Exact, "1.3.4", None, Some("=1.3.4")),
            (Crates, "0.3", Caret, "0.4.1", None, Some("0.4.1")),
        ] {
            assert_eq!(
                range_with_release(registry, range, style, to, floor).as_deref(),
                expected,
                "{range} {to}"
            );
        }
    }

    #[test]
    fn what_a_project_leaves_out_by_name_is_not_wanted() {
        let version = |text: &str| PackageVersion::parse(PackageRegistry::Pypi, text).unwrap();
        let range = VersionRange::parse(PackageRegistry::Pypi, ">=1,<2,!=1.5.0,!=1.6.*").unwrap();
        let out: Vec<bool> =
            ["1.5", "1.6.3", "1.4", "3"].map(|text| range.excludes_by_name(&version(text))).into();
        assert_eq!(out, [true, true, false, false]);
    }

    #[test]
    fn a_vendored_version_is_no_range() {
        let [one, two] =
            ["1.2.0", "1.2.1"].map(|text| PackageVersion::parse(PackageRegistry::Npm, text).unwrap());
        let copy = VersionRange::from_vendored_version(one.clone());
        assert!(copy.contains(&one) && !copy.contains(&two));
        let next = copy.with_release(RangeStyle::VendoredVersion, &two, None).unwrap();
        assert_eq!(next.to_string(), "1.2.1");
    }
}
