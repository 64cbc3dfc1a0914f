//! Which releases of a package a project admits: the one requirement in its `pyproject.toml`, and what it becomes.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use pep440_rs::{Operator, Version, VersionSpecifier, VersionSpecifiers};
use pep508_rs::{Requirement, VerbatimUrl, VersionOrUrl};
use toml_edit::{Document, Item};

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
    let text = file(path)?;
    Ok(find(path, &text, at, package)?.range)
}

/// The whole text of a project's file with another range in place of the one it has; every other byte stays.
///
/// # Errors
/// [`ConstraintError`], also for a requirement that is written in a way that cannot be edited.
pub fn rewritten(
    path: &Path,
    at: &str,
    package: &str,
    range: &VersionSpecifiers,
) -> Result<String, ConstraintError> {
    let text = file(path)?;
    let found = find(path, &text, at, package)?;
    let unedited = |why: &str| ConstraintError::Range {
        path: path.to_owned(),
        text: found.text.clone(),
        why: why.to_owned(),
    };
    let new = with_range(&found.text, range).ok_or_else(|| unedited("it cannot be edited in place"))?;
    let same = Requirement::<VerbatimUrl>::from_str(&new).is_ok_and(|new| {
        new.version_or_url == Some(VersionOrUrl::VersionSpecifier(range.clone()))
            && (&new.name, &new.extras, &new.marker)
                == (&found.requirement.name, &found.requirement.extras, &found.requirement.marker)
    });
    let whole = text.get(found.at.clone()).unwrap_or_default();
    // A string with escapes is not what it looks like.
    if !same || !whole.contains(&found.text) {
        return Err(unedited("it cannot be edited in place"));
    }
    let (before, after) = (text.get(..found.at.start), text.get(found.at.end..));
    Ok([before.unwrap_or_default(), &whole.replacen(&found.text, &new, 1), after.unwrap_or_default()]
        .concat())
}

/// A requirement with another range, in the manner of the one that it has.
fn with_range(text: &str, range: &VersionSpecifiers) -> Option<String> {
    let is_operator = |letter: char| matches!(letter, '<' | '>' | '=' | '!' | '~');
    let start = text.find(is_operator)?;
    let rest = text.get(start..)?;
    let old = rest.split(';').next()?.trim_end().trim_end_matches(')').trim_end();
    let after = rest.get(old.len()..)?;
    let gap = old.trim_start_matches(is_operator).starts_with(' ');
    let separator = if old.contains(", ") { ", " } else { "," };
    let one =
        |one: &VersionSpecifier| format!("{}{}{}", one.operator(), if gap { " " } else { "" }, one.version());
    let new = range.iter().map(one).collect::<Vec<_>>().join(separator);
    Some([text.get(..start)?, &new, after].concat())
}

fn file(path: &Path) -> Result<String, ConstraintError> {
    let unread = |why: String| ConstraintError::Unread { path: path.to_owned(), why };
    let length = std::fs::metadata(path).map_err(|error| unread(error.to_string()))?.len();
    if length > MAX_FILE {
        return Err(unread(format!("it is longer than {} MiB", MAX_FILE >> 20)));
    }
    std::fs::read_to_string(path).map_err(|error| unread(error.to_string()))
}

/// The one requirement of a package.
struct Found {
    /// As it is written, without quotes.
    text: String,
    /// Where in the file, with its quotes.
    at: Range<usize>,
    requirement: Requirement<VerbatimUrl>,
    range: VersionSpecifiers,
}

fn find(path: &Path, text: &str, at: &str, package: &str) -> Result<Found, ConstraintError> {
    let form = |why: String| ConstraintError::Form { path: path.to_owned(), why };
    let document = Document::parse(text).map_err(|error| form(error.to_string()))?;
    let mut item = document.as_item();
    for key in at.split('.') {
        item = item.get(key).unwrap_or(&Item::None);
    }
    let values = item.as_array().into_iter().flatten();
    let mut found: Vec<(String, Range<usize>, Requirement<VerbatimUrl>)> = values
        .filter_map(|value| Some((value.as_str()?.to_owned(), value.span().unwrap_or_default())))
        .filter_map(|(text, span)| Some((Requirement::from_str(&text).ok()?, text, span)))
        .map(|(requirement, text, span)| (text, span, requirement))
        .filter(|(.., requirement)| requirement.name.as_ref() == package)
        .collect();
    let (count, last) = (found.len(), found.pop());
    let Some((text, span, requirement)) = last.filter(|_| count == 1) else {
        let (path, at, package) = (path.to_owned(), at.to_owned(), package.to_owned());
        return Err(ConstraintError::Count { path, at, package, count });
    };
    match &requirement.version_or_url {
        Some(VersionOrUrl::VersionSpecifier(range)) => {
            Ok(Found { range: range.clone(), text, at: span, requirement })
        }
        Some(VersionOrUrl::Url(_)) | None => Err(ConstraintError::Range {
            path: path.to_owned(),
            text,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str) -> VersionSpecifiers {
        VersionSpecifiers::from_str(text).unwrap()
    }

    fn project(requirement: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pyproject.toml");
        let text = format!(
            "# a project\n[project]\ndependencies = [\n    \"aiohttp >=3, <4\", # first\n    {requirement},   # pinned\n]\n"
        );
        std::fs::write(&path, text).unwrap();
        (folder, path)
    }

    #[test]
    fn only_the_range_is_rewritten_in_the_manner_of_the_old_one() {
        for (written, becomes) in [
            (r#""botocore >=1.40.46, <1.40.50""#, r#""botocore >=1.40.46, <1.41.1""#),
            (r#""botocore>=1.40.46,<1.40.50""#, r#""botocore>=1.40.46,<1.41.1""#),
            (r#"'botocore >= 1.40.46, < 1.40.50'"#, r#"'botocore >= 1.40.46, < 1.41.1'"#),
            (
                r#""botocore[crt] (>=1.40.46,<1.40.50) ; python_version > '3.9'""#,
                r#""botocore[crt] (>=1.40.46,<1.41.1) ; python_version > '3.9'""#,
            ),
            (r#""""botocore >=1.40.46, <1.40.50""""#, r#""""botocore >=1.40.46, <1.41.1""""#),
        ] {
            let (_folder, path) = project(written);
            let before = std::fs::read_to_string(&path).unwrap();
            let at = "project.dependencies";
            let after = rewritten(&path, at, "botocore", &range(">=1.40.46,<1.41.1")).unwrap();
            assert_eq!(after, before.replace(written, becomes));
            std::fs::write(&path, &after).unwrap();
            let back = rewritten(&path, at, "botocore", &range(">=1.40.46,<1.40.50")).unwrap();
            assert_eq!(back, before, "undone, byte for byte");
        }
    }

    #[test]
    fn what_is_there_twice_or_not_at_all_or_without_a_range_is_refused() {
        for (written, why) in [
            (r#""botocore>=1", "botocore<2""#, "2 times"),
            (r#""boto3>=1""#, "0 times"),
            (r#""botocore""#, "no range"),
            (r#""botocore @ https://x.example/b.whl""#, "no range"),
            (r#""boto\u0063ore>=1""#, "cannot be edited"),
        ] {
            let (_folder, path) = project(written);
            let error = rewritten(&path, "project.dependencies", "botocore", &range(">=1,<3")).unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
        }
    }
}
