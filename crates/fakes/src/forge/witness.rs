//! Who looks at every exchange: tests, which compare it with what GitHub publishes.

use serde_json::Value;

/// One call of the API as it went over the wire, git's aside.
#[derive(Clone, Copy, Debug)]
pub struct ApiExchange<'a> {
    /// `GET`, …
    pub method: &'a str,
    /// Path and query.
    pub target: &'a str,
    /// The request's JSON.
    pub request: Option<&'a Value>,
    /// Status and JSON of the answer, also of one that was lost; none if a fault came in its place.
    pub answer: Option<(u16, Option<&'a Value>)>,
}

/// Somebody who looks at every exchange.
pub trait ExchangeObserver: Send + Sync {
    /// Looks at one; what is wrong with it becomes a violation.
    fn saw(&self, exchange: &ApiExchange<'_>) -> Vec<String>;
}
