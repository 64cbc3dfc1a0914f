//! The sources that Cargo's manifests and settings set for a crate: patches, replacements, and another source
//! in place of crates.io.

use std::path::Path;

use toml_edit::Item;

use super::files::{read_file_below, work_tree_root};
use super::package_sources::{PackageSources, item_at, settings_files, toml_settings};
use super::requirement::RequirementPlace;
use super::toml::parse_document;

/// Adds the sources that the manifest and Cargo's settings set for a crate.
pub(super) fn add_sources(
    sources: &mut PackageSources,
    place: &RequirementPlace<'_>,
    text: &str,
) -> Result<(), String> {
    let names = ["Cargo.toml", ".cargo/config.toml", ".cargo/config"];
    for file in settings_files(place, text, &names)? {
        let document = toml_settings(&file)?;
        let root = document.as_item();
        add_replacements(sources, place.package, &file.label, root);
        // Cargo reads the old name of a table only if the table with the new name is absent.
        let hyphenated = place.key_path.replace("_dependencies", "-dependencies");
        let new_keys: Vec<&str> = hyphenated.split('.').collect();
        if hyphenated != place.key_path && file.label == "Cargo.toml" && item_at(root, &new_keys).is_some() {
            sources.add_doubt(format!("Cargo ignores `{}` beside `{hyphenated}`", place.key_path));
        }
        // A manifest may name a workspace that is not above it.
        if let Some(workspace) = item_at(root, &["package", "workspace"]).and_then(Item::as_str) {
            let folder = place.file.parent().unwrap_or(Path::new(""));
            let label = format!("{workspace}/Cargo.toml");
            let text = read_file_below(&work_tree_root(place.file), &folder.join(&label))
                .map_err(|reason| format!("{label} cannot be read: {reason}"))?;
            let document = parse_document(&text).map_err(|reason| format!("{label}: {reason}"))?;
            add_replacements(sources, place.package, &label, document.as_item());
        }
        if file.label.contains(".cargo/config") {
            add_cargo_settings(sources, &file.label, root);
        }
    }
    Ok(())
}

/// Adds the replacements of a crate in `[patch]` and `[replace]`. A key of `[replace]` is the id of a
/// package, such as `kit:1.0.0`, `kit@1.0.0` or `ADDRESS#kit@1.0.0`.
fn add_replacements(sources: &mut PackageSources, crate_name: &str, label: &str, root: &Item) {
    let registries = root.get("patch").and_then(Item::as_table_like);
    let patches = registries.into_iter().flat_map(|registries| registries.iter());
    let replacements = root.get("replace").map(|table| ("replace", table));
    for (source, table) in patches.chain(replacements) {
        for (name, entry) in table.as_table_like().into_iter().flat_map(|table| table.iter()) {
            let package = entry.get("package").and_then(Item::as_str).unwrap_or(name);
            let package = package.rsplit('#').next().and_then(|id| id.split([':', '@']).next());
            if package == Some(crate_name) {
                let table = if source == "replace" { source.to_owned() } else { format!("patch.{source}") };
                sources.add_doubt(format!("{label} replaces it ([{table}])"));
            }
        }
    }
}

/// Adds the source that Cargo's settings put in the place of crates.io.
fn add_cargo_settings(sources: &mut PackageSources, label: &str, root: &Item) {
    if root.get("paths").and_then(Item::as_array).is_some_and(|paths| !paths.is_empty()) {
        sources.add_doubt(format!("{label}: `paths` may replace it by a folder"));
    }
    if root.get("include").is_some() {
        sources.add_doubt(format!("{label} includes other files, which are not read"));
    }
    let crates_io = item_at(root, &["source", "crates-io"]).and_then(Item::as_table_like);
    if crates_io.is_some_and(|source| source.iter().any(|(key, _)| key != "replace-with")) {
        sources.add_doubt(format!("{label} sets another source in place of crates.io"));
    }
    let replacement = item_at(root, &["source", "crates-io", "replace-with"]).and_then(Item::as_str);
    let Some(name) = replacement else { return };
    let address = item_at(root, &["source", name, "registry"])
        .or_else(|| item_at(root, &["registries", name, "index"]))
        .and_then(Item::as_str);
    match address {
        Some(address) => sources.add_index(address, format!("{label}: source.{name}")),
        None => sources.add_doubt(format!("{label} replaces crates.io by the source `{name}`")),
    }
}
