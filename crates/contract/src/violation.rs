//! The types of exchanges with a forge, and of violations of its contract.

use std::fmt;

use serde_json::Value;

/// The reason why a contract cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ContractLoadError {
    /// The compressed document cannot be read.
    #[error("github-openapi.json.gz: {0} (make it again with `cargo xtask contract`)")]
    BundledDocument(#[from] std::io::Error),
    /// The document is not JSON.
    #[error("github-openapi.json.gz: {0} (make it again with `cargo xtask contract`)")]
    NotJson(#[from] serde_json::Error),
    /// The OpenAPI document is invalid.
    #[error("github-openapi.json.gz: {0}")]
    Openapi(String),
    /// A document of the folder beside the checkout cannot be read.
    #[error("{path}: {reason} (is the folder whole?)")]
    LocalDocument {
        path: String,
        /// A description of the problem.
        reason: String,
    },
    /// The GraphQL schema is invalid.
    #[error("github.graphql: {0}")]
    Graphql(String),
}

/// One HTTP request and its response.
#[derive(Clone, Copy, Debug)]
pub struct WireExchange<'a> {
    /// The method, such as `GET`.
    pub method: &'a str,
    /// Path and query of the address.
    pub target: &'a str,
    /// JSON of the request.
    pub request_body: Option<&'a Value>,
    /// Status and JSON of the response; `None` if there is no response.
    pub response: Option<(u16, Option<&'a Value>)>,
}

/// The part of an exchange that a violation is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum ExchangePart {
    /// Method, path, query or body of the request.
    Request,
    /// The status of the response.
    Status(u16),
    /// The body of a response with this status.
    ResponseBody(u16),
}

/// A deviation from the described contract.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ContractViolation {
    /// The operation's name in the document: `GET /user`, or `POST /graphql`.
    pub operation: String,
    pub part: ExchangePart,
    /// The location in the request or response: a JSON pointer in which `*` replaces every index.
    pub location: String,
    /// A description of the problem.
    pub description: String,
}

impl fmt::Display for ContractViolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { operation, part, location, description } = self;
        match part {
            ExchangePart::Request => write!(f, "{operation}: request {location}: {description}"),
            ExchangePart::Status(status) => write!(f, "{operation}: status {status}: {description}"),
            ExchangePart::ResponseBody(status) => {
                write!(f, "{operation}: answer {status} {location}: {description}")
            }
        }
    }
}
