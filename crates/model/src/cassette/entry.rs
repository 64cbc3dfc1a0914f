//! A line of a cassette, and the canonical form in which requests are compared.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::hide::SecretRedactor;
use crate::gateway::{ModelAnswer, ModelError};
use crate::messages::ModelRequest;

/// Maximum number of bytes of a cassette.
pub const MAX_CASSETTE_BYTES: u64 = 256 * 1024 * 1024;
/// Maximum number of characters of a difference between requests that are shown.
const MAX_DIFF_CHARS: usize = 4000;

/// The reason why a cassette cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CassetteError {
    /// The file cannot be opened, read or created.
    #[error("the cassette {path} cannot be used: {error}")]
    File {
        /// Path of the cassette.
        path: String,
        /// Reason of the failure.
        error: std::io::Error,
    },
    /// A line cannot be parsed.
    #[error("line {line} of the cassette {path} cannot be read: {message}")]
    InvalidLine {
        /// Path of the cassette.
        path: String,
        /// Line number, from 1.
        line: usize,
        /// Description of the error.
        message: String,
    },
    /// The file exceeds the size limit.
    #[error("the cassette {path} is larger than {MAX_CASSETTE_BYTES} bytes")]
    TooLarge {
        /// Path of the cassette.
        path: String,
    },
}

/// One line of a cassette: the changes since the agent's previous request, and the result of the request.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CassetteEntry {
    pub(super) run: String,
    pub(super) agent: String,
    /// Position of the request among the agent's requests, from 0.
    pub(super) sequence: u64,
    /// Hash of the complete request in its canonical representation.
    pub(super) hash: String,
    pub(super) request: RequestDelta,
    pub(super) result: RecordedOutcome,
}

/// The changes of a request since the agent's previous request.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RequestDelta {
    /// All fields of the request except the messages; `None` if they are unchanged.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) head: Option<Value>,
    /// Number of messages at the beginning that equal the previous request's messages.
    #[serde(rename = "same")]
    pub(super) unchanged_count: usize,
    /// The messages after the unchanged messages.
    pub(super) messages: Vec<Value>,
}

/// The result of a request.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RecordedOutcome {
    Answer(ModelAnswer),
    #[serde(rename = "refused")]
    Failure(ModelError),
}

impl RecordedOutcome {
    /// Returns the result with all secrets hidden.
    pub(super) fn redact(self, redactor: &SecretRedactor) -> Self {
        let kept = serde_json::to_value(&self)
            .and_then(|value| truing_core::json::from_value(&redactor.redact_value(value)));
        // Parsing cannot fail as long as hiding secrets changes only texts, not the structure.
        kept.unwrap_or_else(|error| Self::Failure(ModelError::Nonsense { message: error.to_string() }))
    }
}

/// A request in its canonical representation: the keys of all objects are sorted.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct CanonicalRequest {
    pub(super) head: Value,
    pub(super) messages: Vec<Value>,
}

impl CanonicalRequest {
    pub(super) fn from_request(
        request: &ModelRequest,
        redactor: &SecretRedactor,
    ) -> Result<Self, serde_json::Error> {
        let mut head = redactor.redact_value(serde_json::to_value(request)?);
        let messages = head.as_object_mut().and_then(|fields| fields.remove("messages"));
        let messages = match messages.map(sort_keys) {
            Some(Value::Array(messages)) => messages,
            Some(_) | None => Vec::new(),
        };
        Ok(Self { head: sort_keys(head), messages })
    }

    pub(super) fn hash(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(self.head.to_string());
        for message in &self.messages {
            hash.update("\n");
            hash.update(message.to_string());
        }
        hex::encode(hash.finalize())
    }

    /// Returns the part of this request that differs from the previous request, `previous`.
    pub(super) fn delta_from(&self, previous: &Self) -> RequestDelta {
        let pairs = self.messages.iter().zip(&previous.messages);
        let same = pairs.take_while(|(now, before)| now == before).count();
        RequestDelta {
            head: (self.head != previous.head).then(|| self.head.clone()),
            unchanged_count: same,
            messages: self.messages.iter().skip(same).cloned().collect(),
        }
    }

    /// Returns the request that results from applying the changes in `delta` to this request. Returns `None`
    /// if `delta` refers to more messages than this request has.
    pub(super) fn apply_delta(&self, delta: &RequestDelta) -> Option<Self> {
        let mut messages = self.messages.get(..delta.unchanged_count)?.to_vec();
        messages.extend(delta.messages.iter().cloned().map(sort_keys));
        Some(Self { head: delta.head.clone().map_or_else(|| self.head.clone(), sort_keys), messages })
    }

    /// Returns the line-by-line difference between this request and another one.
    pub(super) fn difference(&self, other: &Self) -> String {
        let (recorded, asked) = (self.render_lines(), other.render_lines());
        let patch = diffy::create_patch(&recorded, &asked).to_string();
        truing_core::line::truncate_text(patch, MAX_DIFF_CHARS)
    }

    fn render_lines(&self) -> String {
        let parts = std::iter::once(&self.head).chain(&self.messages);
        // Serialization of these values cannot fail. Escaped line breaks are replaced by real line breaks, so
        // the difference shows short lines instead of a single long line.
        let pretty =
            |part| serde_json::to_string_pretty(part).unwrap_or_default().replace("\\n", "\n") + "\n";
        parts.map(pretty).collect()
    }
}

/// Sorts the keys of every object.
fn sort_keys(value: Value) -> Value {
    match value {
        Value::Array(values) => Value::Array(values.into_iter().map(sort_keys).collect()),
        Value::Object(fields) => {
            let mut fields: Vec<(String, Value)> =
                fields.into_iter().map(|(name, value)| (name, sort_keys(value))).collect();
            fields.sort_by(|(a, _), (b, _)| a.cmp(b));
            Value::Object(Map::from_iter(fields))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}
