//! Published descriptions of the forges' APIs. Tests compare the exchanges between Truing and the fake forge
//! with these descriptions. GitHub's descriptions are in `data/`, reduced to the requests that Truing makes.
//! The descriptions of both Bitbuckets (`bitbucket`) are read from a folder beside the checkout. Only tests
//! use this crate; the published program does not contain it.
//!
//! A request is valid if its operation exists, the document describes all its query parameters, and its body
//! matches the schema. The request's body must contain only fields that the schema describes, even if the
//! schema allows other fields. A response is valid if the operation describes its status, and its body
//! matches the schema and contains only described fields. Known gaps in the documents are listed with their
//! reasons (`exemptions`).

mod bitbucket;
mod exemptions;
mod graphql;
mod openapi;
mod schema;
mod violation;

use std::io::Read as _;

use flate2::read::GzDecoder;
pub use violation::{ContractLoadError, ContractViolation, ExchangePart, WireExchange};

use bitbucket::UndescribedCall;
use exemptions::{ContractExemption, GITHUB_EXEMPTIONS};

/// GitHub's OpenAPI document, reduced to the used operations, and compressed.
const GITHUB_OPENAPI_GZ: &[u8] = include_bytes!("../data/github-openapi.json.gz");
/// GitHub's GraphQL schema, reduced to the used types.
const GITHUB_GRAPHQL_SCHEMA: &str = include_str!("../data/github.graphql");
/// The path of all GraphQL requests.
const GRAPHQL_PATH: &str = "/graphql";

/// The descriptions of one forge's API, with which exchanges are compared.
#[derive(Debug)]
pub struct ForgeContract {
    /// The prefix of all paths of the API; the paths in the document do not include the prefix.
    path_prefix: &'static str,
    rest: openapi::OpenapiDocument,
    graphql: Option<graphql::GraphqlSchema>,
    exemptions: &'static [ContractExemption],
    /// Requests to the forge that the document does not describe. These requests are not checked.
    undescribed_calls: &'static [UndescribedCall],
}

impl ForgeContract {
    /// Reads the contract of GitHub.
    ///
    /// # Errors
    /// [`ContractLoadError`] if the documents are damaged.
    pub fn github() -> Result<Self, ContractLoadError> {
        let mut text = String::new();
        GzDecoder::new(GITHUB_OPENAPI_GZ).read_to_string(&mut text)?;
        Ok(Self {
            path_prefix: "",
            rest: openapi::OpenapiDocument::new(serde_json::from_str(&text)?, true)?,
            graphql: Some(graphql::GraphqlSchema::new(GITHUB_GRAPHQL_SCHEMA)?),
            exemptions: GITHUB_EXEMPTIONS,
            undescribed_calls: &[],
        })
    }

    /// Reads the contract of Bitbucket Cloud. Returns `None` if the document does not exist on this machine.
    ///
    /// # Errors
    /// [`ContractLoadError`] if the document is damaged.
    pub fn bitbucket_cloud() -> Result<Option<Self>, ContractLoadError> {
        bitbucket::cloud_contract()
    }

    /// Reads the contract of Bitbucket Data Center. Returns `None` if the document does not exist on this
    /// machine.
    ///
    /// # Errors
    /// [`ContractLoadError`] if the document is damaged.
    pub fn bitbucket_data_center() -> Result<Option<Self>, ContractLoadError> {
        bitbucket::data_center_contract()
    }

    /// Returns the described operations, in the form `GET /user`.
    pub fn operations(&self) -> impl Iterator<Item = &str> {
        self.rest.operation_names()
    }

    /// Returns the violations in an exchange, except violations that an exemption permits. An exchange whose
    /// request is listed in `undescribed_calls` is not checked.
    pub fn check(&self, exchange: &WireExchange<'_>) -> Vec<ContractViolation> {
        let path = exchange.target.strip_prefix(self.path_prefix).unwrap_or(exchange.target);
        if self.undescribed_calls.iter().any(|call| call.matches(exchange.method, path)) {
            return Vec::new();
        }
        let mut found = self.unfiltered_violations(exchange);
        found.retain(|violation| !self.exemptions.iter().any(|hole| hole.covers(violation)));
        found
    }

    /// Returns all violations in an exchange, including violations that an exemption permits.
    fn unfiltered_violations(&self, exchange: &WireExchange<'_>) -> Vec<ContractViolation> {
        let target = exchange.target.strip_prefix(self.path_prefix).unwrap_or(exchange.target);
        let mut found = match &self.graphql {
            Some(graphql) if target == GRAPHQL_PATH => graphql.check(exchange),
            Some(_) | None => self.rest.check(&WireExchange { target, ..*exchange }),
        };
        found.sort();
        found.dedup();
        found
    }
}
