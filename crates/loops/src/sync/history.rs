//! Reads the content of a package's releases, and finds the first release that contains each change.

use std::collections::BTreeMap;
use std::path::PathBuf;

use truing_config::sync::JobConfig;
use truing_core::sync::{PinManifest, ReleaseSources, SymbolState, SyncDecision, SyncVerdict};
use truing_core::version::PackageVersion;
use truing_reader::sources::ReleaseSourcesRequest;
use truing_upstream::index::PackageRelease;

use super::available_releases::AvailableReleases;
use super::decision_error::SyncDecisionError;
use super::package_sources::PackageSources;

/// The parts of a release that are read.
pub(super) struct ReleaseQuery<'a> {
    pub(super) manifest: &'a PinManifest,
    pub(super) mirrored_globs: Vec<String>,
    /// Additional classes whose definitions are read.
    pub(super) base_classes: &'a [String],
}

/// The releases of a package, with the content that was already read.
pub(super) struct ReleaseHistory<'a> {
    pub(super) job: &'a JobConfig,
    pub(super) sources: PackageSources<'a>,
    pub(super) releases: &'a [PackageRelease],
    pub(super) newest: PackageVersion,
    /// The content of the releases between the two compared releases, by the index of the release.
    pub(super) sources_by_release: BTreeMap<usize, ReleaseSources>,
}

impl<'a> ReleaseHistory<'a> {
    pub(super) fn new(
        job: &'a JobConfig,
        sources: PackageSources<'a>,
        available: &'a AvailableReleases,
    ) -> Self {
        let AvailableReleases { releases, newest, .. } = available;
        Self { job, sources, releases, newest: newest.clone(), sources_by_release: BTreeMap::new() }
    }

    fn version_index(&self, version: &PackageVersion) -> Result<usize, SyncDecisionError> {
        self.releases.iter().position(|release| release.version == *version).ok_or_else(|| {
            SyncDecisionError::NoRelease {
                package: self.job.package.clone(),
                version: version.clone(),
                newest: self.newest.to_string(),
            }
        })
    }

    pub(super) async fn read_sources(
        &self,
        version: &PackageVersion,
        request: &ReleaseQuery<'_>,
    ) -> Result<ReleaseSources, SyncDecisionError> {
        let symbols = request.manifest.rows.keys().cloned().collect();
        let (mirrored, bases) = (request.mirrored_globs.clone(), request.base_classes.to_vec());
        self.read_release(self.version_index(version)?, symbols, mirrored, bases).await
    }

    /// Returns the state of these definitions in a release. If the list is empty, no release is read.
    pub(super) async fn read_symbol_states(
        &self,
        version: &PackageVersion,
        symbols: &[String],
    ) -> Result<BTreeMap<String, SymbolState>, SyncDecisionError> {
        if symbols.is_empty() {
            return Ok(BTreeMap::new());
        }
        let read =
            self.read_release(self.version_index(version)?, symbols.to_vec(), Vec::new(), Vec::new()).await;
        read.map(|sources| sources.symbols)
    }

    async fn read_release(
        &self,
        release_index: usize,
        symbols: Vec<String>,
        mirrored_globs: Vec<String>,
        base_classes: Vec<String>,
    ) -> Result<ReleaseSources, SyncDecisionError> {
        let Some(release) = self.releases.get(release_index) else { return Ok(ReleaseSources::default()) };
        let archive: PathBuf = self.sources.archives.fetch(self.sources.index, &release.archive).await?;
        let request = ReleaseSourcesRequest {
            archive,
            format: release.archive.format,
            symbols,
            mirrored_globs,
            base_classes,
        };
        let read = self.sources.reader.read_release_sources(&request).await;
        read.map_err(|source| SyncDecisionError::Sources { name: release.archive.name.clone(), source })
    }

    /// Finds the first release that contains each change. Also returns the oldest release that a port
    /// supports: from this release on, all changed definitions are the same as in the newest release. The
    /// binary search assumes that later releases keep a change.
    pub(super) async fn find_change_releases(
        &mut self,
        decision: &mut SyncDecision,
        from: &PackageVersion,
        before: &ReleaseSources,
        to: &PackageVersion,
        after: &ReleaseSources,
    ) -> Result<Option<PackageVersion>, SyncDecisionError> {
        let (first, last) = (self.version_index(from)?, self.version_index(to)?);
        if first >= last || matches!(decision.verdict, SyncVerdict::Skip) {
            return Ok(None);
        }
        let symbols: Vec<String> = decision.pin_changes.iter().map(|change| change.symbol.clone()).collect();
        let mut floor = first;
        for change in &mut decision.pin_changes {
            let symbol = &change.symbol;
            let (old, new) = (raw_digest(before, symbol), raw_digest(after, symbol));
            let changed = self
                .find_first_release_where(first, last, &symbols, |sources| raw_digest(sources, symbol) != old)
                .await?;
            change.first_in = self.releases.get(changed).map(|release| release.version.to_string());
            let settled = self
                .find_first_release_where(first, last, &symbols, |sources| raw_digest(sources, symbol) == new)
                .await?;
            floor = floor.max(settled);
        }
        Ok((floor > first).then(|| self.releases.get(floor)).flatten().map(|release| release.version.clone()))
    }

    /// Returns the index of the first release after `preceding_index` for which `holds` returns true.
    /// `matching_index` is the index of a later release for which `holds` must return true.
    async fn find_first_release_where(
        &mut self,
        mut preceding_index: usize,
        mut matching_index: usize,
        symbols: &[String],
        holds: impl Fn(&ReleaseSources) -> bool,
    ) -> Result<usize, SyncDecisionError> {
        while matching_index - preceding_index > 1 {
            let middle = preceding_index + (matching_index - preceding_index) / 2;
            if !self.sources_by_release.contains_key(&middle) {
                let sources = self.read_release(middle, symbols.to_vec(), Vec::new(), Vec::new()).await?;
                self.sources_by_release.insert(middle, sources);
            }
            match self.sources_by_release.get(&middle) {
                Some(sources) if holds(sources) => matching_index = middle,
                Some(_) | None => preceding_index = middle,
            }
        }
        Ok(matching_index)
    }
}

/// Returns the digest of a definition's lines; `None` if the definition does not exist.
fn raw_digest<'a>(sources: &'a ReleaseSources, symbol: &str) -> Option<&'a str> {
    match sources.symbols.get(symbol) {
        Some(SymbolState::Defined(definition)) => Some(&definition.digests.raw),
        Some(SymbolState::Absent | SymbolState::OtherPackage) | None => None,
    }
}
