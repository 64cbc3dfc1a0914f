//! GraphQL calls: their address, and the meaning of their errors.

use reqwest::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use truing_core::id::TimeSpan;
use truing_core::port::ForgeError;
use url::Url;

use super::GitHub;
use super::auth::TokenScope;
use crate::http::{ForgeRequest, ForgeResponse, unavailable_error};

/// Time to wait after a GraphQL rate limit if the response contains no time.
const GRAPHQL_WAIT: TimeSpan = TimeSpan::seconds(60);

#[derive(Deserialize)]
struct GraphQlReply<T> {
    data: Option<T>,
    #[serde(default)]
    errors: Vec<GraphQlError>,
}

#[derive(Deserialize)]
struct GraphQlError {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    message: String,
}

impl GitHub {
    /// Sends a GraphQL query.
    pub(super) async fn graphql<T: DeserializeOwned>(
        &self,
        scope: TokenScope<'_>,
        purpose: &str,
        query: &str,
        variables: Value,
    ) -> Result<T, ForgeError> {
        let body = json!({ "query": query, "variables": variables });
        let call = ForgeRequest::query(purpose, graphql_url(&self.inner.options.api_url), body);
        self.send_graphql(scope, &call).await
    }

    /// Sends a GraphQL mutation. All our mutations set a value, so they can be repeated safely.
    pub(super) async fn mutate<T: DeserializeOwned>(
        &self,
        scope: TokenScope<'_>,
        purpose: &str,
        mutation: &str,
        variables: Value,
    ) -> Result<T, ForgeError> {
        let body = json!({ "query": mutation, "variables": variables });
        let url = graphql_url(&self.inner.options.api_url);
        self.send_graphql(scope, &ForgeRequest::set(purpose, Method::POST, url, Some(body))).await
    }

    async fn send_graphql<T: DeserializeOwned>(
        &self,
        scope: TokenScope<'_>,
        call: &ForgeRequest,
    ) -> Result<T, ForgeError> {
        let answer = self.send(scope, call).await?;
        self.graphql_data(&call.purpose, &answer)
    }

    fn graphql_data<T: DeserializeOwned>(&self, what: &str, answer: &ForgeResponse) -> Result<T, ForgeError> {
        let reply: GraphQlReply<T> = answer.json()?;
        if let Some(problem) = reply.errors.into_iter().next() {
            let wait = answer.quota_wait(self.inner.http.now()).unwrap_or(GRAPHQL_WAIT);
            return Err(graphql_error(what, &problem.kind, answer.clean(&problem.message), wait));
        }
        reply.data.ok_or_else(|| unavailable_error(what, "the response contains neither data nor errors"))
    }
}

/// Converts an error in a GraphQL response. GraphQL reports errors with HTTP status 200.
fn graphql_error(purpose: &str, kind: &str, message: String, wait: TimeSpan) -> ForgeError {
    let request = purpose.to_owned();
    match kind {
        "RATE_LIMITED" | "RATE_LIMIT" => ForgeError::RateLimited { request, wait },
        "NOT_FOUND" => ForgeError::NotFound { request },
        "FORBIDDEN" | "INSUFFICIENT_SCOPES" => ForgeError::Forbidden { request, message },
        "UNPROCESSABLE" => ForgeError::Rejected { request, message },
        "STALE_DATA" => ForgeError::Stale { request, message },
        _ => unavailable_error(purpose, &message),
    }
}

/// Returns the address of the GraphQL API: `/graphql` on github.com, and `/api/graphql` in place of `/api/v3`
/// on other servers.
pub(super) fn graphql_url(api: &Url) -> Url {
    let path = api.path().trim_end_matches('/');
    let root = path.strip_suffix("/api/v3").map_or_else(|| path.to_owned(), |root| format!("{root}/api"));
    let mut url = api.clone();
    url.set_query(None);
    url.set_path(&format!("{root}/graphql"));
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn graphql_is_found_on_both_kinds_of_server() {
        for (api, graphql) in [
            ("https://api.github.com", "https://api.github.com/graphql"),
            ("https://api.github.com/", "https://api.github.com/graphql"),
            ("https://git.example.com/api/v3", "https://git.example.com/api/graphql"),
            ("https://git.example.com/api/v3/?x=1", "https://git.example.com/api/graphql"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080/graphql"),
        ] {
            assert_eq!(graphql_url(&Url::parse(api).unwrap()).as_str(), graphql);
        }
    }
}
