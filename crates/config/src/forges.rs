//! Section `forge.NAME` of the configuration.

use std::time::Duration;

use truing_core::port::{ForgeKind, HaltPolicy};

use super::login::ForgeLogin;
use super::secret::SecretSource;

/// Section `forge.NAME` of the configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ForgeConfig {
    /// Kind of the forge.
    pub kind: ForgeKind,
    /// Address of its REST API, without a slash at the end.
    pub api_url: String,
    /// Address of its repositories, without a slash at the end.
    pub git_url: String,
    /// Login for both addresses.
    pub login: ForgeLogin,
    /// E-mail address of the account, for an API token of Bitbucket Cloud.
    pub email: Option<String>,
    /// Account that a Bitbucket Cloud token belongs to. Required only if the token may not query its own
    /// account.
    pub account: Option<String>,
    /// Accounts that wrote our earlier comments, by id or name; at Bitbucket Cloud only by id.
    pub previous_accounts: Vec<String>,
    /// Secret of its webhooks.
    pub webhook_secret: SecretSource,
    /// Treatment of the forge's webhooks while the kill switch is on; `None` for the default of this kind of
    /// forge.
    pub halt_policy: Option<HaltPolicy>,
    /// Key that signs the markers. If it is `None`, the key is in the file `marker.key` beside the database;
    /// Truing creates this file once.
    pub marker_key: Option<SecretSource>,
    /// Keys that signed markers earlier.
    pub previous_marker_keys: Vec<SecretSource>,
    /// Time for which a created object may stay invisible at the forge. Truing waits this long if the
    /// response to a create request was lost.
    pub visibility_delay: Duration,
    /// Globs of the repositories to review, which [`crate::value::compile_repository_globs`] compiles; empty
    /// for all.
    pub repositories: Vec<String>,
    /// Globs of the branches, besides the default branch, whose tip may contain configuration;
    /// [`crate::value::compile_globs`] compiles them.
    pub config_branches: Vec<String>,
}
