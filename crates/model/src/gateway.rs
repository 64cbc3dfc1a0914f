//! Models of runs ([`LanguageModel`]), and the [`ModelGateway`], which every call of a process to its provider passes.

mod answer;
mod bound;
mod call;
mod circuit;
mod session;
mod settling;
mod shared;
mod signed;
#[cfg(test)]
mod tests;
mod ticket;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use truing_core::ledger::RunBudget;
use truing_core::money::MicroUsd;
use truing_core::port::{Clock, Ledger, SharedStateStore, WriteGate};

pub use self::answer::{ModelAnswer, ModelError};
pub use self::call::LEAST_TOKENS;
use self::circuit::ProviderCircuit;
pub use self::session::ModelSession;
use self::settling::PendingCallCount;
pub use self::settling::settled;
use self::shared::GatewayState;
use crate::client::ProviderClient;
pub use crate::client::ProviderTimeouts;
use crate::messages::ModelRequest;
use crate::price::ModelPrices;
use crate::provider::{ModelProvider, ProviderError};

/// A model, as one run may use it: within its money, its allowed models and its kill switch.
#[async_trait]
pub trait LanguageModel: Send + Sync {
    /// One answer, complete. The request's `max_tokens` is clamped to what money is left for.
    ///
    /// Dropping the future cancels the call: its connection is closed, its reservation settled as estimated.
    ///
    /// # Errors
    /// [`ModelError`]
    async fn ask(&self, request: &ModelRequest) -> Result<ModelAnswer, ModelError>;

    /// What the ledger holds all calls so far to have cost: whole answers, and calls that were cut, refused or cancelled
    /// after they had begun. Waits until none of them is under way.
    async fn cost(&self) -> MicroUsd;
}

/// The way to one provider, shared by all runs of a process: its connections, its circuit, the money. The circuit is that of all
/// processes where they keep something in common.
#[derive(Clone)]
pub struct ModelGateway {
    shared: Arc<GatewayState>,
    fallback: Option<Arc<FallbackProvider>>,
}

/// The second provider, for the time in which the first is not available.
struct FallbackProvider {
    /// Its name in the configuration.
    name: String,
    /// The way to it.
    gateway: ModelGateway,
    /// The model that is asked there instead of any other.
    model: String,
}

impl ModelGateway {
    /// A gateway to this provider. Nothing is sent. Its circuit is kept in `common`, if there is that.
    ///
    /// # Errors
    /// [`ProviderError::Client`]: TLS cannot be set up.
    pub fn new(
        provider: ModelProvider,
        prices: ModelPrices,
        ledger: Arc<dyn Ledger>,
        (clock, common): (Arc<dyn Clock>, Option<Arc<dyn SharedStateStore>>),
        patience: ProviderTimeouts,
    ) -> Result<Self, ProviderError> {
        let (settling, retries) = (PendingCallCount::default(), AtomicU64::new(0));
        let common = common.map(|common| (common, format!("circuit:{}", provider.name())));
        let circuit = ProviderCircuit::new(Arc::clone(&clock), common, settling.clone());
        let client = ProviderClient::new(provider, patience)?;
        let shared = GatewayState { client, prices, ledger, clock, circuit, settling, retries };
        Ok(Self { shared: Arc::new(shared), fallback: None })
    }

    /// The same, with another one that is asked for this model while the provider is not available. Both draw on the
    /// same purse; its own fallback is not asked.
    #[must_use]
    pub fn with_fallback(self, name: impl Into<String>, gateway: Self, model: impl Into<String>) -> Self {
        let fallback = FallbackProvider { name: name.into(), gateway, model: model.into() };
        Self { fallback: Some(Arc::new(fallback)), ..self }
    }

    /// How often a call was tried again since the gateway was made, by all its sessions.
    pub fn retries(&self) -> u64 {
        let fallback = self.fallback.as_ref().map_or(0, |fallback| fallback.gateway.retries());
        self.shared.retries.load(Ordering::Relaxed).saturating_add(fallback)
    }

    /// One run's way to the models that it may use, paid from its purse, while its kill switch is off.
    pub fn session(
        &self,
        purse: RunBudget,
        models: impl IntoIterator<Item = String>,
        gate: Arc<dyn WriteGate>,
    ) -> ModelSession {
        ModelSession::new(self.clone(), purse, models.into_iter().collect(), gate)
    }

    /// Waits until no money is set aside any more: calls that go on end, those that were given up are settled. A process
    /// that ends before leaves that to the expiry of its reservations, which are then settled in full.
    #[truing_core::boxed_future]
    pub async fn quiet(&self) {
        self.shared.settling.none().await;
        if let Some(fallback) = &self.fallback {
            fallback.gateway.shared.settling.none().await;
        }
    }
}

impl fmt::Debug for ModelGateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelGateway").field("client", &self.shared.client).finish_non_exhaustive()
    }
}
