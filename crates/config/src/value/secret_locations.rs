//! Locations of secrets: rendered as JSON and TOML, and parsed from a variable.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;

use super::{ConfigValueError, redacted_url, requirement_error, secret_file, secret_variable};
use crate::secret::SecretSource;

/// Renders the location of a secret as JSON.
pub(super) fn place_json(secret: &SecretSource) -> serde_json::Value {
    match secret {
        SecretSource::Env(name) => json!({ "env": name }),
        SecretSource::File(path) => json!({ "file": path.display().to_string() }),
        SecretSource::PlainText(text) => json!(redacted_url(text)),
    }
}

/// Renders the location of a secret as TOML.
pub(super) fn location_to_toml(secret: &SecretSource) -> String {
    let string = |text: String| toml::Value::String(text).to_string();
    match secret {
        SecretSource::Env(name) => format!("{{ env = {} }}", string(name.clone())),
        SecretSource::File(path) => format!("{{ file = {} }}", string(path.display().to_string())),
        SecretSource::PlainText(text) => string(redacted_url(text)),
    }
}

/// The location of a secret in the JSON of a variable: `{"env": "OLD_KEY"}`.
type SecretPlaceFields = BTreeMap<String, String>;

/// Parses the location of a secret, which must have exactly one field, `env` or `file`. Otherwise returns an
/// error with the text `requirement`.
fn read_place(
    fields: &SecretPlaceFields,
    folder: &Path,
    requirement: &'static str,
) -> Result<SecretSource, ConfigValueError> {
    let mut fields = fields.iter();
    match (fields.next().map(|(name, value)| (name.as_str(), value)), fields.next()) {
        (Some(("env", name)), None) => secret_variable(name),
        (Some(("file", path)), None) => secret_file(path, folder),
        (Some(_) | None, _) => Err(requirement_error(requirement)),
    }
}

/// Parses a variable's JSON list of secret locations: `[{"env": "OLD_KEY"}]`.
pub(super) fn parse_secrets(text: &str, folder: &Path) -> Result<Vec<SecretSource>, ConfigValueError> {
    let all: Vec<SecretPlaceFields> =
        serde_json::from_str(text).map_err(|_| requirement_error(secret_list_requirement()))?;
    all.iter().map(|fields| read_place(fields, folder, secret_list_requirement())).collect()
}

/// Returns a description of a valid list of secret locations, as the text of an error after the word `must`.
pub(super) fn secret_list_requirement() -> &'static str {
    "be a list of tables, each with the location of a secret, such as [{ env = \"VARIABLE\" }, { file = \
        \"PATH\" }] (in a variable: a JSON array)"
}

/// Parses a variable's JSON object of headers: `{"X-API-Key": {"env": "DOCS_KEY"}}`.
pub(super) fn parse_headers(
    text: &str,
    folder: &Path,
) -> Result<BTreeMap<String, SecretSource>, ConfigValueError> {
    let given: BTreeMap<String, SecretPlaceFields> =
        serde_json::from_str(text).map_err(|_| requirement_error(header_table_requirement()))?;
    let mut all = BTreeMap::new();
    for (name, fields) in &given {
        add_header(&mut all, name, read_place(fields, folder, header_table_requirement())?)?;
    }
    Ok(all)
}

/// Returns a description of a valid table of headers, as the text of an error after the word `must`.
pub(super) fn header_table_requirement() -> &'static str {
    "be a table of headers, each with the location of its secret, such as { \"X-API-Key\" = { env = \
        \"VARIABLE\" } } (in a variable: a JSON object)"
}

/// Maximum length of a header's name in bytes.
const MAX_HEADER_NAME: usize = 100;

/// Headers that HTTP or the Model Context Protocol sets. The configuration must not set them.
const RESERVED_HEADERS: [&str; 14] = [
    "accept",
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "last-event-id",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Prefixes of the names of headers that the configuration must not set.
const RESERVED_PREFIXES: [&str; 2] = ["mcp-", "proxy-"];

/// Adds a header. The header's name must be valid by RFC 9110, must not be reserved, and must not exist yet
/// in any letter case.
pub(crate) fn add_header(
    headers: &mut BTreeMap<String, SecretSource>,
    name: &str,
    secret: SecretSource,
) -> Result<(), ConfigValueError> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || name.len() > MAX_HEADER_NAME || !name.bytes().all(is_token) {
        return Err(requirement_error(format_args!(
            "have header names of letters, digits and signs such as `-`, with at most {MAX_HEADER_NAME} \
                characters"
        )));
    }
    let lower = name.to_ascii_lowercase();
    if RESERVED_HEADERS.contains(&lower.as_str())
        || RESERVED_PREFIXES.iter().any(|prefix| lower.starts_with(prefix))
    {
        return Err(requirement_error(format_args!(
            "not set the header `{name}`: HTTP or the Model Context Protocol sets it"
        )));
    }
    if headers.keys().any(|other| other.eq_ignore_ascii_case(name)) {
        return Err(requirement_error(format_args!(
            "set the header `{name}` only once: header names are case-insensitive"
        )));
    }
    headers.insert(name.to_owned(), secret);
    Ok(())
}
