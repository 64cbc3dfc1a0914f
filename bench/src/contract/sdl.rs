//! Reduces a GraphQL schema to a list of types. Keeps only fields whose type is in this list, a scalar or an
//! enumeration. The input is an introspection response; the output is in GraphQL's schema definition
//! language.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use anyhow::{Context, Result};
use serde_json::Value;

/// Returns the schema with only these types, and the scalars, enumerations and input types that they use.
pub(super) fn extract_types(introspected: &Value, type_names: &[String]) -> Result<String> {
    let types = introspected["__schema"]["types"].as_array().context("this is no introspection")?;
    let types: BTreeMap<&str, &Value> =
        types.iter().filter_map(|of| Some((of["name"].as_str()?, of))).collect();
    let type_names: BTreeSet<&str> = type_names.iter().map(String::as_str).collect();
    let cut = SchemaSubset { types, kept_types: type_names };

    let mut texts = BTreeMap::new();
    let mut open: BTreeSet<&str> = cut.kept_types.clone();
    while let Some(name) = open.pop_first() {
        if !texts.contains_key(name) {
            texts.insert(name, cut.render_type(name, &mut open)?);
        }
    }
    Ok(texts.into_values().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n"))
}

struct SchemaSubset<'a> {
    types: BTreeMap<&'a str, &'a Value>,
    kept_types: BTreeSet<&'a str>,
}

impl<'a> SchemaSubset<'a> {
    /// Renders a type's definition, and adds the types that the definition uses to `used`.
    fn render_type(&self, name: &str, used: &mut BTreeSet<&'a str>) -> Result<String> {
        let of = self.types.get(name).with_context(|| format!("the schema has no type {name}"))?;
        let mut text = String::new();
        match of["kind"].as_str().unwrap_or_default() {
            "OBJECT" => self.render_fields(of, "type", used, &mut text)?,
            "INTERFACE" => self.render_fields(of, "interface", used, &mut text)?,
            "INPUT_OBJECT" => {
                writeln!(text, "input {name} {{")?;
                for field in iter_array(&of["inputFields"]) {
                    writeln!(text, "  {}", format_argument(field))?;
                    used.extend(innermost_type(&field["type"]));
                }
                writeln!(text, "}}")?;
            }
            "ENUM" => {
                writeln!(text, "enum {name} {{")?;
                for value in iter_array(&of["enumValues"]) {
                    writeln!(text, "  {}", name_text(value))?;
                }
                writeln!(text, "}}")?;
            }
            "SCALAR" if ["Boolean", "Float", "ID", "Int", "String"].contains(&name) => {}
            "SCALAR" => writeln!(text, "scalar {name}")?,
            kind => anyhow::bail!("{name} is of kind {kind}, which is not understood"),
        }
        Ok(text)
    }

    /// Renders an object or an interface. Keeps only fields that are not deprecated and whose type is a
    /// scalar, an enumeration or a kept type.
    fn render_fields(
        &self,
        type_value: &'a Value,
        keyword: &str,
        used: &mut BTreeSet<&'a str>,
        text: &mut String,
    ) -> Result<()> {
        let interfaces: Vec<&str> = iter_array(&type_value["interfaces"])
            .map(name_text)
            .filter(|name| self.kept_types.contains(name))
            .collect();
        let implements = match interfaces.as_slice() {
            [] => String::new(),
            names => format!(" implements {}", names.join(" & ")),
        };
        writeln!(text, "{keyword} {}{implements} {{", name_text(type_value))?;
        let current = iter_array(&type_value["fields"]).filter(|field| field["isDeprecated"] != true);
        for field in current.filter(|field| self.is_field_needed(&field["type"])) {
            used.extend(innermost_type(&field["type"]));
            let mut arguments = Vec::new();
            for given in iter_array(&field["args"]) {
                used.extend(innermost_type(&given["type"]));
                arguments.push(format_argument(given));
            }
            let arguments = match arguments.as_slice() {
                [] => String::new(),
                all => format!("({})", all.join(", ")),
            };
            writeln!(text, "  {}{arguments}: {}", name_text(field), format_type(&field["type"]))?;
        }
        Ok(writeln!(text, "}}")?)
    }

    /// Returns true if this field type is a scalar, an enumeration or a kept type, or a list of one of these.
    fn is_field_needed(&self, type_value: &Value) -> bool {
        innermost_type(type_value).is_some_and(|name| {
            let kind = self.types.get(name).and_then(|type_value| type_value["kind"].as_str());
            matches!(kind, Some("SCALAR" | "ENUM")) || self.kept_types.contains(name)
        })
    }
}

fn iter_array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn name_text(value: &Value) -> &str {
    value["name"].as_str().unwrap_or_default()
}

/// Returns the name of a type without its list and non-null wrappers.
fn innermost_type(type_value: &Value) -> Option<&str> {
    let inner = &type_value["ofType"];
    if inner.is_null() { type_value["name"].as_str() } else { innermost_type(inner) }
}

/// Formats a type such as `[String!]!`.
fn format_type(type_value: &Value) -> String {
    match type_value["kind"].as_str() {
        Some("NON_NULL") => format!("{}!", format_type(&type_value["ofType"])),
        Some("LIST") => format!("[{}]", format_type(&type_value["ofType"])),
        Some(_) | None => name_text(type_value).to_owned(),
    }
}

/// Formats an argument as `name: Type = default`.
fn format_argument(argument_value: &Value) -> String {
    let default =
        argument_value["defaultValue"].as_str().map(|value| format!(" = {value}")).unwrap_or_default();
    format!("{}: {}{default}", name_text(argument_value), format_type(&argument_value["type"]))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_type_keeps_the_fields_that_lead_to_what_is_kept() {
        let scalar = |name: &str| json!({"kind": "SCALAR", "name": name, "ofType": null});
        let object = |name: &str| json!({"kind": "OBJECT", "name": name, "ofType": null});
        let field = |name: &str, of: Value, deprecated: bool| json!({"name": name, "args": [{"name": "first", "type": scalar("Int"), "defaultValue": "5"}], "type": of, "isDeprecated": deprecated});
        let many = json!({"kind": "NON_NULL", "name": null, "ofType": {"kind": "LIST", "name": null, "ofType": object("A")}});
        let introspected = json!({"__schema": {"types": [
            scalar("Int"), scalar("Date"),
            {"kind": "OBJECT", "name": "A", "interfaces": [], "fields": [
                field("when", scalar("Date"), false), field("all", many, false), field("other", object("B"), false), field("old", scalar("Int"), true),
            ]},
            {"kind": "OBJECT", "name": "B", "interfaces": [], "fields": []},
        ]}});
        assert_eq!(
            extract_types(&introspected, &["A".to_owned()]).unwrap(),
            "type A {\n  when(first: Int = 5): Date\n  all(first: Int = 5): [A]!\n}\n\nscalar Date\n"
        );
        assert!(
            extract_types(&introspected, &["C".to_owned()]).unwrap_err().to_string().contains("no type C")
        );
    }
}
