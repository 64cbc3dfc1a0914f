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
mod violation;

use std::io::Read as _;

use flate2::read::GzDecoder;
pub use violation::{ContractError, Exchange, Part, Violation};

use holes::HOLES;

/// GitHub's OpenAPI document, cut and packed.
const OPENAPI: &[u8] = include_bytes!("../data/github-openapi.json.gz");
/// GitHub's GraphQL schema, cut.
const GRAPHQL: &str = include_str!("../data/github.graphql");
/// The one path of GraphQL.
const GRAPHQL_PATH: &str = "/graphql";

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
