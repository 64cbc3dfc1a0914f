//! Defines the interface to a run's model ([`LanguageModel`]), and the [`ModelGateway`], which makes all
//! calls of this process to one provider.

mod answer;
mod attempt_reservation;
mod bound;
mod call;
mod circuit;
mod gateway_state;
mod session;
mod settling;
mod signed_blocks;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use truing_core::ledger::RunBudget;
use truing_core::money::MicroUsd;
use truing_core::port::{Clock, Ledger, SharedStateStore, WriteGate};

pub use self::answer::{ModelAnswer, ModelError};
pub use self::call::MIN_USEFUL_RESPONSE_TOKENS;
use self::circuit::ProviderCircuit;
use self::gateway_state::GatewayState;
pub use self::session::ModelSession;
use self::settling::PendingCallCount;
pub use self::settling::wait_until_settled;
use crate::client::ProviderClient;
pub use crate::client::ProviderTimeouts;
use crate::messages::ModelRequest;
use crate::price::ModelPrices;
use crate::provider::{ModelProvider, ProviderError};

/// A model for one run. The run's budget, its allowed models and its kill switch restrict the calls.
#[async_trait]
pub trait LanguageModel: Send + Sync {
    /// Requests one complete response. If the remaining money does not pay for `max_tokens` response tokens,
    /// the request's limit is reduced to the number of tokens that the money pays for.
    ///
    /// Dropping the future cancels the call: its connection is closed, and its reservation is settled with an
    /// estimated cost.
    ///
    /// # Errors
    /// [`ModelError`]
    async fn request_answer(&self, request: &ModelRequest) -> Result<ModelAnswer, ModelError>;

    /// Returns the total cost of all calls so far, as recorded in the ledger. The cost includes calls that
    /// were interrupted, refused or cancelled after they had begun. Waits until no call is in progress.
    async fn cost(&self) -> MicroUsd;

    /// Returns true if each request must contain the parts that the program `claude` has written
    /// ([`ProgramParts`](crate::messages::ProgramParts)), because a subscription covers the cost.
    fn serves_only_program(&self) -> bool {
        false
    }
}

/// Access to one provider, with the provider's circuit breaker and the ledger. All runs of a process share
/// this access. Processes with shared state also share the circuit breaker.
#[derive(Clone)]
pub struct ModelGateway {
    state: Arc<GatewayState>,
    fallback: Option<Arc<FallbackProvider>>,
}

/// The provider that is used while the provider of the requested model is unavailable.
struct FallbackProvider {
    /// Name of the fallback in the configuration.
    name: String,
    /// Gateway to the provider.
    gateway: ModelGateway,
    /// Model of the fallback that replaces the requested model.
    model: String,
}

impl ModelGateway {
    /// Returns a gateway to this provider. No request is sent. If `shared_state` is given, the state of the
    /// provider's circuit breaker is stored there, for all processes.
    ///
    /// # Errors
    /// [`ProviderError::TlsSetup`] if TLS cannot be set up.
    pub fn new(
        provider: ModelProvider,
        prices: ModelPrices,
        ledger: Arc<dyn Ledger>,
        clock: Arc<dyn Clock>,
        shared_state: Option<Arc<dyn SharedStateStore>>,
        timeouts: ProviderTimeouts,
    ) -> Result<Self, ProviderError> {
        let (settling, retries) = (PendingCallCount::default(), AtomicU64::new(0));
        let common = shared_state.map(|common| (common, format!("circuit:{}", provider.public_identity())));
        let circuit = ProviderCircuit::new(Arc::clone(&clock), common, settling.clone());
        let client = ProviderClient::new(provider, timeouts)?;
        let shared = GatewayState {
            client,
            prices,
            ledger,
            clock,
            circuit,
            pending_calls: settling,
            retry_count: retries,
            reached_limit: Mutex::default(),
        };
        Ok(Self { state: Arc::new(shared), fallback: None })
    }

    /// Adds a fallback. While the provider is unavailable, requests are sent through `gateway` with the model
    /// name `model`. Both providers use the same budget. If `gateway` has a fallback of its own, it is not
    /// used.
    #[must_use]
    pub fn with_fallback(self, name: impl Into<String>, gateway: Self, model: impl Into<String>) -> Self {
        let fallback = FallbackProvider { name: name.into(), gateway, model: model.into() };
        Self { fallback: Some(Arc::new(fallback)), ..self }
    }

    /// Returns true if a subscription covers the cost of all calls. Costs are then those at list prices.
    pub fn uses_subscription(&self) -> bool {
        self.state.client.uses_subscription()
    }

    /// Returns the number of retries in all sessions since the gateway was created, including retries at the
    /// fallback.
    pub fn retry_count(&self) -> u64 {
        let fallback = self.fallback.as_ref().map_or(0, |fallback| fallback.gateway.retry_count());
        self.state.retry_count.load(Ordering::Relaxed).saturating_add(fallback)
    }

    /// Opens a session, through which one run can call its allowed models. The run's budget pays for the
    /// calls, and the run's kill switch stops them.
    pub fn open_session(
        &self,
        budget: RunBudget,
        models: impl IntoIterator<Item = String>,
        gate: Arc<dyn WriteGate>,
    ) -> ModelSession {
        ModelSession::new(self.clone(), budget, models.into_iter().collect(), gate)
    }

    /// Waits until all running calls have ended and all reservations are settled, including those of
    /// cancelled calls. If the process exits earlier, the remaining reservations expire, and the ledger
    /// counts their full amounts.
    #[truing_core::boxed_future]
    pub async fn wait_until_idle(&self) {
        self.state.pending_calls.wait_until_zero().await;
        if let Some(fallback) = &self.fallback {
            fallback.gateway.state.pending_calls.wait_until_zero().await;
        }
    }
}

impl fmt::Debug for ModelGateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelGateway").field("client", &self.state.client).finish_non_exhaustive()
    }
}
