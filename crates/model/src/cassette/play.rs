//! Playback of a model's recorded responses.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::entry::{CanonicalRequest, CassetteEntry, CassetteError, MAX_CASSETTE_BYTES, RecordedOutcome};
use super::hide::SecretRedactor;
use crate::gateway::{LanguageModel, ModelAnswer, ModelError};
use crate::messages::ModelRequest;
use async_trait::async_trait;
use truing_core::money::MicroUsd;

/// A cassette in memory.
#[derive(Debug)]
pub struct Cassette {
    exchanges: BTreeMap<(String, String, u64), RecordedExchange>,
    redactor: SecretRedactor,
}

/// A request and its recorded result.
#[derive(Debug)]
struct RecordedExchange {
    request: CanonicalRequest,
    hash: String,
    result: RecordedOutcome,
}

/// The model of one agent, whose responses are played from a cassette. The playback needs no API key and no
/// network. Each response states the cost of the recorded call.
#[derive(Debug)]
pub struct CassettePlayer {
    cassette: Arc<Cassette>,
    run: String,
    agent: String,
    next_sequence: AtomicU64,
}

impl Cassette {
    /// Reads a cassette. As in the recording, `redactor` removes secrets from each request before the request
    /// is compared with the recorded one.
    ///
    /// # Errors
    /// [`CassetteError`]; if a line cannot be parsed, the error contains its number.
    pub fn read(path: &Path, redactor: SecretRedactor) -> Result<Arc<Self>, CassetteError> {
        let name = path.display().to_string();
        let fail = |error| CassetteError::File { path: name.clone(), error };
        let metadata = std::fs::metadata(path).map_err(fail)?;
        // Only regular files are read, because reading a FIFO could block forever and reading a device might
        // never end.
        if !metadata.is_file() {
            return Err(fail(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file")));
        }
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(fail)?;
        file.take(MAX_CASSETTE_BYTES + 1).read_to_end(&mut bytes).map_err(fail)?;
        if bytes.len() as u64 > MAX_CASSETTE_BYTES {
            return Err(CassetteError::TooLarge { path: name });
        }
        let text = String::from_utf8(bytes).map_err(|error| fail(io::Error::other(error)))?;
        Self::parse(&text, &name, redactor)
    }

    /// Parses a cassette from its text.
    ///
    /// # Errors
    /// [`CassetteError::InvalidLine`]
    pub fn parse(text: &str, name: &str, redactor: SecretRedactor) -> Result<Arc<Self>, CassetteError> {
        let mut answers = BTreeMap::new();
        let mut last: BTreeMap<(String, String), CanonicalRequest> = BTreeMap::new();
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let fail = |message: String| CassetteError::InvalidLine {
                path: name.to_owned(),
                line: index + 1,
                message,
            };
            let entry: CassetteEntry =
                truing_core::json::from_str(line).map_err(|error| fail(error.to_string()))?;
            let last = last.entry((entry.run.clone(), entry.agent.clone())).or_default();
            let request = last
                .apply_delta(&entry.request)
                .ok_or_else(|| fail("the line does not continue the previous request".to_owned()))?;
            if request.hash() != entry.hash {
                return Err(fail(
                    "the request differs from the recorded request: was the cassette edited?".to_owned(),
                ));
            }
            last.clone_from(&request);
            let recorded = RecordedExchange { request, hash: entry.hash, result: entry.result };
            answers.insert((entry.run, entry.agent, entry.sequence), recorded);
        }
        Ok(Arc::new(Self { exchanges: answers, redactor }))
    }

    /// Returns the model of an agent, whose responses are played from this cassette.
    pub fn player(self: &Arc<Self>, run: impl Into<String>, agent: impl Into<String>) -> CassettePlayer {
        let next = AtomicU64::new(0);
        CassettePlayer { cassette: self.clone(), run: run.into(), agent: agent.into(), next_sequence: next }
    }
}

#[async_trait]
impl LanguageModel for CassettePlayer {
    async fn request_answer(&self, request: &ModelRequest) -> Result<ModelAnswer, ModelError> {
        let asked = CanonicalRequest::from_request(request, &self.cassette.redactor);
        let asked = asked.map_err(|error| ModelError::InvalidRequest {
            message: format!("the request cannot be encoded as JSON: {error}"),
        })?;
        let sequence = self.next_sequence.fetch_add(1, Ordering::SeqCst);
        let key = (self.run.clone(), self.agent.clone(), sequence);
        let Some(recorded) = self.cassette.exchanges.get(&key) else {
            let what = format!(
                "the cassette has no answer {sequence} for the agent `{}` of the run `{}`",
                self.agent, self.run
            );
            return Err(ModelError::Drift { message: what });
        };
        if recorded.hash != asked.hash() {
            let difference = recorded.request.difference(&asked);
            let what = format!("request {sequence} differs from the recorded request:\n{difference}");
            return Err(ModelError::Drift { message: what });
        }
        match &recorded.result {
            RecordedOutcome::Answer(answer) => Ok(answer.clone()),
            RecordedOutcome::Failure(refused) => Err(refused.clone()),
        }
    }

    /// Returns zero, because playback causes no cost.
    async fn cost(&self) -> MicroUsd {
        MicroUsd(0)
    }
}
