//! Hides secrets, which must not be written to a cassette. Secrets are hidden in requests when they are
//! recorded, and in requests that playback compares with the recording. A request with a secret therefore
//! equals its recording.

use serde_json::Value;
use truing_core::secret::SecretString;

/// Removes secrets from texts.
#[derive(Clone, Debug)]
pub struct SecretRedactor {
    /// Texts that are known to be secret.
    pub secrets: Vec<SecretString>,
    /// Function that hides secrets in reviewed text. It recognises secrets by their format.
    pub redact: fn(&str) -> String,
}

/// Returns a redactor that hides nothing.
impl Default for SecretRedactor {
    fn default() -> Self {
        Self { secrets: Vec::new(), redact: str::to_owned }
    }
}

impl SecretRedactor {
    /// Returns a value in which secrets are hidden in all texts and in the names of fields.
    pub(super) fn redact_value(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.redact_text(&text)),
            Value::Array(values) => values.into_iter().map(|value| self.redact_value(value)).collect(),
            Value::Object(fields) => fields
                .into_iter()
                .map(|(name, value)| (self.redact_text(&name), self.redact_value(value)))
                .collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) => value,
        }
    }

    fn redact_text(&self, text: &str) -> String {
        let text = self.secrets.iter().fold(text.to_owned(), |text, secret| secret.redact_from(&text));
        (self.redact)(&text)
    }
}
