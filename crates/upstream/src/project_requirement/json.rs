//! Requirements in JSON: an object of names and ranges, as in `package.json`. If an object contains a key
//! twice, the search returns both entries.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{RequirementText, span_within_quotes};

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
    let Ok(serde_json::Value::Object(root)) = serde_json::from_str(text) else { return Vec::new() };
    root.iter()
        .filter(|(key, value)| value.is_object() && !key.contains('.'))
        .map(|(key, _)| key.clone())
        .collect()
}

/// Returns the names of the packages in the top-level objects whose keys end with `dependencies`.
pub(super) fn required_packages(text: &str) -> Vec<String> {
    let Ok(serde_json::Value::Object(root)) = serde_json::from_str(text) else { return Vec::new() };
    let lists = root.iter().filter(|(key, _)| key.to_lowercase().ends_with("dependencies"));
    let names = lists.filter_map(|(_, list)| list.as_object()).flat_map(serde_json::Map::keys);
    names.cloned().collect()
}

/// Finds the entries of `package` in the object at `key_path`. If `is_vendored_version` is set, `key_path` is
/// the path of a version, and the function finds the values at this path.
pub(super) fn find_requirements(
    text: &str,
    key_path: &str,
    package: &str,
    is_vendored_version: bool,
) -> Result<Vec<RequirementText>, String> {
    let root: &RawValue = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let mut values = vec![root];
    let keys = key_path.split('.').chain((!is_vendored_version).then_some(package));
    for key in keys {
        let mut below = Vec::new();
        for value in values {
            // Only objects hold requirements, so other values are skipped.
            let Ok(ObjectEntries(entries)) = serde_json::from_str::<ObjectEntries<'_>>(value.get()) else {
                continue;
            };
            below.extend(entries.into_iter().filter(|(name, _)| name == key).map(|(_, value)| value));
        }
        values = below;
    }
    let found = values.into_iter().map(|value| {
        let start = (value.get().as_ptr() as usize).checked_sub(text.as_ptr() as usize);
        let content: String =
            serde_json::from_str(value.get()).map_err(|_| format!("{} is not a string", value.get()))?;
        let span = start.map(|start| start..start + value.get().len());
        let span = span.and_then(|span| span_within_quotes(text, span, &content));
        let span = span
            .ok_or_else(|| format!("{} must be written as a plain string, without escapes", value.get()))?;
        Ok(RequirementText { span, text: content })
    });
    found.collect()
}
