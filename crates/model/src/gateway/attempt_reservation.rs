//! A reservation of money for one attempt. A reservation is settled even if the caller is cancelled: with the
//! provider's token count, or with an estimate. If settling fails, the reservation expires, and its full
//! amount counts as spent.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::time::Instant;
use truing_core::ledger::{CostBasis, ReservationId, TokenUsage};
use truing_core::money::MicroUsd;

use super::gateway_state::GatewayState;
use super::settling::{PendingCallGuard, SessionSpend};
use crate::client::CallProgress;
use crate::price::ModelPrice;
use crate::stream::UsageSoFar;

/// Upper bound of the speed of a model's output, in tokens per second.
const MAX_TOKENS_PER_SECOND: u64 = 300;
/// Some providers stream events while they generate tokens. For such a provider, Truing assumes that tokens
/// were generated for at most this number of seconds without an event. A stream begins before the first
/// token is generated.
const MAX_EVENTLESS_SECONDS: u64 = 5;

/// Maximum number of tokens of any model's prompt.
const MAX_PROMPT_TOKENS: u64 = 20_000_000;

/// Maximum number of tokens of any model's response.
const MAX_ANSWER_TOKENS: u64 = 1_000_000;

/// Limits a provider's token counts to possible values. A possible count is billed, even if it exceeds the
/// requested limit ([`describe_overrun`]). A count beyond any model's capacity must be an error of the
/// provider, and must not use up the whole budget.
pub(super) fn clamp_usage(usage: TokenUsage) -> TokenUsage {
    let TokenUsage { input, output, cache_read, cache_write_5m, cache_write_1h } = usage;
    let [input, cache_read, cache_write_5m, cache_write_1h] =
        [input, cache_read, cache_write_5m, cache_write_1h].map(|tokens| tokens.min(MAX_PROMPT_TOKENS));
    let output = output.min(MAX_ANSWER_TOKENS);
    let bounded = TokenUsage { input, output, cache_read, cache_write_5m, cache_write_1h };
    if bounded != usage {
        tracing::warn!(counted = usage.total(), "the provider reports an impossible number of tokens");
    }
    bounded
}

/// Returns an error message if a provider counts more tokens of a response than were requested. Such a
/// provider could also exceed the reservation for the next response.
pub(super) fn describe_overrun(usage: &TokenUsage, max_tokens: u32) -> Option<String> {
    let is_over = usage.output > u64::from(max_tokens);
    is_over
        .then(|| format!("the provider counts {} tokens for an answer of at most {max_tokens}", usage.output))
}

/// A reservation for one attempt.
pub(super) struct AttemptReservation {
    gateway_state: Arc<GatewayState>,
    id: ReservationId,
    pub(super) amount: MicroUsd,
    price: ModelPrice,
    /// Estimated number of tokens in the prompt.
    estimated_tokens: u64,
    /// Maximum number of tokens of the response.
    pub(super) max_tokens: u32,
    /// Time at which the request was sent; `None` if nothing was sent.
    sent_at: Option<Instant>,
    usage: UsageSoFar,
    /// The cost that the ledger is to record. `None` until the cost is known.
    settlement: Option<(MicroUsd, CostBasis)>,
    is_settled: bool,
    spend: SessionSpend,
    /// The guard that counts the call as pending; `None` only while the reservation is dropped.
    call_guard: Option<PendingCallGuard>,
}

impl AttemptReservation {
    /// Returns the reservation that the ledger granted. The settled cost is added to `spend`, the session's
    /// total. The caller must create `call_guard` before requesting the reservation, so the call is counted
    /// as pending from then on.
    pub(super) fn new(
        state: Arc<GatewayState>,
        id: ReservationId,
        amount: MicroUsd,
        price: ModelPrice,
        estimated_tokens: u64,
        spend: SessionSpend,
        call_guard: PendingCallGuard,
    ) -> Self {
        Self {
            gateway_state: state,
            id,
            amount,
            price,
            estimated_tokens,
            max_tokens: 0,
            sent_at: None,
            usage: UsageSoFar::default(),
            settlement: None,
            is_settled: false,
            spend,
            call_guard: Some(call_guard),
        }
    }

    /// Records the progress of the call.
    pub(super) fn record_progress(&mut self, progress: CallProgress) {
        match progress {
            CallProgress::BeforeSend => self.sent_at = Some(Instant::now()),
            CallProgress::UsageReported(meter) => self.usage = meter,
        }
    }

    /// Settles the reservation without cost, because the provider processed nothing.
    pub(super) async fn settle_unused(mut self) {
        self.settle_cost(MicroUsd(0), CostBasis::Metered).await;
    }

    /// Settles the cost of a complete response.
    pub(super) async fn settle_metered(mut self, cost: MicroUsd) {
        self.settle_cost(cost, CostBasis::Metered).await;
    }

    /// Settles the reservation of a call that ended without a final token count. Returns the estimated cost
    /// of this call.
    pub(super) async fn settle_estimated(mut self) -> MicroUsd {
        let (cost, known) = self.estimate();
        self.settle_cost(cost, known).await;
        cost
    }

    /// Estimates the cost of a call from its progress: the cost of the whole prompt, and of the response
    /// tokens that were probably generated. An estimate is at most the reserved amount.
    fn estimate(&self) -> (MicroUsd, CostBasis) {
        let Some(sent) = self.sent_at else { return (MicroUsd(0), CostBasis::Metered) };
        if let (true, Some(usage)) = (self.usage.is_final, self.usage.usage) {
            return (self.price.cost(&clamp_usage(usage)), CostBasis::Metered);
        }
        let most = u64::from(self.max_tokens);
        let cost = match self.usage.usage {
            // One second of output is assumed to be generated but not yet received. For a long response, the
            // estimate of one token for each received byte is higher, and it includes this output.
            Some(usage) => {
                let written = usage.output.saturating_add(MAX_TOKENS_PER_SECOND);
                let output = written.max(self.usage.content_bytes).min(most);
                self.price.cost(&TokenUsage { output, ..usage })
            }
            None => {
                let seconds = sent.elapsed().as_secs();
                let is_seen = self.gateway_state.client.wire().streams_progress();
                let seconds = if is_seen { seconds.min(MAX_EVENTLESS_SECONDS) } else { seconds };
                let unseen = seconds.saturating_mul(MAX_TOKENS_PER_SECOND);
                // No count has arrived yet: some providers report token counts only at the end of the stream.
                self.price.max_cost(self.estimated_tokens, unseen.max(self.usage.content_bytes).min(most))
            }
        };
        (cost.min(self.amount), CostBasis::Estimated)
    }

    async fn settle_cost(&mut self, cost: MicroUsd, basis: CostBasis) {
        self.settlement = Some((cost, basis));
        let counted = settle_reservation(&self.gateway_state, self.id, self.amount, cost, basis).await;
        self.spend.add(counted);
        self.is_settled = true;
    }
}

impl Drop for AttemptReservation {
    fn drop(&mut self) {
        if self.is_settled {
            return;
        }
        let (cost, known) = self.settlement.unwrap_or_else(|| self.estimate());
        let (shared, reserved) = (self.gateway_state.clone(), (self.id, self.amount));
        let (account, under_way) = (self.spend.clone(), self.call_guard.take());
        // Without a runtime, the process is about to exit. The reservation is then not settled, and expires.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                account.add(settle_reservation(&shared, reserved.0, reserved.1, cost, known).await);
                drop(under_way);
            });
        }
    }
}

/// Settles a reservation and returns the cost that the ledger records for the call.
async fn settle_reservation(
    state: &GatewayState,
    id: ReservationId,
    amount: MicroUsd,
    cost: MicroUsd,
    basis: CostBasis,
) -> MicroUsd {
    state.ledger.settle_reservation(id, cost, basis).await.unwrap_or_else(|error| {
        tracing::warn!(reservation = id.0, cost = cost.0, %error, "could not record the cost of a call: \
            the reservation of this call expires");
        // If settling fails, the reservation expires, and the ledger counts its full amount.
        amount
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_tokens_are_believed_than_there_can_be() {
        let real =
            TokenUsage { input: 190_000, output: 4096, cache_read: 9, cache_write_5m: 8, cache_write_1h: 7 };
        assert_eq!(clamp_usage(real), real);
        let huge = 1 << 63;
        let wrong = TokenUsage {
            input: huge,
            output: huge,
            cache_read: huge,
            cache_write_5m: huge,
            cache_write_1h: huge,
        };
        let (most, output) = (MAX_PROMPT_TOKENS, MAX_ANSWER_TOKENS);
        let bounded =
            TokenUsage { input: most, output, cache_read: most, cache_write_5m: most, cache_write_1h: most };
        assert_eq!(clamp_usage(wrong), bounded);
        assert_eq!(describe_overrun(&real, 4096), None);
        assert!(describe_overrun(&real, 4095).is_some());
    }
}
