//! Which releases of a package a project admits: the one requirement in its own file, and the same file with another
//! range in its place. Where the range stands is found by the file's parser; an edit changes the bytes of the range
//! that differ, and no others.
//!
//! * TOML: a list of Python requirements (`pyproject.toml`), a table of requirements (`Cargo.toml`), a version alone;
//! * JSON: an object of requirements (`package.json`), a version alone;
//! * a Python module: a version that a name is given;
//! * a list of Python requirements, one a line (`requirements.txt`);
//! * any other file: a version, and nothing else.

mod found;
mod json;
pub(crate) mod pep508;
mod python;
#[cfg(test)]
mod tests;
mod toml;

use std::path::{Path, PathBuf};

pub use self::found::RequirementPlace;
use self::found::{RequirementText, is_requirement, within_quotes};
pub(crate) use self::toml::document;
use crate::range::VersionRange;
use truing_core::registry::PackageRegistry;
use truing_core::version::{PackageVersion, RangeStyle, VersionError};

/// The longest file, in bytes.
const MAX_FILE: u64 = 512 << 10;

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
    #[error("{path} is no {what}: {why}")]
    Form {
        /// The file.
        path: PathBuf,
        /// What it should be.
        what: &'static str,
        /// The parser's words.
        why: String,
    },
    /// No requirement, or several.
    #[error("{path}: {}requires `{package}` {count} times; it must be once", shown(.at))]
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

/// The keys in a file, if there are any.
fn shown(at: &str) -> String {
    if at.is_empty() { String::new() } else { format!("{at} ") }
}

/// The requirement of a package in a project's file.
///
/// # Errors
/// [`ConstraintError`]
pub fn read(place: &RequirementPlace<'_>) -> Result<VersionRange, ConstraintError> {
    let text = content(place.file)?;
    of_text(place, &text).map(|(_, range)| range)
}

/// The requirement of a package as a Python project writes it; none if it cannot be told.
pub(crate) fn requirement(place: &RequirementPlace<'_>) -> Option<String> {
    let found = content(place.file).ok().and_then(|text| of_text(place, &text).ok());
    found.filter(|_| is_requirement(place)).map(|(found, _)| found.text)
}

/// Where else in a TOML or JSON file the package is required, as keys with dots between them; empty: nowhere.
pub fn elsewhere(place: &RequirementPlace<'_>) -> Vec<String> {
    let Ok(text) = content(place.file) else { return Vec::new() };
    let is_json = place.file.extension().is_some_and(|extension| extension == "json");
    let paths = if is_json { json::paths(&text) } else { toml::paths(&text) };
    let holds = |at: &String| {
        let place = RequirementPlace { at, ..*place };
        of_text(&place, &text).is_ok()
    };
    paths.into_iter().filter(holds).collect()
}

/// The names of the packages that a project's file requires; none of a file that cannot be read.
pub fn packages(file: &Path, registry: PackageRegistry) -> Vec<String> {
    let text = content(file).unwrap_or_default();
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("toml") => toml::packages(&text, registry),
        Some("json") => json::packages(&text),
        Some(_) | None => text.lines().filter_map(pep508::name).collect(),
    }
}

/// The members of a Cargo workspace, as its file writes them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct WorkspaceMembers {
    /// Folders, and patterns of folders.
    pub members: Vec<String>,
    /// Folders that are none.
    pub exclude: Vec<String>,
}

/// The members of the workspace of a `Cargo.toml`; none of a file that says none, or cannot be read.
pub fn members(file: &Path) -> WorkspaceMembers {
    let text = content(file).unwrap_or_default();
    let list = |name: &str| toml::strings(&text, &["workspace", name]);
    WorkspaceMembers { members: list("members"), exclude: list("exclude") }
}

/// Is it a table of crates that leaves the version of this one to the workspace (`name.workspace = true`)?
pub fn is_of_workspace(place: &RequirementPlace<'_>) -> bool {
    let text = content(place.file).unwrap_or_default();
    place.registry == PackageRegistry::Crates && toml::is_of_workspace(&text, place)
}

/// The whole text of a project's file with another range in place of the one that it has; every other byte stays.
///
/// # Errors
/// [`ConstraintError`], also for a requirement that is written in a way that cannot be edited.
pub fn rewritten(place: &RequirementPlace<'_>, range: &VersionRange) -> Result<String, ConstraintError> {
    edited(place, &content(place.file)?, range)
}

/// The same of a text.
fn edited(place: &RequirementPlace<'_>, text: &str, range: &VersionRange) -> Result<String, ConstraintError> {
    let (found, _) = of_text(place, text)?;
    let written = if is_requirement(place) {
        pep508::with(&found.text, range).map_err(|why| wrong_range(place, &found.text, why))?
    } else {
        range.to_string()
    };
    let (before, after) = (text.get(..found.span.start), text.get(found.span.end..));
    Ok([before.unwrap_or_default(), &written, after.unwrap_or_default()].concat())
}

fn of_text(
    place: &RequirementPlace<'_>,
    text: &str,
) -> Result<(RequirementText, VersionRange), ConstraintError> {
    let is_copy = place.style == RangeStyle::VendoredVersion;
    let form = |what: &'static str| {
        move |why: String| ConstraintError::Form { path: place.file.to_owned(), what, why }
    };
    let found = match place.file.extension().and_then(|extension| extension.to_str()) {
        _ if place.at.is_empty() && is_requirement(place) => lines(text, place.package),
        _ if place.at.is_empty() => {
            let start = text.len() - text.trim_start().len();
            let version = text.trim();
            vec![RequirementText { span: start..start + version.len(), text: version.to_owned() }]
        }
        Some("py") if is_copy => python::find(text, place.at),
        Some("json") => json::find(text, place.at, place.package, is_copy).map_err(form("JSON"))?,
        Some(_) | None => toml::find(text, place).map_err(form("TOML"))?,
    };
    let count = found.len();
    let mut found = found.into_iter();
    let (Some(found), None) = (found.next(), found.next()) else {
        let (path, at, package) = (place.file.to_owned(), place.at.to_owned(), place.package.to_owned());
        return Err(ConstraintError::Count { path, at, package, count });
    };
    let range = if is_copy {
        PackageVersion::parse(place.registry, &found.text)
            .map(VersionRange::of_copy)
            .map_err(|error| told(&error))
    } else if is_requirement(place) {
        pep508::range(&found.text)
    } else {
        VersionRange::parse(place.registry, &found.text).map_err(|error| told(&error))
    };
    let range = range.map_err(|why| wrong_range(place, &found.text, why))?;
    Ok((found, range))
}

/// The requirements of a package in a list of them, one a line, as in `requirements.txt`.
fn lines(text: &str, package: &str) -> Vec<RequirementText> {
    let mut found = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let (start, of) = (at + line.len() - line.trim_start().len(), line.trim_start());
        at += line.len();
        // A comment, an option of this line (`--hash=…`), and a line that goes on.
        let end = [" #", "\t#", " --", "\\"].into_iter().filter_map(|mark| of.find(mark)).min();
        let of = of.get(..end.unwrap_or(of.len())).unwrap_or_default().trim_end();
        let is_option = of.starts_with(['#', '-']);
        if !is_option && pep508::name(of).is_some_and(|name| name == toml::spelled(package)) {
            found.push(RequirementText { span: start..start + of.len(), text: of.to_owned() });
        }
    }
    found
}

fn told(error: &VersionError) -> String {
    error.to_string()
}

fn wrong_range(place: &RequirementPlace<'_>, text: &str, why: String) -> ConstraintError {
    ConstraintError::Range { path: place.file.to_owned(), text: text.to_owned(), why }
}

pub(crate) fn content(path: &Path) -> Result<String, ConstraintError> {
    let unread = |why: String| ConstraintError::Unread { path: path.to_owned(), why };
    let found = std::fs::metadata(path).map_err(|error| unread(error.to_string()))?;
    // A pipe may never end.
    if !found.is_file() {
        return Err(unread("it is no plain file".to_owned()));
    }
    if found.len() > MAX_FILE {
        return Err(unread(format!("it is longer than {} KiB", MAX_FILE >> 10)));
    }
    std::fs::read_to_string(path).map_err(|error| unread(error.to_string()))
}
