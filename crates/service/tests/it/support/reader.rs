//! A reader that runs without a child process, for tests of other parts of the service.

use async_trait::async_trait;
use truing_core::port::{
    ChangedFile, DetectedTools, ReadReport, ReadRequest, ReaderError, ReplacementCheckRequest,
    RepositoryReader, ToolDetectionRequest, ToolFindings, ToolOutputRequest,
};
use truing_diff::RepoPath;
use truing_reader::InProcessReader;

/// The in-process reader, which runs on a thread for blocking work.
#[derive(Clone, Debug)]
pub(crate) struct ThreadedReader(InProcessReader);

impl ThreadedReader {
    /// Creates a reader with the embedded rule packs.
    pub(crate) fn new() -> Result<Self, ReaderError> {
        Ok(Self(InProcessReader::new()?))
    }
}

#[async_trait]
impl RepositoryReader for ThreadedReader {
    async fn read(&self, request: &ReadRequest) -> Result<ReadReport, ReaderError> {
        let (reader, request) = (self.0.clone(), request.clone());
        tokio::task::spawn_blocking(move || reader.read_blocking(&request))
            .await
            .unwrap_or_else(|error| Err(ReaderError::Failed(error.to_string())))
    }

    async fn tool_findings(&self, request: &ToolOutputRequest) -> Result<ToolFindings, ReaderError> {
        self.0.tool_findings(request).await
    }

    async fn verify_replacements(&self, request: &ReplacementCheckRequest) -> Result<Vec<bool>, ReaderError> {
        self.0.verify_replacements(request).await
    }

    async fn detect_tools(&self, request: &ToolDetectionRequest) -> Result<DetectedTools, ReaderError> {
        self.0.detect_tools(request).await
    }

    async fn companion_paths(
        &self,
        packs: &[String],
        files: &[ChangedFile],
    ) -> Result<Vec<RepoPath>, ReaderError> {
        self.0.companion_paths_blocking(packs, files)
    }
}
