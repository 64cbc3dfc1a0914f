//! Who we are at a Bitbucket: the token in its header, our own account, and those that we wrote as before.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use truing_core::port::{Actor, Clock, ForgeError};
use truing_git::{Remote, SecretString};
use url::Url;

use super::address::WIRE;
use super::calls::BitbucketUser;
use super::options::{BitbucketError, BitbucketOptions};
use crate::http::{ForgeHttpClient, HttpClientError, HttpTimeouts, QuotaPayer, RequestAuthorization};
use crate::remote::RemoteError;

/// Our own account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwnAccount {
    /// The account.
    pub(super) user: BitbucketUser,
}

/// Which of our accounts something is by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum BitbucketAccountKind {
    /// The one that we write as now.
    Present,
    /// One that we wrote as before: what it wrote is ours, and cannot be changed any more.
    Former,
}

/// All our accounts.
#[derive(Clone, Debug)]
pub(super) struct BitbucketAccounts<'a> {
    own: OwnAccount,
    former: &'a [String],
    /// False where anybody may choose the name of somebody else: former accounts are known by id alone there.
    unique_names: bool,
}

impl<'a> BitbucketAccounts<'a> {
    pub(super) fn new(own: OwnAccount, former: &'a [String], unique_names: bool) -> Self {
        Self { own, former, unique_names }
    }

    /// The one of our accounts that this is; none if it is not ours.
    pub(super) fn whose(&self, user: &BitbucketUser) -> Option<BitbucketAccountKind> {
        if user.id == self.own.user.id {
            return Some(BitbucketAccountKind::Present);
        }
        // A text in the form of an id is one, and never the name of somebody.
        let is_id =
            |account: &str| account.starts_with('{') || account.bytes().all(|byte| byte.is_ascii_digit());
        let is = |account: &String| {
            if is_id(account) || !self.unique_names {
                account.eq_ignore_ascii_case(user.id.as_str())
            } else {
                account.eq_ignore_ascii_case(&user.login)
            }
        };
        self.former.iter().any(is).then_some(BitbucketAccountKind::Former)
    }

    /// Is this account one of ours? One that is gone is not.
    pub(super) fn is_ours(&self, user: Option<&BitbucketUser>) -> bool {
        user.is_some_and(|user| self.whose(user).is_some())
    }

    /// Somebody, as seen beside our accounts.
    pub(super) fn actor(&self, user: &BitbucketUser) -> Actor {
        let (id, login) = (user.id.clone(), user.login.clone());
        Actor { id, login, ours: self.is_ours(Some(user)), person: user.is_person }
    }
}

/// The HTTP client and the credential of these options. Sends nothing.
pub(super) fn connect(
    options: &BitbucketOptions,
    patience: HttpTimeouts,
    clock: Arc<dyn Clock>,
) -> Result<(ForgeHttpClient, RequestAuthorization), BitbucketError> {
    for url in [&options.api_url, &options.git_url] {
        checked(&options.name, url)?;
    }
    let wrong = |cause| BitbucketError::Client { name: options.name.clone(), cause };
    let http = ForgeHttpClient::new(&options.api_url, WIRE, patience, clock).map_err(wrong)?;
    Ok((http, authorization(options).map_err(wrong)?))
}

fn checked(name: &str, url: &Url) -> Result<(), BitbucketError> {
    let is_right = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none();
    if is_right {
        return Ok(());
    }
    let mut url = url.clone();
    // Fails only for addresses that cannot have credentials.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    Err(BitbucketError::Url { name: name.to_owned(), url })
}

/// An API token goes with its account's e-mail address (Basic), every other token by itself (Bearer).
/// <https://support.atlassian.com/bitbucket-cloud/docs/using-api-tokens>
fn authorization(options: &BitbucketOptions) -> Result<RequestAuthorization, HttpClientError> {
    let token = options.token.clone();
    match &options.email {
        Some(email) => RequestAuthorization::basic(email, token, QuotaPayer::Token),
        None => RequestAuthorization::bearer(token, QuotaPayer::Token),
    }
}

/// Where git finds a repository, with a user's name for Basic or, without, the token as Bearer.
pub(super) fn remote(url: &Url, user: Option<&str>, token: &SecretString) -> Result<Remote, RemoteError> {
    let header = match user {
        Some(user) => format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{}", token.expose()))),
        None => format!("Bearer {}", token.expose()),
    };
    Ok(Remote::new(url.as_str(), Some(SecretString::new(header)))?)
}

/// The actor of an account that may be gone.
pub(super) fn actor(accounts: &BitbucketAccounts<'_>, user: Option<&BitbucketUser>) -> Option<Actor> {
    user.map(|user| accounts.actor(user))
}

/// The error of an answer that names no account.
pub(super) fn nobody(what: &str) -> ForgeError {
    crate::http::unavailable(what, "the answer names no account")
}
