//! Section `forge.NAME` of the configuration.

use std::time::Duration;

use truing_core::id::AccountId;
use truing_core::port::{ForgeKind, HaltPolicy};

use super::login::ForgeLogin;
use super::secret::SecretSource;

/// Section `forge.NAME` of the configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ForgeConfig {
    /// Kind of the forge.
    pub kind: ForgeKind,
    /// Address of the forge's REST API, without a slash at the end.
    pub api_url: String,
    /// Address of the forge's git repositories, without a slash at the end.
    pub git_url: String,
    /// Credentials for both addresses.
    pub login: ForgeLogin,
    /// E-mail address of the account; required for an API token of Bitbucket Cloud.
    pub email: Option<String>,
    /// Account to which a Bitbucket Cloud token belongs. Required only if the token may not query this
    /// account.
    pub account: Option<String>,
    /// Accounts that wrote Truing's earlier comments, by id or name. For Bitbucket Cloud, only ids are valid.
    pub previous_accounts: Vec<String>,
    /// Accounts whose commands count while the token may not read who has write access.
    pub command_accounts: Vec<AccountId>,
    /// Secret with which the forge signs its webhooks.
    pub webhook_secret: SecretSource,
    /// Handling of the forge's webhooks while the kill switch is on. `None` selects the default for this kind
    /// of forge.
    pub halt_policy: Option<HaltPolicy>,
    /// Key with which Truing signs its markers. If it is `None`, Truing uses the file `marker.key` in the
    /// database's folder, and creates this file if it does not exist.
    pub marker_key: Option<SecretSource>,
    /// Keys with which Truing signed markers earlier.
    pub previous_marker_keys: Vec<SecretSource>,
    /// Time for which a new object may be missing in the forge's responses. If the response to a create
    /// request was lost, Truing waits this long before it searches for the object.
    pub visibility_delay: Duration,
    /// Globs of the repositories to review. If the list is empty, all repositories are reviewed.
    /// [`crate::value::compile_repository_globs`] compiles the globs.
    pub repositories: Vec<String>,
    /// Globs of branches whose tips may contain a configuration file, in addition to the default branch.
    /// [`crate::value::compile_globs`] compiles the globs.
    pub config_branches: Vec<String>,
    /// True if the forge's API creates commits, in place of pushes.
    pub commits_by_api: bool,
    /// Private SSH key that signs the commits that are pushed.
    pub signing_key: Option<SecretSource>,
}
