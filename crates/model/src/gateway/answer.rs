//! Results of a call to a model: a complete answer, or the reason for none.

use serde::{Deserialize, Serialize};
use truing_core::id::UnixMillis;
use truing_core::ledger::{BudgetLevel, TokenUsage};
use truing_core::money::MicroUsd;
use truing_core::port::HaltReason;

use crate::messages::{ModelMessage, StopReason};

/// A complete answer.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ModelAnswer {
    /// The content of the model's message, in the order of its blocks: it goes back unchanged in the next request.
    pub message: ModelMessage,
    /// The reason for which the model stopped.
    pub stop: StopReason,
    /// The tokens that the provider counted.
    pub usage: TokenUsage,
    /// The price of these tokens.
    pub cost: MicroUsd,
    /// The model that answered.
    pub model: String,
    /// The fallback that it is of; none: the model that was asked for answered itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub served_by: Option<String>,
    /// The provider's name for the exchange, for its support; empty if it gave none.
    pub request_id: String,
}

impl ModelAnswer {
    /// The name of the model that answered, for people and records.
    pub fn served(&self) -> String {
        match &self.served_by {
            Some(fallback) => format!("{} (fallback {fallback})", self.model),
            None => self.model.clone(),
        }
    }
}

/// Reasons for which there is no answer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum ModelError {
    /// A level of the ledger has too little left: nothing was sent.
    #[error("the budget is used up ({level:?})")]
    Budget {
        /// The tightest level.
        level: BudgetLevel,
    },
    /// The gate is shut: nothing was sent.
    #[error(transparent)]
    Halted(HaltReason),
    /// The run may not use this model, or its price is not known: nothing was sent.
    #[error("{0}")]
    NotAllowed(String),
    /// The provider's own spending cap is reached, or a limit of its own that lasts as long; its circuit is open.
    #[error("the provider's spending cap, or a rate limit that lasts, is reached: {what}")]
    SpendCap {
        /// The provider's words, cleaned and bounded.
        what: String,
    },
    /// The key is wrong or may not do this, or there is none.
    #[error("no access to the provider: {what}")]
    Unauthorized {
        /// The provider's words, cleaned and bounded, or the reason for which there is no key.
        what: String,
    },
    /// The provider calls the request wrong: repeating it would not help.
    #[error("the provider refuses the request: {what}")]
    Rejected {
        /// The provider's words, cleaned and bounded.
        what: String,
    },
    /// The request is longer than the model's context.
    #[error("the request is too long for the model: {what}")]
    TooLong {
        /// The provider's words, cleaned and bounded.
        what: String,
    },
    /// Down, overloaded, limiting, cut or stalled, after every try that is allowed.
    #[error("the provider is not available: {what}")]
    Unavailable {
        /// The last event.
        what: String,
        /// Not to be tried before.
        until: Option<UnixMillis>,
    },
    /// The provider sent no answer of the Messages API.
    #[error("the provider's answer cannot be understood: {what}")]
    Nonsense {
        /// The fault in it.
        what: String,
    },
    /// The ledger cannot be asked: nothing was sent.
    #[error("the ledger cannot be asked: {0}")]
    Ledger(String),
    /// A cassette has no answer to this request: it is not the one that was recorded.
    #[error("the cassette has no answer to this: {what}")]
    Drift {
        /// The place where the two differ.
        what: String,
    },
}
