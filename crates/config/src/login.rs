//! The credentials for a forge (a token or a GitHub App), the accounts that Truing used earlier, and the
//! accounts whose commands count.

use std::collections::BTreeMap;

use truing_core::id::AccountId;

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

/// Returns the accounts whose commands count while the token may not read who has write access. Each account
/// must be an id, because another account can take over a name, and with it the right to give commands.
///
/// # Errors
/// A [`ConfigProblem`] if an entry is not an id of this kind of forge.
pub(super) fn command_accounts(
    settings: &TypedSettings<'_>,
    name: &str,
    kind: ForgeKind,
) -> Result<Vec<AccountId>, ConfigError> {
    let key = format!("forge.{name}.may_command");
    let accounts = settings.list(&key)?;
    let is_id = |account: &str| match kind {
        ForgeKind::Bitbucket => value::is_braced_uuid(account),
        ForgeKind::Github | ForgeKind::BitbucketDc => {
            !account.is_empty() && account.bytes().all(|byte| byte.is_ascii_digit())
        }
    };
    let Some(account) = accounts.iter().find(|account| !is_id(account)) else {
        return Ok(accounts.into_iter().map(AccountId::new).collect());
    };
    let ids = match kind {
        ForgeKind::Bitbucket => "UUIDs with their braces, such as `{0f3a9c56-…}`",
        ForgeKind::Github => "the numbers of accounts (`gh api users/NAME --jq .id` prints the number)",
        ForgeKind::BitbucketDc => {
            "the numbers of accounts (`id` in the answer to `GET /rest/api/latest/users/NAME`)"
        }
    };
    let requirement = format!("must contain {ids}, not `{account}`: another account may take over a name");
    let origin = settings.setting(&key)?.origin.clone();
    Err(ConfigProblem::BadValue { origin, key, requirement }.into())
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
