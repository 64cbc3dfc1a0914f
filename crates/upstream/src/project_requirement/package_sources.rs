//! The sources that a project's files set for a package, and the settings files that set them.

use std::path::Path;

use serde::Deserialize;
use toml_edit::{Document, Item, Value};

use super::files::{read_file_below, work_tree_folders};
use super::requirement::{DeclaredIndex, ReleaseAgeLimit, RequirementPlace};
use super::toml::parse_document;

/// The sources that the project's files set for one package.
#[derive(Debug, Default)]
pub(super) struct PackageSources {
    /// The reason why the package may come from elsewhere than from an index.
    pub(super) doubt: Option<String>,
    /// The only index from which the project takes the package.
    pub(super) named_index: Option<DeclaredIndex>,
    /// The indexes that the project searches for all packages.
    pub(super) indexes: Vec<DeclaredIndex>,
    /// The settings that hide young releases of the package.
    pub(super) age_limits: Vec<ReleaseAgeLimit>,
}

impl PackageSources {
    pub(super) fn add_doubt(&mut self, doubt: String) {
        self.doubt.get_or_insert(doubt);
    }

    pub(super) fn add_index(&mut self, address: &str, declared_by: String) {
        self.indexes.push(DeclaredIndex { address: address.to_owned(), declared_by });
    }
}

/// A settings file of a project. `label` is its path, relative to the folder of the requirement's file.
pub(super) struct SettingsFile {
    pub(super) label: String,
    pub(super) text: String,
}

/// Returns the settings files with these names: in the folder of the requirement's file, and in its parents
/// up to the root of the git work tree.
pub(super) fn settings_files(
    place: &RequirementPlace<'_>,
    text: &str,
    names: &[&str],
) -> Result<Vec<SettingsFile>, String> {
    let folders = work_tree_folders(place.file);
    let root = folders.last().map_or(Path::new(""), |root| root);
    let mut files = Vec::new();
    for (depth, folder) in folders.iter().enumerate() {
        for name in names {
            let path = folder.join(name);
            let label = format!("{}{name}", "../".repeat(depth));
            if depth == 0 && place.file.file_name() == Some(name.as_ref()) {
                files.push(SettingsFile { label, text: text.to_owned() });
            } else if path.exists() {
                let text = read_file_below(root, &path)
                    .map_err(|reason| format!("{label} cannot be read: {reason}"))?;
                files.push(SettingsFile { label, text });
            }
        }
    }
    Ok(files)
}

pub(super) fn toml_settings(file: &SettingsFile) -> Result<Document<&str>, String> {
    parse_document(&file.text).map_err(|reason| format!("{} is not valid TOML: {reason}", file.label))
}

pub(super) fn yaml_settings<T: for<'de> Deserialize<'de>>(file: &SettingsFile) -> Result<T, String> {
    serde_saphyr::from_str(&file.text).map_err(|error| {
        let reason = error.to_string();
        format!("{} is not valid YAML: {}", file.label, reason.lines().next().unwrap_or_default())
    })
}

/// Returns the keys and the values of a `.npmrc`, without its comments. `KEY[]` adds to a list.
pub(super) fn npmrc_settings(file: &SettingsFile) -> impl Iterator<Item = (&str, &str)> {
    let lines = file.text.trim_start_matches('\u{feff}').split(['\n', '\r']).map(str::trim);
    let settings = lines.filter(|line| !line.starts_with(['#', ';']));
    settings.map(|line| line.split_once('=').map_or((line, ""), |(key, value)| (key.trim(), value.trim())))
}

pub(super) fn unquote(text: &str) -> &str {
    text.trim().trim_matches(['"', '\''])
}

pub(super) fn item_at<'a>(document: &'a Item, keys: &[&str]) -> Option<&'a Item> {
    keys.iter().try_fold(document, |item, key| item.get(key))
}

/// Returns the strings of a string or a list of strings.
pub(super) fn strings(item: Option<&Item>) -> Vec<String> {
    let Some(item) = item else { return Vec::new() };
    let list = item.as_array().into_iter().flatten().filter_map(Value::as_str);
    item.as_str().into_iter().chain(list).map(str::to_owned).collect()
}
