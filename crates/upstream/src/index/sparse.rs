//! Cargo's sparse index: one file for each crate, which contains a line for each version, and a `config.json`
//! with the address of archives.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use truing_reader::sources::ArchiveFormat;
use url::Url;

use super::{ArchiveDigest, IndexError, PackageIndex, PackageListing, PackageRelease, ReleaseArchive};
use truing_core::registry::PackageRegistry;
use truing_core::version::PackageVersion;

/// The index's own settings.
#[derive(Deserialize)]
struct SparseIndexConfig {
    /// Address of archives: a template with some of [`URL_PLACEHOLDERS`], or the address of a folder.
    dl: String,
}

/// Placeholders in the address of archives; an address without placeholders is the address of a folder.
const URL_PLACEHOLDERS: [&str; 5] =
    ["{crate}", "{version}", "{prefix}", "{lowerprefix}", "{sha256-checksum}"];

#[derive(Deserialize)]
struct SparseIndexLine {
    name: String,
    vers: String,
    cksum: String,
    #[serde(default)]
    yanked: bool,
    #[serde(default)]
    pubtime: Option<Timestamp>,
}

pub(super) async fn fetch_releases(
    index: &PackageIndex,
    package: &str,
) -> Result<PackageListing, IndexError> {
    let folder = crate_folder(package).ok_or_else(|| IndexError::InvalidPackageName(package.to_owned()))?;
    let settings = index.fetch_page("config.json", package, "application/json").await?;
    let SparseIndexConfig { dl } =
        serde_json::from_slice(&settings.body).map_err(|error| settings.malformed_error(error))?;
    let path = format!("{folder}/{package}").to_ascii_lowercase();
    let page = index.fetch_page(&path, package, "text/plain").await?;
    let mut releases = BTreeMap::new();
    for line in page.body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let line: SparseIndexLine =
            serde_json::from_slice(line).map_err(|error| page.malformed_error(error))?;
        // Upper and lower case in names are not distinguished, because no index lists two names that differ
        // only in case.
        if !line.name.eq_ignore_ascii_case(package) {
            return Err(
                page.malformed_error(format!("the response describes another package, `{}`", line.name))
            );
        }
        // Cargo ignores such a line, too.
        let Ok(version) = PackageVersion::parse(PackageRegistry::Crates, &line.vers) else { continue };
        let Some(url) = archive_url(&dl, &folder, &line) else {
            return Err(settings.malformed_error("`dl` is not an address"));
        };
        let archive = ReleaseArchive {
            name: format!("{}-{}.crate", line.name, line.vers),
            url,
            digest: ArchiveDigest::from_sha256(&line.cksum),
            format: ArchiveFormat::TarGz,
        };
        let release = PackageRelease {
            version: version.clone(),
            archive,
            is_yanked: line.yanked,
            published_at: line.pubtime,
            sha256_digests: Vec::new(),
            other_wheels: 0,
        };
        releases.insert(version, release);
    }
    if releases.is_empty() {
        return Err(page.malformed_error("it lists no version"));
    }
    Ok(PackageListing::new(releases, Vec::new()))
}

/// Returns the folder of a crate's file in the index: `1`, `2`, `3/a` or `ab/cd`.
fn crate_folder(package: &str) -> Option<String> {
    let is_name = package.len() <= MAX_CRATE_NAME_BYTES
        && package.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    match package.len() {
        _ if !is_name => None,
        0 => None,
        1 => Some("1".to_owned()),
        2 => Some("2".to_owned()),
        3 => Some(format!("3/{}", package.get(..1)?)),
        _ => Some(format!("{}/{}", package.get(..2)?, package.get(2..4)?)),
    }
}

/// crates.io's limit for the length of a crate name, in bytes.
const MAX_CRATE_NAME_BYTES: usize = 64;

/// Returns the address of an archive.
fn archive_url(dl: &str, folder: &str, line: &SparseIndexLine) -> Option<Url> {
    let address = if URL_PLACEHOLDERS.iter().any(|marker| dl.contains(marker)) {
        dl.replace("{crate}", &line.name)
            .replace("{version}", &line.vers)
            .replace("{prefix}", folder)
            .replace("{lowerprefix}", &folder.to_ascii_lowercase())
            .replace("{sha256-checksum}", &line.cksum)
    } else {
        format!("{dl}/{}/{}/download", line.name, line.vers)
    };
    Url::parse(&address).ok()
}
