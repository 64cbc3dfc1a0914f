//! The native runtime: a model's turns inside limits of money, turns, time and permission.
//!
//! [`run`] asks, calls the tools that the model wants, and asks again, until the model has reported (its findings, or what else [`Form`] says) or a
//! limit ends it. It decides nothing about a change: what the model says is data that [`crate::schema`] checks. At a
//! limit the model is asked once for what it has, so that the partial result is not lost.

mod brief;
mod ended;
pub(crate) mod turns;
mod window;

#[cfg(test)]
mod tests;

use truing_model::gateway::Model;

use crate::schema::Items;

pub use brief::{
    ANSWER, Brief, Form, Limits, MAX_CALLS, MAX_CALLS_AT_ONCE, MAX_DENIALS, Output, TIME, TURNS, Tools,
    WINDOW,
};
pub use ended::{End, Limit, Ran};

/// Lets a model work until it has reported, or a limit ends it. Dropping the future ends it at once.
#[truing_core::boxed_future]
pub async fn run(model: &dyn Model, tools: &dyn Tools, brief: &Brief, limits: &Limits) -> Ran {
    run_for::<Items>(model, tools, brief, limits).await
}

/// The same, for a report of another form than findings.
pub async fn run_for<F: Form>(
    model: &dyn Model,
    tools: &dyn Tools,
    brief: &Brief,
    limits: &Limits,
) -> Ran<F> {
    run_judged(model, tools, brief, limits, |_: &F| None).await
}

/// The same, for a report that has to hold. `judge` looks at all of it and says what is wrong, in words for the model,
/// which is told once; what it says after that is taken as it is, for the caller to judge again.
pub async fn run_judged<F: Form>(
    model: &dyn Model,
    tools: &dyn Tools,
    brief: &Brief,
    limits: &Limits,
    judge: impl Fn(&F) -> Option<String> + Send,
) -> Ran<F> {
    let mut turns = turns::Turns::new(model, tools, (brief, *limits), judge);
    let end = tokio::time::timeout(limits.time, turns.all()).await;
    turns.ended(end.unwrap_or(End::Limit(Limit::Time))).await
}
