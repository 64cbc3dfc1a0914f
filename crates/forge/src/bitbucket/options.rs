//! The options of a Bitbucket client, and the errors for invalid options.

use truing_core::id::{AccountId, TimeSpan};
use truing_git::SecretString;
use url::Url;

use crate::http::HttpClientError;
use crate::marker::MarkerKeys;
use crate::remote::CommitOptions;

/// The address of one server, and the login and settings for this server.
#[derive(Clone, Debug)]
pub struct BitbucketOptions {
    /// `NAME` of `[forge.NAME]`, which is part of every marker.
    pub name: String,
    /// Root address of the REST API. Cloud: `https://api.bitbucket.org/2.0`. Data Center: the address of the
    /// server, which may have a path.
    pub api_url: Url,
    /// Root address for git over HTTP. Cloud: `https://bitbucket.org`. Data Center: the address of the
    /// server, followed by `/scm`.
    pub git_url: Url,
    /// Token that authenticates Truing.
    pub token: SecretString,
    /// E-mail address of the account, for an API token of Bitbucket Cloud; `None` for an access token.
    pub email: Option<String>,
    /// UUID of Truing's account at Cloud. Required for an access token, which is not permitted to read the
    /// UUID from Bitbucket.
    pub account_uuid: Option<String>,
    /// Workspaces of an access token at Cloud. Such a token is not permitted to list its workspaces.
    pub workspaces: Vec<String>,
    /// Former accounts of Truing: their ids, which no other account can get, or their names (Data Center
    /// only).
    pub previous_accounts: Vec<String>,
    /// Accounts whose commands count while the token may not read who has write access.
    pub command_accounts: Vec<AccountId>,
    /// Keys that sign the markers.
    pub marker_keys: MarkerKeys,
    /// Maximum time until the forge shows a new comment. This time is needed if the response to the create
    /// request was lost.
    pub settle_delay: TimeSpan,
    pub commits: CommitOptions,
}

/// The reason why no client can be built from the options.
#[derive(Debug, thiserror::Error)]
pub enum BitbucketOptionsError {
    /// The address is not valid for requests.
    #[error("forge.{name}: {url} must be an http or https address, without user name and password")]
    Url {
        /// Name of the forge in the configuration.
        name: String,
        /// Address of the server, without credentials.
        url: Url,
    },
    /// The HTTP client could not be built.
    #[error("forge.{name}: {cause}")]
    Client {
        /// Name of the forge in the configuration.
        name: String,
        cause: HttpClientError,
    },
}
