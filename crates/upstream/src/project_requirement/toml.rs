//! Requirements in TOML: a list of Python requirements, as in `pyproject.toml`, or a table of names and
//! ranges, as in `Cargo.toml`.

use toml_edit::{Document, Item, TableLike, Value};
use truing_core::nesting::{TOO_DEEP_REASON, is_too_deep};
use truing_core::registry::PackageRegistry;
use truing_core::version::RangeStyle;

use super::requirement::MAX_TABLE_DEPTH;
use super::{RequirementPlace, RequirementText, entries_contain_package_name, pep508, span_within_quotes};

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
    let values: Vec<&Value> = if place.style == RangeStyle::VendoredVersion {
        item.as_value().into_iter().collect()
    } else if entries_contain_package_name(place) {
        let all = item.as_array().into_iter().flatten();
        let names = |value: &&Value| {
            let name = value.as_str().and_then(pep508::package_name);
            name.is_some_and(|name| name == normalise_package_name(place.package))
        };
        all.filter(names).collect()
    } else {
        crate_ranges(item, place.package)?
    };
    let found = values.into_iter().map(|value| {
        let shown = value.to_string().trim().to_owned();
        let content = value.as_str().ok_or_else(|| format!("{shown} is not a string"))?;
        let span = value.span().and_then(|span| span_within_quotes(text, span, content));
        let span =
            span.ok_or_else(|| format!("{shown} must be written as a plain string, without escapes"))?;
        Ok(RequirementText { span, text: content.to_owned() })
    });
    found.collect()
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
pub(super) fn normalise_package_name(package: &str) -> String {
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

/// Finds the version ranges of a crate in a table. The table may list the crate under another name (`name = {
/// package = "crate" }`).
fn crate_ranges<'a>(table: &'a Item, package: &str) -> Result<Vec<&'a Value>, String> {
    let mut found = Vec::new();
    for (name, item) in table.as_table_like().into_iter().flat_map(TableLike::iter) {
        let of = item.get("package").and_then(Item::as_str).unwrap_or(name);
        if of != package {
            continue;
        }
        let range = if item.as_str().is_some() { Some(item) } else { item.get("version") };
        let range = range.and_then(Item::as_value).ok_or_else(|| {
            format!(
                "`{name}` has no version: if the workspace sets the version, set `constraint.file` and \
                    `constraint.path` to the file and the key of the workspace's version"
            )
        })?;
        found.push(range);
    }
    Ok(found)
}
