//! Records the requests to a model with their results.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Mutex;

use super::entry::{CanonicalRequest, CassetteEntry, CassetteError, RecordedOutcome};
use super::hide::SecretRedactor;
use crate::gateway::{LanguageModel, ModelAnswer, ModelError};
use crate::messages::ModelRequest;
use truing_core::money::MicroUsd;

/// A cassette that all agents of a run write to.
#[derive(Debug)]
pub struct CassetteRecording {
    path: String,
    file: Mutex<File>,
    redactor: SecretRedactor,
    is_damaged: AtomicBool,
}

/// The model of one agent. Each request and its result are recorded in a cassette.
pub struct CassetteRecorder<'a> {
    model: Box<dyn LanguageModel + 'a>,
    recording: Arc<CassetteRecording>,
    run: String,
    agent: String,
    last_request: Mutex<(u64, CanonicalRequest)>,
}

impl CassetteRecording {
    /// Creates the file of a new cassette. Only the owner can read the file, because it contains reviewed
    /// text. `redactor` removes secrets from all recorded text.
    ///
    /// # Errors
    /// [`CassetteError::File`] if the file already exists or cannot be created.
    #[truing_core::boxed_future]
    pub async fn create(path: &Path, redactor: SecretRedactor) -> Result<Arc<Self>, CassetteError> {
        let mut options = tokio::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        options.mode(0o600);
        let path_text = path.display().to_string();
        let file = options.open(path).await;
        let file = file.map_err(|error| CassetteError::File { path: path_text.clone(), error })?;
        let (file, is_damaged) = (Mutex::new(file), AtomicBool::new(false));
        Ok(Arc::new(Self { path: path_text, file, redactor, is_damaged }))
    }

    /// Returns the model of an agent, whose responses are recorded in this cassette. `run` identifies the
    /// task and must be the same text at recording and at playback.
    pub fn recorder<'a>(
        self: &Arc<Self>,
        model: Box<dyn LanguageModel + 'a>,
        run: impl Into<String>,
        agent: impl Into<String>,
    ) -> CassetteRecorder<'a> {
        let (run, agent) = (run.into(), agent.into());
        CassetteRecorder { model, recording: self.clone(), run, agent, last_request: Mutex::default() }
    }

    /// Returns true if every response so far was recorded.
    pub fn is_complete(&self) -> bool {
        !self.is_damaged.load(Ordering::Relaxed)
    }

    async fn write(&self, entry: &CassetteEntry) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        let mut file = self.file.lock().await;
        file.write_all(&line).await?;
        file.flush().await
    }
}

#[async_trait]
impl LanguageModel for CassetteRecorder<'_> {
    /// Sends a request to the model, records the result, and returns it. The requests of one agent are sent
    /// one at a time, so they are recorded in the order in which they were sent.
    async fn request_answer(&self, request: &ModelRequest) -> Result<ModelAnswer, ModelError> {
        let hide = &self.recording.redactor;
        let canonical = CanonicalRequest::from_request(request, hide);
        let canonical = canonical.map_err(|error| ModelError::InvalidRequest {
            message: format!("the request cannot be encoded as JSON: {error}"),
        })?;
        let mut last = self.last_request.lock().await;
        let result = self.model.request_answer(request).await;
        let entry = CassetteEntry {
            run: self.run.clone(),
            agent: self.agent.clone(),
            sequence: last.0,
            hash: canonical.hash(),
            request: canonical.delta_from(&last.1),
            result: match &result {
                Ok(answer) => RecordedOutcome::Answer(answer.clone()),
                Err(refused) => RecordedOutcome::Failure(refused.clone()),
            }
            .redact(hide),
        };
        *last = (last.0 + 1, canonical);
        // The response is returned even if it cannot be recorded, because the call has already been paid for.
        if let Err(error) = self.recording.write(&entry).await {
            self.recording.is_damaged.store(true, Ordering::Relaxed);
            tracing::warn!(cassette = self.recording.path, %error, "could not record an answer of a model");
        }
        result
    }

    async fn cost(&self) -> MicroUsd {
        self.model.cost().await
    }

    fn serves_only_program(&self) -> bool {
        self.model.serves_only_program()
    }
}
