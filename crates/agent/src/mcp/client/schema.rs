//! Rewrites the schema of a tool's input and keeps only known keywords. Unknown keywords may make a schema
//! invalid, and a provider rejects a whole request if one of its schemas is invalid. The server itself checks
//! the input of each call.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::tool_result;

/// Maximum number of bytes of a schema.
const MAX_SCHEMA_BYTES: usize = 32 << 10;
/// Maximum depth of nested schemas.
const MAX_DEPTH: usize = 16;
/// Maximum number of bytes of a text in a schema.
const MAX_TEXT_BYTES: usize = 1 << 10;
/// Maximum number of bytes of a field's name.
const MAX_NAME_BYTES: usize = 64;
/// The type names of JSON Schema.
const TYPES: [&str; 7] = ["object", "array", "string", "number", "integer", "boolean", "null"];
/// The keywords under which a schema defines named subschemas.
const DEFINITIONS: [&str; 2] = ["$defs", "definitions"];

/// Returns the rewritten schema of an object, without unknown keywords.
///
/// # Errors
/// A description of the error in the schema.
pub(super) fn rewrite_schema(schema: &Map<String, Value>) -> Result<Value, String> {
    let bytes = serde_json::to_string(schema).map_or(usize::MAX, |text| text.len());
    if bytes > MAX_SCHEMA_BYTES {
        return Err(format!("its schema has {bytes} bytes; the limit is {MAX_SCHEMA_BYTES}"));
    }
    if schema.get("type").and_then(Value::as_str) != Some("object") {
        return Err("its schema does not describe an object".to_owned());
    }
    let names = |key: &str| schema.get(key).and_then(Value::as_object).into_iter().flat_map(Map::keys);
    let targets =
        DEFINITIONS.iter().flat_map(|key| names(key).map(move |name| format!("#/{key}/{name}"))).collect();
    let mut written = SchemaRewriter { targets }.rewrite_object(schema, 0)?;
    // Providers reject a schema with one of these keywords at the top level.
    for key in ["anyOf", "oneOf", "allOf", "$ref", "enum"] {
        written.remove(key);
    }
    Ok(Value::Object(written))
}

struct SchemaRewriter {
    /// Permitted targets of references.
    targets: BTreeSet<String>,
}

impl SchemaRewriter {
    fn rewrite_value(&self, schema: &Value, depth: usize) -> Result<Value, String> {
        match schema {
            Value::Bool(_) => Ok(schema.clone()),
            Value::Object(schema) => self.rewrite_object(schema, depth).map(Value::Object),
            Value::Null | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                Err("a part of its schema is not a valid schema".to_owned())
            }
        }
    }

    fn rewrite_object(
        &self,
        schema: &Map<String, Value>,
        depth: usize,
    ) -> Result<Map<String, Value>, String> {
        if depth > MAX_DEPTH {
            return Err(format!("its schema is nested more than {MAX_DEPTH} levels deep"));
        }
        let mut written = Map::new();
        for (key, value) in schema {
            if let Some(value) = self.rewrite_keyword(key, value, depth)? {
                written.insert(key.clone(), value);
            }
        }
        let no_field = |name: &Value| {
            let fields = written.get("properties").and_then(Value::as_object);
            name.as_str().is_some_and(|name| !fields.is_some_and(|fields| fields.contains_key(name)))
        };
        match written.get("required").and_then(Value::as_array) {
            Some(names) if names.iter().any(no_field) => {
                Err("its schema requires a field that the schema does not define".to_owned())
            }
            Some(_) | None => Ok(written),
        }
    }

    /// Rewrites the value of a keyword. Returns `None` for an unknown keyword.
    fn rewrite_keyword(&self, key: &str, value: &Value, depth: usize) -> Result<Option<Value>, String> {
        let wrong = || format!("`{key}` in its schema is invalid");
        let deeper = depth.saturating_add(1);
        Ok(match key {
            "type" => Some(check_types(value).ok_or_else(wrong)?),
            "properties" => Some(self.rewrite_by_name(value, deeper).ok_or_else(wrong)??),
            "$defs" | "definitions" if depth == 0 => {
                Some(self.rewrite_by_name(value, deeper).ok_or_else(wrong)??)
            }
            "required" => {
                let names = value.as_array().ok_or_else(wrong)?;
                let each: BTreeSet<&str> = names.iter().filter_map(Value::as_str).collect();
                (each.len() == names.len()).then(|| Some(value.clone())).ok_or_else(wrong)?
            }
            "items" | "additionalProperties" => Some(self.rewrite_value(value, deeper)?),
            "anyOf" | "oneOf" | "allOf" => {
                let all = value.as_array().filter(|all| !all.is_empty()).ok_or_else(wrong)?;
                Some(Value::Array(
                    all.iter().map(|one| self.rewrite_value(one, deeper)).collect::<Result<_, _>>()?,
                ))
            }
            "$ref" => {
                let target = value.as_str().ok_or_else(wrong)?;
                self.targets.contains(target).then(|| value.clone())
            }
            "enum" => {
                let all = value.as_array().filter(|all| !all.is_empty()).ok_or_else(wrong)?;
                Some(Value::Array(all.iter().map(check_scalar).collect::<Option<_>>().ok_or_else(wrong)?))
            }
            "const" | "default" => check_scalar(value),
            "description" | "title" => {
                let text = value.as_str().ok_or_else(wrong)?;
                Some(
                    tool_result::redact_and_truncate(
                        &tool_result::strip_invisible_chars(text),
                        MAX_TEXT_BYTES,
                    )
                    .into(),
                )
            }
            "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" => {
                value.is_number().then(|| Some(value.clone())).ok_or_else(wrong)?
            }
            "minLength" | "maxLength" | "minItems" | "maxItems" => {
                value.is_u64().then(|| Some(value.clone())).ok_or_else(wrong)?
            }
            _ => None,
        })
    }

    /// Rewrites a map from names to schemas.
    fn rewrite_by_name(&self, value: &Value, depth: usize) -> Option<Result<Value, String>> {
        let all = value.as_object()?;
        Some(
            all.iter()
                .map(|(name, schema)| {
                    let may_be =
                        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
                    if name.is_empty() || name.len() > MAX_NAME_BYTES || !name.bytes().all(may_be) {
                        return Err(format!(
                            "a name in its schema is not made of letters, digits, `_`, `-` and `.`, or has \
                                more than {MAX_NAME_BYTES} characters"
                        ));
                    }
                    Ok((name.clone(), self.rewrite_value(schema, depth)?))
                })
                .collect::<Result<Map<_, _>, _>>()
                .map(Value::Object),
        )
    }
}

/// Returns a type name, or a list of type names, if every type is known.
fn check_types(value: &Value) -> Option<Value> {
    let known = |value: &Value| value.as_str().is_some_and(|name| TYPES.contains(&name));
    let all = value.as_array();
    let is_one = known(value) || all.is_some_and(|all| !all.is_empty() && all.iter().all(known));
    is_one.then(|| value.clone())
}

/// Returns a short value that is neither a list nor an object.
fn check_scalar(value: &Value) -> Option<Value> {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => Some(value.clone()),
        Value::String(text) => (text.len() <= MAX_TEXT_BYTES
            && tool_result::strip_invisible_chars(text) == *text)
            .then(|| value.clone()),
        Value::Array(_) | Value::Object(_) => None,
    }
}
