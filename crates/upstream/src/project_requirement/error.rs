//! The error of reading a project's requirement.

use std::path::PathBuf;

/// The reasons why a project's requirement of a package cannot be determined.
#[derive(Debug, thiserror::Error)]
pub enum RequirementError {
    /// The file cannot be read.
    #[error("{path} cannot be read: {reason}")]
    Unreadable {
        path: PathBuf,
        /// The error of the system.
        reason: String,
    },
    /// The file cannot be parsed.
    #[error("{path} is not valid {expected_format}: {reason}")]
    Malformed {
        path: PathBuf,
        /// The format that was expected.
        expected_format: &'static str,
        /// The message of the parser.
        reason: String,
    },
    /// The file contains no requirement of the package, or several requirements.
    #[error(
        "{path}: {}requires `{package}` {count} times; exactly one requirement is needed",
        key_message_prefix(.key_path)
    )]
    NotExactlyOneRequirement {
        path: PathBuf,
        /// Keys of the searched list or table, with dots between them.
        key_path: String,
        package: String,
        /// Number of requirements that were found.
        count: usize,
    },
    /// A part of the requirement, or a source that the project sets for the package, is not understood.
    #[error("{path}: the requirement `{text}` cannot be followed: {reason}")]
    NotUnderstood {
        path: PathBuf,
        /// The requirement as the project writes it.
        text: String,
        /// The part that is not understood, and the reason.
        reason: String,
    },
}

/// Renders `key_path` and a space, or an empty text if `key_path` is empty.
fn key_message_prefix(key_path: &str) -> String {
    if key_path.is_empty() { String::new() } else { format!("{key_path} ") }
}
