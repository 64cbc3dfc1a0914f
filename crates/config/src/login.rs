//! The login at a forge: a token, or a GitHub App; and the accounts that were logged in with before.

use std::collections::BTreeMap;

use super::problem::{ConfigError, Problem};
use super::secret::Secret;
use super::value::{self, Value};
use super::{ForgeKind, Setting, Typed};

/// What to log in with at a forge.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Login {
    /// A token.
    Token(Secret),
    /// A GitHub App.
    App {
        /// Its number.
        id: u64,
        /// Its private key.
        key: Secret,
    },
}

/// Is this the path of a forge's token, in whose place there is an App?
pub(super) fn has_no_token(path: &str, settings: &BTreeMap<String, Setting>) -> bool {
    let Some(own) = path.strip_suffix("token") else { return false };
    ["app_id", "private_key"].iter().any(|part| settings.contains_key(&format!("{own}{part}")))
}

/// The accounts that comments were written as before. At Bitbucket Cloud anybody may take a name: a UUID is needed there.
///
/// # Errors
/// A [`Problem`] of an account that its kind of forge does not tell from others by that.
pub(super) fn former(settings: &Typed<'_>, name: &str, kind: ForgeKind) -> Result<Vec<String>, ConfigError> {
    let key = format!("forge.{name}.accounts");
    let accounts = settings.list(&key)?;
    let is_told = |account: &str| match kind {
        ForgeKind::Bitbucket => value::is_uuid(account),
        ForgeKind::Github | ForgeKind::BitbucketDc => true,
    };
    if let Some(account) = accounts.iter().find(|account| !is_told(account)) {
        let wrong = format!(
            "must hold UUIDs with their braces, such as `{{0f3a9c56-…}}`, not `{account}`: at Bitbucket Cloud anybody \
             may take a name"
        );
        return Err(Problem::BadValue { at: settings.setting(&key)?.origin.clone(), key, wrong }.into());
    }
    Ok(accounts)
}

/// The forge's login, whole.
///
/// # Errors
/// A [`Problem`] of one that is none, or that this kind of forge does not have.
pub(super) fn of(
    settings: &Typed<'_>,
    name: &str,
    (kind, email, account): (ForgeKind, Option<&str>, Option<&str>),
) -> Result<Login, ConfigError> {
    let path = |key: &str| format!("forge.{name}.{key}");
    let app = if settings.setting(&path("app_id"))?.value == Value::Unset {
        None
    } else {
        Some(settings.number(&path("app_id"))?)
    };
    let wrong = |wrong| Err(Problem::Login { name: name.to_owned(), wrong }.into());
    match (kind, email, account) {
        (ForgeKind::Bitbucket, ..) | (_, None, None) => {}
        (ForgeKind::Github | ForgeKind::BitbucketDc, Some(_), _) => {
            return wrong("has an `email`: only an API token of Bitbucket Cloud needs one");
        }
        (ForgeKind::Github | ForgeKind::BitbucketDc, None, Some(_)) => {
            return wrong("has an `account`: only an access token of Bitbucket Cloud needs one");
        }
    }
    match (kind, app) {
        (ForgeKind::Github, _) | (_, None) => {}
        (ForgeKind::Bitbucket | ForgeKind::BitbucketDc, Some(_)) => {
            return wrong("has an `app_id`: only GitHub has Apps");
        }
    }
    match (settings.secret(&path("token"))?, app, settings.secret(&path("private_key"))?) {
        (Some(token), None, None) => Ok(Login::Token(token)),
        (None, Some(id), Some(key)) => Ok(Login::App { id, key }),
        (Some(_), _, _) => wrong("has two logins: a token and a GitHub App"),
        (None, Some(_), None) => wrong("has an `app_id`, but no `private_key`"),
        (None, None, Some(_)) => wrong("has a `private_key`, but no `app_id`"),
        (None, None, None) => wrong("has no login"),
    }
}
