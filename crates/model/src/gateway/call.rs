//! One call of a run to one provider: priced, paid for, tried again where the table says so, and settled.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use truing_core::breaker::{Open, Why};
use truing_core::id::Span;
use truing_core::ledger::{Ask, Purse, Reserved, Usage};
use truing_core::port::{Gate, StoreError};

use super::answer::{Answer, Refused};
use super::bound::{Bound, History, Measured, measure};
use super::circuit::Admitted;
use super::settling::{Account, UnderWay};
use super::shared::Shared;
use super::ticket::{Ticket, overrun, possible};
use crate::client::Answered;
use crate::messages::Request;
use crate::price::Price;
use crate::retry::{self, Failure, Verdict};

/// An answer that could have fewer tokens than this is not begun.
pub const LEAST_TOKENS: u32 = 1024;
/// A count is an estimate, says the provider: a twentieth more is taken, and some tokens of its own.
const COUNT_MARGIN: u64 = 20;
const COUNT_FRAME: u64 = 64;
/// The time for which a reservation outlasts its call.
const GRACE: Duration = Duration::from_secs(60);

/// A call of a run to one provider.
pub(super) struct Call<'a> {
    /// The run's money.
    pub(super) purse: &'a Purse,
    /// The kill switch of the run.
    pub(super) gate: &'a dyn Gate,
    /// The sums of the run's calls.
    pub(super) account: &'a Account,
    /// The way to the provider.
    pub(super) shared: &'a Arc<Shared>,
    /// The part of the run's conversation that this provider has counted: it is not counted again.
    pub(super) history: &'a Mutex<History>,
}

/// The end of one try without an answer.
enum Ended {
    /// Nothing was sent.
    Refused(Refused),
    /// It failed.
    Failed(Failure),
}

impl Call<'_> {
    /// One answer, or why there is none.
    pub(super) async fn ask(&self, request: &Request) -> Result<Answer, Refused> {
        let price = self.price(&request.model)?;
        let prompt = measure(request);
        let admitted = self.shared.circuit.admit().await.map_err(refused_by)?;
        let result = self.tries(request, &prompt, &price).await;
        tell(admitted, &result).await;
        result
    }

    /// The price of the model at this provider.
    fn price(&self, model: &str) -> Result<Price, Refused> {
        let (prices, wire) = (&self.shared.prices, self.shared.client.wire());
        wire.price(prices, model).cloned().ok_or_else(|| {
            let name = wire.priced_as(model);
            Refused::NotAllowed(format!("nobody knows what the model `{name}` costs: declare its price"))
        })
    }

    /// Tries until there is an answer, or the table or patience says that it is enough.
    async fn tries(&self, request: &Request, prompt: &Measured, price: &Price) -> Result<Answer, Refused> {
        let patience = self.shared.client.patience;
        let begin = Instant::now() + patience.begin;
        let mut tries = 0;
        loop {
            self.gate.go_on().await.map_err(Refused::Halted)?;
            if let Some(open) = self.shared.circuit.open().await {
                return Err(refused_by(open));
            }
            tries += 1;
            let failure = match self.once(request, prompt, price, begin).await {
                Ok(answer) => return Ok(answer),
                Err(Ended::Refused(refused)) => return Err(refused),
                Err(Ended::Failed(failure)) => failure,
            };
            tracing::debug!(model = request.model, tries, seen = ?failure.seen, "a call to a model failed");
            let after = match retry::verdict(&failure.seen) {
                Verdict::Again(after) => after,
                other @ (Verdict::Down(_)
                | Verdict::Cap(_)
                | Verdict::Key
                | Verdict::Request
                | Verdict::TooLong
                | Verdict::Nonsense) => return Err(self.refusal(other, failure.what).await),
            };
            let wait = retry::wait(patience.wait, tries, after, self.seed());
            if tries >= patience.tries || Instant::now() + wait >= begin {
                let what = format!("{} ({tries} tries)", failure.what);
                return Err(self.refusal(Verdict::Down(after), what).await);
            }
            self.shared.retries.fetch_add(1, Ordering::Relaxed);
            if tries == 1 {
                // Once a call: whoever waits for it knows why.
                let (most, time) = (patience.tries, patience.begin.as_secs());
                let what = &failure.what;
                tracing::warn!(
                    "the provider failed, and is tried again, {most} times and {time} s at most: {what}"
                );
            }
            sleep(wait).await;
        }
    }

    /// One try: money first, then the call, then what it cost.
    async fn once(
        &self,
        request: &Request,
        prompt: &Measured,
        price: &Price,
        begin: Instant,
    ) -> Result<Answer, Ended> {
        let mut bound = self.history().bound(prompt);
        let mut reserved = self.reserve(request, bound, price).await;
        if matches!(reserved, Err(Refused::Budget { .. })) && !bound.is_counted {
            // A token for every byte is far too many. To have them counted costs nothing but time.
            if let Some(counted) = self.count(request, prompt, begin).await {
                bound = counted;
                reserved = self.reserve(request, bound, price).await;
            }
        }
        let mut ticket = reserved.map_err(Ended::Refused)?;
        let paid = price.output_within(bound.most, ticket.amount).unwrap_or(0);
        let max_tokens = u32::try_from(paid).unwrap_or(u32::MAX).min(request.max_tokens);
        let call = match self.shared.client.wire().answer(request, max_tokens) {
            Ok(call) => call,
            Err(error) => {
                ticket.nothing().await;
                return Err(Ended::Refused(Refused::Rejected { what: error.to_string() }));
            }
        };
        ticket.max_tokens = max_tokens;
        let answered = self.shared.client.stream(call, begin, |progress| ticket.note(progress)).await;
        match answered {
            Ok(answered) => {
                let over = answered.complete.usage.and_then(|usage| overrun(&usage, max_tokens));
                let answer = self.answer(answered, prompt, price, ticket).await;
                // Some servers do not say which model answers.
                let is_named = !answer.model.is_empty();
                let model = if is_named { answer.model } else { request.model.clone() };
                let answer = Answer { model, ..answer };
                match over {
                    // It is paid, and the last one: who passes one limit holds no other.
                    Some(what) => Err(Ended::Refused(Refused::Nonsense { what })),
                    None => Ok(answer),
                }
            }
            Err(failure) => {
                match &failure.seen {
                    retry::Seen::Unsent | retry::Seen::NoKeys | retry::Seen::Status(_) => {
                        ticket.nothing().await;
                    }
                    retry::Seen::Lost
                    | retry::Seen::Cut
                    | retry::Seen::Event(_)
                    | retry::Seen::Endless
                    | retry::Seen::Nonsense => {
                        ticket.broke_off().await;
                    }
                }
                Err(Ended::Failed(failure))
            }
        }
    }

    /// Has a prompt counted by the provider; none: it does not, and the first bound stands.
    async fn count(&self, request: &Request, prompt: &Measured, begin: Instant) -> Option<Bound> {
        let call = self.shared.client.wire().count(request)?;
        let tokens = self.shared.client.count(call, begin).await.ok()?;
        self.history()
            .counted(prompt, tokens.saturating_add(tokens / COUNT_MARGIN).saturating_add(COUNT_FRAME));
        Some(self.history().bound(prompt))
    }

    /// Sets money aside. It happens in a task of its own: if no caller waits for it any more, it still ends, and gives
    /// back what it got.
    async fn reserve(&self, request: &Request, bound: Bound, price: &Price) -> Result<Ticket, Refused> {
        let floor = least_tokens(request);
        let shared = Arc::clone(self.shared);
        let patience = shared.client.patience;
        let lasts = patience.total.saturating_add(patience.begin).saturating_add(GRACE);
        let ask = Ask {
            least: price.most(bound.most, u64::from(floor)),
            most: price.most(bound.most, u64::from(request.max_tokens)),
            expires: shared.clock.now() + span(lasts),
        };
        let (purse, price) = (self.purse.clone(), price.clone());
        let account = self.account.clone();
        let under_way = UnderWay::of(&account, &shared.settling);
        let task = tokio::spawn(async move {
            Ok::<_, StoreError>(match shared.ledger.reserve(&purse, &ask).await? {
                Reserved::Granted { id, amount } => {
                    let paying = (account, under_way);
                    Ok(Ticket::new(Arc::clone(&shared), (id, amount), price, bound.likely, paying))
                }
                Reserved::Refused { level, left: _ } => Err(level),
            })
        });
        match task.await {
            Ok(Ok(Ok(ticket))) => Ok(ticket),
            Ok(Ok(Err(level))) => Err(Refused::Budget { level }),
            Ok(Err(error)) => Err(Refused::Ledger(error.to_string())),
            Err(error) => Err(Refused::Ledger(error.to_string())),
        }
    }

    async fn answer(&self, answered: Answered, prompt: &Measured, price: &Price, ticket: Ticket) -> Answer {
        let Answered { complete, request_id } = answered;
        let (usage, cost) = match complete.usage {
            Some(usage) => {
                let usage = possible(usage);
                self.history().counted(prompt, prompt_tokens(&usage));
                let Shared { client, prices, .. } = &**self.shared;
                let other = client.wire().prices_who_answers().then(|| prices.of(&complete.model)).flatten();
                let cost = other.unwrap_or(price).cost(&usage);
                ticket.metered(cost).await;
                (usage, cost)
            }
            None => (Usage::default(), ticket.broke_off().await),
        };
        Answer {
            message: complete.message,
            stop: complete.stop,
            usage,
            cost,
            model: complete.model,
            served_by: None,
            request_id,
        }
    }

    /// The result of a call that is given up.
    async fn refusal(&self, verdict: Verdict, what: String) -> Refused {
        match verdict {
            Verdict::Again(after) | Verdict::Down(after) => {
                let until = after.map(|after| self.shared.clock.now() + span(after));
                Refused::Unavailable { what, until }
            }
            Verdict::Cap(after) => {
                self.shared.circuit.trip(after.map(span)).await;
                Refused::SpendCap { what }
            }
            Verdict::Key => Refused::Unauthorized { what },
            Verdict::Request => Refused::Rejected { what },
            Verdict::TooLong => Refused::TooLong { what },
            Verdict::Nonsense => Refused::Nonsense { what },
        }
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Differs from run to run.
    fn seed(&self) -> u64 {
        self.purse
            .run
            .as_str()
            .bytes()
            .fold(0, |seed, byte| seed.wrapping_mul(31).wrapping_add(u64::from(byte)))
    }
}

/// Tells the circuit how a call ended, as far as that says anything of the provider.
async fn tell(admitted: Admitted, result: &Result<Answer, Refused>) {
    match result {
        Ok(_) => admitted.succeeded().await,
        Err(Refused::Unavailable { .. } | Refused::Nonsense { .. }) => admitted.failed().await,
        // It has opened it.
        Err(Refused::SpendCap { .. }) => admitted.tripped(),
        Err(
            Refused::Budget { .. }
            | Refused::Halted(_)
            | Refused::NotAllowed(_)
            | Refused::Unauthorized { .. }
            | Refused::Rejected { .. }
            | Refused::TooLong { .. }
            | Refused::Ledger(_)
            | Refused::Drift { .. },
        ) => {}
    }
}

fn refused_by(open: Open) -> Refused {
    match open.why {
        Why::Cap => Refused::SpendCap { what: "it is not asked again before its circuit closes".to_owned() },
        Why::Failures => Refused::Unavailable {
            what: "it has failed too often, and is not asked for a while".to_owned(),
            until: Some(open.until),
        },
    }
}

/// An answer with fewer tokens would be of no use: what thinking may take comes on top.
fn least_tokens(request: &Request) -> u32 {
    let thinking = request.thinking.as_ref().and_then(|thinking| thinking.get("budget_tokens")?.as_u64());
    let thinking = u32::try_from(thinking.unwrap_or(0)).unwrap_or(u32::MAX);
    LEAST_TOKENS.saturating_add(thinking).min(request.max_tokens)
}

/// All of a prompt, whatever caches did with it.
fn prompt_tokens(usage: &Usage) -> u64 {
    [usage.input, usage.cache_read, usage.cache_write_5m, usage.cache_write_1h]
        .into_iter()
        .fold(0, u64::saturating_add)
}

fn span(duration: Duration) -> Span {
    Span(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX))
}
