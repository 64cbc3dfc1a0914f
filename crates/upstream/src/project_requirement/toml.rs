//! Requirements in TOML: a list of Python requirements, as in `pyproject.toml`, or a table of names and
//! ranges, as in `Cargo.toml`.

use toml_edit::{Document, Item, TableLike, Value};
use truing_core::nesting::{TOO_DEEP_REASON, is_too_deep};
use truing_core::registry::PackageRegistry;
use truing_core::version::RangeStyle;

use super::pep508;
use super::requirement::{
    MAX_TABLE_DEPTH, RequirementNotation, RequirementPlace, RequirementText, span_within_quotes,
};

/// Keys of a dependency in `Cargo.toml` that do not say where the crate comes from.
const CARGO_DETAIL_KEYS: [&str; 8] = [
    "version",
    "package",
    "features",
    "optional",
    "default-features",
    "default_features",
    "public",
    "artifact",
];

/// Finds the requirements of the package in the list or table that `place` names.
pub(super) fn find_requirements(
    text: &str,
    place: &RequirementPlace<'_>,
) -> Result<Vec<RequirementText>, String> {
    let document = parse_document(text)?;
    let mut item = document.as_item();
    for key in place.key_path.split('.') {
        item = item.get(key).unwrap_or(&Item::None);
    }
    if place.style == RangeStyle::VendoredVersion {
        let version = item.as_value().into_iter();
        return version.map(|value| requirement_text(text, value, RequirementNotation::Version)).collect();
    }
    match place.registry {
        PackageRegistry::Crates | PackageRegistry::Npm => crate_requirements(text, item, place.package),
        PackageRegistry::Pypi if item.as_array().is_some() => {
            let wanted = normalise_package_name(place.package);
            let values = item.as_array().into_iter().flatten().filter(|value| {
                value.as_str().and_then(pep508::package_name).is_some_and(|name| name == wanted)
            });
            values.map(|value| requirement_text(text, value, RequirementNotation::Pep508)).collect()
        }
        PackageRegistry::Pypi => poetry_requirements(text, item, place.package),
    }
}

fn requirement_text(
    text: &str,
    value: &Value,
    notation: RequirementNotation,
) -> Result<RequirementText, String> {
    let shown = value.to_string().trim().to_owned();
    let content = value.as_str().ok_or_else(|| format!("{shown} is not a string"))?;
    let span = value.span().and_then(|span| span_within_quotes(text, span, content));
    let span = span.ok_or_else(|| format!("{shown} must be written as a plain string, without escapes"))?;
    Ok(RequirementText::new(span, content.to_owned(), notation))
}

/// Parses a file as TOML.
///
/// # Errors
/// The message of the parser, or a message that brackets are nested too deeply.
pub(crate) fn parse_document(text: &str) -> Result<Document<&str>, String> {
    if is_too_deep(text) {
        return Err(TOO_DEEP_REASON.to_owned());
    }
    Document::parse(text).map_err(|error| error.to_string())
}

/// Returns the strings of a list in a file; an empty list if the file has no list with these keys.
pub(super) fn read_string_list(text: &str, keys: &[&str]) -> Vec<String> {
    let Ok(document) = parse_document(text) else { return Vec::new() };
    let list = keys.iter().try_fold(document.as_item(), |item, key| item.get(key));
    let values = list.and_then(Item::as_array).into_iter().flatten();
    values.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Returns the key paths (keys with dots between them) of all tables and lists of a file. Tables and lists
/// whose key contains a dot are omitted.
pub(super) fn table_paths(text: &str) -> Vec<String> {
    let Ok(document) = parse_document(text) else { return Vec::new() };
    let mut found = Vec::new();
    let mut next = vec![(String::new(), document.as_item(), 0)];
    while let Some((at, item, depth)) = next.pop() {
        let tables = item.as_table_like().filter(|_| depth < MAX_TABLE_DEPTH);
        for (key, inner) in tables.into_iter().flat_map(TableLike::iter) {
            let is_named = !key.contains('.') && (inner.is_table_like() || inner.is_array());
            if is_named {
                let at = if at.is_empty() { key.to_owned() } else { format!("{at}.{key}") };
                next.push((at, inner, depth + 1));
            }
        }
        found.extend(Some(at).filter(|at| !at.is_empty()));
    }
    found.sort();
    found
}

/// Returns the names of the packages that the file's dependency lists and tables require.
pub(super) fn required_packages(text: &str, registry: PackageRegistry) -> Vec<String> {
    let Ok(document) = parse_document(text) else { return Vec::new() };
    let mut found = Vec::new();
    for at in table_paths(text).iter().filter(|at| at.contains("dependenc")) {
        let item = at.split('.').try_fold(document.as_item(), |item, key| item.get(key));
        let Some(item) = item else { continue };
        match registry {
            PackageRegistry::Pypi => {
                let strings = item.as_array().into_iter().flatten().filter_map(Value::as_str);
                found.extend(strings.filter_map(pep508::package_name));
            }
            PackageRegistry::Npm | PackageRegistry::Crates => {
                let tables = item.as_table_like().filter(|_| at.ends_with("dependencies"));
                found.extend(tables.into_iter().flat_map(TableLike::iter).map(|(name, _)| name.to_owned()));
            }
        }
    }
    found
}

/// Normalises a Python package's name as PEP 503 defines, so different spellings of one name are equal.
pub fn normalise_package_name(package: &str) -> String {
    package
        .split(['-', '_', '.'])
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join("-")
        .to_ascii_lowercase()
}

/// Returns true if the crate's version in the table is inherited from the workspace.
pub(super) fn inherits_workspace_version(text: &str, place: &RequirementPlace<'_>) -> bool {
    let Ok(document) = parse_document(text) else { return false };
    let table = place.key_path.split('.').try_fold(document.as_item(), |item, key| item.get(key));
    let workspace = table.and_then(|table| table.get(place.package)?.get("workspace"));
    workspace.and_then(Item::as_bool) == Some(true)
}

/// Finds the requirements of a crate in a table. The table may list the crate under another name (`name = {
/// package = "crate" }`).
fn crate_requirements(text: &str, table: &Item, package: &str) -> Result<Vec<RequirementText>, String> {
    let mut found = Vec::new();
    for (name, item) in table.as_table_like().into_iter().flat_map(TableLike::iter) {
        let required = item.get("package").and_then(Item::as_str).unwrap_or(name);
        // `[patch]` and some forks use the crate's name for another crate.
        if required != package && name != package {
            continue;
        }
        let shown = || format!("{name} = {}", item.to_string().trim());
        if required != package {
            found.push(RequirementText::not_understood(shown(), format!("it is the crate `{required}`")));
            continue;
        }
        let details = item.as_table_like().into_iter().flat_map(TableLike::iter);
        let source = details.map(|(key, _)| key).find(|key| !CARGO_DETAIL_KEYS.contains(key));
        let range = if item.as_str().is_some() { Some(item) } else { item.get("version") };
        let requirement = match (source, range.and_then(Item::as_value)) {
            (Some("workspace"), _) => RequirementText::not_understood(
                shown(),
                "the workspace sets the version: set `constraint.file` and `constraint.path` to the file and \
                 the key of the workspace's version"
                    .to_owned(),
            ),
            (Some(key), _) => RequirementText::not_understood(
                shown(),
                format!("it takes the crate from another source (`{key}`)"),
            ),
            (None, None) => RequirementText::not_understood(shown(), "it has no version".to_owned()),
            (None, Some(range)) => requirement_text(text, range, RequirementNotation::Range)?,
        };
        found.push(requirement);
    }
    Ok(found)
}

/// Finds the requirements of a package in a table of Poetry or Pipenv. The module `sources` reads the other
/// keys of an entry.
fn poetry_requirements(text: &str, table: &Item, package: &str) -> Result<Vec<RequirementText>, String> {
    let wanted = normalise_package_name(package);
    let mut found = Vec::new();
    let entries = table.as_table_like().into_iter().flat_map(TableLike::iter);
    for (name, item) in entries.filter(|(name, _)| normalise_package_name(name) == wanted) {
        // A list has one entry for each condition.
        let conditional =
            item.as_array().into_iter().flatten().map(|entry| entry.as_inline_table()?.get("version"));
        let conditional: Vec<Option<&Value>> = if item.is_array() {
            conditional.collect()
        } else {
            vec![item.as_value().filter(|value| value.is_str()).or_else(|| item.get("version")?.as_value())]
        };
        for range in conditional {
            found.push(match range {
                Some(range) => requirement_text(text, range, RequirementNotation::Poetry)?,
                None => RequirementText::not_understood(
                    format!("{name} = {}", item.to_string().trim()),
                    "it has no version".to_owned(),
                ),
            });
        }
    }
    Ok(found)
}
