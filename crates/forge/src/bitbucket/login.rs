//! Who we are at a Bitbucket: the token in its header, our own account, and those that we wrote as before.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use truing_core::port::{Actor, Clock, ForgeError};
use truing_git::{Remote, Secret};
use url::Url;

use super::address::WIRE;
use super::calls::User;
use super::options::{BitbucketError, BitbucketOptions};
use crate::http::{Authorization, ClientError, Http, Patience, Payer};
use crate::remote::RemoteError;

/// Our own account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Own {
    /// The account.
    pub(super) user: User,
}

/// Which of our accounts something is by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Whose {
    /// The one that we write as now.
    Present,
    /// One that we wrote as before: what it wrote is ours, and cannot be changed any more.
    Former,
}

/// All our accounts.
#[derive(Clone, Debug)]
pub(super) struct Accounts<'a> {
    own: Own,
    former: &'a [String],
    /// False where anybody may choose the name of somebody else: former accounts are known by id alone there.
    unique_names: bool,
}

impl<'a> Accounts<'a> {
    pub(super) fn new(own: Own, former: &'a [String], unique_names: bool) -> Self {
        Self { own, former, unique_names }
    }

    /// The one of our accounts that this is; none if it is not ours.
    pub(super) fn whose(&self, user: &User) -> Option<Whose> {
        if user.id == self.own.user.id {
            return Some(Whose::Present);
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
        self.former.iter().any(is).then_some(Whose::Former)
    }

    /// Is this account one of ours? One that is gone is not.
    pub(super) fn is_ours(&self, user: Option<&User>) -> bool {
        user.is_some_and(|user| self.whose(user).is_some())
    }

    /// Somebody, as seen beside our accounts.
    pub(super) fn actor(&self, user: &User) -> Actor {
        let (id, login) = (user.id.clone(), user.login.clone());
        Actor { id, login, ours: self.is_ours(Some(user)), person: user.is_person }
    }
}

/// The HTTP client and the credential of these options. Sends nothing.
pub(super) fn connect(
    options: &BitbucketOptions,
    patience: Patience,
    clock: Arc<dyn Clock>,
) -> Result<(Http, Authorization), BitbucketError> {
    for url in [&options.api_url, &options.git_url] {
        checked(&options.name, url)?;
    }
    let wrong = |cause| BitbucketError::Client { name: options.name.clone(), cause };
    let http = Http::new(&options.api_url, WIRE, patience, clock).map_err(wrong)?;
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
fn authorization(options: &BitbucketOptions) -> Result<Authorization, ClientError> {
    let token = options.token.clone();
    match &options.email {
        Some(email) => Authorization::basic(email, token, Payer::Token),
        None => Authorization::bearer(token, Payer::Token),
    }
}

/// Where git finds a repository, with a user's name for Basic or, without, the token as Bearer.
pub(super) fn remote(url: &Url, user: Option<&str>, token: &Secret) -> Result<Remote, RemoteError> {
    let header = match user {
        Some(user) => format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{}", token.expose()))),
        None => format!("Bearer {}", token.expose()),
    };
    Ok(Remote::new(url.as_str(), Some(Secret::new(header)))?)
}

/// The actor of an account that may be gone.
pub(super) fn actor(accounts: &Accounts<'_>, user: Option<&User>) -> Option<Actor> {
    user.map(|user| accounts.actor(user))
}

/// The error of an answer that names no account.
pub(super) fn nobody(what: &str) -> ForgeError {
    crate::http::unavailable(what, "the answer names no account")
}
