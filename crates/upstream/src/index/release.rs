//! Releases, the page of an index that lists them, and why there is none.

use jiff::Timestamp;
use reqwest::StatusCode;
use truing_reader::sources::ArchiveFormat;
use url::Url;

use super::integrity::Integrity;
use truing_core::version::PackageVersion;

/// A release of a package.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PackageRelease {
    /// Its version.
    pub version: PackageVersion,
    /// The archive that is read of it: a wheel where there is one.
    pub archive: ReleaseArchive,
    /// It was taken back, or its publishers advise against it.
    pub is_yanked: bool,
    /// The time at which it was published, if the index says so.
    pub published: Option<Timestamp>,
}

/// A file of a release.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReleaseArchive {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub url: Url,
    /// Its digest, as the index gives it.
    pub integrity: Option<Integrity>,
    /// The form in which it is packed.
    pub format: ArchiveFormat,
}

/// The reason why an index does not serve.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// Its address.
    #[error("`{0}` is no address of a package index: write https://HOST/PATH/")]
    Address(String),
    /// A package's name.
    #[error("`{0}` is no name of a package")]
    Name(String),
    /// The package is not there.
    #[error("{index} has no package `{package}`")]
    Missing {
        /// The index.
        index: String,
        /// The package.
        package: String,
    },
    /// It refuses.
    #[error("{index} answers {status}{}", advice(*status))]
    Status {
        /// The index that was asked.
        index: String,
        /// The answer.
        status: StatusCode,
    },
    /// It cannot be reached, or broke off.
    #[error("{index} cannot be read: {why}")]
    Unreachable {
        /// The index that was asked.
        index: String,
        /// The error.
        why: String,
    },
    /// It says something else.
    #[error("{index} gives no list of releases: {why}")]
    Rubbish {
        /// The index that was asked.
        index: String,
        /// The fault in it.
        why: String,
    },
}

fn advice(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            ": put the login where the package manager has it"
        }
        _ => "",
    }
}

/// The answer of an index about a package.
pub(super) struct IndexResponse {
    /// Where it was found: addresses in it begin there.
    pub(super) base: Url,
    pub(super) is_json: bool,
    pub(super) body: Vec<u8>,
}

impl IndexResponse {
    pub(super) fn rubbish(&self, why: impl ToString) -> IndexError {
        IndexError::Rubbish { index: self.base.to_string(), why: why.to_string() }
    }
}
