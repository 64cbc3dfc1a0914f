//! A first manifest: what a project takes from the package that it follows, found in its source, with the digests of the
//! release that it was made for. What looks taken over and cannot be pinned is told.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use truing_core::follow::{Manifest, Row, Symbol};
use truing_reader::sources::{Project, ProjectRequest, SourcesError};
use truing_upstream::archives::Archives;
use truing_upstream::index::Index;
use truing_upstream::version::{Registry, Version};

use super::history::{History, Request};
use super::{Question, Seen, SyncError, counterparts, seen};
use crate::config::sync::JobConfig;
use crate::reader::ChildReader;

/// What could be pinned.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proposed {
    /// The release whose digests these are.
    pub at: Version,
    /// The rows.
    pub manifest: Manifest,
    /// What looks like a counterpart and is not pinned, and why.
    pub not_guarded: BTreeMap<String, String>,
}

/// Why there is no proposal.
#[derive(Debug, thiserror::Error)]
pub enum ProposeError {
    /// The package.
    #[error(transparent)]
    Sync(#[from] SyncError),
    /// The project.
    #[error("{folder}: {source}")]
    Project {
        /// Its folder.
        folder: PathBuf,
        /// Why not.
        source: SourcesError,
    },
}

/// Looks what a project could pin; `known` are rows that it has elsewhere, to be completed.
///
/// # Errors
/// [`ProposeError`]
pub async fn proposed(
    question: Question<'_>,
    (index, archives, reader): (&Index, &Archives, &ChildReader),
) -> Result<Proposed, ProposeError> {
    let Question { job, project, .. } = question;
    let mut wanted = question.manifest.rows.clone();
    let mut not_guarded = BTreeMap::new();
    if wanted.is_empty() {
        let pairs = counterparts(job, project);
        match job.registry {
            Registry::Pypi => {
                let found = in_python(job, project, &pairs, reader).await?;
                not_guarded.extend(found.unreadable.iter().map(|(file, why)| (file.clone(), why.clone())));
                wanted = rows_of(&found, &pairs);
            }
            Registry::Npm | Registry::Crates => {
                let row = |(theirs, ours): (String, String)| (theirs, row(&ours, "mirrored file"));
                wanted = pairs.into_iter().map(row).collect();
            }
        }
    }
    let Seen { releases, newest, from, .. } = seen(&question, index).await?;
    let mut manifest = Manifest { rows: wanted };
    let history =
        History { job, index, archives, reader, releases: &releases, newest, known: BTreeMap::new() };
    let sources = history.sources(&from, &Request { manifest: &manifest, mirrored: Vec::new() }).await?;
    manifest.rows.retain(|symbol, row| match sources.symbols.get(symbol) {
        Some(Symbol::Defined(definition)) => {
            if definition.decorated {
                let why = "decorated: what a caller gets is the decorator's, too".to_owned();
                not_guarded.insert(symbol.clone(), why);
            }
            // What a project has pinned already is its own to say; this release's form is added where it is that.
            if !row.raw.is_empty() && !row.raw.contains(&definition.digests.raw) {
                not_guarded.insert(
                    symbol.clone(),
                    format!("pinned by a digest that {} {from} does not have", job.package),
                );
                return true;
            }
            row.raw.insert(definition.digests.raw.clone());
            row.tree.insert(definition.digests.tree.clone());
            true
        }
        Some(Symbol::Elsewhere) => {
            not_guarded.insert(symbol.clone(), "in another package".to_owned());
            false
        }
        Some(Symbol::Gone) | None => {
            not_guarded.insert(symbol.clone(), format!("not in {} {from}: the project's own", job.package));
            false
        }
    });
    Ok(Proposed { at: from, manifest, not_guarded })
}

/// What a Python project overrides, and what its files define.
async fn in_python(
    job: &JobConfig,
    project: &Path,
    pairs: &[(String, String)],
    reader: &ChildReader,
) -> Result<Project, ProposeError> {
    let wrong = |source| ProposeError::Project { folder: project.to_owned(), source };
    let folder = project
        .canonicalize()
        .map_err(|error| wrong(SourcesError::File { path: project.to_owned(), why: error.to_string() }))?;
    // A package is not always imported by its own name; where files of it are mirrored, they say by which.
    let tops = pairs.iter().filter_map(|(theirs, _)| theirs.trim_start_matches("src/").split('/').next());
    let mut packages: BTreeSet<String> = tops.map(str::to_owned).collect();
    packages.insert(job.package.to_ascii_lowercase().replace(['-', '.'], "_"));
    reader.project(ProjectRequest { folder, packages }).await.map_err(wrong)
}

fn rows_of(found: &Project, pairs: &[(String, String)]) -> BTreeMap<String, Row> {
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    for (symbol, ours) in &found.overrides {
        rows.insert(symbol.clone(), row(ours, "overridden"));
    }
    for (theirs, ours) in pairs {
        let Some(module) = theirs.strip_suffix(".py") else { continue };
        let module = module.trim_start_matches("src/").trim_end_matches("/__init__").replace('/', ".");
        for name in found.functions.get(ours).into_iter().flatten() {
            let row = || row(&format!("{ours}:{name}"), "a function of the same name in a mirrored file");
            rows.entry(format!("{module}:{name}")).or_insert_with(row);
        }
    }
    rows
}

fn row(counterpart: &str, reason: &str) -> Row {
    Row { counterpart: Some(counterpart.to_owned()), reason: Some(reason.to_owned()), ..Row::default() }
}
