//! Creates the clients of the configured forges. Only this module and the demonstration name the client types
//! of the different forges.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use truing_config::environment::Environment;
use truing_config::login::ForgeLogin;
use truing_config::secret::SecretSource;
use truing_config::{Config, ForgeConfig, ForgeKind, StoreLocationConfig};
use truing_core::id::TimeSpan;
use truing_forge::AnyForgeServer;
use truing_forge::bitbucket::{BitbucketCloud, BitbucketDataCenter, BitbucketOptions, BitbucketOptionsError};
use truing_forge::capability::{BITBUCKET_CLOUD, BITBUCKET_DC, MarkerSyntax};
use truing_forge::github::{AppKey, GitHub, GitHubCredentials, GitHubOptions};
use truing_forge::marker::MarkerKeys;
use truing_forge::remote::CommitOptions;
use truing_loops::machine::SystemClock;
use url::Url;

use crate::cli::error::CliError;

/// Name of the file in this machine's folder that contains the marker key.
pub(crate) const MARKER_KEY_FILE_NAME: &str = "marker.key";

/// The configuration of one forge, and the folder of its files.
struct ConfiguredForge<'a> {
    name: &'a str,
    forge: &'a ForgeConfig,
    environment: &'a Environment,
    folder: &'a Path,
    /// True if other machines also sign markers for this forge.
    is_shared: bool,
}

/// Returns the client of a forge.
///
/// # Errors
/// Returns exit 2 for an invalid configuration, and exit 3 for files that cannot be opened.
pub(super) fn forge_server(
    name: &str,
    forge: &ForgeConfig,
    config: &Config,
    environment: &Environment,
    folder: &Path,
) -> Result<AnyForgeServer, CliError> {
    let is_shared = matches!(config.store.location()?, StoreLocationConfig::Servers { .. });
    let configured = ConfiguredForge { name, forge, environment, folder, is_shared };
    let clock = Arc::new(SystemClock);
    let wrong = |error: BitbucketOptionsError| CliError::usage("forge", error.to_string());
    match forge.kind {
        ForgeKind::Github => configured.build_github().map(AnyForgeServer::from),
        ForgeKind::Bitbucket => {
            let options = configured.bitbucket_options(BITBUCKET_CLOUD.marker_syntax)?;
            BitbucketCloud::new(options, clock).map(AnyForgeServer::from).map_err(wrong)
        }
        ForgeKind::BitbucketDc => {
            let options = configured.bitbucket_options(BITBUCKET_DC.marker_syntax)?;
            BitbucketDataCenter::new(options, clock).map(AnyForgeServer::from).map_err(wrong)
        }
    }
}

impl ConfiguredForge<'_> {
    fn setting_error(&self, setting: &str, error: &dyn std::fmt::Display) -> CliError {
        CliError::usage("forge", format!("forge.{}.{setting}: {error}", self.name))
    }

    fn parse_url(&self, setting: &str, text: &str) -> Result<Url, CliError> {
        Url::parse(text).map_err(|error| self.setting_error(setting, &error))
    }

    fn read_token(&self, token: &SecretSource, hint: &str) -> Result<truing_forge::SecretString, CliError> {
        let token =
            token.read(self.environment).map_err(|error| self.setting_error("token", &error).hint(hint))?;
        Ok(truing_forge::SecretString::new(token.expose()))
    }

    fn visibility_delay(&self) -> TimeSpan {
        TimeSpan(i64::try_from(self.forge.visibility_delay.as_millis()).unwrap_or(i64::MAX))
    }

    fn build_github(&self) -> Result<GitHub, CliError> {
        let forge = self.forge;
        let credentials = match &forge.login {
            ForgeLogin::Token(token) => GitHubCredentials::Token(self.read_token(
                token,
                "use a token that may read code and write pull request comments (with `gh`: `export \
                    GITHUB_TOKEN=$(gh auth token)`); or log in as a GitHub App, with `app_id` and \
                    `private_key`",
            )?),
            ForgeLogin::App { id, key } => {
                let hint = "use the private key from the App's settings page, a file that ends in .pem";
                let wrong =
                    |error: &dyn std::fmt::Display| self.setting_error("private_key", error).hint(hint);
                let pem = key.read(self.environment).map_err(|error| wrong(&error))?;
                let key = AppKey::from_pem(pem.expose()).map_err(|error| wrong(&error))?;
                GitHubCredentials::App { id: *id, key }
            }
        };
        let options = GitHubOptions {
            name: self.name.to_owned(),
            api_url: self.parse_url("api_url", &forge.api_url)?,
            git_url: self.parse_url("git_url", &forge.git_url)?,
            credentials,
            previous_accounts: forge.previous_accounts.clone(),
            command_accounts: forge.command_accounts.clone(),
            marker_keys: self.load_marker_keys()?,
            settle_delay: self.visibility_delay(),
            commits: self.read_commit_options()?,
        };
        GitHub::new(options, Arc::new(SystemClock))
            .map_err(|error| CliError::usage("forge", error.to_string()))
    }

    /// Returns the options for Bitbucket Cloud or Bitbucket Data Center, with markers in this form.
    fn bitbucket_options(&self, marker: MarkerSyntax) -> Result<BitbucketOptions, CliError> {
        let forge = self.forge;
        let token = match &forge.login {
            ForgeLogin::Token(token) => self.read_token(
                token,
                "use an access token that may write pull requests; for Bitbucket Cloud, an API token with \
                    `email` works, too",
            )?,
            // Not reached: the configuration parser has already rejected an App login for Bitbucket.
            ForgeLogin::App { .. } => return Err(self.setting_error("app_id", &"only GitHub has Apps")),
        };
        Ok(BitbucketOptions {
            name: self.name.to_owned(),
            api_url: self.parse_url("api_url", &forge.api_url)?,
            git_url: self.parse_url("git_url", &forge.git_url)?,
            token,
            email: forge.email.clone(),
            account_uuid: forge.account.clone(),
            workspaces: literal_owners(&forge.repositories),
            previous_accounts: forge.previous_accounts.clone(),
            command_accounts: forge.command_accounts.clone(),
            marker_keys: self.load_marker_keys()?.with_marker_syntax(marker),
            settle_delay: self.visibility_delay(),
            commits: self.read_commit_options()?,
        })
    }

    /// Returns the way in which commits get to the forge.
    fn read_commit_options(&self) -> Result<CommitOptions, CliError> {
        let hint = "use a private key without a passphrase, as `ssh-keygen -t ed25519 -N ''` writes it";
        let signing_key = match &self.forge.signing_key {
            None => None,
            Some(key) => {
                let key = key.read(self.environment);
                let key = key.map_err(|error| self.setting_error("sign.ssh_key", &error).hint(hint))?;
                Some(truing_forge::SecretString::new(key.expose()))
            }
        };
        Ok(CommitOptions { uses_api: self.forge.commits_by_api, signing_key })
    }

    /// Returns the marker keys: the current key, which signs markers, and former keys.
    fn load_marker_keys(&self) -> Result<MarkerKeys, CliError> {
        let Self { name, forge, environment, folder, is_shared } = self;
        let markers = match &forge.marker_key {
            None => MarkerKeys::load_or_create(&folder.join(MARKER_KEY_FILE_NAME)),
            // If several machines share the records, a missing key file is an error. A newly created key
            // would be unknown to the other machines.
            Some(SecretSource::File(path)) if *is_shared => MarkerKeys::load(path),
            Some(SecretSource::File(path)) => MarkerKeys::load_or_create(path),
            Some(secret @ (SecretSource::Env(_) | SecretSource::PlainText(_))) => {
                let key =
                    secret.read(environment).map_err(|error| self.setting_error("marker_key", &error))?;
                Ok(MarkerKeys::from_text(key.expose()))
            }
        };
        let markers = markers.map_err(|error| {
            CliError::failure("marker_key", error.to_string()).hint(format!(
                "restore the key file from a backup, or set `forge.{name}.marker_key` to the key file. To \
                create a new key: openssl rand -hex 32; with a new key, Truing does not recognise its \
                earlier comments"
            ))
        })?;
        let former = forge.previous_marker_keys.iter().map(|secret| match secret {
            SecretSource::File(path) => MarkerKeys::load(path).map_err(|error| {
                CliError::failure("marker_key", error.to_string())
                    .hint(format!("see `forge.{name}.previous_marker_keys` in `truing config schema`"))
            }),
            SecretSource::Env(_) | SecretSource::PlainText(_) => {
                let key = secret
                    .read(environment)
                    .map_err(|error| self.setting_error("previous_marker_keys", &error))?;
                Ok(MarkerKeys::from_text(key.expose()))
            }
        });
        Ok(markers.with_former_keys(former.collect::<Result<Vec<_>, CliError>>()?))
    }
}

/// Returns the marker keys of a service. If several machines share the records, returns the keys of the first
/// forge with configured keys. If no keys are configured, or only one machine uses the records, returns the
/// keys in this machine's folder.
pub(super) fn service_marker_keys(
    config: &Config,
    environment: &Environment,
    folder: &Path,
) -> Result<MarkerKeys, CliError> {
    let is_shared = matches!(config.store.location()?, StoreLocationConfig::Servers { .. });
    let mut keyed = config.forges.iter().filter(|(_, forge)| is_shared && forge.marker_key.is_some());
    if let Some((name, forge)) = keyed.next() {
        return ConfiguredForge { name, forge, environment, folder, is_shared }.load_marker_keys();
    }
    MarkerKeys::load_or_create(&folder.join(MARKER_KEY_FILE_NAME))
        .map_err(|error| CliError::failure("marker_key", error.to_string()))
}

/// Returns the owners in the repository globs, except owners that contain wildcards.
fn literal_owners(repositories: &[String]) -> Vec<String> {
    let owners = repositories.iter().filter_map(|glob| glob.split_once('/')).map(|(owner, _)| owner);
    let is_name = |owner: &&str| !owner.is_empty() && !owner.contains(['*', '?', '[', '{', '!', '\\']);
    owners.filter(is_name).map(str::to_owned).collect::<BTreeSet<_>>().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use truing_config::layer::SourceFile;

    use super::*;

    #[test]
    fn pushes_settle_for_as_long_as_the_forge_needs_unless_it_is_configured() {
        let name = "truing.toml".to_owned();
        let file = SourceFile { name, folder: PathBuf::from("/etc"), text: "[forge.github]".to_owned() };
        let config = Config::resolve(&Environment::default(), Some(&file), &[]).unwrap();
        let settle = truing_forge::capability::GITHUB.settle_delay.0;
        assert_eq!(config.forges["github"].visibility_delay.as_millis(), u128::try_from(settle).unwrap());
    }

    #[test]
    fn workspaces_are_the_owners_that_are_named_in_full() {
        let globs = ["acme/*", "acme/shop", "*/tools", "ac{me,id}/x", "other/a-*"].map(str::to_owned);
        assert_eq!(literal_owners(&globs), ["acme", "other"]);
    }
}
