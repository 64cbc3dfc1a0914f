//! Keys that sign requests to AWS.

use truing_core::secret::SecretString;

/// Keys that sign requests to AWS.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AwsKeys {
    /// Id of the key.
    pub key_id: String,
    /// The secret key itself.
    pub secret_key: SecretString,
    /// Session token of a temporary key.
    pub session_token: Option<SecretString>,
}

impl AwsKeys {
    /// Returns all secrets of the keys, which must not be shown.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &SecretString> {
        std::iter::once(&self.secret_key).chain(&self.session_token)
    }
}
