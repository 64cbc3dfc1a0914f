//! Folders with the build output of linters, such as compiled dependencies. A linter that reuses the build
//! output of an earlier run only builds code that has changed since then.
//!
//! A run may write any content to its build folder. Each folder is therefore used only for one repository,
//! one level of trust, one kind of tree, one tool and one version of the tool's program. Build output is read
//! only inside of the sandbox. Only one run uses a folder at a time. A second run gets no folder and builds
//! everything.

use std::fs::{DirBuilder, File, FileTimes, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{Mode, OFlags};
use rustix::process::geteuid;
use truing_agent::read_only_program::BuildFolder;
use truing_agent::sandbox::SandboxLevel;
use truing_agent::verify::CommandOutput;
use truing_core::verification::CommandEndReason;

use super::cache::{CacheEntry, ToolCache, expired_entries};
use super::cached_findings::ProgramIdentity;
use super::linter_runner::{LinterFiles, LinterRunMethod, LinterRunner, OWN_FILES_CACHE_SCOPE};
use super::linter_tree::DigestBuilder;
use super::select::SelectedLinter;

/// Version of the layout of build folders. The version is part of a folder's name, so folders with an old
/// layout are not used.
const BUILD_LAYOUT_VERSION: &str = "1";
/// The folder that contains all build folders.
const BUILDS_FOLDER: &str = "builds";
/// Maximum total size of all build folders in bytes.
const MAX_TOTAL_BYTES: u64 = 2 << 30;
/// Build folders that were not used for this time are removed.
const MAX_UNUSED_TIME: Duration = Duration::from_secs(14 * 24 * 60 * 60);
/// Minimum number of free bytes on the disk. With fewer free bytes, a run gets no build folder. This minimum
/// is larger than [`MAX_TOTAL_BYTES`], the maximum that a run may write, because a run is stopped when the
/// disk is nearly full.
const MIN_FREE_BYTES: u64 = 3 << 30;
/// The subfolder of a build folder that a run may write to.
const BUILD_OUTPUT_FOLDER_NAME: &str = "built";
/// The file with the size of the subfolder [`BUILD_OUTPUT_FOLDER_NAME`] in bytes. The file is missing while a
/// run uses the folder.
const SIZE_FILE_NAME: &str = "bytes";

/// All build folders, which are subfolders of one folder.
#[derive(Clone, Debug)]
pub(super) struct BuildCache {
    folder: PathBuf,
    max_bytes: u64,
    max_unused_time: Duration,
}

/// A build folder that is locked for one run. No other run uses or removes the folder at the same time.
#[derive(Debug)]
pub(super) struct BuildFolderGuard {
    cache: BuildCache,
    folder: PathBuf,
    output_folder: BuildFolder,
    _lock: FolderLock,
}

impl BuildFolderGuard {
    /// Returns the subfolder that the linter may write to in the sandbox.
    pub(super) fn output_folder(&self) -> &BuildFolder {
        &self.output_folder
    }

    /// Unlocks the folder after the tool's runs. Then removes folders that were unused for a long time. If
    /// all folders together exceed the size limit, the least recently used folders are also removed. If a run
    /// was stopped because it wrote too much, its build output is removed.
    pub(super) async fn release(self, end_reasons: Vec<CommandEndReason>) {
        let done = tokio::task::spawn_blocking(move || {
            let is_full = end_reasons
                .iter()
                .any(|end| matches!(end, CommandEndReason::Disk | CommandEndReason::DiskFull));
            if is_full {
                truing_git::remove_folder(&self.output_folder.folder)?;
            } else {
                let bytes = BuildFolder::disk_bytes(&self.output_folder.folder);
                write_bytes(&self.folder, bytes)?;
            }
            let cache = self.cache.clone();
            drop(self);
            cache.remove_expired();
            io::Result::Ok(())
        });
        // If the release fails, the next run builds everything.
        if let Ok(Err(error)) = done.await {
            tracing::debug!(%error, "cannot cache the build output of a linter");
        }
    }
}

impl BuildCache {
    /// Creates a cache of build folders in the folder that contains the cached findings.
    fn from_tool_cache(tool_cache: &ToolCache) -> Self {
        Self::new(tool_cache.folder().join(BUILDS_FOLDER))
    }

    /// Creates a cache in this folder. The folder itself is created when the cache is first used.
    fn new(folder: PathBuf) -> Self {
        Self { folder, max_bytes: MAX_TOTAL_BYTES, max_unused_time: MAX_UNUSED_TIME }
    }

    /// Locks and returns the build folder with this name. Returns `None` if another run uses the folder, or
    /// if there is too little free disk space.
    fn acquire(&self, name: &str, variables: &[String]) -> io::Result<Option<BuildFolderGuard>> {
        let folder = self.folder.join(name);
        DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        if !has_free_disk_space(&folder)? {
            return Ok(None);
        }
        let Some(lock) = try_lock_folder(&folder)? else { return Ok(None) };
        let built = folder.join(BUILD_OUTPUT_FOLDER_NAME);
        // A run that exceeds the size limit is stopped and fails. Builds that use most of the limit are
        // therefore removed before the run.
        if build_bytes(&folder) > self.max_bytes / 4 * 3 {
            truing_git::remove_folder(&built)?;
        }
        // The file with the size is removed now, and written again after the run.
        match std::fs::remove_file(folder.join(SIZE_FILE_NAME)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        match DirBuilder::new().mode(0o700).create(&built) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let builds = BuildFolder { folder: built, variables: variables.to_vec() };
        Ok(Some(BuildFolderGuard { cache: self.clone(), folder, output_folder: builds, _lock: lock }))
    }

    /// Removes folders that were unused for a long time. Also removes the least recently used folders if all
    /// folders together exceed the size limit. A folder that a run uses is kept.
    fn remove_expired(&self) {
        let places = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let entries = places.filter_map(|place| {
            // Each run creates or removes a file in the folder, which updates the folder's modification time.
            let found = place.metadata().ok().filter(std::fs::Metadata::is_dir)?;
            let path = place.path();
            Some(CacheEntry { used: found.modified().ok()?, bytes: build_bytes(&path), path })
        });
        for place in expired_entries(entries.collect(), self.max_bytes, self.max_unused_time) {
            remove_unless_locked(&place);
        }
    }
}

/// Removes a folder of a cache, unless a run uses it.
pub(super) fn remove_unless_locked(folder: &Path) {
    if let Ok(Some(_lock)) = try_lock_folder(folder) {
        // If the folder cannot be removed, a later run tries again.
        let _ = truing_git::remove_folder(folder);
    }
}

/// Returns true if the disk of a folder has at least [`MIN_FREE_BYTES`] free.
pub(super) fn has_free_disk_space(folder: &Path) -> io::Result<bool> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize) >= MIN_FREE_BYTES)
}

/// Records the size of a folder in the folder.
pub(super) fn write_bytes(folder: &Path, bytes: u64) -> io::Result<()> {
    std::fs::write(folder.join(SIZE_FILE_NAME), bytes.to_string())
}

/// Returns the recorded size of a folder.
pub(super) fn recorded_bytes(folder: &Path) -> Option<u64> {
    std::fs::read_to_string(folder.join(SIZE_FILE_NAME)).ok()?.parse().ok()
}

/// Returns the size of a folder's builds in bytes: the recorded size, otherwise the measured size.
fn build_bytes(folder: &Path) -> u64 {
    recorded_bytes(folder).unwrap_or_else(|| BuildFolder::disk_bytes(&folder.join(BUILD_OUTPUT_FOLDER_NAME)))
}

/// A lock of a folder, which is released when the value is dropped. Dropping the file alone may release the
/// lock later, because a process that another thread is just starting has a copy of the file's handle.
#[derive(Debug)]
pub(super) struct FolderLock(pub(super) File);

impl Drop for FolderLock {
    fn drop(&mut self) {
        // If this call fails, the lock is released when the last copy of the handle is closed.
        let _ = self.0.unlock();
    }
}

/// Locks a folder for one run. Fails if the folder belongs to another user, or if other users can access it.
/// Returns `None` if another run holds the lock or has just removed the folder.
fn try_lock_folder(folder: &Path) -> io::Result<Option<FolderLock>> {
    try_lock_folder_by(folder, File::try_lock)
}

/// Locks a folder that several runs may read at the same time, like [`try_lock_folder`].
pub(super) fn try_share_folder(folder: &Path) -> io::Result<Option<FolderLock>> {
    try_lock_folder_by(folder, File::try_lock_shared)
}

fn try_lock_folder_by(
    folder: &Path,
    try_lock: fn(&File) -> Result<(), TryLockError>,
) -> io::Result<Option<FolderLock>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = File::from(rustix::fs::open(folder, flags, Mode::empty())?);
    let mine = opened.metadata()?;
    if mine.uid() != geteuid().as_raw() || mine.mode() & 0o077 != 0 {
        return Err(io::Error::other("other users may open the folder"));
    }
    match try_lock(&opened) {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    let lock = FolderLock(opened);
    // The previous holder of the lock may have removed the folder before this run locked it.
    let is_there = |there: std::fs::Metadata| (there.dev(), there.ino()) == (mine.dev(), mine.ino());
    Ok(folder.symlink_metadata().is_ok_and(is_there).then_some(lock))
}

/// The properties that determine a build folder. A run may use the build output of another run only if all
/// properties are equal.
#[derive(Clone, Debug)]
struct BuildCacheKey<'a> {
    /// The name of the level of trust.
    trust_name: &'a str,
    /// The folder of the repository's files.
    project_folder: PathBuf,
    /// The kind of tree: the working tree, a copy of a head, or a copy of a base. Builds are not shared
    /// between kinds, because a head may come from another person.
    tree_kind: &'a str,
    tool: &'a SelectedLinter,
    program: &'a ProgramIdentity,
    version_output: &'a CommandOutput,
}

impl BuildCacheKey<'_> {
    /// Returns the name of the build folder: a hash of all properties.
    fn name(&self) -> String {
        let mut parts = DigestBuilder::default();
        for part in [BUILD_LAYOUT_VERSION, env!("CARGO_PKG_VERSION"), self.trust_name, self.tree_kind] {
            parts.add(part.as_bytes());
        }
        parts.add(self.project_folder.as_os_str().as_encoded_bytes());
        parts.add(self.tool.name.as_bytes()).add(self.tool.folder.as_bytes());
        self.program.add_to(&mut parts);
        parts.add(self.version_output.stdout.as_bytes()).add(self.version_output.stderr.as_bytes());
        hex::encode(parts.into_state())
    }
}

impl LinterRunner {
    /// Returns the folder with the build output of a tool's earlier runs. `None` if the tool cannot reuse
    /// build output, if another run uses the folder now, or if the folder cannot be used.
    pub(super) async fn acquire_build_folder(
        &self,
        tool: &SelectedLinter,
        method: &LinterRunMethod<'_>,
        files: LinterFiles<'_>,
    ) -> Option<BuildFolderGuard> {
        let (LinterRunMethod::MachineProgram(installed), SandboxLevel::Full) = (method, self.sandbox_level)
        else {
            return None;
        };
        let (cache, known) = (BuildCache::from_tool_cache(self.cache.as_ref()?), tool.build_caching_tool()?);
        let (program, version) = self.version_output(tool, installed, &known.version, files).await?;
        let is_copy = files.project_programs_folder != Some(files.tree);
        let kind = match (is_copy, files.pin_folder == files.tree) {
            (false, _) => "tree",
            (true, true) => "head",
            (true, false) => "base",
        };
        let project = match files.project_programs_folder {
            Some(project) => project.canonicalize().ok()?,
            None => PathBuf::new(),
        };
        let trust = match files.trust {
            Some(trust) => trust.names().next()?,
            None if files.project_programs_folder.is_some() => OWN_FILES_CACHE_SCOPE,
            None => return None,
        };
        let origin = BuildCacheKey {
            trust_name: trust,
            project_folder: project,
            tree_kind: kind,
            tool,
            program: &program,
            version_output: &version,
        };
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

/// Sets the modification time of every file of a copy to the current time. Build programs treat a file as
/// unchanged if it is older than its build output. The build output may come from another commit. A changed
/// file that is older than this output would therefore not be built.
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
