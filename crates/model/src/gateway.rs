//! What a run asks a model through ([`Model`]), everything that can come of it, and the [`Gateway`], which every call
//! of a process to its provider passes.

mod bound;
mod call;
mod circuit;
mod session;
mod settling;
mod signed;
#[cfg(test)]
mod tests;
mod ticket;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use truing_core::id::Millis;
use truing_core::ledger::{Level, Purse, Usage};
use truing_core::money::MicroUsd;
use truing_core::port::{Clock, Common, Gate, Ledger};

pub use self::call::LEAST_TOKENS;
use self::circuit::Circuit;
pub use self::session::Session;
use self::settling::Settling;
pub use self::settling::settled;
use crate::client::Client;
pub use crate::client::Patience;
use crate::messages::{Message, Request, Stop};
use crate::price::Prices;
use crate::provider::{Provider, ProviderError};

/// A model, as one run may use it: within its money, its allowed models and its kill switch.
pub trait Model: Send + Sync {
    /// One answer, complete. The request's `max_tokens` is clamped to what money is left for.
    ///
    /// Dropping the future cancels the call: its connection is closed, its reservation settled as estimated.
    ///
    /// # Errors
    /// [`Refused`]
    fn ask(&self, request: &Request) -> impl Future<Output = Result<Answer, Refused>> + Send;

    /// What the ledger holds all calls so far to have cost: whole answers, and calls that were cut, refused or cancelled
    /// after they had begun. Waits until none of them is under way.
    fn cost(&self) -> impl Future<Output = MicroUsd> + Send;
}

/// A complete answer.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Answer {
    /// What the model said, in the order of its blocks: goes back unchanged in the next request.
    pub message: Message,
    /// Why it stopped.
    pub stop: Stop,
    /// What the provider counted.
    pub usage: Usage,
    /// What that costs.
    pub cost: MicroUsd,
    /// The model that answered.
    pub model: String,
    /// The fallback that it is of; none: the model that was asked for answered itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub served_by: Option<String>,
    /// The provider's name for the exchange, for its support; empty if it gave none.
    pub request_id: String,
}

impl Answer {
    /// Who answered, for people and records.
    pub fn served(&self) -> String {
        match &self.served_by {
            Some(fallback) => format!("{} (fallback {fallback})", self.model),
            None => self.model.clone(),
        }
    }
}

/// Why there is no answer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Refused {
    /// A level of the ledger has too little left: nothing was sent.
    #[error("the budget is used up ({level:?})")]
    Budget {
        /// The tightest level.
        level: Level,
    },
    /// The kill switch is on: nothing was sent.
    #[error("the kill switch is on")]
    Switch,
    /// The run may not use this model, or nobody knows its price: nothing was sent.
    #[error("{0}")]
    NotAllowed(String),
    /// The provider's own spending cap is reached, or a limit of its own that lasts as long; its circuit is open.
    #[error("the provider's spending cap, or a rate limit that lasts, is reached: {what}")]
    SpendCap {
        /// The provider's words, cleaned and bounded.
        what: String,
    },
    /// The key is wrong or may not do this.
    #[error("the provider refuses the key: {what}")]
    Unauthorized {
        /// The provider's words, cleaned and bounded.
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
        /// What happened last.
        what: String,
        /// Not to be tried before.
        until: Option<Millis>,
    },
    /// What came is no answer of the Messages API.
    #[error("the provider's answer cannot be understood: {what}")]
    Nonsense {
        /// What is wrong with it.
        what: String,
    },
    /// The ledger cannot be asked: nothing was sent.
    #[error("the ledger cannot be asked: {0}")]
    Ledger(String),
    /// A cassette has no answer to this request: it is not the one that was recorded.
    #[error("the cassette has no answer to this: {what}")]
    Drift {
        /// Where the two differ.
        what: String,
    },
}

/// The way to one provider, shared by all runs of a process: its connections, its circuit, the money. The circuit is that of all
/// processes where they keep something in common.
pub struct Gateway<L: Ledger + 'static> {
    shared: Arc<Shared<L>>,
    fallback: Option<Arc<Fallback<L>>>,
}

/// Who is asked while the provider is not available.
struct Fallback<L: Ledger + 'static> {
    /// What it is called.
    name: String,
    /// The way to it.
    gateway: Gateway<L>,
    /// The model that is asked there instead of any other.
    model: String,
}

/// What all sessions share.
struct Shared<L: Ledger + 'static> {
    client: Client,
    prices: Prices,
    ledger: L,
    clock: Arc<dyn Clock>,
    circuit: Circuit,
    settling: Settling,
    retries: AtomicU64,
}

impl<L: Ledger + 'static> Gateway<L> {
    /// A gateway to this provider. Nothing is sent. Its circuit is kept in `common`, if there is that.
    ///
    /// # Errors
    /// [`ProviderError::Client`]: TLS cannot be set up.
    pub fn new(
        provider: Provider,
        prices: Prices,
        ledger: L,
        (clock, common): (Arc<dyn Clock>, Option<Arc<dyn Common>>),
        patience: Patience,
    ) -> Result<Self, ProviderError> {
        let (settling, retries) = (Settling::default(), AtomicU64::new(0));
        let common = common.map(|common| (common, format!("circuit:{}", provider.name())));
        let circuit = Circuit::new(Arc::clone(&clock), common, settling.clone());
        let client = Client::new(provider, patience)?;
        let shared = Shared { client, prices, ledger, clock, circuit, settling, retries };
        Ok(Self { shared: Arc::new(shared), fallback: None })
    }

    /// The same, with another one that is asked for this model while the provider is not available. Both draw on the
    /// same purse; its own fallback is not asked.
    #[must_use]
    pub fn with_fallback(self, name: impl Into<String>, gateway: Self, model: impl Into<String>) -> Self {
        let fallback = Fallback { name: name.into(), gateway, model: model.into() };
        Self { fallback: Some(Arc::new(fallback)), ..self }
    }

    /// How often a call was tried again since the gateway was made, by all its sessions.
    pub fn retries(&self) -> u64 {
        let fallback = self.fallback.as_ref().map_or(0, |fallback| fallback.gateway.retries());
        self.shared.retries.load(Ordering::Relaxed).saturating_add(fallback)
    }

    /// One run's way to the models that it may use, paid from its purse, while its kill switch is off.
    pub fn session<G: Gate>(
        &self,
        purse: Purse,
        models: impl IntoIterator<Item = String>,
        gate: G,
    ) -> Session<L, G> {
        Session::new(self.clone(), purse, models.into_iter().collect(), gate)
    }

    /// Waits until no money is set aside any more: calls that go on end, those that were given up are settled. A process
    /// that ends before leaves that to the expiry of its reservations, which are then settled in full.
    pub async fn quiet(&self) {
        self.shared.settling.none().await;
        if let Some(fallback) = &self.fallback {
            fallback.gateway.shared.settling.none().await;
        }
    }
}

impl<L: Ledger + 'static> Clone for Gateway<L> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), fallback: self.fallback.clone() }
    }
}

impl<L: Ledger + 'static> fmt::Debug for Gateway<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway").field("client", &self.shared.client).finish_non_exhaustive()
    }
}
