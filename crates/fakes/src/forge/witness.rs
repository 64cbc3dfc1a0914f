//! Observers of API exchanges. Tests use observers to compare exchanges with the published API descriptions
//! of the forges.

use serde_json::Value;

/// One API call and its response. Git's requests are not observed.
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
    pub response: Option<(u16, Option<&'a Value>)>,
}

/// An observer of all API exchanges.
pub trait ExchangeObserver: Send + Sync {
    /// Checks one exchange and returns the problems. Each problem is recorded as a violation.
    fn observe_exchange(&self, exchange: &ApiExchange<'_>) -> Vec<String>;
}
