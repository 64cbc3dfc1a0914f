//! The sources that a project's files set for a package: other indexes, and replacements of the package by a
//! repository, a folder or another version. The package of the same name in the user's index may be a foreign
//! one, so a source that is not understood is a doubt about the whole requirement.

use toml_edit::{Item, Value};
use truing_core::registry::PackageRegistry;

use super::files::{read_file_below, work_tree_root};
use super::package_sources::{PackageSources, item_at, settings_files, strings, toml_settings};
use super::requirement::{DeclaredIndex, RequirementPlace};
use super::toml::normalise_package_name;
use super::{cargo_sources, npm_sources, pep508, pip_file, release_age};

/// Returns the sources that the requirement's file and the settings files around it set for the package.
pub(super) fn find_sources(place: &RequirementPlace<'_>, text: &str) -> PackageSources {
    let mut sources = PackageSources::default();
    let found = match place.registry {
        PackageRegistry::Pypi => add_python_sources(&mut sources, place, text),
        PackageRegistry::Npm => npm_sources::add_sources(&mut sources, place, text),
        PackageRegistry::Crates => cargo_sources::add_sources(&mut sources, place, text),
    };
    if let Err(doubt) = found.and_then(|()| release_age::add_limits(&mut sources, place, text)) {
        sources.add_doubt(doubt);
    }
    sources
}

/// Returns the tables of an array of tables, in either notation.
fn tables(item: Option<&Item>) -> Vec<Vec<(String, String)>> {
    let text =
        |value: &Item| value.as_str().map_or_else(|| value.to_string().trim().to_owned(), str::to_owned);
    let inline = |value: &Value| {
        let table = value.as_inline_table()?;
        let entries = table.iter().map(|(key, value)| (key.to_owned(), text(&Item::Value(value.clone()))));
        Some(entries.collect())
    };
    match item {
        Some(Item::ArrayOfTables(list)) => list
            .iter()
            .map(|table| table.iter().map(|(key, value)| (key.to_owned(), text(value))).collect())
            .collect(),
        Some(Item::Value(Value::Array(list))) => list.iter().filter_map(inline).collect(),
        Some(item) => item
            .as_table_like()
            .map(|table| table.iter().map(|(key, value)| (key.to_owned(), text(value))).collect())
            .into_iter()
            .collect(),
        None => Vec::new(),
    }
}

fn field<'a>(table: &'a [(String, String)], key: &str) -> Option<&'a str> {
    table.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
}

/// Returns the strings of all lists in a document.
fn strings_of_lists(root: &Item) -> Vec<String> {
    let mut found = Vec::new();
    let mut next = vec![root];
    while let Some(item) = next.pop() {
        found.extend(item.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned));
        next.extend(item.as_table_like().into_iter().flat_map(|table| table.iter().map(|(_, inner)| inner)));
    }
    found
}

/// Returns true if the text is a requirement of the package by an address: `kit @ https://…`.
fn is_address_of(text: &str, package: &str) -> bool {
    text.contains('@')
        && pep508::package_name(text).is_some_and(|name| name == package)
        && text.split(';').next().is_some_and(|requirement| requirement.contains("://"))
}

/// Adds a doubt if pip-compile makes the file from another one, which requires the package.
fn add_generating_file(sources: &mut PackageSources, place: &RequirementPlace<'_>, package: &str) {
    let source = place.file.with_extension("in");
    if source == place.file || !source.exists() {
        return;
    }
    let name = source.file_name().unwrap_or_default().to_string_lossy();
    match read_file_below(&work_tree_root(place.file), &source) {
        Ok(text)
            if text.lines().any(|line| pep508::package_name(line).is_some_and(|name| name == package)) =>
        {
            sources.add_doubt(format!("the file is made from {name}, which requires the package"));
        }
        Ok(_) => {}
        Err(reason) => sources.add_doubt(format!("{name} cannot be read: {reason}")),
    }
}

/// Keys of a table of uv or Poetry that say when a source applies, and not where it is.
const CONDITION_KEYS: [&str; 8] =
    ["marker", "markers", "python", "platform", "extra", "extras", "group", "optional"];

/// An index that other keys of a project's files name.
struct NamedIndex {
    /// The name in lower case.
    name: String,
    declared: DeclaredIndex,
    /// The reason why Truing cannot read the index as the project's package manager does.
    doubt: Option<String>,
}

fn add_python_sources(
    sources: &mut PackageSources,
    place: &RequirementPlace<'_>,
    text: &str,
) -> Result<(), String> {
    let wanted = normalise_package_name(place.package);
    if place.key_path.is_empty() {
        pip_file::add_sources(sources, place, text);
        add_generating_file(sources, place, &wanted);
    }
    let own_label = place.file.file_name().unwrap_or_default().to_string_lossy();
    // Named indexes of all files, because a member of a workspace names the indexes of the workspace.
    let mut named_indexes: Vec<NamedIndex> = Vec::new();
    let mut uses: Vec<(String, Vec<(String, String)>)> = Vec::new();
    for file in settings_files(place, text, &["pyproject.toml", "uv.toml", "Pipfile", "pdm.toml"])? {
        let document = toml_settings(&file)?;
        let root = document.as_item();
        let uv_keys: &[&str] = if file.label.ends_with("uv.toml") { &[] } else { &["tool", "uv"] };
        let uv = item_at(root, uv_keys);
        let of_uv = |key: &str| uv.and_then(|uv| uv.get(key));
        let pip = of_uv("pip");
        let own_names = [item_at(root, &["project", "name"]), item_at(root, &["tool", "poetry", "name"])];
        let is_itself = |name: &str| normalise_package_name(name) == wanted && *file.label == *own_label;
        if own_names.into_iter().flatten().filter_map(Item::as_str).any(is_itself) {
            sources.add_doubt(format!("it is the project of {} itself", file.label));
        }
        for (key, item) in ["index-url", "extra-index-url", "find-links"]
            .into_iter()
            .flat_map(|key| [(key, of_uv(key)), (key, pip.and_then(|pip| pip.get(key)))])
        {
            for address in strings(item) {
                sources.add_index(&address, format!("{}: {key}", file.label));
            }
        }
        for address in strings(item_at(root, &["pypi", "url"]).filter(|_| file.label.ends_with("pdm.toml"))) {
            sources.add_index(&address, format!("{}: pypi.url", file.label));
        }
        let lists = [
            ("tool.uv.index", of_uv("index")),
            ("tool.poetry.source", item_at(root, &["tool", "poetry", "source"])),
            ("tool.pdm.source", item_at(root, &["tool", "pdm", "source"])),
            ("source", root.get("source").filter(|_| file.label.ends_with("Pipfile"))),
        ];
        for (key, list) in lists {
            for index in tables(list) {
                // Poetry knows the name PyPI without an address.
                let Some(address) = field(&index, "url") else { continue };
                let declared_by = format!("{}: {key}", file.label);
                let unread = [("format", "flat"), ("type", "find_links")].into_iter().find(|(key, value)| {
                    // Such an index is one page of files, and Truing reads a page for each package.
                    field(&index, key) == Some(value)
                });
                let limit = field(&index, "exclude-newer").filter(|limit| *limit != "false");
                let unread = unread.or(limit.map(|limit| ("exclude-newer", limit)));
                let doubt =
                    unread.map(|(key, value)| format!("{declared_by} has `{key} = {value}`: {address}"));
                let declared = DeclaredIndex { address: address.to_owned(), declared_by };
                let is_explicit = field(&index, "explicit") == Some("true")
                    || field(&index, "priority") == Some("explicit");
                if !is_explicit {
                    sources.indexes.push(declared.clone());
                    doubt.clone().into_iter().for_each(|doubt| sources.add_doubt(doubt));
                }
                if let Some(name) = field(&index, "name") {
                    named_indexes.push(NamedIndex { name: name.to_lowercase(), declared, doubt });
                }
            }
        }
        let own_keys: Vec<&str> = place.key_path.split('.').collect();
        let is_own = *file.label == *own_label;
        for (key, table) in [
            ("tool.uv.sources", of_uv("sources")),
            ("tool.poetry.dependencies", item_at(root, &["tool", "poetry", "dependencies"])),
            ("tool.poetry.dev-dependencies", item_at(root, &["tool", "poetry", "dev-dependencies"])),
            ("tool.pdm.resolution.overrides", item_at(root, &["tool", "pdm", "resolution", "overrides"])),
            ("tool.pixi.pypi-dependencies", item_at(root, &["tool", "pixi", "pypi-dependencies"])),
            (place.key_path, item_at(root, &own_keys).filter(|_| is_own)),
        ] {
            let table = table.and_then(Item::as_table_like);
            let entry = table.and_then(|table| {
                table.iter().find(|(name, _)| normalise_package_name(name) == wanted).map(|(_, entry)| entry)
            });
            if key.ends_with("overrides") && entry.is_some() {
                sources.add_doubt(format!("{}: {key} replaces it", file.label));
            }
            let entry = entry.filter(|entry| entry.as_str().is_none());
            // The nearest file of a workspace decides.
            let is_first = is_own || uses.iter().all(|(known, _)| known != key);
            uses.extend(tables(entry).into_iter().filter(|_| is_first).map(|table| (key.to_owned(), table)));
        }
        let excludes = item_at(root, &["tool", "pdm", "resolution", "excludes"]);
        for text in strings(excludes).into_iter().chain(strings(of_uv("exclude-dependencies"))) {
            if normalise_package_name(&text) == wanted {
                sources.add_doubt(format!("{} excludes it", file.label));
            }
        }
        let newest = of_uv("exclude-newer-package").and_then(Item::as_table_like);
        if newest.is_some_and(|table| table.iter().any(|(name, _)| normalise_package_name(name) == wanted)) {
            sources.add_doubt(format!("{}: exclude-newer-package limits its releases", file.label));
        }
        for key in ["override-dependencies", "constraint-dependencies"] {
            for text in strings(of_uv(key)) {
                if pep508::package_name(&text).is_some_and(|name| name == wanted) {
                    sources.add_doubt(format!("{}: {key} also requires `{text}`", file.label));
                }
            }
        }
        if [of_uv("no-index"), pip.and_then(|pip| pip.get("no-index"))]
            .into_iter()
            .flatten()
            .any(|item| item.as_bool() == Some(true))
        {
            sources.add_doubt(format!("{}: no-index forbids every index", file.label));
        }
        let groups = item_at(root, &["tool", "poetry", "group"]).and_then(Item::as_table_like);
        for (group, item) in groups.into_iter().flat_map(|groups| groups.iter()) {
            let key = format!("tool.poetry.group.{group}.dependencies");
            let table = item.get("dependencies").and_then(Item::as_table_like);
            let entries = table.into_iter().flat_map(|table| table.iter());
            for (_, entry) in entries
                .filter(|(name, entry)| normalise_package_name(name) == wanted && entry.as_str().is_none())
            {
                uses.extend(tables(Some(entry)).into_iter().map(|table| (key.clone(), table)));
            }
        }
        if let Some(text) = strings_of_lists(root).into_iter().find(|text| is_address_of(text, &wanted)) {
            sources.add_doubt(format!("{}: another requirement takes it from `{text}`", file.label));
        }
    }
    for (key, table) in &uses {
        add_python_use(sources, key, table, &named_indexes);
    }
    Ok(())
}

/// Adds the source of one entry of `tool.uv.sources` or of Poetry's dependencies.
fn add_python_use(
    sources: &mut PackageSources,
    key: &str,
    table: &[(String, String)],
    named_indexes: &[NamedIndex],
) {
    for (name, value) in table {
        match name.as_str() {
            "version" | "allow-prereleases" => {}
            name if CONDITION_KEYS.contains(&name) => {}
            "index" | "source" => {
                let named = named_indexes.iter().find(|index| index.name == value.to_lowercase());
                match named {
                    Some(NamedIndex { doubt: Some(doubt), .. }) => sources.add_doubt(doubt.clone()),
                    Some(NamedIndex { declared, .. })
                        if sources.named_index.as_ref().is_none_or(|other| other == declared) =>
                    {
                        sources.named_index = Some(declared.clone());
                    }
                    Some(_) => sources.add_doubt(format!("{key} names several indexes for it")),
                    // Poetry knows this name without a declaration.
                    None if value.eq_ignore_ascii_case("pypi") => {}
                    None => sources.add_doubt(format!("no file declares the index `{value}` of {key}")),
                }
            }
            _ => sources.add_doubt(format!("{key} takes it from `{name} = {value}`")),
        }
    }
}
