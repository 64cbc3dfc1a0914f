//! Credentials that this process received from the operator or the environment. Truing removes these values
//! from all displayed text.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

/// Minimum length of a credential in bytes. A shorter value is not registered, because it may be an ordinary
/// word.
const MIN_SECRET_BYTES: usize = 8;
/// Minimum length in bytes of a part of a credential that is registered as a separate value.
pub const MIN_SECRET_PART_BYTES: usize = 16;

static REGISTERED_SECRETS: LazyLock<RwLock<Arc<BTreeSet<String>>>> = LazyLock::new(RwLock::default);

/// Registers the value of a variable whose name denotes a credential. Only a value of at least
/// `MIN_SECRET_PART_BYTES` bytes with letters and digits is registered. A test database's password, for
/// example, is often a word that also occurs in code (`postgres`).
pub fn register_if_credential(value: &str) {
    let (letters, digits) = (|byte: u8| byte.is_ascii_alphabetic(), |byte: u8| byte.is_ascii_digit());
    if value.len() >= MIN_SECRET_PART_BYTES && value.bytes().any(letters) && value.bytes().any(digits) {
        register_secret(value);
    }
}

/// Registers a credential. The credential and its parts (lines of a key, the password of a URL, the token
/// after `Bearer`) are then removed from all displayed text.
pub fn register_secret(secret: &str) {
    let all = secret_parts(secret);
    let mut values = REGISTERED_SECRETS.write().unwrap_or_else(PoisonError::into_inner);
    if all.iter().any(|value| !values.contains(*value)) {
        Arc::make_mut(&mut values).extend(all.into_iter().map(str::to_owned));
    }
}

/// Unregisters an expired credential. Long-running processes would otherwise accumulate expired credentials.
pub fn unregister_secret(secret: &str) {
    let all = secret_parts(secret);
    let mut values = REGISTERED_SECRETS.write().unwrap_or_else(PoisonError::into_inner);
    if all.iter().any(|value| values.contains(*value)) {
        Arc::make_mut(&mut values).retain(|value| !all.contains(&value.as_str()));
    }
}

/// Returns a credential and its parts; returns an empty list if the credential is too short.
fn secret_parts(secret: &str) -> Vec<&str> {
    let secret = secret.trim();
    if secret.len() < MIN_SECRET_BYTES {
        return Vec::new();
    }
    let address = secret.split_once("://").and_then(|(_, rest)| rest.split_once('@')?.0.split_once(':'));
    let password =
        address.map(|(_, password)| password).filter(|password| password.len() >= MIN_SECRET_BYTES);
    let parts = secret.split(|letter: char| letter.is_whitespace() || ",;'\"".contains(letter));
    let is_own =
        |part: &&str| part.len() >= MIN_SECRET_PART_BYTES && part.bytes().any(|byte| byte.is_ascii_digit());
    std::iter::once(secret).chain(password).chain(parts.filter(is_own)).collect()
}

/// Returns all registered values. All calls return the same object ([`Arc::ptr_eq`]) until the values change.
pub fn secret_values() -> Arc<BTreeSet<String>> {
    REGISTERED_SECRETS.read().unwrap_or_else(PoisonError::into_inner).clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_kept_with_the_parts_that_are_known_by_themselves_and_a_held_set_does_not_change() {
        let before = secret_values();
        register_secret("short");
        assert!(Arc::ptr_eq(&before, &secret_values()));
        register_secret("smtps://joe:given-canary-2@mail.example.org:465?to=a");
        let after = secret_values();
        assert!(!before.contains("given-canary-2") && after.contains("given-canary-2"));
        register_secret("given-canary-2");
        assert!(Arc::ptr_eq(&after, &secret_values()), "it is known");
        unregister_secret("given-canary-2");
        assert!(!secret_values().contains("given-canary-2"));
    }
}
