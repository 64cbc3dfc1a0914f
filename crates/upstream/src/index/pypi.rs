//! A Python package index (the simple repository API, PEP 503, 592, 629, 691 and 700).

use std::collections::BTreeMap;

use truing_reader::sources::ArchiveFormat;

use super::page::{self, IndexFile};
use super::{IndexError, IndexResponse, PackageIndex, PackageRelease, ReleaseArchive};
use truing_core::registry::PackageRegistry;
use truing_core::version::PackageVersion;

const ACCEPT_HEADER: &str =
    "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1";

pub(super) async fn fetch_releases(
    index: &PackageIndex,
    package: &str,
) -> Result<BTreeMap<PackageVersion, PackageRelease>, IndexError> {
    let normal =
        normalise_package_name(package).ok_or_else(|| IndexError::InvalidPackageName(package.to_owned()))?;
    let page = index.fetch_page(&format!("{normal}/"), package, ACCEPT_HEADER).await?;
    let listed = if page.is_json { page::parse_json(&page.body) } else { Ok(page::parse_html(&page.body)) };
    let listed = listed.map_err(|reason| page.malformed_error(reason))?;
    if listed.is_empty() {
        return Err(page.malformed_error("it lists no file"));
    }
    Ok(best_releases(&normal, &page, listed))
}

/// Returns the normalised name of a package (PEP 503), which package indexes use, or none if the name is
/// invalid.
fn normalise_package_name(package: &str) -> Option<String> {
    let is_name = !package.is_empty()
        && package.len() <= 200
        && package.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
        && package.starts_with(|letter: char| letter.is_ascii_alphanumeric());
    let words: Vec<_> = package.split(['-', '_', '.']).filter(|word| !word.is_empty()).collect();
    is_name.then(|| words.join("-").to_ascii_lowercase())
}

/// Returns one release for each version, with the best available archive: a platform-independent wheel, else
/// another wheel, else a source archive.
fn best_releases(
    package: &str,
    page: &IndexResponse,
    files: Vec<IndexFile>,
) -> BTreeMap<PackageVersion, PackageRelease> {
    let mut best: BTreeMap<PackageVersion, (u8, PackageRelease)> = BTreeMap::new();
    for file in files {
        let Some((version, format, rank)) = parse_archive_name(package, &file.name) else { continue };
        let Ok(url) = page.url.join(&file.url) else { continue };
        let IndexFile { name, digest: integrity, is_yanked, published_at: published, .. } = file;
        let archive = ReleaseArchive { name, url, digest: integrity, format };
        let release =
            PackageRelease { version: version.clone(), archive, is_yanked, published_at: published };
        match best.get_mut(&version) {
            Some(known) if known.0 >= rank => {}
            Some(known) => *known = (rank, release),
            None => drop(best.insert(version, (rank, release))),
        }
    }
    best.into_iter().map(|(version, (_, release))| (version, release)).collect()
}

/// Parses a file's name. Returns the version, the archive format, and the rank by which one archive of the
/// version is chosen.
fn parse_archive_name(package: &str, name: &str) -> Option<(PackageVersion, ArchiveFormat, u8)> {
    let is_ours = |written: &str| normalise_package_name(written).is_some_and(|written| written == package);
    if let Some(stem) = name.strip_suffix(".whl") {
        let mut parts = stem.split('-');
        let (written, version) = (parts.next()?, parts.next()?);
        let rank = if stem.ends_with("-none-any") { 3 } else { 2 };
        return is_ours(written).then(|| {
            Some((PackageVersion::parse(PackageRegistry::Pypi, version).ok()?, ArchiveFormat::Wheel, rank))
        })?;
    }
    let (written, version) = name.strip_suffix(".tar.gz")?.rsplit_once('-')?;
    is_ours(written).then(|| {
        Some((PackageVersion::parse(PackageRegistry::Pypi, version).ok()?, ArchiveFormat::TarGz, 1))
    })?
}
