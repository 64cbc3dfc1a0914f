//! The status of a running server, which `truing status` reads from `/readyz?verbose`.

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::{Client, StatusCode};
use serde::{Deserialize, Serialize};
use truing_core::outcome::ReviewRuntime;
use truing_loops::agent::ModelAgent;
use truing_loops::text::format_instant;

use super::context::ServiceContext;
use super::sweep::ForgeHealth;

/// The status response. The response names no repository, because any client that reaches the server can
/// request the status.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct ServerStatus {
    /// Always the word `ready`.
    pub status: String,
    /// The version of the program.
    pub version: String,
    /// True while the kill switch is on.
    pub kill_switch: bool,
    /// The number of repositories whose own kill switch is on.
    #[serde(default)]
    pub kill_switch_repositories: usize,
    /// True if pull requests that were open at the server's first contact are skipped. A change or a
    /// requested review ends the skip.
    pub leaves_existing: bool,
    /// The queue, and the spent part of the budgets.
    #[serde(flatten)]
    pub work: WorkStatus,
    /// The runtime of reviews; none in the status of older servers.
    #[serde(default)]
    pub runtime: Option<RuntimeStatus>,
    pub forges: Vec<ForgeStatus>,
}

/// The status of the runtime of reviews.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct RuntimeStatus {
    pub name: ReviewRuntime,
    /// The reason why the runtime cannot be used, found at its last check. While there is a reason, reviews
    /// use only the rules.
    #[serde(default)]
    pub problem: Option<String>,
}

/// The queue, and the spent part of the budgets. A number is none if the store did not answer in time.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Debug, Default)]
pub struct WorkStatus {
    /// Number of slots that wait for a worker, for a time or for the forge.
    #[serde(default)]
    pub waiting: Option<u64>,
    /// Number of slots on which a worker works.
    #[serde(default)]
    pub running: Option<u64>,
    /// Time in seconds for which the oldest due slot has been due; none if no slot is due.
    #[serde(default)]
    pub oldest_due_seconds: Option<u64>,
    /// Number of parked slots, which do not continue without a person.
    #[serde(default)]
    pub parked: Option<u64>,
    /// Number of slots whose row cannot be read.
    #[serde(default)]
    pub unreadable: Option<u64>,
    /// Spent part of the budget of a day or a month, in percent. If there are several such budgets, the
    /// largest part. None if no budget is limited or nothing was spent.
    #[serde(default)]
    pub budget_used_percent: Option<u64>,
}

/// The status of a configured forge.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct ForgeStatus {
    /// Name of the forge, the `NAME` of `[forge.NAME]`.
    pub name: String,
    /// The name of a [`ForgeHealth`], or `not_asked`.
    pub state: String,
    /// Number of repositories that this process has swept.
    pub repositories: usize,
    /// Number of repositories that this process has not swept, or could not sweep.
    pub repositories_waiting: usize,
    /// Number of open pull requests that were found in the swept repositories.
    pub open_pull_requests: usize,
    /// Time of the oldest sweep from which these numbers are; none before the first sweep.
    #[serde(default)]
    pub swept_at: Option<String>,
}

/// Reasons why the status cannot be fetched.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// The server cannot use its store.
    #[error("the server at {0} is not ready: it cannot use its store")]
    NotReady(SocketAddr),
    /// No server answers at the address, or the answer is not from Truing.
    #[error("no server answers at {0}: {1}")]
    NoServer(SocketAddr, reqwest::Error),
}

/// Asks the server at this address for its status, with a timeout.
///
/// # Errors
/// [`StatusError`] if the status cannot be fetched.
#[truing_core::boxed_future]
pub async fn fetch_status(address: SocketAddr, timeout: Duration) -> Result<ServerStatus, StatusError> {
    let failed = |error: reqwest::Error| StatusError::NoServer(address, error.without_url());
    let client = Client::builder().no_proxy().timeout(timeout).build().map_err(failed)?;
    let answer = client.get(format!("http://{address}/readyz?verbose")).send().await.map_err(failed)?;
    if answer.status() == StatusCode::SERVICE_UNAVAILABLE {
        return Err(StatusError::NotReady(address));
    }
    answer.error_for_status().map_err(failed)?.json().await.map_err(failed)
}

impl ServiceContext {
    /// Returns the status of this server, in which `work` was counted before.
    pub(super) async fn status(&self, work: WorkStatus) -> ServerStatus {
        let swept = self.sweep_results.swept_repositories();
        let forges = self.forges.servers().keys().map(|name| {
            let of_forge = || swept.iter().filter(|swept| swept.forge == *name);
            let (repositories, listed) = (of_forge().count(), self.sweep_results.listed_count(name));
            let state = match self.sweep_results.health(name) {
                Some(ForgeHealth::Up) if listed.is_none() => "not_asked",
                None => "not_asked",
                Some(health) => health.as_str(),
            };
            ForgeStatus {
                name: name.clone(),
                state: state.to_owned(),
                repositories,
                repositories_waiting: listed.map_or(0, |listed| listed.saturating_sub(repositories)),
                open_pull_requests: of_forge().map(|swept| swept.open_pulls).sum(),
                swept_at: of_forge().map(|swept| swept.swept_at).min().map(format_instant),
            }
        });
        let agent = self.agent.as_ref();
        let runtime = RuntimeStatus {
            name: agent.map_or(ReviewRuntime::Rules, ModelAgent::review_runtime),
            problem: agent.and_then(|agent| agent.runtime.problem()).map(str::to_owned),
        };
        let switches = self.kill_switches().await;
        ServerStatus {
            status: "ready".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            kill_switch: switches.global_switch.engagement().is_some(),
            kill_switch_repositories: switches.repositories.len(),
            leaves_existing: self.repository_filter.skips_existing_pulls(),
            work,
            runtime: Some(runtime),
            forges: forges.collect(),
        }
    }
}
