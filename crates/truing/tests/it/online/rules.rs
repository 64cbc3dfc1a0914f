//! Tests of three rules on the recorded releases: the project's own hash test, a rule that compares the bytes
//! of definitions, and a rule that compares their syntax trees.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::Deserialize;
use tokio::runtime::Runtime;
use truing_core::registry::PackageRegistry;
use truing_core::sync::{ReleaseSources, SymbolDefinition, SymbolState};
use truing_reader::sources::{ReleaseSourcesRequest, read_release};
use truing_upstream::archives::ArchiveFolder;
use truing_upstream::index::{PackageIndex, PackageRelease};
use truing_upstream::user_index::UserEnvironment;

use super::recorded::{Case, Manifest, archive_cache};

/// The result of each of the three rules.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub(crate) struct Outcomes {
    manifest_gate: String,
    definition_unchanged: String,
    ast_unchanged: String,
}

/// The result of one case.
pub(crate) struct Found {
    pub(crate) outcomes: Outcomes,
    /// Definitions whose trees have changed; the next field contains definitions with changed bytes but
    /// unchanged trees.
    pub(crate) trees: BTreeSet<String>,
    pub(crate) bytes: BTreeSet<String>,
    /// Rows of the manifest whose digest does not match even at the release for which the row was recorded.
    pub(crate) failed_at_from: BTreeSet<String>,
    /// Number of rows for definitions in other packages.
    pub(crate) elsewhere: usize,
}

/// Reads releases of a package, in order to evaluate the rules on them.
pub(crate) struct Guard {
    runtime: Runtime,
    index: PackageIndex,
    archives: ArchiveFolder,
    releases: Vec<PackageRelease>,
}

impl Guard {
    pub(crate) fn new(package: &str) -> Self {
        let runtime = Runtime::new().unwrap();
        let variable = |name: &str| std::env::var(name).ok();
        let home = variable("HOME").map(PathBuf::from);
        let own = UserEnvironment { read_variable: &variable, home: home.as_deref() }
            .find_index(PackageRegistry::Pypi, package)
            .unwrap();
        let index = PackageIndex::new(PackageRegistry::Pypi, &own.address).unwrap();
        let releases = runtime.block_on(index.fetch_releases(package)).unwrap().releases;
        Self {
            runtime,
            index,
            archives: ArchiveFolder::new(archive_cache().join("truing/archives")),
            releases,
        }
    }

    fn load_sources(&self, version: &str, manifest: &Manifest) -> ReleaseSources {
        let release = self.releases.iter().find(|release| release.version.to_string() == version);
        let archive = &release.unwrap_or_else(|| panic!("the index has no release {version}")).archive;
        let path = self.runtime.block_on(self.archives.fetch(&self.index, archive)).unwrap();
        let symbols = manifest.keys().cloned().collect();
        read_release(&ReleaseSourcesRequest {
            archive: path,
            format: archive.format,
            symbols,
            mirrored_globs: Vec::new(),
            base_classes: Vec::new(),
        })
        .unwrap()
    }

    pub(crate) fn judge_case(&mut self, case: &Case, manifest: &Manifest) -> Found {
        let before = self.load_sources(&case.from, manifest);
        let after = self.load_sources(&case.to, manifest);
        let (mut trees, mut bytes) = (BTreeSet::new(), BTreeSet::new());
        for (symbol, old) in &before.symbols {
            let name = symbol.split_once(':').unwrap().1.to_owned();
            match (old.definition(), after.symbols[symbol].definition()) {
                (Some(old), Some(new)) if old.digests == new.digests => {}
                (Some(old), Some(new)) if old.digests.tree == new.digests.tree => drop(bytes.insert(name)),
                (None, None) => {}
                _ => drop(trees.insert(name)),
            }
        }
        let say = |is_bump: bool| {
            if case.from == case.to {
                "skip"
            } else if is_bump {
                "bump"
            } else {
                "relax"
            }
            .to_owned()
        };
        let outcomes = Outcomes {
            manifest_gate: say(!failing_rows(manifest, &after).is_empty()),
            definition_unchanged: say(!trees.is_empty() || !bytes.is_empty()),
            ast_unchanged: say(!trees.is_empty()),
        };
        let elsewhere =
            before.symbols.values().filter(|symbol| **symbol == SymbolState::OtherPackage).count();
        Found { outcomes, trees, bytes, failed_at_from: failing_rows(manifest, &before), elsewhere }
    }
}

/// Returns the rows of the manifest whose digest does not match at a release. All names of the same
/// definition share their accepted digests. The reason is that the project's table has function objects as
/// keys, so it contains only one of several names.
fn failing_rows(manifest: &Manifest, sources: &ReleaseSources) -> BTreeSet<String> {
    let place = |definition: &SymbolDefinition| (definition.file.clone(), definition.line);
    let mut accepted: BTreeMap<_, BTreeSet<&str>> = BTreeMap::new();
    for (symbol, digests) in manifest {
        if let Some(at) = sources.symbols[symbol].definition() {
            accepted.entry(place(at)).or_default().extend(digests.iter().map(String::as_str));
        }
    }
    let fails = |symbol: &SymbolState| match symbol {
        SymbolState::Defined(at) => !accepted[&place(at)].contains(at.digests.raw.as_str()),
        SymbolState::Absent => true,
        SymbolState::OtherPackage => false,
    };
    let names = sources.symbols.iter().filter(|(_, symbol)| fails(symbol));
    names.map(|(name, _)| name.clone()).collect()
}
