//! Results of a call to a model: a complete response, or the reason why there is none.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use truing_core::id::UnixMillis;
use truing_core::ledger::{BudgetLevel, TokenUsage};
use truing_core::money::MicroUsd;
use truing_core::port::HaltReason;

use crate::messages::{ModelMessage, StopReason};

/// A complete response of a model.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ModelAnswer {
    /// The model's message with its blocks in order. The next request of the conversation must contain this
    /// message unchanged.
    pub message: ModelMessage,
    /// The reason why the model stopped.
    pub stop: StopReason,
    /// Tokens that the provider reported.
    pub usage: TokenUsage,
    /// The cost of the call.
    pub cost: MicroUsd,
    /// Name of the model that generated the response.
    pub model: String,
    /// Name of the fallback that answered; `None` if the requested model answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub served_by: Option<String>,
    /// The provider's id for the request, which the provider's support can look up; empty if the provider
    /// sent no id.
    pub request_id: String,
}

impl ModelAnswer {
    /// Returns the name of the model that responded. If this model belongs to the fallback, the fallback's
    /// name is added.
    pub fn serving_model(&self) -> String {
        match &self.served_by {
            Some(fallback) => format!("{} (fallback {fallback})", self.model),
            None => self.model.clone(),
        }
    }
}

/// The reason why a call returned no response.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum ModelError {
    /// A budget level of the ledger has too little money left; no request was sent.
    #[error("the budget is used up ({level:?})")]
    Budget {
        /// The budget level that refused the reservation.
        level: BudgetLevel,
    },
    /// The kill switch is on, so the request or its retry was not sent.
    #[error(transparent)]
    Halted(HaltReason),
    /// The run may not use this model, or the model's price is unknown; no request was sent.
    #[error("{0}")]
    NotAllowed(String),
    /// The provider's own spending cap or a long-lasting rate limit is reached. The provider's circuit
    /// breaker is now open.
    #[error("the provider's spending cap or a long-lasting rate limit is reached: {message}")]
    SpendCap {
        /// The provider's message, cleaned and bounded.
        #[serde(rename = "what")]
        message: String,
    },
    /// The API key or the credentials are missing, invalid, or lack a permission.
    #[error("no access to the provider: {message}")]
    Unauthorized {
        /// The provider's message, cleaned and bounded, or the reason why there is no key.
        #[serde(rename = "what")]
        message: String,
    },
    /// The provider rejects the request as invalid; a retry would not help.
    #[error("the provider refuses the request: {message}")]
    #[serde(rename = "rejected")]
    InvalidRequest {
        /// The provider's message, cleaned and bounded.
        #[serde(rename = "what")]
        message: String,
    },
    /// The request is longer than the model's context.
    #[error("the request is too long for the model: {message}")]
    TooLong {
        /// The provider's message, cleaned and bounded.
        #[serde(rename = "what")]
        message: String,
    },
    /// The provider is down, overloaded or rate limited, or the response was cut off or stalled. The call is
    /// not retried any further.
    #[error("the provider is not available: {message}")]
    Unavailable {
        /// Description of the last failure.
        #[serde(rename = "what")]
        message: String,
        /// Earliest time at which the provider may be called again.
        #[serde(rename = "until")]
        next_attempt_at: Option<UnixMillis>,
    },
    /// A usage limit of the subscription is reached.
    #[error("{limit} is used up until {}", format_time(*.next_attempt_at))]
    UsageLimit {
        /// Description of the limit.
        limit: String,
        /// Time at which the limit resets.
        #[serde(rename = "until")]
        next_attempt_at: UnixMillis,
    },
    /// The provider's response is invalid, or exceeds a limit of the request.
    #[error("the provider's answer is invalid: {message}")]
    Nonsense {
        /// Description of the error in the response.
        #[serde(rename = "what")]
        message: String,
    },
    /// The ledger is unreachable; no request was sent.
    #[error("cannot read the ledger: {0}")]
    Ledger(String),
    /// The cassette has no response to this request: either the request differs from the recorded one, or
    /// none was recorded at this position.
    #[error("the cassette has no answer to this request: {message}")]
    Drift {
        /// Difference between the two requests, or the missing position.
        #[serde(rename = "what")]
        message: String,
    },
}

/// Formats a time for people, in UTC.
fn format_time(time: UnixMillis) -> String {
    Timestamp::from_millisecond(time.0).map_or_else(|_| "later".to_owned(), |time| time.to_string())
}
