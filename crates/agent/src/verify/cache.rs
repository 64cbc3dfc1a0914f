//! Caches the results of setups, for later setups with the same key.
//!
//! A setup runs code of its repository, so its result is only as trustworthy as this code. Each result
//! therefore belongs to a scope. A lookup for a scope returns only results of this scope, and of the scopes
//! that it trusts. An entry never changes, because each run of the checks uses its own copy of the entry.

use std::fs::{File, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use truing_core::verification::CommandRun;

use super::copy;
use super::usage;
use crate::proxy::HostAccess;

/// Prefix of the names of temporary folders. The process that creates such a folder also removes it at the
/// end.
const LOCKED_FOLDER_PREFIX: &str = "held-";
/// Name of the folder to which the folder of a run is moved, for commands without their own file system.
/// [`SetupCache::clean`] removes it if no run uses it, as it removes other temporary folders.
const WORK_PLACE_NAME: &str = "held-work-place";
/// Number of digits that identify a cache in the name of a folder.
const WORK_PLACE_DIGITS: usize = 16;
/// Maximum number of attempts to create a folder. An attempt fails if another process removes the folder
/// before it is locked. The other process assumes that an unlocked folder is a leftover.
const MAX_TRIES: u32 = 100;
/// Name of an entry's metadata file. The setup cannot write to this file, because the file is outside the
/// entry's folders.
const METADATA_FILE: &str = "about.json";
/// Folders of an entry: the files that the setup added to the tree, and the home folder.
const ENTRY_FOLDERS: [&str; 2] = ["tree", "home"];
/// Maximum accepted difference between two clocks that should show the same time.
const MAX_CLOCK_SKEW: Duration = Duration::from_secs(60);

/// The name under which a setup's results are stored, and the other names whose results the setup may use.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CacheScope {
    own_scope: String,
    trusted_scopes: Vec<String>,
}

impl CacheScope {
    /// Returns a scope whose results are stored under this name. The name must identify all code that has the
    /// same trust: it contains the repository and, for code that is not on the repository's own branches, the
    /// pull request.
    pub fn new(name: impl Into<String>) -> Self {
        Self { own_scope: name.into(), trusted_scopes: Vec::new() }
    }

    /// Adds a trusted name. Lookups also return the results that are stored under this name.
    #[must_use]
    pub fn with_trusted(mut self, other: impl Into<String>) -> Self {
        self.trusted_scopes.push(other.into());
        self
    }

    /// Returns the names under which a lookup searches. The first name is the name under which results are
    /// stored.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.own_scope).chain(&self.trusted_scopes).map(String::as_str)
    }
}

/// The limits of the cache.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CacheRetention {
    /// Maximum number of bytes of all entries together. If the entries exceed this size, the least recently
    /// used entries are removed first.
    pub bytes: u64,
    /// Maximum age of an entry.
    pub age: Duration,
}

/// A cache of setup results in a folder.
#[derive(Clone, Debug)]
pub struct SetupCache {
    folder: PathBuf,
    retention: CacheRetention,
}

/// A stored setup result.
#[derive(Debug)]
pub(super) struct SetupCacheEntry {
    folder: PathBuf,
    metadata: SetupMetadata,
    /// Handle of the entry's folder. Its lock prevents other processes from removing the entry.
    _lock: File,
    /// The temporary folder with the result, if the result could not be stored. The folder is deleted when
    /// this value is dropped.
    _temporary_folder: Option<LockedFolder>,
}

/// The folder of one run at the place whose path is equal in all runs. Dropping the value moves the folder
/// back.
#[derive(Debug)]
pub(super) struct WorkPlace {
    path: PathBuf,
    original: PathBuf,
    /// Handle of the cache's folder. Its lock keeps other runs from the place.
    _lock: File,
}

impl WorkPlace {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for WorkPlace {
    fn drop(&mut self) {
        // If the folder cannot be moved back, the next run removes it.
        let _ = std::fs::rename(&self.path, &self.original);
        // The folder is removed if the work place was alone in it, and not if it is the cache's folder.
        let _ = self.path.parent().map(std::fs::remove_dir);
    }
}

/// The metadata of an entry.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SetupMetadata {
    /// Commands whose run created the entry.
    pub(super) commands: Vec<CommandRun>,
    /// Hosts that the commands connected to, or tried to connect to.
    pub(super) reached: Vec<HostAccess>,
    /// Size of the entry in bytes.
    bytes: u64,
    /// Number of files, folders and links in the entry. An entry that contains a different number is invalid.
    files: u64,
    /// Time at which the entry was made.
    #[serde(rename = "made")]
    created: SystemTime,
}

/// A folder that this process has locked.
#[derive(Debug)]
pub(super) struct LockedFolder {
    folder: TempDir,
    _lock: File,
}

impl Drop for LockedFolder {
    fn drop(&mut self) {
        // Without this call, folders of the setup that the owner cannot list could not be removed. A later
        // process removes folders that still remain.
        let _ = copy::make_accessible(self.folder.path());
    }
}

impl LockedFolder {
    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl SetupCacheEntry {
    /// Returns the folder of the files that the setup added to the tree.
    pub(super) fn tree(&self) -> PathBuf {
        self.folder.join(ENTRY_FOLDERS[0])
    }

    pub(super) fn home(&self) -> PathBuf {
        self.folder.join(ENTRY_FOLDERS[1])
    }

    pub(super) fn metadata(&self) -> &SetupMetadata {
        &self.metadata
    }
}

impl SetupCache {
    /// Returns a cache in this folder. The folder is created when it is first needed.
    pub fn new(folder: PathBuf, retention: CacheRetention) -> Self {
        Self { folder, retention }
    }

    /// Creates a temporary folder for this process. The folder is inside the cache's folder, so a rename can
    /// turn it into an entry.
    pub(super) fn create_locked_folder(&self) -> io::Result<LockedFolder> {
        let named = |error| copy::error_at_path(&self.folder, error);
        std::fs::create_dir_all(&self.folder).map_err(named)?;
        // The sandbox mounts the folder by its path, and links do not work while it does this.
        let cache_folder = self.folder.canonicalize().map_err(named)?;
        for _ in 0..MAX_TRIES {
            let alone = Permissions::from_mode(0o700);
            let folder = tempfile::Builder::new()
                .prefix(LOCKED_FOLDER_PREFIX)
                .permissions(alone)
                .tempdir_in(&cache_folder)
                .map_err(named)?;
            let Ok(lock) = File::open(folder.path()) else { continue };
            lock.lock_shared()?;
            if folder.path().exists() {
                return Ok(LockedFolder { folder, _lock: lock });
            }
        }
        Err(io::Error::other("a folder that Truing creates in the cache of set-ups does not persist"))
    }

    /// Returns the path of the work place, without links. The place is in the folder for temporary files, if
    /// this folder is on the same disk. In the cache, programs that search all folders above their project
    /// would find settings of the user, such as `~/.cargo/config.toml`, which they cannot read.
    pub(super) fn work_place(&self) -> PathBuf {
        let folder = self.folder.canonicalize().unwrap_or_else(|_| self.folder.clone());
        let temporary = std::env::temp_dir().canonicalize().unwrap_or_default();
        let device = |folder: &Path| folder.metadata().map(|metadata| metadata.dev()).ok();
        if device(&temporary).is_none() || device(&temporary) != device(&folder) {
            return folder.join(WORK_PLACE_NAME);
        }
        let user = rustix::process::geteuid().as_raw();
        let name = hex::encode(Sha256::digest(folder.as_os_str().as_encoded_bytes()));
        let name = name.get(..WORK_PLACE_DIGITS).unwrap_or_default();
        temporary.join(format!("truing-work-{user}-{name}")).join(WORK_PLACE_NAME)
    }

    /// Moves a locked folder of this cache to the work place. Waits while another run uses the place.
    ///
    /// # Errors
    /// An I/O error if the folder cannot be moved.
    pub(super) fn move_to_work_place(&self, scratch_folder: &Path) -> io::Result<WorkPlace> {
        let lock = File::open(&self.folder)?;
        lock.lock()?;
        let path = self.work_place();
        if let Some(folder) = path.parent().filter(|folder| !is_same_folder(folder, &self.folder)) {
            create_own_folder(folder)?;
        }
        if path.exists() {
            // A run that was killed has left its folder.
            copy::make_accessible(&path)?;
            std::fs::remove_dir_all(&path)?;
        }
        std::fs::rename(scratch_folder, &path)?;
        Ok(WorkPlace { path, original: scratch_folder.to_owned(), _lock: lock })
    }

    /// Returns the entry with this key that belongs to the scope or to one of its trusted scopes. An entry
    /// that is too old is not returned.
    pub(super) fn find(&self, scope: &CacheScope, key: &str, now: SystemTime) -> Option<SetupCacheEntry> {
        let scopes = std::iter::once(&scope.own_scope).chain(&scope.trusted_scopes);
        scopes
            .map(|scope| self.folder.join(entry_name(scope, key)))
            .find_map(|folder| self.open_entry(folder, now))
    }

    fn open_entry(&self, folder: PathBuf, now: SystemTime) -> Option<SetupCacheEntry> {
        let lock = File::open(&folder).ok()?;
        lock.lock_shared().ok()?;
        // Another process may have removed the folder before it was locked. In this case, its metadata cannot
        // be read.
        let metadata = read_metadata(&folder)?;
        if self.is_expired(&metadata, now) || !is_entry_complete(&folder, &metadata) {
            return None;
        }
        // Stores the time of last use as the modification time of the metadata file. If this fails, the entry
        // appears unused for longer, and may be removed earlier.
        let _ = File::open(folder.join(METADATA_FILE)).and_then(|file| file.set_modified(now));
        Some(SetupCacheEntry { folder, metadata, _lock: lock, _temporary_folder: None })
    }

    /// Stores the result of a setup as an entry. The locked folder must contain the folders `tree` and
    /// `home`. If another process has stored an entry with the same key first, returns that entry. If the
    /// result cannot be stored, returns an entry that only this process uses.
    pub(super) fn store_entry(
        &self,
        scope: &CacheScope,
        key: &str,
        locked_folder: LockedFolder,
        commands: Vec<CommandRun>,
        contacted_hosts: Vec<HostAccess>,
        now: SystemTime,
    ) -> io::Result<SetupCacheEntry> {
        let usage::DiskUsage { bytes, files } = entry_disk_usage(locked_folder.path());
        let metadata = SetupMetadata { commands, reached: contacted_hosts, bytes, files, created: now };
        std::fs::write(locked_folder.path().join(METADATA_FILE), serde_json::to_vec(&metadata)?)?;
        let folder = self.folder.join(entry_name(&scope.own_scope, key));
        // An invalid entry with the same key is removed first.
        if read_metadata(&folder)
            .is_none_or(|there| self.is_expired(&there, now) || !is_entry_complete(&folder, &there))
        {
            remove_if_unused(&folder);
        }
        // If another process still uses an entry with this name, this entry stays and the rename fails.
        let _ = std::fs::rename(locked_folder.path(), &folder);
        if let Some(entry) = self.open_entry(folder, now) {
            return Ok(entry);
        }
        let lock = File::open(locked_folder.path())?;
        Ok(SetupCacheEntry {
            folder: locked_folder.path().to_owned(),
            metadata,
            _lock: lock,
            _temporary_folder: Some(locked_folder),
        })
    }

    /// Removes entries that are too old, and temporary folders of dead processes. If the remaining entries
    /// are too large, removes the least recently used entries.
    pub(super) fn clean(&self, now: SystemTime) {
        let folders =
            std::fs::read_dir(&self.folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut entries = Vec::new();
        for folder in folders {
            match read_metadata(&folder) {
                _ if is_temporary_folder(&folder) => remove_if_unused(&folder),
                Some(about) if !self.is_expired(&about, now) => {
                    let used = folder.join(METADATA_FILE).metadata().and_then(|file| file.modified());
                    entries.push((used.unwrap_or(about.created), about.bytes, folder));
                }
                Some(_) | None => remove_if_unused(&folder),
            }
        }
        entries.sort();
        let mut all: u64 = entries.iter().map(|(_, bytes, _)| *bytes).sum();
        for (_, bytes, folder) in entries {
            if all <= self.retention.bytes {
                break;
            }
            remove_if_unused(&folder);
            all = all.saturating_sub(bytes);
        }
    }

    /// Returns true if the entry is too old, or if its creation time is in the future because the clock was
    /// changed.
    fn is_expired(&self, metadata: &SetupMetadata, now: SystemTime) -> bool {
        (now + MAX_CLOCK_SKEW)
            .duration_since(metadata.created)
            .map_or(true, |age| age > self.retention.age + MAX_CLOCK_SKEW)
    }
}

fn is_temporary_folder(folder: &Path) -> bool {
    folder
        .file_name()
        .is_some_and(|name| name.as_encoded_bytes().starts_with(LOCKED_FOLDER_PREFIX.as_bytes()))
}

/// Returns the name of an entry's folder.
fn entry_name(scope: &str, key: &str) -> String {
    hex::encode(Sha256::digest(format!("{key} {scope}")))
}

fn is_same_folder(first: &Path, second: &Path) -> bool {
    second.canonicalize().is_ok_and(|second| second == first)
}

/// Creates a folder that only this user can use, unless it exists.
///
/// # Errors
/// An I/O error if the folder exists and belongs to another user, or if other users can use it.
fn create_own_folder(folder: &Path) -> io::Result<()> {
    match std::fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        result => return result.map_err(|error| copy::error_at_path(folder, error)),
    }
    let metadata = folder.symlink_metadata()?;
    let is_own = metadata.is_dir() && metadata.uid() == rustix::process::geteuid().as_raw();
    if is_own && metadata.mode() & 0o077 == 0 {
        return Ok(());
    }
    Err(io::Error::other(format!("{} belongs to another user, or other users can use it", folder.display())))
}

/// Reads the metadata of an entry. Only a regular file is read, because a file of another kind could be
/// endless.
fn read_metadata(folder: &Path) -> Option<SetupMetadata> {
    let file = folder.join(METADATA_FILE);
    if !file.symlink_metadata().ok()?.is_file() {
        return None;
    }
    truing_core::json::from_slice(&std::fs::read(file).ok()?).ok()
}

/// Returns the disk usage of an entry's folders `tree` and `home`.
fn entry_disk_usage(folder: &Path) -> usage::DiskUsage {
    ENTRY_FOLDERS
        .iter()
        .fold(usage::DiskUsage::default(), |all, part| all.plus(usage::measure_folder(&folder.join(part))))
}

/// Returns true if an entry has both folders, and the same number of files as when it was stored.
fn is_entry_complete(folder: &Path, metadata: &SetupMetadata) -> bool {
    ENTRY_FOLDERS.iter().all(|part| folder.join(part).is_dir())
        && entry_disk_usage(folder).files == metadata.files
}

/// Removes a folder that no process uses. A folder that cannot be removed stays until the next attempt.
fn remove_if_unused(folder: &Path) {
    let Ok(lock) = File::open(folder) else { return };
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock | TryLockError::Error(_)) => return,
    }
    let _ = copy::make_accessible(folder).and_then(|()| std::fs::remove_dir_all(folder));
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    struct TestCache {
        folder: TempDir,
        cache: SetupCache,
    }

    impl TestCache {
        fn new(bytes: u64) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let cache = SetupCache::new(folder.path().join("cache"), CacheRetention { bytes, age: DAY });
            Self { folder, cache }
        }

        fn keep(&self, scope: &CacheScope, key: &str, text: &str, now: SystemTime) -> SetupCacheEntry {
            let held = self.cache.create_locked_folder().unwrap();
            for name in ["tree", "home"] {
                std::fs::create_dir(held.path().join(name)).unwrap();
            }
            std::fs::write(held.path().join("tree/made"), text).unwrap();
            self.cache.store_entry(scope, key, held, Vec::new(), Vec::new(), now).unwrap()
        }

        fn find_text(&self, scope: &CacheScope, key: &str, now: SystemTime) -> Option<String> {
            let entry = self.cache.find(scope, key, now)?;
            Some(std::fs::read_to_string(entry.tree().join("made")).unwrap())
        }

        fn folders(&self) -> usize {
            std::fs::read_dir(self.folder.path().join("cache")).unwrap().count()
        }
    }

    #[test]
    fn an_entry_is_found_by_its_scope_and_those_who_trust_it_until_it_is_old() {
        let (cache, now) = (TestCache::new(u64::MAX), SystemTime::now());
        let (base, change) = (CacheScope::new("base"), CacheScope::new("change").with_trusted("base"));
        drop(cache.keep(&change, "a", "of a change", now));
        assert_eq!(cache.find_text(&change, "a", now).as_deref(), Some("of a change"));
        assert_eq!(cache.find_text(&base, "a", now), None, "a change says nothing of the base");
        assert_eq!(cache.find_text(&CacheScope::new("other"), "a", now), None);
        drop(cache.keep(&base, "b", "of the base", now));
        assert_eq!(cache.find_text(&change, "b", now).as_deref(), Some("of the base"));
        assert_eq!(cache.find_text(&base, "c", now), None);
        assert_eq!(cache.find_text(&base, "b", now + 2 * DAY), None);
        assert_eq!(cache.find_text(&base, "b", now - DAY), None, "made in the future");
        // A second result with the same key is not stored; the existing entry is used instead.
        drop(cache.keep(&base, "b", "later", now));
        assert_eq!(cache.find_text(&base, "b", now).as_deref(), Some("of the base"));
        drop(cache.keep(&base, "b", "much later", now + 2 * DAY));
        assert_eq!(cache.find_text(&base, "b", now + 2 * DAY).as_deref(), Some("much later"));
    }

    #[test]
    fn an_entry_that_somebody_took_from_is_made_anew() {
        let (now, scope) = (SystemTime::now(), CacheScope::new("x"));
        let damages: [fn(&Path); 4] = [
            |entry| std::fs::remove_dir(entry.join("home")).unwrap(),
            |entry| std::fs::remove_dir_all(entry.join("tree")).unwrap(),
            |entry| std::fs::remove_file(entry.join("tree/made")).unwrap(),
            |entry| {
                std::fs::remove_file(entry.join(METADATA_FILE)).unwrap();
                let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR);
                rustix::fs::mknodat(rustix::fs::CWD, entry.join(METADATA_FILE), kind, mode, 0).unwrap();
            },
        ];
        for damage in damages {
            let cache = TestCache::new(u64::MAX);
            let entry = cache.keep(&scope, "a", "first", now);
            damage(&entry.folder);
            drop(entry);
            assert_eq!(cache.find_text(&scope, "a", now), None);
            drop(cache.keep(&scope, "a", "second", now));
            assert_eq!(cache.find_text(&scope, "a", now).as_deref(), Some("second"));
        }
    }

    #[test]
    fn what_two_keep_at_once_serves_both() {
        let (cache, now, scope) = (TestCache::new(u64::MAX), SystemTime::now(), CacheScope::new("x"));
        let first = cache.keep(&scope, "a", "first", now + Duration::from_secs(1));
        let second = cache.keep(&scope, "a", "second", now);
        assert_eq!(second.folder, first.folder, "who began sooner and ended later uses what is there");
        // An entry that is too old but still in use is not returned, and stays in the cache.
        let later = cache.keep(&scope, "a", "later", now + 2 * DAY);
        assert_ne!(later.folder, first.folder);
        assert_eq!(std::fs::read_to_string(later.tree().join("made")).unwrap(), "later");
        let own = later.folder.clone();
        drop(later);
        assert!(!own.exists(), "it served its process alone");
    }

    #[test]
    fn what_is_too_much_or_too_old_or_left_behind_goes_and_what_is_used_stays() {
        let (cache, now, scope) = (TestCache::new(5 << 19), SystemTime::now(), CacheScope::new("x"));
        let text = "x".repeat(1 << 20);
        drop(cache.keep(&scope, "old", &text, now - 2 * DAY));
        for key in ["a", "b", "c"] {
            drop(cache.keep(&scope, key, &text, now));
        }
        // All three entries have the same age, and this entry was used last.
        assert!(cache.find_text(&scope, "a", now + Duration::from_secs(60)).is_some());
        let left = cache.cache.folder.join("held-by-a-dead-process");
        std::fs::create_dir_all(left.join("a")).unwrap();
        let held = cache.cache.create_locked_folder().unwrap();
        cache.cache.clean(now);
        assert!(!left.exists() && held.path().exists());
        let used = cache.cache.find(&scope, "a", now).unwrap();
        let there: Vec<bool> =
            ["old", "a", "b", "c"].map(|key| cache.find_text(&scope, key, now).is_some()).into();
        assert_eq!(there.iter().filter(|there| **there).count(), 2, "{there:?}");
        assert!(!there[0] && there[1]);
        let small = SetupCache { retention: CacheRetention { bytes: 0, age: DAY }, ..cache.cache.clone() };
        small.clean(now);
        assert!(used.tree().join("made").exists(), "it is in use");
        drop((used, held));
        small.clean(now);
        assert_eq!(cache.folders(), 0);
    }
}
