//! The credentials for a forge (a token or a GitHub App), and the accounts that Truing used earlier.

use std::collections::BTreeMap;

use super::problem::{ConfigError, ConfigProblem};
use super::secret::SecretSource;
use super::value::{self, ConfigValue};
use super::{EffectiveSetting, ForgeKind, TypedSettings};

/// The credentials for a forge.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ForgeLogin {
    /// The location of an access token.
    Token(SecretSource),
    /// A GitHub App's key.
    App {
        /// Id of the App.
        id: u64,
        /// Private key of the App.
        key: SecretSource,
    },
}

/// Returns true for the path of a forge's token if a GitHub App is configured for the forge instead.
pub(super) fn is_token_replaced_by_app(path: &str, settings: &BTreeMap<String, EffectiveSetting>) -> bool {
    let Some(own) = path.strip_suffix("token") else { return false };
    ["app_id", "private_key"].iter().any(|part| settings.contains_key(&format!("{own}{part}")))
}

/// Returns the accounts that wrote Truing's earlier comments. For Bitbucket Cloud, the accounts must be
/// UUIDs, because users there can choose any name.
///
/// # Errors
/// A [`ConfigProblem`] if an account does not identify exactly one user at this kind of forge.
pub(super) fn former_accounts(
    settings: &TypedSettings<'_>,
    name: &str,
    kind: ForgeKind,
) -> Result<Vec<String>, ConfigError> {
    let key = format!("forge.{name}.accounts");
    let accounts = settings.list(&key)?;
    let is_told = |account: &str| match kind {
        ForgeKind::Bitbucket => value::is_braced_uuid(account),
        ForgeKind::Github | ForgeKind::BitbucketDc => true,
    };
    if let Some(account) = accounts.iter().find(|account| !is_told(account)) {
        let wrong = format!(
            "must contain UUIDs with their braces, such as `{{0f3a9c56-…}}`, not `{account}`: at \
            Bitbucket Cloud, another account may have the same name"
        );
        return Err(ConfigProblem::BadValue {
            origin: settings.setting(&key)?.origin.clone(),
            key,
            requirement: wrong,
        }
        .into());
    }
    Ok(accounts)
}

/// Reads the complete credentials of a forge.
///
/// # Errors
/// A [`ConfigProblem`] if the credentials are incomplete, or if this kind of forge does not support them.
pub(super) fn read_login(
    settings: &TypedSettings<'_>,
    name: &str,
    kind: ForgeKind,
    email: Option<&str>,
    account: Option<&str>,
) -> Result<ForgeLogin, ConfigError> {
    let path = |key: &str| format!("forge.{name}.{key}");
    let app = if settings.setting(&path("app_id"))?.value == ConfigValue::Unset {
        None
    } else {
        Some(settings.number(&path("app_id"))?)
    };
    let wrong =
        |wrong| Err(ConfigProblem::InvalidForgeLogin { name: name.to_owned(), problem: wrong }.into());
    match (kind, email, account) {
        (ForgeKind::Bitbucket, ..) | (_, None, None) => {}
        (ForgeKind::Github | ForgeKind::BitbucketDc, Some(_), _) => {
            return wrong("has an `email`, which only an API token of Bitbucket Cloud needs");
        }
        (ForgeKind::Github | ForgeKind::BitbucketDc, None, Some(_)) => {
            return wrong("has an `account`, which only an access token of Bitbucket Cloud needs");
        }
    }
    match (kind, app) {
        (ForgeKind::Github, _) | (_, None) => {}
        (ForgeKind::Bitbucket | ForgeKind::BitbucketDc, Some(_)) => {
            return wrong("has an `app_id`, but only GitHub has Apps");
        }
    }
    match (settings.secret(&path("token"))?, app, settings.secret(&path("private_key"))?) {
        (Some(token), None, None) => Ok(ForgeLogin::Token(token)),
        (None, Some(id), Some(key)) => Ok(ForgeLogin::App { id, key }),
        (Some(_), _, _) => wrong("has two logins: a token and a GitHub App"),
        (None, Some(_), None) => wrong("has an `app_id`, but no `private_key`"),
        (None, None, Some(_)) => wrong("has a `private_key`, but no `app_id`"),
        (None, None, None) => wrong("has no login"),
    }
}
