//! Converts OpenAPI 3.0 schemas to JSON Schema, and finds fields that the schemas do not describe.

use std::collections::BTreeSet;

use jsonschema::Validator;
use serde_json::{Map, Value, json};

/// Maximum number of examined violations in one body. Afterwards, equal violations in several items of a
/// list are merged into one.
const MAX_VIOLATIONS: usize = 10_000;
/// Maximum depth of references; deeper references count as a cycle.
const MAX_DEPTH: usize = 32;
/// Maximum number of characters of a violation's text.
const MAX_MESSAGE_CHARS: usize = 160;

/// The schema of a body.
#[derive(Debug)]
pub(crate) struct CompiledSchema {
    schema: Value,
    validator: Validator,
}

impl CompiledSchema {
    /// Compiles a schema with the components that it refers to. The caller must have called
    /// `convert_nullable`.
    pub(crate) fn new(schema: &Value, components: &Value) -> Result<Self, String> {
        let whole = json!({"allOf": [schema], "components": components});
        let validator = jsonschema::draft4::options()
            .should_validate_formats(false)
            .build(&whole)
            .map_err(|error| error.to_string())?;
        Ok(Self { schema: schema.clone(), validator })
    }

    /// Returns the violations in a value. Each violation consists of its location in the value and a message.
    pub(crate) fn check(&self, value: &Value, components: &Value) -> Vec<(String, String)> {
        let seen: BTreeSet<(String, String)> = self
            .validator
            .iter_errors(value)
            .take(MAX_VIOLATIONS)
            .map(|error| {
                let text: String = error.masked().to_string().chars().take(MAX_MESSAGE_CHARS).collect();
                (mask_pointer_indices(error.instance_path().as_str()), text)
            })
            .collect();
        let mut found = Vec::from_iter(seen);
        find_undescribed_fields(&[&self.schema], value, components, "", &mut found);
        found
    }
}

/// Replaces every index of a JSON pointer by `*`.
fn mask_pointer_indices(pointer: &str) -> String {
    let parts = pointer.split('/').map(|part| {
        let index = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if index { "*" } else { part }
    });
    parts.collect::<Vec<_>>().join("/")
}

/// Finds the fields of objects that no schema describes. An undescribed field is allowed only if
/// `additionalProperties` is a schema, because the object is then a map.
fn find_undescribed_fields(
    schemas: &[&Value],
    value: &Value,
    components: &Value,
    location: &str,
    violations: &mut Vec<(String, String)>,
) {
    let mut all = Vec::new();
    schemas.iter().for_each(|schema| collect_subschemas(schema, components, 0, &mut all));
    let of = |key: &str| all.iter().filter_map(|schema| schema.get(key)).collect::<Vec<_>>();
    match value {
        Value::Object(fields) => {
            let named = of("properties");
            let is_map = of("additionalProperties").iter().any(|more| more.is_object());
            if named.is_empty() || is_map {
                return;
            }
            for (name, value) in fields {
                let inner: Vec<&Value> = named.iter().filter_map(|fields| fields.get(name)).collect();
                let location = format!("{location}/{name}");
                if inner.is_empty() {
                    violations.push((location, "a field that the schema does not name".into()));
                } else {
                    find_undescribed_fields(&inner, value, components, &location, violations);
                }
            }
        }
        Value::Array(items) => {
            let inner = of("items");
            let location = format!("{location}/*");
            let mut inside = Vec::new();
            items
                .iter()
                .for_each(|item| find_undescribed_fields(&inner, item, components, &location, &mut inside));
            let once: BTreeSet<_> = inside.into_iter().collect();
            violations.extend(once);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Collects a schema, and all schemas that it refers to or combines (`allOf` and similar).
fn collect_subschemas<'a>(
    schema: &'a Value,
    components: &'a Value,
    depth: usize,
    subschemas: &mut Vec<&'a Value>,
) {
    if depth > MAX_DEPTH {
        return;
    }
    if let Some(there) = resolve_reference(schema, components) {
        return collect_subschemas(there, components, depth + 1, subschemas);
    }
    subschemas.push(schema);
    for key in ["allOf", "anyOf", "oneOf"] {
        for inner in schema.get(key).and_then(Value::as_array).into_iter().flatten() {
            collect_subschemas(inner, components, depth + 1, subschemas);
        }
    }
}

/// Returns the target of a reference; `None` if the value is not a reference.
pub(crate) fn resolve_reference<'a>(value: &Value, components: &'a Value) -> Option<&'a Value> {
    components.pointer(value.get("$ref")?.as_str()?.strip_prefix("#/components")?)
}

/// Replaces OpenAPI's `nullable` with a type that includes null, at every level.
pub(crate) fn convert_nullable(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.values_mut().for_each(convert_nullable);
            // Only the value `true` marks a nullable schema, because an object may also describe a property
            // with the name `nullable`.
            if fields.get("nullable") == Some(&Value::Bool(true)) {
                fields.remove("nullable");
                let add_if_missing = |values: &mut Vec<Value>, add_if_missing: Value| {
                    if !values.contains(&add_if_missing) {
                        values.push(add_if_missing);
                    }
                };
                if let Some(Value::Array(values)) = fields.get_mut("enum") {
                    add_if_missing(values, Value::Null);
                }
                match fields.get("type") {
                    Some(Value::String(one)) => {
                        let either = json!([one, "null"]);
                        fields.insert("type".into(), either);
                    }
                    Some(_) | None => {
                        let inner = Value::Object(std::mem::take(fields));
                        *fields = Map::from_iter([("anyOf".into(), json!([inner, {"type": "null"}]))]);
                    }
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(convert_nullable),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find_violations(schema: Value, value: Value) -> Vec<(String, String)> {
        let mut schema = schema;
        let mut components = json!({"schemas": {"user": {
            "type": "object", "nullable": true, "required": ["id"], "properties": {"id": {"type": "integer"}},
        }}});
        convert_nullable(&mut schema);
        convert_nullable(&mut components);
        CompiledSchema::new(&schema, &components).unwrap().check(&value, &components)
    }

    fn user_schema() -> Value {
        json!({"type": "object", "properties": {"user": {"$ref": "#/components/schemas/user"}}})
    }

    #[test]
    fn types_and_required_fields_are_checked_through_references() {
        let wrong = find_violations(user_schema(), json!({"user": {"id": "7"}}));
        assert_eq!(wrong, [("/user/id".to_owned(), "value is not of type \"integer\"".to_owned())]);
        let missing = find_violations(user_schema(), json!({"user": {}}));
        assert_eq!(missing, [("/user".to_owned(), "\"id\" is a required property".to_owned())]);
        assert_eq!(find_violations(user_schema(), json!({"user": null})), [], "nullable");
    }

    #[test]
    fn an_undescribed_field_is_reported_even_if_the_schema_allows_it() {
        let place = |value| {
            find_violations(user_schema(), value).into_iter().map(|(place, _)| place).collect::<Vec<_>>()
        };
        assert_eq!(place(json!({"user": {"id": 7, "x": 1}})), ["/user/x"]);
        let list = json!({"type": "array", "items": {"anyOf": [
            {"properties": {"a": {}}}, {"properties": {"b": {}}, "additionalProperties": true},
        ]}});
        assert_eq!(find_violations(list.clone(), json!([{"a": 1}, {"b": 1}])), []);
        assert_eq!(find_violations(list, json!([{"c": 1}, {"c": 2}])).len(), 1, "told once");
        let map =
            json!({"type": "object", "properties": {"a": {}}, "additionalProperties": {"type": "string"}});
        assert_eq!(find_violations(map, json!({"whatever": "text"})), []);
    }
}
