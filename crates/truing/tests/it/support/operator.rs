//! Provides the operator's configuration for each kind of fake forge.

use truing_fakes::forge::{ForgeFlavour, LoggedCall};

use crate::support::watch::{EMAIL, Watched};

impl Watched {
    /// Checks that every API request so far, including reads, names the run to which it belongs.
    pub(crate) fn assert_calls_in_runs(&self) {
        let calls = self.request_log();
        let unnamed = calls.iter().filter(|call| call.review_id.is_none() && !call.path.contains(".git/"));
        assert_eq!(unnamed.collect::<Vec<_>>(), Vec::<&LoggedCall>::new());
    }

    /// Returns the name of the forge in `[forge.NAME]`.
    pub(crate) fn forge_name(&self) -> &'static str {
        match self.flavour() {
            ForgeFlavour::GitHub => "github",
            ForgeFlavour::Cloud => "bitbucket",
            ForgeFlavour::DataCenter => "bitbucket-dc",
        }
    }

    /// Returns the configuration section of the forge, in which `settle` is zero.
    pub(crate) fn operator_config(&self) -> String {
        let (name, url) = (self.forge_name(), self.base_url());
        let (api, git, more) = match self.flavour() {
            ForgeFlavour::GitHub => ("", "", String::new()),
            ForgeFlavour::Cloud => ("/2.0", "", format!("email = \"{EMAIL}\"\n")),
            ForgeFlavour::DataCenter => ("", "/scm", String::new()),
        };
        format!("[forge.{name}]\napi_url = \"{url}{api}\"\ngit_url = \"{url}{git}\"\n{more}settle = \"0s\"\n")
    }

    /// Returns the names of the environment variables for the token and for the webhook secret.
    pub(crate) fn secret_variables(&self) -> [&'static str; 2] {
        match self.flavour() {
            ForgeFlavour::GitHub => ["GITHUB_TOKEN", "GITHUB_WEBHOOK_SECRET"],
            ForgeFlavour::Cloud | ForgeFlavour::DataCenter => ["BITBUCKET_TOKEN", "BITBUCKET_WEBHOOK_SECRET"],
        }
    }

    /// Returns the role that the bot account needs to check another user's write permission.
    pub(crate) fn lookup_permission(&self) -> &'static str {
        match self.flavour() {
            ForgeFlavour::GitHub | ForgeFlavour::DataCenter => "write",
            ForgeFlavour::Cloud => "admin",
        }
    }
}
