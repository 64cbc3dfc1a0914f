//! A line of a cassette, and requests in the one form in which they are compared.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::hide::SecretRedactor;
use crate::gateway::{ModelAnswer, ModelError};
use crate::messages::ModelRequest;

/// The largest cassette that is read.
pub const MAX_CASSETTE_BYTES: u64 = 256 * 1024 * 1024;
/// The most characters of a difference that are shown.
const MAX_DIFF: usize = 4000;

/// Why a cassette cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CassetteError {
    /// The file.
    #[error("the cassette {path} cannot be used: {error}")]
    File {
        /// Which.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// A line of it.
    #[error("line {line} of the cassette {path} cannot be read: {what}")]
    Line {
        /// Which cassette.
        path: String,
        /// From 1.
        line: usize,
        /// What is wrong.
        what: String,
    },
    /// It is too large.
    #[error("the cassette {path} is larger than {MAX_CASSETTE_BYTES} bytes")]
    TooLarge {
        /// Which.
        path: String,
    },
}

/// One line: a request, as far as it is new, and what came of it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CassetteEntry {
    pub(super) run: String,
    pub(super) agent: String,
    /// From 0.
    pub(super) sequence: u64,
    /// Of the whole request in its canonical form.
    pub(super) hash: String,
    pub(super) request: RequestDelta,
    pub(super) result: RecordedOutcome,
}

/// What is new of a request, against the agent's one before.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RequestDelta {
    /// Everything but the messages; none: as before.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) head: Option<Value>,
    /// So many messages are as before.
    pub(super) same: usize,
    /// Those after them.
    pub(super) messages: Vec<Value>,
}

/// What came of a request.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RecordedOutcome {
    Answer(ModelAnswer),
    Refused(ModelError),
}

impl RecordedOutcome {
    /// Without what may not be kept.
    pub(super) fn hidden(self, hide: &SecretRedactor) -> Self {
        let kept = serde_json::to_value(&self).and_then(|value| serde_json::from_value(hide.value(value)));
        // Words are hidden in words, so the form is the same.
        kept.unwrap_or_else(|error| Self::Refused(ModelError::Nonsense { what: error.to_string() }))
    }
}

/// A request in its canonical form: keys in order, whatever order they were made in.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct CanonicalRequest {
    pub(super) head: Value,
    pub(super) messages: Vec<Value>,
}

impl CanonicalRequest {
    pub(super) fn of(request: &ModelRequest, hide: &SecretRedactor) -> Result<Self, serde_json::Error> {
        let mut head = hide.value(serde_json::to_value(request)?);
        let messages = head.as_object_mut().and_then(|fields| fields.remove("messages"));
        let messages = match messages.map(sorted) {
            Some(Value::Array(messages)) => messages,
            Some(_) | None => Vec::new(),
        };
        Ok(Self { head: sorted(head), messages })
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

    /// What is new of it.
    pub(super) fn since(&self, before: &Self) -> RequestDelta {
        let pairs = self.messages.iter().zip(&before.messages);
        let same = pairs.take_while(|(now, before)| now == before).count();
        RequestDelta {
            head: (self.head != before.head).then(|| self.head.clone()),
            same,
            messages: self.messages.iter().skip(same).cloned().collect(),
        }
    }

    /// The request that this one and what is new make; none if it does not follow this one.
    pub(super) fn with(&self, new: &RequestDelta) -> Option<Self> {
        let mut messages = self.messages.get(..new.same)?.to_vec();
        messages.extend(new.messages.iter().cloned().map(sorted));
        Some(Self { head: new.head.clone().map_or_else(|| self.head.clone(), sorted), messages })
    }

    /// How another request differs from this one, line by line.
    pub(super) fn difference(&self, other: &Self) -> String {
        let (recorded, asked) = (self.lines(), other.lines());
        let patch = diffy::create_patch(&recorded, &asked).to_string();
        truing_core::line::cut(patch, MAX_DIFF)
    }

    fn lines(&self) -> String {
        let parts = std::iter::once(&self.head).chain(&self.messages);
        // A value is always JSON. A text of many lines is shown as that: of one long line little could be shown.
        let pretty =
            |part| serde_json::to_string_pretty(part).unwrap_or_default().replace("\\n", "\n") + "\n";
        parts.map(pretty).collect()
    }
}

/// With the keys of every object in order.
fn sorted(value: Value) -> Value {
    match value {
        Value::Array(values) => Value::Array(values.into_iter().map(sorted).collect()),
        Value::Object(fields) => {
            let mut fields: Vec<(String, Value)> =
                fields.into_iter().map(|(name, value)| (name, sorted(value))).collect();
            fields.sort_by(|(a, _), (b, _)| a.cmp(b));
            Value::Object(Map::from_iter(fields))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}
