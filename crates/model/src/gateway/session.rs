//! One run's access to models. The session restricts the run to its allowed models, and calls either the
//! provider or the fallback.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use truing_core::id::UnixMillis;
use truing_core::ledger::RunBudget;
use truing_core::money::MicroUsd;
use truing_core::port::WriteGate;

use super::answer::{ModelAnswer, ModelError};
use super::bound::TokenHistory;
use super::call::GatewayCall;
use super::gateway_state::GatewayState;
use super::settling::SessionSpend;
use super::signed_blocks::{ProviderChoice, ProviderHistory};
use super::{FallbackProvider, LanguageModel, ModelGateway};
use crate::messages::ModelRequest;

/// The model of one run. After the fallback has responded once, further requests are sent to the fallback
/// until it fails.
pub struct ModelSession {
    gateway: ModelGateway,
    budget: RunBudget,
    models: Vec<String>,
    gate: Arc<dyn WriteGate>,
    spend: SessionSpend,
    requested_history: Mutex<TokenHistory>,
    fallback_history: Mutex<TokenHistory>,
    /// The provider that answered last, and the signatures of the fallback's thinking blocks in the
    /// conversation.
    provider_history: Mutex<ProviderHistory>,
}

impl ModelSession {
    pub(super) fn new(
        gateway: ModelGateway,
        budget: RunBudget,
        models: Vec<String>,
        gate: Arc<dyn WriteGate>,
    ) -> Self {
        let (account, first_history, fallback_history, signed) = Default::default();
        Self {
            gateway,
            budget,
            models,
            gate,
            spend: account,
            requested_history: first_history,
            fallback_history,
            provider_history: signed,
        }
    }

    /// Returns an error if the run may not use this model.
    fn check_model(&self, model: &str) -> Result<(), ModelError> {
        if self.models.iter().any(|allowed| allowed == model) {
            return Ok(());
        }
        let allowed = self.models.join(", ");
        Err(ModelError::NotAllowed(format!("this run may not use the model `{model}` (allowed: {allowed})")))
    }

    /// Sends a request to the provider or to the fallback.
    async fn ask_provider(
        &self,
        provider: ProviderChoice,
        fallback: &FallbackProvider,
        request: &ModelRequest,
    ) -> Result<ModelAnswer, ModelError> {
        let mut carried = self.lock_provider_history().prepare_request(provider, request);
        let (shared, history) = match provider {
            ProviderChoice::Requested => (&self.gateway.state, &self.requested_history),
            ProviderChoice::Fallback => {
                carried.to_mut().model.clone_from(&fallback.model);
                (&fallback.gateway.state, &self.fallback_history)
            }
        };
        let answer = self.gateway_call(shared, history).request_answer(&carried).await?;
        self.lock_provider_history().record_answer(provider, &answer.message);
        let served_by = (provider == ProviderChoice::Fallback).then(|| fallback.name.clone());
        Ok(ModelAnswer { served_by, ..answer })
    }

    /// Returns a call to one provider, paid from the run's budget.
    fn gateway_call<'a>(
        &'a self,
        state: &'a Arc<GatewayState>,
        history: &'a Mutex<TokenHistory>,
    ) -> GatewayCall<'a> {
        GatewayCall { budget: &self.budget, gate: &*self.gate, spend: &self.spend, gateway: state, history }
    }

    fn lock_provider_history(&self) -> MutexGuard<'_, ProviderHistory> {
        self.provider_history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for ModelSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelSession").field("models", &self.models).finish_non_exhaustive()
    }
}

#[async_trait]
impl LanguageModel for ModelSession {
    async fn request_answer(&self, request: &ModelRequest) -> Result<ModelAnswer, ModelError> {
        self.check_model(&request.model)?;
        let Some(fallback) = self.gateway.fallback.as_deref() else {
            return self
                .gateway_call(&self.gateway.state, &self.requested_history)
                .request_answer(request)
                .await;
        };
        let side = self.lock_provider_history().last_provider();
        let away = match self.ask_provider(side, fallback, request).await {
            Err(away) if may_fall_back(&away) => away,
            result => return result,
        };
        let other = side.other_provider();
        tracing::warn!(model = request.model, fallback = fallback.name, %away, "{}", match other {
            ProviderChoice::Fallback => "the model is not available: Truing calls its fallback",
            ProviderChoice::Requested => "the fallback is not available: Truing calls the configured model \
                again",
        });
        self.ask_provider(other, fallback, request).await.map_err(|refused| combine_errors(away, refused))
    }

    async fn cost(&self) -> MicroUsd {
        self.spend.total().await
    }

    fn serves_only_program(&self) -> bool {
        self.gateway.uses_subscription()
    }
}

/// Returns true if the other provider is called after this error.
fn may_fall_back(error: &ModelError) -> bool {
    match error {
        ModelError::Unavailable { .. } | ModelError::SpendCap { .. } => true,
        ModelError::Budget { .. }
        | ModelError::Halted(_)
        | ModelError::NotAllowed(_)
        | ModelError::Unauthorized { .. }
        | ModelError::InvalidRequest { .. }
        | ModelError::TooLong { .. }
        | ModelError::Nonsense { .. }
        | ModelError::UsageLimit { .. }
        | ModelError::Ledger(_)
        | ModelError::Drift { .. } => false,
    }
}

/// Returns one error for two failed providers. It contains both reasons and the earlier of the two times for
/// the next attempt. If the second provider is available but failed for a different reason, returns only the
/// second provider's error.
fn combine_errors(one: ModelError, other: ModelError) -> ModelError {
    if !may_fall_back(&other) {
        return other;
    }
    let until = |error: &ModelError| {
        if let ModelError::Unavailable { next_attempt_at: until, .. } = error { *until } else { None }
    };
    let until: Option<UnixMillis> = until(&one).into_iter().chain(until(&other)).min();
    ModelError::Unavailable {
        message: format!("{one}; the fallback failed, too: {other}"),
        next_attempt_at: until,
    }
}
