//! The forge of a demonstration: a fake forge of one kind, Truing's client, and the operator's configuration
//! for the forge.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use truing_core::id::TimeSpan;
use truing_core::port::ForgeKind;
use truing_fakes::forge::{FakeError, FakeForge, FakeForgeOptions, FakeRepo, ForgeFlavour};
use truing_forge::bitbucket::{BitbucketCloud, BitbucketDataCenter, BitbucketOptions};
use truing_forge::capability::{BITBUCKET_CLOUD, BITBUCKET_DC, WriterLookupPermission};
use truing_forge::github::{GitHub, GitHubCredentials, GitHubOptions};
use truing_forge::marker::MarkerKeys;
use truing_forge::remote::CommitOptions;
use truing_forge::{AnyForgeServer, ForgeServer as _, SecretString};
use truing_loops::machine::SystemClock;
use url::Url;

use super::{BOT_LOGIN, DemoError, FORGE_TOKEN, REPOSITORY_NAME, REPOSITORY_OWNER, setup_error};

/// A fake forge of one kind, and the addresses for the forge's client.
pub(super) struct DemoForge {
    pub(super) fake: FakeForge,
    pub(super) kind: ForgeKind,
    api_url: String,
    git_url: String,
}

impl DemoForge {
    /// Starts a forge of this kind that accepts the demonstration's token.
    pub(super) async fn start(kind: ForgeKind) -> Result<Self, FakeError> {
        let flavour = match kind {
            ForgeKind::Github => ForgeFlavour::GitHub,
            ForgeKind::Bitbucket => ForgeFlavour::Cloud,
            ForgeKind::BitbucketDc => ForgeFlavour::DataCenter,
        };
        let fake = FakeForge::start_as(flavour, FakeForgeOptions::default()).await?;
        fake.register_token(FORGE_TOKEN, BOT_LOGIN);
        let base = fake.base_url();
        let (api_url, git_url) = match kind {
            ForgeKind::Github => (base.to_owned(), base.to_owned()),
            ForgeKind::Bitbucket => (format!("{base}/2.0"), base.to_owned()),
            ForgeKind::BitbucketDc => (base.to_owned(), format!("{base}/scm")),
        };
        Ok(Self { fake, kind, api_url, git_url })
    }

    /// Returns the name of the forge in the configuration.
    pub(super) fn name(&self) -> &'static str {
        self.kind.as_str()
    }

    /// Returns the email address of the API token, for the kind of forge that needs one.
    fn token_email(&self) -> Option<&'static str> {
        match self.kind {
            ForgeKind::Bitbucket => Some("truing@example.com"),
            ForgeKind::Github | ForgeKind::BitbucketDc => None,
        }
    }

    /// Returns the client of the forge. The client stores its marker key in `folder`.
    pub(super) fn client(&self, folder: &Path, settle_delay: TimeSpan) -> Result<AnyForgeServer, DemoError> {
        let markers = MarkerKeys::load_or_create(&folder.join("marker.key")).map_err(setup_error)?;
        let clock = Arc::new(SystemClock);
        let api_url = Url::parse(&self.api_url).map_err(setup_error)?;
        let git_url = Url::parse(&self.git_url).map_err(setup_error)?;
        let name = self.name().to_owned();
        let bitbucket = |markers, (api_url, git_url)| BitbucketOptions {
            name: self.name().to_owned(),
            api_url,
            git_url,
            token: SecretString::new(FORGE_TOKEN),
            email: self.token_email().map(str::to_owned),
            account_uuid: None,
            workspaces: Vec::new(),
            previous_accounts: Vec::new(),
            command_accounts: Vec::new(),
            marker_keys: markers,
            settle_delay,
            commits: CommitOptions::default(),
        };
        match self.kind {
            ForgeKind::Github => {
                let credentials = GitHubCredentials::Token(SecretString::new(FORGE_TOKEN));
                let options = GitHubOptions {
                    name,
                    api_url,
                    git_url,
                    credentials,
                    previous_accounts: Vec::new(),
                    command_accounts: Vec::new(),
                    marker_keys: markers,
                    settle_delay,
                    commits: CommitOptions::default(),
                };
                GitHub::new(options, clock).map(AnyForgeServer::from).map_err(setup_error)
            }
            ForgeKind::Bitbucket => {
                let options =
                    bitbucket(markers.with_marker_syntax(BITBUCKET_CLOUD.marker_syntax), (api_url, git_url));
                BitbucketCloud::new(options, clock).map(AnyForgeServer::from).map_err(setup_error)
            }
            ForgeKind::BitbucketDc => {
                let options =
                    bitbucket(markers.with_marker_syntax(BITBUCKET_DC.marker_syntax), (api_url, git_url));
                BitbucketDataCenter::new(options, clock).map(AnyForgeServer::from).map_err(setup_error)
            }
        }
    }

    /// Grants the account the permission to look up which users may write to the repository. Commands in
    /// comments require this permission.
    pub(super) async fn grant_permission_lookup(
        &self,
        server: &AnyForgeServer,
        repo: &FakeRepo,
    ) -> Result<(), FakeError> {
        match server.capability().writer_lookup_permission {
            WriterLookupPermission::Admin => repo.set_role(BOT_LOGIN, "admin").await,
            WriterLookupPermission::Write | WriterLookupPermission::AnyUserLogin => Ok(()),
        }
    }

    /// Returns the operator's file for commands that inspect a running demonstration.
    pub(super) fn operator_config(&self, folder: &Path, service_address: SocketAddr) -> String {
        let (folder, name) = (folder.display(), self.name());
        let kind = match self.kind {
            // A forge named `github` has the kind `github` by default.
            ForgeKind::Github => String::new(),
            ForgeKind::Bitbucket | ForgeKind::BitbucketDc => format!("kind = \"{name}\"\n"),
        };
        let email = self.token_email().map(|email| format!("email = \"{email}\"\n")).unwrap_or_default();
        format!(
            "[store]\nurl = \"sqlite:{folder}/truing.db\"\n[server]\nlisten \
             = \"{service_address}\"\n[forge.{name}]\n{kind}{email}api_url = \"{}\"\ngit_url = \
             \"{}\"\ntoken = {{ \
             file = \"{folder}/token\" }}\n",
            self.api_url, self.git_url
        )
    }

    /// Returns the URL of the pull requests' page, which a browser can open without a token.
    pub(super) fn pulls_url(&self) -> String {
        let base = self.fake.base_url();
        match self.kind {
            ForgeKind::Github => github_pulls_url(base),
            ForgeKind::Bitbucket => format!("{base}/{REPOSITORY_OWNER}/{REPOSITORY_NAME}/pull-requests"),
            ForgeKind::BitbucketDc => {
                format!("{base}/projects/{REPOSITORY_OWNER}/repos/{REPOSITORY_NAME}/pull-requests")
            }
        }
    }
}

/// Returns the URL of the pull requests' page of a fake GitHub.
pub(crate) fn github_pulls_url(forge_url: &str) -> String {
    format!("{forge_url}/{REPOSITORY_OWNER}/{REPOSITORY_NAME}/pulls")
}
