//! Clients of the fake forge, for every kind of forge.

use std::sync::Arc;
use std::time::Duration;

use truing_core::id::{AccountId, TimeSpan};
use truing_core::port::Clock;
use truing_fakes::forge::ForgeFlavour;
use truing_forge::bitbucket::{BitbucketCloud, BitbucketDataCenter, BitbucketOptions};
use truing_forge::capability::MarkerSyntax;
use truing_forge::github::{GitHub, GitHubCredentials, GitHubOptions};
use truing_forge::marker::MarkerKeys;
use truing_forge::remote::CommitOptions;
use truing_forge::{AnyForgeServer, HttpTimeouts, SecretString};

use crate::support::watch::{EMAIL, Watched};

/// The identity with which a client logs in to any kind of forge.
#[derive(Clone)]
pub(crate) struct Login {
    /// The name of the forge: `NAME` in `[forge.NAME]`.
    pub(crate) name: &'static str,
    pub(crate) token: &'static str,
    pub(crate) markers: MarkerKeys,
    pub(crate) settle: TimeSpan,
    /// Accounts whose commands count while the token may not read who has write access.
    pub(crate) command_accounts: Vec<AccountId>,
}

impl Login {
    /// Makes the options for a GitHub at this address.
    pub(crate) fn github(&self, url: &str) -> GitHubOptions {
        GitHubOptions {
            name: self.name.into(),
            api_url: url.parse().unwrap(),
            git_url: url.parse().unwrap(),
            credentials: GitHubCredentials::Token(SecretString::new(self.token)),
            previous_accounts: Vec::new(),
            command_accounts: self.command_accounts.clone(),
            marker_keys: self.markers.clone(),
            settle_delay: self.settle,
            commits: CommitOptions::default(),
        }
    }

    /// Makes the options for a Bitbucket with its API and its repositories at these addresses.
    fn bitbucket(&self, (api, git): (&str, &str), is_cloud: bool) -> BitbucketOptions {
        BitbucketOptions {
            name: self.name.into(),
            api_url: api.parse().unwrap(),
            git_url: git.parse().unwrap(),
            token: SecretString::new(self.token),
            email: is_cloud.then(|| EMAIL.to_owned()),
            account_uuid: None,
            workspaces: Vec::new(),
            previous_accounts: Vec::new(),
            command_accounts: self.command_accounts.clone(),
            marker_keys: self.markers.clone().with_marker_syntax(MarkerSyntax::LinkReference),
            settle_delay: self.settle,
            commits: CommitOptions::default(),
        }
    }
}

/// Timeouts for a busy machine, without a pause before a retry.
pub(crate) fn patience() -> HttpTimeouts {
    HttpTimeouts {
        connect: Duration::from_secs(30),
        read: Duration::from_secs(60),
        total: Duration::from_secs(120),
        retry_delay: Duration::from_millis(1),
    }
}

impl Watched {
    /// Makes a client of this forge.
    pub(crate) fn client(&self, login: &Login, clock: Arc<dyn Clock>) -> AnyForgeServer {
        let url = self.base_url();
        match self.flavour() {
            ForgeFlavour::GitHub => {
                GitHub::with_timeouts(login.github(url), patience(), clock).unwrap().into()
            }
            ForgeFlavour::Cloud => {
                let options = login.bitbucket((&format!("{url}/2.0"), url), true);
                BitbucketCloud::with_timeouts(options, patience(), clock).unwrap().into()
            }
            ForgeFlavour::DataCenter => {
                let options = login.bitbucket((url, &format!("{url}/scm")), false);
                BitbucketDataCenter::with_timeouts(options, patience(), clock).unwrap().into()
            }
        }
    }
}
