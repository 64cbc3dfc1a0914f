//! [`FakeModel`]: a provider of models on loopback that says what a [`ModelScript`] says, by the Messages
//! API, as Amazon Bedrock (`bedrock`) or as a server of Chat Completions (`chat`), as it is asked. `serve`
//! receives the requests, `signature` checks those that are signed, `state` remembers them, `events` streams
//! the answers, `obedient` is a model that was taken over, `play` one that acts by what it is shown.

pub mod bedrock;
mod chat;
mod events;
mod obedient;
mod play;
mod script;
mod serve;
pub(crate) mod signature;
mod state;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::AbortHandle;

pub use play::{KnownBug, PromptRole, ScriptedBehaviour, ScriptedFix, ScriptedToolCall};
pub use script::{
    AnswerBlock, AnswerCondition, KEY, ModelFault, ModelScript, ScriptError, ScriptedAnswer, ScriptedUsage,
    StreamPlace,
};
pub use signature::{AWS_KEY_ID, AWS_REGION, AWS_WORKSPACE, aws_secret_key};
pub use state::{LoggedModelCall, MAX_LOGGED, RequestBill};

use crate::server;
use state::FakeModelShared;

/// The server. It ends, with all its connections, when this is dropped.
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
    /// There is no port.
    pub async fn start(script: ModelScript) -> std::io::Result<Self> {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let shared = Arc::new(FakeModelShared::new(script));
        let task = tokio::spawn(server::serve(listener, serve::router(shared.clone()))).abort_handle();
        Ok(Self { shared, url, task })
    }

    /// The address, without a slash at its end: what a client has as its base URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Plays another script, from its beginning, for what arrives from now on; what has arrived gets its
    /// answer by the former.
    pub fn play(&self, script: ModelScript) {
        self.shared.play(script);
    }

    /// The `nth` request, counted from the first of all, never gets an answer.
    pub fn stall(&self, nth: u64) {
        self.shared.stall(nth);
    }

    /// Lets the request go on that was stalled.
    pub fn resume(&self) {
        self.shared.resume();
    }

    /// Ends when that request is there.
    pub async fn stalls(&self) {
        self.shared.stalls().await;
    }

    /// Every request, in the order of arrival; the last [`MAX_LOGGED`].
    pub fn log(&self) -> Vec<LoggedModelCall> {
        self.shared.logged()
    }

    /// What was billed, by request. An answer that was not sent to its end is billed for what was sent.
    pub fn bills(&self) -> Vec<RequestBill> {
        self.shared.bills()
    }

    /// How many answers have stopped in their middle by now ([`ModelFault::Stall`]), with all that they say
    /// before on its way to the client.
    pub fn hung(&self) -> u64 {
        self.shared.hung()
    }

    /// What no client may do and somebody did: no credential or two of them, requests that the API refuses,
    /// requests that the script has no answer for.
    pub fn violations(&self) -> Vec<String> {
        self.shared.violations()
    }

    /// Forgets the violations so far: a test meant them.
    pub fn forgive(&self) {
        self.shared.forgive();
    }
}
