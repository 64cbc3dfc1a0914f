//! A Python package index (the simple repository API, PEP 503, 592, 629, 691 and 700).

use std::collections::BTreeMap;

use truing_reader::sources::ArchiveFormat;

use super::page::{self, IndexFile};
use super::{
    ArchiveDigest, IndexError, PackageIndex, PackageListing, PackageRelease, ReleaseArchive, UnreadableEntry,
};
use crate::project_requirement::normalise_package_name;
use truing_core::registry::PackageRegistry;
use truing_core::version::PackageVersion;

const ACCEPT_HEADER: &str =
    "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1";

pub(super) async fn fetch_releases(
    index: &PackageIndex,
    package: &str,
) -> Result<PackageListing, IndexError> {
    let normal =
        valid_package_name(package).ok_or_else(|| IndexError::InvalidPackageName(package.to_owned()))?;
    let page = index.fetch_page(&format!("{normal}/"), package, ACCEPT_HEADER).await?;
    let files = if page.is_json {
        page::parse_json(&page.body, &page.url).map_err(|reason| page.malformed_error(reason))?
    } else {
        page::parse_html(&page.body, &page.url)
    };
    if files.is_empty() {
        return Err(page.malformed_error("it lists no file"));
    }
    // The text of a large index takes more memory than its releases.
    drop(page);
    Ok(choose_archives(&normal, files))
}

/// Returns the normalised name of a package (PEP 503), which package indexes use, or none if the name is
/// invalid.
fn valid_package_name(package: &str) -> Option<String> {
    let is_name = !package.is_empty()
        && package.len() <= 200
        && package.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
        && package.starts_with(|letter: char| letter.is_ascii_alphanumeric());
    is_name.then(|| normalise_package_name(package))
}

/// Returns one release for each version, with the best available archive: a platform-independent wheel, else
/// another wheel, else a source archive.
fn choose_archives(package: &str, files: Vec<IndexFile>) -> PackageListing {
    let mut best: BTreeMap<PackageVersion, (u8, PackageRelease)> = BTreeMap::new();
    let mut digests: BTreeMap<PackageVersion, Option<Vec<String>>> = BTreeMap::new();
    let mut wheels: BTreeMap<PackageVersion, usize> = BTreeMap::new();
    let mut unreadable = Vec::new();
    for file in files {
        let IndexFile { name, entry, url, digest, is_yanked, published_at } = file;
        let Some(name) = name else {
            unreadable.push(UnreadableEntry { name: entry, version: None });
            continue;
        };
        let Some(ArchiveName { version, format }) = parse_archive_name(package, &name) else { continue };
        let (Some((format, rank)), Some(url)) = (format, url) else {
            unreadable.push(UnreadableEntry { name, version: Some(version) });
            continue;
        };
        let known_digests = digests.entry(version.clone()).or_insert_with(|| Some(Vec::new()));
        match (&digest, known_digests.as_mut()) {
            (Some(ArchiveDigest::Sha256(digest)), Some(list)) => list.push(hex::encode(digest)),
            _ => *known_digests = None,
        }
        *wheels.entry(version.clone()).or_default() += usize::from(rank == PLATFORM_WHEEL_RANK);
        let release = PackageRelease {
            version: version.clone(),
            archive: ReleaseArchive { name, url, digest, format },
            is_yanked,
            published_at,
            sha256_digests: Vec::new(),
            other_wheels: 0,
        };
        match best.get_mut(&version) {
            Some(known) if known.0 >= rank => {}
            Some(known) => *known = (rank, release),
            None => drop(best.insert(version, (rank, release))),
        }
    }
    let mut releases = BTreeMap::new();
    for (version, (rank, mut release)) in best {
        if rank == PLATFORM_WHEEL_RANK {
            release.other_wheels = wheels.get(&version).map_or(0, |count| count.saturating_sub(1));
        }
        release.sha256_digests = digests.remove(&version).flatten().unwrap_or_default();
        releases.insert(version, release);
    }
    PackageListing::new(releases, unreadable)
}

/// The parts of an archive's name.
struct ArchiveName {
    version: PackageVersion,
    /// Format of the archive, and its rank among the archives of a version; `None` if Truing cannot read the
    /// format.
    format: Option<(ArchiveFormat, u8)>,
}

/// Rank of a wheel for one platform among the archives of a version.
const PLATFORM_WHEEL_RANK: u8 = 2;
/// Endings of source archives that pip installs. Truing reads the first.
const SOURCE_ENDINGS: [&str; 7] = [".tar.gz", ".tgz", ".zip", ".tar.bz2", ".tbz", ".tar.xz", ".tar"];

/// Parses the name of an archive; `None` for a file that pip ignores: no archive, an archive of another
/// package, or a version that is not in the format of PEP 440.
fn parse_archive_name(package: &str, name: &str) -> Option<ArchiveName> {
    let is_own = |written: &str| valid_package_name(written).is_some_and(|written| written == package);
    if let Some(stem) = name.strip_suffix(".whl") {
        let mut parts = stem.split('-');
        let (written, version) = (parts.next()?, parts.next()?);
        let rank = if stem.ends_with("-none-any") { 3 } else { PLATFORM_WHEEL_RANK };
        let version =
            PackageVersion::parse(PackageRegistry::Pypi, version).ok().filter(|_| is_own(written))?;
        return Some(ArchiveName { version, format: Some((ArchiveFormat::Wheel, rank)) });
    }
    let ending = SOURCE_ENDINGS.into_iter().find(|ending| name.ends_with(ending))?;
    let stem = name.strip_suffix(ending)?;
    // Old source archives have the package's own hyphens in their names, and a version may contain hyphens.
    let version = stem.match_indices('-').find_map(|(position, _)| {
        let written = stem.get(..position)?;
        let version = stem.get(position + 1..)?;
        PackageVersion::parse(PackageRegistry::Pypi, version).ok().filter(|_| is_own(written))
    })?;
    let format = (ending == ".tar.gz").then_some((ArchiveFormat::TarGz, 1));
    Some(ArchiveName { version, format })
}
