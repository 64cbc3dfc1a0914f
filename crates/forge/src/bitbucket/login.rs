//! Truing's login at a Bitbucket: the header with the token, the current account, and former accounts.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use truing_core::port::{Actor, Clock, ForgeError};
use truing_git::{Remote, SecretString};
use url::Url;

use super::address::BITBUCKET_HTTP_DIALECT;
use super::calls::BitbucketUser;
use super::options::{BitbucketOptions, BitbucketOptionsError};
use crate::http::{ForgeHttpClient, HttpClientError, HttpTimeouts, RateLimitOwner, RequestAuthorization};
use crate::remote::RemoteError;

/// The account to which the token belongs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwnAccount {
    pub(super) user: BitbucketUser,
}

/// The kind of an account of Truing: current or former.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum BitbucketAccountKind {
    /// The account with which Truing writes now.
    Current,
    /// A former account of Truing. Its texts count as Truing's, but can no longer be changed.
    Former,
}

/// All accounts of Truing: the current account and former accounts.
#[derive(Clone, Debug)]
pub(super) struct BitbucketAccounts<'a> {
    own_account: OwnAccount,
    previous_accounts: &'a [String],
    /// False if any account can take the name of another account. In this case, former accounts are
    /// recognised only by id.
    has_unique_account_names: bool,
}

impl<'a> BitbucketAccounts<'a> {
    pub(super) fn new(
        own_account: OwnAccount,
        previous_accounts: &'a [String],
        has_unique_account_names: bool,
    ) -> Self {
        Self { own_account, previous_accounts, has_unique_account_names }
    }

    /// Returns the kind of the account, current or former; `None` if the account is not an account of Truing.
    pub(super) fn account_kind(&self, user: &BitbucketUser) -> Option<BitbucketAccountKind> {
        if user.id == self.own_account.user.id {
            return Some(BitbucketAccountKind::Current);
        }
        // If a configured account looks like an id, it is only compared with ids, never with names.
        let is_id =
            |account: &str| account.starts_with('{') || account.bytes().all(|byte| byte.is_ascii_digit());
        let is = |account: &String| {
            if is_id(account) || !self.has_unique_account_names {
                account.eq_ignore_ascii_case(user.id.as_str())
            } else {
                account.eq_ignore_ascii_case(&user.login)
            }
        };
        self.previous_accounts.iter().any(is).then_some(BitbucketAccountKind::Former)
    }

    /// Returns true if this is an account of Truing. Returns false for a deleted account.
    pub(super) fn is_own_account(&self, user: Option<&BitbucketUser>) -> bool {
        user.is_some_and(|user| self.account_kind(user).is_some())
    }

    /// Converts an account to an actor. The field `ours` is true for an account of Truing.
    pub(super) fn actor(&self, user: &BitbucketUser) -> Actor {
        let (id, login) = (user.id.clone(), user.login.clone());
        Actor { id, login, is_own_account: self.is_own_account(Some(user)), is_person: user.is_person }
    }
}

/// Builds the HTTP client and the credential from these options. Sends no request.
pub(super) fn build_client(
    options: &BitbucketOptions,
    timeouts: HttpTimeouts,
    clock: Arc<dyn Clock>,
) -> Result<(ForgeHttpClient, RequestAuthorization), BitbucketOptionsError> {
    for url in [&options.api_url, &options.git_url] {
        check_url(&options.name, url)?;
    }
    let wrong = |cause| BitbucketOptionsError::Client { name: options.name.clone(), cause };
    let http =
        ForgeHttpClient::new(&options.api_url, BITBUCKET_HTTP_DIALECT, timeouts, clock).map_err(wrong)?;
    Ok((http, token_authorization(options).map_err(wrong)?))
}

fn check_url(name: &str, url: &Url) -> Result<(), BitbucketOptionsError> {
    let is_right = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none();
    if is_right {
        return Ok(());
    }
    let mut url = url.clone();
    // Errors are ignored: these calls fail only for addresses that cannot contain credentials.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    Err(BitbucketOptionsError::Url { name: name.to_owned(), url })
}

/// Returns the authorization of a token. An API token is sent with its account's e-mail address (Basic). Any
/// other token is sent alone (Bearer). <https://support.atlassian.com/bitbucket-cloud/docs/using-api-tokens>
fn token_authorization(options: &BitbucketOptions) -> Result<RequestAuthorization, HttpClientError> {
    let token = options.token.clone();
    match &options.email {
        Some(email) => RequestAuthorization::basic(email, token, RateLimitOwner::Token),
        None => RequestAuthorization::bearer(token, RateLimitOwner::Token),
    }
}

/// Returns the git remote of a repository. A token with a user name is sent as Basic; a token without a user
/// name is sent as Bearer.
pub(super) fn git_remote(url: &Url, user: Option<&str>, token: &SecretString) -> Result<Remote, RemoteError> {
    let header = match user {
        Some(user) => format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{}", token.expose()))),
        None => format!("Bearer {}", token.expose()),
    };
    Ok(Remote::new(url.as_str(), Some(SecretString::new(header)))?)
}

/// Converts an account to an actor; returns `None` if the account no longer exists.
pub(super) fn to_actor(accounts: &BitbucketAccounts<'_>, user: Option<&BitbucketUser>) -> Option<Actor> {
    user.map(|user| accounts.actor(user))
}

/// Returns the error for a response that contains no account.
pub(super) fn no_account_error(purpose: &str) -> ForgeError {
    crate::http::unavailable_error(purpose, "the response contains no account")
}
