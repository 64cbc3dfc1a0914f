//! AWS credentials that sign requests.

use truing_core::secret::SecretString;

/// AWS credentials that sign requests.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AwsKeys {
    /// The access key ID.
    pub key_id: String,
    /// The secret access key.
    pub secret_key: SecretString,
    /// Session token, if the credentials are temporary.
    pub session_token: Option<SecretString>,
}

impl AwsKeys {
    /// Returns all secrets of the credentials. None of them must be shown.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &SecretString> {
        std::iter::once(&self.secret_key).chain(&self.session_token)
    }
}
