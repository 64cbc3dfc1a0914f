//! Reads the version range in which a project requires a package, from a file of the project. Returns the
//! file's text with another range. A parser finds the position of the range; all bytes outside the range are
//! unchanged.
//!
//! * TOML: a list of Python requirements (`pyproject.toml`), a table of requirements (`Cargo.toml`, Poetry,
//!   `Pipfile`), or a single version;
//! * JSON: an object of requirements (`package.json`), or a single version;
//! * a Python module: a version that is assigned to a name;
//! * a list of Python requirements, one on each line (`requirements.txt`);
//! * any other file: only a version.
//!
//! Each part of a requirement is understood, or the requirement is refused with the part that is not. The
//! module `sources` reads where the project takes the package from.

mod cargo_sources;
mod error;
mod files;
mod json;
mod npm_sources;
mod npm_value;
mod package_sources;
pub(crate) mod pep508;
mod pip_file;
mod python;
mod release_age;
mod requirement;
mod requirement_lines;
#[cfg(test)]
mod source_tests;
mod sources;
#[cfg(test)]
mod tests;
mod toml;

use std::path::Path;

pub use self::error::RequirementError;
pub(crate) use self::files::read_file;
use self::package_sources::PackageSources;
pub use self::requirement::{
    DeclaredIndex, ProjectRequirement, ReleaseAgeLimit, ReleaseCutoff, RequirementPlace,
};
use self::requirement::{RequirementNotation, RequirementText};
pub use self::toml::normalise_package_name;
pub(crate) use self::toml::parse_document;
use crate::range::VersionRange;
use truing_core::registry::PackageRegistry;
use truing_core::version::{PackageVersion, RangeStyle};

/// Reads the requirement of a package in a project's file.
///
/// # Errors
/// [`RequirementError`] if there is not exactly one readable requirement.
pub fn read_requirement(place: &RequirementPlace<'_>) -> Result<ProjectRequirement, RequirementError> {
    let text = read_file(place.file)?;
    find_requirement(place, &text).map(|(_, requirement)| requirement)
}

/// Returns the requirement of a package as it is written in a Python project's file, or none if there is not
/// exactly one requirement.
pub(crate) fn read_pep508_requirement(place: &RequirementPlace<'_>) -> Option<String> {
    let found = read_file(place.file).ok().and_then(|text| find_requirement(place, &text).ok());
    found.filter(|(found, _)| found.notation == RequirementNotation::Pep508).map(|(found, _)| found.text)
}

/// Returns the key paths (keys with dots between them) of the lists and tables in a TOML or JSON file that
/// require the package.
pub fn requiring_key_paths(place: &RequirementPlace<'_>) -> Vec<String> {
    let Ok(text) = read_file(place.file) else { return Vec::new() };
    let is_json = place.file.extension().is_some_and(|extension| extension == "json");
    let paths = if is_json { json::object_key_paths(&text) } else { toml::table_paths(&text) };
    let holds = |key_path: &String| {
        let place = RequirementPlace { key_path, ..*place };
        let is_dependency_list =
            ["dependencies", "packages"].iter().any(|end| key_path.to_lowercase().ends_with(end));
        match find_requirement(&place, &text) {
            // Any table may have a key that is equal to the package's name.
            Ok((found, _)) => found.notation != RequirementNotation::Poetry || is_dependency_list,
            Err(
                RequirementError::NotUnderstood { .. }
                | RequirementError::NotExactlyOneRequirement { count: 2.., .. },
            ) => is_dependency_list && !toml::inherits_workspace_version(&text, &place),
            Err(_) => false,
        }
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
/// bytes are unchanged, except the digests of archives (`--hash`), which `hashes` replaces.
///
/// # Errors
/// [`RequirementError`], also for a requirement whose notation cannot be edited.
pub fn file_text_with_range(
    place: &RequirementPlace<'_>,
    range: &VersionRange,
    hashes: &[String],
) -> Result<String, RequirementError> {
    replace_range_in_text(place, &read_file(place.file)?, range, hashes)
}

/// Replaces the range in the text of a file, as [`file_text_with_range`] does.
fn replace_range_in_text(
    place: &RequirementPlace<'_>,
    text: &str,
    range: &VersionRange,
    hashes: &[String],
) -> Result<String, RequirementError> {
    let (found, _) = find_requirement(place, text)?;
    let wrong = |reason: String| not_understood_error(place, &found.text, reason);
    let written = match found.notation {
        RequirementNotation::Pep508 => pep508::replace_range(&found.text, range).map_err(wrong)?,
        RequirementNotation::Range | RequirementNotation::Poetry | RequirementNotation::Version => {
            range.to_string()
        }
    };
    let between = |span: std::ops::Range<usize>| text.get(span).unwrap_or_default();
    let rest = match &found.hashes {
        Some(_) if hashes.is_empty() => {
            return Err(wrong("the digests (`--hash`) of the new archives are unknown".to_owned()));
        }
        Some(span) => {
            let options = requirement_lines::hash_options(between(span.clone()), hashes);
            [between(found.span.end..span.start), &options, between(span.end..text.len())].concat()
        }
        None => between(found.span.end..text.len()).to_owned(),
    };
    let changed = [between(0..found.span.start), &written, &rest].concat();
    // The edited file is read again. If its range differs from the requested range, the edit is refused. The
    // module `pep508` has already compared the ranges of its notation, whose specifiers have no fixed order.
    let (_, reread) = find_requirement(place, &changed)?;
    let is_same = reread.range == *range || found.notation == RequirementNotation::Pep508;
    if is_same { Ok(changed) } else { Err(wrong(format!("it cannot be rewritten to {range}"))) }
}

fn find_requirement(
    place: &RequirementPlace<'_>,
    text: &str,
) -> Result<(RequirementText, ProjectRequirement), RequirementError> {
    let is_vendored = place.style == RangeStyle::VendoredVersion;
    let form = |expected_format: &'static str| {
        move |reason: String| RequirementError::Malformed {
            path: place.file.to_owned(),
            expected_format,
            reason,
        }
    };
    let found = match place.file.extension().and_then(|extension| extension.to_str()) {
        _ if place.key_path.is_empty() && place.registry == PackageRegistry::Pypi && !is_vendored => {
            requirement_lines::find_requirements(text, place.package)
        }
        _ if place.key_path.is_empty() => {
            let start = text.len() - text.trim_start().len();
            let version = text.trim();
            let notation =
                if is_vendored { RequirementNotation::Version } else { RequirementNotation::Range };
            vec![RequirementText::new(start..start + version.len(), version.to_owned(), notation)]
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
    let sources = match found.notation {
        RequirementNotation::Version => PackageSources::default(),
        RequirementNotation::Pep508 | RequirementNotation::Range | RequirementNotation::Poetry => {
            sources::find_sources(place, text)
        }
    };
    let wrong = |reason: String| not_understood_error(place, &found.text, reason);
    if let Some(doubt) = sources.doubt.as_ref().or(found.doubt.as_ref()) {
        return Err(wrong(doubt.clone()));
    }
    let written = text.get(found.span.clone()).unwrap_or_default();
    let range = match found.notation {
        RequirementNotation::Pep508 => pep508::parse_range(&found.text),
        RequirementNotation::Range => {
            VersionRange::parse(place.registry, written).map_err(|error| error.reason().to_owned())
        }
        RequirementNotation::Poetry => {
            VersionRange::parse_poetry(written).map_err(|error| error.reason().to_owned())
        }
        RequirementNotation::Version => PackageVersion::parse(place.registry, written)
            .map(VersionRange::from_vendored_version)
            .map_err(|error| error.to_string()),
    };
    let range = range.map_err(wrong)?;
    let indexes = sources.named_index.map_or(sources.indexes, |index| vec![index]);
    let has_hashes = found.hashes.is_some();
    let age_limits = sources.age_limits;
    Ok((found, ProjectRequirement { range, indexes, age_limits, has_hashes }))
}

fn not_understood_error(place: &RequirementPlace<'_>, text: &str, reason: String) -> RequirementError {
    RequirementError::NotUnderstood { path: place.file.to_owned(), text: text.to_owned(), reason }
}
