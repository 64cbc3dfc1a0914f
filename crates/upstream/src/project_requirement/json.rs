//! Requirements in JSON: an object of names and ranges, as in `package.json`. If an object contains a key
//! twice, the search returns both entries.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range as Span;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::npm_value;
use super::requirement::{RequirementNotation, RequirementText, span_within_quotes};

/// The entries of an object in the file's order: the key, and the raw text of the value.
struct ObjectEntries<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for ObjectEntries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntryVisitor;
        impl<'de> Visitor<'de> for EntryVisitor {
            type Value = ObjectEntries<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<ObjectEntries<'de>, M::Error> {
                let mut entries = Vec::new();
                while let Some((EntryKey(key), value)) = map.next_entry()? {
                    entries.push((key, value));
                }
                Ok(ObjectEntries(entries))
            }
        }
        deserializer.deserialize_map(EntryVisitor)
    }
}

#[derive(Deserialize)]
struct EntryKey<'a>(#[serde(borrow)] Cow<'a, str>);

/// Returns the top-level keys whose values are objects, except keys that contain a dot.
pub(super) fn object_key_paths(text: &str) -> Vec<String> {
    let Some(serde_json::Value::Object(root)) = parse_root(text) else { return Vec::new() };
    root.iter()
        .filter(|(key, value)| value.is_object() && !key.contains('.'))
        .map(|(key, _)| key.clone())
        .collect()
}

/// Returns the names of the packages in the top-level objects whose keys end with `dependencies`.
pub(super) fn required_packages(text: &str) -> Vec<String> {
    let Some(serde_json::Value::Object(root)) = parse_root(text) else { return Vec::new() };
    let lists = root.iter().filter(|(key, _)| key.to_lowercase().ends_with("dependencies"));
    let names = lists.filter_map(|(_, list)| list.as_object()).flat_map(serde_json::Map::keys);
    names.cloned().collect()
}

/// Parses a file. npm ignores a byte order mark at its beginning.
fn parse_root(text: &str) -> Option<serde_json::Value> {
    serde_json::from_str(text.trim_start_matches('\u{feff}')).ok()
}

/// Returns the name in a `package.json`.
pub(super) fn package_name(text: &str) -> Option<String> {
    let root = parse_root(text)?;
    root.get("name")?.as_str().map(str::to_owned)
}

/// Returns the patterns of a workspace's members: a list at `workspaces`, `workspaces.packages`, or
/// `packages`.
pub(super) fn workspace_patterns(text: &str) -> Vec<String> {
    let Some(root) = parse_root(text) else { return Vec::new() };
    let lists = ["/workspaces", "/workspaces/packages", "/packages"].map(|pointer| root.pointer(pointer));
    let items = lists.into_iter().flatten().filter_map(serde_json::Value::as_array).flatten();
    items.filter_map(serde_json::Value::as_str).map(str::to_owned).collect()
}

/// Returns another list of `package.json` that requires the package for the project itself.
pub(super) fn other_list_of(text: &str, key_path: &str, package: &str) -> Option<&'static str> {
    let root = parse_root(text)?;
    let lists = ["dependencies", "devDependencies", "optionalDependencies"];
    let has_package = |key: &&str| root.get(*key).is_some_and(|list| list.get(package).is_some());
    lists.into_iter().filter(|key| *key != key_path).find(has_package).filter(|_| lists.contains(&key_path))
}

/// Returns true if the key of an override names the package. The key may have a range (`kit@^1`) and parents:
/// `parent>kit` in pnpm, `parent/kit` and `**/kit` in Yarn.
pub(super) fn is_override_of(key: &str, package: &str) -> bool {
    let begins = key.match_indices(['>', '/']).filter(|(position, _)| {
        // The slash of a scope separates no parent.
        let parent = key.get(..*position).unwrap_or_default();
        let parent = parent.rsplit(['>', '/']).next().unwrap_or_default();
        !parent.starts_with('@') || parent.get(1..).is_some_and(|name| name.contains('@'))
    });
    let begins = begins.map(|(position, _)| position + 1).chain([0]);
    begins.into_iter().any(|begin| {
        let rest = key.get(begin..).and_then(|key| key.strip_prefix(package));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('@'))
    })
}

/// Returns the names under which a list has the package: its own, and those of aliases.
pub(super) fn names_of_package(text: &str, key_path: &str, package: &str) -> Vec<String> {
    let root = parse_root(text).unwrap_or_default();
    let list = key_path.split('.').try_fold(&root, |value, key| value.get(key));
    let entries = list.and_then(serde_json::Value::as_object).into_iter().flatten();
    let aliases = entries.filter(|(_, value)| {
        let value = value.as_str().and_then(|value| npm_value::parse(value).ok());
        value.is_some_and(|value| value.package == Some(package))
    });
    aliases.map(|(name, _)| name.clone()).chain([package.to_owned()]).collect()
}

/// Returns the entries of `package.json` that set the version of a package in place of its requirement: the
/// key, and the value.
pub(super) fn version_overrides(text: &str, package: &str) -> Vec<(String, String)> {
    let Some(root) = parse_root(text) else { return Vec::new() };
    let mut found = Vec::new();
    for (key, pointer) in
        [("overrides", "/overrides"), ("resolutions", "/resolutions"), ("pnpm.overrides", "/pnpm/overrides")]
    {
        let entries = root.pointer(pointer).and_then(serde_json::Value::as_object);
        for (name, value) in entries.into_iter().flatten() {
            let value = value.as_str().or_else(|| value.get(".")?.as_str());
            found.extend(
                value
                    .filter(|_| is_override_of(name, package))
                    .map(|value| (key.to_owned(), value.to_owned())),
            );
        }
    }
    found
}

/// Finds the requirements of `package` in the object at `key_path`: the entry with this name, and aliases of
/// the package. If `is_vendored_version` is set, `key_path` is the path of a version, and the function finds
/// the values at this path.
pub(super) fn find_requirements(
    text: &str,
    key_path: &str,
    package: &str,
    is_vendored_version: bool,
) -> Result<Vec<RequirementText>, String> {
    // npm ignores a byte order mark.
    let root: &RawValue =
        serde_json::from_str(text.trim_start_matches('\u{feff}')).map_err(|error| error.to_string())?;
    let mut values = vec![root];
    for key in key_path.split('.') {
        values = entries(&values).filter(|(name, _)| name == key).map(|(_, value)| value).collect();
    }
    if is_vendored_version {
        let version = |value: &RawValue| {
            let (span, content) = string_at(text, value)?;
            Ok(RequirementText::new(span, content, RequirementNotation::Version))
        };
        return values.into_iter().map(version).collect();
    }
    let mut found = Vec::new();
    for (name, value) in entries(&values) {
        let is_named = name == package;
        if !is_named && !value.get().contains(package) {
            continue;
        }
        let (span, content) = match string_at(text, value) {
            Ok(string) => string,
            Err(error) if is_named => return Err(error),
            Err(_) => continue,
        };
        let requirement = match npm_value::parse(&content) {
            Ok(value) if value.package.unwrap_or(&name) == package => {
                let Some(range) = value.range else {
                    let doubt = "the alias has no range".to_owned();
                    found.push(RequirementText::not_understood(content, doubt));
                    continue;
                };
                let start = span.start + content.len() - range.len();
                RequirementText {
                    text: content.clone(),
                    ..RequirementText::new(start..span.end, range.to_owned(), RequirementNotation::Range)
                }
            }
            Ok(value) if is_named => {
                let other = value.package.unwrap_or_default();
                RequirementText::not_understood(
                    content.clone(),
                    format!("it is an alias of the package `{other}`"),
                )
            }
            Err(reason) if is_named => RequirementText::not_understood(content.clone(), reason),
            Ok(_) | Err(_) => continue,
        };
        found.push(requirement);
    }
    Ok(found)
}

/// Returns the entries of all values that are objects.
fn entries<'a>(values: &[&'a RawValue]) -> impl Iterator<Item = (Cow<'a, str>, &'a RawValue)> {
    let objects =
        values.iter().filter_map(|value| serde_json::from_str::<ObjectEntries<'a>>(value.get()).ok());
    objects.flat_map(|ObjectEntries(entries)| entries).collect::<Vec<_>>().into_iter()
}

/// Returns the position and the content of a string.
fn string_at(text: &str, value: &RawValue) -> Result<(Span<usize>, String), String> {
    let start = (value.get().as_ptr() as usize).checked_sub(text.as_ptr() as usize);
    let content: String =
        serde_json::from_str(value.get()).map_err(|_| format!("{} is not a string", value.get()))?;
    let span = start.map(|start| start..start + value.get().len());
    let span = span.and_then(|span| span_within_quotes(text, span, &content));
    let span =
        span.ok_or_else(|| format!("{} must be written as a plain string, without escapes", value.get()))?;
    Ok((span, content))
}
