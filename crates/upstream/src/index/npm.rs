//! npm's registry: one document for each package. For each version, the document contains the archive's URL
//! and digest. The short form of the document lacks the publication times, so the full form is requested.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use truing_reader::sources::ArchiveFormat;

use super::{
    ArchiveDigest, IndexError, PackageIndex, PackageListing, PackageRelease, ReleaseArchive, UnreadableEntry,
};
use truing_core::registry::PackageRegistry;
use truing_core::version::PackageVersion;

#[derive(Deserialize)]
struct NpmPackument {
    versions: BTreeMap<String, NpmVersion>,
    #[serde(default)]
    time: BTreeMap<String, Value>,
    #[serde(default, rename = "dist-tags")]
    tags: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct NpmVersion {
    dist: NpmDist,
    /// The deprecation message of a deprecated version. For any other version, the field is missing, empty or
    /// `false`.
    #[serde(default)]
    deprecated: Value,
}

#[derive(Deserialize)]
struct NpmDist {
    tarball: String,
    integrity: Option<String>,
}

pub(super) async fn fetch_releases(
    index: &PackageIndex,
    package: &str,
) -> Result<PackageListing, IndexError> {
    let path = package_path(package).ok_or_else(|| IndexError::InvalidPackageName(package.to_owned()))?;
    let mut page = index.fetch_page(&path, package, "application/json").await?;
    let document: NpmPackument =
        serde_json::from_slice(&page.body).map_err(|error| page.malformed_error(error))?;
    // The text of a large index takes more memory than its releases.
    page.body = Vec::new();
    let NpmPackument { versions, time, tags } = document;
    let mut releases = BTreeMap::new();
    let mut unreadable = Vec::new();
    for (text, listed) in versions {
        let version = PackageVersion::parse(PackageRegistry::Npm, &text).ok();
        let url = page.url.join(&listed.dist.tarball).ok();
        let (Some(version), Some(url)) = (version.clone(), url) else {
            unreadable.push(UnreadableEntry { name: text, version });
            continue;
        };
        let archive = ReleaseArchive {
            name: format!("{package} {text}"),
            url,
            digest: listed.dist.integrity.as_deref().and_then(ArchiveDigest::from_sri),
            format: ArchiveFormat::TarGz,
        };
        let is_yanked = !matches!(listed.deprecated, Value::Null | Value::Bool(false))
            && listed.deprecated.as_str() != Some("");
        let published_at = time.get(&text).and_then(Value::as_str).and_then(|time| time.parse().ok());
        releases.insert(
            version.clone(),
            PackageRelease {
                version,
                archive,
                is_yanked,
                published_at,
                sha256_digests: Vec::new(),
                other_wheels: 0,
            },
        );
    }
    if releases.is_empty() {
        return Err(page.malformed_error("it lists no version that can be read"));
    }
    let latest = tags.get("latest").and_then(|tag| PackageVersion::parse(PackageRegistry::Npm, tag).ok());
    Ok(PackageListing { latest, ..PackageListing::new(releases, unreadable) })
}

/// Returns the URL path of a package. The slash in `@scope/name` is escaped.
fn package_path(package: &str) -> Option<String> {
    let is_word = |word: &str| {
        !word.is_empty()
            && !word.starts_with('.')
            && word
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~'))
    };
    let (scope, name) = match package.strip_prefix('@') {
        Some(scoped) => scoped.split_once('/').map(|(scope, name)| (Some(scope), name))?,
        None => (None, package),
    };
    let is_name = package.len() <= MAX_NAME_BYTES && scope.is_none_or(is_word) && is_word(name);
    is_name.then(|| scope.map_or(name.to_owned(), |scope| format!("@{scope}%2f{name}")))
}

/// npm's limit for the length of a package name, in bytes.
const MAX_NAME_BYTES: usize = 214;
