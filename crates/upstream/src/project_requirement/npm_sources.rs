//! The sources that the settings of npm, pnpm, Yarn and Bun set for a package.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};
use ignore::WalkBuilder;
use serde::Deserialize;
use serde_json::Value;

use super::files::{read_file_below, work_tree_root};
use super::package_sources::{
    PackageSources, SettingsFile, item_at, npmrc_settings, settings_files, strings, toml_settings, unquote,
    yaml_settings,
};
use super::requirement::RequirementPlace;
use super::{json, npm_value};

/// Settings of `.npmrc` that name another file of settings.
const INDIRECT_SETTINGS: [&str; 3] = ["userconfig", "globalconfig", "prefix"];
/// Beginning of the names of Yarn's own plugins.
const YARN_PLUGIN_PREFIX: &str = "@yarnpkg/plugin-";

/// Adds the sources that the settings around the project set for a package.
pub(super) fn add_sources(
    sources: &mut PackageSources,
    place: &RequirementPlace<'_>,
    text: &str,
) -> Result<(), String> {
    let scope = place.package.split_once('/').map(|(scope, _)| scope);
    for file in settings_files(place, text, &[".npmrc"])? {
        add_npmrc(sources, &file, scope);
    }
    for file in settings_files(place, text, &[".yarnrc.yml"])? {
        add_yarn_settings(sources, &file, scope)?;
    }
    for file in settings_files(place, text, &[".yarnrc"])? {
        for line in file.text.lines().filter(|line| line.contains("registry")) {
            match line.strip_prefix("registry ") {
                Some(address) => sources.add_index(unquote(address), file.label.clone()),
                None => sources.add_doubt(format!("{}: `{}` is not understood", file.label, line.trim())),
            }
        }
    }
    for file in settings_files(place, text, &["bunfig.toml"])? {
        let document = toml_settings(&file)?;
        let root = document.as_item();
        let scoped = scope.and_then(|scope| {
            let scopes = item_at(root, &["install", "scopes"])?;
            scopes.get(scope).or_else(|| scopes.get(scope.trim_start_matches('@')))
        });
        let registry = scoped.or_else(|| item_at(root, &["install", "registry"]));
        for address in strings(registry.map(|registry| registry.get("url").unwrap_or(registry))) {
            sources.add_index(&address, format!("{}: install", file.label));
        }
    }
    add_workspaces(sources, place, text)?;
    let hooks = settings_files(place, text, &[".pnpmfile.cjs", ".pnpmfile.mjs", "pnpmfile.js"])?;
    if let Some(hook) = hooks.first() {
        sources.add_doubt(format!("{} may replace it", hook.label));
    }
    if let Some(key) = json::other_list_of(text, place.key_path, place.package) {
        sources.add_doubt(format!("{key} also requires it, and package managers use one of both"));
    }
    let names = json::names_of_package(text, place.key_path, place.package);
    for file in settings_files(place, text, &["package.json"])? {
        for (key, value) in names.iter().flat_map(|name| json::version_overrides(&file.text, name)) {
            // `$name` is the version that the project itself requires.
            let is_same = value.strip_prefix('$') == Some(place.package)
                || npm_value::parse(&value)
                    .is_ok_and(|value| value.package.is_none() && value.range == Some("*"));
            if !is_same {
                sources.add_doubt(format!("{}: {key} replaces it by `{value}`", file.label));
            }
        }
    }
    Ok(())
}

/// Adds the registry of a `.npmrc`. A line about a registry that is not in the plain form is a doubt, because
/// npm reads the file with quotes, escapes, variables and lists.
fn add_npmrc(sources: &mut PackageSources, file: &SettingsFile, scope: Option<&str>) {
    let mut registries = BTreeMap::new();
    for (key, value) in npmrc_settings(file) {
        // `KEY[]=VALUE` adds to a list.
        let (name, is_list) = key.strip_suffix("[]").map_or((key, false), |name| (name, true));
        let is_plain = !name.contains(['"', '\'', '\\', '$', '[', ';', '#']);
        let is_registry =
            name == "registry" || is_plain && name.starts_with('@') && name.ends_with(":registry");
        if is_registry && !is_list {
            registries.insert(key, unquote(value));
        } else if is_registry || INDIRECT_SETTINGS.contains(&name) || !is_plain && !key.starts_with("//") {
            sources.add_doubt(format!("{}: `{key}` is not understood", file.label));
        }
    }
    let scoped = scope.and_then(|scope| registries.get(format!("{scope}:registry").as_str()));
    if let Some(address) = scoped.or_else(|| registries.get("registry")) {
        sources.add_index(address, file.label.clone());
    }
}

/// Adds the registry of Yarn's settings, and its plugins, which may replace packages.
fn add_yarn_settings(
    sources: &mut PackageSources,
    file: &SettingsFile,
    scope: Option<&str>,
) -> Result<(), String> {
    let settings: Value = yaml_settings(file)?;
    let scoped = scope.and_then(|scope| settings["npmScopes"].get(scope.trim_start_matches('@')));
    let registry = scoped.and_then(|scope| scope.get("npmRegistryServer"));
    if let Some(registry) = registry.or_else(|| settings.get("npmRegistryServer")) {
        sources.add_index(registry.as_str().unwrap_or_default(), file.label.clone());
    }
    if settings.get("defaultProtocol").is_some_and(|protocol| protocol != "npm:") {
        sources.add_doubt(format!("{} sets another protocol", file.label));
    }
    let plugins = settings["plugins"].as_array().into_iter().flatten();
    let is_foreign = |plugin: &Value| {
        let name = plugin.as_str().or_else(|| plugin["spec"].as_str()).unwrap_or_default();
        !name.starts_with(YARN_PLUGIN_PREFIX)
    };
    if plugins.into_iter().any(is_foreign) {
        sources.add_doubt(format!("a plugin of {} may replace it", file.label));
    }
    Ok(())
}

/// Maximum number of packages in a workspace that are searched.
const MAX_WORKSPACE_PACKAGES: usize = 5000;

/// The settings of a pnpm workspace that decide where packages come from.
#[derive(Default, Deserialize)]
#[serde(default)]
struct PnpmWorkspace {
    /// Patterns of the members' folders.
    packages: Option<Vec<String>>,
    /// Versions that replace the requirements of all members.
    overrides: BTreeMap<String, String>,
    /// The index of each scope.
    registries: BTreeMap<String, String>,
    /// A program that may replace requirements.
    pnpmfile: Option<Value>,
}

/// Adds a doubt if a member of the project's own workspace has the package's name: package managers then link
/// the member, if its version is in the range. Also adds the settings of a pnpm workspace.
fn add_workspaces(
    sources: &mut PackageSources,
    place: &RequirementPlace<'_>,
    text: &str,
) -> Result<(), String> {
    let own_folder = place.file.parent().unwrap_or(Path::new(""));
    for file in settings_files(place, text, &["package.json", "pnpm-workspace.yaml", "lerna.json"])? {
        let patterns = if file.label.ends_with(".yaml") {
            let pnpm: PnpmWorkspace = yaml_settings(&file)?;
            for (name, value) in &pnpm.overrides {
                if json::is_override_of(name, place.package) {
                    sources.add_doubt(format!("{}: overrides replaces it by `{value}`", file.label));
                }
            }
            if pnpm.pnpmfile.is_some() {
                sources.add_doubt(format!("the pnpmfile of {} may replace it", file.label));
            }
            let scope = place.package.split_once('/').map_or("default", |(scope, _)| scope);
            let registry = pnpm.registries.get(scope).or_else(|| pnpm.registries.get("default"));
            if let Some(address) = registry {
                sources.add_index(address, format!("{}: registries", file.label));
            }
            pnpm.packages.unwrap_or_default()
        } else {
            json::workspace_patterns(&file.text)
        };
        let path = own_folder.join(&file.label);
        let folder = path.parent().unwrap_or(own_folder);
        let root = work_tree_root(place.file);
        if let Some(member) = find_member(folder, &root, &patterns, place.package)? {
            sources.add_doubt(format!("the workspace has a package of this name: {}", member.display()));
        }
    }
    Ok(())
}

/// A pattern of members' folders.
struct MemberPattern {
    matcher: GlobMatcher,
    /// True for a pattern that begins with `!`.
    excludes: bool,
}

/// Returns the file of the workspace's member with this name, relative to the workspace. The root of a
/// workspace is a member. The last pattern that matches a folder decides about it. A member may be a symbolic
/// link to a folder below `root`.
fn find_member(
    folder: &Path,
    root: &Path,
    patterns: &[String],
    package: &str,
) -> Result<Option<PathBuf>, String> {
    let globs = patterns.iter().map(|pattern| {
        pattern.trim_start_matches('!').trim_start_matches("./").trim_end_matches('/').to_owned()
    });
    let globs: Vec<String> = globs.collect();
    let parse = |(glob, pattern): (&String, &String)| {
        let glob =
            GlobBuilder::new(glob).literal_separator(true).build().map_err(|error| error.to_string())?;
        Ok(MemberPattern { matcher: glob.compile_matcher(), excludes: pattern.starts_with('!') })
    };
    let matchers: Vec<MemberPattern> =
        globs.iter().zip(patterns).map(parse).collect::<Result<_, String>>()?;
    if matchers.is_empty() {
        return Ok(None);
    }
    let is_member = |member: &Path| {
        let last = matchers.iter().rev().find(|pattern| pattern.matcher.is_match(member));
        member.as_os_str().is_empty() || last.is_some_and(|pattern| !pattern.excludes)
    };
    let mut walk = WalkBuilder::new(folder);
    let is_searched = |name: &std::ffi::OsStr| name != "node_modules" && name != ".git";
    walk.standard_filters(false).filter_entry(move |entry| is_searched(entry.file_name()));
    let mut count = 0;
    for entry in walk.build().flatten() {
        let Ok(path) = entry.path().strip_prefix(folder) else { continue };
        let is_linked_folder = entry.path_is_symlink() && entry.path().is_dir();
        if is_linked_folder && globs.iter().any(|glob| Path::new(glob).starts_with(path) && !is_member(path))
        {
            return Err(format!("the workspace's members are behind the symbolic link {}", path.display()));
        }
        let manifest = match path.parent() {
            _ if is_linked_folder && is_member(path) => path.join("package.json"),
            Some(member) if entry.file_name() == "package.json" && is_member(member) => path.to_owned(),
            _ => continue,
        };
        count += 1;
        if count > MAX_WORKSPACE_PACKAGES {
            return Err(format!("the workspace has more than {MAX_WORKSPACE_PACKAGES} packages"));
        }
        if !folder.join(&manifest).exists() {
            continue;
        }
        let text = read_file_below(root, &folder.join(&manifest))
            .map_err(|reason| format!("{} cannot be read: {reason}", manifest.display()))?;
        if json::package_name(&text).as_deref() == Some(package) {
            return Ok(Some(manifest));
        }
    }
    Ok(None)
}
