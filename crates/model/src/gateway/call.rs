//! One call of a run to one provider. The gateway looks up the model's price, reserves money, retries
//! failures according to the retry table, and settles the cost.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use truing_core::breaker::{OpenCircuit, TripReason};
use truing_core::id::{TimeSpan, UnixMillis};
use truing_core::ledger::{ReservationOutcome, ReservationRequest, RunBudget, TokenUsage};
use truing_core::port::{StoreError, WriteGate};

use super::answer::{ModelAnswer, ModelError};
use super::attempt_reservation::{AttemptReservation, clamp_usage, describe_overrun};
use super::bound::{PromptMeasure, PromptSize, TokenHistory, measure_prompt};
use super::circuit::AdmittedCall;
use super::gateway_state::GatewayState;
use super::settling::{PendingCallGuard, SessionSpend};
use crate::client::ProviderAnswer;
use crate::messages::ModelRequest;
use crate::price::ModelPrice;
use crate::retry::{self, FailedAttempt, RetryDecision};
use crate::subscription::ReachedUsageLimit;

/// Smallest useful `max_tokens` of a response. If the remaining money does not pay for this many tokens, the
/// call is not made.
pub const MIN_USEFUL_RESPONSE_TOKENS: u32 = 1024;
/// The provider's count is an estimate, so two margins are added: a twentieth of the count, and a fixed
/// number of tokens.
const COUNT_MARGIN_DIVISOR: u64 = 20;
const COUNT_MARGIN_TOKENS: u64 = 64;
/// Time for which a reservation remains valid after the latest possible end of its call.
const RESERVATION_GRACE_PERIOD: Duration = Duration::from_secs(60);

/// A call of a run to one provider.
pub(super) struct GatewayCall<'a> {
    /// The budget that pays for the call.
    pub(super) budget: &'a RunBudget,
    /// The run's kill switch.
    pub(super) gate: &'a dyn WriteGate,
    /// Total cost of the run's calls.
    pub(super) spend: &'a SessionSpend,
    /// The state of the provider's gateway, which all sessions share.
    pub(super) gateway: &'a Arc<GatewayState>,
    /// The provider's token counts for earlier prompts of the run's conversation.
    pub(super) history: &'a Mutex<TokenHistory>,
}

/// The reason why an attempt has no usable response.
enum AttemptError {
    /// The call fails with this error, and is not retried.
    Fatal(ModelError),
    /// The provider or the connection failed. The retry table decides if the call is retried.
    FailedAttempt(FailedAttempt),
}

impl GatewayCall<'_> {
    /// Requests one response, or returns the reason why there is none.
    pub(super) async fn request_answer(&self, request: &ModelRequest) -> Result<ModelAnswer, ModelError> {
        self.check_subscription(request)?;
        let price = self.price(&request.model)?;
        let prompt = measure_prompt(request);
        let admitted = self.gateway.circuit.admit().await.map_err(open_circuit_error)?;
        let result = self.run_attempts(request, &prompt, &price).await;
        report_outcome(admitted, &result).await;
        result
    }

    /// Returns an error if the subscription that covers the cost may not serve the request, or if its limit
    /// is reached.
    fn check_subscription(&self, request: &ModelRequest) -> Result<(), ModelError> {
        if !self.gateway.client.uses_subscription() {
            return Ok(());
        }
        if request.program.is_none() {
            return Err(ModelError::NotAllowed(
                "the token of a subscription serves only the runtime `cli`".to_owned(),
            ));
        }
        match *self.lock_reached_limit() {
            Some(limit) if reset_time(&limit) > self.gateway.clock.now() => Err(usage_limit_error(&limit)),
            Some(_) | None => Ok(()),
        }
    }

    /// Returns the price of the model at this provider.
    fn price(&self, model: &str) -> Result<ModelPrice, ModelError> {
        let (prices, wire) = (&self.gateway.prices, self.gateway.client.wire());
        wire.price(prices, model).cloned().ok_or_else(|| {
            let name = wire.price_table_id(model);
            ModelError::NotAllowed(format!("the model `{name}` has no known price: declare its price"))
        })
    }

    /// Makes attempts until one returns a response. Stops without a response if the retry table, the kill
    /// switch, the circuit breaker or a limit forbids another attempt.
    async fn run_attempts(
        &self,
        request: &ModelRequest,
        prompt: &PromptMeasure,
        price: &ModelPrice,
    ) -> Result<ModelAnswer, ModelError> {
        let timeouts = self.gateway.client.timeouts;
        let begin_deadline = Instant::now() + timeouts.response_start;
        let mut tries = 0;
        let mut was_damaged = false;
        loop {
            self.gate.permit_continuation().await.map_err(ModelError::Halted)?;
            if let Some(open) = self.gateway.circuit.open_state().await {
                return Err(open_circuit_error(open));
            }
            tries += 1;
            let failure = match self.make_attempt(request, prompt, price, begin_deadline).await {
                Ok(answer) => return Ok(answer),
                Err(AttemptError::Fatal(refused)) => return Err(refused),
                Err(AttemptError::FailedAttempt(failure)) => failure,
            };
            tracing::debug!(model = request.model, tries, seen = ?failure.cause, "a call to a model failed");
            let after = match retry::decide_retry(&failure.cause) {
                RetryDecision::Retry(after) => after,
                RetryDecision::RetryOnce if !std::mem::replace(&mut was_damaged, true) => None,
                other @ (RetryDecision::RetryOnce
                | RetryDecision::Unavailable(_)
                | RetryDecision::SpendCap(_)
                | RetryDecision::UsageLimit(_)
                | RetryDecision::KeyRefused
                | RetryDecision::InvalidRequest
                | RetryDecision::TooLong
                | RetryDecision::InvalidResponse) => {
                    return Err(self.final_error(other, failure.message).await);
                }
            };
            let wait = retry::retry_delay(timeouts.retry_delay, tries, after, self.retry_seed());
            if tries >= timeouts.max_attempts || Instant::now() + wait >= begin_deadline {
                let what = format!("{} ({tries} tries)", failure.message);
                return Err(self.final_error(RetryDecision::Unavailable(after), what).await);
            }
            self.gateway.retry_count.fetch_add(1, Ordering::Relaxed);
            if tries == 1 {
                // A call logs a warning only for its first retry, to explain the delay.
                let (most, time) = (timeouts.max_attempts, timeouts.response_start.as_secs());
                let what = &failure.message;
                tracing::warn!(
                    "the provider failed ({what}); Truing retries the call, at most {most} times and for \
                    at most {time} s"
                );
            }
            sleep(wait).await;
        }
    }

    /// Makes one attempt: reserves money, makes the call, and settles its cost.
    async fn make_attempt(
        &self,
        request: &ModelRequest,
        prompt: &PromptMeasure,
        price: &ModelPrice,
        begin_deadline: Instant,
    ) -> Result<ModelAnswer, AttemptError> {
        let mut bound = self.lock_history().prompt_size(prompt);
        let mut reserved = self.reserve(request, bound, price).await;
        if matches!(reserved, Err(ModelError::Budget { .. })) && !bound.is_partly_counted {
            // The budget refused the reservation, which was based on one token per byte. The provider's own
            // count is usually far smaller and costs only time, so it is used for a second reservation.
            if let Some(counted) = self.count_prompt(request, prompt, begin_deadline).await {
                bound = counted;
                reserved = self.reserve(request, bound, price).await;
            }
        }
        let mut reservation = reserved.map_err(AttemptError::Fatal)?;
        let paid = price.max_output_tokens(bound.max_tokens, reservation.amount).unwrap_or(0);
        let max_tokens = u32::try_from(paid).unwrap_or(u32::MAX).min(request.max_tokens);
        let call = match self.gateway.client.wire().build_answer_call(request, max_tokens) {
            Ok(call) => call,
            Err(error) => {
                reservation.settle_unused().await;
                return Err(AttemptError::Fatal(ModelError::InvalidRequest { message: error.to_string() }));
            }
        };
        reservation.max_tokens = max_tokens;
        let answered = self
            .gateway
            .client
            .stream_answer(call, begin_deadline, |progress| reservation.record_progress(progress))
            .await;
        match answered {
            Ok(answered) => {
                if let Some(limit) = answered.exceeded_limit {
                    tracing::warn!(
                        "the provider bills this answer beside the subscription, so Truing sends no further \
                        request until the subscription covers requests again"
                    );
                    *self.lock_reached_limit() = Some(limit);
                }
                let over = answered.response.usage.and_then(|usage| describe_overrun(&usage, max_tokens));
                let answer = self.settle_answer(answered, prompt, price, reservation).await;
                // Some servers do not report a model name, so the name in the request is used.
                let is_named = !answer.model.is_empty();
                let model = if is_named { answer.model } else { request.model.clone() };
                let answer = ModelAnswer { model, ..answer };
                match over {
                    // The run pays for the response but does not receive it. The call is not retried, because
                    // a provider that exceeds one limit may exceed any limit.
                    Some(what) => Err(AttemptError::Fatal(ModelError::Nonsense { message: what })),
                    None => Ok(answer),
                }
            }
            Err(failure) => {
                match &failure.cause {
                    retry::FailureCause::Unsent
                    | retry::FailureCause::NoKeys
                    | retry::FailureCause::ErrorStatus(_)
                    | retry::FailureCause::UsageLimit(_) => {
                        reservation.settle_unused().await;
                    }
                    retry::FailureCause::NoResponse
                    | retry::FailureCause::Truncated
                    | retry::FailureCause::ErrorEvent(_)
                    | retry::FailureCause::TotalTimeout
                    | retry::FailureCause::DamagedResponse
                    | retry::FailureCause::InvalidResponse => {
                        reservation.settle_estimated().await;
                    }
                }
                Err(AttemptError::FailedAttempt(failure))
            }
        }
    }

    /// Requests the provider's count of a prompt. Returns `None` if the provider cannot count tokens or the
    /// count fails. In this case, the caller keeps its bound of one token per byte.
    async fn count_prompt(
        &self,
        request: &ModelRequest,
        prompt: &PromptMeasure,
        begin_deadline: Instant,
    ) -> Option<PromptSize> {
        // The provider counts no tokens for a subscription.
        if request.program.is_some() {
            return None;
        }
        let call = self.gateway.client.wire().build_count_call(request)?;
        let tokens = self.gateway.client.count_tokens(call, begin_deadline).await.ok()?;
        self.lock_history().record_count(
            prompt,
            tokens.saturating_add(tokens / COUNT_MARGIN_DIVISOR).saturating_add(COUNT_MARGIN_TOKENS),
        );
        Some(self.lock_history().prompt_size(prompt))
    }

    /// Reserves money in a separate task. If the caller is cancelled during the reservation, the task still
    /// completes and then settles the unused reservation without cost.
    async fn reserve(
        &self,
        request: &ModelRequest,
        prompt_size: PromptSize,
        price: &ModelPrice,
    ) -> Result<AttemptReservation, ModelError> {
        let floor = min_response_tokens(request);
        let shared = Arc::clone(self.gateway);
        let patience = shared.client.timeouts;
        let lasts =
            patience.total.saturating_add(patience.response_start).saturating_add(RESERVATION_GRACE_PERIOD);
        let ask = ReservationRequest {
            min_amount: price.max_cost(prompt_size.max_tokens, u64::from(floor)),
            max_amount: price.max_cost(prompt_size.max_tokens, u64::from(request.max_tokens)),
            expires: shared.clock.now() + to_time_span(lasts),
        };
        let (budget, price) = (self.budget.clone(), price.clone());
        let account = self.spend.clone();
        let under_way = PendingCallGuard::new(&account, &shared.pending_calls);
        let task = tokio::spawn(async move {
            Ok::<_, StoreError>(match shared.ledger.reserve(&budget, &ask).await? {
                ReservationOutcome::Granted { id, amount } => {
                    let paying = (account, under_way);
                    Ok(AttemptReservation::new(
                        Arc::clone(&shared),
                        id,
                        amount,
                        price,
                        prompt_size.estimated_tokens,
                        paying.0,
                        paying.1,
                    ))
                }
                ReservationOutcome::Refused { level, remaining_amount: _ } => Err(level),
            })
        });
        match task.await {
            Ok(Ok(Ok(ticket))) => Ok(ticket),
            Ok(Ok(Err(level))) => Err(ModelError::Budget { level }),
            Ok(Err(error)) => Err(ModelError::Ledger(error.to_string())),
            Err(error) => Err(ModelError::Ledger(error.to_string())),
        }
    }

    async fn settle_answer(
        &self,
        answer: ProviderAnswer,
        prompt: &PromptMeasure,
        price: &ModelPrice,
        reservation: AttemptReservation,
    ) -> ModelAnswer {
        let ProviderAnswer { response: complete, request_id, exceeded_limit: _ } = answer;
        let (usage, cost) = match complete.usage {
            Some(usage) => {
                let usage = clamp_usage(usage);
                self.lock_history().record_count(prompt, prompt_tokens(&usage));
                let GatewayState { client, prices, .. } = &**self.gateway;
                let other = client
                    .wire()
                    .prices_by_answering_model()
                    .then(|| prices.find_price(&complete.model))
                    .flatten();
                let cost = other.unwrap_or(price).cost(&usage);
                reservation.settle_metered(cost).await;
                (usage, cost)
            }
            None => (TokenUsage::default(), reservation.settle_estimated().await),
        };
        ModelAnswer {
            message: complete.message,
            stop: complete.stop_reason,
            usage,
            cost,
            model: complete.model,
            served_by: None,
            request_id,
        }
    }

    /// Returns the error of a call whose last attempt failed.
    async fn final_error(&self, decision: RetryDecision, message: String) -> ModelError {
        match decision {
            RetryDecision::Retry(after) | RetryDecision::Unavailable(after) => {
                let until = after.map(|after| self.gateway.clock.now() + to_time_span(after));
                ModelError::Unavailable { message, next_attempt_at: until }
            }
            RetryDecision::SpendCap(after) => {
                self.gateway.circuit.trip(after.map(to_time_span)).await;
                ModelError::SpendCap { message }
            }
            RetryDecision::UsageLimit(limit) => {
                tracing::debug!(message, "a usage limit of the subscription is reached");
                *self.lock_reached_limit() = Some(limit);
                usage_limit_error(&limit)
            }
            RetryDecision::KeyRefused => ModelError::Unauthorized { message },
            RetryDecision::InvalidRequest => ModelError::InvalidRequest { message },
            RetryDecision::TooLong => ModelError::TooLong { message },
            RetryDecision::RetryOnce | RetryDecision::InvalidResponse => ModelError::Nonsense { message },
        }
    }

    fn lock_reached_limit(&self) -> MutexGuard<'_, Option<ReachedUsageLimit>> {
        self.gateway.reached_limit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_history(&self) -> MutexGuard<'_, TokenHistory> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a seed for the random part of retry delays. The seed differs between runs.
    fn retry_seed(&self) -> u64 {
        self.budget
            .run
            .as_str()
            .bytes()
            .fold(0, |seed, byte| seed.wrapping_mul(31).wrapping_add(u64::from(byte)))
    }
}

/// Reports the result of a call to the circuit breaker, if the result shows whether the provider is
/// available.
async fn report_outcome(admitted: AdmittedCall, result: &Result<ModelAnswer, ModelError>) {
    match result {
        Ok(_) => admitted.record_success().await,
        Err(ModelError::Unavailable { .. } | ModelError::Nonsense { .. }) => admitted.record_failure().await,
        // The circuit is already open because of the spending cap.
        Err(ModelError::SpendCap { .. }) => admitted.finish_after_trip(),
        Err(
            ModelError::Budget { .. }
            | ModelError::Halted(_)
            | ModelError::NotAllowed(_)
            | ModelError::Unauthorized { .. }
            | ModelError::InvalidRequest { .. }
            | ModelError::TooLong { .. }
            | ModelError::UsageLimit { .. }
            | ModelError::Ledger(_)
            | ModelError::Drift { .. },
        ) => {}
    }
}

fn usage_limit_error(limit: &ReachedUsageLimit) -> ModelError {
    ModelError::UsageLimit { limit: limit.limit.to_owned(), next_attempt_at: reset_time(limit) }
}

fn reset_time(limit: &ReachedUsageLimit) -> UnixMillis {
    UnixMillis(limit.resets_at.as_millisecond())
}

fn open_circuit_error(circuit: OpenCircuit) -> ModelError {
    match circuit.reason {
        TripReason::SpendingCap => ModelError::SpendCap {
            message: "the provider is not called again until its circuit breaker closes".to_owned(),
        },
        TripReason::Failures => ModelError::Unavailable {
            message: "the provider has failed too often and is not called for a while".to_owned(),
            next_attempt_at: Some(circuit.until),
        },
    }
}

/// Returns the smallest useful `max_tokens` for a response: [`MIN_USEFUL_RESPONSE_TOKENS`] plus the request's
/// tokens for thinking, but at most the request's own limit.
fn min_response_tokens(request: &ModelRequest) -> u32 {
    let thinking = request.thinking.as_ref().and_then(|thinking| thinking.get("budget_tokens")?.as_u64());
    let thinking = u32::try_from(thinking.unwrap_or(0)).unwrap_or(u32::MAX);
    MIN_USEFUL_RESPONSE_TOKENS.saturating_add(thinking).min(request.max_tokens)
}

/// Returns the number of all tokens of a prompt, including those that were read from or written to caches.
fn prompt_tokens(usage: &TokenUsage) -> u64 {
    [usage.input, usage.cache_read, usage.cache_write_5m, usage.cache_write_1h]
        .into_iter()
        .fold(0, u64::saturating_add)
}

fn to_time_span(duration: Duration) -> TimeSpan {
    TimeSpan(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX))
}
