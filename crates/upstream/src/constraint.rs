//! Which releases of a package a project admits: the one requirement in its `pyproject.toml`, and what it becomes.

use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use pep440_rs::{Operator, Version, VersionSpecifier, VersionSpecifiers};
use pep508_rs::{Requirement, VerbatimUrl, VersionOrUrl};
use toml_edit::{DocumentMut, Item, Value};

/// The longest file, in bytes.
const MAX_FILE: u64 = 4 << 20;

/// Why a project's requirement cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum ConstraintError {
    /// The file.
    #[error("{path} cannot be read: {why}")]
    Unread {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// Its form.
    #[error("{path} is no TOML: {why}")]
    Form {
        /// The file.
        path: PathBuf,
        /// The parser's words.
        why: String,
    },
    /// No requirement, or several.
    #[error("{path}: {at} requires `{package}` {count} times; it must be once")]
    Count {
        /// The file.
        path: PathBuf,
        /// Where in it.
        at: String,
        /// The package.
        package: String,
        /// How often.
        count: usize,
    },
    /// A requirement of another kind.
    #[error("{path}: `{text}` says no range of versions: {why}")]
    Range {
        /// The file.
        path: PathBuf,
        /// As it is written.
        text: String,
        /// Why not.
        why: String,
    },
}

/// The requirement of a package in a project's file.
///
/// # Errors
/// [`ConstraintError`]
pub fn read(path: &Path, at: &str, package: &str) -> Result<VersionSpecifiers, ConstraintError> {
    let unread = |why: String| ConstraintError::Unread { path: path.to_owned(), why };
    let length = std::fs::metadata(path).map_err(|error| unread(error.to_string()))?.len();
    if length > MAX_FILE {
        return Err(unread(format!("it is longer than {} MiB", MAX_FILE >> 20)));
    }
    let text = std::fs::read_to_string(path).map_err(|error| unread(error.to_string()))?;
    let form = |why: String| ConstraintError::Form { path: path.to_owned(), why };
    let document: DocumentMut =
        text.parse().map_err(|error: toml_edit::TomlError| form(error.to_string()))?;
    let mut item = document.as_item();
    for key in at.split('.') {
        item = item.get(key).unwrap_or(&Item::None);
    }
    let found: Vec<(String, Requirement<VerbatimUrl>)> = item
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .filter_map(|text| Some((text.to_owned(), Requirement::from_str(text).ok()?)))
        .filter(|(_, requirement)| requirement.name.as_ref() == package)
        .collect();
    let [(text, requirement)] = found.as_slice() else {
        let (path, at, package) = (path.to_owned(), at.to_owned(), package.to_owned());
        return Err(ConstraintError::Count { path, at, package, count: found.len() });
    };
    match &requirement.version_or_url {
        Some(VersionOrUrl::VersionSpecifier(range)) => Ok(range.clone()),
        Some(VersionOrUrl::Url(_)) | None => Err(ConstraintError::Range {
            path: path.to_owned(),
            text: text.clone(),
            why: "write a lower and an upper bound".to_owned(),
        }),
    }
}

/// A range that ends before the patch after a version; `floor` or else its lower bound stays.
///
/// `>=1.2.0,<1.2.9` and 1.3.4 give `>=1.2.0,<1.3.5`, the form of all measured ranges (spec/sync.md 1.1).
pub fn up_to(
    range: &VersionSpecifiers,
    version: &Version,
    floor: Option<&Version>,
) -> Option<VersionSpecifiers> {
    let is_lower = |one: &&VersionSpecifier| {
        matches!(*one.operator(), Operator::GreaterThanEqual | Operator::GreaterThan)
    };
    let is_upper =
        |one: &&VersionSpecifier| matches!(*one.operator(), Operator::LessThan | Operator::LessThanEqual);
    let lower = match floor {
        Some(floor) => VersionSpecifier::from_version(Operator::GreaterThanEqual, floor.clone()).ok()?,
        None => range.iter().find(is_lower)?.clone(),
    };
    let mut release = version.release().to_vec();
    let last = release.last_mut()?;
    *last = last.checked_add(1)?;
    let upper = VersionSpecifier::from_version(Operator::LessThan, Version::new(release)).ok()?;
    let rest = range.iter().filter(|one| !is_lower(one) && !is_upper(one)).cloned();
    Some([lower, upper].into_iter().chain(rest).collect())
}
