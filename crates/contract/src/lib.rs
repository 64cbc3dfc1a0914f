//! What GitHub publishes of its API, cut down to the calls that are made (`data/`), and what checks exchanges with
//! the fake forge against it. For tests alone: the program has nothing of it.
//!
//! A request is right if the call exists, the query has known fields, and the body fits the schema and has no field
//! that the schema does not name, also where it would allow others. An answer is right if its status is one of the
//! call's, and its body fits, without other fields too. What the documents lack is on a list with the reasons
//! (`holes`).

mod graphql;
mod holes;
mod openapi;
mod schema;

use std::fmt;
use std::io::Read as _;

use flate2::read::GzDecoder;
use serde_json::Value;

use holes::HOLES;

/// GitHub's OpenAPI document, cut and packed.
const OPENAPI: &[u8] = include_bytes!("../data/github-openapi.json.gz");
/// GitHub's GraphQL schema, cut.
const GRAPHQL: &str = include_str!("../data/github.graphql");
/// The one path of GraphQL.
const GRAPHQL_PATH: &str = "/graphql";

/// Why there is nothing to check against.
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
    /// The schema is not as expected.
    #[error("github.graphql: {0}")]
    Graphql(String),
}

/// One call as it went over the wire.
#[derive(Clone, Copy, Debug)]
pub struct Exchange<'a> {
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
pub enum Part {
    /// Method, path, query, body.
    Request,
    /// The status.
    Status(u16),
    /// The body that came with this status.
    Answer(u16),
}

/// What is not as described.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Violation {
    /// `GET /user`, as the document writes it; `POST /graphql`.
    pub operation: String,
    /// Where.
    pub part: Part,
    /// The place in it, as a JSON pointer with `*` for every index.
    pub place: String,
    /// What is wrong with it.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { operation, part, place, what } = self;
        match part {
            Part::Request => write!(f, "{operation}: request {place}: {what}"),
            Part::Status(status) => write!(f, "{operation}: status {status}: {what}"),
            Part::Answer(status) => write!(f, "{operation}: answer {status} {place}: {what}"),
        }
    }
}

/// What exchanges are checked against.
#[derive(Debug)]
pub struct Contract {
    rest: openapi::Document,
    graphql: graphql::Document,
}

impl Contract {
    /// GitHub's.
    ///
    /// # Errors
    /// [`ContractError`] if the documents are damaged.
    pub fn github() -> Result<Self, ContractError> {
        let mut text = String::new();
        GzDecoder::new(OPENAPI).read_to_string(&mut text)?;
        Ok(Self {
            rest: openapi::Document::new(serde_json::from_str(&text)?)?,
            graphql: graphql::Document::new(GRAPHQL)?,
        })
    }

    /// The calls that are described, as `GET /user`.
    pub fn operations(&self) -> impl Iterator<Item = &str> {
        self.rest.operations()
    }

    /// What is wrong with an exchange, and no hole excuses.
    pub fn check(&self, exchange: &Exchange<'_>) -> Vec<Violation> {
        let mut found = self.violations(exchange);
        found.retain(|violation| !HOLES.iter().any(|hole| hole.excuses(violation)));
        found
    }

    /// What is wrong with an exchange.
    fn violations(&self, exchange: &Exchange<'_>) -> Vec<Violation> {
        let mut found = if exchange.target == GRAPHQL_PATH {
            self.graphql.check(exchange)
        } else {
            self.rest.check(exchange)
        };
        found.sort();
        found.dedup();
        found
    }
}
