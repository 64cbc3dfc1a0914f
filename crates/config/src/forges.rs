//! Section `forge.NAME`.

use std::time::Duration;

use truing_core::port::{ForgeKind, HaltPolicy};

use super::login::ForgeLogin;
use super::secret::SecretSource;

/// Section `forge.NAME`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ForgeConfig {
    /// The kind of forge.
    pub kind: ForgeKind,
    /// Where its REST API is, without a slash at the end.
    pub api_url: String,
    /// Where its repositories are, without a slash at the end.
    pub git_url: String,
    /// The login at both.
    pub login: ForgeLogin,
    /// The account's e-mail address, of an API token of Bitbucket Cloud.
    pub email: Option<String>,
    /// The account that a token of Bitbucket Cloud writes as, which may not ask for it.
    pub account: Option<String>,
    /// Accounts that comments were written as before: ids and names; at Bitbucket Cloud ids alone.
    pub accounts: Vec<String>,
    /// The secret of its webhooks.
    pub webhook_secret: SecretSource,
    /// The fate of its webhooks while the kill switch is on; none: its kind decides.
    pub halted: Option<HaltPolicy>,
    /// The key of the markers; none: `marker.key` beside the database, made once.
    pub marker_key: Option<SecretSource>,
    /// Keys that signed them before.
    pub previous_marker_keys: Vec<SecretSource>,
    /// The time that a create without an answer may stay unseen.
    pub settle: Duration,
    /// Globs of the repositories to review, [`crate::value::repositories`] compiles them; empty: all.
    pub repositories: Vec<String>,
    /// Globs of the branches, besides the default branch, whose tip may configure; [`crate::value::globs`] compiles them.
    pub config_branches: Vec<String>,
}
