//! Reduces an OpenAPI document to a list of operations and the components to which these operations refer.
//! Removes prose.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

/// Keys that are removed from the document, because they do not constrain requests or responses.
const PROSE: &[&str] = &[
    "deprecated",
    "description",
    "example",
    "examples",
    "externalDocs",
    "summary",
    "tags",
    "title",
    "x-github",
    "x-multi-segment",
];
/// Keys whose values are maps from names to objects. The author of the document chose these names, so a
/// property that is named `description` is kept.
const NAME_MAP_KEYS: &[&str] =
    &["headers", "parameters", "patternProperties", "properties", "requestBodies", "responses", "schemas"];
/// Prefix of references to components.
const COMPONENTS: &str = "#/components/";

/// Returns the document with only these operations (such as `GET /user`) and the components to which they
/// refer.
pub(super) fn extract_operations(document: &Value, operations: &[String]) -> Result<Value> {
    let mut paths = Map::new();
    for operation in operations {
        let (method, path) = operation.split_once(' ').context("an operation is a method and a path")?;
        let method = method.to_lowercase();
        let found = &document["paths"][path];
        let there = found.get(&method).with_context(|| format!("the document has no {operation}"))?;
        let kept = paths.entry(path).or_insert_with(|| json!({}));
        kept[&method] = strip_descriptions(there, false);
        if let Some(shared) = found.get("parameters") {
            kept["parameters"] = strip_descriptions(shared, false);
        }
    }
    let paths = Value::Object(paths);
    let mut components = json!({});
    let mut seen = BTreeSet::new();
    let mut open = BTreeSet::new();
    collect_references(&paths, &mut open);
    while let Some(name) = open.pop_first() {
        if !seen.insert(name.clone()) {
            continue;
        }
        let (kind, own) = name.split_once('/').context("a component has a kind and a name")?;
        let there = document["components"][kind].get(own);
        let there = there.with_context(|| format!("the document refers to {name} and has none"))?;
        let component = strip_descriptions(there, false);
        collect_references(&component, &mut open);
        components[kind][own] = component;
    }
    Ok(json!({
        "openapi": document["openapi"], "info": document["info"], "paths": paths, "components": components,
    }))
}

fn strip_descriptions(value: &Value, is_name_map: bool) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(key, _)| is_name_map || !PROSE.contains(&key.as_str()));
            let kept = kept.map(|(key, value)| {
                let names = !is_name_map && value.is_object() && NAME_MAP_KEYS.contains(&key.as_str());
                (key.clone(), strip_descriptions(value, names))
            });
            Value::Object(kept.collect())
        }
        Value::Array(items) => items.iter().map(|item| strip_descriptions(item, false)).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

/// Collects the names of the components to which a value refers, as `kind/name`.
fn collect_references(value: &Value, components: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(name) =
                fields.get("$ref").and_then(Value::as_str).and_then(|text| text.strip_prefix(COMPONENTS))
            {
                components.insert(name.to_owned());
            }
            fields.values().for_each(|value| collect_references(value, components));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_references(item, components)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_keeps_what_it_leads_to_and_loses_prose() {
        let whole = json!({
            "openapi": "3.0.3", "info": {"version": "1"},
            "paths": {
                "/a": {"get": {"summary": "A", "responses": {"200": {"$ref": "#/components/responses/a"}}}, "post": {}},
                "/b": {"get": {}},
            },
            "components": {
                "responses": {"a": {"description": "A", "schema": {"$ref": "#/components/schemas/a"}}},
                "schemas": {
                    "a": {"properties": {"description": {"type": "string", "description": "A"}, "b": {"items": [{"$ref": "#/components/schemas/a"}]}}},
                    "b": {},
                },
            },
        });
        let kept = extract_operations(&whole, &["GET /a".to_owned()]).unwrap();
        assert_eq!(
            kept["paths"],
            json!({"/a": {"get": {"responses": {"200": {"$ref": "#/components/responses/a"}}}}})
        );
        assert_eq!(
            kept["components"],
            json!({
                "responses": {"a": {"schema": {"$ref": "#/components/schemas/a"}}},
                "schemas": {"a": {"properties": {"description": {"type": "string"}, "b": {"items": [{"$ref": "#/components/schemas/a"}]}}}},
            })
        );
        let missing = extract_operations(&whole, &["PUT /a".to_owned()]).unwrap_err();
        assert_eq!(missing.to_string(), "the document has no PUT /a");
    }
}
