//! What a client of a Bitbucket is made of, and why there is none.

use truing_core::id::TimeSpan;
use truing_git::SecretString;
use url::Url;

use crate::http::HttpClientError;
use crate::marker::MarkerKeys;

/// One server and how to speak to it.
#[derive(Clone, Debug)]
pub struct BitbucketOptions {
    /// The `NAME` of `[forge.NAME]`: part of every marker.
    pub name: String,
    /// The root of the REST API. Cloud: `https://api.bitbucket.org/2.0`. Data Center: the server's own
    /// address, which may have a path.
    pub api_url: Url,
    /// The root of git over HTTP. Cloud: `https://bitbucket.org`. Data Center: the server's address and
    /// `/scm`.
    pub git_url: Url,
    /// The token that is logged in with.
    pub token: SecretString,
    /// The account's e-mail address, for an API token of Bitbucket Cloud; none: an access token.
    pub email: Option<String>,
    /// Cloud: the UUID of our account, for an access token, which may not ask for it.
    pub account: Option<String>,
    /// Cloud: the workspaces of an access token, which may not ask for them either.
    pub workspaces: Vec<String>,
    /// Accounts that we wrote as before: ids, which nobody else can take over, or, at Data Center, names.
    pub accounts: Vec<String>,
    /// What signs markers.
    pub markers: MarkerKeys,
    /// How long a comment whose creation was not answered may stay unseen.
    pub settle: TimeSpan,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum BitbucketError {
    /// An address that requests cannot go to.
    #[error("forge.{name}: {url} is not an http or https address without user name and password")]
    Url {
        /// The forge.
        name: String,
        /// The address, without credentials.
        url: Url,
    },
    /// No HTTP client.
    #[error("forge.{name}: {cause}")]
    Client {
        /// The forge.
        name: String,
        /// Why.
        cause: HttpClientError,
    },
}
