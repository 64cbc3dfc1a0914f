//! Version ranges in the notation of each registry. Versions of different registries are never compared.

// long: one type for the ranges of all registries, with the tests that compare them.

mod kept_range_style;
mod npm_notation;
mod poetry;

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr as _;

use pep440_rs::{Operator, VersionSpecifier, VersionSpecifiers};
use truing_core::registry::PackageRegistry;
use truing_core::version::{PackageVersion, RangeStyle, VersionError, compatible_prefix};

/// A version that is greater than any published one.
const LARGE_VERSION: &str = "999999.0.0";

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
                if let Some(word) = npm_notation::unknown_word(text) {
                    return Err(wrong(&format_args!("`{word}` is not understood")));
                }
                if let Some(alternative) = empty_npm_alternative(text) {
                    return Err(wrong(&format_args!("no version is in `{alternative}`")));
                }
                // The library ignores an alternative without a comparator, which includes every version.
                let has_any = npm_notation::alternatives(text).into_iter().any(npm_notation::is_wildcard);
                let range = nodejs_semver::Range::parse(if has_any { "*" } else { text });
                range.map(VersionMatcher::Npm).map_err(|error| wrong(&error))
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

    /// Parses a range in the notation of Poetry's tables. The new range of [`Self::with_release`] is in the
    /// notation of PEP 440, which Poetry also reads.
    ///
    /// # Errors
    /// [`VersionError`] if the text is not valid, or has alternatives (`||`).
    pub(crate) fn parse_poetry(text: &str) -> Result<Self, VersionError> {
        let range = poetry::parse_specifiers(text)
            .map_err(|reason| VersionError::new(PackageRegistry::Pypi, "range", text, &reason))?;
        Ok(Self { text: text.to_owned(), matcher: VersionMatcher::Pypi(range) })
    }

    /// Returns the range that contains only the version whose copy is part of the project.
    pub fn from_vendored_version(version: PackageVersion) -> Self {
        Self { text: version.to_string(), matcher: VersionMatcher::Vendored(version) }
    }

    /// Returns true if `version` is in the range.
    pub fn contains(&self, version: &PackageVersion) -> bool {
        match (&self.matcher, version) {
            (VersionMatcher::Pypi(range), PackageVersion::Pypi(version)) => {
                let version = pad_release(range, version);
                range.iter().all(|one| one.contains(&version) || is_below_prerelease(one, &version))
            }
            (VersionMatcher::Npm(range), PackageVersion::Npm(version)) => range.satisfies(version),
            (VersionMatcher::Crates(range), PackageVersion::Crates(version)) => range.matches(version),
            (VersionMatcher::Vendored(copy), version) => copy.cmp(version) == Ordering::Equal,
            (VersionMatcher::Pypi(_) | VersionMatcher::Npm(_) | VersionMatcher::Crates(_), _) => false,
        }
    }

    /// Returns true if a package manager may install `version` for this range. pip installs a pre-release
    /// only if the range names one.
    pub fn admits(&self, version: &PackageVersion) -> bool {
        let names_prerelease = match &self.matcher {
            VersionMatcher::Pypi(range) => range.iter().any(|one| one.version().any_prerelease()),
            VersionMatcher::Npm(_) | VersionMatcher::Crates(_) | VersionMatcher::Vendored(_) => true,
        };
        self.contains(version) && (names_prerelease || !version.is_prerelease())
    }

    /// Returns true if the range excludes a version by name (`!=`). The project rejects such a version, even
    /// if the version is the newest.
    pub fn excludes_by_name(&self, version: &PackageVersion) -> bool {
        let (VersionMatcher::Pypi(range), PackageVersion::Pypi(version)) = (&self.matcher, version) else {
            return false;
        };
        let version = pad_release(range, version);
        range.iter().any(|one| is_exclusion(one) && !one.contains(&version))
    }

    /// Returns true if the range excludes versions of any size.
    pub fn has_upper_bound(&self) -> bool {
        let registry = match &self.matcher {
            VersionMatcher::Pypi(_) => PackageRegistry::Pypi,
            VersionMatcher::Npm(_) => PackageRegistry::Npm,
            VersionMatcher::Crates(_) => PackageRegistry::Crates,
            VersionMatcher::Vendored(_) => return true,
        };
        PackageVersion::parse(registry, LARGE_VERSION).is_ok_and(|version| !self.contains(&version))
    }

    /// Returns the local label of a pinned Python version: `cpu` in `==2.9.1+cpu`.
    pub fn local_label(&self) -> Option<String> {
        let VersionMatcher::Pypi(range) = &self.matcher else { return None };
        let pin = range.iter().find(|specifier| specifier.version().is_local())?;
        PackageVersion::Pypi(pin.version().clone()).local_label()
    }

    /// Returns true if the range also contains the next patch after this release.
    pub fn contains_next_patch(&self, release: &PackageVersion) -> bool {
        release.next_patch().is_some_and(|next| self.contains(&next))
    }

    /// Returns true if the range consists of one version.
    pub fn is_pin(&self) -> bool {
        match &self.matcher {
            VersionMatcher::Vendored(_) => true,
            VersionMatcher::Pypi(range) => {
                matches!(&range[..], [pin] if is_exact(pin))
            }
            VersionMatcher::Npm(_) => {
                nodejs_semver::Version::parse(self.text.trim_start_matches(['=', 'v', ' '])).is_ok()
            }
            VersionMatcher::Crates(range) => {
                matches!(&range.comparators[..], [pin] if pin.op == semver::Op::Exact && pin.patch.is_some())
            }
        }
    }

    /// Returns the style of the range; `None` if new ranges need both bounds.
    pub fn style(&self) -> Option<RangeStyle> {
        let is_caret = match &self.matcher {
            VersionMatcher::Npm(_) => {
                self.text.starts_with('^') && !self.text.contains(|letter: char| " |".contains(letter))
            }
            VersionMatcher::Crates(range) => {
                matches!(&range.comparators[..], [caret] if caret.op == semver::Op::Caret)
            }
            VersionMatcher::Pypi(_) | VersionMatcher::Vendored(_) => false,
        };
        if self.is_pin() { Some(RangeStyle::Exact) } else { is_caret.then_some(RangeStyle::Caret) }
    }

    /// Returns a range in the given style that contains the release. If the style has a lower bound, the
    /// bound is `floor`; if `floor` is `None`, the current lower bound is kept. Returns `None` if no lower
    /// bound is known, or if no such range contains the release.
    pub fn with_release(
        &self,
        style: RangeStyle,
        release: &PackageVersion,
        floor: Option<&PackageVersion>,
    ) -> Option<Self> {
        self.range_in_style(style, release, floor).filter(|range| range.contains(release))
    }

    fn range_in_style(
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
                            Some(PackageVersion::Pypi(floor)) => Some(lower_bound_at(floor)?),
                            Some(PackageVersion::Npm(_) | PackageVersion::Crates(_)) | None => {
                                greatest_lower_bound(range)
                            }
                        };
                        let PackageVersion::Pypi(upper) = upper else { return None };
                        let upper = VersionSpecifier::from_version(Operator::LessThan, upper).ok()?;
                        Some(Self::from_specifiers(lower.into_iter().chain([upper]).chain(rest).collect()))
                    }
                    VersionMatcher::Npm(_) => match floor {
                        Some(floor) => parse(format!(">={floor} <{upper}")),
                        None => parse(self.npm_alternatives_up_to(release, &upper)?),
                    },
                    VersionMatcher::Crates(range) => {
                        let lower = floor.map(|floor| vec![format!(">={floor}")]);
                        let lower = lower.unwrap_or_else(|| crate_lower_bounds(range));
                        parse(lower.into_iter().chain([format!("<{upper}")]).collect::<Vec<_>>().join(", "))
                    }
                    VersionMatcher::Vendored(_) => None,
                }
            }
        }
    }

    /// Extends the alternative of an npm range that begins last before the release, up to `upper`. The other
    /// alternatives stay, so versions between alternatives stay excluded.
    fn npm_alternatives_up_to(&self, release: &PackageVersion, upper: &PackageVersion) -> Option<String> {
        let mut alternatives: Vec<String> =
            npm_notation::alternatives(&self.text).into_iter().map(str::to_owned).collect();
        let lowest = |alternative: &String| {
            let range = nodejs_semver::Range::parse(alternative).ok()?;
            range.min_version().map(PackageVersion::Npm).filter(|lowest| lowest < release)
        };
        let lowest_versions = alternatives.iter().map(lowest).enumerate();
        let candidates = lowest_versions.filter_map(|(position, lowest)| Some((lowest?, position)));
        let (lower, position) = candidates.max()?;
        *alternatives.get_mut(position)? = format!(">={lower} <{upper}");
        Some(alternatives.join(" || "))
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

/// Returns an equal version that has as many numbers as the longest specifier: the library takes `3` for a
/// version of `==3.11.*`.
fn pad_release(range: &VersionSpecifiers, version: &pep440_rs::Version) -> pep440_rs::Version {
    let longest = range.iter().map(|specifier| specifier.version().release().len()).max().unwrap_or(0);
    let mut release = version.release().to_vec();
    if release.len() >= longest {
        return version.clone();
    }
    release.resize(longest, 0);
    version.clone().with_release(release)
}

/// Returns true if a version is below the pre-release that a specifier names (`<2.0rc2`). The library
/// excludes the other pre-releases of 2.0 from such a specifier, although PEP 440 includes them.
fn is_below_prerelease(specifier: &VersionSpecifier, version: &pep440_rs::Version) -> bool {
    *specifier.operator() == Operator::LessThan
        && specifier.version().any_prerelease()
        && version < specifier.version()
}

/// Returns the first alternative of an npm range that no version satisfies. The library evaluates such an
/// alternative as if one of its comparators were missing.
fn empty_npm_alternative(text: &str) -> Option<&str> {
    npm_notation::alternatives(text).into_iter().find(|alternative| {
        let comparators = npm_notation::comparators(alternative).into_iter();
        let mut common = nodejs_semver::Range::any();
        !alternative.contains(" - ")
            && comparators.filter_map(|comparator| nodejs_semver::Range::parse(comparator).ok()).any(
                |range| match common.intersect(&range) {
                    Some(both) => {
                        common = both;
                        false
                    }
                    None => true,
                },
            )
    })
}

pub(crate) fn is_lower_bound(specifier: &VersionSpecifier) -> bool {
    matches!(*specifier.operator(), Operator::GreaterThanEqual | Operator::GreaterThan)
}

/// Returns the greatest lower bound. A pinned version (`==`) and the version of a compatible release (`~=`)
/// also count as lower bounds.
fn greatest_lower_bound(range: &VersionSpecifiers) -> Option<VersionSpecifier> {
    let bound = |one: &VersionSpecifier| match *one.operator() {
        Operator::GreaterThanEqual | Operator::GreaterThan => Some(one.clone()),
        Operator::Equal | Operator::ExactEqual | Operator::EqualStar | Operator::TildeEqual => {
            lower_bound_at(one.version())
        }
        Operator::LessThan | Operator::LessThanEqual | Operator::NotEqual | Operator::NotEqualStar => None,
    };
    range.iter().filter_map(bound).max_by(|one, two| one.version().cmp(two.version()))
}

/// Returns the lower bound at a version. A lower bound cannot have a local part, so the local part is
/// removed.
fn lower_bound_at(version: &pep440_rs::Version) -> Option<VersionSpecifier> {
    VersionSpecifier::from_version(Operator::GreaterThanEqual, version.clone().without_local()).ok()
}

fn is_exact(specifier: &VersionSpecifier) -> bool {
    matches!(*specifier.operator(), Operator::Equal | Operator::ExactEqual)
}

fn is_exclusion(specifier: &VersionSpecifier) -> bool {
    matches!(*specifier.operator(), Operator::NotEqual | Operator::NotEqualStar)
}

pub(crate) fn is_upper_bound(specifier: &VersionSpecifier) -> bool {
    matches!(*specifier.operator(), Operator::LessThan | Operator::LessThanEqual)
}

/// Returns the lower bounds of a Cargo version requirement.
fn crate_lower_bounds(range: &semver::VersionReq) -> Vec<String> {
    let is_upper = |op| matches!(op, semver::Op::Less | semver::Op::LessEq);
    let lower = range.comparators.iter().filter(|comparator| !is_upper(comparator.op));
    let bound = |comparator: &semver::Comparator| match comparator.op == semver::Op::Greater {
        true => comparator.to_string(),
        false => format!(">={}", comparator_version(comparator)),
    };
    lower.map(bound).collect()
}

/// Returns the version of a comparator, whose missing numbers are 0.
fn comparator_version(comparator: &semver::Comparator) -> semver::Version {
    let semver::Comparator { major, minor, patch, pre, .. } = comparator;
    let mut version = semver::Version::new(*major, minor.unwrap_or(0), patch.unwrap_or(0));
    version.pre = pre.clone();
    version
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
    Some(PackageVersion::Crates(comparator_version(one)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
            (Crates, ">1.2.0, <1.2.9", Upper, "1.3.4", None, Some(">1.2.0, <1.3.5")),
            (Crates, "=1.2", Upper, "1.3.4", None, Some(">=1.2.0, <1.3.5")),
            (Npm, "~1.4.0 || ~1.6.0", Upper, "1.7.0", None, Some("~1.4.0 || >=1.6.0 <1.7.1")),
            (Npm, "~1.6.0||1.4.x", Upper, "1.7.0", None, Some(">=1.6.0 <1.7.1 || 1.4.x")),
            (Npm, "~1.4.0 || ~2.0.0", Upper, "1.7.0", None, Some(">=1.4.0 <1.7.1 || ~2.0.0")),
            (Npm, "1.4.X", Upper, "1.7.0", None, Some(">=1.4.0 <1.7.1")),
            (Npm, "~2.0.0", Upper, "1.7.0", None, None),
            (Pypi, ">=2.0,<2.1", Upper, "2.1.0+acme1", Some("2.1.0+acme1"), Some(">=2.1.0,<2.1.1")),
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

    #[test]
    fn range_includes_what_the_registrys_own_tool_installs() {
        for (registry, range, version, expected) in [
            (PackageRegistry::Pypi, "==3.11.*", "3", false),
            (PackageRegistry::Pypi, "==3.0.*", "3", true),
            (PackageRegistry::Pypi, ">=1.0.0,!=1.5.*", "1", true),
            (PackageRegistry::Pypi, "!=1.0.*", "1", false),
            (PackageRegistry::Npm, "^1 || ", "7.0.0", true),
            (PackageRegistry::Npm, "|| ^1", "0.1.0", true),
            (PackageRegistry::Npm, "1.x || *", "7.0.0", true),
            (PackageRegistry::Npm, "1.2.0 - 2", "2.9.0", true),
        ] {
            let parsed = VersionRange::parse(registry, range).unwrap();
            let version = PackageVersion::parse(registry, version).unwrap();
            assert_eq!(parsed.contains(&version), expected, "{range} {version}");
        }
    }

    #[test]
    fn range_evaluates_epochs_and_unusual_releases_as_pip_does() {
        for (range, version, expected) in [
            (">2.0", "2.0.post1", false),
            (">2.0.0", "2.0.post1", false),
            (">2.0", "2.0.1", true),
            (">2.0.post1", "2.0.post2", true),
            ("<2.0", "2.0rc1", false),
            ("<2.0rc2", "2.0rc1", true),
            ("<=2.0", "2.0.post1", false),
            ("<=2.0.0", "2.0.post1", false),
            ("==2.0.*", "2.0.post1", true),
            (">=1.0,<3", "1!2.0", false),
            (">=1.0", "1!2.0", true),
            (">=1!1.0", "2.0", false),
            ("~=1!2.0", "1!2.5", true),
            ("~=1!2.0", "2.5", false),
        ] {
            let version = PackageVersion::parse(PackageRegistry::Pypi, version).unwrap();
            let contains = VersionRange::parse(PackageRegistry::Pypi, range).unwrap().contains(&version);
            assert_eq!(contains, expected, "{range} {version}");
        }
    }

    /// Returns a range whose bounds name pre-releases, post-releases or epochs.
    fn random_range_of_unusual_versions(registry: PackageRegistry, form: usize, numbers: [u64; 4]) -> String {
        let [a, b, c, d] = numbers;
        let comma = if registry == PackageRegistry::Npm { "" } else { "," };
        match (registry, form % 4) {
            (PackageRegistry::Pypi, 0) => format!(">={a}.{b}rc1,<{c}.{d}"),
            (PackageRegistry::Pypi, 1) => format!(">={a}.{b}.post1,<{c}.{d}rc2"),
            (PackageRegistry::Pypi, 2) => format!(">={a}.{b},<1!{c}.{d}"),
            (PackageRegistry::Pypi, _) => format!("~={a}.{b}rc1"),
            (PackageRegistry::Npm | PackageRegistry::Crates, 0) => {
                format!(">={a}.{b}.0-rc.1{comma} <{c}.{d}.0")
            }
            (PackageRegistry::Npm | PackageRegistry::Crates, 1) => format!("^{a}.{b}.{c}-rc.1"),
            (PackageRegistry::Npm | PackageRegistry::Crates, 2) => format!("~{a}.{b}.{c}-rc.1"),
            (PackageRegistry::Npm | PackageRegistry::Crates, _) => {
                format!(">{a}.{b}.0-rc.1{comma} <{c}.{d}.0")
            }
        }
    }

    /// Returns a range of a registry, from numbers.
    fn random_range(registry: PackageRegistry, form: usize, numbers: [u64; 4]) -> String {
        let [a, b, c, d] = numbers;
        match (registry, form % 9) {
            (PackageRegistry::Pypi, 0) => format!(">={a}.{b},<{c}.{d}"),
            (PackageRegistry::Pypi, 1) => format!("~={a}.{b}.{c}"),
            (PackageRegistry::Pypi, 2) => format!("=={a}.{b}.*,!={a}.{b}.{c}"),
            (PackageRegistry::Pypi, 3) => format!("<={a}.{b},!={c}.{d}.*"),
            (PackageRegistry::Pypi, 4) => format!(">{a}.{b},<{c}"),
            (PackageRegistry::Pypi, 5) => format!(">={a}.{b}.{c}"),
            (PackageRegistry::Pypi, 6) => format!("~={a}.{b},!={a}.{c}"),
            (PackageRegistry::Pypi, 7) => format!(">={a},<{c},<{c}.{d}"),
            (PackageRegistry::Pypi, _) => format!("<{a}.{b}"),
            (PackageRegistry::Npm, 0) => format!(">={a}.{b}.0 <{c}.{d}.0"),
            (PackageRegistry::Npm, 1) => format!("~{a}.{b}.0 || ~{c}.{d}.0"),
            (PackageRegistry::Npm, 2) => format!("{a}.{b}.x||{c}.x || {d}.{a}.{b}"),
            (PackageRegistry::Npm, 3) => format!("^{a}.{b}.{c}"),
            (PackageRegistry::Npm, 4) => format!("{a}.{b} - {c}.{d}"),
            (PackageRegistry::Npm, 5) => format!(">{a}.{b} <={c}"),
            (PackageRegistry::Npm, 6) => format!("<{a}.{b} || >={c}.{d} <{c}.{d}.3"),
            (PackageRegistry::Npm, 7) => format!("~>{a}.{b}"),
            (PackageRegistry::Npm, _) => format!("<{a}"),
            (PackageRegistry::Crates, 0) => format!(">={a}.{b}, <{c}.{d}"),
            (PackageRegistry::Crates, 1) => format!("{a}.{b}"),
            (PackageRegistry::Crates, 2) => format!("~{a}.{b}.{c}"),
            (PackageRegistry::Crates, 3) => format!("{a}.*"),
            (PackageRegistry::Crates, 4) => format!(">{a}.{b}, <={c}"),
            (PackageRegistry::Crates, 5) => format!("={a}.{b}"),
            (PackageRegistry::Crates, 6) => format!(">={a}.{b}.{c}, ^{a}"),
            (PackageRegistry::Crates, 7) => format!("<{a}.{b}"),
            (PackageRegistry::Crates, _) => format!(">{a}, >={a}.{b}, <{c}"),
        }
    }

    proptest! {
        /// The libraries of the registries decide what a range includes.
        #[test]
        fn wider_range_keeps_releases_and_gaps(
            registry in prop::sample::select(&PackageRegistry::ALL[..]),
            form in 0_usize..9,
            numbers in prop::array::uniform4(0_u64..5),
            release in prop::array::uniform3(0_u64..5),
            keeps_form: bool,
        ) {
            let parse = |[major, minor, patch]: [u64; 3]| {
                PackageVersion::parse(registry, &format!("{major}.{minor}.{patch}")).unwrap()
            };
            // Some of these ranges of npm include nothing.
            let Ok(range) = VersionRange::parse(registry, &random_range(registry, form, numbers)) else {
                return Ok(());
            };
            let release = parse(release);
            prop_assume!(!range.is_pin() && !range.contains(&release) && !range.excludes_by_name(&release));
            let style = if keeps_form { RangeStyle::Keep } else { RangeStyle::ExclusiveUpperNextPatch };
            let Some(wider) = range.with_release(style, &release, None) else { return Ok(()) };
            let versions: Vec<PackageVersion> = (0..216).map(|index| parse([index / 36, index / 6 % 6, index % 6])).collect();
            let newest = versions.iter().filter(|version| **version < release && range.contains(version)).max();
            prop_assume!(newest.is_some());
            prop_assert!(wider.contains(&release), "{} becomes {}", range, wider);
            for version in &versions {
                let is_lost = range.contains(version) && !wider.contains(version);
                prop_assert!(!is_lost, "{} becomes {}, without {}", range, wider, version);
                let is_gap = Some(version) < newest && !range.contains(version);
                prop_assert!(!(is_gap && wider.contains(version)), "{} becomes {}, with {}", range, wider, version);
            }
        }

        #[test]
        fn wider_range_keeps_prereleases_and_post_releases(
            registry in prop::sample::select(&PackageRegistry::ALL[..]),
            form in 0_usize..4,
            numbers in prop::array::uniform4(0_u64..4),
            release in prop::array::uniform3(0_u64..5),
            keeps_form: bool,
        ) {
            let text = random_range_of_unusual_versions(registry, form, numbers);
            let Ok(range) = VersionRange::parse(registry, &text) else { return Ok(()) };
            let [major, minor, patch] = release;
            let release = PackageVersion::parse(registry, &format!("{major}.{minor}.{patch}")).unwrap();
            prop_assume!(!range.contains(&release));
            let style = if keeps_form { RangeStyle::Keep } else { RangeStyle::ExclusiveUpperNextPatch };
            let Some(wider) = range.with_release(style, &release, None) else { return Ok(()) };
            let suffixes: &[&str] = if registry == PackageRegistry::Pypi {
                &["", "rc1", "rc2", ".post1", ".post2", ".dev1"]
            } else {
                &["", "-rc.1", "-rc.2"]
            };
            let epochs: &[&str] = if registry == PackageRegistry::Pypi { &["", "1!"] } else { &[""] };
            for (number, epoch) in (0_u64..64).flat_map(|number| epochs.iter().map(move |epoch| (number, epoch))) {
                let [major, minor, patch] = [number / 16, number / 4 % 4, number % 4];
                for suffix in suffixes {
                    let version = format!("{epoch}{major}.{minor}.{patch}{suffix}");
                    let version = PackageVersion::parse(registry, &version).unwrap();
                    // Only a release above the present range is followed.
                    prop_assume!(epoch.is_empty() || !range.contains(&version));
                    let is_lost = version < release && range.admits(&version) && !wider.contains(&version);
                    prop_assert!(!is_lost, "{} becomes {}, without {}", range, wider, version);
                }
            }
        }
    }
}
