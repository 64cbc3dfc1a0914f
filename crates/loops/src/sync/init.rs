//! Proposes a first manifest for a project. The manifest contains the definitions that the project takes from
//! the package. Their digests are from the release that the project was made for. The definitions are found
//! in the project's source. Definitions that look like copies but cannot be pinned are listed separately.

use futures_util::future::BoxFuture;
use std::collections::{BTreeMap, BTreeSet};

use truing_core::registry::PackageRegistry;
use truing_core::sync::{ManifestRow, PinManifest, ReleaseSources, SymbolState};
use truing_core::version::PackageVersion;
use truing_reader::sources::ProjectFacts;

use super::history::{ReleaseHistory, ReleaseQuery};
use super::package_sources::PackageSources;
use super::project_copies::load_project_facts;
use super::{DecisionRequest, SyncDecisionError, file_counterparts, find_releases};

/// A proposal for the pins of a project.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProposedManifest {
    /// The release that the digests belong to.
    pub version: PackageVersion,
    pub manifest: PinManifest,
    /// Definitions that look like counterparts but are not pinned, each with the reason.
    pub unguarded_reasons: BTreeMap<String, String>,
}

/// Proposes pins for a project. If the manifest in the request already has rows, the function completes only
/// these rows.
///
/// # Errors
/// [`SyncDecisionError`]
pub fn propose_manifest<'a>(
    request: DecisionRequest<'a>,
    sources: PackageSources<'a>,
) -> BoxFuture<'a, Result<ProposedManifest, SyncDecisionError>> {
    Box::pin(async move {
        let DecisionRequest { job, project, .. } = request;
        let mut wanted = request.manifest.rows.clone();
        let mut not_guarded = BTreeMap::new();
        if wanted.is_empty() {
            let pairs = file_counterparts(job, project);
            match job.registry {
                PackageRegistry::Pypi => {
                    let found = load_project_facts(job, project, &pairs, sources.reader).await?;
                    not_guarded
                        .extend(found.unreadable.iter().map(|(file, reason)| (file.clone(), reason.clone())));
                    wanted = manifest_rows(&found, &pairs);
                }
                PackageRegistry::Npm | PackageRegistry::Crates => {
                    let row =
                        |(theirs, ours): (String, String)| (theirs, manifest_row(&ours, "mirrored file"));
                    wanted = pairs.into_iter().map(row).collect();
                }
            }
        }
        let available = find_releases(&request, sources.index).await?;
        let from = available.from.clone();
        let is_found = request.manifest.rows.is_empty();
        let mut manifest = PinManifest { rows: wanted };
        let history = ReleaseHistory::new(job, sources, &available);
        let sources = history
            .read_sources(
                &from,
                &ReleaseQuery { manifest: &manifest, mirrored_globs: Vec::new(), base_classes: &[] },
            )
            .await?;
        manifest.rows.retain(|symbol, row| match sources.symbols.get(symbol) {
            Some(SymbolState::Defined(definition)) => {
                if definition.decorated {
                    let reason = "decorated: the decorator may change the result".to_owned();
                    not_guarded.insert(symbol.clone(), reason);
                }
                // Existing pins of the project are kept. Digests from the release are added only if the row
                // has no digests, or already contains the digest from the release.
                if !row.line_digests.is_empty() && !row.line_digests.contains(&definition.digests.raw) {
                    not_guarded.insert(
                        symbol.clone(),
                        format!("the pinned digest differs from the definition in {} {from}", job.package),
                    );
                    return true;
                }
                row.line_digests.insert(definition.digests.raw.clone());
                row.tree_digests.insert(definition.digests.tree.clone());
                true
            }
            // The release does not confirm that this definition comes from the package, so the row is removed
            // without a note.
            Some(SymbolState::OtherPackage | SymbolState::Absent) | None
                if row.reason.as_deref() == Some(UNCERTAIN_ORIGIN_REASON) =>
            {
                false
            }
            Some(SymbolState::OtherPackage) => {
                let reason = format!(
                    "not defined in {} {from} itself, but in the project or in another package",
                    job.package
                );
                not_guarded.insert(symbol.clone(), reason);
                false
            }
            Some(SymbolState::Absent) | None => {
                not_guarded.insert(
                    symbol.clone(),
                    format!("not defined in {} {from}, but in the project", job.package),
                );
                false
            }
        });
        if is_found {
            remove_duplicate_rows(&mut manifest, &sources);
        }
        Ok(ProposedManifest { version: from, manifest, unguarded_reasons: not_guarded })
    })
}

/// Keeps one row for each definition. A row with the definition's own name is preferred, then a row that is
/// certainly an override.
fn remove_duplicate_rows(manifest: &mut PinManifest, sources: &ReleaseSources) {
    let mut names: Vec<_> = manifest
        .rows
        .iter()
        .filter_map(|(symbol, row)| {
            let at = sources.symbols.get(symbol).and_then(SymbolState::definition)?;
            let is_alias = symbol.split_once(':').is_some_and(|(_, name)| name != at.name);
            let is_doubtful = row.reason.as_deref() == Some(UNCERTAIN_ORIGIN_REASON);
            Some((&at.file, at.line, is_alias, is_doubtful, symbol.clone()))
        })
        .collect();
    names.sort();
    let mut places = BTreeSet::new();
    let again = names.into_iter().filter(|(file, line, ..)| !places.insert((*file, *line)));
    for (.., symbol) in again {
        manifest.rows.remove(&symbol);
    }
}

fn manifest_rows(facts: &ProjectFacts, pairs: &[(String, String)]) -> BTreeMap<String, ManifestRow> {
    let mut rows: BTreeMap<String, ManifestRow> = BTreeMap::new();
    for (symbol, ours) in &facts.overrides {
        rows.insert(symbol.clone(), manifest_row(ours, "overridden"));
    }
    for (symbol, ours) in &facts.candidates {
        rows.entry(symbol.clone()).or_insert_with(|| manifest_row(ours, UNCERTAIN_ORIGIN_REASON));
    }
    for (theirs, ours) in pairs {
        let Some(module) = theirs.strip_suffix(".py") else { continue };
        let module = module.trim_start_matches("src/").trim_end_matches("/__init__").replace('/', ".");
        for name in facts.functions.get(ours).into_iter().flatten() {
            let row =
                || manifest_row(&format!("{ours}:{name}"), "a function of the same name in a mirrored file");
            rows.entry(format!("{module}:{name}")).or_insert_with(row);
        }
        for (name, methods) in facts.classes.get(ours).into_iter().flatten() {
            let theirs = CLASS_NAME_PREFIXES.iter().filter_map(|prefix| name.strip_prefix(prefix));
            for theirs in theirs.filter(|theirs| !theirs.is_empty()) {
                let members = methods.iter().map(|method| format!(".{method}"));
                let whole = methods.is_empty().then(String::new);
                for member in members.chain(whole) {
                    let row = || manifest_row(&format!("{ours}:{name}{member}"), UNCERTAIN_ORIGIN_REASON);
                    rows.entry(format!("{module}:{theirs}{member}")).or_insert_with(row);
                }
            }
        }
    }
    rows
}

/// The reason in a row whose origin is uncertain until the release is read. If the release does not contain
/// the definition, the definition belongs to the project.
const UNCERTAIN_ORIGIN_REASON: &str = "a definition or an inherited member with the same name";
/// The prefixes that a project may put before a class name in its own copy of the class.
const CLASS_NAME_PREFIXES: [&str; 4] = ["", "Aio", "AIO", "Async"];

fn manifest_row(counterpart: &str, reason: &str) -> ManifestRow {
    ManifestRow {
        counterpart: Some(counterpart.to_owned()),
        reason: Some(reason.to_owned()),
        ..ManifestRow::default()
    }
}
