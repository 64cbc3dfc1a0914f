//! The sync loop: what a new release of an upstream package asks of the project that follows it (spec/sync.md). So far
//! its first half: the decision and its evidence.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use globset::escape;
use ignore::WalkBuilder;
use pep440_rs::{Version, VersionSpecifiers};
use truing_core::follow::{Decision, Manifest, Sources, Step, Symbol, Verdict, decide};
use truing_reader::sources::{SourcesError, SourcesRequest};
use truing_upstream::archives::{ArchiveError, Archives};
use truing_upstream::constraint::{self, ConstraintError};
use truing_upstream::index::{Index, IndexError, Release};

use crate::config::sync::JobConfig;
use crate::reader::ChildReader;

/// What is decided about.
#[derive(Debug)]
pub struct Question<'a> {
    /// The job.
    pub job: &'a JobConfig,
    /// The project's folder.
    pub project: &'a Path,
    /// What it pins.
    pub manifest: &'a Manifest,
    /// The release that it was made for; none: the newest that it admits.
    pub from: Option<Version>,
    /// The release to follow; none: the newest that is no pre-release.
    pub to: Option<Version>,
}

/// A decision with the releases and ranges that it is about.
#[derive(Debug)]
pub struct Decided {
    /// The release that the project was made for.
    pub from: Version,
    /// The release to follow.
    pub to: Version,
    /// What the project admits, if it says so.
    pub spec_before: Option<VersionSpecifiers>,
    /// And what it should; none if a person has to say.
    pub spec_after: Option<VersionSpecifiers>,
    /// What to do, and why.
    pub decision: Decision,
}

/// Why there is no decision.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// The index.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// An archive cannot be had.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// An archive cannot be read.
    #[error("{name}: {source}")]
    Sources {
        /// The archive.
        name: String,
        /// Why not.
        source: SourcesError,
    },
    /// The project's own file.
    #[error(transparent)]
    Constraint(#[from] ConstraintError),
    /// A release that is not there.
    #[error("{package} has no release {version} with an archive that can be read; the newest is {newest}")]
    NoRelease {
        /// The package.
        package: String,
        /// The release that was asked for.
        version: Version,
        /// The newest one.
        newest: String,
    },
    /// Nothing to compare with.
    #[error("{0}: nobody says which release the project was made for, and no release is in its range")]
    NoFrom(String),
}

/// Decides. Nothing is changed but the archives that are kept.
///
/// # Errors
/// [`SyncError`]
pub async fn decided(
    question: Question<'_>,
    index: &Index,
    archives: &Archives,
    reader: &ChildReader,
) -> Result<Decided, SyncError> {
    let Question { job, project, manifest, from, to } = question;
    let spec = spec_of(job, project)?;
    let releases = index.releases(&job.package).await?;
    let is_stable = |release: &&Release| !release.is_yanked && !release.version.any_prerelease();
    let newest = releases.iter().rev().find(is_stable).or_else(|| releases.last());
    let newest = newest.ok_or_else(|| SyncError::NoFrom(job.package.clone()))?.version.clone();
    let to = to.unwrap_or_else(|| newest.clone());
    let admitted = |release: &&Release| spec.as_ref().is_some_and(|spec| spec.contains(&release.version));
    let in_range = releases.iter().rev().filter(is_stable).find(admitted);
    let from = from
        .or_else(|| in_range.map(|release| release.version.clone()))
        .ok_or_else(|| SyncError::NoFrom(job.package.clone()))?;

    let request = Request { manifest, mirrored: mirrored(job, project) };
    let known = BTreeMap::new();
    let mut history = History { job, index, archives, reader, releases: &releases, newest, known };
    let before = history.sources(&from, &request).await?;
    let after = history.sources(&to, &request).await?;
    let major = |version: &Version| version.release().first().copied();
    let step = Step {
        in_range: spec.as_ref().is_some_and(|spec| spec.contains(&to)),
        is_major: major(&from) != major(&to),
        manifest,
        from: &before,
        to: &after,
    };
    let mut decision = decide(&step);
    let floor = history.date(&mut decision, (&from, &before), (&to, &after)).await?;
    let spec_after = spec.as_ref().and_then(|spec| match decision.verdict {
        Verdict::Skip => Some(spec.clone()),
        Verdict::Relax => constraint::up_to(spec, &to, None),
        Verdict::Bump => constraint::up_to(spec, &to, Some(floor.as_ref().unwrap_or(&to))),
        Verdict::Ask => None,
    });
    Ok(Decided { from, to, spec_before: spec, spec_after, decision })
}

/// What the project admits; none if it has no file that says so.
fn spec_of(job: &JobConfig, project: &Path) -> Result<Option<VersionSpecifiers>, SyncError> {
    let path = project.join(&job.constraint_file);
    if !path.exists() {
        return Ok(None);
    }
    Ok(Some(constraint::read(&path, &job.constraint_path, &job.package)?))
}

/// The package's files that have a counterpart in the project, as globs.
fn mirrored(job: &JobConfig, project: &Path) -> Vec<String> {
    let mut globs = Vec::new();
    for (theirs, ours) in &job.mirror {
        if !ours.ends_with('/') {
            globs.push(escape(theirs));
            continue;
        }
        let folder = project.join(ours);
        for entry in WalkBuilder::new(&folder).require_git(false).build().flatten() {
            let is_file = entry.file_type().is_some_and(|kind| kind.is_file());
            let path = entry.path().strip_prefix(&folder).ok().and_then(Path::to_str);
            if let (true, Some(path)) = (is_file, path) {
                globs.push(escape(&format!("{theirs}{path}")));
            }
        }
    }
    globs
}

/// What is asked about a release.
struct Request<'a> {
    manifest: &'a Manifest,
    mirrored: Vec<String>,
}

/// The releases, as far as somebody looked.
struct History<'a> {
    job: &'a JobConfig,
    index: &'a Index,
    archives: &'a Archives,
    reader: &'a ChildReader,
    releases: &'a [Release],
    newest: Version,
    /// What was asked about the releases between the two, by their place.
    known: BTreeMap<usize, Sources>,
}

impl History<'_> {
    fn place(&self, version: &Version) -> Result<usize, SyncError> {
        self.releases.iter().position(|release| release.version == *version).ok_or_else(|| {
            SyncError::NoRelease {
                package: self.job.package.clone(),
                version: version.clone(),
                newest: self.newest.to_string(),
            }
        })
    }

    async fn sources(&self, version: &Version, request: &Request<'_>) -> Result<Sources, SyncError> {
        let symbols = request.manifest.rows.keys().cloned().collect();
        self.read(self.place(version)?, symbols, request.mirrored.clone()).await
    }

    async fn read(
        &self,
        place: usize,
        symbols: Vec<String>,
        mirrored: Vec<String>,
    ) -> Result<Sources, SyncError> {
        let Some(release) = self.releases.get(place) else { return Ok(Sources::default()) };
        let archive: PathBuf = self.archives.get(self.index, &release.archive).await?;
        let request = SourcesRequest { archive, format: release.archive.format, symbols, mirrored };
        let read = self.reader.sources(&request).await;
        read.map_err(|source| SyncError::Sources { name: release.archive.name.clone(), source })
    }

    /// Finds which release changed each definition first, and the oldest one that has them all as the newest has them:
    /// the floor of a port. Releases are halved: what changed is taken to stay changed.
    async fn date(
        &mut self,
        decision: &mut Decision,
        (from, before): (&Version, &Sources),
        (to, after): (&Version, &Sources),
    ) -> Result<Option<Version>, SyncError> {
        let (first, last) = (self.place(from)?, self.place(to)?);
        if first >= last || matches!(decision.verdict, Verdict::Skip) {
            return Ok(None);
        }
        let symbols: Vec<String> = decision.changed.iter().map(|change| change.symbol.clone()).collect();
        let mut floor = first;
        for change in &mut decision.changed {
            let symbol = &change.symbol;
            let (old, new) = (raw(before, symbol), raw(after, symbol));
            let changed = self.first((first, last), &symbols, |sources| raw(sources, symbol) != old).await?;
            change.first_in = self.releases.get(changed).map(|release| release.version.to_string());
            let settled = self.first((first, last), &symbols, |sources| raw(sources, symbol) == new).await?;
            floor = floor.max(settled);
        }
        Ok((floor > first).then(|| self.releases.get(floor)).flatten().map(|release| release.version.clone()))
    }

    /// The first release after `before` that is so, where the one at `is_so` is.
    async fn first(
        &mut self,
        (mut before, mut is_so): (usize, usize),
        symbols: &[String],
        holds: impl Fn(&Sources) -> bool,
    ) -> Result<usize, SyncError> {
        while is_so - before > 1 {
            let middle = before + (is_so - before) / 2;
            if !self.known.contains_key(&middle) {
                let sources = self.read(middle, symbols.to_vec(), Vec::new()).await?;
                self.known.insert(middle, sources);
            }
            match self.known.get(&middle) {
                Some(sources) if holds(sources) => is_so = middle,
                Some(_) | None => before = middle,
            }
        }
        Ok(is_so)
    }
}

/// The digest of a definition's lines, if it is there.
fn raw<'a>(sources: &'a Sources, symbol: &str) -> Option<&'a str> {
    match sources.symbols.get(symbol) {
        Some(Symbol::Defined(definition)) => Some(&definition.digests.raw),
        Some(Symbol::Gone | Symbol::Elsewhere) | None => None,
    }
}
