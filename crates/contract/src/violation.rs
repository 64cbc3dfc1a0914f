//! Exchanges, and what is wrong with them.

use std::fmt;

use serde_json::Value;

/// The reason why there is nothing to check against.
#[derive(Debug, thiserror::Error)]
pub enum ContractError {
    /// The packed document cannot be read.
    #[error("github-openapi.json.gz: {0} (make it again with `cargo xtask contract`)")]
    Packed(#[from] std::io::Error),
    /// The document is no JSON.
    #[error("github-openapi.json.gz: {0} (make it again with `cargo xtask contract`)")]
    Json(#[from] serde_json::Error),
    /// The document is not as expected.
    #[error("github-openapi.json.gz: {0}")]
    Openapi(String),
    /// A document of the folder beside the checkout cannot be read.
    #[error("{path}: {why} (is the folder whole?)")]
    Beside {
        /// The document.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// The schema is not as expected.
    #[error("github.graphql: {0}")]
    Graphql(String),
}

/// One call as it went over the wire.
#[derive(Clone, Copy, Debug)]
pub struct WireExchange<'a> {
    /// `GET`, …
    pub method: &'a str,
    /// Path and query.
    pub target: &'a str,
    /// The request's JSON.
    pub request: Option<&'a Value>,
    /// Status and JSON of the answer; none if there was none.
    pub answer: Option<(u16, Option<&'a Value>)>,
}

/// The part of an exchange.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum ExchangePart {
    /// Method, path, query, body.
    Request,
    /// The status.
    Status(u16),
    /// The body that came with this status.
    Answer(u16),
}

/// Something that is not as described.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ContractViolation {
    /// `GET /user`, as the document writes it; `POST /graphql`.
    pub operation: String,
    /// Where.
    pub part: ExchangePart,
    /// The place in it, as a JSON pointer with `*` for every index.
    pub place: String,
    /// The fault in it.
    pub what: String,
}

impl fmt::Display for ContractViolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { operation, part, place, what } = self;
        match part {
            ExchangePart::Request => write!(f, "{operation}: request {place}: {what}"),
            ExchangePart::Status(status) => write!(f, "{operation}: status {status}: {what}"),
            ExchangePart::Answer(status) => write!(f, "{operation}: answer {status} {place}: {what}"),
        }
    }
}
