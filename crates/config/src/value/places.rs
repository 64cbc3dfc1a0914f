//! Where secrets are kept, one or several: as JSON, as TOML, and read from a variable.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;

use super::{Wrong, must, secret_file, secret_variable, shown};
use crate::secret::Secret;

/// Where a secret is kept, as JSON.
pub(super) fn place(secret: &Secret) -> serde_json::Value {
    match secret {
        Secret::Env(name) => json!({ "env": name }),
        Secret::File(path) => json!({ "file": path.display().to_string() }),
        Secret::Plain(text) => json!(shown(text)),
    }
}

/// The same as TOML.
pub(super) fn place_in_toml(secret: &Secret) -> String {
    let string = |text: String| toml::Value::String(text).to_string();
    match secret {
        Secret::Env(name) => format!("{{ env = {} }}", string(name.clone())),
        Secret::File(path) => format!("{{ file = {} }}", string(path.display().to_string())),
        Secret::Plain(text) => string(shown(text)),
    }
}

/// Places of secrets in a variable, as JSON: `[{"env": "OLD_KEY"}]`.
pub(super) fn secrets(text: &str, folder: &Path) -> Result<Vec<Secret>, Wrong> {
    let all: Vec<BTreeMap<String, String>> = serde_json::from_str(text).map_err(|_| must(no_secrets()))?;
    let place = |one: &BTreeMap<String, String>| {
        let mut fields = one.iter();
        match (fields.next().map(|(name, value)| (name.as_str(), value)), fields.next()) {
            (Some(("env", name)), None) => secret_variable(name),
            (Some(("file", path)), None) => secret_file(path, folder),
            (Some(_) | None, _) => Err(must(no_secrets())),
        }
    };
    all.iter().map(place).collect()
}

/// The form of such a list.
pub(super) fn no_secrets() -> &'static str {
    "be a list of places of secrets, such as [{ env = \"VARIABLE\" }, { file = \"PATH\" }], in a variable as JSON"
}
