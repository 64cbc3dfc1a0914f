//! Makes a new range with the operators and the precision of the old range. The new upper bound has as many
//! numbers as the old upper bound: `<0.28` becomes `<0.29`, not `<1`. A lower bound is shortened only by
//! removing zeros.

use std::iter;

use pep440_rs::{Operator, VersionSpecifier, VersionSpecifiers};

use truing_core::registry::PackageRegistry;
use truing_core::version::PackageVersion;

use super::{VersionRange, greatest_lower_bound, is_exclusion, lower_bound, lower_bound_at};

/// Returns the new range of a Python project; `None` if the old range has no upper bound that determines the
/// precision of the new upper bound.
pub(super) fn python_range(
    range: &VersionSpecifiers,
    release: &pep440_rs::Version,
    floor: Option<&pep440_rs::Version>,
) -> Option<VersionSpecifiers> {
    let pinned = |one: &VersionSpecifier| matches!(*one.operator(), Operator::Equal | Operator::ExactEqual);
    let bounds: Vec<&VersionSpecifier> = range.iter().filter(|one| !is_exclusion(one)).collect();
    if let [one] = bounds.as_slice()
        && pinned(one)
    {
        return VersionSpecifier::from_version(Operator::Equal, release.clone())
            .ok()
            .map(|one| iter::once(one).collect());
    }
    if bounds.iter().any(|one| pinned(one)) {
        return None;
    }
    let upper = if bounds.iter().any(|one| matches!(*one.operator(), Operator::LessThanEqual)) {
        VersionSpecifier::from_version(Operator::LessThanEqual, release.clone().without_local())
    } else {
        // Of several upper bounds, the bound with the most numbers applies, because this bound allows the
        // fewest versions.
        let count = bounds.iter().filter_map(|one| upper_bound_precision(one)).max()?;
        let numbers = bump_last(release.release().iter().copied(), count)?;
        let upper = pep440_rs::Version::new(numbers).with_epoch(release.epoch());
        VersionSpecifier::from_version(Operator::LessThan, upper)
    };
    let before = greatest_lower_bound(range);
    let lower = match floor {
        Some(floor) => {
            let count = before.map_or(floor.release().len(), |one| one.version().release().len());
            Some(lower_bound_at(&resize_release(floor, count))?)
        }
        None => before,
    };
    let rest = range.iter().filter(|one| is_exclusion(one)).cloned();
    Some(lower.into_iter().chain([upper.ok()?]).chain(rest).collect())
}

/// Returns how many numbers the upper bound of a specifier has; none if the specifier has no such upper
/// bound.
fn upper_bound_precision(specifier: &VersionSpecifier) -> Option<usize> {
    let count = specifier.version().release().len();
    match *specifier.operator() {
        Operator::LessThan | Operator::EqualStar => Some(count),
        // The specifier `~=1.2.0` has the implied upper bound `<1.3`, which has one number less.
        Operator::TildeEqual => count.checked_sub(1),
        Operator::LessThanEqual
        | Operator::GreaterThan
        | Operator::GreaterThanEqual
        | Operator::Equal
        | Operator::ExactEqual
        | Operator::NotEqual
        | Operator::NotEqualStar => None,
    }
}

/// Returns the first `count` numbers of a release, the last of them incremented.
fn bump_last(numbers: impl Iterator<Item = u64>, count: usize) -> Option<Vec<u64>> {
    let mut numbers: Vec<u64> = numbers.chain(iter::repeat(0)).take(count).collect();
    let last = numbers.last_mut()?;
    *last = last.checked_add(1)?;
    Some(numbers)
}

/// Returns the release with `count` numbers if this only removes or adds zeros at the end; otherwise returns
/// the release unchanged.
fn resize_release(release: &pep440_rs::Version, count: usize) -> pep440_rs::Version {
    let numbers = resize_numbers(release.release().to_vec(), count);
    let plain = pep440_rs::Version::new(numbers).with_epoch(release.epoch());
    if plain == *release { plain } else { release.clone() }
}

fn resize_numbers(mut numbers: Vec<u64>, count: usize) -> Vec<u64> {
    while numbers.len() > count && numbers.last() == Some(&0) {
        numbers.pop();
    }
    let len = numbers.len().max(count);
    numbers.resize(len, 0);
    numbers
}

/// Returns the new range of a crate whose only upper bound is written with `<`.
pub(super) fn crates_range(
    range: &semver::VersionReq,
    release: &semver::Version,
    floor: Option<&PackageVersion>,
) -> Option<VersionRange> {
    let count = |one: &semver::Comparator| {
        1 + usize::from(one.minor.is_some()) + usize::from(one.minor.and(one.patch).is_some())
    };
    let of = |op: semver::Op| range.comparators.iter().filter(move |one| one.op == op);
    let upper = of(semver::Op::Less).map(count).max()?;
    let lower = of(semver::Op::GreaterEq).map(count).max();
    if of(semver::Op::Less).count() + of(semver::Op::GreaterEq).count() != range.comparators.len() {
        return None;
    }
    let numbers = [release.major, release.minor, release.patch];
    let upper = join_numbers(&bump_last(numbers.into_iter(), upper)?);
    let text = match floor.cloned().or_else(|| lower_bound(range)) {
        Some(floor) => format!(">={}, <{upper}", semver_text(&floor, lower.unwrap_or(3))),
        None if lower.is_some() => return None,
        None => format!("<{upper}"),
    };
    VersionRange::parse(PackageRegistry::Crates, &text).ok()
}

/// Returns the new range of an npm package whose range is `>=A <B`.
pub(super) fn npm_range(
    text: &str,
    release: &nodejs_semver::Version,
    floor: Option<&PackageVersion>,
) -> Option<VersionRange> {
    let (lower, upper) = text.strip_prefix(">=")?.split_once(" <")?;
    let count = |version: &str| {
        let is_plain = version.chars().all(|letter| letter.is_ascii_digit() || letter == '.');
        is_plain.then(|| version.split('.').count())
    };
    let numbers = [release.major(), release.minor(), release.patch()];
    let end = join_numbers(&bump_last(numbers.into_iter(), count(upper)?)?);
    let lower = match floor {
        Some(floor) => semver_text(floor, count(lower)?),
        None => lower.to_owned(),
    };
    VersionRange::parse(PackageRegistry::Npm, &format!(">={lower} <{end}")).ok()
}

/// Renders a semantic version with `count` numbers if this removes only zeros at the end; otherwise renders
/// the whole version.
fn semver_text(version: &PackageVersion, count: usize) -> String {
    let numbers = match version {
        PackageVersion::Npm(version) => vec![version.major(), version.minor(), version.patch()],
        PackageVersion::Crates(version) => vec![version.major, version.minor, version.patch],
        PackageVersion::Pypi(_) => return version.to_string(),
    };
    if join_numbers(&numbers) == version.to_string() {
        join_numbers(&resize_numbers(numbers, count))
    } else {
        version.to_string()
    }
}

fn join_numbers(numbers: &[u64]) -> String {
    numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;
    use truing_core::version::RangeStyle;

    #[test]
    fn a_new_range_has_bounds_of_as_many_numbers_as_before() {
        use PackageRegistry::{Crates, Npm, Pypi};
        for (registry, range, to, floor, expected) in [
            (Pypi, ">=0.27,<0.28", "0.28.1", Some("0.28.0"), ">=0.28,<0.29"),
            (Pypi, ">=0.27,<0.28", "0.28.1", None, ">=0.27,<0.29"),
            // A lower bound of 0.28.1 keeps its three numbers, because the last number is not zero.
            (Pypi, ">=0.27,<0.28", "0.28.1", Some("0.28.1"), ">=0.28.1,<0.29"),
            (Pypi, ">=1.2.0,<1.2.9,!=1.2.5", "1.3.4", Some("1.3"), "!=1.2.5,>=1.3.0,<1.3.5"),
            (Pypi, ">=1,<2", "2.4.1", Some("2.0.0"), ">=2,<3"),
            (Pypi, ">=1.0,<2.0", "2.4.1", None, ">=1.0,<2.5"),
            (Pypi, ">=1.0,<3,<2.0.1", "2.4", None, ">=1.0,<2.4.1"),
            (Pypi, ">=1.0,<=1.4", "1.5.2", None, ">=1.0,<=1.5.2"),
            (Pypi, "<1.2", "1.3.4", Some("1.3.4"), ">=1.3.4,<1.4"),
            (Pypi, "==1.2.0", "1.3.4", None, "==1.3.4"),
            (Pypi, "~=1.2.0", "1.3.4", None, ">=1.2.0,<1.4"),
            (Pypi, "==1.2.*", "1.3.4", Some("1.3.0"), ">=1.3,<1.4"),
            (Pypi, ">=1.2,<1.3", "1!2.0", None, ">=1.2,<1!2.1"),
            (Pypi, ">=1.2,<1.3", "1.3.post1", Some("1.3.post1"), ">=1.3.post1,<1.4"),
            // These two ranges have no upper bound, so the next patch becomes the upper bound.
            (Pypi, ">=1.2", "1.3.4", None, ">=1.2,<1.3.5"),
            (Pypi, "==1.2.0,>=1", "1.3.4", None, ">=1.2.0,<1.3.5"),
            (Crates, ">=0.3, <0.4", "0.4.2", None, ">=0.3, <0.5"),
            (Crates, ">=0.3, <0.4", "0.4.2", Some("0.4.0"), ">=0.4, <0.5"),
            (Crates, ">=0.3, <0.4", "0.4.2", Some("0.4.1"), ">=0.4.1, <0.5"),
            (Crates, "1.2", "2.0.0", None, ">=1.2.0, <2.0.1"),
            (Npm, ">=1.2 <2", "2.3.4", None, ">=1.2 <3"),
            (Npm, ">=1.2.0 <1.3", "1.3.4", Some("1.3.0"), ">=1.3.0 <1.4"),
            (Npm, "^1.2.0", "2.0.0", None, ">=1.2.0 <2.0.1"),
        ] {
            let version = |text: &str| PackageVersion::parse(registry, text).unwrap();
            let (to, floor) = (version(to), floor.map(version));
            let next = VersionRange::parse(registry, range).unwrap().with_release(
                RangeStyle::Keep,
                &to,
                floor.as_ref(),
            );
            let next = next.unwrap();
            assert!(next.contains(&to), "{next} does not hold {to}");
            assert_eq!(next.to_string(), expected, "{range} {to}");
        }
    }
}
