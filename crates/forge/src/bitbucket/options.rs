//! The options of a Bitbucket client, and the errors for invalid options.

use truing_core::id::TimeSpan;
use truing_git::SecretString;
use url::Url;

use crate::http::HttpClientError;
use crate::marker::MarkerKeys;

/// The address of one server, and our login and settings on that server.
#[derive(Clone, Debug)]
pub struct BitbucketOptions {
    /// `NAME` of `[forge.NAME]`, which is part of every marker.
    pub name: String,
    /// Root of the REST API. Cloud: `https://api.bitbucket.org/2.0`. Data Center: the address of the server,
    /// which may have a path.
    pub api_url: Url,
    /// Root of git over HTTP. Cloud: `https://bitbucket.org`. Data Center: the address of the server and
    /// `/scm`.
    pub git_url: Url,
    /// Token to log in with.
    pub token: SecretString,
    /// E-mail address of the account, for an API token of Bitbucket Cloud; `None` for an access token.
    pub email: Option<String>,
    /// UUID of our account at Cloud. Required for an access token, because such a token may not request the
    /// UUID.
    pub account_uuid: Option<String>,
    /// Workspaces of an access token at Cloud. Such a token may not request the list of its workspaces.
    pub workspaces: Vec<String>,
    /// Former accounts of ours: ids, which no other account can take over, or names (Data Center only).
    pub previous_accounts: Vec<String>,
    /// Keys that sign the markers.
    pub marker_keys: MarkerKeys,
    /// Time for which a new comment may stay invisible if the response to its creation was lost.
    pub settle_delay: TimeSpan,
}

/// The error for options from which no client can be built.
#[derive(Debug, thiserror::Error)]
pub enum BitbucketOptionsError {
    /// An address that requests cannot be sent to.
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
