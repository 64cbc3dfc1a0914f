//! Ranges of versions, as each registry writes them. Nothing is compared across registries.

mod keep;

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr as _;

use pep440_rs::{Operator, VersionSpecifier, VersionSpecifiers};
use truing_core::registry::Registry;
use truing_core::version::{Style, Version, VersionError, promised};

/// A range of versions, and how it is written.
#[derive(Clone, Debug)]
pub struct Range {
    text: String,
    admits: Admits,
}

#[derive(Clone, Debug)]
enum Admits {
    Pypi(VersionSpecifiers),
    Npm(nodejs_semver::Range),
    Crates(semver::VersionReq),
    /// This version alone.
    Copy(Version),
}

impl Range {
    /// A range as a project writes it for a registry.
    ///
    /// # Errors
    /// [`VersionError`]
    pub fn parse(registry: Registry, text: &str) -> Result<Self, VersionError> {
        let wrong = |why: &dyn fmt::Display| VersionError::new(registry, "range", text, why);
        let admits = match registry {
            Registry::Pypi => {
                let range = VersionSpecifiers::from_str(text).map_err(|error| wrong(&error))?;
                return Ok(Self::of_specifiers(range));
            }
            Registry::Npm => {
                nodejs_semver::Range::parse(text).map(Admits::Npm).map_err(|error| wrong(&error))
            }
            Registry::Crates => {
                semver::VersionReq::parse(text).map(Admits::Crates).map_err(|error| wrong(&error))
            }
        };
        Ok(Self { text: text.to_owned(), admits: admits? })
    }

    /// A range of a Python project.
    pub(crate) fn of_specifiers(range: VersionSpecifiers) -> Self {
        let text = range.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        Self { text, admits: Admits::Pypi(range) }
    }

    /// The version that a project holds a copy of.
    pub fn of_copy(version: Version) -> Self {
        Self { text: version.to_string(), admits: Admits::Copy(version) }
    }

    /// Is a version in it?
    pub fn contains(&self, version: &Version) -> bool {
        match (&self.admits, version) {
            (Admits::Pypi(range), Version::Pypi(version)) => range.contains(version),
            (Admits::Npm(range), Version::Npm(version)) => range.satisfies(version),
            (Admits::Crates(range), Version::Crates(version)) => range.matches(version),
            (Admits::Copy(copy), version) => copy.cmp(version) == Ordering::Equal,
            (Admits::Pypi(_) | Admits::Npm(_) | Admits::Crates(_), _) => false,
        }
    }

    /// Does it leave a version out by its name (`!=`)? Such a version is not wanted, however new it is.
    pub fn excludes(&self, version: &Version) -> bool {
        let (Admits::Pypi(range), Version::Pypi(version)) = (&self.admits, version) else { return false };
        range.iter().any(|one| is_exclusion(one) && !one.contains(version))
    }

    /// Does it hold what comes after this release, too?
    pub fn is_open_after(&self, release: &Version) -> bool {
        release.next_patch().is_some_and(|next| self.contains(&next))
    }

    /// What it becomes, so that it holds a release; `floor` or else its lower bound stays, where the style and it have
    /// one. None if its lower bound cannot be told.
    pub fn following(&self, style: Style, release: &Version, floor: Option<&Version>) -> Option<Self> {
        let registry = release.registry();
        let parse = |text: String| Self::parse(registry, &text).ok();
        match style {
            Style::Keep => self
                .kept(release, floor)
                .filter(|kept| kept.contains(release))
                .or_else(|| self.following(Style::ExclusiveUpperNextPatch, release, floor)),
            Style::VendoredVersion => Some(Self::of_copy(release.clone())),
            Style::Exact => match registry {
                Registry::Pypi => parse(format!("=={release}")),
                Registry::Npm => parse(release.to_string()),
                Registry::Crates => parse(format!("={release}")),
            },
            Style::Caret => match release {
                Version::Pypi(version) => {
                    let numbers: Vec<u64> = version.release().iter().copied().chain([0; 3]).take(3).collect();
                    let mut next = promised([*numbers.first()?, *numbers.get(1)?, *numbers.get(2)?]);
                    let last = next.last_mut()?;
                    *last = last.checked_add(1)?;
                    let next: Vec<String> = next.iter().map(ToString::to_string).collect();
                    parse(format!(">={release},<{}", next.join(".")))
                }
                Version::Npm(_) => parse(format!("^{release}")),
                // A requirement without a sign is one with a caret, and the usual form.
                Version::Crates(_) => parse(release.to_string()),
            },
            Style::ExclusiveUpperNextPatch => {
                let upper = release.next_patch()?;
                match &self.admits {
                    Admits::Pypi(range) => {
                        let rest = range.iter().filter(|one| is_exclusion(one)).cloned();
                        let lower = match floor {
                            Some(Version::Pypi(floor)) => {
                                VersionSpecifier::from_version(Operator::GreaterThanEqual, floor.clone()).ok()
                            }
                            Some(Version::Npm(_) | Version::Crates(_)) | None => lower_of(range),
                        };
                        let Version::Pypi(upper) = upper else { return None };
                        let upper = VersionSpecifier::from_version(Operator::LessThan, upper).ok()?;
                        Some(Self::of_specifiers(lower.into_iter().chain([upper]).chain(rest).collect()))
                    }
                    Admits::Npm(range) => {
                        let least = || range.min_version().map(Version::Npm);
                        let lower = floor.cloned().or_else(least)?;
                        parse(format!(">={lower} <{upper}"))
                    }
                    Admits::Crates(range) => match floor.cloned().or_else(|| least(range)) {
                        Some(lower) => parse(format!(">={lower}, <{upper}")),
                        None if has_lower(range) => None,
                        None => parse(format!("<{upper}")),
                    },
                    Admits::Copy(_) => None,
                }
            }
        }
    }

    /// The new range in the form of the old one. None: it has no form that can be kept.
    fn kept(&self, release: &Version, floor: Option<&Version>) -> Option<Self> {
        match (&self.admits, release, floor) {
            (Admits::Pypi(range), Version::Pypi(release), None) => {
                keep::python(range, release, None).map(Self::of_specifiers)
            }
            (Admits::Pypi(range), Version::Pypi(release), Some(Version::Pypi(floor))) => {
                keep::python(range, release, Some(floor)).map(Self::of_specifiers)
            }
            (Admits::Npm(_), Version::Npm(release), floor) => keep::npm(&self.text, release, floor),
            (Admits::Crates(range), Version::Crates(release), floor) => keep::crates(range, release, floor),
            (Admits::Pypi(_) | Admits::Npm(_) | Admits::Crates(_) | Admits::Copy(_), ..) => None,
        }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Two ranges are the same if they are written so.
impl PartialEq for Range {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Range {}

pub(crate) fn is_lower(one: &VersionSpecifier) -> bool {
    matches!(*one.operator(), Operator::GreaterThanEqual | Operator::GreaterThan)
}

/// The greatest lower bound. A version that is pinned, or named with those that are compatible, is one.
fn lower_of(range: &VersionSpecifiers) -> Option<VersionSpecifier> {
    let bound = |one: &VersionSpecifier| match *one.operator() {
        Operator::GreaterThanEqual | Operator::GreaterThan => Some(one.clone()),
        Operator::Equal | Operator::ExactEqual | Operator::EqualStar | Operator::TildeEqual => {
            // A local version is ordered by nobody.
            let version = one.version().clone().without_local();
            VersionSpecifier::from_version(Operator::GreaterThanEqual, version).ok()
        }
        Operator::LessThan | Operator::LessThanEqual | Operator::NotEqual | Operator::NotEqualStar => None,
    };
    range.iter().filter_map(bound).max_by(|one, two| one.version().cmp(two.version()))
}

fn is_exclusion(one: &VersionSpecifier) -> bool {
    matches!(*one.operator(), Operator::NotEqual | Operator::NotEqualStar)
}

pub(crate) fn is_upper(one: &VersionSpecifier) -> bool {
    matches!(*one.operator(), Operator::LessThan | Operator::LessThanEqual)
}

/// Does a requirement of Cargo bound versions from below?
fn has_lower(range: &semver::VersionReq) -> bool {
    range.comparators.iter().any(|one| !matches!(one.op, semver::Op::Less | semver::Op::LessEq))
}

/// The least version that a requirement of Cargo names as its lower bound; none if it has none, or two.
fn least(range: &semver::VersionReq) -> Option<Version> {
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
    Some(Version::Crates(version))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn following(
        registry: Registry,
        range: &str,
        style: Style,
        to: &str,
        floor: Option<&str>,
    ) -> Option<String> {
        let version = |text: &str| Version::parse(registry, text).unwrap();
        let (to, floor) = (version(to), floor.map(version));
        let next = Range::parse(registry, range).unwrap().following(style, &to, floor.as_ref())?;
        assert!(next.contains(&to), "{next} does not hold {to}");
        Some(next.to_string())
    }

    #[test]
    fn a_new_range_holds_the_release_in_the_style_of_the_project() {
        use Registry::{Crates, Npm, Pypi};
        use Style::{Caret, Exact, ExclusiveUpperNextPatch as Upper};
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
            assert_eq!(following(registry, range, style, to, floor).as_deref(), expected, "{range} {to}");
        }
    }

    #[test]
    fn what_a_project_leaves_out_by_name_is_not_wanted() {
        let version = |text: &str| Version::parse(Registry::Pypi, text).unwrap();
        let range = Range::parse(Registry::Pypi, ">=1,<2,!=1.5.0,!=1.6.*").unwrap();
        let out: Vec<bool> = ["1.5", "1.6.3", "1.4", "3"].map(|text| range.excludes(&version(text))).into();
        assert_eq!(out, [true, true, false, false]);
    }

    #[test]
    fn a_vendored_version_is_no_range() {
        let [one, two] = ["1.2.0", "1.2.1"].map(|text| Version::parse(Registry::Npm, text).unwrap());
        let copy = Range::of_copy(one.clone());
        assert!(copy.contains(&one) && !copy.contains(&two));
        let next = copy.following(Style::VendoredVersion, &two, None).unwrap();
        assert_eq!(next.to_string(), "1.2.1");
    }
}
