//! The right to give commands where the token may not read who may write to a repository.

use truing_core::id::AccountId;
use truing_core::port::{AuthorAccount, ForgeError};

/// Decides whether a command of this account counts after the forge refused to say who may write to the
/// repository. Accounts are compared by id, because another account can take over a name.
///
/// # Errors
/// The forge's error, unless the error is a missing permission and `command_accounts` lists accounts.
pub(crate) fn decide_without_permissions(
    command_accounts: &[AccountId],
    author: &AuthorAccount,
    error: ForgeError,
) -> Result<bool, ForgeError> {
    match &error {
        // The repository does not know this account.
        ForgeError::NotFound { .. } => Ok(false),
        ForgeError::Forbidden { .. } if !command_accounts.is_empty() => {
            let is_listed =
                command_accounts.iter().any(|id| id.as_str().eq_ignore_ascii_case(author.id.as_str()));
            if !is_listed {
                tracing::info!(
                    account = %author.id,
                    login = author.login,
                    "this token may not read who may write to the repository, and `may_command` does not \
                    list the account"
                );
            }
            Ok(is_listed)
        }
        ForgeError::Unauthorized { .. }
        | ForgeError::Forbidden { .. }
        | ForgeError::Moved { .. }
        | ForgeError::Rejected { .. }
        | ForgeError::Stale { .. }
        | ForgeError::RateLimited { .. }
        | ForgeError::Unavailable { .. }
        | ForgeError::Halted(_) => Err(error),
    }
}
