//! The notation of Poetry's version constraints: PEP 440, and `^1.2`, `~1.2`, `1.2`, `1.2.*` and `*`.

use std::str::FromStr as _;

use pep440_rs::{Operator, Version, VersionSpecifier, VersionSpecifiers};
use truing_core::version::compatible_prefix;

/// Parses a constraint.
///
/// # Errors
/// The part that is not understood, and the reason.
pub(super) fn parse_specifiers(text: &str) -> Result<VersionSpecifiers, String> {
    if text.contains('|') {
        return Err("alternatives (`||`) are not supported".to_owned());
    }
    let mut specifiers = Vec::new();
    for word in text.split(',').map(str::trim).filter(|word| *word != "*") {
        specifiers
            .extend(parse_word(word).map_err(|reason| format!("`{word}` is not understood: {reason}"))?);
    }
    Ok(specifiers.into_iter().collect())
}

fn parse_word(word: &str) -> Result<Vec<VersionSpecifier>, String> {
    if let Some(version) = word.strip_prefix('^') {
        return bounds(version, |numbers| {
            let padded: Vec<u64> = numbers.iter().copied().chain([0; 3]).take(3).collect();
            let count = compatible_prefix(<[u64; 3]>::try_from(padded).unwrap_or_default()).len();
            count.min(numbers.len())
        });
    }
    let is_tilde = word.starts_with('~') && !word.starts_with("~=");
    if let Some(version) = word.strip_prefix('~').filter(|_| is_tilde) {
        return bounds(version, |numbers| numbers.len().min(2));
    }
    let plain = word.strip_prefix('=').filter(|rest| !rest.starts_with('=')).unwrap_or(word).trim_start();
    let text = if plain.starts_with(|letter: char| letter.is_ascii_digit()) {
        format!("=={plain}")
    } else {
        plain.to_owned()
    };
    VersionSpecifier::from_str(&text).map(|specifier| vec![specifier]).map_err(|error| error.to_string())
}

/// Returns the bounds of a version: from the version up to the next one that differs in its first numbers.
/// `fixed_count` returns how many numbers are equal, from all numbers of the version.
fn bounds(version: &str, fixed_count: fn(&[u64]) -> usize) -> Result<Vec<VersionSpecifier>, String> {
    let version = Version::from_str(version.trim()).map_err(|error| error.to_string())?;
    let mut numbers = version.release().to_vec();
    numbers.truncate(fixed_count(version.release()));
    let last = numbers.last_mut().and_then(|last| last.checked_add(1).map(|next| *last = next));
    last.ok_or("its number is too large")?;
    let upper = Version::new(numbers).with_epoch(version.epoch());
    let specifier = |operator, version| {
        VersionSpecifier::from_version(operator, version).map_err(|error| error.to_string())
    };
    Ok(vec![specifier(Operator::GreaterThanEqual, version)?, specifier(Operator::LessThan, upper)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_constraints_as_poetry_defines_them() {
        for (text, expected) in [
            ("^1.2.3", ">=1.2.3, <2"),
            ("^0.2.3", ">=0.2.3, <0.3"),
            ("^0.0.3", ">=0.0.3, <0.0.4"),
            ("^0.0", ">=0.0, <0.1"),
            ("^0", ">=0, <1"),
            ("~1.2.3", ">=1.2.3, <1.3"),
            ("~1", ">=1, <2"),
            ("~=1.2.3", "~=1.2.3"),
            ("1.2.*", "==1.2.*"),
            ("1.2.3", "==1.2.3"),
            ("=1.2.3", "==1.2.3"),
            (">=1.2, <2, !=1.5", ">=1.2, !=1.5, <2"),
            ("*", ""),
        ] {
            let mut wanted: Vec<String> = expected.split(", ").map(str::to_owned).collect();
            let mut words: Vec<String> =
                parse_specifiers(text).unwrap().iter().map(ToString::to_string).collect();
            words.sort();
            wanted.sort();
            wanted.retain(|word| !word.is_empty());
            assert_eq!(words, wanted, "{text}");
        }
        for text in ["^1.2 || ^2", "latest", "^", "1.2 2.0", "", "^18446744073709551615", "git+https://x"] {
            assert!(parse_specifiers(text).is_err(), "{text}");
        }
    }
}
