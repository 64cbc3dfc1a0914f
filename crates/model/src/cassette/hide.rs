//! What may not be on a cassette. It is hidden in what is recorded and in what is compared, so that a request with a
//! secret in it is still the one that was recorded.

use serde_json::Value;
use truing_core::secret::SecretString;

/// How texts are made safe to keep.
#[derive(Clone, Debug)]
pub struct SecretRedactor {
    /// Texts that are known to be secret.
    pub secrets: Vec<SecretString>,
    /// What hides the secrets of what is reviewed, by their form.
    pub redact: fn(&str) -> String,
}

/// Hides nothing.
impl Default for SecretRedactor {
    fn default() -> Self {
        Self { secrets: Vec::new(), redact: str::to_owned }
    }
}

impl SecretRedactor {
    /// A value with every text in it made safe, names of fields too.
    pub(super) fn value(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(&text)),
            Value::Array(values) => values.into_iter().map(|value| self.value(value)).collect(),
            Value::Object(fields) => {
                fields.into_iter().map(|(name, value)| (self.text(&name), self.value(value))).collect()
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => value,
        }
    }

    fn text(&self, text: &str) -> String {
        let text = self.secrets.iter().fold(text.to_owned(), |text, secret| secret.hide_in(&text));
        (self.redact)(&text)
    }
}
