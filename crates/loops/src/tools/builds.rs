//! Folders of linters' builds, such as compiled dependencies, which let a later run build only the rest.
//!
//! A run may write anything there. A folder therefore belongs to one repository, one level of trust, one kind
//! of tree, one tool and one version of its program, and its content is used only inside of the sandbox. One
//! run uses it at a time; a second one builds everything.

use std::fs::{DirBuilder, File, FileTimes, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{Mode, OFlags};
use rustix::process::geteuid;
use truing_agent::looking::BuildFolder;
use truing_agent::sandbox::SandboxLevel;
use truing_agent::verify::CommandOutput;
use truing_core::verification::CommandEndReason;

use super::alone::DigestBuilder;
use super::cache::ToolCache;
use super::kept::ProgramIdentity;
use super::running::{LinterFiles, LinterRunMethod, LinterRunner, OWN};
use super::select::SelectedLinter;

/// Version of the folders' layout: raised when the use of the folders changes.
const FORM: &str = "1";
/// The folder that holds them all.
const BUILDS: &str = "builds";
/// Maximum number of bytes of all folders.
const BYTES: u64 = 2 << 30;
/// The longest time for which an unused folder is kept.
const AGE: Duration = Duration::from_secs(14 * 24 * 60 * 60);
/// Number of free bytes that the disk needs for a run that uses a folder. The run may write [`BYTES`], and is
/// ended if the disk is nearly full.
const FREE: u64 = 3 << 30;
/// The part of a folder that a run may write to.
const BUILT: &str = "built";
/// The file with the number of bytes in that part, if it is known.
const NOTED: &str = "bytes";

/// The folders of all runs, in one folder.
#[derive(Clone, Debug)]
pub(super) struct BuildCache {
    folder: PathBuf,
    bytes: u64,
    age: Duration,
}

/// A folder that a run uses. No other run uses or removes it.
#[derive(Debug)]
pub(super) struct BuildFolderGuard {
    cache: BuildCache,
    folder: PathBuf,
    builds: BuildFolder,
    _lock: File,
}

impl BuildFolderGuard {
    /// Returns the part that the sandbox shows.
    pub(super) fn builds(&self) -> &BuildFolder {
        &self.builds
    }

    /// Releases the folder after runs with these ends, and removes folders that are old or exceed the limit.
    /// The builds of a run that was ended for writing too much are discarded.
    pub(super) async fn release(self, ends: Vec<CommandEndReason>) {
        let done = tokio::task::spawn_blocking(move || {
            let is_full =
                ends.iter().any(|end| matches!(end, CommandEndReason::Disk | CommandEndReason::Full));
            if is_full {
                truing_git::remove_folder(&self.builds.folder)?;
            } else {
                let bytes = BuildFolder::disk_bytes(&self.builds.folder);
                std::fs::write(self.folder.join(NOTED), bytes.to_string())?;
            }
            let cache = self.cache.clone();
            drop(self);
            cache.remove_expired();
            io::Result::Ok(())
        });
        // The next run then builds everything.
        if let Ok(Err(error)) = done.await {
            tracing::debug!(%error, "cannot cache the build output of a linter");
        }
    }
}

impl BuildCache {
    /// Places the folders beside the kept findings.
    fn from_tool_cache(findings: &ToolCache) -> Self {
        Self::new(findings.folder().join(BUILDS))
    }

    /// Uses this folder, which is created with the first build.
    fn new(folder: PathBuf) -> Self {
        Self { folder, bytes: BYTES, age: AGE }
    }

    /// Returns the folder of this name, if no other run uses it now and its disk has room.
    fn acquire(&self, name: &str, variables: &[String]) -> io::Result<Option<BuildFolderGuard>> {
        let folder = self.folder.join(name);
        DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        let disk = rustix::fs::statvfs(&folder)?;
        if disk.f_bavail.saturating_mul(disk.f_frsize) < FREE {
            return Ok(None);
        }
        let Some(lock) = try_lock_folder(&folder)? else { return Ok(None) };
        let built = folder.join(BUILT);
        // A run that is ended for writing too much has failed: there must be room for its additions.
        if build_bytes(&folder) > self.bytes / 4 * 3 {
            truing_git::remove_folder(&built)?;
        }
        // The file is written again when the run has ended.
        match std::fs::remove_file(folder.join(NOTED)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        match DirBuilder::new().mode(0o700).create(&built) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let builds = BuildFolder { folder: built, variables: variables.to_vec() };
        Ok(Some(BuildFolderGuard { cache: self.clone(), folder, builds, _lock: lock }))
    }

    /// Removes folders that were unused for long or exceed the limit; a folder in use stays.
    fn remove_expired(&self) {
        let places = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let mut all: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
        for place in places {
            // Each run creates or removes a file in the folder, which sets its time.
            let used = place.metadata().ok().filter(|found| found.is_dir()).and_then(|it| it.modified().ok());
            if let Some(used) = used {
                all.push((used, build_bytes(&place.path()), place.path()));
            }
        }
        all.sort_unstable();
        let mut left = 0_u64;
        // The folders that were used last come first.
        for (used, bytes, place) in all.into_iter().rev() {
            left = left.saturating_add(bytes);
            let is_old = used.elapsed().is_ok_and(|ago| ago > self.age);
            if (is_old || left > self.bytes)
                && let Ok(Some(_lock)) = try_lock_folder(&place)
            {
                let _ = truing_git::remove_folder(&place);
            }
        }
    }
}

/// Returns the number of bytes of a folder's builds, as recorded, else as measured.
fn build_bytes(place: &Path) -> u64 {
    let noted = std::fs::read_to_string(place.join(NOTED)).ok().and_then(|text| text.parse().ok());
    noted.unwrap_or_else(|| BuildFolder::disk_bytes(&place.join(BUILT)))
}

/// Locks a folder that belongs to this user and is closed to others; none if another run holds it or has just
/// removed it.
fn try_lock_folder(place: &Path) -> io::Result<Option<File>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = File::from(rustix::fs::open(place, flags, Mode::empty())?);
    let mine = opened.metadata()?;
    if mine.uid() != geteuid().as_raw() || mine.mode() & 0o077 != 0 {
        return Err(io::Error::other("others may open it"));
    }
    match opened.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    // The previous holder may have removed the folder in the meantime.
    let is_there = |there: std::fs::Metadata| (there.dev(), there.ino()) == (mine.dev(), mine.ino());
    Ok(place.symlink_metadata().is_ok_and(is_there).then_some(opened))
}

/// All inputs that decide if a run may use another run's builds.
#[derive(Clone, Debug)]
struct BuildCacheKey<'a> {
    /// The name of the level of trust.
    trust: &'a str,
    /// The folder of the repository's files.
    project: PathBuf,
    /// The kind of tree: the working tree, a copy of a head, or one of a base. A head may be another
    /// person's.
    kind: &'a str,
    tool: &'a SelectedLinter,
    program: &'a ProgramIdentity,
    version: &'a CommandOutput,
}

impl BuildCacheKey<'_> {
    /// Returns the name of the folder.
    fn name(&self) -> String {
        let mut parts = DigestBuilder::default();
        for part in [FORM, env!("CARGO_PKG_VERSION"), self.trust, self.kind] {
            parts.add(part.as_bytes());
        }
        parts.add(self.project.as_os_str().as_encoded_bytes());
        parts.add(self.tool.name.as_bytes()).add(self.tool.folder.as_bytes());
        self.program.add_to(&mut parts);
        parts.add(self.version.output.as_bytes()).add(self.version.errors.as_bytes());
        hex::encode(parts.into_state())
    }
}

impl LinterRunner {
    /// Returns the folder with the builds of a tool's earlier runs, if the tool keeps its builds and no other
    /// run uses the folder now.
    pub(super) async fn acquire_builds(
        &self,
        tool: &SelectedLinter,
        method: &LinterRunMethod<'_>,
        files: LinterFiles<'_>,
    ) -> Option<BuildFolderGuard> {
        let (LinterRunMethod::Machine(installed), SandboxLevel::Full) = (method, self.level) else {
            return None;
        };
        let (cache, known) = (BuildCache::from_tool_cache(self.cache.as_ref()?), tool.build_caching_tool()?);
        let (program, version) = self.version_output(tool, installed, &known.version, files).await?;
        let is_copy = files.project != Some(files.tree);
        let kind = match (is_copy, files.pins == files.tree) {
            (false, _) => "tree",
            (true, true) => "head",
            (true, false) => "base",
        };
        let project = match files.project {
            Some(project) => project.canonicalize().ok()?,
            None => PathBuf::new(),
        };
        let trust = match files.trust {
            Some(trust) => trust.names().next()?,
            None if files.project.is_some() => OWN,
            None => return None,
        };
        let origin = BuildCacheKey { trust, project, kind, tool, program: &program, version: &version };
        let (name, tree) = (origin.name(), files.tree.to_owned());
        let held = tokio::task::spawn_blocking(move || {
            let held = cache.acquire(&name, &known.builds)?;
            if held.is_some() && is_copy {
                touch_all_files(&tree)?;
            }
            io::Result::Ok(held)
        });
        let held = held.await.ok()?;
        held.inspect_err(|error| tracing::debug!(%error, "cannot use the cached build output of a linter"))
            .ok()?
    }
}

/// Sets the time of every file of a copy to now. Programs treat a file that is older than its build as
/// unchanged, and a copy of another commit may have been made before that build.
fn touch_all_files(tree: &Path) -> io::Result<()> {
    let now = FileTimes::new().set_modified(SystemTime::now());
    let mut folders = vec![tree.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                File::open(entry.path())?.set_times(now)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
