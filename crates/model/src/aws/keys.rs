//! Keys by which requests to AWS are signed.

use truing_core::secret::SecretString;

/// Keys that sign requests to AWS.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AwsKeys {
    /// The id of the key.
    pub key_id: String,
    /// The key, which is secret.
    pub secret_key: SecretString,
    /// The token that belongs to a temporary one.
    pub session_token: Option<SecretString>,
}

impl AwsKeys {
    /// Everything in it that must not be seen.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &SecretString> {
        std::iter::once(&self.secret_key).chain(&self.session_token)
    }
}
