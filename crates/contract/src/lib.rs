//! Published descriptions of the forges' APIs, and the checks of exchanges with the fake forge against them.
//! GitHub's descriptions are in `data/`, reduced to the requests that Truing makes. The descriptions of both
//! Bitbuckets (`bitbucket`) are read from a folder beside the checkout. The crate is only for tests and not
//! part of the program.
//!
//! A request is valid if its operation exists, the query has known fields, and the body fits the schema. The
//! body must have no field that the schema does not name, even if the schema would allow others. A response
//! is valid if the operation describes its status, and if its body fits the schema and has no other fields.
//! Gaps of the documents are listed with their reasons (`holes`).

mod bitbucket;
mod exemptions;
mod graphql;
mod openapi;
mod schema;
mod violation;

use std::io::Read as _;

use flate2::read::GzDecoder;
pub use violation::{ContractError, ContractViolation, ExchangePart, WireExchange};

use bitbucket::UndescribedCall;
use exemptions::{ContractExemption, HOLES};

/// GitHub's OpenAPI document, cut and packed.
const OPENAPI: &[u8] = include_bytes!("../data/github-openapi.json.gz");
/// GitHub's GraphQL schema, cut to the used types.
const GRAPHQL: &str = include_str!("../data/github.graphql");
/// The only path of GraphQL requests.
const GRAPHQL_PATH: &str = "/graphql";

/// The descriptions that exchanges are checked against.
#[derive(Debug)]
pub struct ForgeContract {
    /// The prefix of all addresses, which the document leaves out.
    base: &'static str,
    rest: openapi::OpenapiDocument,
    graphql: Option<graphql::GraphqlSchema>,
    exemptions: &'static [ContractExemption],
    /// Requests to the forge that the document does not describe.
    undescribed_calls: &'static [UndescribedCall],
}

impl ForgeContract {
    /// Reads the contract of GitHub.
    ///
    /// # Errors
    /// [`ContractError`] if the documents are damaged.
    pub fn github() -> Result<Self, ContractError> {
        let mut text = String::new();
        GzDecoder::new(OPENAPI).read_to_string(&mut text)?;
        Ok(Self {
            base: "",
            rest: openapi::OpenapiDocument::new(serde_json::from_str(&text)?, true)?,
            graphql: Some(graphql::GraphqlSchema::new(GRAPHQL)?),
            exemptions: HOLES,
            undescribed_calls: &[],
        })
    }

    /// Reads the contract of Bitbucket Cloud; none if the folder beside the checkout is missing.
    ///
    /// # Errors
    /// [`ContractError`] if the document is damaged.
    pub fn bitbucket_cloud() -> Result<Option<Self>, ContractError> {
        bitbucket::cloud_contract()
    }

    /// Reads the contract of Bitbucket Data Center; none if the folder beside the checkout is missing.
    ///
    /// # Errors
    /// [`ContractError`] if the document is damaged.
    pub fn bitbucket_data_center() -> Result<Option<Self>, ContractError> {
        bitbucket::data_center_contract()
    }

    /// Returns the described operations, in the form `GET /user`.
    pub fn operations(&self) -> impl Iterator<Item = &str> {
        self.rest.operations()
    }

    /// Returns the violations in an exchange that no exemption covers. Undescribed requests are not checked.
    pub fn check(&self, exchange: &WireExchange<'_>) -> Vec<ContractViolation> {
        let path = exchange.target.strip_prefix(self.base).unwrap_or(exchange.target);
        if self.undescribed_calls.iter().any(|call| call.matches(exchange.method, path)) {
            return Vec::new();
        }
        let mut found = self.unfiltered_violations(exchange);
        found.retain(|violation| !self.exemptions.iter().any(|hole| hole.covers(violation)));
        found
    }

    /// Returns all violations in an exchange.
    fn unfiltered_violations(&self, exchange: &WireExchange<'_>) -> Vec<ContractViolation> {
        let target = exchange.target.strip_prefix(self.base).unwrap_or(exchange.target);
        let mut found = match &self.graphql {
            Some(graphql) if target == GRAPHQL_PATH => graphql.check(exchange),
            Some(_) | None => self.rest.check(&WireExchange { target, ..*exchange }),
        };
        found.sort();
        found.dedup();
        found
    }
}
