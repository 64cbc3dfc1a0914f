//! Locations of secrets, and secrets themselves. No error, log or debug output contains a secret.

use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use truing_core::given_secrets;

use crate::environment::Environment;

/// The location of a secret. The secret is read only when it is needed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SecretSource {
    /// In an environment variable.
    Env(String),
    /// In a file; a newline at its end is removed.
    File(PathBuf),
    /// Directly in the configuration, if the key permits this.
    PlainText(SecretText),
}

/// Maximum size of a secret in bytes. The limit is far above the size of a private key, which is about 4 KiB.
const MAX_SECRET_BYTES: u64 = 64 * 1024;

impl SecretSource {
    /// Returns the path of the file that contains the secret. Returns `None` if the secret is not in a file.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(file) => Some(file),
            Self::Env(_) | Self::PlainText(_) => None,
        }
    }

    /// Reads the secret, and registers it ([`given_secrets::register_secret`]). A registered secret is
    /// removed from all displayed text.
    ///
    /// # Errors
    /// [`SecretError`] if the variable or file is missing, empty, too long or not valid text. The error names
    /// the variable or file.
    pub fn read(&self, environment: &Environment) -> Result<SecretText, SecretError> {
        let fail = |reason: String| SecretError { secret_source: self.clone(), reason };
        let text = match self {
            Self::PlainText(text) => {
                given_secrets::register_secret(&text.0);
                return Ok(text.clone());
            }
            Self::Env(name) => match environment.get(name).map(|value| value.to_str()) {
                Some(Some(value)) => value.to_owned(),
                Some(None) => return Err(fail("is not UTF-8".to_owned())),
                None => return Err(fail("is not set".to_owned())),
            },
            Self::File(path) => {
                let mut text = String::new();
                let file = super::open_regular_file(path)
                    .map_err(|error| fail(format!("cannot be read: {error}")))?;
                let mut bounded = file.take(MAX_SECRET_BYTES + 1);
                bounded
                    .read_to_string(&mut text)
                    .map_err(|error| fail(format!("cannot be read: {error}")))?;
                text
            }
        };
        let text = text.strip_suffix('\n').unwrap_or(&text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        match text.len() as u64 {
            _ if text.trim().is_empty() => Err(fail("is empty".to_owned())),
            0..=MAX_SECRET_BYTES => {
                given_secrets::register_secret(text);
                Ok(SecretText(text.to_owned()))
            }
            _ => Err(fail(format!("is longer than {MAX_SECRET_BYTES} bytes"))),
        }
    }
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "variable {name}"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::PlainText(_) => f.write_str("the text"),
        }
    }
}

/// A secret that was read.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(String);

impl SecretText {
    /// Wraps a text that is to be treated as a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the secret. Pass the returned text only to code that sends it to the service for which the
    /// secret is meant.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(…)")
    }
}

/// The error of a secret that could not be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{secret_source} {reason} (required)")]
pub struct SecretError {
    /// Location at which the secret was expected.
    pub secret_source: SecretSource,
    /// Description of the error.
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_from_its_variable_or_file_and_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "hush\n").unwrap();
        let environment = Environment::new([("TOKEN", "hush")], "/");
        for secret in [SecretSource::Env("TOKEN".into()), SecretSource::File(path)] {
            let text = secret.read(&environment).unwrap();
            assert_eq!(text.expose(), "hush");
            assert!(!format!("{text:?}").contains("hush"));
        }
    }

    #[test]
    fn a_missing_or_empty_secret_names_its_place() {
        let environment = Environment::new([("EMPTY", ""), ("BLANK", " \t")], "/");
        let said = |secret: SecretSource| secret.read(&environment).unwrap_err().to_string();
        assert_eq!(said(SecretSource::Env("GONE".into())), "variable GONE is not set (required)");
        assert_eq!(said(SecretSource::Env("EMPTY".into())), "variable EMPTY is empty (required)");
        assert_eq!(said(SecretSource::Env("BLANK".into())), "variable BLANK is empty (required)");
        assert!(
            said(SecretSource::File("/gone/token".into())).starts_with("file /gone/token cannot be read: ")
        );
        // A secret must be a regular file, because reading a FIFO may block and reading a device may never
        // end.
        assert_eq!(
            said(SecretSource::File("/dev/zero".into())),
            "file /dev/zero cannot be read: it is not a regular file (required)"
        );
    }
}
