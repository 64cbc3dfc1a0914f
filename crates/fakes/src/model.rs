//! [`FakeModel`]: a model provider on loopback that follows a [`ModelScript`]. The provider supports the
//! Messages API, Amazon Bedrock (`bedrock`) and Chat Completions (`chat`). `serve` receives the requests,
//! `signature` checks signed requests, `state` records requests, and `events` streams the answers.
//! `compromised_model` is a model that follows injected instructions, and `scripted_behaviour` contains
//! models whose answers depend on the request.

pub mod bedrock;
mod chat;
mod compromised_model;
mod events;
mod script;
mod scripted_behaviour;
mod serve;
pub(crate) mod signature;
mod state;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::AbortHandle;

pub use script::{
    AnswerBlock, AnswerCondition, DEFAULT_API_KEY, ModelFault, ModelScript, ScriptError, ScriptedAnswer,
    ScriptedUsage, StreamPosition,
};
pub use scripted_behaviour::{KnownBug, PromptRole, ScriptedBehaviour, ScriptedFix, ScriptedToolCall};
pub use signature::{AWS_KEY_ID, AWS_REGION, AWS_WORKSPACE, aws_secret_key};
pub use state::{LoggedModelCall, MAX_LOGGED_CALLS, RequestUsage};

use crate::server;
use state::FakeModelShared;

/// The server. The server stops and closes its connections when this value is dropped.
pub struct FakeModel {
    shared: Arc<FakeModelShared>,
    url: String,
    task: AbortHandle,
}

impl Drop for FakeModel {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl std::fmt::Debug for FakeModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FakeModel").field("url", &self.url).finish_non_exhaustive()
    }
}

impl FakeModel {
    /// Starts a server on a free port of 127.0.0.1, inside the running tokio runtime.
    ///
    /// # Errors
    /// Returns an error if no port is free.
    pub async fn start(script: ModelScript) -> std::io::Result<Self> {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let shared = Arc::new(FakeModelShared::new(script));
        let task =
            tokio::spawn(server::serve_connections(listener, serve::router(shared.clone()))).abort_handle();
        Ok(Self { shared, url, task })
    }

    /// Returns the base URL for clients, without a slash at its end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Sets the script for requests that arrive from now on; the first of them gets the script's first
    /// answer. Earlier requests are answered according to the previous script.
    pub fn set_script(&self, script: ModelScript) {
        self.shared.set_script(script);
    }

    /// Stalls the request with this number: the request gets no answer until `resume` is called. Requests are
    /// counted from the start of the server.
    pub fn stall_request(&self, request_number: u64) {
        self.shared.stall_request(request_number);
    }

    /// Resumes the stalled request.
    pub fn resume(&self) {
        self.shared.resume();
    }

    /// Waits until the stalled request has arrived.
    pub async fn wait_until_stalled(&self) {
        self.shared.wait_until_stalled().await;
    }

    /// Returns the last [`MAX_LOGGED_CALLS`] requests in the order of arrival.
    pub fn request_log(&self) -> Vec<LoggedModelCall> {
        self.shared.request_log()
    }

    /// Returns the billed usage of each request. For an incomplete answer, only the sent part is billed.
    pub fn bills(&self) -> Vec<RequestUsage> {
        self.shared.bills()
    }

    /// Returns the number of answers that have stalled ([`ModelFault::Stall`]). An answer is counted after
    /// the events before the stall were written to the client.
    pub fn stalled_answer_count(&self) -> u64 {
        self.shared.stalled_answer_count()
    }

    /// Returns the clients' violations: requests without exactly one credential, requests that the API
    /// rejects, and requests for which the script contains no answer.
    pub fn violations(&self) -> Vec<String> {
        self.shared.violations()
    }

    /// Clears the recorded violations, for tests that cause violations intentionally.
    pub fn clear_violations(&self) {
        self.shared.clear_violations();
    }
}
