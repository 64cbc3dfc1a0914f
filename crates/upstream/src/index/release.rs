//! Types for a package's releases, for the response of an index, and for the errors of an index.

use std::collections::BTreeMap;

use jiff::Timestamp;
use reqwest::StatusCode;
use truing_reader::sources::ArchiveFormat;
use url::Url;

use super::integrity::ArchiveDigest;
use truing_core::version::PackageVersion;

/// The releases of a package, as an index lists them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PackageListing {
    /// The releases, oldest first. Entries that the registry's package manager ignores are omitted.
    pub releases: Vec<PackageRelease>,
    /// Entries that a package manager may install, but that are in no release above.
    pub unreadable: Vec<UnreadableEntry>,
    /// The version with npm's tag `latest`, which npm prefers to newer versions.
    pub latest: Option<PackageVersion>,
}

impl PackageListing {
    pub(super) fn new(
        releases: BTreeMap<PackageVersion, PackageRelease>,
        mut unreadable: Vec<UnreadableEntry>,
    ) -> Self {
        unreadable
            .retain(|entry| entry.version.as_ref().is_none_or(|version| !releases.contains_key(version)));
        Self { releases: releases.into_values().collect(), unreadable, latest: None }
    }
}

/// An entry of an index that Truing cannot read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnreadableEntry {
    /// The entry as the index writes it.
    pub name: String,
    /// Version of the entry's release; `None` if it is unknown.
    pub version: Option<PackageVersion>,
}

/// A release of a package.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PackageRelease {
    pub version: PackageVersion,
    /// The archive that is read for this release. For a Python package, a wheel is preferred.
    pub archive: ReleaseArchive,
    /// True if the release was withdrawn, or its publishers advise against its use.
    pub is_yanked: bool,
    /// The time of publication, if the index reports it.
    pub published_at: Option<Timestamp>,
    /// The SHA-256 digests of all archives of a Python release, in hexadecimal digits. Empty if the index
    /// does not report the digest of each archive.
    pub sha256_digests: Vec<String>,
    /// The number of other wheels, if the archive is the wheel of one platform.
    pub other_wheels: usize,
}

/// A file of a release.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReleaseArchive {
    pub name: String,
    /// Address of the file.
    pub url: Url,
    /// Digest of the file, as declared by the index.
    pub digest: Option<ArchiveDigest>,
    /// The archive format of the file.
    pub format: ArchiveFormat,
}

/// The reasons why an index cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The index's address is not valid.
    #[error("`{0}` is not an address of a package index: specify https://HOST/PATH/")]
    InvalidAddress(String),
    /// The package's name is not valid.
    #[error("`{0}` is not a name of a package")]
    InvalidPackageName(String),
    /// The index does not list the package.
    #[error("{index} has no package `{package}`")]
    PackageNotFound {
        /// Address of the index.
        index: String,
        /// Name of the package.
        package: String,
    },
    /// The index returned an error status.
    #[error("{url} returned status {status}{}", status_advice(*status))]
    ErrorStatus {
        /// The address that was requested.
        url: String,
        /// The status of the response.
        status: StatusCode,
    },
    /// The index is unreachable, or the connection broke during the response.
    #[error("{url} cannot be read: {reason}")]
    Unreachable {
        /// The address that was requested.
        url: String,
        /// The error of the connection.
        reason: String,
    },
    /// The response is not a list of releases.
    #[error("{url} did not return a list of releases: {reason}")]
    Malformed {
        /// The address that was requested.
        url: String,
        /// The problem with the response.
        reason: String,
    },
}

fn status_advice(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            ": store the login in the configuration of the package manager"
        }
        _ => "",
    }
}

/// The response of an index about a package.
pub(super) struct IndexResponse {
    /// Address of the response. Relative addresses in the response refer to this address.
    pub(super) url: Url,
    pub(super) is_json: bool,
    pub(super) body: Vec<u8>,
}

impl IndexResponse {
    pub(super) fn malformed_error(&self, reason: impl ToString) -> IndexError {
        IndexError::Malformed { url: self.url.to_string(), reason: reason.to_string() }
    }
}
