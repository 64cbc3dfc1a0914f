//! Reads the range of a Python requirement, `name[extras] >= 1.0, < 2.0; marker`, and rewrites the
//! requirement with another range.

use std::str::FromStr as _;

use pep440_rs::{Operator, VersionSpecifier, VersionSpecifiers};
use pep508_rs::{Requirement, VerbatimUrl, VersionOrUrl};

use crate::range::{VersionRange, is_lower_bound, is_upper_bound};

/// Parses a requirement. The parser panics if a name or an extra ends in a punctuation character (pep508_rs
/// 0.9.2), so such names and extras are rejected before parsing.
pub(crate) fn parse_requirement(text: &str) -> Result<Requirement<VerbatimUrl>, String> {
    let text = text.trim();
    let end = text.find(|letter: char| !is_name_char(letter)).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let has_valid_edges = |name: &str| {
        let is_right =
            |edge_letter: Option<char>| edge_letter.is_some_and(|letter| letter.is_ascii_alphanumeric());
        is_right(name.chars().next()) && is_right(name.chars().next_back())
    };
    if !has_valid_edges(name) {
        return Err("it does not begin with the name of a package".to_owned());
    }
    if let Some(rest) = rest.trim_start().strip_prefix('[') {
        let extras = rest.split(']').next().unwrap_or_default();
        let words = extras.split(|letter: char| letter == ',' || letter.is_whitespace());
        if let Some(wrong) = words.filter(|word| !word.is_empty()).find(|word| !has_valid_edges(word)) {
            return Err(format!("`{wrong}` is not a valid name of an extra"));
        }
    }
    // The parser's message continues with the text and a mark below the error.
    Requirement::from_str(text)
        .map_err(|error| error.to_string().lines().next().unwrap_or_default().to_owned())
}

fn is_name_char(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.')
}

/// Returns the version range of a requirement.
pub(super) fn parse_range(text: &str) -> Result<VersionRange, String> {
    let requirement = parse_requirement(text)?;
    match requirement.version_or_url {
        Some(VersionOrUrl::VersionSpecifier(range)) => Ok(VersionRange::from_specifiers(range)),
        Some(VersionOrUrl::Url(_)) => Err("it takes the package from an address".to_owned()),
        None => Err("specify a lower and an upper bound".to_owned()),
    }
}

/// Returns the requirement with another range. A new lower or upper bound replaces the present lower or upper
/// bound; white space is kept.
pub(super) fn replace_range(text: &str, range: &VersionRange) -> Result<String, String> {
    let (start, end) = bounds_span(text).ok_or("its bounds are ambiguous")?;
    let written = text.get(start..end).unwrap_or_default();
    let mut wanted = parse_specifiers(&range.to_string())?;
    let mut pieces = Vec::new();
    for piece in written.split(',') {
        let here = VersionSpecifier::from_str(piece.trim()).map_err(|error| error.to_string())?;
        let same_side = |one: &VersionSpecifier| bound_side(one) == bound_side(&here);
        let Some(at) =
            wanted.iter().position(|one| *one == here).or_else(|| wanted.iter().position(same_side))
        else {
            continue;
        };
        let new = wanted.remove(at);
        pieces.push(if new == here { piece.to_owned() } else { format_bound_like(piece, &new) });
    }
    let separator = if written.contains(", ") { " " } else { "" };
    for new in wanted {
        let lead = if pieces.is_empty() { "" } else { separator };
        pieces.push(format!("{lead}{new}"));
    }
    let (before, after) = (text.get(..start).unwrap_or_default(), text.get(end..).unwrap_or_default());
    let changed = [before, &pieces.join(","), after].concat();
    // The edited requirement is parsed again. If its range differs from the requested range, the edit is
    // rejected.
    let reparsed_range = self::parse_range(&changed)?;
    let same = parse_specifiers(&reparsed_range.to_string())? == parse_specifiers(&range.to_string())?;
    if same { Ok(changed) } else { Err(format!("it cannot be rewritten to {range}")) }
}

/// Renders the new bound with the white space of the replaced bound.
fn format_bound_like(replaced_bound: &str, new_bound: &VersionSpecifier) -> String {
    let lead =
        replaced_bound.get(..replaced_bound.len() - replaced_bound.trim_start().len()).unwrap_or_default();
    let trail = replaced_bound.get(replaced_bound.trim_end().len()..).unwrap_or_default();
    let inner = replaced_bound.trim();
    let sign = inner.trim_start_matches(['<', '>', '=', '!', '~']);
    let blank = sign.get(..sign.len() - sign.trim_start().len()).unwrap_or_default();
    format!("{lead}{}{blank}{}{trail}", new_bound.operator(), new_bound.version())
}

fn parse_specifiers(text: &str) -> Result<Vec<VersionSpecifier>, String> {
    let range = VersionSpecifiers::from_str(text).map_err(|error| error.to_string())?;
    Ok(range.iter().cloned().collect())
}

#[derive(PartialEq, Eq)]
enum BoundSide {
    Lower,
    Upper,
    Exact,
    Other,
}

fn bound_side(specifier: &VersionSpecifier) -> BoundSide {
    match specifier {
        specifier if is_lower_bound(specifier) => BoundSide::Lower,
        specifier if is_upper_bound(specifier) => BoundSide::Upper,
        specifier if matches!(*specifier.operator(), Operator::Equal | Operator::ExactEqual) => {
            BoundSide::Exact
        }
        _ => BoundSide::Other,
    }
}

/// Returns the start and the end of the version bounds, which follow the name and the extras. The marker and
/// surrounding parentheses are not included.
fn bounds_span(text: &str) -> Option<(usize, usize)> {
    let end = text.find(';').unwrap_or(text.len());
    let head = text.get(..end)?;
    let after_extras = head.find(']').map_or(0, |at| at + 1);
    let start = after_extras + head.get(after_extras..)?.find(['<', '>', '=', '!', '~'])?;
    let bounds = head.get(start..)?.trim_end();
    let bounds = bounds.strip_suffix(')').unwrap_or(bounds).trim_end();
    Some((start, start + bounds.len()))
}

/// Returns the name of the required package, normalised as package indexes do (PEP 503).
pub(crate) fn package_name(text: &str) -> Option<String> {
    match parse_requirement(text) {
        Ok(requirement) => Some(requirement.name.to_string()),
        // The name is returned even if the rest of the requirement is invalid. The error is reported when the
        // range is read.
        Err(_) => {
            let name = text.trim().split(|letter: char| !is_name_char(letter)).next()?;
            let words = name.split(['-', '_', '.']).filter(|word| !word.is_empty());
            Some(words.collect::<Vec<_>>().join("-").to_ascii_lowercase()).filter(|name| !name.is_empty())
        }
    }
}
