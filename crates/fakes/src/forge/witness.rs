//! Observers of every exchange. Tests use observers to compare exchanges with the API descriptions that
//! GitHub publishes.

use serde_json::Value;

/// One call of the API and its response, as they were sent. Calls of git are not observed.
#[derive(Clone, Copy, Debug)]
pub struct ApiExchange<'a> {
    /// HTTP method: `GET`, …
    pub method: &'a str,
    /// Path and query of the call.
    pub target: &'a str,
    /// JSON of the request.
    pub request: Option<&'a Value>,
    /// Status and JSON of the response, even if the response was lost; `None` if a fault replaced the
    /// response.
    pub answer: Option<(u16, Option<&'a Value>)>,
}

/// An observer of every exchange.
pub trait ExchangeObserver: Send + Sync {
    /// Checks one exchange and returns the problems. Each problem is recorded as a violation.
    fn observe_exchange(&self, exchange: &ApiExchange<'_>) -> Vec<String>;
}
