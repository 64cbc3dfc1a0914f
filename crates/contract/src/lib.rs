//! What forges publish of their APIs, and what checks exchanges with the fake forge against it. GitHub's is cut down to the
//! calls that are made (`data/`); those of both Bitbuckets (`bitbucket`) are read from a folder beside the checkout. For tests alone: the program has nothing of it.
//!
//! A request is right if the call exists, the query has known fields, and the body fits the schema and has no field
//! that the schema does not name, also where it would allow others. An answer is right if its status is one of the
//! call's, and its body fits, without other fields too. What the documents lack is on a list with the reasons
//! (`holes`).

mod bitbucket;
mod graphql;
mod holes;
mod openapi;
mod schema;
mod violation;

use std::io::Read as _;

use flate2::read::GzDecoder;
pub use violation::{ContractError, ContractViolation, ExchangePart, WireExchange};

use bitbucket::UndescribedCall;
use holes::{ContractExemption, HOLES};

/// GitHub's OpenAPI document, cut and packed.
const OPENAPI: &[u8] = include_bytes!("../data/github-openapi.json.gz");
/// GitHub's GraphQL schema, cut.
const GRAPHQL: &str = include_str!("../data/github.graphql");
/// The one path of GraphQL.
const GRAPHQL_PATH: &str = "/graphql";

/// What exchanges are checked against.
#[derive(Debug)]
pub struct ForgeContract {
    /// What all calls' addresses begin with, and the document leaves out.
    base: &'static str,
    rest: openapi::OpenapiDocument,
    graphql: Option<graphql::GraphqlDocument>,
    holes: &'static [ContractExemption],
    /// Calls of the forge that the document does not have.
    undescribed: &'static [UndescribedCall],
}

impl ForgeContract {
    /// GitHub's.
    ///
    /// # Errors
    /// [`ContractError`] if the documents are damaged.
    pub fn github() -> Result<Self, ContractError> {
        let mut text = String::new();
        GzDecoder::new(OPENAPI).read_to_string(&mut text)?;
        Ok(Self {
            base: "",
            rest: openapi::OpenapiDocument::new(serde_json::from_str(&text)?, true)?,
            graphql: Some(graphql::GraphqlDocument::new(GRAPHQL)?),
            holes: HOLES,
            undescribed: &[],
        })
    }

    /// Bitbucket Cloud's; none if the folder beside the checkout that has it is not there.
    ///
    /// # Errors
    /// [`ContractError`] if the document is damaged.
    pub fn bitbucket_cloud() -> Result<Option<Self>, ContractError> {
        bitbucket::cloud()
    }

    /// Bitbucket Data Center's; none if the folder beside the checkout that has it is not there.
    ///
    /// # Errors
    /// [`ContractError`] if the document is damaged.
    pub fn bitbucket_data_center() -> Result<Option<Self>, ContractError> {
        bitbucket::data_center()
    }

    /// The calls that are described, as `GET /user`.
    pub fn operations(&self) -> impl Iterator<Item = &str> {
        self.rest.operations()
    }

    /// What is wrong with an exchange, and no hole excuses. Nothing is known of calls that the document does not have.
    pub fn check(&self, exchange: &WireExchange<'_>) -> Vec<ContractViolation> {
        let path = exchange.target.strip_prefix(self.base).unwrap_or(exchange.target);
        if self.undescribed.iter().any(|call| call.is(exchange.method, path)) {
            return Vec::new();
        }
        let mut found = self.violations(exchange);
        found.retain(|violation| !self.holes.iter().any(|hole| hole.excuses(violation)));
        found
    }

    /// What is wrong with an exchange.
    fn violations(&self, exchange: &WireExchange<'_>) -> Vec<ContractViolation> {
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
