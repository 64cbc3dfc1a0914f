//! Reads the version range in which a project requires a package, from a file of the project. Returns the
//! file's text with another range. A parser finds the position of the range; all bytes outside the range are
//! unchanged.
//!
//! * TOML: a list of Python requirements (`pyproject.toml`), a table of requirements (`Cargo.toml`), or a
//!   single version;
//! * JSON: an object of requirements (`package.json`), or a single version;
//! * a Python module: a version that is assigned to a name;
//! * a list of Python requirements, one on each line (`requirements.txt`);
//! * any other file: only a version.

mod json;
pub(crate) mod pep508;
mod python;
mod requirement;
#[cfg(test)]
mod tests;
mod toml;

use std::path::{Path, PathBuf};

pub use self::requirement::RequirementPlace;
use self::requirement::{RequirementText, entries_contain_package_name, span_within_quotes};
pub(crate) use self::toml::parse_document;
use crate::range::VersionRange;
use truing_core::registry::PackageRegistry;
use truing_core::version::{PackageVersion, RangeStyle, VersionError};

/// The largest file, in bytes.
const MAX_FILE_BYTES: u64 = 512 << 10;

/// The reasons why a project's requirement of a package cannot be determined.
#[derive(Debug, thiserror::Error)]
pub enum RequirementError {
    /// The file cannot be read.
    #[error("{path} cannot be read: {reason}")]
    Unreadable {
        path: PathBuf,
        /// The error of the system.
        reason: String,
    },
    /// The file cannot be parsed.
    #[error("{path} is not valid {expected_format}: {reason}")]
    Malformed {
        path: PathBuf,
        /// The format that was expected.
        expected_format: &'static str,
        /// The message of the parser.
        reason: String,
    },
    /// The file contains no requirement of the package, or several requirements.
    #[error(
        "{path}: {}requires `{package}` {count} times; exactly one requirement is needed",
        key_message_prefix(.key_path)
    )]
    NotExactlyOneRequirement {
        path: PathBuf,
        /// Keys of the searched list or table, with dots between them.
        key_path: String,
        package: String,
        /// Number of requirements that were found.
        count: usize,
    },
    /// The version range of the requirement is missing or invalid.
    #[error("{path}: `{text}` is not a range of versions: {reason}")]
    InvalidRange {
        path: PathBuf,
        /// The requirement as it is written.
        text: String,
        /// The problem with the requirement.
        reason: String,
    },
}

/// Renders `key_path` and a space, or an empty text if `key_path` is empty.
fn key_message_prefix(key_path: &str) -> String {
    if key_path.is_empty() { String::new() } else { format!("{key_path} ") }
}

/// Reads the requirement of a package in a project's file.
///
/// # Errors
/// [`RequirementError`] if there is not exactly one readable requirement.
pub fn read_range(place: &RequirementPlace<'_>) -> Result<VersionRange, RequirementError> {
    let text = read_file(place.file)?;
    find_requirement(place, &text).map(|(_, range)| range)
}

/// Returns the requirement of a package as it is written in a Python project's file, or none if there is not
/// exactly one requirement.
pub(crate) fn read_pep508_requirement(place: &RequirementPlace<'_>) -> Option<String> {
    let found = read_file(place.file).ok().and_then(|text| find_requirement(place, &text).ok());
    found.filter(|_| entries_contain_package_name(place)).map(|(found, _)| found.text)
}

/// Returns the key paths (keys with dots between them) of the lists and tables in a TOML or JSON file that
/// require the package.
pub fn requiring_key_paths(place: &RequirementPlace<'_>) -> Vec<String> {
    let Ok(text) = read_file(place.file) else { return Vec::new() };
    let is_json = place.file.extension().is_some_and(|extension| extension == "json");
    let paths = if is_json { json::object_key_paths(&text) } else { toml::table_paths(&text) };
    let holds = |key_path: &String| {
        let place = RequirementPlace { key_path, ..*place };
        find_requirement(&place, &text).is_ok()
    };
    paths.into_iter().filter(holds).collect()
}

/// Returns the names of the packages that a project's file requires; none for a file that cannot be read.
pub fn required_packages(file: &Path, registry: PackageRegistry) -> Vec<String> {
    let text = read_file(file).unwrap_or_default();
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("toml") => toml::required_packages(&text, registry),
        Some("json") => json::required_packages(&text),
        Some(_) | None => text.lines().filter_map(pep508::package_name).collect(),
    }
}

/// The members of a Cargo workspace, as the workspace's `Cargo.toml` lists them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct WorkspaceMembers {
    /// Folders, and patterns of folders.
    pub members: Vec<String>,
    /// Folders that are excluded.
    pub exclude: Vec<String>,
}

/// Reads the workspace members from a `Cargo.toml`. Returns no members if the file has no list of members or
/// cannot be read.
pub fn read_workspace_members(file: &Path) -> WorkspaceMembers {
    let text = read_file(file).unwrap_or_default();
    let list = |name: &str| toml::read_string_list(&text, &["workspace", name]);
    WorkspaceMembers { members: list("members"), exclude: list("exclude") }
}

/// Returns true if the crate's version in the table is inherited from the workspace (`name.workspace =
/// true`).
pub fn inherits_workspace_version(place: &RequirementPlace<'_>) -> bool {
    let text = read_file(place.file).unwrap_or_default();
    place.registry == PackageRegistry::Crates && toml::inherits_workspace_version(&text, place)
}

/// Returns the whole text of a project's file, in which `range` replaces the present version range. All other
/// bytes are unchanged.
///
/// # Errors
/// [`RequirementError`], also for a requirement whose notation cannot be edited.
pub fn file_text_with_range(
    place: &RequirementPlace<'_>,
    range: &VersionRange,
) -> Result<String, RequirementError> {
    replace_range_in_text(place, &read_file(place.file)?, range)
}

/// Replaces the range in the text of a file, as [`file_text_with_range`] does.
fn replace_range_in_text(
    place: &RequirementPlace<'_>,
    text: &str,
    range: &VersionRange,
) -> Result<String, RequirementError> {
    let (found, _) = find_requirement(place, text)?;
    let written = if entries_contain_package_name(place) {
        pep508::replace_range(&found.text, range)
            .map_err(|reason| wrong_range_error(place, &found.text, reason))?
    } else {
        range.to_string()
    };
    let (before, after) = (text.get(..found.span.start), text.get(found.span.end..));
    Ok([before.unwrap_or_default(), &written, after.unwrap_or_default()].concat())
}

fn find_requirement(
    place: &RequirementPlace<'_>,
    text: &str,
) -> Result<(RequirementText, VersionRange), RequirementError> {
    let is_vendored = place.style == RangeStyle::VendoredVersion;
    let form = |expected_format: &'static str| {
        move |reason: String| RequirementError::Malformed {
            path: place.file.to_owned(),
            expected_format,
            reason,
        }
    };
    let found = match place.file.extension().and_then(|extension| extension.to_str()) {
        _ if place.key_path.is_empty() && entries_contain_package_name(place) => {
            requirement_lines(text, place.package)
        }
        _ if place.key_path.is_empty() => {
            let start = text.len() - text.trim_start().len();
            let version = text.trim();
            vec![RequirementText { span: start..start + version.len(), text: version.to_owned() }]
        }
        Some("py") if is_vendored => python::find_assignments(text, place.key_path),
        Some("json") => {
            json::find_requirements(text, place.key_path, place.package, is_vendored).map_err(form("JSON"))?
        }
        Some(_) | None => toml::find_requirements(text, place).map_err(form("TOML"))?,
    };
    let count = found.len();
    let mut found = found.into_iter();
    let (Some(found), None) = (found.next(), found.next()) else {
        let (path, key_path, package) =
            (place.file.to_owned(), place.key_path.to_owned(), place.package.to_owned());
        return Err(RequirementError::NotExactlyOneRequirement { path, key_path, package, count });
    };
    let range = if is_vendored {
        PackageVersion::parse(place.registry, &found.text)
            .map(VersionRange::from_vendored_version)
            .map_err(|error| version_error_text(&error))
    } else if entries_contain_package_name(place) {
        pep508::parse_range(&found.text)
    } else {
        VersionRange::parse(place.registry, &found.text).map_err(|error| version_error_text(&error))
    };
    let range = range.map_err(|reason| wrong_range_error(place, &found.text, reason))?;
    Ok((found, range))
}

/// Finds the requirements of a package in a list with one requirement per line, as in `requirements.txt`.
fn requirement_lines(text: &str, package: &str) -> Vec<RequirementText> {
    let mut found = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let (start, of) = (at + line.len() - line.trim_start().len(), line.trim_start());
        at += line.len();
        // A requirement ends before a comment, an option on the same line (`--hash=…`), or a line
        // continuation (`\`).
        let end = [" #", "\t#", " --", "\\"].into_iter().filter_map(|mark| of.find(mark)).min();
        let of = of.get(..end.unwrap_or(of.len())).unwrap_or_default().trim_end();
        let is_option = of.starts_with(['#', '-']);
        if !is_option
            && pep508::package_name(of).is_some_and(|name| name == toml::normalise_package_name(package))
        {
            found.push(RequirementText { span: start..start + of.len(), text: of.to_owned() });
        }
    }
    found
}

fn version_error_text(error: &VersionError) -> String {
    error.to_string()
}

fn wrong_range_error(place: &RequirementPlace<'_>, text: &str, reason: String) -> RequirementError {
    RequirementError::InvalidRange { path: place.file.to_owned(), text: text.to_owned(), reason }
}

pub(crate) fn read_file(path: &Path) -> Result<String, RequirementError> {
    let unread = |reason: String| RequirementError::Unreadable { path: path.to_owned(), reason };
    let found = std::fs::metadata(path).map_err(|error| unread(error.to_string()))?;
    // Only regular files are read, because reading a pipe may never end.
    if !found.is_file() {
        return Err(unread("it is not a regular file".to_owned()));
    }
    if found.len() > MAX_FILE_BYTES {
        return Err(unread(format!("it is longer than {} KiB", MAX_FILE_BYTES >> 10)));
    }
    std::fs::read_to_string(path).map_err(|error| unread(error.to_string()))
}
