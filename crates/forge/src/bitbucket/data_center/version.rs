//! Reads the version of a Data Center and Truing's account on it. One call returns both.

use std::fmt;

use truing_core::port::ForgeError;

use super::super::address::{rejected_error, with_query};
use super::super::calls::BitbucketUser;
use super::super::login::{OwnAccount, no_account_error};
use super::{BitbucketDataCenter, wire};
use crate::capability::{ForgeCapability, data_center_capability};
use crate::http::ForgeRequest;

/// Oldest supported version: the first version that can return a single build status (`GET
/// …/commits/{commitId}/builds`, "since 7.14" in the REST reference). Reports exist since 5.15, build
/// statuses with a parent since 7.4.
const MIN_SERVER_VERSION: DataCenterVersion = DataCenterVersion(7, 14);

/// Response header with the account name of the caller.
pub(super) const ACCOUNT_NAME_HEADER: &str = "x-ausername";

/// The first two numbers of a version.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct DataCenterVersion(pub(super) u32, pub(super) u32);

impl DataCenterVersion {
    /// Parses a version such as `9.3.2`; returns `None` if it is invalid.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.trim().split(['.', '-', ' ']);
        Some(Self(numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    }
}

impl fmt::Display for DataCenterVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

impl BitbucketDataCenter {
    /// Returns the capability row of the server's version, or the most limited row while the version is
    /// unknown.
    pub(super) fn version_capability(&self) -> &'static ForgeCapability {
        data_center_capability(self.inner.cache.version.get().map(|version| (version.0, version.1)))
    }

    /// Returns our own account. The first call also reads the server's version.
    pub(super) async fn load_own_account(&self) -> Result<OwnAccount, ForgeError> {
        self.inner.cache.own_account.get_or_try_init(|| self.read_own_account()).await.cloned()
    }

    async fn read_own_account(&self) -> Result<OwnAccount, ForgeError> {
        let what = "reading the server's version";
        let answer = self.send(&ForgeRequest::get(what, self.application_properties_url())).await?;
        let properties: wire::ApplicationProperties = answer.json()?;
        match DataCenterVersion::parse(&properties.version) {
            Some(version) if version < MIN_SERVER_VERSION => {
                let message = format!(
                    "the server is Bitbucket {version}, but {MIN_SERVER_VERSION} is the oldest version \
                    that Truing supports"
                );
                return Err(rejected_error(what, &message));
            }
            // The call fails if another caller has already set the version. Both callers have read the same
            // value.
            Some(version) => drop(self.inner.cache.version.set(version)),
            None => {
                tracing::warn!(
                    "the server reports no valid version number; Truing assumes the oldest version"
                );
            }
        }
        let what = "reading the account of the token";
        let Some(name) = answer.header(ACCOUNT_NAME_HEADER).and_then(decode_name) else {
            // The server also returns its version to callers that are not logged in. A missing account name
            // means that the token is invalid.
            return Err(ForgeError::Unauthorized { request: what.to_owned() });
        };
        let user = self.user_named(what, &name).await?;
        user.map(|user| OwnAccount { user }).ok_or_else(|| no_account_error(what))
    }

    /// Finds the account with this name. The address of an account contains the slug of its name. First, a
    /// slug is derived from the name. If no account has this slug, the list of accounts is searched for the
    /// name.
    async fn user_named(&self, purpose: &str, name: &str) -> Result<Option<BitbucketUser>, ForgeError> {
        let is_it = |user: &BitbucketUser| user.login.eq_ignore_ascii_case(name);
        let guessed = self.root_url(["api", "latest", "users", &account_slug(name)]);
        match self.get::<wire::DataCenterUser>(purpose, guessed).await {
            Ok(user) => {
                if let Some(user) = user.into_account().filter(is_it) {
                    return Ok(Some(user));
                }
            }
            Err(ForgeError::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
        let like = with_query(self.root_url(["api", "latest", "users"]), &[("filter", name)]);
        let all: Vec<wire::DataCenterUser> = self.get_all(purpose, like).await?;
        Ok(all.into_iter().filter_map(wire::DataCenterUser::into_account).find(is_it))
    }
}

/// Percent-decodes the account name in the header; returns `None` if the name is empty.
fn decode_name(value: &str) -> Option<String> {
    let value = value.replace('+', "%2B");
    let (name, _) = url::form_urlencoded::parse(value.as_bytes()).next()?;
    (!name.is_empty()).then(|| name.into_owned())
}

/// Returns the slug that a server derives from a name: lower case, with `_` for every character that an
/// address cannot contain.
fn account_slug(name: &str) -> String {
    let keeps = |letter: char| letter.is_alphanumeric() || matches!(letter, '-' | '_' | '.');
    name.to_lowercase().chars().map(|letter| if keeps(letter) { letter } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_of_a_header_is_decoded_and_its_slug_guessed() {
        for (header, name, slug) in [
            ("truing", "truing", "truing"),
            ("access-token-user%2F2%2F11754", "access-token-user/2/11754", "access-token-user_2_11754"),
            ("john%40ex.com", "john@ex.com", "john_ex.com"),
            ("A+B", "A+B", "a_b"),
        ] {
            assert_eq!(decode_name(header).as_deref(), Some(name));
            assert_eq!(account_slug(name), slug);
        }
        assert_eq!(decode_name(""), None);
    }

    #[test]
    fn the_first_two_numbers_of_a_version_are_read() {
        for (text, expected) in [
            ("9.3.2", Some(DataCenterVersion(9, 3))),
            ("8.18.0-rc1", Some(DataCenterVersion(8, 18))),
            ("10.0", Some(DataCenterVersion(10, 0))),
            ("9", None),
            ("nine.3", None),
            ("", None),
        ] {
            assert_eq!(DataCenterVersion::parse(text), expected, "{text}");
        }
        assert!(
            DataCenterVersion(9, 10) > DataCenterVersion(9, 3)
                && DataCenterVersion(10, 0) > DataCenterVersion(9, 10)
        );
        assert_eq!(DataCenterVersion(9, 3).to_string(), "9.3");
    }

    #[test]
    fn a_row_is_as_narrow_as_its_version() {
        let row = |text| {
            data_center_capability(DataCenterVersion::parse(text).map(|version| (version.0, version.1)))
        };
        assert_eq!(row("9.3.0"), &crate::capability::BITBUCKET_DC);
        assert_eq!(row("9.2.9"), &crate::capability::BITBUCKET_DC_8_18);
        assert_eq!(row("8.18"), &crate::capability::BITBUCKET_DC_8_18);
        assert_eq!(row("8.17.9"), &crate::capability::BITBUCKET_DC_BEFORE_8_18);
        assert_eq!(row("of today"), &crate::capability::BITBUCKET_DC_BEFORE_8_18);
    }
}
