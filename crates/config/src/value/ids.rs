//! Names of models, each with the model's id at a provider.

use std::collections::BTreeMap;

use toml::de::DeValue;

use super::{ConfigValue, ConfigValueError, ValueKind, requirement_error};

/// Maximum length of a model's name in characters.
const MAX_MODEL_NAME_CHARS: usize = 200;

/// Returns true for a text of visible ASCII characters, because all providers' model ids consist of such
/// characters.
pub(super) fn is_model_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_MODEL_NAME_CHARS && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Reads a table from names to ids in a file.
pub(super) fn ids_from_toml(value: &DeValue<'_>) -> Result<ConfigValue, ConfigValueError> {
    let all = value.as_table().map(|table| table.iter());
    parse_id_table(all.and_then(|mut all| {
        all.try_fold(BTreeMap::new(), |mut ids, (name, id)| {
            ids.insert(name.get_ref().to_string(), id.get_ref().as_str()?.to_owned());
            Some(ids)
        })
    }))
}

/// Checks a table from names to ids. `None` means that the value has a different type.
pub(super) fn parse_id_table(
    table: Option<BTreeMap<String, String>>,
) -> Result<ConfigValue, ConfigValueError> {
    match table {
        Some(ids) if ids.iter().flat_map(|(name, id)| [name, id]).all(|name| is_model_id(name)) => {
            Ok(ConfigValue::NamedIds(ids))
        }
        Some(_) | None => Err(requirement_error(format_args!(
            "be a table of names and ids without blanks, such as {} (in a variable: a JSON object)",
            ValueKind::IdsByName.sample()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_table_of_names_is_read_and_shown() {
        let read = |text: &str| ConfigValue::from_text(ValueKind::IdsByName, text, Path::new("/"));
        let value = read(r#"{"b": "arn:aws:bedrock:x:1:p/1", "a": "eu.a"}"#).unwrap();
        assert_eq!(value.to_string(), r#"{ "a" = "eu.a", "b" = "arn:aws:bedrock:x:1:p/1" }"#);
        assert_eq!(read("").unwrap().to_string(), "{}");
        for wrong in ["a=b", "[]", r#"{"a": 1}"#, r#"{"a": "b c"}"#, r#"{"": "b"}"#] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
