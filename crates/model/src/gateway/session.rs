//! One run's way to its models: those that it may use, and which of two providers is asked.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use truing_core::id::Millis;
use truing_core::ledger::Purse;
use truing_core::money::MicroUsd;
use truing_core::port::Gate;

use super::answer::{Answer, Refused};
use super::bound::History;
use super::call::Call;
use super::settling::Account;
use super::shared::Shared;
use super::signed::{Side, Signed};
use super::{Fallback, Gateway, Model};
use crate::messages::Request;

/// The model of one run. A run that went over to its fallback stays there as long as that answers.
pub struct Session {
    gateway: Gateway,
    purse: Purse,
    models: Vec<String>,
    gate: Arc<dyn Gate>,
    account: Account,
    first: Mutex<History>,
    second: Mutex<History>,
    /// The provider that answers, and the one whose thinking the conversation holds.
    signed: Mutex<Signed>,
}

impl Session {
    pub(super) fn new(gateway: Gateway, purse: Purse, models: Vec<String>, gate: Arc<dyn Gate>) -> Self {
        let (account, first, second, signed) = Default::default();
        Self { gateway, purse, models, gate, account, first, second, signed }
    }

    /// May the run use this model?
    fn allowed(&self, model: &str) -> Result<(), Refused> {
        if self.models.iter().any(|allowed| allowed == model) {
            return Ok(());
        }
        let allowed = self.models.join(", ");
        Err(Refused::NotAllowed(format!("this run may not use the model `{model}` (allowed: {allowed})")))
    }

    /// Asks one of two providers.
    async fn by(&self, side: Side, fallback: &Fallback, request: &Request) -> Result<Answer, Refused> {
        let mut carried = self.signed().carried(side, request);
        let (shared, history) = match side {
            Side::First => (&self.gateway.shared, &self.first),
            Side::Second => {
                carried.to_mut().model.clone_from(&fallback.model);
                (&fallback.gateway.shared, &self.second)
            }
        };
        let answer = self.call(shared, history).ask(&carried).await?;
        self.signed().answered(side, &answer.message);
        let served_by = (side == Side::Second).then(|| fallback.name.clone());
        Ok(Answer { served_by, ..answer })
    }

    /// A call to one provider, which the run pays for.
    fn call<'a>(&'a self, shared: &'a Arc<Shared>, history: &'a Mutex<History>) -> Call<'a> {
        Call { purse: &self.purse, gate: &*self.gate, account: &self.account, shared, history }
    }

    fn signed(&self) -> MutexGuard<'_, Signed> {
        self.signed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("models", &self.models).finish_non_exhaustive()
    }
}

#[async_trait]
impl Model for Session {
    async fn ask(&self, request: &Request) -> Result<Answer, Refused> {
        self.allowed(&request.model)?;
        let Some(fallback) = self.gateway.fallback.as_deref() else {
            return self.call(&self.gateway.shared, &self.first).ask(request).await;
        };
        let side = self.signed().side();
        let away = match self.by(side, fallback, request).await {
            Err(away) if is_away(&away) => away,
            result => return result,
        };
        let other = side.other();
        tracing::warn!(model = request.model, fallback = fallback.name, %away, "{}", match other {
            Side::Second => "the fallback of the model is asked",
            Side::First => "the fallback is not available: the model itself is asked again",
        });
        self.by(other, fallback, request).await.map_err(|refused| both(away, refused))
    }

    async fn cost(&self) -> MicroUsd {
        self.account.total().await
    }
}

/// Would another provider answer where this one does not?
fn is_away(refused: &Refused) -> bool {
    match refused {
        Refused::Unavailable { .. } | Refused::SpendCap { .. } => true,
        Refused::Budget { .. }
        | Refused::Halted(_)
        | Refused::NotAllowed(_)
        | Refused::Unauthorized { .. }
        | Refused::Rejected { .. }
        | Refused::TooLong { .. }
        | Refused::Nonsense { .. }
        | Refused::Ledger(_)
        | Refused::Drift { .. } => false,
    }
}

/// Two providers that do not answer: why, and until when at least.
fn both(one: Refused, other: Refused) -> Refused {
    if !is_away(&other) {
        return other;
    }
    let until =
        |refused: &Refused| if let Refused::Unavailable { until, .. } = refused { *until } else { None };
    let until: Option<Millis> = until(&one).into_iter().chain(until(&other)).min();
    Refused::Unavailable { what: format!("{one}; nor is its fallback: {other}"), until }
}
